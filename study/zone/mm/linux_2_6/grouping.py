"""Mobility grouping: free lists per migratetype, so that what cannot move gathers in few places.

mm/page_alloc.c, 6.1 (the idea is of 2.6.24). The zone is divided into pageblocks, each with the
migratetype of what it is meant to hold. A request is served from the lists of its own type; when
those are empty it steals the largest block of another, with the rest of its pageblock if that
seems worth it. A block whose neighbour is about to become free waits at the tail of its list.

With grouping off, requests and frees go to the lists of 2.6.8 in buddy.py.

An oracle, which no kernel has, may tell kernel pages apart by how long they will live rather than
by whether they can be reclaimed; user pages stay MOVABLE: how long they live is up to reclaim.
"""

from __future__ import annotations

from study.zone.engine.compile import kernel
from study.zone.engine.enums import Gfp, Home, Migratetype
from study.zone.engine.layout import NO_PFN, frames, pageblocks
from study.zone.engine.lists import list_add, list_add_tail, list_del
from study.zone.mm.linux_2_6.boost import boost_marks
from study.zone.mm.linux_2_6.buddy import free_block, remove_free_block, take_block
from study.zone.settings import NR_ORDERS, Placement, Reserve

_UNMOVABLE = int(Migratetype.UNMOVABLE)
_MOVABLE = int(Migratetype.MOVABLE)
_RECLAIMABLE = int(Migratetype.RECLAIMABLE)


@kernel(inline=True)
def free_list(z, order, migratetype):
    """The head of a free list; those of types above 0 lie below the heads of 2.6.8."""
    return z.zone.head + order - migratetype * NR_ORDERS


@kernel
def prepare_lists(z):
    """Empty lists, of every type if grouping is on, and every pageblock MOVABLE (memmap_init)."""
    frame = frames(z)
    for head in range(z.zone.head - z.zone.typed_heads, z.frame_rows):
        frame[head].next = head
        frame[head].prev = head
    for row in range(z.pageblock_rows):
        pageblocks(z)[row].migratetype = _MOVABLE


@kernel
def pageblock_type(z, pfn):
    """The migratetype of the pageblock a frame lies in; 0 with grouping off."""
    if z.grouping == 0:
        return 0
    return pageblocks(z)[pfn >> z.pageblock_order].migratetype


@kernel
def set_pageblock_type(z, pfn, order, migratetype):
    """Give the pageblock, or every pageblock, that a block touches a migratetype."""
    for row in range(pfn >> z.pageblock_order, (pfn + (1 << order) - 1 >> z.pageblock_order) + 1):
        pageblocks(z)[row].migratetype = migratetype


@kernel
def add_typed_block(z, pfn, order, migratetype, to_tail):
    """Put a block on the free list of a type as it is, without looking at its buddy."""
    frames(z)[pfn].home = Home.BUDDY
    frames(z)[pfn].order = order
    if to_tail:
        list_add_tail(z, free_list(z, order, migratetype), pfn)
    else:
        list_add(z, free_list(z, order, migratetype), pfn)
    z.zone.nr_free[order] += 1


@kernel
def has_block(z, order, migratetype):
    """Whether the lists of one type hold a block that is large enough."""
    for larger in range(order, NR_ORDERS):
        head = free_list(z, larger, migratetype)
        if frames(z)[head].next != head:
            return True
    return False


@kernel
def first_fit(z, order, migratetype):
    """The block of one type that a request is cut from: (pfn, its order), (NO_PFN, 0) if none.

    The pfn is also what the request gets, as the lower end of a split is kept.
    """
    for found in range(order, NR_ORDERS):
        head = free_list(z, found, migratetype)
        pfn = frames(z)[head].next
        if pfn != head:
            return pfn, found
    return NO_PFN, 0


@kernel
def cut(z, pfn, found, order, migratetype):
    """Take a free block off its list and give all but its lower end back (expand)."""
    remove_free_block(z, pfn, found)
    while found > order:
        z.zone.count.split[found] += 1
        found -= 1
        add_typed_block(z, pfn + (1 << found), found, migratetype, False)
    frames(z)[pfn].order = order
    z.zone.free -= 1 << order


