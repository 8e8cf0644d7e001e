"""Sensitivity: which assumptions a metric hangs on, by Sobol's indices.

The response is a cell's mean over the replicates that all cells have. Every cell meets the same
chance (common random numbers), so that what is left between cells is what the ranges do.

    first  share of the metric's variance that goes if this one becomes known (S1)
    total  share that stays while it alone is unknown (ST): its part in interactions included

From the design itself (SALib), with a bootstrap over points, where the design has them; indices of
few points leave [0, 1] and are given as they are. And from a surrogate: a smooth surface through
all points (SciPy's RBFInterpolator) whose indices SciPy works out (sobol_indices). It uses every
point for every index, and serves any design. How far it can be trusted is `r2`: the share of
variance it predicts at points that were left out, whole base points at a time.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from study.intervals import CONFIDENCE
from study.results.errors import ResultsError
from study.scenario.errors import did_you_mean
from study.scenario.sampling import Range, SamplingKeys, draw, is_range, range_of
from study.statistics.measured import Measured

if TYPE_CHECKING:
    import pandas as pd

    from study.intervals import Array
    from study.results import Tables
    from study.results.model import Manifest

RESAMPLES = 1_000
POINTS_LEAST = 128
"""Base points below which a bootstrap over points holds the truth less often than it says."""
R2_LEAST = 0.5
"""Of a surrogate that predicts less, no index is given."""
_FOLDS = 5
_SMOOTHING = 1e-2
_SURFACE_MOST = 1_500
"""Points that a surface goes through; of more every second, or third, base point is taken."""
_DRAWS = 1_024

NO_VARIANCE = "the metric is the same everywhere"
NO_VALUE = "{missing} of {points} points have no value"
NO_TOTAL = "of this design total indices come from the surrogate alone"
FEW_POINTS = "fewer than 128 points: intervals hold less often than they say"
NO_SURROGATE = "no surrogate: it predicts under half of the variance"
TOO_FEW = "too few points"


def sampled_axes(manifest: Manifest) -> dict[str, Range]:
    """The axes of a study that are ranges."""
    axes = manifest["scenario"].get("axes", {})
    # Sorted, as they were drawn.
    return {key: range_of(key, axes[key]) for key in sorted(axes) if is_range(axes[key])}


def sampling_of(manifest: Manifest) -> SamplingKeys:
    """How the points of ranges were drawn. Raises pydantic's ValidationError."""
    return SamplingKeys.model_validate(manifest["scenario"].get("sampling") or {})


def first_that_varies(results: Tables) -> list[str]:
    """The first headline metric that is not the same everywhere, if there is one."""
    trials = results.columns
    for name, _ in results.manifest["headline"]:
        if name in trials and trials[name].nunique() > 1:
            return [name]
    return []


def _ranges(results: Tables) -> dict[str, Range]:
    ranges = sampled_axes(results.manifest)
    if not ranges:
        raise ResultsError(f"{results.place}: no axis is a range, such as uniform: [0.2, 0.9]")
    return ranges


def tables_of(results: Tables, metrics: Sequence[str] = ()) -> list[pd.DataFrame]:
    """sensitivity() of each metric; unless one is named, of the first of the headline that varies.

    Raises ResultsError as sensitivity() does, and when no metric of the headline varies.
    """
    _ranges(results)
    names = list(metrics) or first_that_varies(results)
    if not names:
        raise ResultsError(f"{results.place}: no metric of the headline varies; name one")
    return [sensitivity(results, name) for name in names]


