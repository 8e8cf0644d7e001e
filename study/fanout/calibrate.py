"""What a study will take, from a few of its trials run here and now."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from time import perf_counter
from typing import TYPE_CHECKING

from study.fanout.trial import Limits, Row, run_trial

if TYPE_CHECKING:
    from study.scenario import Study, Trial
    from study.zone.settings import Clock

LEAST = 4
"""Trials that are measured, however long they take."""
MOST = 64
_FIRST = 0.05
_SECOND = 0.15
"""Parts of a trial's simulated time that are run when a whole one would take too long."""


@dataclass(frozen=True)
class Calibration:
    """Trials that were run to see how long they take.

    trial_s    wall time of each, one after the other in this process
    share      part of a trial's simulated time that was run; below 1 times are drawn out
    rows       what these trials left
    resident   memory of this process without any zone, in bytes
    zone       of the largest zone of the study, in bytes
    """

    trial_s: tuple[float, ...]
    share: float
    rows: tuple[Row, ...]
    resident: int
    zone: int

    def mean_s(self) -> tuple[float, float]:
        """Seconds a trial, and half of a 95 % interval for that mean over the study's cells."""
        mean = fmean(self.trial_s)
        if len(self.trial_s) < 2:
            return mean, mean
        return mean, 2 * stdev(self.trial_s) / len(self.trial_s) ** 0.5

    def wall_s(self, trials: int, cores: int) -> float:
        """Time of a run on so many cores like this machine's."""
        return START_S + max(trials * self.mean_s()[0] / cores, *self.trial_s)

    def memory(self, workers: int) -> int:
        """Bytes that so many workers take, with the driver and Ray beside them."""
        return BESIDE_BYTES + workers * (self.resident + self.zone)


START_S = 8.0
"""Ray's start, the tables and the report at the end."""
BESIDE_BYTES = 780_000_000
"""The driver (390 MB) and Ray's own processes (390 MB): proportional set sizes, measured at the end
of a run of 24 trials on two cores."""


def calibrate(
    study: Study, *, budget_s: float, say: Callable[[str], None] = lambda _: None
) -> Calibration:
    """Run trials of randomly chosen cells until the budget is spent.

    Raises RuntimeError, with the reason, when trials fail.
    """
    from study.fanout.prepare import prepare_simulation
    from study.zone.simulate import bytes_needed

    say("compiling the simulation, if that was not done before")
    prepare_simulation()
    chosen = _shuffled(study)
    # The first one in a process loads the machine code; it is not counted.
    allowed = study.allowed
    _run(_part(chosen[0], _FIRST / 10), allowed)
    resident = _resident()
    say("running a pilot to see how long trials take")
    one_s = _drawn_out(chosen[0], allowed)[1]
    whole = one_s * LEAST <= budget_s
    say(_pilots(len(chosen), budget_s, one_s=one_s, whole=whole))
    times: list[float] = []
    rows: list[Row] = []
    started = perf_counter()
    for trial in chosen:
        if len(times) >= MOST or (
            len(times) >= min(LEAST, len(chosen)) and perf_counter() - started > budget_s
        ):
            break
        if whole:
            row = _run(trial, allowed)
            rows.append(row)
            times.append(row.elapsed_s)
        else:
            row, seconds = _drawn_out(trial, allowed)
            rows.append(row)
            times.append(seconds)
    return Calibration(
        trial_s=tuple(times),
        share=1.0 if whole else _SECOND,
        rows=tuple(rows),
        resident=resident,
        zone=max(bytes_needed(cell.settings) for cell in study.cells),
    )


def _pilots(chosen: int, budget_s: float, *, one_s: float, whole: bool) -> str:
    """Which trials are run now, and how long that takes."""
    each = one_s if whole else (_FIRST + _SECOND) * one_s
    least, most = min(LEAST, chosen), min(MOST, chosen)
    number = round(budget_s / each) if each else most
    number = min(max(number, least), most)
    what = "" if whole else f", the first {100 * _SECOND:g} % of each,"
    return f"running about {number} pilots{what} for about {max(number * each, 1):.0f} s"


def _shuffled(study: Study) -> list[Trial]:
    """The first trials of the study in a random, but always the same, order."""
    trials = []
    for trial in study.trials():
        trials.append(trial)
        if len(trials) >= max(len(study.cells), MOST):
            break
    random.Random(1).shuffle(trials)  # noqa: S311 - a choice of cells, no secret
    return trials


def _drawn_out(trial: Trial, extensions: tuple[str, ...]) -> tuple[Row, float]:
    """Time of a whole trial, from two parts of it: what its start takes, and what time takes."""
    first = _run(_part(trial, _FIRST), extensions)
    second = _run(_part(trial, _SECOND), extensions)
    rate = max(second.elapsed_s - first.elapsed_s, 0.0) / (_SECOND - _FIRST)
    return second, max(first.elapsed_s - rate * _FIRST, 0.0) + rate


def _part(trial: Trial, share: float) -> Trial:
    whole = trial.cell.settings
    settings = replace(
        whole,
        clock=_shorter(whole.clock, share),
        highalloc=replace(whole.highalloc, gap_ns=max(round(whole.highalloc.gap_ns * share), 1)),
        churn=replace(whole.churn, gap_ns=max(round(whole.churn.gap_ns * share), 1)),
    )
    return replace(trial, cell=replace(trial.cell, settings=settings))


def _shorter(clock: Clock, share: float) -> Clock:
    measure = max(round(clock.measure_ns * share), 1)
    return replace(
        clock,
        ageing_ns=round(clock.ageing_ns * share),
        measure_ns=measure,
        sample_ns=min(clock.sample_ns, measure),
    )


def _run(trial: Trial, extensions: tuple[str, ...]) -> Row:
    row = run_trial(trial, Limits(time_s=600), extensions)
    if row.status == "failed":
        raise RuntimeError(f"cell {row.cell} replicate {row.replicate} failed: {row.error}")
    return row


def _resident() -> int:
    """Memory of this process now, in bytes (Linux)."""
    import os
    from pathlib import Path

    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
