"""Main effects: what one axis does, averaged over everything else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from study.intervals import mean_interval
from study.statistics.contrasts import OverCells, Pair, over_cells, pairs_of_cells
from study.statistics.measured import Measured
from study.zone.trial.metrics import is_share

if TYPE_CHECKING:
    import pandas as pd

    from study.results.trials import TrialColumns


@dataclass(frozen=True)
class Effect:
    """One metric at one level of one axis, against the axis's first level.

    mean        over the replicates' means; low and high its 95 % interval (NaN below two)
    difference  from the first level, paired by replicate: both met the same workload; with its
                interval
    replicates  that have a value at this level and the first
    over_cells  what each matched pair of cells shows; None without matched cells
    marked      the interval of the mean may be too short
    """

    axis: str
    level: Any
    metric: str
    mean: float
    low: float
    high: float
    difference: float
    difference_low: float
    difference_high: float
    replicates: int
    over_cells: OverCells | None
    marked: bool


def level_means(
    trials: pd.DataFrame | TrialColumns,
    *,
    axis: str,
    metrics: Sequence[str],
    cells: Mapping[str, Mapping[str, Any]],
) -> Iterator[tuple[Any, dict[str, pd.Series[float]]]]:
    """Each level of an axis with the means of some metrics, one value a replicate.

    Over the cells that main_effects() compares.
    """
    groups, _ = _matched_cells(axis, cells)
    ok = (trials["status"] == "ok").to_numpy()
    cell, replicate = trials["cell"][ok], trials["replicate"][ok]
    for level, ids in groups.items():
        here = cell.isin(ids).to_numpy()
        yield (
            level,
            {
                metric: _replicate_means(trials[metric][ok][here], replicate[here], len(ids))
                for metric in metrics
            },
        )


def main_effects(
    trials: pd.DataFrame | TrialColumns,
    *,
    axis: str,
    metrics: Sequence[str],
    cells: Mapping[str, Mapping[str, Any]],
) -> tuple[list[Effect], int]:
    """Effects of the levels of one axis on some metrics.

    Levels are compared like with like: over those settings of the other axes under which every
    level of this one was run. If there are none, over all cells, and the other axes may have a
    part in the difference.

    Parameters
    ----------
    trials
        As read_trials() returns them, or by column.
    axis
        A key of the scenario. Cells that do not have it are left out.
    metrics
        Names of columns of `trials`.
    cells
        Id -> levels by axis.

    Returns
    -------
    effects : list of Effect
        By metric, and within one by level, in the order of the scenario.
    matched : int
        Matched cells that each level is averaged over; 0 if there are none.
    """
    groups, matched = _matched_cells(axis, cells)
    first_level, first_ids = next(
        ((level, tuple(ids)) for level, ids in groups.items()), (None, ())
    )
    ok = (trials["status"] == "ok").to_numpy()
    cell, replicate = trials["cell"][ok], trials["replicate"][ok]
    of_level = {level: cell.isin(ids).to_numpy() for level, ids in groups.items()}
    effects: list[Effect] = []
    measured = Measured(trials, cells)
    for metric in metrics:
        values = trials[metric][ok]
        by_cell = measured.values(metric)
        first: pd.Series[float] | None = None
        share = is_share(metric)
        for level, ids in groups.items():
            here = of_level[level]
            means = _replicate_means(values[here], replicate[here], len(ids))
            first = means if first is None else first
            gap = (means - first).dropna()
            mean, low, high, marked = mean_and_bounds(means, share=share)
            difference, below, above, _ = mean_and_bounds(gap, share=False)
            contrast = None
            if matched:
                pair = Pair("axis", axis, level, first_level, tuple(ids), first_ids)
                contrast = over_cells(*pairs_of_cells(measured, by_cell, pair))
            effects.append(
                Effect(
                    axis=axis,
                    level=level,
                    metric=metric,
                    mean=mean,
                    low=low,
                    high=high,
                    difference=difference,
                    difference_low=below,
                    difference_high=above,
                    replicates=len(gap),
                    over_cells=contrast,
                    marked=marked,
                )
            )
    return effects, matched


def _matched_cells(
    axis: str, cells: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[Any, list[str]], int]:
    """Level -> ids of the cells to average, and how many matched cells each level has."""
    having = {cell: levels for cell, levels in cells.items() if axis in levels}
    wanted = list(dict.fromkeys(levels[axis] for levels in having.values()))
    settings: dict[tuple[Any, ...], dict[Any, str]] = {}
    for cell, levels in having.items():
        others = tuple(sorted((key, str(level)) for key, level in levels.items() if key != axis))
        settings.setdefault(others, {})[levels[axis]] = cell
    whole = [by_level for by_level in settings.values() if len(by_level) == len(wanted)]
    if whole:
        return {level: [by_level[level] for by_level in whole] for level in wanted}, len(whole)
    every = {
        level: [cell for cell, levels in having.items() if levels[axis] == level]
        for level in wanted
    }
    return every, 0


def _replicate_means(
    values: pd.Series[float], replicate: pd.Series[int], cells: int
) -> pd.Series[float]:
    """Mean over the cells, per replicate; only of replicates that all the cells finished."""
    per_replicate = values.dropna().groupby(replicate)
    counts = per_replicate.count()
    means: pd.Series[float] = per_replicate.mean()
    whole = means[counts == cells]
    # A ratio may have no value in some cell of every replicate: then take what there is.
    return whole if len(whole) else means


def mean_and_bounds(values: pd.Series[float], *, share: bool) -> tuple[float, float, float, bool]:
    """Mean, bounds of its interval (NaN below two values), and whether that may be too short."""
    numbers = values.to_numpy(np.float64)
    numbers = numbers[np.isfinite(numbers)]
    nan = float("nan")
    if len(numbers) < 2:
        return (float(numbers[0]) if len(numbers) else nan), nan, nan, False
    found = mean_interval(numbers, share=share)
    return float(values.mean()), float(found.low), float(found.high), bool(found.marked)
