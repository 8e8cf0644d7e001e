"""Requests by name: a driver, a file system or a program that asks for one kind of block.

Each is a Poisson stream with random numbers of its own, of single requests or of bursts, and keeps
what it gets for an exponential or a lognormal time. What a refused one is content with is as in the
kernel: nothing, one single page (skb_page_frag_refill), or as many single pages as the block has
(kvmalloc, 4.12). Simplification: nobody waits for single pages.
"""

from __future__ import annotations

from study.zone.engine.agenda import book
from study.zone.engine.compile import kernel
from study.zone.engine.dice import exponential, geometric, lognormal
from study.zone.engine.enums import Caller, Event, Gfp, Kind
from study.zone.engine.layout import NO_PFN, NR_STREAMS, frames
from study.zone.mm.interface import (
    GAVE_UP,
    allocate,
    allocate_or_wait,
    count_failure,
    free_object,
    new_object,
)
from study.zone.settings import REQUESTS_MAX, Otherwise

_LONGEST_MS = (1 << 31) // REQUESTS_MAX - 1


@kernel
def _keep(z, pfn, hold_ns):
    book(z, z.now + 1 + hold_ns, Event.REQUEST_END, pfn)


@kernel
def _settle(z, pfn, which, hold_ns):
    new_object(z, pfn, z.named_order[which], Kind.REQUEST)
    frames(z)[pfn].owner = NO_PFN
    z.count.got_named[which] += 1
    _keep(z, pfn, hold_ns)


@kernel
def request_ends(z, pfn):
    """The block, or the single pages in its place, are given back."""
    while pfn != NO_PFN:
        after = frames(z)[pfn].owner
        free_object(z, pfn, frames(z)[pfn].order)
        pfn = after


@kernel
def _fall_back(z, which, hold_ns):
    """Be content with single pages, if that was said; all of them or none."""
    otherwise = z.named_otherwise[which]
    if otherwise == Otherwise.REFUSE or z.named_order[which] == 0:
        return
    nr_pages = 1 << z.named_order[which] if otherwise == Otherwise.VMALLOC else 1
    chain = NO_PFN
    for _ in range(nr_pages):
        pfn = allocate(z, 0, z.named_gfp[which], Caller.REQUEST)
        if pfn == NO_PFN:
            count_failure(z, 0, Caller.REQUEST)
            request_ends(z, chain)
            return
        new_object(z, pfn, 0, Kind.REQUEST)
        frames(z)[pfn].owner = chain
        chain = pfn
    z.count.fell_back_named[which] += 1
    _keep(z, chain, hold_ns)


@kernel
def _hold_ns(z, which):
    """How long the next block is kept: an exponential time to the millisecond, or a lognormal."""
    stream = NR_STREAMS + which
    if z.named_sigma[which] > 0.0:
        held = lognormal(z, stream, z.named_hold_ns[which], z.named_sigma[which])
        return min(held, _LONGEST_MS * 1_000_000)
    held_ms = exponential(z, stream, z.named_hold_ns[which]) // 1_000_000
    return min(held_ms, _LONGEST_MS) * 1_000_000


@kernel
def _ask(z, which, hold_ns):
    """One of the requests of a name is made."""
    z.count.asked_named[which] += 1
    order, gfp = z.named_order[which], z.named_gfp[which]
    waits = 0
    if gfp & Gfp.WAIT:
        before = z.count.stalls[Caller.REQUEST]
        # A request that sleeps can remember one number: the time is rounded to milliseconds.
        memo = hold_ns // 1_000_000 * REQUESTS_MAX + which
        pfn = allocate_or_wait(z, order, gfp, Caller.REQUEST, memo, -1)
        waits = z.count.stalls[Caller.REQUEST] - before
        z.count.waited_named[which] += waits
    else:
        pfn = allocate(z, order, gfp, Caller.REQUEST)
        if pfn == NO_PFN:
            count_failure(z, order, Caller.REQUEST)
            pfn = GAVE_UP
    if pfn >= 0:
        _settle(z, pfn, which, hold_ns)
        if waits == 0:
            z.count.at_once_named[which] += 1
            if z.count.asked_named[which] == 1:
                z.count.first_named[which] = 1
    elif pfn == GAVE_UP:
        _fall_back(z, which, hold_ns)


@kernel
def request_arrives(z, which):
    """Requests of a name come; for how long is drawn whether or not they are served."""
    stream = NR_STREAMS + which
    hold_ns = _hold_ns(z, which)
    if z.named_gap_ns[which] > 0:
        gap = exponential(z, stream, z.named_gap_ns[which])
        book(z, z.now + 1 + gap, Event.REQUEST_ARRIVAL, which)
    left = 1
    if z.named_burst_log[which] < 0.0:
        left = geometric(z, stream, z.named_burst_log[which])
    _ask(z, which, hold_ns)
    for _ in range(left - 1):
        _ask(z, which, _hold_ns(z, which))


@kernel
def answer_request(z, memo, pfn):
    """Hand a block to the one who slept for it; GAVE_UP if there is none."""
    which, hold_ns = memo % REQUESTS_MAX, memo // REQUESTS_MAX * 1_000_000
    if pfn >= 0:
        _settle(z, pfn, which, hold_ns)
    else:
        _fall_back(z, which, hold_ns)


@kernel
def start_requests(z):
    """Book the first request of each name."""
    for which in range(z.nr_named):
        if z.named_first_ns[which] >= 0:
            book(z, z.named_first_ns[which], Event.REQUEST_ARRIVAL, which)
        elif z.named_gap_ns[which] > 0:
            gap = exponential(z, NR_STREAMS + which, z.named_gap_ns[which])
            book(z, gap, Event.REQUEST_ARRIVAL, which)
