"""One trial, run: the row it leaves, and the plain loop over many."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

from study.fanout.metrics import Metrics
from study.trust.extensions import allowing

if TYPE_CHECKING:
    import numpy as np

    from study.scenario import Trial
    from study.scenario.trial import Level

Stop = Callable[[], bool]
"""Asked between trials; true means: start no more."""

ERROR_LETTERS = 500
"""Of the line that says why a trial failed."""
_SPARE_BYTES = 64 * 1024 * 1024
"""Ray's threads and the interpreter take memory as well while a trial runs."""


@dataclass(frozen=True)
class Row:
    """What is kept of one trial.

    metrics  name -> value, empty when the trial failed
    series   structured array, one element per sample, or None when the trial failed
    error    one line, empty when all went well
    """

    cell: str
    levels: Mapping[str, Level]
    replicate: int
    seed: int
    status: Literal["ok", "failed"]
    error: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    series: np.ndarray[Any, Any] | None = field(default=None, compare=False)
    elapsed_s: float = field(default=0.0, compare=False)
    """Wall time; differs from run to run and is therefore no part of any table."""


@dataclass(frozen=True)
class Limits:
    """What one trial may take; a trial that wants more is recorded as failed.

    time_s        wall time of the simulation
    memory_bytes  that the process may grow by: a zone whose tables need more is not begun, and
                  one that takes more all the same is stopped by the kernel (RLIMIT_DATA, with
                  64 MiB to spare for what is not the trial's own)
    """

    time_s: float | None = None
    memory_bytes: int | None = None


NO_LIMITS = Limits()


def run_trial(trial: Trial, limits: Limits = NO_LIMITS, extensions: Iterable[str] = ()) -> Row:
    """Run one trial. An exception becomes a failed row; what ends a process still ends it.

    extensions  that it may import (Study.allowed)
    """
    from study.zone.simulate import bytes_needed, load, simulate

    settings, most = trial.cell.settings, limits.memory_bytes
    if most is not None:
        # The simulation's code is no part of a trial, and LLVM ends the process for want of memory.
        load()
    started = perf_counter()
    try:
        with _at_most(most), allowing(extensions):
            if most is not None and (wanted := bytes_needed(settings)) > most:
                told = f"MemoryError: needs {wanted:,} bytes, the limit is {most:,}"
                return failed_row(trial, told)
            outcome = simulate(
                settings, seed=trial.seed, replicate=trial.replicate, time_limit_s=limits.time_s
            )
    except Exception as fault:  # noqa: BLE001 - whatever goes wrong in a trial is its result
        return failed_row(trial, one_line(fault), elapsed_s=perf_counter() - started)
    return Row(
        cell=trial.cell.id,
        levels=trial.cell.levels,
        replicate=trial.replicate,
        seed=trial.seed,
        status="ok",
        metrics=Metrics.of(outcome.metrics),
        series=outcome.series,
        elapsed_s=perf_counter() - started,
    )


@contextmanager
def _at_most(more_bytes: int | None) -> Iterator[None]:
    """Let this process take so much more memory; beyond, asking for it raises MemoryError."""
    if more_bytes is None or not sys.platform.startswith("linux"):
        yield
        return
    import resource

    before, hard = resource.getrlimit(resource.RLIMIT_DATA)
    # Private and writable, which is what the limit counts; in pages.
    data = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    wanted = data + more_bytes + _SPARE_BYTES
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (before, hard))


def failed_row(trial: Trial, error: str, *, elapsed_s: float = 0.0) -> Row:
    """The row of a trial that has no outcome."""
    return Row(
        cell=trial.cell.id,
        levels=trial.cell.levels,
        replicate=trial.replicate,
        seed=trial.seed,
        status="failed",
        error=error,
        elapsed_s=elapsed_s,
    )


def one_line(fault: BaseException) -> str:
    """An exception's type and message, without line breaks, at most a few hundred letters.

    A name of a file that is no UTF-8 is written with backslashes: a table holds letters only.
    """
    text = f"{type(fault).__name__}: {' '.join(str(fault).split())}"
    return text.encode(errors="backslashreplace").decode()[:ERROR_LETTERS]


def in_process(
    trials: Iterable[Trial],
    *,
    stop: Stop = lambda: False,
    limits: Limits = NO_LIMITS,
    extensions: Iterable[str] = (),
) -> Iterator[list[Row]]:
    """Run trials one after the other, here; each comes back as a batch of one."""
    for trial in trials:
        if stop():
            return
        yield [run_trial(trial, limits, extensions)]
