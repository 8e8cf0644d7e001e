"""Free memory as boot leaves it, and as it is taken to be filled (mm/bootmem.c, 2.6.8).

What whole blocks come to is known, so they are not put together or taken apart page by page;
tests/zone/reference_boot.py goes page by page, and leaves the same zone.
"""

from __future__ import annotations

from study.zone.engine.compile import kernel
from study.zone.engine.enums import Home, Migratetype
from study.zone.engine.layout import MAX_ORDER_PAGES, NO_ROW, frames, requests
from study.zone.mm.linux_2_6.grouping import (
    add_typed_block,
    first_fit,
    pageblock_type,
    prepare_lists,
    return_block,
    rmqueue,
)
from study.zone.mm.linux_2_6.percpu import free_page, shelve_ahead
from study.zone.mm.linux_2_6.reserve import set_boot_reserve
from study.zone.settings import NR_ORDERS, Reserve

_MOVABLE = int(Migratetype.MOVABLE)
_TOP = NR_ORDERS - 1


@kernel
def prepare_memory(z):
    """Empty lists, no page free, and every row of the slab and request tables free."""
    frame = frames(z)
    for pfn in range(z.zone.pages, z.zone.head):
        frame[pfn].home = Home.RESERVED
    prepare_lists(z)
    # Slab pages are as many as pages: their rows are taken one after the other, then chained.
    z.slot_free = NO_ROW
    for row in range(z.request_rows):
        requests(z)[row].next_free = row + 1 if row + 1 < z.request_rows else NO_ROW
    z.request_free = 0 if z.request_rows > 0 else NO_ROW


@kernel
def put_typed_block(z, pfn, order, migratetype):
    """The same on the list of a type."""
    add_typed_block(z, pfn, order, migratetype, False)
    z.zone.free += 1 << order


@kernel
def put_free_block(z, pfn, order):
    """Let an aligned block be free that merges with no other."""
    put_typed_block(z, pfn, order, pageblock_type(z, pfn))


@kernel
def _free_top_block(z, pfn):
    """What is there when the pages of an aligned 4 MB have been freed in ascending order."""
    put_free_block(z, pfn, _TOP)
    for order in range(1, NR_ORDERS):
        z.zone.count.formed[order] += MAX_ORDER_PAGES >> order


@kernel
def _left_on_hot_list(z, nr_pages):
    """Pages on the hot list after so many have been freed: a full one sends off its oldest batch.

    The list then goes from 5 batches and a page to 6 batches, again and again (percpu.free_page).
    """
    full = 6 * z.zone.pcp_batch
    if z.percpu_lists == 0:
        return 0
    if nr_pages <= full:
        return nr_pages
    return full - z.zone.pcp_batch + 1 + (nr_pages - full - 1) % z.zone.pcp_batch


@kernel
def free_all(z, reserved):
    """Free every page above the reserved ones in ascending order (free_all_bootmem).

    Blocks form as they fill and each goes to the head, so the first requests are served from the
    top of the zone.
    """
    for pfn in range(reserved):
        frames(z)[pfn].home = Home.RESERVED
    # The per-cpu list hands pages on in the order in which they came, and keeps the last ones.
    stop = z.zone.pages - _left_on_hot_list(z, z.zone.pages - reserved)
    pfn = reserved
    while pfn < stop:
        if pfn & (MAX_ORDER_PAGES - 1) == 0 and pfn + MAX_ORDER_PAGES <= stop:
            _free_top_block(z, pfn)
            pfn += MAX_ORDER_PAGES
        else:
            return_block(z, pfn, 0, pageblock_type(z, pfn))
            pfn += 1
    for last in range(stop, z.zone.pages):
        free_page(z, last, False)
    if z.reserve == Reserve.MIGRATE_RESERVE:
        set_boot_reserve(z)


@kernel
def take_to_fill(z, nr_pages):
    """Take pages as so many reads of page cache, one after the other, would get them.

    The cold list only hands pages on, a batch ahead, so whole blocks can be taken past it.
    Returns the first of some neighbouring pages and how many they are; NO_PFN if none is left.
    """
    _, smallest = first_fit(z, 0, _MOVABLE if z.grouping else 0)
    if smallest != _TOP or nr_pages < MAX_ORDER_PAGES:
        return rmqueue(z, 0, _MOVABLE), 1
    # No smaller block is left: the next 1024 requests would walk up through this one.
    first = rmqueue(z, _TOP, _MOVABLE)
    for order in range(1, NR_ORDERS):
        z.zone.count.split[order] += MAX_ORDER_PAGES >> order
    for pfn in range(first, first + MAX_ORDER_PAGES):
        frames(z)[pfn].order = 0
    return first, MAX_ORDER_PAGES


@kernel
def end_fill(z, nr_pages):
    """Leave on the cold list what its last refill holds after so many pages were taken."""
    if z.percpu_lists and nr_pages % z.zone.pcp_batch:
        shelve_ahead(z, z.zone.pcp_batch - nr_pages % z.zone.pcp_batch)
