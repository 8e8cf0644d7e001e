"""Filling memory as a machine that has run for hours had it filled: fault by fault.

Programs read every extent of the working set once, the least popular first. Anonymous pages come
from the hot per-cpu list (do_anonymous_page, 2.6.8), pages of files from the cold one
(page_cache_alloc_cold), each refilled by batches; so an extent does not lie in one aligned block.
Reclaim throws out what does not fit.
"""

from __future__ import annotations

import numpy as np

from study.zone.engine.agenda import next_due
from study.zone.engine.compile import kernel
from study.zone.engine.dice import below
from study.zone.engine.enums import Caller, Kind, Stream
from study.zone.engine.layout import NEVER, NO_PFN, extents, vpages
from study.zone.engine.table import prefetch
from study.zone.load.user import fault
from study.zone.trial.advance import advance

_STARTED_EXTENTS = 16
"""Extents of which start-up has read a part: enough that both kinds are among them."""


@kernel
def _come_to_rest(z):
    """Let time pass until kswapd sleeps and whoever asked has an answer."""
    while z.kswapd_awake or z.nr_waiting > 0:
        advance(z, next_due(z) + 1)


@kernel
def _read(z, extent, nr_pages):
    """Fault the first pages of an extent in; False once nothing can be thrown out for them."""
    first = extent * z.extent_pages
    # The first touch of anonymous memory writes to it.
    is_file = vpages(z)[first].kind == Kind.FILE
    for page in range(first, first + nr_pages):
        if vpages(z)[page].pfn != NO_PFN:
            continue
        fault(z, page, not is_file, Caller.USER, -1)
        if z.kswapd_awake or z.nr_waiting > 0:
            _come_to_rest(z)
    if is_file:
        advance(z, z.now + nr_pages * z.cost_refault_ns)
    return z.count.oom == 0


@kernel
def _start_up(z):
    """Read parts of some files and heaps: from then on extents and batches are out of step."""
    for rank in range(z.extents - 1, max(z.extents - 1 - _STARTED_EXTENTS, -1), -1):
        nr_pages = below(z, Stream.START, z.extent_pages)
        if not _read(z, np.int64(extents(z)[rank].extent), nr_pages):
            return


@kernel
def _fetch_extent(z, rank):
    """Have the processor fetch the pages of an extent while another is read."""
    first = np.int64(extents(z)[rank].extent) * z.extent_pages
    prefetch(vpages(z), first)
    prefetch(vpages(z), first + z.extent_pages // 2)
    prefetch(vpages(z), first + z.extent_pages - 1)


@kernel
def fill_memory(z):
    """Read every extent, the least popular first, until memory is full and beyond.

    A read takes what a refault costs, so the disk has time to write what is swapped out. The load
    has not begun; in the end nothing is left under way.
    """
    next_touch = z.next_touch
    z.next_touch = NEVER
    _start_up(z)
    for rank in range(z.extents - 1, -1, -1):
        _fetch_extent(z, max(rank - 2, 0))
        if not _read(z, np.int64(extents(z)[rank].extent), z.extent_pages):
            break
    while next_due(z) < NEVER:
        advance(z, next_due(z) + 1)
    z.next_touch = next_touch
