"""An axis of many levels as a curve with a band: a mark for each would be a cloud."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from study.report import select
from study.report.colours import SERIES
from study.report.figures.sheet import Sheet, wrapped
from study.results.errors import ResultsError
from study.scenario.trial import level_name
from study.statistics.sensitivity import sampled_axes
from study.zone.trial.metrics import is_share

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from study.statistics import Findings
    from study.statistics.effects import Effect

AXES_MOST = 6
"""Axes that are drawn."""
_RATIO_FOR_LOG = 20
_LETTERS = 34
"""In a line of a label."""
_ROOM = 34
"""Letters of levels that fit below a panel, one beside the other."""


@dataclass(frozen=True)
class Curves:
    """Means along axes of many levels.

    effects  axis -> metric -> one effect a level, in the order of the scenario
    labels   metric -> what it is called, with its unit
    """

    effects: dict[str, dict[str, list[Effect]]]
    labels: dict[str, str]


def along_axes(findings: Findings) -> Curves:
    """What the curves show: the means of the terminal's tables. Raises ResultsError if none is."""
    from study.statistics import main_effects

    select.finished(findings)
    cells, columns = findings.cells, findings.columns
    drawn = set(sampled_axes(findings.manifest))
    many = [axis for axis in select.many_levels(cells) if axis not in drawn][:AXES_MOST]
    found: dict[str, dict[str, list[Effect]]] = {}
    called = {
        name: f"{label} ({'%' if is_share(name) else 'thousands'})"
        for name, label in select.drawn_metrics(findings).items()
        if name in columns
    }
    metrics = [*called]
    for axis in many:
        effects, matched = main_effects(columns, axis=axis, metrics=metrics, cells=cells)
        if not matched:
            # Each level was run under other settings: they would be the curve.
            continue
        by_metric = {
            name: [effect for effect in effects if effect.metric == name] for name in metrics
        }
        by_metric = {
            name: of_metric
            for name, of_metric in by_metric.items()
            if np.isfinite([effect.mean for effect in of_metric]).any()
        }
        if by_metric:
            found[axis] = by_metric
    if not found:
        raise ResultsError(
            f"no axis has {select.MANY_LEVELS} levels or more that were run under the same settings"
        )
    return Curves(found, called)


def curves(shown: Curves, sheet: Sheet) -> Figure:
    """Each axis in a row, each metric in a column: mean and 95 % interval at each level."""
    panels_wanted = [
        (axis, metric) for axis, by_metric in shown.effects.items() for metric in by_metric
    ]
    beside = Sheet(sheet.width, len(shown.labels) if sheet.columns > 1 else 1)
    figure, panels = beside.panels(len(panels_wanted), height=2.2, rest=0.2)
    for axes, (axis, metric) in zip(panels, panels_wanted, strict=True):
        _curve(axes, shown.effects[axis][metric], metric)
        axes.set_xlabel(axis)
        axes.set_ylabel(wrapped(shown.labels[metric], _LETTERS))
    return figure


def describe_curves(shown: Curves) -> str:
    """For each axis what is served, and what it costs, at its first and last level."""
    phrases = []
    for axis, by_metric in shown.effects.items():
        for metric, effects in by_metric.items():
            seen = [effect for effect in effects if np.isfinite(effect.mean)]
            first, last = seen[0], seen[-1]
            factor = _factor(metric)
            phrases.append(
                f"{shown.labels[metric]} from {factor * first.mean:.3g} at {axis} "
                f"{level_name(first.level)} to {factor * last.mean:.3g} at "
                f"{level_name(last.level)}"
            )
    return f"{'; '.join(phrases)}."


def _factor(metric: str) -> float:
    return 100.0 if is_share(metric) else 1e-3


def _curve(axes: Axes, effects: list[Effect], metric: str) -> None:
    levels = [effect.level for effect in effects]
    places = _places(axes, levels)
    factor = _factor(metric)
    mean, low, high = (
        factor * np.array([getattr(effect, name) for effect in effects], float)
        for name in ("mean", "low", "high")
    )
    order = np.argsort(places)
    if select.in_order(map(level_name, levels)):
        axes.fill_between(places[order], low[order], high[order], color=SERIES[4], alpha=0.2, lw=0)
        axes.plot(places[order], mean[order], color=SERIES[4], marker="o", ms=3)
    else:
        # Nothing lies between levels that are words.
        axes.vlines(places, low, high, color=SERIES[4], lw=1.2)
        axes.plot(places, mean, "o", color=SERIES[4], ms=3)
    if is_share(metric):
        bottom, top = axes.get_ylim()
        axes.set_ylim(max(bottom, -1), min(top, 101))


def _places(axes: Axes, levels: list[Any]) -> np.ndarray[Any, Any]:
    """Where levels stand: numbers at their value, words one beside the other."""
    if all(isinstance(level, int | float) and not isinstance(level, bool) for level in levels):
        numbers = np.array(levels, float)
        if numbers.min() > 0 and numbers.max() / numbers.min() > _RATIO_FOR_LOG:
            axes.set_xscale("log")
            axes.set_xticks(numbers, [level_name(level) for level in levels])
            axes.minorticks_off()
        return numbers
    names = [level_name(level) for level in levels]
    crowded = len(levels) * max(map(len, names)) > _ROOM
    slanted: Mapping[str, Any] = {"rotation": 30, "ha": "right"} if crowded else {}
    axes.set_xticks(range(len(levels)), names, **slanted)
    return np.arange(len(levels), dtype=float)
