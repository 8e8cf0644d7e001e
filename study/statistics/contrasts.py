"""Contrasts: what a level does against another, cell by cell and over all of them, paired.

All cells of a replicate meet the same load, so that they are compared within it: the unit is the
replicate, never the request. Of each difference there are

    difference, low, high   mean of the paired differences, and its 95 % interval (intervals.py)
    ratio, ratio_low, _high geometric mean of the paired ratios, if all values are above 0
    effect                  Hedges' g: the difference in units of the spread between replicates
    p, p_holm               paired test (intervals.py), and after Holm's correction within `family`
    pairing                 variance of an unpaired difference over that of the paired one
    constant, least, most,  what the matched pairs of cells show one by one (OverCells)
    up, down, reacting
    note                    why something of it is missing
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from study.intervals import CONFIDENCE, mean_interval, mean_test
from study.results.read import Cells
from study.results.summary import SKEWED
from study.statistics.measured import Measured

if TYPE_CHECKING:
    import pandas as pd

    from study.intervals import Array
    from study.results.trials import TrialColumns

PAIRS_MOST = 2_000
"""Pairs of single cells beyond this are left out; the axes say the same of many cells."""
LEVELS_MOST = 12
"""An axis of more levels is a range that was sampled: pairs of its levels say nothing."""

NOT_PAIRED = "each level met a load of its own: not paired"
NO_PAIR = "no replicate has both"
ONE_PAIR = "one replicate: no spread"
ALL_ZERO = "no replicate differs"
ALL_EQUAL = "every replicate differs by the same"
TOO_LARGE = "values too large for a spread"
NO_RATIO = "no ratio as not all values are above 0"
FEW = "fewer than five replicates differ: the interval may be too short"
MARKED_LEAST = 5
"""Fewer replicates mark nothing: a few counts of events are equal by chance."""
SIGNS_LEAST = 6
"""Replicates from which a difference that is the same in all of them counts: so many signs alike
are chance in less than one of twenty (2 / 2 ** 6). Shares of few requests often differ alike.
"""


@dataclass(frozen=True)
class Pair:
    """Two groups of cells to compare, matched one to one.

    kind         'axis' for levels averaged over everything else, 'cell' for two single cells
    axis         that the two differ in
    level        of the axis, in the cells of `left`
    against      the other level, in the cells of `right`
    left, right  ids of cells, the one at a place matched with the other there
    """

    kind: str
    axis: str
    level: Any
    against: Any
    left: tuple[str, ...]
    right: tuple[str, ...]


def levels_of(cells: Mapping[str, Mapping[str, Any]], axis: str) -> list[Any]:
    """Levels of an axis, in the order of the scenario; of cells alone, in theirs."""
    found = dict.fromkeys(levels[axis] for levels in cells.values() if axis in levels)
    by_text = {str(level): level for level in found}
    order = cells.order.get(axis, ()) if isinstance(cells, Cells) else ()
    return list(dict.fromkeys([*(by_text[text] for text in order if text in by_text), *found]))


def axis_pairs(
    cells: Mapping[str, Mapping[str, Any]], axes: Iterable[str], *, long_axes: bool = False
) -> Iterator[Pair]:
    """Every two levels of every axis, over the settings of other axes that both were run under.

    Axes of more than 12 levels are left out; with `long_axes` each of their levels is held against
    the first.
    """
    for axis in axes:
        by_level = _by_level(cells, axis)
        couples: Iterable[tuple[Any, Any]] = itertools.combinations(by_level, 2)
        if len(by_level) > LEVELS_MOST:
            if not long_axes:
                continue
            couples = itertools.product([*by_level][:1], [*by_level][1:])
        for against, level in couples:
            shared = [others for others in by_level[level] if others in by_level[against]]
            if shared:
                left = tuple(by_level[level][others] for others in shared)
                right = tuple(by_level[against][others] for others in shared)
                yield Pair("axis", axis, level, against, left, right)


def cell_pairs(cells: Mapping[str, Mapping[str, Any]], axes: Iterable[str]) -> Iterator[Pair]:
    """Every two cells that differ in one axis only."""
    for pair in axis_pairs(cells, axes):
        for left, right in zip(pair.left, pair.right, strict=True):
            yield Pair("cell", pair.axis, pair.level, pair.against, (left,), (right,))


def _by_level(
    cells: Mapping[str, Mapping[str, Any]], axis: str
) -> dict[Any, dict[tuple[tuple[str, str], ...], str]]:
    """Level -> what the other axes say -> cell."""
    found: dict[Any, dict[tuple[tuple[str, str], ...], str]] = {}
    for cell, levels in cells.items():
        if axis in levels:
            others = tuple((key, repr(level)) for key, level in levels.items() if key != axis)
            found.setdefault(levels[axis], {})[others] = cell
    return {level: found[level] for level in levels_of(cells, axis)}


def contrast_table(
    trials: pd.DataFrame | TrialColumns,
    *,
    cells: Mapping[str, Mapping[str, Any]],
    axes: Iterable[str],
    headline: Sequence[str] = (),
    metrics: Sequence[str] | None = None,
    nuisance: Sequence[str] = (),
) -> pd.DataFrame:
    """All contrasts of a study, one row each.

    Levels are compared on every metric, single cells on `headline` only.

    Parameters
    ----------
    trials
        As read_trials() returns them, or by column.
    cells
        Id -> levels by axis.
    axes
        Those whose levels are compared, unless they are more than 12.
    headline
        Metrics that single cells are compared on. For Holm's adjustment they are a family of their
        own.
    metrics
        Those to compare; None for all there are.
    nuisance
        Axes whose levels met other loads: what compares them is not paired, and a note says so.

    Returns
    -------
    pandas.DataFrame
        One row per metric and pair. `n` counts the replicates that have both sides, `cells` the
        matched pairs averaged in each of them; differences and intervals are in the metric's unit.
    """
    import pandas as pd

    measured = Measured(trials, cells)
    wanted = [name for name in measured.metrics if metrics is None or name in metrics]
    axes = [axis for axis in axes if any(axis in levels for levels in cells.values())]
    of_axes = list(axis_pairs(cells, axes))
    of_cells = list(itertools.islice(cell_pairs(cells, axes), PAIRS_MOST + 1))
    of_cells = of_cells if len(of_cells) <= PAIRS_MOST else []
    shown = [name for name in wanted if name in headline]
    others = [name for name in wanted if name not in headline]
    frames = [
        _rows(measured, of_axes, shown, "levels, headline"),
        _rows(measured, of_axes, others, "levels, other metrics"),
        _rows(measured, of_cells, shown, "cells, headline"),
    ]
    found = pd.concat([_holm(frame) for frame in frames], ignore_index=True)
    apart = found["axis"].isin(list(nuisance))
    found.loc[apart, "note"] = [
        "; ".join(filter(None, [note, NOT_PAIRED])) for note in found.loc[apart, "note"]
    ]
    return found


def significant(table: pd.DataFrame, alpha: float | Array = 1 - CONFIDENCE) -> pd.Series[bool]:
    """Which differences count beside all others: those of few replicates never do.

    Parameters
    ----------
    table
        With p_holm, note and n, as contrast_table() gives them.
    alpha
        Chance of any wrong one; one for each row if that hangs on its replicates.
    """
    alike = table["note"].str.contains(ALL_EQUAL) & (table["n"] >= SIGNS_LEAST)
    found = (table["p_holm"] <= alpha) | alike
    return found & (table["n"] >= MARKED_LEAST)


_OVER_CELLS = ("constant", "least", "most", "up", "down", "reacting")
_NUMBERS = (
    *("mean", "mean_against", "difference", "low", "high"),
    *("ratio", "ratio_low", "ratio_high", "effect", "p", "p_holm", "pairing"),
)
_COLUMNS = [
    *("kind", "axis", "level", "against", "cell", "cell_against", "metric", "family"),
    *("n", "cells", *_NUMBERS, *_OVER_CELLS, "note"),
]


def _rows(
    measured: Measured, pairs: Sequence[Pair], metrics: Sequence[str], family: str
) -> pd.DataFrame:
    import pandas as pd

    sides: list[tuple[Array, Array]] = []
    rows: list[dict[str, Any]] = []
    for metric in metrics:
        values = measured.values(metric)
        for pair in pairs:
            left, right, matched = both_sides(measured, values, pair)
            sides.append((left, right))
            single = pair.kind == "cell"
            rows.append(
                {
                    "kind": pair.kind,
                    "axis": pair.axis,
                    "level": pair.level,
                    "against": pair.against,
                    "cell": pair.left[0] if single else "",
                    "cell_against": pair.right[0] if single else "",
                    "metric": metric,
                    "family": family,
                    "cells": matched,
                }
            )
    overs = _all_over_cells(measured, [pair for pair in pairs if pair.kind == "axis"], metrics)
    for row, found in zip(rows, all_paired(sides), strict=True):
        row.update(found)
        row.update(_of_one(found) if row["kind"] == "cell" else vars(next(overs)))
    frame = pd.DataFrame(rows, columns=_COLUMNS)
    for name in ("level", "against"):
        # As the scenario has them: beside a null 1000 would become 1000.0.
        frame[name] = pd.Series([row[name] for row in rows], dtype=object)
    return frame


def all_paired(sides: Sequence[tuple[Array, Array]]) -> list[dict[str, Any]]:
    """paired() of each, those of as many replicates in one go."""
    found: list[dict[str, Any]] = [{} for _ in sides]
    counts = np.array([len(left) for left, _ in sides], np.int64)
    for n in np.unique(counts):
        places = np.flatnonzero(counts == n).tolist()
        left, right = (np.stack([sides[place][side] for place in places]) for side in (0, 1))
        for place, one in zip(places, _each_paired(left, right), strict=True):
            found[place] = one
    return found


def _all_over_cells(
    measured: Measured, pairs: Sequence[Pair], metrics: Sequence[str]
) -> Iterator[OverCells]:
    """over_cells() of each metric and, within one, of each pair."""
    values = [measured.values(metric) for metric in metrics]
    of_pairs = []
    for pair in pairs:
        sides = [pairs_of_cells(measured, of_metric, pair) for of_metric in values]
        of_pairs.append(_each_over_cells(*(np.stack(side) for side in zip(*sides, strict=True))))
    for row in range(len(metrics)):
        for of_pair in of_pairs:
            yield of_pair[row]


def _of_one(found: Mapping[str, Any]) -> dict[str, float]:
    """The same for two single cells, from what paired() gives: one pair."""
    gap = found["difference"]
    differs = found["n"] >= MARKED_LEAST and found["p"] <= 1 - CONFIDENCE
    ways = {"up": int(differs and gap > 0), "down": int(differs and gap < 0)}
    return {"constant": 0, "least": gap, "most": gap, **ways, "reacting": gap}


@dataclass(frozen=True)
class OverCells:
    """What a difference between two levels hides: that of each matched pair of cells.

    pairs     of cells that have a value on both sides
    constant  of them those that are the same on both sides in every replicate: they cannot react
    least     the smallest difference of a pair
    most      the largest
    up, down  pairs that differ upwards and downwards, at 5 % for all pairs together (Holm)
    reacting  mean difference over the pairs that are not constant
    """

    pairs: int
    constant: int
    least: float
    most: float
    up: int
    down: int
    reacting: float


def pairs_of_cells(measured: Measured, values: Array, pair: Pair) -> tuple[Array, Array]:
    """Values of the cells on the left and on the right, each (replicates, pairs), NaN for none."""
    left = values[:, [measured.index[cell] for cell in pair.left]]
    right = values[:, [measured.index[cell] for cell in pair.right]]
    return left, right


def over_cells(left: Array, right: Array) -> OverCells:
    """What each matched pair of cells shows.

    Parameters
    ----------
    left, right
        (replicates, pairs). A pair counts in the replicates in which both sides have a value.
    """
    return _each_over_cells(left[None], right[None])[0]


@np.errstate(all="ignore")
def _each_over_cells(left: Array, right: Array) -> list[OverCells]:
    """over_cells() of each (metrics, replicates, pairs)."""
    gaps = left - right
    seen = np.isfinite(gaps)
    counts = seen.sum(axis=1)
    some = counts > 0
    means = np.where(seen, gaps, 0).sum(axis=1) / counts
    alike = ~((gaps != 0) & seen).any(axis=1)
    constant = some & alike
    for side in (left, right):
        highest = np.fmax.reduce(side, axis=1, initial=-np.inf)
        constant &= highest == np.fmin.reduce(side, axis=1, initial=np.inf)
    p, upwards = np.full(means.shape, np.nan), means > 0
    # Pairs of as many replicates are tested in one go.
    across = gaps.transpose(0, 2, 1)
    for n in np.unique(counts[counts >= MARKED_LEAST]):
        places = (counts == n) & ~alike
        if places.any():
            some_gaps = across[places][seen.transpose(0, 2, 1)[places]].reshape(-1, n)
            p[places] = np.where(np.ptp(some_gaps, axis=1) > 0, mean_test(some_gaps), 0.0)
    differs = holm(p) <= 1 - CONFIDENCE
    least, most = (
        np.where(some, means, np.inf).min(axis=1),
        np.where(some, means, -np.inf).max(axis=1),
    )
    found = []
    for row, has in enumerate(some):
        if not has.any():
            nan = float("nan")
            found.append(OverCells(0, 0, nan, nan, 0, 0, nan))
            continue
        reacts = has & ~constant[row]
        found.append(
            OverCells(
                pairs=int(has.sum()),
                constant=int(constant[row].sum()),
                least=float(least[row]),
                most=float(most[row]),
                up=int((differs[row] & upwards[row]).sum()),
                down=int((differs[row] & ~upwards[row]).sum()),
                reacting=float(means[row][reacts].mean()) if reacts.any() else float("nan"),
            )
        )
    return found


@np.errstate(all="ignore")
def both_sides(measured: Measured, values: Array, pair: Pair) -> tuple[Array, Array, int]:
    """(left, right, matched): a mean per replicate on each side, over the cells it rests on.

    Matched cells of which one never has a value are left out (a ratio without a denominator);
    so are replicates in which any other has none.
    """
    left = values[:, [measured.index[cell] for cell in pair.left]]
    right = values[:, [measured.index[cell] for cell in pair.right]]
    ever = np.isfinite(left).any(axis=0) & np.isfinite(right).any(axis=0)
    if not ever.any():
        return np.empty(0), np.empty(0), 0
    left, right = left[:, ever].mean(axis=1), right[:, ever].mean(axis=1)
    whole = np.isfinite(left) & np.isfinite(right)
    return left[whole], right[whole], int(ever.sum())


def paired(left: Array, right: Array) -> dict[str, Any]:
    """One contrast: arrays of equal length, one value per replicate."""
    return _each_paired(left[None], right[None])[0]


@np.errstate(all="ignore")
def _each_paired(left: Array, right: Array) -> list[dict[str, Any]]:
    """paired() of each (contrasts, replicates)."""
    contrasts, n = left.shape
    found: dict[str, Array] = {name: np.full(contrasts, np.nan) for name in _NUMBERS}
    notes: list[list[str]] = [[] for _ in range(contrasts)]

    def note(which: Array, text: str) -> None:
        for row in np.flatnonzero(which):
            notes[row].append(text)

    if n == 0:
        note(np.ones(contrasts, bool), NO_PAIR)
        return _by_contrast(found, n, notes)
    gap = left - right
    middles = {"mean": _means(left), "mean_against": _means(right), "difference": _means(gap)}
    sound = np.isfinite(gap).all(axis=1) & np.isfinite(list(middles.values())).all(axis=0)
    found |= {name: np.where(sound, middle, np.nan) for name, middle in middles.items()}
    note(~sound, TOO_LARGE)
    positive = sound & (left > 0).all(axis=1) & (right > 0).all(axis=1)
    if n == 1:
        note(sound, ONE_PAIR)
        found["ratio"] = np.where(positive, left[:, 0] / right[:, 0], np.nan)
        return _by_contrast(found, n, notes)
    rounding = 1e-12 * np.maximum(np.abs(left).max(axis=1), np.abs(right).max(axis=1))
    same = sound & (np.ptp(gap, axis=1) <= rounding)
    alike = same & (np.abs(gap).max(axis=1) <= rounding)
    for bound in ("low", "high"):
        found[bound][same] = found["difference"][same]
    found["effect"][alike] = 0.0
    note(alike, ALL_ZERO)
    note(same & ~alike, ALL_EQUAL)
    differing = np.flatnonzero(sound & ~same)
    if len(differing):
        _tested(found, notes, differing, left[differing], right[differing])
    ratios = np.flatnonzero(positive)
    if len(ratios):
        logs = np.log(left[ratios]) - np.log(right[ratios])
        for name, values in _ratios(logs).items():
            found[name][ratios] = values
    note(sound & ~positive, NO_RATIO)
    return _by_contrast(found, n, notes)


def _tested(
    found: dict[str, Array],
    notes: Sequence[list[str]],
    rows: Array,
    left: Array,
    right: Array,
) -> None:
    """Interval, test, effect and pairing of contrasts whose replicates differ; `rows`: theirs."""
    from statsmodels.stats.meta_analysis import effectsize_smd

    gap, n = left - right, left.shape[1]
    interval = mean_interval(gap)
    spread_left, spread_right = left.var(axis=1, ddof=1), right.var(axis=1, ddof=1)
    # effectsize_smd takes standard deviations; n on both sides, Hedges' correction.
    size, _ = effectsize_smd(
        left.mean(axis=1), spread_left**0.5, n, right.mean(axis=1), spread_right**0.5, n
    )
    of_test = {
        "low": interval.low,
        "high": interval.high,
        "p": mean_test(gap),
        "effect": size,
        "pairing": (spread_left + spread_right) / gap.var(axis=1, ddof=1),
    }
    sound = np.isfinite([of_test["low"], of_test["high"], of_test["p"]]).all(axis=0)
    for name, values in of_test.items():
        found[name][rows] = np.where(sound, values, np.nan)
    reasons = np.select(
        [~sound, interval.few, interval.skewed], [TOO_LARGE, FEW, SKEWED], default=""
    )
    for row, reason in zip(rows, reasons, strict=True):
        if reason:
            notes[row].append(str(reason))


def _ratios(logs: Array) -> dict[str, Array]:
    """Geometric mean of ratios with its interval, from (contrasts, replicates) logarithms."""
    middle = logs.mean(axis=1)
    interval = mean_interval(logs)
    flat = np.ptp(logs, axis=1) <= 1e-12
    return {
        "ratio": np.exp(middle),
        "ratio_low": np.exp(np.where(flat, middle, interval.low)),
        "ratio_high": np.exp(np.where(flat, middle, interval.high)),
    }


def _means(values: Array) -> Array:
    """Mean over the last axis. The sum of equal numbers, divided, need not be that number."""
    equal = (values == values[:, :1]).all(axis=1)
    return np.where(equal, values[:, 0], values.mean(axis=1))


def _by_contrast(
    found: Mapping[str, Array], n: int, notes: Sequence[Sequence[str]]
) -> list[dict[str, Any]]:
    columns = {name: values.tolist() for name, values in found.items()}
    return [
        {name: values[row] for name, values in columns.items()}
        | {"n": n, "note": "; ".join(reasons)}
        for row, reasons in enumerate(notes)
    ]


def _holm(frame: pd.DataFrame) -> pd.DataFrame:
    """The same table with p_holm: corrected for all tests of the table."""
    frame = frame.copy()
    frame["p_holm"] = holm(frame["p"].to_numpy(np.float64))
    return frame


def holm(p: Array) -> Array:
    """Holm's correction of those p-values that are numbers (Holm 1979, step down).

    Over the last axis. Not statsmodels' multipletests, which gives the same and collects garbage
    each time: in a process of some size that takes longer than all the tests.
    """
    p = np.asarray(p, np.float64)
    # What is no number comes last.
    order = np.argsort(p, axis=-1, kind="stable")
    ranked = np.take_along_axis(p, order, axis=-1)
    tests = np.isfinite(p).sum(axis=-1, keepdims=True)
    corrected = np.maximum.accumulate(ranked * (tests - np.arange(p.shape[-1])), axis=-1)
    adjusted = np.array(p)
    np.put_along_axis(
        adjusted, order, np.where(np.isfinite(ranked), np.minimum(corrected, 1.0), ranked), axis=-1
    )
    return adjusted
