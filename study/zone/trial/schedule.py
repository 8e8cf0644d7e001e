"""When a trial ages, when it is measured, and when samples are taken."""

from __future__ import annotations

import numpy as np

from study.zone.settings import Clock

AGEING, MEASURED = 0, 1


def phases(clock: Clock) -> tuple[tuple[int, int, int], ...]:
    """(phase, start, end) of the ageing and of the measured phase, times in ns."""
    end = clock.ageing_ns + clock.measure_ns
    return (AGEING, 0, clock.ageing_ns), (MEASURED, clock.ageing_ns, end)


def sample_times(start: int, end: int, step: int) -> np.ndarray:
    """Ends of the sampling periods of a phase, the last one exactly at its end (ns, i8)."""
    times = np.arange(start + step, end + step, step, dtype=np.int64)
    return np.minimum(times, end) if end > start else times[:0]
