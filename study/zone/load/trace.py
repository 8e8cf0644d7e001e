"""A recorded load: the requests of a real machine at their times, each given back at its own.

What a program asked for is asked for again, whatever became of it then and whatever becomes of it
now (an open load). A page of programs or files goes on the LRU lists and may be thrown out by
reclaim, for which the trace's own reclaim counts for nothing: a page that it took then is merely no
longer wanted from that moment on, and stays until it is taken here. Any other block is the
kernel's, and is given back when it was. Simplifications: nothing is known of touches, so a page
is as old as its request; a page that is asked for and taken by a child after fork has one owner; a
large folio, or a huge page, is asked for in one block and then lies on the LRU lists page by page,
as if it were split at once.
"""

from __future__ import annotations

import numpy as np

from study.zone.demand import Use
from study.zone.engine.agenda import book
from study.zone.engine.compile import kernel
from study.zone.engine.dice import below
from study.zone.engine.enums import Caller, Event, Gfp, Kind, Stream
from study.zone.engine.layout import (
    LIVE,
    NEVER,
    NO_PFN,
    SWAPPED,
    WAITING,
    demands,
    frames,
    vpages,
)
from study.zone.mm.interface import (
    GAVE_UP,
    allocate,
    allocate_or_wait,
    count_failure,
    free_object,
    free_page,
    free_user_page,
    install,
    new_object,
)
from study.zone.settings import Resample

_FILE, _ANON = int(Use.FILE), int(Use.ANON)
_WRITTEN, _RECLAIMED = int(Use.WRITTEN), int(Use.RECLAIMED)
_USER = _FILE | _ANON
_LOOKS = 64
"""Virtual pages that a request may look at, on average, for a free one."""


@kernel
def _first_after(z, moment):
    """Row of the first request at a moment of the recording or later; 0 past its end."""
    first, last = 0, z.demand_rows
    while first < last:
        middle = (first + last) // 2
        if demands(z)[middle].at < moment:
            first = middle + 1
        else:
            last = middle
    return first if first < z.demand_rows else 0


@kernel
def _book_next(z):
    """Book the next request, or the next piece if that begins before it."""
    due = z.trace_shift + demands(z)[z.trace_row].at
    if due < z.trace_block_ends:
        book(z, max(due, z.now), Event.TRACE_REQUEST, 0)
    else:
        book(z, z.trace_block_ends, Event.TRACE_BLOCK, 0)


