"""Which level of an axis serves the requests by name best, and at what cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from study.results.summary import axis_and_metric_names
from study.scenario.machine.requests import by_column, names_of
from study.statistics.effects import level_means, mean_and_bounds

if TYPE_CHECKING:
    from study.statistics.findings import Findings

_COSTS = ("refaults", "reclaimed_pages", "moved_pages", "free_pages_mean")


@dataclass(frozen=True)
class Estimate:
    """A mean over replicates with its 95 % interval; NaN bounds below two replicates."""

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
        Whether any request was refused, or had to wait, at the first level.
    reproduces
        Share of the replicates in which its very first request was not served at once; NaN if
        nothing was requested.
    """

    axis: str
    first: Any
    refuses: bool
    reproduces: float
    levels: list[Ranked]


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
    wanted = [*(f"{name}_{what}" for name in named for what in _SHARES), *_COSTS]
    # A folder of an earlier version has no such columns.
    if not set(wanted) <= set(axis_and_metric_names(results.columns)[1]):
        return None
    own: dict[str, float] = {}
    levels: list[Ranked] = []
    reproduces = float("nan")
    for level, means in level_means(
        results.columns,
        axis=axis,
        metrics=wanted,
        cells=results.manifest["cells"],
    ):
        attempts: Any = sum(means[f"{name}_attempts"] for name in named)
        if not len(attempts):
            continue
        served, at_once = (
            sum((means[f"{name}_{what}"] * means[f"{name}_attempts"]).fillna(0) for name in named)
            / attempts
            for what in ("served_ratio", "at_once_ratio")
        )
        costs = {name: float(means[name].mean()) for name in _COSTS}
        if not levels:
            own = costs
            reproduces = float(means[f"{named[0]}_first_refused"].mean())
        ratios = {name: value / own[name] for name, value in costs.items() if own[name]}
        levels.append(Ranked(level, _estimate(served), _estimate(at_once), ratios))
    if not levels:
        return None
    first = levels[0]
    refuses = bool(first.served.mean < 1 or first.at_once.mean < 1)
    ranked = sorted(
        levels,
        key=lambda one: (
            -round(one.served.mean, 4),
            -round(one.at_once.mean, 4),
            one.costs.get("refaults", 1.0),
        ),
    )
    return Ranking(axis, first.level, refuses, reproduces, ranked)


_SHARES = ("attempts", "served_ratio", "at_once_ratio", "first_refused")


def _estimate(values: Any) -> Estimate:
    mean, low, high, _ = mean_and_bounds(values, share=True)
    return Estimate(mean, low, high)
