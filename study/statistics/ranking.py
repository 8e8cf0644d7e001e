"""Which level of an axis serves the requests by name best, and at what cost."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from math import isfinite, isnan
from typing import TYPE_CHECKING, Any

import numpy as np

from study.results.summary import axis_and_metric_names
from study.scenario.machine.requests import by_column, names_of
from study.scenario.units import nanoseconds_from
from study.statistics.contrasts import LEVELS_MOST, levels_of
from study.statistics.effects import (
    level_means,
    matched_cells,
    mean_and_bounds,
    significant_levels,
)
from study.statistics.measured import Measured
from study.statistics.words import share_with_interval

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

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
    n          replicates that have a value
    """

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Count:
    """Requests of a trial that were not served at once, over the replicates.

    Parameters
    ----------
    mean, least, most
        Their number.
    of
        Mean number of requests.
    replicates
        In which any was made.
    """

    mean: float
    least: float
    most: float
    of: float
    replicates: int


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
    differs
        Whether it is known to serve another share than the first level, or another one at once:
        5 % for all levels together (Holm). True where levels are so many that none is tested.
    """

    level: Any
    served: Estimate
    at_once: Estimate
    costs: dict[str, float]
    differs: bool = False


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
    refused
        How many requests of a trial of the first level did not get their block at once: they were
        refused, fell back, or had to reclaim or wait first. None where none was made.
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
    refused: Count | None = None


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
    told_apart: Collection[Any] = {
        level
        for _, _, level in significant_levels(
            results.columns,
            cells=cells,
            axes=[axis],
            metrics=[f"{name}_{what}" for name in named for what in _SHARES],
        )
    }
    if len(groups) > LEVELS_MOST:
        # None was tested.
        told_apart = groups
    levels: list[Ranked] = []
    own: dict[str, float] = {}
    reproduces = float("nan")
    means = level_means(
        results.columns, axis=axis, metrics=[f"{named[0]}_first_refused", *_COSTS], cells=cells
    )
    for level, of_level in means:
        served, at_once = (
            _estimate(_share(measured, groups[level], named, what)) for what in _SHARES
        )
        costs = {name: float(of_level[name].mean()) for name in _COSTS}
        if level == next(iter(groups)):
            own = costs
            reproduces = float(of_level[f"{named[0]}_first_refused"].mean())
        ratios = {name: value / own[name] for name, value in costs.items() if own[name] > 0}
        levels.append(Ranked(level, served, at_once, ratios, level in told_apart))
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
    refused = _refused(measured, groups[first.level], named)
    return Ranking(axis, first.level, refuses, reproduces, ranked, unfinished, refused=refused)


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


_SHARES = ("served_ratio", "at_once_ratio")
_PER_REQUEST = ("attempts", *_SHARES, "first_refused")


def _share(measured: Measured, cells: Sequence[str], named: Sequence[str], what: str) -> Array:
    """Share of all requests of a level, by replicate; NaN where none was made or a trial failed."""
    got, asked = _counts(measured, cells, named, what)
    with np.errstate(all="ignore"):
        found: Array = got / asked
    return found


def _counts(
    measured: Measured, cells: Sequence[str], named: Sequence[str], what: str
) -> tuple[Array, Array]:
    """Requests of a level of which `what` is the share, and all; by replicate, over its cells."""
    columns = [measured.index[cell] for cell in cells]
    got, asked = (np.zeros(len(measured.replicates)) for _ in range(2))
    for name in named:
        attempts = measured.values(f"{name}_attempts")[:, columns]
        ratio = measured.values(f"{name}_{what}")[:, columns]
        # Where nobody asked, the share has no value and counts for nothing.
        got += np.where(attempts == 0, 0.0, ratio * attempts).sum(axis=1)
        asked += attempts.sum(axis=1)
    return got, asked


def _refused(measured: Measured, cells: Sequence[str], named: Sequence[str]) -> Count | None:
    """Requests of a trial that were not served at once; None where none was made."""
    got, asked = _counts(measured, cells, named, "at_once_ratio")
    made = np.isfinite(got) & (asked > 0)
    if not made.any():
        return None
    refused = np.rint((asked - got)[made]) / len(cells)
    return Count(
        float(refused.mean()),
        float(refused.min()),
        float(refused.max()),
        float(asked[made].mean()) / len(cells),
        int(made.sum()),
    )


def _estimate(values: Any) -> Estimate:
    mean, low, high, _ = mean_and_bounds(values, share=True)
    return Estimate(mean, low, high, int(np.isfinite(values).sum()))


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
    tied
        That it is not known to serve another share than the first level; else empty.
    """

    level: str
    is_first: bool
    sets: str
    serves: str
    costs: str
    tied: str = ""


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
    levels = _levels_as_written(ranking, manifest)
    return [
        Told(
            level=str(one.level),
            is_first=one.level == ranking.first,
            sets="" if one.level == ranking.first else _settings(levels, one.level),
            serves=_served(one),
            costs="" if one.level == ranking.first else _costs(one),
            tied=""
            if one.level == ranking.first or one.differs
            else f"no difference to {ranking.first} known",
        )
        for one in ranking.levels
    ]


