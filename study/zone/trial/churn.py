"""LLFree's fragmentation test: do huge pages come back as memory is freed and asked for again?

The method of its frag benchmark (ATC'23): about half of memory is held in single pages that were
left at random; in each round a random tenth of them is freed and asked for again. An allocator
that gathers what is used lets whole 2 MB blocks come together; its score is the share of those
that were missing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from study.zone.engine.compile import kernel
from study.zone.engine.dice import below
from study.zone.engine.enums import Caller, Stream
from study.zone.engine.layout import NO_PFN, WAITING, vpages
from study.zone.load.user import fault
from study.zone.mm.interface import free_user_page
from study.zone.trial.advance import pass_time
from study.zone.trial.highalloc import end_load
from study.zone.trial.indices import HUGE_ORDER, huge_blocks
from study.zone.trial.zone import Zone


@kernel
def _bring_in(z, page):
    if vpages(z)[page].pfn == NO_PFN and not vpages(z)[page].state & WAITING:
        fault(z, page, False, Caller.USER, -1)


@kernel
def _fill(z, nr_pages):
    """Drop all user memory, then bring in the first pages of the working set, one by one."""
    for page in range(z.process_vpages):
        free_user_page(z, page)
    for page in range(nr_pages):
        _bring_in(z, page)


@kernel
def _shuffle_front(z, held: np.ndarray, nr_pages):
    """Bring random pages to the front (the first steps of Fisher and Yates's shuffle)."""
    for i in range(nr_pages):
        j = i + below(z, Stream.START, len(held) - i)
        before = held[i]
        held[i] = held[j]
        held[j] = before


@kernel
def _free_some(z, held: np.ndarray, nr_pages):
    """Free random pages of those held; they are then the first of the table."""
    _shuffle_front(z, held, nr_pages)
    for i in range(nr_pages):
        free_user_page(z, held[i])


@kernel
def _ask_again(z, held: np.ndarray, nr_pages):
    for i in range(nr_pages):
        _bring_in(z, held[i])


def churn(zone: Zone, check_time_limit: Callable[[], None] = lambda: None) -> dict[str, float]:
    """Run the test on the zone as it is, its load at an end; leaves it consistent.

    Returns churn_whole_start and churn_whole_end (free 2 MB blocks before and after the rounds),
    churn_whole_possible (what the free memory would make at the end) and churn_score: 1 if all of
    it is whole, 0 if nothing has come back, below 0 if more is broken; nothing without such a test.
    `check_time_limit` is called as time passes, see pass_time.
    """
    asked, z = zone.settings.churn, zone.state
    if asked.rounds == 0:
        return {}
    end_load(zone)
    pages = zone.settings.memory.pages
    filled = min(int(asked.fill * pages), int(z["process_vpages"]))
    _fill(z, filled)
    held = np.arange(filled, dtype=np.int64)
    surplus = max(filled - int(asked.hold * pages), 0)
    _free_some(z, held, surplus)
    held = held[surplus:].copy()
    start = huge_blocks(zone.nr_free)
    part = int(asked.part * len(held))
    for _ in range(asked.rounds):
        _free_some(z, held, part)
        _ask_again(z, held, part)
        pass_time(z, z["now"] + asked.gap_ns, check_time_limit)
    end, possible = huge_blocks(zone.nr_free), int(z["zone"]["free"]) >> HUGE_ORDER
    score = (end - start) / (possible - start) if possible > start else float("nan")
    return {
        "churn_whole_start": float(start),
        "churn_whole_end": float(end),
        "churn_whole_possible": float(possible),
        "churn_score": score,
    }
