"""A network card: a receive ring whose buffers have the order driver and MTU imply, and sending.

e1000 of 2.6.8 (e1000_main.c): every received frame is handed up with its buffer, and the ring is
refilled with GFP_ATOMIC until a request fails; then the next frame or a watchdog every 2 s tries
again. A frame that finds no posted buffer is lost. tg3 (tg3.c, tg3_rx) asks for the replacement
first: without one the frame is lost, its buffer is posted again and the ring stays full.

Receiving into a page array needs order-0 pages only; so does sending with scatter/gather, without
which a frame is copied into one linear buffer. A card that recycles keeps the buffers that come
back to post them again, at most as many as its ring has entries (net/core/page_pool.c, 4.18; its
own cache and ring taken together).
"""

from __future__ import annotations

from study.zone.engine.agenda import book
from study.zone.engine.compile import kernel
from study.zone.engine.dice import exponential, geometric
from study.zone.engine.enums import Caller, Event, Kind, Paced, Stream
from study.zone.engine.layout import NO_PFN, frames, posted_buffers, recycled_buffers
from study.zone.load.pace import next_burst
from study.zone.mm.interface import (
    allocate_atomic,
    free_object,
    kfree,
    kmalloc_atomic,
    new_object,
)
from study.zone.settings import NicReceive, NicTransmit

WATCHDOG_NS = 2_000_000_000
"""e1000_watchdog runs every 2 s and raises a software receive interrupt."""


@kernel
def _free_fragments(z, chain):
    while chain != NO_PFN:
        after = frames(z)[chain].owner
        free_object(z, chain, 0)
        chain = after


@kernel
def _take_fragments(z, nr_pages, caller, kind):
    """A chain of order-0 pages through frame.owner: its first pfn, or NO_PFN with none kept."""
    chain = NO_PFN
    for _ in range(nr_pages):
        pfn = allocate_atomic(z, 0, caller)
        if pfn == NO_PFN:
            _free_fragments(z, chain)
            return NO_PFN
        new_object(z, pfn, 0, kind)
        frames(z)[pfn].owner = chain
        chain = pfn
    return chain


@kernel
def _receive_buffer(z):
    """A buffer to post: one that has come back, if the card keeps such, or a new one."""
    if z.nr_recycled > 0:
        z.nr_recycled -= 1
        z.count.recycled += 1
        return recycled_buffers(z)[z.nr_recycled].row
    if z.receive == NicReceive.LINEAR:
        return kmalloc_atomic(z, z.rx_order, Caller.RX, Kind.RX)
    return _take_fragments(z, z.fragments, Caller.RX, Kind.RX)


@kernel
def _post(z, pfn):
    posted_buffers(z)[(z.posted_first + z.nr_posted) % z.ring].row = pfn
    z.nr_posted += 1


@kernel
def _take_posted(z):
    pfn = posted_buffers(z)[z.posted_first].row
    z.posted_first = (z.posted_first + 1) % z.ring
    z.nr_posted -= 1
    return pfn


@kernel
def refill_ring(z):
    """Post buffers until the ring is full or a request fails (e1000_alloc_rx_buffers)."""
    while z.nr_posted < z.ring:
        pfn = _receive_buffer(z)
        if pfn == NO_PFN:
            return
        _post(z, pfn)


@kernel
def rx_frame(z, left):
    """A frame arrives, the first of `left` in its burst (0: a new burst begins)."""
    if left == 0:
        left = geometric(z, Stream.RX, z.rx_log)
    if left > 1:
        book(z, z.now + z.wire_ns, Event.RX_FRAME, left - 1)
    else:
        begins = next_burst(z, Paced.RX, Stream.RX, z.now + z.wire_ns, z.rx_gap_ns)
        book(z, begins, Event.RX_FRAME, 0)
    hold = exponential(z, Stream.RX, z.rx_hold_ns)
    if z.nr_posted == 0:
        z.count.frames_dropped += 1
        refill_ring(z)
        return
    replacement = _receive_buffer(z) if z.replaces else NO_PFN
    pfn = _take_posted(z)
    if z.replaces and replacement == NO_PFN:
        z.count.frames_dropped += 1
        _post(z, pfn)
        return
    z.count.frames_received += 1
    z.nr_held += 1
    book(z, z.now + 1 + hold, Event.RX_RETURN, pfn)
    if z.replaces:
        _post(z, replacement)
    else:
        refill_ring(z)


@kernel
def rx_return(z, pfn):
    """The reader has taken the data; the buffer is freed."""
    z.nr_held -= 1
    if z.recycle and z.nr_recycled < z.ring:
        recycled_buffers(z)[z.nr_recycled].row = pfn
        z.nr_recycled += 1
        return
    if z.receive == NicReceive.LINEAR:
        kfree(z, pfn, z.rx_order)
    else:
        _free_fragments(z, pfn)


@kernel
def rx_watchdog(z):
    """Try to refill the ring even if no frame comes (e1000_watchdog)."""
    refill_ring(z)
    book(z, z.now + WATCHDOG_NS, Event.RX_WATCHDOG, 0)


@kernel
def tx_frame(z, left):
    """A frame is to be sent (0: a new burst begins); without memory for it, it is lost."""
    if left == 0:
        left = geometric(z, Stream.TX, z.tx_log)
    if left > 1:
        book(z, z.now + z.wire_ns, Event.TX_FRAME, left - 1)
    else:
        begins = next_burst(z, Paced.TX, Stream.TX, z.now + z.wire_ns, z.tx_gap_ns)
        book(z, begins, Event.TX_FRAME, 0)
    hold = exponential(z, Stream.TX, z.tx_hold_ns)
    if z.transmit == NicTransmit.LINEAR:
        pfn = kmalloc_atomic(z, z.tx_order, Caller.TX, Kind.TX)
    else:
        pfn = _take_fragments(z, z.fragments, Caller.TX, Kind.TX)
    if pfn == NO_PFN:
        z.count.frames_unsent += 1
        return
    z.count.frames_sent += 1
    book(z, z.now + 1 + hold, Event.TX_DONE, pfn)


@kernel
def tx_done(z, pfn):
    """The card has sent a frame; its memory is freed."""
    if z.transmit == NicTransmit.LINEAR:
        kfree(z, pfn, z.tx_order)
    else:
        _free_fragments(z, pfn)
