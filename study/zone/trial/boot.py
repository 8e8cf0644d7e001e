"""Bringing a zone up: as free_all_bootmem leaves it, or from a /proc/buddyinfo line."""

from __future__ import annotations

import numpy as np

from study.zone.engine.agenda import book
from study.zone.engine.call import call_at
from study.zone.engine.compile import kernel
from study.zone.engine.dice import below, exponential, uniform
from study.zone.engine.layout import (
    MAX_ORDER_PAGES,
    NO_PFN,
    NO_ROW,
    SOURCE_BEGINS,
    Event,
    Home,
    Kind,
    Migratetype,
    Stream,
    extents,
    frames,
    processes,
    requests,
    vpages,
)
from study.zone.engine.wheel import empty_wheel
from study.zone.load.nic import WATCHDOG_NS, refill_ring
from study.zone.load.user import install
from study.zone.mm.linux_2_6.grouping import (
    add_typed_block,
    first_fit,
    pageblock_type,
    prepare_lists,
    return_block,
    rmqueue,
)
from study.zone.mm.linux_2_6.kcompactd import POLL_NS
from study.zone.mm.linux_2_6.kmalloc import REAP_NS, adopt
from study.zone.mm.linux_2_6.percpu import free_page, shelve_ahead, take_typed_page
from study.zone.mm.linux_2_6.reserve import set_boot_reserve
from study.zone.mm.linux_2_6.slab import new_slab
from study.zone.mm.linux_2_6.writeback import WRITEBACK_NS
from study.zone.settings import NR_ORDERS, Reserve

_UNMOVABLE = int(Migratetype.UNMOVABLE)
_MOVABLE = int(Migratetype.MOVABLE)
_RECLAIMABLE = int(Migratetype.RECLAIMABLE)
_TOP = NR_ORDERS - 1
_START = int(Stream.START)
_DRIFT = int(Stream.DRIFT)
_DELETE = int(Stream.DELETE)
_SLAB = int(Stream.SLAB)
_FORK = int(Stream.FORK)
_RX = int(Stream.RX)
_TX = int(Stream.TX)
_RX_FRAME = int(Event.RX_FRAME)
_RX_WATCHDOG = int(Event.RX_WATCHDOG)
_TX_FRAME = int(Event.TX_FRAME)
_FORK_EVENT = int(Event.FORK)
_SLAB_ARRIVAL = int(Event.SLAB_ARRIVAL)
_DRIFT_EVENT = int(Event.DRIFT)
_DELETE_EVENT = int(Event.DELETE)
_PDFLUSH = int(Event.PDFLUSH)
_REAP = int(Event.REAP)
_HUGE = int(Stream.HUGE)
_HUGE_ARRIVAL = int(Event.HUGE_ARRIVAL)
_PROACTIVE = int(Event.PROACTIVE)


@kernel
def _chain_rows(z):
    # Slab pages are as many as pages: their rows are taken one after the other, then chained.
    z.slot_free = NO_ROW
    for row in range(z.process_rows):
        processes(z)[row].next_free = row + 1 if row + 1 < z.process_rows else NO_ROW
    z.process_free = 0 if z.process_rows > 0 else NO_ROW
    for row in range(z.request_rows):
        requests(z)[row].next_free = row + 1 if row + 1 < z.request_rows else NO_ROW
    z.request_free = 0 if z.request_rows > 0 else NO_ROW


@kernel
def prepare(z, anonymous_share: float, mapped_share: float):
    """Empty lists, free rows chained, virtual pages given their kind and popularity.

    Those of processes get theirs when the first process comes that has them (processes.fork).
    """
    frame = frames(z)
    for pfn in range(z.pages, z.head):
        frame[pfn].home = Home.RESERVED
    prepare_lists(z)
    empty_wheel(z)
    _chain_rows(z)
    vpage = vpages(z)
    for extent in range(z.extents):
        u = uniform(z, _START)
        kind = Kind.ANON if u <= anonymous_share else Kind.FILE
        mapped = kind == Kind.ANON or uniform(z, _START) <= mapped_share
        for page in range(extent * z.extent_pages, (extent + 1) * z.extent_pages):
            vpage[page].pfn = NO_PFN
            vpage[page].kind = kind
            vpage[page].mapped = mapped
        extents(z)[extent].extent = extent
    # Popularity is no matter of address: Fisher and Yates's shuffle.
    for i in range(z.extents - 1, 0, -1):
        j = below(z, _START, i + 1)
        before = extents(z)[i].extent
        extents(z)[i].extent = extents(z)[j].extent
        extents(z)[j].extent = before


