"""Main effects: what one axis does, averaged over everything else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from study.intervals import mean_interval
from study.statistics.contrasts import (
    LEVELS_MOST,
    OverCells,
    Pair,
    all_paired,
    holm,
    levels_of,
    over_cells,
    pairs_of_cells,
    significant,
)
from study.statistics.measured import Measured
from study.zone.trial.metrics import is_share

if TYPE_CHECKING:
    import pandas as pd

    from study.intervals import Array
    from study.results.trials import TrialColumns


@dataclass(frozen=True)
class Effect:
    """One metric at one level of one axis, against the axis's first level.

    axis             whose level it is
    level            what the scenario calls it
    metric           its column
    mean             over the replicates' means
    low, high        95 % interval of the mean; NaN below two replicates
    difference       from the first level, paired by replicate: both met the same workload
    difference_low   lower end of its 95 % interval
    difference_high  upper end
    replicates       that have a value at this level and the first
    over_cells       what each matched pair of cells shows; None where no setting of the other axes
                     has values at all levels: then there is no difference either
    marked           the interval of the mean may be too short
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
    import pandas as pd

    groups, matched = matched_cells(axis, cells)
    measured = Measured(trials, cells)
    means = {
        metric: _level_means(measured, measured.values(metric), groups, matched=matched > 0)[0]
        for metric in metrics
    }
    for row, level in enumerate(groups):
        yield (
            level,
            {
                metric: pd.Series(found[row], index=measured.replicates).dropna()
                for metric, found in means.items()
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
    part in the difference. Settings under which a level never has a value (its trials failed, a
    ratio has no denominator) are left out at every level, unless the level has none at all. Where
    that leaves no setting, levels have means and no difference.

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
    groups, matched = matched_cells(axis, cells)
    first_level, first_ids = next(
        ((level, tuple(ids)) for level, ids in groups.items()), (None, ())
    )
    effects: list[Effect] = []
    measured = Measured(trials, cells)
    for metric in metrics:
        by_cell = measured.values(metric)
        of_levels, alike = _level_means(measured, by_cell, groups, matched=matched > 0)
        share = is_share(metric)
        for means, (level, ids) in zip(of_levels, groups.items(), strict=True):
            gap = means - of_levels[0]
            if matched and not alike:
                gap = np.full_like(gap, np.nan)
            mean, low, high, marked = mean_and_bounds(means, share=share)
            difference, below, above, _ = mean_and_bounds(gap, share=False)
            contrast = None
            if matched and alike:
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
                    replicates=int(np.isfinite(gap).sum()),
                    over_cells=contrast,
                    marked=marked,
                )
            )
    return effects, matched


def significant_levels(
    trials: pd.DataFrame | TrialColumns,
    *,
    cells: Mapping[str, Mapping[str, Any]],
    axes: Iterable[str],
    metrics: Sequence[str],
) -> dict[tuple[str, str, Any], float]:
    """(metric, axis, level) -> difference from the axis's first level, where it is significant.

    Of the means that main_effects() gives, so of axes with matched cells only, and of those of at
    most 12 levels. Holm's correction covers all of them together, at 5 %. A difference that is the
    same in every replicate has no p-value, and counts. Fewer than five replicates mark nothing.
    """
    import pandas as pd

    measured = Measured(trials, cells)
    places: list[tuple[str, str, Any]] = []
    sides: list[tuple[Array, Array]] = []
    for axis in axes:
        groups, matched = matched_cells(axis, cells)
        if not matched or len(groups) > LEVELS_MOST:
            continue
        for metric in metrics:
            means, alike = _level_means(measured, measured.values(metric), groups, matched=True)
            if not alike:
                continue
            for row, level in list(enumerate(groups))[1:]:
                both = np.isfinite(means[row]) & np.isfinite(means[0])
                places.append((metric, axis, level))
                sides.append((means[row][both], means[0][both]))
    if not sides:
        return {}
    table = pd.DataFrame(all_paired(sides))
    table["p_holm"] = holm(table["p"].to_numpy(np.float64))
    return {
        place: float(gap)
        for place, gap, marked in zip(places, table["difference"], significant(table), strict=True)
        if marked
    }


def matched_cells(
    axis: str, cells: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[Any, list[str]], int]:
    """Level -> ids of the cells to average, and how many matched cells each level has."""
    having = {cell: levels for cell, levels in cells.items() if axis in levels}
    wanted = levels_of(cells, axis)
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


@np.errstate(all="ignore")
def _level_means(
    measured: Measured, values: Array, groups: Mapping[Any, Sequence[str]], *, matched: bool
) -> tuple[Array, bool]:
    """Mean over the cells of each level, (levels, replicates), NaN for none.

    And whether like is compared with like: there may be no setting under which all levels have
    values.

    values  of a metric, (replicates, cells)
    """
    sides = [values[:, [measured.index[cell] for cell in ids]] for ids in groups.values()]
    if matched:
        seen = np.isfinite(np.stack(sides))
        # A level without any value has nothing to be compared with, and takes nothing away.
        seen = seen[seen.any(axis=(1, 2))]
        ever = seen.any(axis=1).all(axis=0)
        if ever.any():
            sides, common = [side[:, ever] for side in sides], seen[:, :, ever].all(axis=0)
            if seen[:, :, ever].all(axis=2).any(axis=1).all():
                return np.stack([side.mean(axis=1) for side in sides]), True
            # A ratio may have no value in some cell of every replicate: then what all levels have.
            return np.stack([_mean_of(side, common) for side in sides]), True
    return np.stack([_mean_of_some(side) for side in sides]), False


def _mean_of(side: Array, which: Array) -> Array:
    found: Array = np.where(which, side, 0).sum(axis=1) / which.sum(axis=1)
    return found


def _mean_of_some(side: Array) -> Array:
    """Mean over the cells that ever have a value; where no replicate has them all, over some."""
    seen = np.isfinite(side)
    ever = seen.any(axis=0)
    whole = seen[:, ever].all(axis=1)
    return side[:, ever].mean(axis=1) if whole.any() else _mean_of(side, seen)


def mean_and_bounds(
    values: pd.Series[float] | Array, *, share: bool
) -> tuple[float, float, float, bool]:
    """Mean, bounds of its interval (NaN below two values), and whether that may be too short."""
    numbers = np.asarray(values, np.float64)
    numbers = numbers[np.isfinite(numbers)]
    nan = float("nan")
    if len(numbers) < 2:
        return (float(numbers[0]) if len(numbers) else nan), nan, nan, False
    found = mean_interval(numbers, share=share)
    return float(numbers.mean()), float(found.low), float(found.high), bool(found.marked)
