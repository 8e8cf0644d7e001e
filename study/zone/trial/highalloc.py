"""Mel Gorman's stress-highalloc: how much of memory can be had in huge pages?

The method of his 2005 to 2012 postings: under load one huge page after another is asked for and
held (pass 1), all are given back and it is done at once again (pass 2), then the load is ended, its
files are dropped from memory, and it is done a last time (at rest).
"""

from __future__ import annotations

from collections.abc import Callable

from study.zone.engine.agenda import book, drop_first, first_event, next_due
from study.zone.engine.compile import kernel
from study.zone.engine.enums import Event, Kind
from study.zone.engine.layout import NEVER, vpages
from study.zone.load.huge import HELD, ask_for_huge, release_held
from study.zone.load.processes import exit_process
from study.zone.mm.interface import free_user_page
from study.zone.trial.advance import pass_time
from study.zone.trial.zone import Zone

PASSES = ("pass1", "pass2", "rest")
_LOAD = (
    *(Event.SLAB_ARRIVAL, Event.FORK, Event.RX_FRAME, Event.RX_WATCHDOG, Event.TX_FRAME),
    *(Event.DRIFT, Event.DELETE, Event.HUGE_ARRIVAL, Event.TOUCH_PACE),
)
_SETTLE_NS = 10_000_000_000
"""Time for what is in flight to come to its end after the load has stopped. Assumed."""


@kernel
def _drop_files(z):
    """Free all pages of files that are clean or not (files are deleted, caches dropped)."""
    for page in range(z.process_vpages):
        if vpages(z)[page].kind == Kind.FILE:
            free_user_page(z, page)


def end_load(zone: Zone) -> None:
    """Let nothing new arrive, end all processes, and drop the files."""
    z = zone.state
    z["next_touch"] = NEVER
    waiting = []
    while next_due(z) < NEVER:
        waiting.append(first_event(z))
        drop_first(z)
    for time, former, what, value in waiting:
        if what == Event.EXIT:
            exit_process(z, value)
        elif what not in _LOAD:
            # A slab page is known by the seq of its end.
            seq = book(z, time, what, value)
            if what == Event.SLAB_DEATH and zone.slot[value]["death"] == former:
                zone.slot[value]["death"] = seq
    pass_time(z, z["now"] + _SETTLE_NS)
    _drop_files(z)


def stress_highalloc(
    zone: Zone, check_time_limit: Callable[[], None] = lambda: None
) -> dict[str, float]:
    """Run the three passes; leaves the zone consistent, its load at an end.

    Returns highalloc_pass1_ratio, _pass2_ratio and _rest_ratio: huge pages had per huge page asked
    for; nothing without such a test. `check_time_limit` is called as time passes, see pass_time.
    """
    asked, z = zone.settings.highalloc, zone.state
    found: dict[str, float] = {}
    attempts = int(asked.share * zone.settings.memory.pages) >> asked.order
    if attempts == 0:
        return found
    z["huge_order"] = asked.order
    for name in PASSES:
        if name == "rest":
            end_load(zone)
        for _ in range(attempts):
            ask_for_huge(z, HELD)
            pass_time(z, z["now"] + asked.gap_ns, check_time_limit)
        # One that slept through the end of a pass is answered, and counted, in the next.
        held = min(int(release_held(z)), attempts)
        found[f"highalloc_{name}_ratio"] = held / attempts
    return found
