"""Per-cpu lists in front of order 0: a hot and a cold one (struct per_cpu_pages, 2.6.8), one CPU.

Pages on them are neither in z.zone.free nor in /proc/buddyinfo, and keep their buddies from
merging.
With mobility grouping on, each is split by migratetype and the parts share its limit, as the lists
of 6.1 share one; batches are those of 2.6.8.
"""

from __future__ import annotations

from study.zone.engine.compile import kernel
from study.zone.engine.enums import Home, Migratetype
from study.zone.engine.layout import HEAD_COLD, HEAD_HOT, NO_PFN, NR_PCP_TYPES, frames
from study.zone.engine.lists import list_add, list_add_tail, list_del
from study.zone.mm.linux_2_6.buddy import free_block, take_block
from study.zone.mm.linux_2_6.grouping import pageblock_type, return_block, rmqueue, would_mix
from study.zone.mm.linux_2_6.zones import enter_zone, enter_zone_of

_MOVABLE = int(Migratetype.MOVABLE)


def batch_pages(present_pages: int) -> int:
    """Pages moved between a per-cpu list and the buddy lists at once (free_area_init_core, 2.6.8).

    A thousandth of the zone, at most 256 KB, a quarter of that, at least one page.
    """
    batch = present_pages // 1024
    if batch * 4096 > 256 * 1024:
        batch = 256 * 1024 // 4096
    return max(batch // 4, 1)


@kernel
def _refill(z, head, batch, migratetype):
    """Pull a batch from the buddy lists, each page to the tail (rmqueue_bulk)."""
    pulled = 0
    while pulled < batch:
        if z.nofragment and pulled > 0 and would_mix(z, migratetype):
            # Only who has nothing mixes, and only after all else was tried.
            break
        pfn = rmqueue(z, 0, migratetype)
        if pfn == NO_PFN:
            break
        frames(z)[pfn].home = Home.PERCPU
        if z.grouping:
            frames(z)[pfn].owner = migratetype
        list_add_tail(z, head, pfn)
        pulled += 1
    return pulled


@kernel
def _drain(z, head, batch):
    """Give a batch back to the buddy lists, oldest (tail) first (free_pages_bulk)."""
    drained = 0
    while drained < batch:
        pfn = frames(z)[head].prev
        if pfn == head:
            break
        list_del(z, pfn)
        frames(z)[pfn].home = Home.NONE
        free_block(z, pfn, 0)
        drained += 1
    if drained > 0:
        z.zone.all_unreclaimable = 0
        z.zone.pages_scanned = 0
    return drained


@kernel
def take_page(z, cold):
    """One order-0 page, by way of the hot or the cold list (buffered_rmqueue)."""
    if z.percpu_lists == 0:
        return take_block(z, 0)
    if cold:
        head = z.zone.head + HEAD_COLD
        if z.zone.nr_cold <= 0:
            z.zone.nr_cold += _refill(z, head, z.zone.pcp_batch, 0)
    else:
        head = z.zone.head + HEAD_HOT
        if z.zone.nr_hot <= 2 * z.zone.pcp_batch:
            z.zone.nr_hot += _refill(z, head, z.zone.pcp_batch, 0)
    pfn = frames(z)[head].next
    if pfn == head:
        return take_block(z, 0)
    list_del(z, pfn)
    frames(z)[pfn].home = Home.NONE
    if cold:
        z.zone.nr_cold -= 1
    else:
        z.zone.nr_hot -= 1
    return pfn


@kernel
def _typed_list(z, cold, migratetype):
    """The head of the hot or the cold list of a migratetype."""
    if migratetype == 0:
        return z.zone.head + HEAD_HOT + cold
    return z.zone.head - z.zone.typed_heads + 2 * (migratetype - 1) + cold


@kernel
def _drain_typed(z, cold):
    """Give a batch back, oldest first, from the lists of the types in turn (free_pcppages_bulk)."""
    drained = 0
    empty = 0
    migratetype = 0
    while drained < z.zone.pcp_batch and empty < NR_PCP_TYPES:
        head = _typed_list(z, cold, migratetype)
        pfn = frames(z)[head].prev
        if pfn == head:
            empty += 1
        else:
            empty = 0
            list_del(z, pfn)
            frames(z)[pfn].home = Home.NONE
            # What the page was freed as, even if its pageblock has changed since.
            return_block(z, pfn, 0, frames(z)[pfn].owner)
            drained += 1
        migratetype = (migratetype + 1) % NR_PCP_TYPES
    if drained > 0:
        z.zone.all_unreclaimable = 0
        z.zone.pages_scanned = 0
    return drained


@kernel
def drain_percpu(z):
    """Give all per-cpu pages back to the buddy lists (drain_all_pages, 2.6.24)."""
    if z.grouping:
        while z.zone.nr_hot > 0:
            z.zone.nr_hot -= _drain_typed(z, 0)
        while z.zone.nr_cold > 0:
            z.zone.nr_cold -= _drain_typed(z, 1)
    else:
        z.zone.nr_hot -= _drain(z, z.zone.head + HEAD_HOT, z.zone.nr_hot)
        z.zone.nr_cold -= _drain(z, z.zone.head + HEAD_COLD, z.zone.nr_cold)


@kernel
def _shelve_typed(z, pfn, cold):
    """free_page with mobility grouping: the page's pageblock names the list (free_unref_page)."""
    if cold:
        if z.zone.nr_cold >= 2 * z.zone.pcp_batch:
            z.zone.nr_cold -= _drain_typed(z, cold)
        z.zone.nr_cold += 1
    else:
        if z.zone.nr_hot >= 6 * z.zone.pcp_batch:
            z.zone.nr_hot -= _drain_typed(z, cold)
        z.zone.nr_hot += 1
    migratetype = pageblock_type(z, pfn)
    frames(z)[pfn].home = Home.PERCPU
    frames(z)[pfn].kind = 0
    frames(z)[pfn].owner = migratetype
    if migratetype >= NR_PCP_TYPES:
        migratetype = _MOVABLE
    list_add(z, _typed_list(z, cold, migratetype), pfn)


@kernel
def take_typed_page(z, cold, migratetype):
    """One order-0 page for what is of this migratetype; take_page with grouping off."""
    if z.grouping == 0:
        return take_page(z, cold)
    if z.percpu_lists == 0:
        return rmqueue(z, 0, migratetype)
    head = _typed_list(z, cold, migratetype)
    pulled = 0
    if frames(z)[head].next == head:
        pulled = _refill(z, head, z.zone.pcp_batch, migratetype)
    pfn = frames(z)[head].next
    if pfn == head:
        return NO_PFN
    list_del(z, pfn)
    frames(z)[pfn].home = Home.NONE
    if cold:
        z.zone.nr_cold += pulled - 1
    else:
        z.zone.nr_hot += pulled - 1
    return pfn


@kernel
def give_back(z, pfn, order):
    """Free a block straight to the buddy lists; any such free re-arms kswapd for the zone."""
    before = enter_zone_of(z, pfn)
    frames(z)[pfn].kind = 0
    z.zone.all_unreclaimable = 0
    z.zone.pages_scanned = 0
    return_block(z, pfn, order, pageblock_type(z, pfn))
    enter_zone(z, before)


@kernel(inline=True)
def _shelve(z, pfn, cold):
    """free_page in the zone of the page."""
    if z.percpu_lists == 0:
        give_back(z, pfn, 0)
        return
    if z.grouping:
        _shelve_typed(z, pfn, cold)
        return
    if cold:
        head = z.zone.head + HEAD_COLD
        if z.zone.nr_cold >= 2 * z.zone.pcp_batch:
            z.zone.nr_cold -= _drain(z, head, z.zone.pcp_batch)
        z.zone.nr_cold += 1
    else:
        head = z.zone.head + HEAD_HOT
        if z.zone.nr_hot >= 6 * z.zone.pcp_batch:
            z.zone.nr_hot -= _drain(z, head, z.zone.pcp_batch)
        z.zone.nr_hot += 1
    frames(z)[pfn].home = Home.PERCPU
    frames(z)[pfn].kind = 0
    list_add(z, head, pfn)


@kernel
def free_page(z, pfn, cold):
    """Give one order-0 page back, to the head of the hot or the cold list (free_hot_cold_page).

    A full list first sends its oldest batch to the buddy lists: hot holds up to 6 batches, cold 2.
    """
    before = enter_zone_of(z, pfn)
    _shelve(z, pfn, cold)
    enter_zone(z, before)
