"""Bringing a zone up: as free_all_bootmem leaves it, or from a /proc/buddyinfo line."""

from __future__ import annotations

import numpy as np

from study.zone.engine.agenda import book
from study.zone.engine.call import call_at
from study.zone.engine.compile import kernel
from study.zone.engine.dice import below, exponential, uniform
from study.zone.engine.enums import Caller, Event, Gfp, Home, Kind, Migratetype, Paced, Stream
from study.zone.engine.layout import (
    NO_PFN,
    NO_ROW,
    SOURCE_BEGINS,
    extents,
    frames,
    processes,
    vpages,
)
from study.zone.engine.wheel import empty_wheel
from study.zone.load.named import start_requests
from study.zone.load.nic import WATCHDOG_NS, refill_ring
from study.zone.load.pace import next_burst, start_touches
from study.zone.load.trace import start_trace
from study.zone.mm.interface import (
    allocate,
    free_page,
    install,
    new_object,
    new_slab,
    pageblock_type,
    prepare_memory,
    put_free_block,
    put_typed_block,
    set_pageblock_type,
    start_pdflush,
    start_proactive,
    start_reap,
    take_typed_page,
)
from study.zone.settings import NR_ORDERS

_UNMOVABLE = int(Migratetype.UNMOVABLE)
_RECLAIMABLE = int(Migratetype.RECLAIMABLE)
_MOVABLE = int(Migratetype.MOVABLE)
_HIGHATOMIC = int(Migratetype.HIGHATOMIC)
_PAIRS = 8
"""One more than the slabs of two pages at most: a batch of 16 pages may begin anywhere even."""
_DRAWS = 100_000
"""Places that are tried for a block."""


@kernel
def _chain_processes(z):
    for row in range(z.process_rows):
        processes(z)[row].next_free = row + 1 if row + 1 < z.process_rows else NO_ROW
    z.process_free = 0 if z.process_rows > 0 else NO_ROW


@kernel
def prepare(z, anonymous_share: float, mapped_share: float):
    """Empty lists, free rows chained, virtual pages given their kind and popularity.

    Those of processes get theirs when the first process comes that has them (processes.fork).
    """
    prepare_memory(z)
    empty_wheel(z)
    _chain_processes(z)
    vpage = vpages(z)
    for extent in range(z.extents):
        u = uniform(z, Stream.START)
        kind = Kind.ANON if u <= anonymous_share else Kind.FILE
        mapped = kind == Kind.ANON or uniform(z, Stream.START) <= mapped_share
        for page in range(extent * z.extent_pages, (extent + 1) * z.extent_pages):
            vpage[page].pfn = NO_PFN
            vpage[page].kind = kind
            vpage[page].mapped = mapped
        extents(z)[extent].extent = extent
    # Popularity is no matter of address: Fisher and Yates's shuffle.
    for i in range(z.extents - 1, 0, -1):
        j = below(z, Stream.START, i + 1)
        before = extents(z)[i].extent
        extents(z)[i].extent = extents(z)[j].extent
        extents(z)[j].extent = before


@kernel
def _boot_pair(z):
    """A slab of two pages."""
    reclaimable = uniform(z, Stream.START) <= z.slab_reclaimable_share
    gfp = Gfp.KERNEL | Gfp.RECLAIMABLE if reclaimable else Gfp.KERNEL
    pfn = allocate(z, 1, gfp, Caller.SLAB)
    if pfn == NO_PFN:
        return
    for page in range(pfn, pfn + 2):
        frames(z)[page].order = 0
        new_slab(z, page, reclaimable)


