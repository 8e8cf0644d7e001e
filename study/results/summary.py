"""summary.csv: what each cell measured, metric by metric, with its uncertainty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from study.intervals import mean_interval
from study.results.columns import AFTER_AXES, BEFORE_AXES
from study.results.files import write_whole
from study.results.folder import Folder
from study.results.spreadsheet import to_csv
from study.results.trials import TrialColumns
from study.zone.trial.metrics import is_share

if TYPE_CHECKING:
    import pandas as pd

    from study.intervals import Array

NO_TRIAL = "no trial finished"
NO_VALUE = "no trial has a value"
ONE_VALUE = "one value: no spread"
ALL_EQUAL = "all values equal"
TOO_LARGE = "values too large for a spread"
SKEWED = "skewed: the interval may be too short"
FEW = "fewer than five values differ: the interval may be too short"


def write_summary(folder: Folder) -> None:
    """Write summary.csv from the trials table, of which one column at a time is in memory."""
    table = summarise(TrialColumns(folder), cells=folder.manifest["cells"])
    write_whole(folder.summary, to_csv(table))


def summarise(
    trials: pd.DataFrame | TrialColumns, *, cells: dict[str, dict[str, Any]]
) -> pd.DataFrame:
    """One row per cell and metric: axes, cell, metric, n, mean, sd, low, high, failed, note.

    trials  as read_trials() gives it, or its columns
    cells   id -> levels, in the order wanted; cells without a trial are listed too

    n counts the finished trials that have a finite value; low and high bound the mean with 95 %
    confidence (study/intervals.py). Where there is nothing to say the fields are NaN and `note`
    says why; it also marks an interval that may be too short.
    """
    import pandas as pd

    axes, metrics = axis_and_metric_names(trials)
    ids = list(cells)
    cell_of = pd.Categorical(trials["cell"], categories=ids).codes.astype(np.int64)
    ok = (trials["status"] == "ok").to_numpy()
    failed = np.bincount(cell_of[~ok], minlength=len(ids))
    finished = np.bincount(cell_of[ok], minlength=len(ids))

    names = [*axes, "cell", "metric", "n", "mean", "sd", "low", "high", "failed", "note"]
    if not metrics:
        return pd.DataFrame(columns=names)
    # Cell by cell, so that those with as many values are rows of one array.
    cell_of = cell_of[ok]
    order = np.argsort(cell_of, kind="stable")
    spreads = [
        _spread(
            trials[metric].to_numpy(np.float64)[ok],
            cell_of,
            finished,
            order=order,
            share=is_share(metric),
        )
        for metric in metrics
    ]
    each = np.repeat(np.arange(len(ids)), len(metrics))
    # Cell by cell reads better than metric by metric.
    columns: dict[str, Any] = {
        name: np.stack([spread[name] for spread in spreads], axis=1).ravel() for name in spreads[0]
    }
    for axis in axes:
        levels = [cells[cell].get(axis) for cell in ids]
        columns[axis] = [levels[index] for index in each]
    columns["cell"] = [ids[index] for index in each]
    columns["metric"] = metrics * len(ids)
    columns["failed"] = failed[each]
    return pd.DataFrame({name: columns[name] for name in names})


def axis_and_metric_names(trials: pd.DataFrame | TrialColumns) -> tuple[list[str], list[str]]:
    """Names of the axis columns and of the metric columns of a trials table."""
    names = list(trials.columns)
    first, last = names.index(AFTER_AXES[0]), names.index(AFTER_AXES[-1])
    return names[len(BEFORE_AXES) : first], names[last + 1 :]


def _spread(
    values: Array,
    cell_of: Array,
    finished: Array,
    *,
    order: Array,
    share: bool,
) -> dict[str, Any]:
    """n, mean, sd, low, high and note per cell. Sums run in the order of the rows given."""
    cells = len(finished)
    there = np.isfinite(values)
    in_order = values[order][there[order]]
    values, cell_of = values[there], cell_of[there]
    n = np.bincount(cell_of, minlength=cells)
    with np.errstate(all="ignore"):
        mean = np.bincount(cell_of, weights=values, minlength=cells) / n
        low_value, high_value = np.full(cells, np.inf), np.full(cells, -np.inf)
        np.minimum.at(low_value, cell_of, values)
        np.maximum.at(high_value, cell_of, values)
        equal = (n > 1) & (low_value == high_value)
        # The sum of equal numbers, divided, need not be that number.
        mean = np.where(equal, low_value, mean)
        squares = np.bincount(cell_of, weights=(values - mean[cell_of]) ** 2, minlength=cells)
        sd = np.where(n > 1, np.sqrt(squares / np.maximum(n - 1, 1)), np.nan)
    low, high, skewed, few = _bounds(in_order, n, share=share)
    large = (n > 0) & ~np.isfinite(mean) | (n > 1) & ~np.isfinite([sd, low, high]).all(axis=0)
    mean = np.where(large & ~np.isfinite(mean), np.nan, mean)
    sd, low, high = (np.where(large, np.nan, found) for found in (sd, low, high))
    note = np.full(cells, "", dtype=object)
    missing = finished - n
    for index in np.flatnonzero(missing > 0):
        note[index] = f"{missing[index]} of {finished[index]} trials have no value"
    for condition, text in (
        (finished == 0, NO_TRIAL),
        ((finished > 0) & (n == 0), NO_VALUE),
        (n == 1, ONE_VALUE),
        (equal, ALL_EQUAL),
        (few & ~equal & ~large, FEW),
        (skewed & ~few & ~large, SKEWED),
        (large, TOO_LARGE),
    ):
        for index in np.flatnonzero(condition):
            note[index] = f"{text}; {note[index]}" if note[index] and n[index] else text
    mean[n == 0] = np.nan
    return {
        "n": n,
        "mean": mean,
        "sd": sd,
        "low": low,
        "high": high,
        "note": note,
    }


def _bounds(values: Array, n: Array, *, share: bool) -> tuple[Array, Array, Array, Array]:
    """Bounds of the mean of each cell, and how they are marked: skewed, few that differ.

    values  finite ones, cell by cell
    n       how many each cell has
    """
    low, high = np.full(len(n), np.nan), np.full(len(n), np.nan)
    skewed, few = np.zeros(len(n), bool), np.zeros(len(n), bool)
    starts = np.cumsum(n) - n
    for count in np.unique(n[n > 1]):
        cells = np.flatnonzero(n == count)
        of_cells = values[starts[cells][:, None] + np.arange(count)]
        found = mean_interval(of_cells, share=share)
        low[cells], high[cells] = found.low, found.high
        skewed[cells], few[cells] = found.skewed, found.few
    return low, high, skewed, few
