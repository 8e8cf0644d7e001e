"""The only entry into running a zone: let time pass, event by event.

User touches fill the time between events. At equal times events come before touches, and events
in the order in which they were booked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from study.zone.engine.agenda import drop_first, first_event, next_due
from study.zone.engine.call import call_at
from study.zone.engine.compile import kernel
from study.zone.engine.enums import Caller, Event, Kind
from study.zone.engine.layout import NEVER, NO_PFN, WAITING, requests, vpages
from study.zone.load.administer import administer
from study.zone.load.huge import huge_arrives, huge_dies, settle_huge
from study.zone.load.named import answer_request, request_arrives, request_ends
from study.zone.load.nic import rx_frame, rx_return, rx_watchdog, tx_done, tx_frame
from study.zone.load.pace import pace_touches
from study.zone.load.processes import (
    add_page_table,
    exit_process,
    fork,
    owner_slot,
    refuse,
    same_process,
    start,
)
from study.zone.load.slab_traffic import RECLAIMABLE, settle_slab, slab_arrives, slab_dies
from study.zone.load.trace import answer_recorded, begin_block, recorded_ends, recorded_request
from study.zone.load.user import delete_extent, drift, touch_until
from study.zone.mm.interface import (
    GAVE_UP,
    finish_writes,
    free_page,
    go_on,
    install,
    new_object,
    pdflush,
    proactive_tick,
    reap,
    run_daemon,
    run_kcompactd,
    run_kswapd,
)


@kernel
def _answer(z, caller, order, value, born, pfn):
    """Hand a frame to the one who slept for it, if still there."""
    if caller == Caller.STACK:
        new_object(z, pfn, order, Kind.STACK)
        start(z, value, pfn)
    elif caller == Caller.PAGE_TABLE:
        if same_process(z, value, born):
            add_page_table(z, value, pfn)
        else:
            free_page(z, pfn, False)
    elif caller == Caller.SLAB:
        settle_slab(z, pfn, value & RECLAIMABLE, (value >> 1) * 1_000_000)
    elif caller == Caller.HUGE:
        settle_huge(z, pfn, value)
    elif caller == Caller.REQUEST:
        answer_request(z, value, pfn)
    elif caller == Caller.TRACE:
        answer_recorded(z, value, pfn)
    else:
        page = value >> 1
        waiting = (vpages(z)[page].state & WAITING) != 0
        if waiting and (born < 0 or same_process(z, owner_slot(z, page), born)):
            vpages(z)[page].state &= ~WAITING
            install(z, pfn, page, value & 1)
        else:
            free_page(z, pfn, False)


@kernel
def _retry(z, row):
    request = requests(z)[row]
    caller, order = request.caller, request.order
    value, born = request.value, request.born
    pfn = go_on(z, row)
    if pfn == NO_PFN:
        return
    if pfn != GAVE_UP:
        _answer(z, caller, order, value, born, pfn)
    elif caller == Caller.STACK:
        refuse(z, value)
    elif caller == Caller.USER:
        vpages(z)[value >> 1].state &= ~WAITING
    elif caller == Caller.REQUEST:
        answer_request(z, value, GAVE_UP)
    elif caller == Caller.TRACE:
        answer_recorded(z, value, GAVE_UP)


@kernel
def _happen(z, what, value, seq):
    if what == Event.RX_FRAME:
        rx_frame(z, value)
    elif what == Event.RX_RETURN:
        rx_return(z, value)
    elif what == Event.TX_FRAME:
        tx_frame(z, value)
    elif what == Event.TX_DONE:
        tx_done(z, value)
    elif what == Event.KSWAPD:
        run_kswapd(z)
    elif what == Event.WRITE_DONE:
        finish_writes(z)
    elif what == Event.SLAB_ARRIVAL:
        slab_arrives(z)
    elif what == Event.SLAB_DEATH:
        slab_dies(z, value, seq)
    elif what == Event.FORK:
        fork(z)
    elif what == Event.EXIT:
        exit_process(z, value)
    elif what == Event.RETRY:
        _retry(z, value)
    elif what == Event.DRIFT:
        drift(z)
    elif what == Event.DELETE:
        delete_extent(z)
    elif what == Event.PDFLUSH:
        pdflush(z)
    elif what == Event.REAP:
        reap(z)
    elif what == Event.RX_WATCHDOG:
        rx_watchdog(z)
    elif what == Event.DEFRAG:
        run_daemon(z)
    elif what == Event.KCOMPACTD:
        run_kcompactd(z)
    elif what == Event.PROACTIVE:
        proactive_tick(z)
    elif what == Event.HUGE_ARRIVAL:
        huge_arrives(z)
    elif what == Event.HUGE_DEATH:
        huge_dies(z, value)
    elif what == Event.SOURCE:
        call_at(z.source_at, z, value)
    elif what == Event.REQUEST_ARRIVAL:
        request_arrives(z, value)
    elif what == Event.REQUEST_END:
        request_ends(z, value)
    elif what == Event.TRACE_REQUEST:
        recorded_request(z)
    elif what == Event.TRACE_END:
        recorded_ends(z, value)
    elif what == Event.TRACE_BLOCK:
        begin_block(z)
    elif what == Event.TOUCH_PACE:
        pace_touches(z)
    elif what == Event.ACTION:
        administer(z, value)


@kernel
def advance_some(z, until, events):
    """As advance, but for so many events at most; True if the time was reached."""
    last = z.count.events + events
    while True:
        due = min(next_due(z), until)
        if z.next_touch < due:
            # A fault may book something earlier, so look at the agenda again after each.
            touch_until(z, due)
            continue
        if due >= until:
            z.now = until
            return True
        if z.count.events >= last:
            return False
        z.now, seq, what, value = first_event(z)
        drop_first(z)
        z.count.events += 1
        _happen(z, what, value, seq)


@kernel
def advance(z, until):
    """Run the zone up to a time (ns, exclusive)."""
    advance_some(z, until, NEVER)


PIECE_NS = 1_000_000_000
"""Simulated time that passes in one call of compiled code."""
PIECE_EVENTS = 200_000
"""Events that happen in one call: some tenths of a second."""


def pass_time(z: Any, until: int, check_time_limit: Callable[[], None] = lambda: None) -> None:
    """Run the zone up to a time (ns, exclusive), in pieces.

    While compiled code runs Python hears nothing: who presses Ctrl-C would wait for hours of
    simulated time, or for millions of rounds of reclaim within one second of it.
    `check_time_limit` is called after each piece, and may raise what ends it.
    """
    for time in [*range(int(z["now"]) + PIECE_NS, until, PIECE_NS), until]:
        while not advance_some(z, time, PIECE_EVENTS):
            check_time_limit()
        check_time_limit()