@kernel
def boot_slabs(z, nr_pages):
    """Slab pages of start-up: they stay, unless shrink_slab empties them.

    The first of them are slabs of two pages (task_struct, for one). How many is chance: they leave
    the batches of the per-cpu lists, for good, out of step with the aligned blocks.
    """
    pairs = min(below(z, Stream.START, _PAIRS), nr_pages // 2)
    for _ in range(pairs):
        _boot_pair(z)
    for _ in range(nr_pages - 2 * pairs):
        reclaimable = uniform(z, Stream.START) <= z.slab_reclaimable_share
        pfn = take_typed_page(z, False, _RECLAIMABLE if reclaimable else _UNMOVABLE)
        if pfn == NO_PFN:
            return
        if new_slab(z, pfn, reclaimable) == NO_ROW:
            free_page(z, pfn, False)
            return


@kernel
def _use(z, pfn, unmovable, page):
    """Put a frame to use, by the kernel or for the next page of programs; the page after it."""
    if unmovable or page >= z.extents * z.extent_pages:
        if new_slab(z, pfn, uniform(z, Stream.START) <= z.slab_reclaimable_share) == NO_ROW:
            new_object(z, pfn, 0, Kind.SLAB)
        return page
    frames(z)[pfn].order = 0
    # Neighbours in the zone are neighbours in popularity only by chance.
    extent = extents(z)[page // z.extent_pages].extent
    install(z, pfn, extent * z.extent_pages + page % z.extent_pages, False)
    return page + 1


@kernel
def _fill_used(z, reserved, kernel_pages):
    frame = frames(z)
    page = 0
    unused = z.zone.pages - reserved - z.zone.free
    for pfn in range(reserved, z.zone.pages):
        if frame[pfn].home == Home.BUDDY:
            continue
        if frame[pfn].home == Home.ISOLATED:
            frame[pfn].home = Home.NONE
            continue
        unmovable = below(z, Stream.START, unused) < kernel_pages
        page = _use(z, pfn, unmovable, page)


@kernel
def _fill_by_type(z, reserved, kernel_pages):
    """As _fill_used, but kernel pages go where pageblocks are not movable, as far as they do."""
    frame = frames(z)
    page = 0
    inside = 0
    outside = 0
    for pfn in range(reserved, z.zone.pages):
        if frame[pfn].home == Home.NONE:
            if pageblock_type(z, pfn) == _MOVABLE:
                outside += 1
            else:
                inside += 1
    for pfn in range(reserved, z.zone.pages):
        if frame[pfn].home == Home.BUDDY:
            continue
        if frame[pfn].home == Home.ISOLATED:
            frame[pfn].home = Home.NONE
            continue
        if pageblock_type(z, pfn) == _MOVABLE:
            unmovable = below(z, Stream.START, max(outside, 1)) < kernel_pages - inside
        else:
            unmovable = below(z, Stream.START, max(inside, 1)) < kernel_pages
        page = _use(z, pfn, unmovable, page)


@kernel
def _is_clear(z, reserved, pfn, order):
    """Is nothing free in an aligned place or, below the top order, in its buddy?"""
    size = 1 << order
    span = size if order == NR_ORDERS - 1 else 2 * size
    first = pfn & ~(span - 1)
    if pfn < reserved or pfn + size > z.zone.pages:
        return False
    for other in range(first, min(first + span, z.zone.pages)):
        if frames(z)[other].home != Home.NONE and frames(z)[other].home != Home.RESERVED:
            return False
    return True


@kernel
def _free_place(z, reserved, order):
    """A random aligned place with nothing free in it or, below the top order, in its buddy."""
    for _ in range(_DRAWS):
        pfn = below(z, Stream.START, z.zone.pages >> order) << order
        if _is_clear(z, reserved, pfn, order):
            return pfn
    return NO_PFN


@kernel
def _free_typed_place(z, reserved, order, migratetype):
    """As _free_place in a pageblock of a type; where those are full, another becomes one."""
    for draw in range(_DRAWS):
        pfn = below(z, Stream.START, z.zone.pages >> order) << order
        fits = pageblock_type(z, pfn) == migratetype
        if not fits and draw < _DRAWS // 2 and order < z.pageblock_order:
            continue
        if _is_clear(z, reserved, pfn, order):
            if not fits or order > z.pageblock_order:
                set_pageblock_type(z, pfn, order, migratetype)
            return pfn
    return NO_PFN


@kernel
def _isolate_rest(z, pfn, order):
    """Tell what is in a free block apart from used frames, until the rest is filled."""
    for tail in range(pfn + 1, pfn + (1 << order)):
        frames(z)[tail].home = Home.ISOLATED


@kernel
def _give_types(z, reserved, pageblocks: np.ndarray):
    """Give random pageblocks their types; all others are movable already."""
    rows = z.zone.pages >> z.pageblock_order
    for migratetype in range(_HIGHATOMIC + 1):
        if migratetype == _MOVABLE:
            continue
        left = pageblocks[migratetype]
        for _ in range(_DRAWS):
            if left == 0 or rows == 0:
                break
            pfn = below(z, Stream.START, rows) << z.pageblock_order
            if pfn >= reserved and pageblock_type(z, pfn) == _MOVABLE:
                set_pageblock_type(z, pfn, 0, migratetype)
                left -= 1


@kernel
def start_from_lists(z, reserved, blocks: np.ndarray, pageblocks: np.ndarray, kernel_pages):
    """start_from_buddyinfo with mobility grouping: free blocks on the lists of their types.

    blocks      of each order by type: unmovable, movable, reclaimable, HIGHATOMIC, 11 each
    pageblocks  of each of these types; the rest are movable

    What is not free is user memory in movable pageblocks, and the kernel's in others as far as it
    goes. Returns False if the blocks do not fit.
    """
    for pfn in range(reserved):
        frames(z)[pfn].home = Home.RESERVED
    _give_types(z, reserved, pageblocks)
    for i in range(NR_ORDERS):
        order = NR_ORDERS - 1 - i
        for migratetype in range(_HIGHATOMIC + 1):
            for _ in range(blocks[migratetype * NR_ORDERS + order]):
                pfn = _free_typed_place(z, reserved, order, migratetype)
                if pfn == NO_PFN:
                    return False
                put_typed_block(z, pfn, order, migratetype)
                _isolate_rest(z, pfn, order)
    _fill_by_type(z, reserved, kernel_pages)
    return True


@kernel
def start_from_buddyinfo(z, reserved, blocks: np.ndarray, kernel_pages):
    """Free exactly blocks[order] blocks of each order, at random places; fill all else.

    A slot of 2 ** order pages is drawn again until it and its buddy hold nothing free, so that no
    two blocks merge. What is not free is user memory with kernel pages strewn in. Returns False
    if the blocks do not fit.
    """
    for pfn in range(reserved):
        frames(z)[pfn].home = Home.RESERVED
    for i in range(NR_ORDERS):
        order = NR_ORDERS - 1 - i
        for _ in range(blocks[order]):
            pfn = _free_place(z, reserved, order)
            if pfn == NO_PFN:
                return False
            put_free_block(z, pfn, order)
            _isolate_rest(z, pfn, order)
    _fill_used(z, reserved, kernel_pages)
    return True


@kernel
def post_ring(z):
    """Post the receive ring, as the card comes up while nearly all of memory is free."""
    if z.rx_gap_ns > 0 and z.ring > 0:
        refill_ring(z)


@kernel
def _book_first(z, gap, stream, what):
    """Book a source's first arrival; a source without a rate never comes."""
    if gap > 0:
        book(z, exponential(z, stream, gap), what, 0)


@kernel
def start_workload(z):
    """Book the first event of every source; a ring that is not full is filled first."""
    start_touches(z)
    if z.rx_gap_ns > 0 and z.ring > 0:
        refill_ring(z)
        book(z, next_burst(z, Paced.RX, Stream.RX, 0, z.rx_gap_ns), Event.RX_FRAME, 0)
        book(z, WATCHDOG_NS, Event.RX_WATCHDOG, 0)
    if z.tx_gap_ns > 0:
        book(z, next_burst(z, Paced.TX, Stream.TX, 0, z.tx_gap_ns), Event.TX_FRAME, 0)
    _book_first(z, z.fork_gap_ns, Stream.FORK, Event.FORK)
    _book_first(z, z.slab_gap_ns, Stream.SLAB, Event.SLAB_ARRIVAL)
    _book_first(z, z.drift_gap_ns, Stream.DRIFT, Event.DRIFT)
    _book_first(z, z.delete_gap_ns, Stream.DELETE, Event.DELETE)
    _book_first(z, z.huge_gap_ns, Stream.HUGE, Event.HUGE_ARRIVAL)
    if z.compact_proactiveness > 0:
        start_proactive(z)
    if z.source_at:
        call_at(z.source_at, z, SOURCE_BEGINS)
    start_requests(z)
    start_trace(z)
    start_pdflush(z)
    start_reap(z)
