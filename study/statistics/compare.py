"""Two studies side by side, in the manner of mmtests: A, B, the difference in per cent."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from study.intervals import CONFIDENCE
from study.printable import printable
from study.results.errors import ResultsError
from study.results.expected import nuisance_of
from study.scenario.errors import did_you_mean
from study.scenario.machine.requests import by_column, names_of, own_name
from study.statistics.contrasts import LEVELS_MOST, NO_RATIO, holm, paired
from study.statistics.measured import Measured

if TYPE_CHECKING:
    from study.intervals import Array
    from study.statistics.findings import Findings

ALL = "all cells"


@dataclass(frozen=True)
class Line:
    """One metric of one group of cells in both studies.

    group          'all cells', 'axis level', or the levels of one cell
    metric         as the first study calls its column
    n              replicates in both, if paired; otherwise the smaller number of the two
    first, second  the means, in the metric's unit
    difference     of the means, B - A; percent: of A
    percent        the difference, of A; NaN where A is 0
    p, p_holm      paired t test, or the larger of Welch's and Student's; NaN with a note if there
                   is none
    note           why there is no test; '' if there is one
    """

    group: str
    metric: str
    n: int
    first: float
    second: float
    difference: float
    percent: float
    p: float
    p_holm: float
    note: str

    @property
    def significant(self) -> bool:
        """Does it differ, after Holm's correction over all lines, at 5 %?"""
        return self.p_holm <= 1 - CONFIDENCE


@dataclass(frozen=True)
class Comparison:
    """Two studies, and what can be said of them together.

    first, second  the two
    cells          groups of cells, by their levels on the axes both have, that are in both
    paired         the same seed and replicates: differences are taken within each
    lines          one for each group and metric
    """

    first: Findings
    second: Findings
    cells: int
    paired: bool
    lines: tuple[Line, ...]


def compare(
    first: Findings, second: Findings, *, metrics: Sequence[str] = (), each_cell: bool = False
) -> Comparison:
    """Compare two studies on those cells that have the same levels.

    metrics    names; unless given, the headline metrics both have
    each_cell  a group per cell instead of one per level

    Raises ResultsError when they have no cell or no metric in common, or a metric is unknown.
    """
    one = Measured(first.columns, first.cells)
    other = Measured(second.columns, second.cells)
    counterpart = _counterparts(first, second, one, other)
    names = _metrics(first, counterpart, one, other, metrics)
    axes = [axis for axis in _axes(one.cells) if axis in _axes(other.cells)]
    here, there = _grouped(one.cells, axes), _grouped(other.cells, axes)
    shared = [key for key in here if key in there]
    if not shared:
        raise ResultsError(f"{first.path} and {second.path} have no cell with the same levels")
    alike = first.manifest["seed"] == second.manifest["seed"]
    alike = alike and nuisance_of(first.manifest) == nuisance_of(second.manifest)
    common = np.intersect1d(one.replicates, other.replicates)
    alike = alike and len(common) > 0
    lines = []
    for group, keys in _groups(axes, shared, each_cell=each_cell):
        for metric in names:
            a, b = _means(
                _by_group(one, metric, [here[key] for key in keys]),
                _by_group(other, counterpart[metric], [there[key] for key in keys]),
            )
            lines.append(_line(group, metric, one, other, a, b, paired_=alike))
    corrected = holm(np.array([line.p for line in lines], np.float64))
    lines = [replace(line, p_holm=float(p)) for line, p in zip(lines, corrected, strict=True)]
    return Comparison(first, second, len(shared), alike, tuple(lines))


def _counterparts(
    first: Findings, second: Findings, one: Measured, other: Measured
) -> dict[str, str]:
    """Metric of the first study -> the same of the second: a request by name may be another's
    number there.
    """
    names, others = (names_of(each.manifest["scenario"]) for each in (first, second))
    columns = {name: column for column, name in by_column(others).items()}
    found = {}
    for metric in one.metrics:
        whose, _, rest = metric.partition("_")
        name = by_column(names).get(whose)
        theirs = f"{columns[name]}_{rest}" if name in columns else metric
        if theirs in other.metrics and (name in columns) == (name is not None):
            found[metric] = theirs
    return found


def _metrics(
    first: Findings,
    both: Mapping[str, str],
    one: Measured,
    other: Measured,
    wanted: Sequence[str],
) -> Sequence[str]:
    columns = [first.column_of(name) for name in wanted]
    for name, column in zip(wanted, columns, strict=True):
        if column not in both:
            raise ResultsError(f"{name} is no metric of both studies{did_you_mean(name, both)}")
    if wanted:
        return columns
    # What neither study asked for has no value in either.
    known = [
        name
        for name, theirs in both.items()
        if np.isfinite(one.values(name)).any() or np.isfinite(other.values(theirs)).any()
    ]
    names = [name for name, _ in first.manifest["headline"] if name in known] or known[:10]
    if not names:
        raise ResultsError("the studies have no metric in common")
    return names


def _axes(cells: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(axis for levels in cells.values() for axis in levels))


Key = tuple[Any, ...]


def _grouped(cells: Mapping[str, Mapping[str, Any]], axes: Sequence[str]) -> dict[Key, list[str]]:
    found: dict[Key, list[str]] = {}
    for cell, levels in cells.items():
        found.setdefault(tuple(levels.get(axis) for axis in axes), []).append(cell)
    return found


