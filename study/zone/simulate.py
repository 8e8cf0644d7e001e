"""One trial, from settings to measurements: the friendly face of the simulated zone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from study.zone.settings import Settings


@dataclass(frozen=True)
class Outcome:
    """What one trial measured.

    metrics  name -> value; float64, NaN where a ratio has no denominator; same names, same
             order for every trial of every scenario
    series   structured array, one row per sample: time_ns i8, phase u1 (0 ageing,
             1 measured), nr_free i4[11], plus further columns
    """

    metrics: dict[str, float]
    series: np.ndarray


def simulate(settings: Settings, *, seed: int, replicate: int) -> Outcome:
    """Run one trial. The result depends on nothing but the three arguments."""
    raise NotImplementedError