def _levels_as_written(ranking: Ranking, manifest: Manifest) -> Any:
    """The levels of the ranked axis as the scenario has them; None if it has no such axis."""
    axes = manifest["scenario"].get("axes")
    return axes.get(ranking.axis) if isinstance(axes, dict) else None


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


def reproduced(ranking: Ranking, manifest: Manifest) -> str:
    """What the machine as it is refused, and what that says of the ranking; empty if nothing asked.

    Parameters
    ----------
    ranking
        From ranking_of().
    manifest
        Of the same results.
    """
    lost = ", ".join(map(str, ranking.unfinished))
    lost = f"No trial of {lost} finished." if lost else ""
    if isnan(ranking.reproduces) or ranking.refused is None:
        return lost
    count = ranking.refused
    refused = (
        f"At {ranking.first} {_number(count.mean)} of {_number(count.of)} requests of a trial did "
        f"not get their block at once ({_number(count.least)} to {_number(count.most)} in "
        f"{count.replicates} replicates); nor did the first one, which met the lists as they were "
        f"reported, in {100 * ranking.reproduces:.0f} % of the replicates."
    )
    said = [refused]
    if ranking.reproduces > _MOSTLY and count.mean < _FEW * count.of:
        said.append(
            "So with the load that is assumed this machine soon serves nearly all by itself, and "
            "the ranking is about the first moments."
        )
    if late := [*map(str, _acting_late(ranking, manifest))]:
        said.append(f"{' and '.join(late)}: done after the first request, which it cannot spare.")
    return " ".join([*said, "[ ]: interval of 95 %.", lost]).strip()


_MOSTLY, _FEW = 0.5, 0.01
"""Replicates whose first request was refused, and requests refused, for what is said of both."""


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.2g}"


def _times(entries: Iterable[Any], key: str) -> list[int]:
    """The times, ns, that some entries have under a key; others are passed over."""
    found = []
    for entry in entries:
        with suppress(ValueError):
            if isinstance(entry, dict) and entry.get(key) is not None:
                found.append(nanoseconds_from(entry[key]))
    return found


def _acting_late(ranking: Ranking, manifest: Manifest) -> list[Any]:
    """Ranked levels all of whose actions come after the first request of each name."""
    levels = _levels_as_written(ranking, manifest)
    requests = manifest["scenario"]["base"].get("requests")
    firsts = _times(requests.values() if isinstance(requests, dict) else (), "first")
    found = []
    for one in ranking.levels:
        told = levels.get(one.level) if isinstance(levels, dict) else None
        actions = told.get("actions") if isinstance(told, dict) else None
        begun = _times(actions if isinstance(actions, list) else (), "at")
        if begun and firsts and min(begun) > max(firsts):
            found.append(one.level)
    return found


def _settings(levels: Any, level: Any) -> str:
    found = levels.get(level) if isinstance(levels, dict) else None
    if not isinstance(found, dict):
        return ""
    words = []
    for key, value in found.items():
        if key == "actions" and isinstance(value, list):
            words += [_action(action) for action in value if isinstance(action, dict)]
        elif isinstance(value, dict | list):
            return ""
        else:
            words.append(f"{key} {value}")
    said = ", ".join(words)
    return said if len(said) <= _LONGEST else ""


def _action(action: Mapping[str, Any]) -> str:
    what = action.get("do") or ", ".join(map(str, action.get("set") or ()))
    return f"{what} at {action.get('at')}"


def _served(one: Ranked) -> str:
    said = f"serves {_percent(one.served)}"
    if one.at_once.mean < one.served.mean:
        said += f", at once {_percent(one.at_once)}"
    return said


def _percent(value: Estimate) -> str:
    return share_with_interval(value.mean, value.low, value.high, n=value.n, between=", ")


def _costs(one: Ranked) -> str:
    return ", ".join(
        f"{_signed(100 * (one.costs[name] - 1))} % {words}"
        for name, words in _TOLD.items()
        if name in one.costs
    )


def _signed(percent: float) -> str:
    """With its sign, as a whole number; nought has none."""
    return f"{percent:+.0f}" if round(percent) else "0"