@kernel
def take_smallest(z, order, migratetype):
    """Take from the lists of one type only (__rmqueue_smallest); NO_PFN if they are empty."""
    pfn, found = first_fit(z, order, migratetype)
    if pfn != NO_PFN:
        cut(z, pfn, found, order, migratetype)
    return pfn


@kernel
def _foreign_head(z, order, migratetype):
    """The first block of an order on the lists of other types, in order of preference.

    UNMOVABLE: RECLAIMABLE, MOVABLE. MOVABLE: RECLAIMABLE, UNMOVABLE. RECLAIMABLE: UNMOVABLE,
    MOVABLE (fallbacks[], 6.1). Returns (pfn, type), (NO_PFN, 0) if there is none.
    """
    first = _UNMOVABLE if migratetype == _RECLAIMABLE else _RECLAIMABLE
    second = _UNMOVABLE if migratetype == _MOVABLE else _MOVABLE
    head = free_list(z, order, first)
    if frames(z)[head].next != head:
        return frames(z)[head].next, first
    head = free_list(z, order, second)
    if frames(z)[head].next != head:
        return frames(z)[head].next, second
    return NO_PFN, 0


@kernel
def may_steal_pageblock(z, order, migratetype):
    """Whether a request may take the whole pageblock of a block so large (can_steal_fallback)."""
    return order >= z.pageblock_order // 2 or migratetype != _MOVABLE


@kernel
def find_fallback(z, order, migratetype):
    """The block of another type that a request would steal (__rmqueue_fallback).

    The largest, so that few pageblocks are mixed; a MOVABLE request that cannot have a whole
    pageblock takes the smallest that will do. Returns (pfn, its order, its type), (NO_PFN, 0, 0)
    if there is none.
    """
    if migratetype >= Migratetype.HIGHATOMIC:
        return NO_PFN, 0, 0
    for i in range(NR_ORDERS - order):
        found = NR_ORDERS - 1 - i
        pfn, other = _foreign_head(z, found, migratetype)
        if pfn == NO_PFN:
            continue
        if found > order and not may_steal_pageblock(z, found, migratetype):
            break
        return pfn, found, other
    for found in range(order, NR_ORDERS):
        pfn, other = _foreign_head(z, found, migratetype)
        if pfn != NO_PFN:
            return pfn, found, other
    return NO_PFN, 0, 0


@kernel
def would_mix(z, migratetype):
    """Would a request for a page break into another type's pageblock? (ALLOC_NOFRAGMENT, 5.0)"""
    pfn, _ = first_fit(z, 0, migratetype)
    if pfn != NO_PFN:
        return False
    _, found, _ = find_fallback(z, 0, migratetype)
    return found < z.pageblock_order


@kernel
def _move_block(z, pfn, order, migratetype):
    """Put a free block at the tail of another type's list (move_to_free_list)."""
    list_del(z, pfn)
    list_add_tail(z, free_list(z, order, migratetype), pfn)


@kernel
def move_free_pages(z, pfn, migratetype):
    """Move what is free in a pageblock to the lists of a type (move_freepages_block).

    Returns (pages moved, pages of user memory there); (0, 0) where the zone ends inside the block.
    """
    frame = frames(z)
    page = pfn >> z.pageblock_order << z.pageblock_order
    stop = page + (1 << z.pageblock_order)
    if page < z.zone.start_pfn:
        page = pfn
    if stop > z.zone.pages:
        return 0, 0
    moved = 0
    movable = 0
    while page < stop:
        home = frame[page].home
        if home == Home.BUDDY:
            order = frame[page].order
            _move_block(z, page, order, migratetype)
            moved += 1 << order
            page += 1 << order
            continue
        if home == Home.ACTIVE or home == Home.INACTIVE:
            movable += 1
        page += 1
    return moved, movable


@kernel
def _claim(z, pfn, migratetype, moved, movable):
    """Change a pageblock's type if half of it is free or used alike."""
    pages = 1 << z.pageblock_order
    alike = 0
    if migratetype == _MOVABLE:
        alike = movable
    elif pageblock_type(z, pfn) == _MOVABLE:
        alike = pages - (moved + movable)
    if moved + alike >= pages // 2:
        set_pageblock_type(z, pfn, 0, migratetype)


