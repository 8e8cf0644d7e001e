"""Filling memory as a machine that has run for hours had it filled: fault by fault.

Programs read every extent of the working set once, the least popular first. Anonymous pages come
from the hot per-cpu list (do_anonymous_page, 2.6.8), pages of files from the cold one
(page_cache_alloc_cold), each refilled by batches; so an extent does not lie in one aligned block.
Reclaim throws out what does not fit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from study.zone.engine.agenda import next_due
from study.zone.engine.compile import kernel
from study.zone.engine.dice import below
from study.zone.engine.enums import Caller, Kind, Stream
from study.zone.engine.layout import NEVER, NO_PFN, extents, vpages
from study.zone.engine.table import prefetch
from study.zone.load.user import fault
from study.zone.trial.advance import PIECE_EVENTS, advance

_STARTED_EXTENTS = 16
"""Extents of which start-up has read a part: enough that both kinds are among them."""

_STARTED, _READ, _FIRST, _NEXT, _END = range(5)
"""How far the reading is: extents that were begun, by start-up and of the working set; of the one
that is read its first page, the next, and the end of what is read of it."""


@kernel
def _come_to_rest(z, last):
    """Let time pass until kswapd sleeps and whoever asked has an answer; False if not by `last`."""
    while z.kswapd_awake or z.nr_waiting > 0:
        if z.count.events >= last:
            return False
        advance(z, next_due(z) + 1)
    return True


@kernel
def _fetch_extent(z, rank):
    """Have the processor fetch the pages of an extent while another is read."""
    first = np.int64(extents(z)[rank].extent) * z.extent_pages
    prefetch(vpages(z), first)
    prefetch(vpages(z), first + z.extent_pages // 2)
    prefetch(vpages(z), first + z.extent_pages - 1)


@kernel
def _begin_extent(z, at: np.ndarray):
    """Choose the extent that is read next; False if no more are to be read.

    Start-up reads parts of some files and heaps: from then on extents and batches are out of step.
    Reading ends once nothing can be thrown out for a page.
    """
    if at[_STARTED] < min(_STARTED_EXTENTS, z.extents) and z.count.oom == 0:
        rank = z.extents - 1 - at[_STARTED]
        at[_STARTED] += 1
        nr_pages = below(z, Stream.START, z.extent_pages)
    elif at[_READ] < z.extents and (at[_READ] == 0 or z.count.oom == 0):
        rank = z.extents - 1 - at[_READ]
        at[_READ] += 1
        nr_pages = z.extent_pages
        _fetch_extent(z, max(rank - 2, 0))
    else:
        return False
    at[_FIRST] = at[_NEXT] = np.int64(extents(z)[rank].extent) * z.extent_pages
    at[_END] = at[_FIRST] + nr_pages
    return True


@kernel
def _read_page(z, at: np.ndarray):
    """Fault the next page of the extent in, unless it is there."""
    page = at[_NEXT]
    at[_NEXT] += 1
    if vpages(z)[page].pfn == NO_PFN:
        # The first touch of anonymous memory writes to it.
        fault(z, page, vpages(z)[page].kind != Kind.FILE, Caller.USER, -1)


@kernel
def _end_extent(z, at: np.ndarray):
    """Let the time pass that reading from a file took."""
    nr_pages = at[_END] - at[_FIRST]
    if nr_pages > 0 and vpages(z)[at[_FIRST]].kind == Kind.FILE:
        advance(z, z.now + nr_pages * z.cost_refault_ns)
    at[_FIRST] = at[_NEXT] = at[_END] = 0


@kernel
def fill_some(z, at: np.ndarray, events):
    """Fill on until so many events have happened; True once memory is full and all is quiet."""
    last = z.count.events + events
    while True:
        if not _come_to_rest(z, last):
            return False
        if at[_NEXT] < at[_END]:
            _read_page(z, at)
            continue
        _end_extent(z, at)
        if not _begin_extent(z, at):
            break
    while next_due(z) < NEVER:
        if z.count.events >= last:
            return False
        advance(z, next_due(z) + 1)
    return True


def fill_memory(z: Any, check_time_limit: Callable[[], None] = lambda: None) -> None:
    """Read every extent, the least popular first, until memory is full and beyond.

    A read takes what a refault costs, so the disk has time to write what is swapped out. The load
    has not begun; in the end nothing is left under way. `check_time_limit` is called between
    pieces of the work, as in pass_time.
    """
    next_touch = int(z["next_touch"])
    z["next_touch"] = NEVER
    at = np.zeros(5, np.int64)
    while not fill_some(z, at, PIECE_EVENTS):
        check_time_limit()
    z["next_touch"] = next_touch