@kernel
def _free_top_block(z, pfn):
    """What is there when the pages of an aligned 4 MB have been freed in ascending order."""
    add_typed_block(z, pfn, _TOP, pageblock_type(z, pfn), False)
    z.free += MAX_ORDER_PAGES
    for order in range(1, NR_ORDERS):
        z.count.formed[order] += MAX_ORDER_PAGES >> order


@kernel
def _left_on_hot_list(z, nr_pages):
    """Pages on the hot list after so many have been freed: a full one sends off its oldest batch.

    The list then goes from 5 batches and a page to 6 batches, again and again (percpu.free_page).
    """
    full = 6 * z.pcp_batch
    if z.percpu == 0:
        return 0
    if nr_pages <= full:
        return nr_pages
    return full - z.pcp_batch + 1 + (nr_pages - full - 1) % z.pcp_batch


@kernel
def free_all(z, reserved):
    """Free every page above the reserved ones in ascending order (mm/bootmem.c, 2.6.8).

    Blocks form as they fill and each goes to the head, so the first requests are served from the
    top of the zone. What a 4 MB block comes to is known, so it is not put together page by page;
    tests/zone/reference_boot.py does that, and leaves the same zone.
    """
    for pfn in range(reserved):
        frames(z)[pfn].home = Home.RESERVED
    # The per-cpu list hands pages on in the order in which they came, and keeps the last ones.
    stop = z.pages - _left_on_hot_list(z, z.pages - reserved)
    pfn = reserved
    while pfn < stop:
        if pfn & (MAX_ORDER_PAGES - 1) == 0 and pfn + MAX_ORDER_PAGES <= stop:
            _free_top_block(z, pfn)
            pfn += MAX_ORDER_PAGES
        else:
            return_block(z, pfn, 0, pageblock_type(z, pfn))
            pfn += 1
    for last in range(stop, z.pages):
        free_page(z, last, False)
    if z.reserve == Reserve.MIGRATE_RESERVE:
        set_boot_reserve(z)


@kernel
def boot_slabs(z, nr_pages):
    """Slab pages of start-up: they stay, unless shrink_slab empties them."""
    for _ in range(nr_pages):
        reclaimable = uniform(z, _START) <= z.reclaimable_share
        pfn = take_typed_page(z, False, _RECLAIMABLE if reclaimable else _UNMOVABLE)
        if pfn == NO_PFN:
            return
        if new_slab(z, pfn, reclaimable) == NO_ROW:
            free_page(z, pfn, False)
            return