@kernel
def begin_block(z):
    """A piece of the recording begins now, from a random moment of it on."""
    moment = np.int64(0)
    if z.trace_replicates != Resample.NONE:
        # To the millisecond: `below` is for numbers of 32 bits.
        moment = below(z, Stream.TRACE, z.trace_length // 1_000_000 + 1) * 1_000_000
    z.trace_row = _first_after(z, moment)
    z.trace_shift = z.now - moment
    if demands(z)[z.trace_row].at < moment:
        z.trace_shift += z.trace_length
    z.trace_block_ends = NEVER
    if z.trace_replicates == Resample.BLOCKS:
        z.trace_block_ends = z.now + z.trace_block_ns
    _book_next(z)


@kernel
def start_trace(z):
    """Begin with the first piece, if there is a recorded load."""
    if z.demand_rows == 0:
        return
    for page in range(z.trace_first_page, z.trace_first_page + z.trace_pages):
        vpages(z)[page].pfn = NO_PFN
    z.trace_looks = z.trace_pages
    begin_block(z)


@kernel
def _free_vpage(z):
    """A virtual page that no recorded page has; NO_PFN if none is found.

    Where all are taken, request after request would go over all of them in vain. Each may look at
    so many more, and at what those before it left of theirs: where pages are free they are found.
    """
    z.trace_looks = min(z.trace_looks + _LOOKS, z.trace_pages)
    while z.trace_looks > 0:
        z.trace_looks -= 1
        page = z.trace_first_page + z.trace_page
        z.trace_page = (z.trace_page + 1) % z.trace_pages
        if vpages(z)[page].pfn == NO_PFN and not vpages(z)[page].state & (LIVE | WAITING):
            return page
    return NO_PFN


@kernel
def _ask(z, order, gfp, memo):
    """Ask as the flags say; a pfn, NO_PFN if it now sleeps, GAVE_UP if it is refused."""
    if gfp & Gfp.WAIT:
        return allocate_or_wait(z, order, gfp, Caller.TRACE, memo, -1)
    pfn = allocate(z, order, gfp, Caller.TRACE)
    if pfn == NO_PFN:
        count_failure(z, order, Caller.TRACE)
        return GAVE_UP
    return pfn


@kernel
def _settle_page(z, page, written, pfn):
    """What becomes of a page that is asked for, now that there is an answer."""
    vpage = vpages(z)
    if not vpage[page].state & WAITING:
        # Given back, or wanted no longer, while its asker slept.
        if pfn >= 0:
            free_page(z, pfn, False)
        return
    vpage[page].state &= ~WAITING
    if pfn >= 0:
        install(z, pfn, page, written)


@kernel
def _live_page(z, row):
    """A virtual page for a recorded one, with its end booked; NO_PFN if there is none."""
    page = _free_vpage(z)
    if page == NO_PFN:
        z.count.trace_left_out += 1
        return NO_PFN
    demand, vpage = demands(z)[row], vpages(z)
    vpage[page].kind = Kind.ANON if demand.use & _ANON else Kind.FILE
    vpage[page].mapped = 1 if demand.use & _ANON else 0
    vpage[page].state = (vpage[page].state & ~SWAPPED) | LIVE
    taken = 1 if demand.use & _RECLAIMED else 0
    number = page - z.trace_first_page
    book(z, z.now + 1 + demand.hold, Event.TRACE_END, -2 - (number * 2 + taken))
    return page


@kernel
def _is_written(z, row):
    return 1 if demands(z)[row].use & _WRITTEN else 0


@kernel
def _ask_for_page(z, row):
    """A single page of a program or a file."""
    page = _live_page(z, row)
    if page == NO_PFN:
        return
    vpages(z)[page].state |= WAITING
    written = _is_written(z, row)
    memo = (page - z.trace_first_page) * 4 + written * 2 + 1
    pfn = _ask(z, 0, demands(z)[row].gfp, memo)
    if pfn != NO_PFN:
        _settle_page(z, page, written, pfn)


@kernel
def _settle_pages(z, row, pfn):
    """A block of a program or a file, page by page."""
    for one in range(pfn, pfn + (1 << demands(z)[row].order)):
        frames(z)[one].order = 0
        page = _live_page(z, row)
        if page == NO_PFN:
            free_page(z, one, False)
        else:
            install(z, one, page, _is_written(z, row))


@kernel
def _settle_block(z, row, pfn):
    """A block is a program's or a file's, or the kernel's for as long as it was then."""
    if demands(z)[row].use & _USER:
        _settle_pages(z, row, pfn)
        return
    new_object(z, pfn, demands(z)[row].order, Kind.RECORDED)
    book(z, z.now + 1 + demands(z)[row].hold, Event.TRACE_END, pfn)


@kernel
def recorded_request(z):
    """The next request of the recording is made."""
    row = z.trace_row
    z.trace_row = row + 1
    if z.trace_row == z.demand_rows:
        z.trace_row = 0
        z.trace_shift += z.trace_length
    _book_next(z)
    demand = demands(z)[row]
    if demand.use & _USER and demand.order == 0:
        _ask_for_page(z, row)
        return
    pfn = _ask(z, demand.order, demand.gfp, row * 2)
    if pfn >= 0:
        _settle_block(z, row, pfn)


@kernel
def answer_recorded(z, memo, pfn):
    """Hand a frame to the one who slept for it; GAVE_UP if there is none."""
    if memo & 1:
        _settle_page(z, z.trace_first_page + memo // 4, memo // 2 & 1, pfn)
    elif pfn >= 0:
        _settle_block(z, memo // 2, pfn)


@kernel
def recorded_ends(z, value):
    """A block is given back, or a page is no longer wanted."""
    if value >= 0:
        free_object(z, value, frames(z)[value].order)
        return
    number = -2 - value
    page = z.trace_first_page + number // 2
    vpages(z)[page].state &= ~(LIVE | WAITING)
    if not number & 1:
        free_user_page(z, page)