def sensitivity(results: Tables, metric: str) -> pd.DataFrame:
    """One row per range, for each combination of the levels of other axes.

    Columns: the other axes, axis, metric, first, first_low, first_high, total, total_low,
    total_high, first_surrogate, total_surrogate, r2, trend, points, replicates, note. `trend` is
    Spearman's rank correlation of the metric with the axis. Raises ResultsError when no axis is a
    range, no cell is one of its points, or the metric is unknown.
    """
    import pandas as pd

    ranges = _ranges(results)
    measured = Measured(results.columns, results.cells)
    if metric not in measured.metrics:
        hint = did_you_mean(metric, measured.metrics)
        raise ResultsError(f"{metric} is no metric of {results.place}{hint}")
    sampling = sampling_of(results.manifest)
    points = draw(ranges, sampling, seed=results.manifest["seed"])
    rows: list[dict[str, Any]] = []
    for others, columns in _designs(measured, ranges, points):
        values = measured.values(metric)[:, columns]
        whole = np.isfinite(values).all(axis=1)
        response = values[whole].mean(axis=0) if whole.any() else np.full(len(columns), np.nan)
        missing = int((~np.isfinite(values).any(axis=0)).sum())
        indices = _indices(response, ranges, points, sampling, missing)
        surrogate = _by_surrogate(response, ranges, points, sampling)
        common = {"points": sampling.points, "replicates": int(whole.sum())}
        for axis, own, smooth in zip(ranges, indices, surrogate, strict=True):
            notes = [own.pop("note"), smooth.pop("note")]
            if np.isfinite(own["first"]) and sampling.points < POINTS_LEAST:
                notes.append(FEW_POINTS)
            note = {"note": "; ".join(filter(None, notes))}
            trend = _trend(response, [point[axis] for point in points], ranges[axis])
            rows.append(
                {
                    **others,
                    "axis": axis,
                    "metric": metric,
                    **own,
                    **smooth,
                    "trend": trend,
                    **common,
                }
                | note
            )
    if not rows:
        raise ResultsError(
            f"{results.place}: no cell has the levels that are drawn from its ranges; "
            "its scenario is not the one that made it"
        )
    return pd.DataFrame(rows)


def _designs(
    measured: Measured, ranges: Mapping[str, Range], points: list[dict[str, Any]]
) -> Iterator[tuple[dict[str, Any], list[int]]]:
    """For each combination of the other axes: their levels, and the column of every point."""
    names = list(ranges)
    found: dict[tuple[tuple[str, Any], ...], dict[tuple[Any, ...], int]] = {}
    for cell, levels in measured.cells.items():
        other_levels = tuple((key, level) for key, level in levels.items() if key not in ranges)
        place = tuple(levels[name] for name in names)
        found.setdefault(other_levels, {})[place] = measured.index[cell]
    for other_levels, columns in found.items():
        places = [tuple(point[name] for name in names) for point in points]
        if all(place in columns for place in places):
            yield dict(other_levels), [columns[place] for place in places]


_NAMES = [f"{index}{end}" for index in ("first", "total") for end in ("", "_low", "_high")]


