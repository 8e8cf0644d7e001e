"""Free memory as boot leaves it (mm/bootmem.c, 2.6.8).

What whole blocks come to is known, so they are not put together page by page;
tests/zone/reference_boot.py goes page by page, and leaves the same zone.
"""

from __future__ import annotations

from study.zone.engine.compile import kernel
from study.zone.engine.enums import Home
from study.zone.engine.layout import MAX_ORDER_PAGES, NO_ROW, frames, requests
from study.zone.mm.linux_2_6.grouping import (
    add_typed_block,
    pageblock_type,
    prepare_lists,
    return_block,
)
from study.zone.mm.linux_2_6.percpu import free_page, give_back
from study.zone.mm.linux_2_6.reserve import set_boot_reserve
from study.zone.mm.linux_2_6.zones import prepare_zones
from study.zone.settings import NR_ORDERS, AllocationPath, Reserve

_TOP = NR_ORDERS - 1
_WORD_ORDER = 5
"""Of the 32 pages that a word of i386's bitmap stands for."""
_WORD_PAGES = 1 << _WORD_ORDER


@kernel
def prepare_memory(z):
    """Empty lists, no page free, and every row of the slab and request tables free."""
    frame = frames(z)
    for pfn in range(z.zone.pages, z.zone.head):
        frame[pfn].home = Home.RESERVED
    prepare_lists(z)
    prepare_zones(z)
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
def _free_top_block(z, pfn, part):
    """What is there when an aligned 4 MB have been freed in ascending blocks of order `part`."""
    put_free_block(z, pfn, _TOP)
    for order in range(part + 1, NR_ORDERS):
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
def _free_words(z, reserved):
    """As 2.6.9 does it: 32 pages of one word of the bitmap at once, past the per-cpu lists.

    What does not fill a word is freed page by page (fe92ebf3b4).
    """
    pfn = reserved
    while pfn < z.zone.pages:
        if pfn & (MAX_ORDER_PAGES - 1) == 0 and pfn + MAX_ORDER_PAGES <= z.zone.pages:
            _free_top_block(z, pfn, _WORD_ORDER)
            pfn += MAX_ORDER_PAGES
        elif pfn & (_WORD_PAGES - 1) == 0 and pfn + _WORD_PAGES <= z.zone.pages:
            give_back(z, pfn, _WORD_ORDER)
            pfn += _WORD_PAGES
        else:
            free_page(z, pfn, False)
            pfn += 1


@kernel
def _free_pages_singly(z, reserved):
    """As 2.6.8 does it."""
    # The per-cpu list hands pages on in the order in which they came, and keeps the last ones.
    stop = z.zone.pages - _left_on_hot_list(z, z.zone.pages - reserved)
    pfn = reserved
    while pfn < stop:
        if pfn & (MAX_ORDER_PAGES - 1) == 0 and pfn + MAX_ORDER_PAGES <= stop:
            _free_top_block(z, pfn, 0)
            pfn += MAX_ORDER_PAGES
        else:
            return_block(z, pfn, 0, pageblock_type(z, pfn))
            pfn += 1
    for last in range(stop, z.zone.pages):
        free_page(z, last, False)


@kernel
def free_all(z, reserved):
    """Free every page above the reserved ones in ascending order (free_all_bootmem).

    Blocks form as they fill and each goes to the head, so the first requests are served from the
    top of the zone.
    """
    for pfn in range(reserved):
        frames(z)[pfn].home = Home.RESERVED
    if z.allocation >= AllocationPath.V2_6_9:
        _free_words(z, reserved)
    else:
        _free_pages_singly(z, reserved)
    if z.reserve == Reserve.MIGRATE_RESERVE:
        set_boot_reserve(z)


@kernel
def free_zone(z, first, end):
    """Free the pages of a zone after the first one, in ascending order."""
    for pfn in range(first, end):
        free_page(z, pfn, False)
