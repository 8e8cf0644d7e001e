"""One trial, from settings to measurements: the friendly face of the simulated zone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from study.zone.settings import Clock, Settings

HEADLINE: tuple[tuple[str, str], ...] = (
    ("rx_success_ratio", "receive buffer requests served"),
    ("frames_dropped_ratio", "received frames dropped"),
    ("tx_success_ratio", "send buffer requests served"),
    ("stack_stalls", "stack requests that had to wait"),
    ("order3_absent_share", "time without a free order-3 block"),
    ("unusable_index_order3_mean", "free memory useless to order 3"),
    ("reclaimed_pages", "pages reclaimed"),
    ("defrag_moved_pages", "pages evicted or migrated"),
    ("refaults", "refaults"),
    ("time_lost_share", "time lost to refaults"),
)
"""The metrics to look at first, and what to call them."""


@dataclass(frozen=True)
class Outcome:
    """What one trial measured.

    metrics  name -> value; NaN where a ratio has no denominator; the same names in the same order
             for every trial of every scenario
    series   dtype metrics.SAMPLE, one row per sample: time_ns, phase (0 ageing, 1 measured),
             nr_free (11 counts per order), pages by use
    """

    metrics: dict[str, float]
    series: np.ndarray


def simulate(settings: Settings, *, seed: int, replicate: int) -> Outcome:
    """Run one trial: bring the zone up, age it, measure it, check it.

    The result depends on nothing but the three arguments. Raises InvariantBroken if the zone
    contradicts itself afterwards, ValueError if it cannot be set up as told.
    """
    from study.zone.advance import advance
    from study.zone.metrics import AGEING, MEASURED, SAMPLE, measure, sample
    from study.zone.verify import verify
    from study.zone.zone import Zone

    zone = Zone(settings, seed=seed, replicate=replicate)
    clock = settings.clock
    rows = sum(sample_times(start, end, clock.sample_ns).size for _, start, end in phases(clock))
    series = np.zeros(rows + 1, SAMPLE)
    sample(zone, AGEING, series[0])
    row = 1
    for phase, start, end in phases(clock):
        # What happened before the measured phase is not a result.
        zone.state["count"] = 0
        for time in sample_times(start, end, clock.sample_ns):
            advance(zone.state, time)
            sample(zone, phase, series[row])
            row += 1
    verify(zone)
    return Outcome(measure(zone, series[series["phase"] == MEASURED]), series)


def phases(clock: Clock) -> tuple[tuple[int, int, int], ...]:
    """(phase, start, end) of the ageing and of the measured phase, times in ns."""
    from study.zone.metrics import AGEING, MEASURED

    end = clock.ageing_ns + clock.measure_ns
    return (AGEING, 0, clock.ageing_ns), (MEASURED, clock.ageing_ns, end)


def sample_times(start: int, end: int, step: int) -> np.ndarray:
    """Ends of the sampling periods of a phase, the last one exactly at its end (ns, i8)."""
    times = np.arange(start + step, end + step, step, dtype=np.int64)
    return np.minimum(times, end) if end > start else times[:0]


def warm() -> None:
    """Compile everything into the on-disk cache, so that no worker has to (seconds, once)."""
    from study.zone.compile import prune_cache
    from study.zone.settings import Memory

    second = 1_000_000_000
    tiny = Settings(
        memory=Memory(pages=4_096, lowmem_pages=4_096, reserved_pages=16),
        clock=Clock(ageing_ns=second // 100, measure_ns=second // 100, sample_ns=second // 100),
    )
    simulate(tiny, seed=0, replicate=0)
    prune_cache()