@kernel
def steal(z, pfn, found, migratetype):
    """Move a block, or all that is free in its pageblock, to a type (steal_suitable_fallback)."""
    # What is reserved for HIGHATOMIC may lend a block, but keeps its pageblock.
    reserved = pageblock_type(z, pfn) == Migratetype.HIGHATOMIC
    if found >= z.pageblock_order:
        if not reserved and not z.types_from_trace:
            set_pageblock_type(z, pfn, found, migratetype)
    elif not reserved and may_steal_pageblock(z, found, migratetype):
        moved, movable = move_free_pages(z, pfn, migratetype)
        if moved > 0:
            if not z.types_from_trace:
                _claim(z, pfn, migratetype, moved, movable)
            return
    _move_block(z, pfn, found, migratetype)


@kernel
def rmqueue(z, order, migratetype):
    """Take a free block of an order, splitting or stealing if need be; NO_PFN if there is none.

    __rmqueue of 6.1; take_block of 2.6.8 with grouping off.
    """
    if z.grouping == 0:
        return take_block(z, order)
    pfn = take_smallest(z, order, migratetype)
    if pfn == NO_PFN:
        victim, found, _ = find_fallback(z, order, migratetype)
        if victim == NO_PFN:
            if z.reserve == Reserve.MIGRATE_RESERVE:
                # The last resort of every type (__rmqueue, 2.6.24).
                return take_smallest(z, order, Migratetype.HIGHATOMIC)
            return NO_PFN
        if found < z.pageblock_order:
            z.zone.count.stolen += 1
            boost_marks(z)
        steal(z, victim, found, migratetype)
        pfn = take_smallest(z, order, migratetype)
    return pfn


@kernel
def _keeps_apart(z, pfn, buddy):
    """Whether two pageblocks must not merge: HIGHATOMIC and ISOLATE stay among themselves."""
    one = pageblock_type(z, pfn)
    other = pageblock_type(z, buddy)
    return one != other and (one >= Migratetype.HIGHATOMIC or other >= Migratetype.HIGHATOMIC)


@kernel
def _merge_likely(z, pfn, order):
    """Whether the buddy of the block that this one would merge into is free already.

    Then it waits at the tail, so that it is still there when its own buddy is freed
    (buddy_merge_likely; orders 9 and 10 have nothing to wait for).
    """
    if order >= NR_ORDERS - 2:
        return False
    higher = (pfn & ~(1 << order)) ^ (2 << order)
    return frames(z)[higher].home == Home.BUDDY and frames(z)[higher].order == order + 1


@kernel
def return_block(z, pfn, order, migratetype):
    """Return a block to the free lists of a type, merging it while its buddy is free too.

    __free_one_page of 6.1; free_block of 2.6.8 with grouping off.
    """
    if z.grouping == 0:
        free_block(z, pfn, order)
        return
    frame = frames(z)
    z.zone.free += 1 << order
    while order < NR_ORDERS - 1:
        buddy = pfn ^ (1 << order)
        if frame[buddy].home != Home.BUDDY or frame[buddy].order != order:
            break
        if order >= z.pageblock_order and _keeps_apart(z, pfn, buddy):
            break
        remove_free_block(z, buddy, order)
        # The block may now be the upper half: it is no longer a head of anything.
        frame[pfn].home = Home.NONE
        pfn &= ~(1 << order)
        order += 1
        z.zone.count.formed[order] += 1
    add_typed_block(z, pfn, order, migratetype, _merge_likely(z, pfn, order))


SHORT_NS = 1_000_000_000
"""Lives below a second count as short. Assumed; the pageblocks of long lives then change little
between two runs of kswapd."""


@kernel
def gfp_by_lifetime(z, gfp, lifetime):
    """The flags of a kernel request, its migratetype replaced if the oracle is asked (ns)."""
    if z.placement != Placement.BY_LIFETIME:
        return gfp
    if lifetime < SHORT_NS:
        return gfp | Gfp.RECLAIMABLE
    return gfp & ~Gfp.RECLAIMABLE
