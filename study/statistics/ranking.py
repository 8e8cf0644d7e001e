"""Which level of an axis serves the requests by name best, and at what cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite, isnan
from typing import TYPE_CHECKING, Any

import numpy as np

from study.results.summary import axis_and_metric_names
from study.scenario.machine.requests import by_column, names_of
from study.statistics.contrasts import levels_of
from study.statistics.effects import level_means, matched_cells, mean_and_bounds
from study.statistics.measured import Measured
from study.statistics.words import share_with_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from study.intervals import Array
    from study.results.model import Manifest
    from study.statistics.findings import Findings

_COSTS = ("refaults", "reclaimed_pages", "moved_pages", "free_pages_mean")
_TOLD = {
    "refaults": "refaults",
    "reclaimed_pages": "pages reclaimed",
    "free_pages_mean": "pages free",
}
_LONGEST = 50
"""Letters of what a level sets."""


@dataclass(frozen=True)
class Estimate:
    """A mean over replicates.

    mean       in the metric's unit
    low, high  its 95 % interval; NaN below two replicates
    """

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Ranked:
    """One level of the axis.

    Parameters
    ----------
    level
        What the scenario calls it.
    served
        Share of the requests by name that got memory: the block, or what they fall back to.
    at_once
        Share that got the block without reclaim or waiting.
    costs
        Metric -> its mean against that of the first level, as a ratio; missing where that is 0.
    """

    level: Any
    served: Estimate
    at_once: Estimate
    costs: dict[str, float]


@dataclass(frozen=True)
class Ranking:
    """The levels, best first, and whether there was anything to cure.

    Parameters
    ----------
    axis
        Whose levels they are.
    first
        The first level, which is the machine as it is.
    refuses
        Whether any request was refused, or had to wait, at the first level; None if nobody asked
        there, or no trial of it finished.
    reproduces
        Share of the replicates in which its very first request was not served at once; NaN if
        nothing was requested.
    levels
        By the share served, then by the share served at once, then by refaults.
    unfinished
        Levels of which no trial finished.
    matched
        Whether there is a setting of the other axes under which trials of all other levels
        finished; if not, nothing is ranked.
    """

    axis: str
    first: Any
    refuses: bool | None
    reproduces: float
    levels: list[Ranked]
    unfinished: list[Any] = field(default_factory=list)
    matched: bool = True


def ranking_of(results: Findings) -> Ranking | None:
    """Rank the axis that the scenario names under `ranking`; None if it names none.

    Parameters
    ----------
    results
        Of a run, finished or not.

    Returns
    -------
    Ranking or None
        Levels by the share served, then by the share served at once, then by refaults.
    """
    scenario = results.manifest["scenario"]
    axis, named = scenario.get("ranking"), [*by_column(names_of(scenario))]
    if axis not in results.manifest["axes"] or not named:
        return None
    wanted = [*(f"{name}_{what}" for name in named for what in _PER_REQUEST), *_COSTS]
    # A folder of an earlier version has no such columns.
    if not set(wanted) <= set(axis_and_metric_names(results.columns)[1]):
        return None
    cells = results.cells
    measured = Measured(results.columns, cells)
    groups, unfinished = _where_all_finished(axis, measured, named)
    if not groups:
        first = levels_of(cells, axis)[0]
        return Ranking(axis, first, None, float("nan"), [], unfinished, matched=False)
    levels: list[Ranked] = []
    own: dict[str, float] = {}
    reproduces = float("nan")
    means = level_means(
        results.columns, axis=axis, metrics=[f"{named[0]}_first_refused", *_COSTS], cells=cells
    )
    for level, of_level in means:
        served, at_once = (
            _estimate(_share(measured, groups[level], named, what))
            for what in ("served_ratio", "at_once_ratio")
        )
        costs = {name: float(of_level[name].mean()) for name in _COSTS}
        if level == next(iter(groups)):
            own = costs
            reproduces = float(of_level[f"{named[0]}_first_refused"].mean())
        ratios = {name: value / own[name] for name, value in costs.items() if own[name] > 0}
        levels.append(Ranked(level, served, at_once, ratios))
    first = levels[0]
    levels = [one for one in levels if isfinite(one.served.mean)]
    refuses = None
    if isfinite(first.served.mean):
        refuses = bool(first.served.mean < 1 or first.at_once.mean < 1)
    ranked = sorted(
        levels,
        key=lambda one: (
            -round(one.served.mean, 4),
            -round(one.at_once.mean, 4),
            one.costs.get("refaults", 1.0),
        ),
    )
    return Ranking(axis, first.level, refuses, reproduces, ranked, unfinished)


def _where_all_finished(
    axis: str, measured: Measured, named: Sequence[str]
) -> tuple[dict[Any, list[str]], list[Any]]:
    """Level -> its cells under those settings under which all levels finished, if there are some.

    And the levels of which no trial finished: they take no setting away from the others.
    """
    groups, matched = matched_cells(axis, measured.cells)
    if not matched:
        return {}, []
    attempts = measured.values(f"{named[0]}_attempts")
    finished = [bool(np.isfinite(of_cell).any()) for of_cell in attempts.T]
    of_levels = {
        level: [finished[measured.index[cell]] for cell in ids] for level, ids in groups.items()
    }
    unfinished = [level for level, ever in of_levels.items() if not any(ever)]
    some = [ever for ever in of_levels.values() if any(ever)]
    if not some:
        return groups, unfinished
    places = [place for place, each in enumerate(zip(*some, strict=True)) if all(each)]
    if not places:
        return {}, unfinished
    return {level: [ids[place] for place in places] for level, ids in groups.items()}, unfinished


_PER_REQUEST = ("attempts", "served_ratio", "at_once_ratio", "first_refused")


def _share(measured: Measured, cells: Sequence[str], named: Sequence[str], what: str) -> Array:
    """Share of all requests of a level, by replicate; NaN where none was made or a trial failed."""
    columns = [measured.index[cell] for cell in cells]
    got, asked = (np.zeros(len(measured.replicates)) for _ in range(2))
    for name in named:
        attempts = measured.values(f"{name}_attempts")[:, columns]
        ratio = measured.values(f"{name}_{what}")[:, columns]
        # Where nobody asked, the share has no value and counts for nothing.
        got += np.where(attempts == 0, 0.0, ratio * attempts).sum(axis=1)
        asked += attempts.sum(axis=1)
    with np.errstate(all="ignore"):
        found: Array = got / asked
    return found


def _estimate(values: Any) -> Estimate:
    mean, low, high, _ = mean_and_bounds(values, share=True)
    return Estimate(mean, low, high)


@dataclass(frozen=True)
class Told:
    """One level in words, for a line or a row of a table.

    Parameters
    ----------
    level
        What the scenario calls it.
    is_first
        It is the machine as it is.
    sets
        What it sets, if that is short: vm.min_free_kbytes 65000.
    serves
        As `serves 96 % [95, 97], at once 94 % [92, 95]`.
    costs
        Against the first level; empty for that one.
    """

    level: str
    is_first: bool
    sets: str
    serves: str
    costs: str


def told(ranking: Ranking, manifest: Manifest) -> list[Told]:
    """Every level in words, best first.

    Parameters
    ----------
    ranking
        From ranking_of().
    manifest
        Of the same results.

    Returns
    -------
    list
        One for each level.
    """
    axes = manifest["scenario"].get("axes")
    levels = axes.get(ranking.axis) if isinstance(axes, dict) else None
    return [
        Told(
            level=str(one.level),
            is_first=one.level == ranking.first,
            sets="" if one.level == ranking.first else _settings(levels, one.level),
            serves=_served(one),
            costs="" if one.level == ranking.first else _costs(one),
        )
        for one in ranking.levels
    ]


def refuses_nothing(ranking: Ranking) -> str:
    """The sentence for a machine as it is that refuses nothing, or of which nothing is known."""
    if not ranking.matched:
        return (
            "No ranking: there is no setting of the other axes under which trials of all levels "
            f"of {ranking.axis} finished, so they cannot be compared."
        )
    if ranking.refuses is None:
        return (
            f"No ranking: at {ranking.axis} {ranking.first} no trial asked for memory and "
            "finished, so there is nothing to hold the others against."
        )
    return (
        f"Refuses nothing: at {ranking.axis} {ranking.first} every request was served at once, "
        "so there is nothing to rank."
    )


def reproduced(ranking: Ranking) -> str:
    """In how many replicates the first request met what was reported; empty if none was made."""
    lost = ", ".join(map(str, ranking.unfinished))
    lost = f" No trial of {lost} finished." if lost else ""
    if isnan(ranking.reproduces):
        return lost.strip()
    return (
        f"At {ranking.first} the first request met the lists as they were reported: in "
        f"{100 * ranking.reproduces:.0f} % of the replicates it was refused, or had to reclaim "
        f"first. [ ]: interval of 95 %.{lost}"
    )


def _settings(levels: Any, level: Any) -> str:
    found = levels.get(level) if isinstance(levels, dict) else None
    if not isinstance(found, dict) or any(isinstance(v, dict | list) for v in found.values()):
        return ""
    said = ", ".join(f"{key} {value}" for key, value in found.items())
    return said if len(said) <= _LONGEST else ""


def _served(one: Ranked) -> str:
    said = f"serves {_percent(one.served)}"
    if one.at_once.mean < one.served.mean:
        said += f", at once {_percent(one.at_once)}"
    return said


def _percent(value: Estimate) -> str:
    return share_with_interval(value.mean, value.low, value.high, between=", ")


def _costs(one: Ranked) -> str:
    return ", ".join(
        f"{_signed(100 * (one.costs[name] - 1))} % {words}"
        for name, words in _TOLD.items()
        if name in one.costs
    )


def _signed(percent: float) -> str:
    """With its sign, as a whole number; nought has none."""
    return f"{percent:+.0f}" if round(percent) else "0"
