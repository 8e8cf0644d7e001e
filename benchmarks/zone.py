"""The whole zone on the default load: events a second, where the time goes, and setting one up.

An event is a page touched or an entry of the agenda worked off: a frame received or sent, a buffer
returned, a process begun or ended, a slab page's birth or death, a turn of kswapd, a write done.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import replace

from benchmarks.measure import ROUNDS, Row, interleaved

SECONDS = 60
GOAL_EVENTS_PER_S = 25e6
GOAL_SET_UP_MS = 15.0
"""A twentieth of the article's trial (0.3 s): memory is filled fault by fault, with reclaim."""


def without(settings, *parts: str):
    """Settings with the named sources of load switched off."""
    off = {
        "nic": {"rx_frames_per_s": 0.0, "tx_frames_per_s": 0.0},
        "processes": {"forks_per_s": 0.0},
        "slab": {"pages_per_s": 0.0},
        "user": {"touches_per_s": 0.0},
    }
    changed = {part: replace(getattr(settings, part), **off[part]) for part in parts}
    return replace(settings, **changed)


def run_minute(settings):
    """Seconds and events of a simulated minute, after one that does not count; and the zone."""
    from study.zone.trial.advance import advance
    from study.zone.trial.zone import Zone

    zone = Zone(settings, seed=1)
    advance(zone.state, SECONDS * 10**9)
    zone.reset_counters()
    started = time.process_time()
    advance(zone.state, 2 * SECONDS * 10**9)
    elapsed = time.process_time() - started
    events = int(zone.count["events"] + zone.count["touches"])
    return elapsed, events, zone


def measure(rounds: int = ROUNDS) -> list[Row]:
    """Rows of the table: the rate, then the time of each source of load when it runs by itself."""
    from study.zone.settings import Settings
    from study.zone.trial.verify import verify
    from study.zone.trial.zone import Zone

    default = Settings()
    fits = replace(default, user=replace(default.user, working_set_pages=150_000))
    loads = {
        "all": default,
        "user memory only": without(default, "nic", "processes", "slab"),
        "user memory that fits": without(fits, "nic", "processes", "slab"),
        "network only": without(default, "user", "processes", "slab"),
        "processes only": without(default, "user", "nic", "slab"),
        "slab only": without(default, "user", "nic", "processes"),
    }
    events: dict[str, int] = {}

    def timed(name: str):
        def run() -> float:
            elapsed, events[name], _ = run_minute(loads[name])
            return elapsed

        return run

    def set_up() -> float:
        started = time.process_time()
        Zone(default, seed=1)
        return time.process_time() - started

    def check() -> float:
        zone = Zone(default, seed=1)
        started = time.process_time()
        verify(zone)
        return time.process_time() - started

    took = interleaved(
        {**{name: timed(name) for name in loads}, "set up": set_up, "check": check}, rounds
    )
    middle = {name: statistics.median(times) for name, times in took.items()}
    rate = events["all"] / middle["all"]
    rows = [
        Row("zone: events", rate / 1e6, "M/s", goal=GOAL_EVENTS_PER_S / 1e6, more=True),
        Row("zone: setting one up", 1e3 * middle["set up"], "ms", goal=GOAL_SET_UP_MS),
        Row("zone: checking it at the end", 1e3 * middle["check"], "ms"),
    ]
    rows += [
        Row(f"zone: an event, {name}", 1e9 * middle[name] / events[name], "ns") for name in loads
    ]
    return rows
