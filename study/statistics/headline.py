"""Metrics that are shown first, and the contrasts that are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

from study.results.errors import ResultsError
from study.results.summary import axis_and_metric_names
from study.scenario.errors import did_you_mean
from study.scenario.machine.requests import by_column, names_of
from study.statistics.findings import Findings

if TYPE_CHECKING:
    import pandas as pd

_HEADLINES = 10
_REQUESTS_MOST = 2
"""Requests by name that are shown before anything else."""


def headline_of(results: Findings) -> list[tuple[str, str]]:
    """(metric, label) to show first: those the simulation names, else the first few there are.

    Before them how requests by name fared, if the study has some. A metric without a single value
    was not asked for in this study, and is left out.
    """
    trials = results.columns
    _, metrics = axis_and_metric_names(trials)
    by_name = [
        (f"{column}_{what}", results.labels[f"{column}_{what}"])
        for column in by_column(names_of(results.manifest["scenario"]))
        for what in ("served_ratio", "at_once_ratio")
    ]
    asked = by_name[: 2 * _REQUESTS_MOST] + [
        (n, label) for n, label in results.manifest["headline"]
    ]
    headline = [(name, label) for name, label in asked if name in metrics]
    named = (pair for pair in headline if trials[pair[0]].notna().any())
    measured = (name for name in metrics if trials[name].notna().any())
    found = list(islice(named, _HEADLINES)) or [
        (name, name) for name in islice(measured, _HEADLINES)
    ]
    return found or headline[:_HEADLINES] or [(name, name) for name in metrics[:_HEADLINES]]


def chosen_contrasts(
    results: Findings, *, metrics: Sequence[str], axes: Sequence[str], each_cell: bool
) -> pd.DataFrame:
    """Contrasts of the metrics and axes that are named, as in contrasts.csv.

    Unless named, metrics are those of the headline; requests.NAME.METRIC is one too. Raises
    ResultsError for an unknown name.
    """
    known_axes, known = axis_and_metric_names(results.columns)
    metrics = [results.column_of(name) for name in metrics]
    for name, names, what in [(n, known, "metric") for n in metrics] + [
        (n, known_axes, "axis") for n in axes
    ]:
        if name not in names:
            raise ResultsError(f"{name} is no {what} of {results.place}{did_you_mean(name, names)}")
    table = results.contrasts
    wanted = table["metric"].isin(list(metrics) or [name for name, _ in headline_of(results)])
    wanted &= table["axis"].isin(list(axes) or known_axes)
    wanted &= table["kind"] == ("cell" if each_cell else "axis")
    return table[wanted]