@kernel
def _fill_used(z, reserved, kernel_pages):
    frame = frames(z)
    page = 0
    unused = z.pages - reserved - z.free
    for pfn in range(reserved, z.pages):
        if frame[pfn].home == Home.BUDDY:
            continue
        if frame[pfn].home == Home.ISOLATED:
            frame[pfn].home = Home.NONE
            continue
        unmovable = below(z, _START, unused) < kernel_pages
        if unmovable or page >= z.extents * z.extent_pages:
            if new_slab(z, pfn, uniform(z, _START) <= z.reclaimable_share) == NO_ROW:
                adopt(z, pfn, Kind.SLAB)
                z.nr_kernel += 1
        else:
            frame[pfn].order = 0
            # Neighbours in the zone are neighbours in popularity only by chance.
            extent = extents(z)[page // z.extent_pages].extent
            install(z, pfn, extent * z.extent_pages + page % z.extent_pages, False)
            page += 1


@kernel
def _free_place(z, reserved, order):
    """A random aligned place with nothing free in it or, below the top order, in its buddy."""
    size = 1 << order
    span = size if order == NR_ORDERS - 1 else 2 * size
    for _ in range(100_000):
        pfn = below(z, _START, z.pages >> order) << order
        first = pfn & ~(span - 1)
        fits = pfn >= reserved and pfn + size <= z.pages
        for other in range(first, min(first + span, z.pages)):
            if frames(z)[other].home != Home.NONE and frames(z)[other].home != Home.RESERVED:
                fits = False
        if fits:
            return pfn
    return NO_PFN


@kernel
def start_from_buddyinfo(z, reserved, blocks: np.ndarray, kernel_pages):
    """Free exactly blocks[order] blocks of each order, at random places; fill all else.

    A slot of 2 ** order pages is drawn again until it and its buddy hold nothing free, so that no
    two blocks merge. What is not free is user memory with kernel pages strewn in. Returns False
    if the blocks do not fit.
    """
    frame = frames(z)
    for pfn in range(reserved):
        frame[pfn].home = Home.RESERVED
    for i in range(NR_ORDERS):
        order = NR_ORDERS - 1 - i
        for _ in range(blocks[order]):
            pfn = _free_place(z, reserved, order)
            if pfn == NO_PFN:
                return False
            add_typed_block(z, pfn, order, pageblock_type(z, pfn), False)
            z.free += 1 << order
            for tail in range(pfn + 1, pfn + (1 << order)):
                # Told apart from used frames until the rest is filled.
                frame[tail].home = Home.ISOLATED
    _fill_used(z, reserved, kernel_pages)
    return True


@kernel(inline=True)
def _bring_in(z, pfn, i, extents_in):
    """Install the i-th of the pages that memory is filled with; returns i + 1."""
    rank = extents_in - 1 - i // z.extent_pages
    install(z, pfn, extents(z)[rank].extent * z.extent_pages + i % z.extent_pages, False)
    return i + 1


@kernel
def fill_memory(z):
    """Bring in the most popular extents, the least of them first, until free pages near high.

    As page cache that is read, through the cold list. That list only hands pages on, a batch
    ahead, so whole blocks can be filled past it; tests/zone/reference_boot.py goes page by page.
    """
    extents_in = min((z.free - z.high) // z.extent_pages, z.extents)
    migratetype = _MOVABLE if z.grouping else 0
    nr_pages = extents_in * z.extent_pages
    i = 0
    while i < nr_pages:
        _, smallest = first_fit(z, 0, migratetype)
        if smallest == _TOP and i + MAX_ORDER_PAGES <= nr_pages:
            # No smaller block is left: the next 1024 requests would walk up through this one.
            first = rmqueue(z, _TOP, _MOVABLE)
            for order in range(1, NR_ORDERS):
                z.count.split[order] += MAX_ORDER_PAGES >> order
            for pfn in range(first, first + MAX_ORDER_PAGES):
                frames(z)[pfn].order = 0
                i = _bring_in(z, pfn, i, extents_in)
        else:
            pfn = rmqueue(z, 0, _MOVABLE)
            if pfn == NO_PFN:
                return
            i = _bring_in(z, pfn, i, extents_in)
    if z.percpu and nr_pages % z.pcp_batch:
        shelve_ahead(z, z.pcp_batch - nr_pages % z.pcp_batch)


@kernel
def _book_first(z, gap, stream, what):
    """Book a source's first arrival; a source without a rate never comes."""
    if gap > 0:
        book(z, exponential(z, stream, gap), what, 0)


@kernel
def start_workload(z):
    """Post the receive ring and book the first event of every source."""
    if z.rx_gap > 0 and z.ring > 0:
        refill_ring(z)
        _book_first(z, z.rx_gap, _RX, _RX_FRAME)
        book(z, WATCHDOG_NS, _RX_WATCHDOG, 0)
    _book_first(z, z.tx_gap, _TX, _TX_FRAME)
    _book_first(z, z.fork_gap, _FORK, _FORK_EVENT)
    _book_first(z, z.slab_gap, _SLAB, _SLAB_ARRIVAL)
    _book_first(z, z.drift_gap, _DRIFT, _DRIFT_EVENT)
    _book_first(z, z.delete_gap, _DELETE, _DELETE_EVENT)
    _book_first(z, z.huge_gap, _HUGE, _HUGE_ARRIVAL)
    if z.proactiveness > 0:
        book(z, POLL_NS, _PROACTIVE, 0)
    if z.source_at:
        call_at(z.source_at, z, SOURCE_BEGINS)
    book(z, WRITEBACK_NS, _PDFLUSH, 0)
    book(z, REAP_NS, _REAP, 0)
