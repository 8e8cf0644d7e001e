"""The forest plot: what each level of each axis changes, with intervals and in figures."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from study.report import select
from study.report.colours import FAINT, INK, PAPER, SERIES
from study.report.figures.sheet import Sheet, wrapped
from study.results.errors import ResultsError
from study.scenario.trial import level_name
from study.zone.trial.metrics import is_share

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from study.statistics import Findings

ROWS_MOST = 30
_ROW, _LINE = 0.46, 0.15
"""Inches, of a row and of a line of its name."""
_LETTERS = 30
"""In a line of a name."""
_BEHIND: dict[str, Any] = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.8}
_FAR = 4.0
"""What reaches so many times further than the middle one is shown by an arrow."""


def paired_differences(findings: Findings) -> pd.DataFrame:
    """Each level against the first of its axis, in service and costs, paired by replicate.

    Columns axis, level, against, metric, label, cells, n, value, low, high: in percentage points or
    in per cent; 95 % intervals, not corrected for their number.
    """
    from study.statistics import contrast_table
    from study.statistics.contrasts import levels_of

    select.finished(findings)
    cells = findings.cells
    metrics = select.drawn_metrics(findings)
    table = contrast_table(
        findings.columns, cells=cells, axes=findings.manifest["axes"], metrics=list(metrics)
    )
    firsts = {axis: levels_of(cells, axis)[0] for axis in findings.manifest["axes"]}
    to_first = [
        kind == "axis" and against == firsts[axis]
        for kind, axis, against in zip(table["kind"], table["axis"], table["against"], strict=True)
    ]
    table = table[np.array(to_first, bool)].copy()
    # Those of many levels are curves; a row for each level would hide the others.
    few = ~table["axis"].isin(select.many_levels(cells))
    if few.any():
        table = table[few].copy()
    points = table["metric"].map(is_share).to_numpy(bool)
    for target, gap, ratio in (
        ("value", "difference", "ratio"),
        ("low", "low", "ratio_low"),
        ("high", "high", "ratio_high"),
    ):
        in_points = 100 * table[gap].to_numpy(float)
        table[target] = np.where(points, in_points, 100 * (table[ratio].to_numpy(float) - 1))
    if table.empty:
        raise ResultsError("the study has no two levels to compare")
    if not np.isfinite(table["value"].to_numpy(float)).any():
        raise ResultsError("no cell asked for memory, reclaimed pages or missed any")
    # A panel in which no row has a value says nothing.
    table = table[
        table.groupby("metric")["value"].transform(lambda of: np.isfinite(of).any())
    ].copy()
    units = {name: "percentage points" if is_share(name) else "%" for name in metrics}
    table["label"] = [f"{metrics[name]} ({units[name]})" for name in table["metric"]]
    columns = ["axis", "level", "against", "metric", "label", "cells", "n", "value", "low", "high"]
    return table[columns].reset_index(drop=True)


def forest(table: pd.DataFrame, sheet: Sheet) -> Figure:
    """What each level changes against the first of its axis, paired by replicate."""
    rows = _rows(table)
    names = [
        f"{axis}\n{wrapped(f'{level_name(against)} → {level_name(level)}', _LETTERS)}"
        for axis, level, against in rows
    ]
    # A name of more than two lines needs a higher row.
    row = max(_ROW, _LINE * max(name.count("\n") + 1 for name in names) + 0.1)
    labels = _labels(table)
    beside = Sheet(sheet.width, len(labels) if sheet.columns > 1 else 1)
    figure, panels = beside.panels(len(labels), height=row * len(rows) + 0.6, rest=0.1)
    place = {row: len(rows) - 1 - i for i, row in enumerate(rows)}
    for number, (axes, (metric, label)) in enumerate(zip(panels, labels.items(), strict=True)):
        _marks(axes, table[table["metric"] == metric], place)
        axes.set_xlabel(wrapped(label, _LETTERS))
        axes.grid(visible=False, axis="y")
        axes.set_ylim(-0.7, len(rows) - 0.4)
        axes.set_yticks(list(place.values()), names)
        axes.tick_params(axis="y", length=0, labelleft=number == 0 or sheet.columns == 1)
    return figure


def describe_forest(table: pd.DataFrame) -> str:
    """Every row's differences that leave out 0, with their intervals."""
    phrases = []
    records = table.to_dict("records")
    for axis, level, against in _rows(table):
        of_row = [
            row
            for row in records
            if (row["axis"], row["level"], row["against"]) == (axis, level, against)
        ]
        differing = [
            f"{row['label']} {_figures(row)}" for row in of_row if row["low"] > 0 or row["high"] < 0
        ]
        change = f"{axis} from {level_name(against)} to {level_name(level)}"
        compared = any(isfinite(row["value"]) for row in of_row)
        nothing = "no clear difference" if compared else "not compared"
        phrases.append(f"{change}: {', '.join(differing) or nothing}")
    return f"{'; '.join(phrases)}."


