"""The two LRU lists of a zone: active and inactive, new pages at the head, victims at the tail.

mm/swap.c and include/linux/mm_inline.h, 2.6.8. Simplification: the per-cpu pagevecs that delay
insertion by up to 16 pages are left out; a page is on its list at once.
"""

from __future__ import annotations

from study.zone.engine.compile import kernel
from study.zone.engine.enums import Flag, Home
from study.zone.engine.layout import HEAD_ACTIVE, HEAD_INACTIVE, frames
from study.zone.engine.lists import list_add, list_add_tail, list_del
from study.zone.engine.table import prefetch
from study.zone.mm.linux_2_6.zones import enter_zone, enter_zone_of

_AHEAD_MAX = 1_024
"""Pages of each list that are fetched before they are looked at; their rows fill 64 KB."""


@kernel(inline=True)
def lru_add_active(z, pfn):
    """Put a page at the head of the active list."""
    frames(z)[pfn].home = Home.ACTIVE
    list_add(z, z.zone.head + HEAD_ACTIVE, pfn)
    z.zone.nr_active += 1


@kernel(inline=True)
def lru_add_inactive(z, pfn):
    """Put a page at the head of the inactive list."""
    frames(z)[pfn].home = Home.INACTIVE
    list_add(z, z.zone.head + HEAD_INACTIVE, pfn)
    z.zone.nr_inactive += 1


@kernel(inline=True)
def lru_del(z, pfn):
    """Take a page off the list it is on; its home is then NONE."""
    if frames(z)[pfn].home == Home.ACTIVE:
        z.zone.nr_active -= 1
    else:
        z.zone.nr_inactive -= 1
    list_del(z, pfn)
    frames(z)[pfn].home = Home.NONE


@kernel(inline=True)
def mark_page_accessed(z, pfn):
    """A read(2) or write(2) of a page: the second one promotes it (mm/swap.c, 2.6.8)."""
    frame = frames(z)
    if not frame[pfn].flags & Flag.REFERENCED:
        frame[pfn].flags |= Flag.REFERENCED
    elif frame[pfn].home == Home.INACTIVE:
        before = enter_zone_of(z, pfn)
        lru_del(z, pfn)
        lru_add_active(z, pfn)
        enter_zone(z, before)
        frame[pfn].flags &= ~Flag.REFERENCED


@kernel
def rotate_reclaimable(z, pfn):
    """A written page that is clean goes to the inactive tail (rotate_reclaimable_page)."""
    if frames(z)[pfn].home != Home.INACTIVE:
        return
    before = enter_zone_of(z, pfn)
    list_del(z, pfn)
    list_add_tail(z, z.zone.head + HEAD_INACTIVE, pfn)
    enter_zone(z, before)


@kernel(inline=True)
def page_referenced(z, pfn):
    """Was the page used since the last look? Clears what it finds (mm/rmap.c, 2.6.8)."""
    flags = frames(z)[pfn].flags
    frames(z)[pfn].flags = flags & ~(Flag.REFERENCED | Flag.YOUNG)
    return (flags & (Flag.REFERENCED | Flag.YOUNG)) != 0


@kernel(inline=True)
def fetch_tails(z):
    """Have the processor fetch one more page of each list that reclaim will look at soon.

    Reclaim can find the next page only through the last one, each somewhere else in memory: it
    would wait for every one. What was fetched may move meanwhile; then it was fetched in vain.
    """
    frame = frames(z)
    if z.zone.active_ahead < _AHEAD_MAX:
        z.zone.active_ahead += 1
        z.zone.fetched_active = frame[z.zone.fetched_active].prev
        prefetch(frame, z.zone.fetched_active)
    if z.zone.inactive_ahead < _AHEAD_MAX:
        z.zone.inactive_ahead += 1
        z.zone.fetched_inactive = frame[z.zone.fetched_inactive].prev
        prefetch(frame, z.zone.fetched_inactive)


@kernel(inline=True)
def looked_at_active(z, nr_pages):
    """Tell fetch_tails that reclaim has come so much further along the active list."""
    z.zone.active_ahead -= nr_pages
    if z.zone.active_ahead <= 0:
        z.zone.active_ahead = 0
        z.zone.fetched_active = z.zone.head + HEAD_ACTIVE


@kernel(inline=True)
def looked_at_inactive(z, nr_pages):
    """Tell fetch_tails that reclaim has come so much further along the inactive list."""
    z.zone.inactive_ahead -= nr_pages
    if z.zone.inactive_ahead <= 0:
        z.zone.inactive_ahead = 0
        z.zone.fetched_inactive = z.zone.head + HEAD_INACTIVE
