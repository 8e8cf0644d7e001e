"""One trial, from settings to measurements: the friendly face of the simulated zone."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from study.zone.settings import Clock, Settings


@dataclass(frozen=True)
class Outcome:
    """What one trial measured.

    metrics  name -> value; NaN where a ratio has no denominator; the same names in the same order
             for every trial of every scenario
    series   dtype measure.SAMPLE, one row per sample: time_ns, phase (0 ageing, 1 measured),
             nr_free (11 counts per order), pages by use
    """

    metrics: dict[str, float]
    series: np.ndarray


def simulate(
    settings: Settings, *, seed: int, replicate: int, time_limit_s: float | None = None
) -> Outcome:
    """Run one trial: bring the zone up, age it, measure it, probe it if asked to, check it.

    The result depends on settings, seed and replicate alone. Raises InvariantBroken if the zone
    contradicts itself afterwards, ValueError if it cannot be set up as told, and TimeoutError once
    time_limit_s seconds of wall time are over, at the end of a piece of work (pass_time).
    """
    from study.zone.trial.advance import pass_time
    from study.zone.trial.churn import churn
    from study.zone.trial.highalloc import stress_highalloc
    from study.zone.trial.measure import SAMPLE, measure, sample
    from study.zone.trial.metrics import METRICS
    from study.zone.trial.probe import probe
    from study.zone.trial.schedule import AGEING, MEASURED, phases, sample_times
    from study.zone.trial.verify import verify
    from study.zone.trial.zone import Zone

    started = perf_counter()

    def check_time_limit() -> None:
        if time_limit_s is not None and perf_counter() - started > time_limit_s:
            raise TimeoutError(f"took more than {time_limit_s:g} s")

    zone = Zone(settings, seed=seed, replicate=replicate, check_time_limit=check_time_limit)
    clock = settings.clock
    rows = sum(sample_times(start, end, clock.sample_ns).size for _, start, end in phases(clock))
    series = np.zeros(rows + 1, SAMPLE)
    sample(zone, AGEING, series[0])
    row = 1
    for phase, start, end in phases(clock):
        # What happened before the measured phase is not a result.
        zone.reset_counters()
        for time in sample_times(start, end, clock.sample_ns):
            pass_time(zone.state, int(time), check_time_limit)
            sample(zone, phase, series[row])
            row += 1
    metrics = dict.fromkeys(METRICS, float("nan"))
    metrics |= measure(zone, series[series["phase"] == MEASURED])
    metrics |= stress_highalloc(zone, check_time_limit)
    metrics |= churn(zone, check_time_limit)
    metrics |= probe(zone, check_time_limit)
    verify(zone)
    return Outcome(metrics, series)


def load() -> None:
    """Load all machine code (seconds in a new process), so that no trial is charged for it."""
    from study.zone.trial import (  # noqa: F401
        advance,
        churn,
        highalloc,
        measure,
        probe,
        verify,
        zone,
    )


def bytes_needed(settings: Settings) -> int:
    """Memory that one trial's zone takes, in bytes."""
    from study.zone.trial.zone import zone_bytes

    return zone_bytes(settings)


_LAST = (
    "study.zone.trial.advance.advance_some",
    "study.zone.trial.boot.start_workload",
    "study.zone.trial.verify.walk",
)
"""Kernels that a trial calls last, the largest first: the second process has begun with them
before the first one, which comes from the other end, gets there.
"""


def warm() -> None:
    """Compile everything into the on-disk cache, so that no worker has to (seconds, once)."""
    from study.zone.engine.cache import prune_cache
    from study.zone.engine.compile import is_kept, make_modules, sharing
    from study.zone.engine.together import second_process
    from study.zone.settings import Memory

    second = 1_000_000_000
    tiny = Settings(
        memory=Memory(pages=4_096, lowmem_pages=4_096, reserved_pages=16),
        clock=Clock(ageing_ns=second // 100, measure_ns=second // 100, sample_ns=second // 100),
    )
    load()
    with ExitStack() as together:
        if not all(map(is_kept, _LAST)):
            shares = together.enter_context(second_process(help_to_warm))
            together.enter_context(sharing(shares))
            make_modules()
        simulate(tiny, seed=0, replicate=0)
    prune_cache()


def help_to_warm() -> None:
    """What the second process does for warm()."""
    from study.zone.engine.compile import load_kernel, make_modules, sharing
    from study.zone.engine.together import shares_of_second

    load()
    with sharing(shares_of_second()):
        make_modules()
        for name in _LAST:
            load_kernel(name)