def _groups(
    axes: Sequence[str], shared: Sequence[Key], *, each_cell: bool
) -> Iterator[tuple[str, Sequence[Key]]]:
    yield ALL, shared
    if each_cell:
        for key in shared:
            yield " ".join(f"{a}={v}" for a, v in zip(axes, key, strict=True)), [key]
        return
    for index, axis in enumerate(axes):
        levels = list(dict.fromkeys(key[index] for key in shared))
        if 1 < len(levels) <= LEVELS_MOST:
            for level in levels:
                yield f"{axis} {level}", [key for key in shared if key[index] == level]


def _by_group(measured: Measured, metric: str, groups: Sequence[Sequence[str]]) -> Array:
    """Mean over the cells of each group, (groups, replicates)."""
    values = measured.values(metric)
    return np.stack(
        [values[:, [measured.index[cell] for cell in cells]].mean(axis=1) for cells in groups]
    )


def _means(a: Array, b: Array) -> tuple[Array, Array]:
    """Mean per replicate of two studies, over the groups that ever have a value in both."""
    ever = np.isfinite(a).any(axis=1) & np.isfinite(b).any(axis=1)
    if not ever.any():
        return np.full(a.shape[1], np.nan), np.full(b.shape[1], np.nan)
    return a[ever].mean(axis=0), b[ever].mean(axis=0)


def _line(
    group: str,
    metric: str,
    one: Measured,
    other: Measured,
    a: Array,
    b: Array,
    *,
    paired_: bool,
) -> Line:
    if paired_:
        _, left, right = np.intersect1d(one.replicates, other.replicates, return_indices=True)
        a, b = a[left], b[right]
        whole = np.isfinite(a) & np.isfinite(b)
        a, b = a[whole], b[whole]
        found = paired(b, a)
        p, n = found["p"], len(a)
        note = "; ".join(reason for reason in found["note"].split("; ") if reason != NO_RATIO)
    else:
        a, b = a[np.isfinite(a)], b[np.isfinite(b)]
        n = min(len(a), len(b))
        p, note = _unpaired(a, b)
    first = float(a.mean()) if len(a) else float("nan")
    second = float(b.mean()) if len(b) else float("nan")
    percent = 100 * (second - first) / abs(first) if first else float("nan")
    if first == second:
        percent = 0.0
    return Line(group, metric, n, first, second, second - first, percent, p, float("nan"), note)


def _unpaired(a: Array, b: Array) -> tuple[float, str]:
    """P of Welch's test, or of Student's where that is larger, and why there is none.

    Welch's takes the spread of each side by itself. Of five replicates that can be next to nothing
    by chance, and two runs of one study then differ (stack_stalls did).
    """
    from scipy import stats

    if min(len(a), len(b)) < 2:
        return float("nan"), "fewer than two replicates"
    if np.ptp(a) == 0 and np.ptp(b) == 0:
        return float("nan"), "no replicate differs" if a[0] == b[0] else "no spread on either side"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return max(float(stats.ttest_ind(b, a, equal_var=v).pvalue) for v in (False, True)), ""


_LABEL, _VALUE = 36, 13


def text(comparison: Comparison) -> str:
    """The comparison as plain text of at most 80 columns, fit for a mail."""
    lines = []
    for name, study in (("A", comparison.first), ("B", comparison.second)):
        counts = study.manifest["counts"]
        lines.append(f"  {name}  {study.path}"[:80])
        lines.append(
            f"     {study.manifest['name']}, {counts['cells']} cells, {counts['finished']} trials, "
            f"simulation {study.manifest['simulation'][:8]}"
        )
    how = "paired by replicate" if comparison.paired else "not paired: other seed or replicates"
    lines += [f"     {comparison.cells} cells in both; {how}", ""]
    lines.append(f"{'':{_LABEL}}{'A':>{_VALUE}}{'B':>{_VALUE}}")
    group, names = None, names_of(comparison.first.manifest["scenario"])
    for line in comparison.lines:
        if line.group != group:
            group = line.group
            lines += _wrapped(group)
        lines += _row(line, names)
    lines += [
        "",
        "In per cent of A: B - A. Between *: p below 5 % after Holm's correction over all",
        "lines; in ( ): not told apart.",
        f"A and B are means over the {comparison.cells} cells in both, in each line over those",
        "that it names and that have a value in both; a cell averages over what the other",
        "study does not vary.",
    ]
    untested = {line.note for line in comparison.lines if line.note and not isfinite(line.p)}
    lines += [f"no test where {note}" for note in sorted(untested)]
    marked = {line.note for line in comparison.lines if line.note and isfinite(line.p)}
    lines += [f"some lines: {note}" for note in sorted(marked)]
    return "\n".join(printable(line).rstrip() for line in lines) + "\n"


def _wrapped(group: str) -> list[str]:
    import textwrap

    return textwrap.wrap(group, 78, subsequent_indent="  ", break_long_words=False)


def _row(line: Line, names: Sequence[str]) -> list[str]:
    """The figures behind what the metric is called; below it, if that is long."""
    percent = f"{line.percent:z8.2f}%" if isfinite(line.percent) else f"{'-':>8} "
    left, right = ("*", "*") if line.significant else ("(", ")")
    label = f"  {own_name(line.metric, names)}"
    figures = f"{_plain(line.first):>{_VALUE}}{_plain(line.second):>{_VALUE}}"
    end = f"{figures} {left}{percent}{right}"
    if len(label) < _LABEL:
        return [f"{label:<{_LABEL}}{end}"]
    return [label, " " * _LABEL + end]


def _plain(value: float) -> str:
    if not isfinite(value):
        return "-"
    if abs(value) >= 1e7:
        return f"{value:.4e}"
    return f"{value:.2f}" if abs(value) >= 100 else f"{value:.4f}"