def _labels(table: pd.DataFrame) -> dict[str, str]:
    """Metric -> what stands below its panel, in the order of the panels."""
    return dict(zip(table["metric"], table["label"], strict=True))


def _rows(table: pd.DataFrame) -> list[tuple[Any, ...]]:
    keys = table[["axis", "level", "against"]].to_numpy(object)
    return list(dict.fromkeys(map(tuple, keys)))[:ROWS_MOST]


def _figures(row: Mapping[Any, Any]) -> str:
    """A difference, with its interval if there is one."""
    text = _signed(row["value"])
    if np.isfinite([row["low"], row["high"]]).all():
        text += f" [{_signed(row['low'])}, {_signed(row['high'])}]"
    return text


def _marks(axes: Axes, table: pd.DataFrame, place: Mapping[tuple[Any, ...], int]) -> None:
    """The differences in one metric, each with its figures below the mark."""
    rows = [
        (place[row["axis"], row["level"], row["against"]], row)
        for row in table.to_dict("records")
        if (row["axis"], row["level"], row["against"]) in place
    ]
    shown = [(y, row) for y, row in rows if np.isfinite(row["value"])]
    for y, row in rows:
        if not np.isfinite(row["value"]):
            why = "nobody asked" if is_share(row["metric"]) else "no ratio: not all above 0"
            axes.text(0, y, why, ha="center", va="center", fontsize=6.5, bbox=_BEHIND)
    reach = _reach([row for _, row in shown])
    axes.axvline(0, color=INK, lw=0.8)
    axes.set_xlim(-1.12 * reach, 1.12 * reach)
    for y, row in shown:
        value, low, high = row["value"], row["low"], row["high"]
        known = np.isfinite([low, high]).all()
        differs = known and not low <= 0 <= high
        colour = SERIES[4] if differs else FAINT
        if known:
            ends = np.clip([low, high], -1.1 * reach, 1.1 * reach)
            axes.plot(ends, [y, y], color=colour, lw=1.6)
        if abs(value) > reach:
            arrow = ">" if value > 0 else "<"
            axes.plot([np.sign(value) * 1.07 * reach], [y], arrow, color=colour, clip_on=False)
        else:
            axes.plot([value], [y], "s", color=colour, ms=5)
        axes.text(0, y - 0.22, _figures(row), ha="center", va="top", fontsize=6.5, bbox=_BEHIND)


def _reach(rows: list[dict[Any, Any]]) -> float:
    """How far the axis goes both ways: to the ends of all intervals but those far out."""
    ends = [
        max(abs(row[name]) for name in ("value", "low", "high") if np.isfinite(row[name]))
        for row in rows
    ]
    if not ends:
        return 1.0
    middle = float(np.median(ends))
    near = [end for end in ends if end <= _FAR * middle] or ends
    return max(near) or 1.0


def _signed(value: float) -> str:
    """Three digits that count, and a sign of its own width."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    text = f"{value:+.{digits}f}"
    return text.replace("-", "\N{MINUS SIGN}")
