"""Slab pages: unmovable, each dying at its own time, half of them open to shrink_slab.

At the granularity of order-0 slab pages (mm/slab.c, 2.6.8): a page lives until the last of its
objects is gone, which is why lifetimes are long-tailed. The small caches behind it are left out.
"""

from __future__ import annotations

from study.zone.engine.compile import kernel
from study.zone.engine.enums import Home, Kind
from study.zone.engine.layout import NO_ROW, frames, reclaimables, slots
from study.zone.mm.linux_2_6.percpu import free_page
from study.zone.mm.linux_2_6.zones import enter_zone, enter_zone_of


@kernel
def new_slab(z, pfn, reclaimable):
    """Make a frame a slab page; returns its slot, NO_ROW if the table is full."""
    slot = z.slot_free
    if slot != NO_ROW:
        z.slot_free = slots(z)[slot].next_free
    elif z.slots_used < z.slot_rows:
        slot = z.slots_used
        z.slots_used += 1
    else:
        return NO_ROW
    row = slots(z)[slot]
    row.pfn = pfn
    row.objects = z.slab_objects_per_page
    row.place = NO_ROW
    row.death = -1
    if reclaimable:
        row.place = z.nr_reclaimable
        reclaimables(z)[z.nr_reclaimable].row = slot
        z.nr_reclaimable += 1
    frames(z)[pfn].home = Home.KERNEL
    frames(z)[pfn].kind = Kind.SLAB
    frames(z)[pfn].owner = slot
    before = enter_zone_of(z, pfn)
    z.zone.nr_kernel += 1
    enter_zone(z, before)
    z.nr_slab += 1
    return slot


@kernel
def free_slab(z, slot):
    """Free a slab page whose objects are all gone; its end may be booked still."""
    row = slots(z)[slot]
    if row.place != NO_ROW:
        # The last of the list fills the gap.
        z.nr_reclaimable -= 1
        last = reclaimables(z)[z.nr_reclaimable].row
        reclaimables(z)[row.place].row = last
        slots(z)[last].place = row.place
    row.place = NO_ROW
    if row.death >= 0:
        z.slab_deaths_left += 1
    row.death = -1
    row.next_free = z.slot_free
    z.slot_free = slot
    before = enter_zone_of(z, row.pfn)
    z.zone.nr_kernel -= 1
    enter_zone(z, before)
    z.nr_slab -= 1
    free_page(z, row.pfn, False)
