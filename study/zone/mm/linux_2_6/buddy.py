"""The binary buddy allocator of mm/page_alloc.c, 2.6.8: free areas of order 0..10.

Lists are LIFO: a block enters and leaves at the head. Which buddies are free is read from the
frame itself (home and order), as from 2.6.11 on; the pair bitmap of 2.6.8 decides the same.
"""

from __future__ import annotations

from study.zone.engine.compile import kernel
from study.zone.engine.enums import Home
from study.zone.engine.layout import NO_PFN, frames
from study.zone.engine.lists import list_add, list_del
from study.zone.settings import NR_ORDERS, Placement


@kernel(inline=True)
def add_free_block(z, pfn, order):
    """Put a block on its free list as it is, without looking at its buddy."""
    frames(z)[pfn].home = Home.BUDDY
    frames(z)[pfn].order = order
    list_add(z, z.zone.head + order, pfn)
    z.zone.nr_free[order] += 1


@kernel(inline=True)
def remove_free_block(z, pfn, order):
    """Take a block off its free list; it is nobody's until the caller says whose."""
    list_del(z, pfn)
    frames(z)[pfn].home = Home.NONE
    z.zone.nr_free[order] -= 1


@kernel
def _lowest(z, head):
    """The block of a list with the lowest address; not what Linux does, but a bound to it."""
    frame = frames(z)
    lowest = frame[head].next
    pfn = frame[lowest].next
    while pfn != head:
        lowest = min(lowest, pfn)
        pfn = frame[pfn].next
    return lowest


@kernel(inline=True)
def take_block(z, order):
    """Take a free block of an order, splitting a larger one if need be; NO_PFN if there is none.

    The upper half of a split goes to the head of its list and the lower is kept, so that order-0
    requests walk up through a block (__rmqueue and expand, 2.6.8).
    """
    for found in range(order, NR_ORDERS):
        head = z.zone.head + found
        pfn = frames(z)[head].next
        if pfn == head:
            continue
        if z.placement == Placement.BEST_FIT:
            pfn = _lowest(z, head)
        remove_free_block(z, pfn, found)
        while found > order:
            z.zone.count.split[found] += 1
            found -= 1
            add_free_block(z, pfn + (1 << found), found)
        frames(z)[pfn].order = order
        z.zone.free -= 1 << order
        return pfn
    return NO_PFN


@kernel(inline=True)
def free_block(z, pfn, order):
    """Return a block to the free lists, merging it with its buddy while that is free too.

    __free_pages_bulk, 2.6.8: only a buddy of exactly the same order merges; the result goes to
    the head of its list.
    """
    frame = frames(z)
    z.zone.free += 1 << order
    while order < NR_ORDERS - 1:
        buddy = pfn ^ (1 << order)
        if frame[buddy].home != Home.BUDDY or frame[buddy].order != order:
            break
        remove_free_block(z, buddy, order)
        # The block may now be the upper half: it is no longer a head of anything.
        frame[pfn].home = Home.NONE
        pfn &= ~(1 << order)
        order += 1
        z.zone.count.formed[order] += 1
    add_free_block(z, pfn, order)
