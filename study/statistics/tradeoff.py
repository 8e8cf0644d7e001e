"""The trade-off: which cells nothing else beats, in what they serve and in what it costs.

A cell is on the Pareto front if no other serves at least as much at no more of every cost, and is
better in one. Whether it is, hangs on the trials: replicates are drawn anew (a bootstrap over
replicates, so that what paired trials share is drawn together), and `on_front` is the share of
draws in which the cell was on the front. That is no confidence: one lucky criterion is enough, and
of two cells that are alike each is there in two of three draws.

What is certain is the reverse. A cell is beaten if there is another that is better in every
criterion by paired tests (an intersection-union test; where no replicate differs in a criterion,
it is no worse there), at 5 % for all pairs of cells together (Holm).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from study.intervals import CONFIDENCE, mean_interval, mean_tests
from study.results.errors import ResultsError
from study.scenario.errors import did_you_mean, shown
from study.scenario.units import nanoseconds_from
from study.statistics.contrasts import MARKED_LEAST, holm
from study.statistics.drift import clock_of
from study.statistics.measured import Measured
from study.zone.trial.metrics import is_share

if TYPE_CHECKING:
    import pandas as pd

    from study.intervals import Array
    from study.results import Tables
    from study.results.model import Manifest
    from study.results.trials import TrialColumns

GAIN: dict[str, float] = {"rx_success_ratio": 1.0}
COSTS: dict[str, dict[str, float]] = {
    "pages_taken": {"reclaimed_pages": 1.0, "moved_pages": 1.0},
    "refaults": {"refaults": 1.0},
}
"""What service is set against: pages reclaimed, evicted or migrated; refaults."""
DRAWS = 1_000
MINUTE_NS = 60e9

FEW = "fewer than two replicates: no interval"
FEWER = "fewer than five replicates, as others have: not compared"
NOTHING = "no replicate has a value of everything"


def tradeoff(
    trials: pd.DataFrame | TrialColumns,
    cells: Mapping[str, Mapping[str, Any]],
    *,
    gain: Mapping[str, float] = GAIN,
    costs: Mapping[str, Mapping[str, float]] = COSTS,
    minutes: Mapping[str, float] | None = None,
    draws: int = DRAWS,
) -> pd.DataFrame:
    """One row a cell: its levels, gain and costs with intervals, front, on_front, beaten_by, n,
    note.

    gain   weighted sum of metrics, the more the better
    costs  name -> weighted sum of metrics, the less the better
    minutes  for which each cell is measured: costs are then those of a minute (the table's
           attrs["a_minute"] says so), else of the whole measured phase

    Columns NAME, NAME_low, NAME_high for `gain` and each cost; `front` tells whether the means are
    on the front, `on_front` in what share of the draws they are; `beaten_by` is the id of a cell
    that is better in everything, empty if none is known.
    """
    import pandas as pd

    measured = Measured(trials, cells)
    sums = {"gain": gain, **costs}
    values = np.stack([measured.total(metric) for metric in sums.values()])
    if minutes is not None:
        values[1:] /= np.array([minutes[cell] for cell in cells])
    whole = np.isfinite(values).all(axis=0)
    # Draws must take the same replicates from every cell that is compared: one of which nearly
    # all trials failed would leave nothing of the others.
    judged = whole.sum(axis=0) >= max(1, min(MARKED_LEAST, whole.sum(axis=0).max(initial=0)))
    common = whole[:, judged].all(axis=1) if judged.any() else np.zeros(0, bool)
    front, certainty = _fronts(values[:, :, judged][:, common], draws)
    beaten = _beaten(values[:, :, judged][:, common])
    names = np.array(list(cells))[judged]
    rows = []
    place = {cell: index for index, cell in enumerate(names)}
    for column, (cell, levels) in enumerate(cells.items()):
        seen = values[:, whole[:, column], column]
        row: dict[str, Any] = {**levels, "cell": cell, "n": seen.shape[1]}
        for (name, metric), numbers in zip(sums.items(), seen, strict=True):
            share = len(metric) == 1 and all(map(is_share, metric)) and {*metric.values()} == {1.0}
            row |= _bounds(name, numbers, share=share)
        at = place.get(cell)
        row["front"] = bool(front[at]) if at is not None and len(front) else False
        row["on_front"] = float(certainty[at]) if at is not None and len(front) else np.nan
        by = beaten[at] if at is not None and len(beaten) else -1
        row["beaten_by"] = str(names[by]) if by >= 0 else ""
        row["note"] = ""
        if at is None:
            row["note"] = FEWER if seen.shape[1] else NOTHING
        elif seen.shape[1] < 2:
            row["note"] = FEW
        rows.append(row)
    frame = pd.DataFrame(rows)
    for axis in dict.fromkeys(axis for levels in cells.values() for axis in levels):
        # As the scenario has them: beside a null 1000 would become 1000.0.
        frame[axis] = pd.Series([row.get(axis) for row in rows], dtype=object)
    frame.attrs["a_minute"] = minutes is not None
    return frame


def minutes_measured(manifest: Manifest) -> dict[str, float]:
    """For how long each cell of a study is measured."""
    return {
        cell: nanoseconds_from(raw) / MINUTE_NS
        for cell, raw in clock_of(manifest, "measure").items()
    }


def of_study(results: Tables, cells: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """tradeoff() of some cells of a study; by the minute if they are measured for other times."""
    minutes = minutes_measured(results.manifest)
    apart = len({minutes[cell] for cell in cells}) > 1
    return tradeoff(results.columns, cells, minutes=minutes if apart else None)


def among(results: Tables, where: Sequence[str]) -> pd.DataFrame:
    """tradeoff() of those cells that have the levels asked for, each written key=level.

    Raises ResultsError when an axis or a level is unknown, or no cell has all the levels.
    """
    cells: Mapping[str, Mapping[str, Any]] = results.cells
    axes = list(dict.fromkeys(axis for levels in cells.values() for axis in levels))
    wanted = []
    for text in where:
        axis, equals, level = text.partition("=")
        if not equals:
            raise ResultsError(f"{shown(text)} is no key=level, such as {axes[0]}=...")
        if axis not in axes:
            hint = did_you_mean(axis, axes)
            raise ResultsError(f"{shown(axis)} is no axis of {results.place}{hint}")
        having = [levels[axis] for levels in cells.values() if axis in levels]
        there = list(dict.fromkeys(map(shown, having)))
        if level not in there:
            raise ResultsError(f"{axis} has no level {shown(level)}; it has {', '.join(there)}")
        wanted.append((axis, level))
    found = {
        cell: levels
        for cell, levels in cells.items()
        if all(axis in levels and shown(levels[axis]) == level for axis, level in wanted)
    }
    if not found:
        raise ResultsError(f"{results.place} has no cell with {' and '.join(where)}")
    return of_study(results, found)


def _bounds(name: str, numbers: Array, *, share: bool) -> dict[str, float]:
    nan = float("nan")
    if len(numbers) < 2:
        middle = float(numbers[0]) if len(numbers) else nan
        return {name: middle, f"{name}_low": nan, f"{name}_high": nan}
    found = mean_interval(numbers, confidence=CONFIDENCE, share=share)
    return {
        name: float(found.mean),
        f"{name}_low": float(found.low),
        f"{name}_high": float(found.high),
    }


def _fronts(values: Array, draws: int) -> tuple[Array, Array]:
    """(on the front by its means, share of draws on the front) for values (sums, n, cells)."""
    n = values.shape[1]
    if n == 0 or values.shape[2] == 0:
        return np.zeros(0, bool), np.zeros(0)
    front = pareto(values.mean(axis=1).T)
    if n < 2:
        return front, np.full(len(front), np.nan)
    # The same draws for the same trials: a result does not change by looking again.
    chance = np.random.default_rng(0)
    times = np.zeros(len(front))
    for _ in range(draws):
        times += pareto(values[:, chance.integers(0, n, n)].mean(axis=1).T)
    return front, times / draws


@np.errstate(all="ignore")
def _beaten(values: Array) -> Array:
    """For each cell the number of one that beats it, -1 if none is known to.

    values  (sums, n, cells): the first sum the more the better, the others the less
    """
    n, cells = values.shape[1:]
    none = np.full(cells, -1)
    if n < MARKED_LEAST or cells < 2:
        return none
    signed = values * np.array([1.0, *[-1.0] * (len(values) - 1)])[:, None, None]
    p = np.ones((cells, cells))
    for cell in range(cells):
        # (sums, others, n): how much better each of the others is.
        better = np.moveaxis(signed - signed[:, :, cell : cell + 1], 1, 2)
        found, _ = mean_tests(better)
        constant = np.ptp(better, axis=2) == 0
        found = np.where(constant, np.where(better[..., 0] > 0, 0.0, 1.0), found)
        alike = (better == 0).all(axis=2)
        found = np.where(alike & ~alike.all(axis=0), 0.0, found)
        p[cell] = found.max(axis=0)
    np.fill_diagonal(p, np.nan)
    sure = holm(p.ravel()).reshape(p.shape) <= 1 - CONFIDENCE
    p[~sure] = np.inf
    return np.where(sure.any(axis=1), np.argmin(p, axis=1), none)


def pareto(points: Array) -> Array:
    """Which rows no other row dominates: first column the more the better, others the less."""
    signed = points * np.array([-1.0, *[1.0] * (points.shape[1] - 1)])
    no_worse = (signed[:, None, :] <= signed[None, :, :]).all(axis=2)
    better = (signed[:, None, :] < signed[None, :, :]).any(axis=2)
    found: Array = ~(no_worse & better).any(axis=0)
    return found


def front_rows(table: pd.DataFrame, *, least: float = 0.05) -> pd.DataFrame:
    """Cells that may be on the front, best service first, beaten ones left out; of cells that are
    alike the first, with the number of the others in `alike`.
    """
    may_be = (table["front"] | (table["on_front"] >= least)) & (table["beaten_by"] == "")
    found = table[may_be].sort_values("gain", ascending=False, kind="stable")
    groups = found.groupby(["gain", *COSTS], sort=False)
    return groups.head(1).assign(alike=groups["cell"].transform("size") - 1)


def varying(table: pd.DataFrame, axes: Sequence[str]) -> list[str]:
    """Axes in which the rows of a table differ at all."""
    return [axis for axis in axes if axis in table and table[axis].nunique(dropna=False) > 1]