def _indices(
    response: Array,
    ranges: Mapping[str, Range],
    points: list[dict[str, Any]],
    sampling: SamplingKeys,
    missing: int,
) -> list[dict[str, Any]]:
    """first, total and their bounds for every range; NaN with a note where there are none."""
    nothing: dict[str, Any] = dict.fromkeys(_NAMES, float("nan"))
    if not np.isfinite(response).all():
        text = NO_VALUE.format(missing=missing, points=len(points))
        return [nothing | {"note": text} for _ in ranges]
    # Sums of equal numbers leave dust that would be divided by.
    if np.ptp(response) <= 1e-12 * np.abs(response).max():
        return [nothing | {"note": NO_VARIANCE} for _ in ranges]
    problem = {
        "num_vars": len(ranges),
        "names": list(ranges),
        "bounds": [[axis.low, axis.high] for axis in ranges.values()],
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if sampling.design == "saltelli":
            return _by_saltelli(problem, response)
        return _by_rbd_fast(problem, response, ranges, points)


def _by_saltelli(problem: dict[str, Any], response: Array) -> list[dict[str, Any]]:
    from SALib.analyze import sobol

    found = sobol.analyze(
        problem,
        response,
        calc_second_order=False,
        num_resamples=RESAMPLES,
        conf_level=CONFIDENCE,
        seed=1,
    )
    return [
        {
            **_bounds("first", float(found["S1"][index]), float(found["S1_conf"][index])),
            **_bounds("total", float(found["ST"][index]), float(found["ST_conf"][index])),
            "note": "",
        }
        for index in range(problem["num_vars"])
    ]


def _by_rbd_fast(
    problem: dict[str, Any],
    response: Array,
    ranges: Mapping[str, Range],
    points: list[dict[str, Any]],
) -> list[dict[str, Any]]:
    from SALib.analyze import rbd_fast

    nothing: dict[str, Any] = dict.fromkeys(_NAMES, float("nan"))
    at = np.array([[_value(point[axis], ranges[axis]) for axis in ranges] for point in points])
    # RBD-FAST looks at ten harmonics, and needs twice as many points and one.
    if len(points) < 32:
        return [nothing | {"note": TOO_FEW} for _ in ranges]
    found = rbd_fast.analyze(
        problem, at, response, num_resamples=100, conf_level=CONFIDENCE, seed=1
    )
    return [
        nothing
        | _bounds("first", float(found["S1"][index]), float(found["S1_conf"][index]))
        | {"note": NO_TOTAL}
        for index in range(problem["num_vars"])
    ]


def _by_surrogate(
    response: Array,
    ranges: Mapping[str, Range],
    points: list[dict[str, Any]],
    sampling: SamplingKeys,
) -> list[dict[str, Any]]:
    """first_surrogate, total_surrogate and r2 for every range; NaN with a note where there are
    none.
    """
    from scipy.stats import sobol_indices, uniform

    names = ("first_surrogate", "total_surrogate", "r2")
    nothing: dict[str, Any] = dict.fromkeys(names, float("nan")) | {"note": ""}
    spread = float(response.std()) if np.isfinite(response).all() else 0.0
    if not spread > 1e-12 * np.abs(response).max():
        return [dict(nothing) for _ in ranges]
    at = np.array([[_position(point[axis], ranges[axis]) for axis in ranges] for point in points])
    values = (response - response.mean()) / spread
    # Points of one base point are near each other: a fold has all of them.
    base = np.arange(len(points)) // (len(ranges) + 2 if sampling.design == "saltelli" else 1)
    taken = base % ceil(len(points) / _SURFACE_MOST) == 0
    at, values = at[taken], values[taken]
    fold = np.unique(base[taken], return_inverse=True)[1] % _FOLDS
    predicted = np.full(len(values), np.nan)
    for number in range(_FOLDS):
        left_out = fold == number
        model = _surface(at[~left_out], values[~left_out])
        if model is None:
            return [dict(nothing) | {"note": TOO_FEW} for _ in ranges]
        predicted[left_out] = model(at[left_out])
    r2 = 1 - float(((predicted - values) ** 2).mean())
    model = _surface(at, values)
    if model is None or not r2 >= R2_LEAST:
        return [dict(nothing) | {"r2": r2, "note": NO_SURROGATE} for _ in ranges]
    found = sobol_indices(
        func=lambda x: model(x.T),
        n=_DRAWS,
        dists=[uniform()] * len(ranges),
        rng=np.random.default_rng(1),
    )
    return [
        {
            "first_surrogate": float(found.first_order[index]),
            "total_surrogate": float(found.total_order[index]),
            "r2": r2,
            "note": "",
        }
        for index in range(len(ranges))
    ]


def _surface(at: Array, values: Array) -> Callable[[Array], Array] | None:
    """A smooth surface through values at points of the unit cube; None if they are too few for
    one.
    """
    from scipy.interpolate import RBFInterpolator

    # A point that was drawn twice counts once.
    at, places = np.unique(at, axis=0, return_inverse=True)
    values = np.bincount(places.ravel(), weights=values) / np.bincount(places.ravel())
    if len(at) < 2 * (at.shape[1] + 1):
        return None
    try:
        model = RBFInterpolator(at, values, kernel="cubic", smoothing=_SMOOTHING)
    except np.linalg.LinAlgError:
        return None
    surface: Callable[[Array], Array] = model
    return surface


def _position(level: Any, axis: Range) -> float:
    """Where a level lies between the ends of its range, 0 to 1, as it was drawn."""
    value = _value(level, axis)
    if axis.kind == "log_uniform":
        return float(np.log(value / axis.low) / np.log(axis.high / axis.low))
    if axis.kind == "integers":
        return (value - axis.low + 0.5) / (axis.high - axis.low + 1)
    return (value - axis.low) / (axis.high - axis.low)


def _bounds(name: str, value: float, half: float) -> dict[str, float]:
    return {name: value, f"{name}_low": value - half, f"{name}_high": value + half}


def _trend(response: Array, levels: list[Any], axis: Range) -> float:
    from scipy import stats

    if not np.isfinite(response).all() or np.ptp(response) == 0:
        return float("nan")
    values = [_value(level, axis) for level in levels]
    return float(stats.spearmanr(values, response).statistic)


def _value(level: Any, axis: Range) -> float:
    """The number in a level of a range."""
    return float(str(level).removesuffix(axis.unit))
