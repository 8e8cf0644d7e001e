"""The ranking of cures in a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterator
from math import isnan
from typing import TYPE_CHECKING, Any

from study.statistics.ranking import Estimate, Ranked, ranking_of

if TYPE_CHECKING:
    from rich.console import RenderableType

    from study.statistics.findings import Findings

_LONGEST = 50
_COSTS = {
    "refaults": "refaults",
    "reclaimed_pages": "pages reclaimed",
    "free_pages_mean": "pages free",
}


def ranking_parts(results: Findings) -> Iterator[RenderableType]:
    """What serves the requests by name best, best first; that nothing is refused, if so."""
    from rich.padding import Padding
    from rich.text import Text

    ranking = ranking_of(results)
    if ranking is None:
        return
    if not ranking.refuses:
        said = (
            f"Refuses nothing: at {ranking.axis} {ranking.first} every request was served at once, "
            "so there is nothing to rank."
        )
        yield Padding(Text(said, style="bold"), (1, 0, 0, 0))
        return
    yield Padding(Text("For this machine:", style="bold"), (1, 0, 0, 0))
    axes = results.manifest["scenario"].get("axes")
    settings = axes.get(ranking.axis) if isinstance(axes, dict) else None
    for one in ranking.levels:
        own = one.level == ranking.first
        said = "" if own else _settings(settings, one.level)
        line = f"{one.level}{said}: {_served(one)}"
        yield Padding(Text(line, style="bold" if own else ""), (0, 0, 0, 2))
        if not own:
            yield Padding(Text(_cost(one), style="dim"), (0, 0, 0, 6))
    if not isnan(ranking.reproduces):
        share = f"{100 * ranking.reproduces:.0f} %"
        yield Text(
            f"At {ranking.first} the first request met the lists as they were reported: in {share} "
            "of the replicates it was refused, or had to reclaim first. [ ]: interval of 95 %.",
            style="dim",
        )


def _settings(levels: Any, level: Any) -> str:
    """What a level sets, if it is short: vm.min_free_kbytes 65000."""
    told = levels.get(level) if isinstance(levels, dict) else None
    if not isinstance(told, dict) or any(isinstance(v, dict | list) for v in told.values()):
        return ""
    said = ", ".join(f"{key} {value}" for key, value in told.items())
    return f" ({said})" if said and len(said) <= _LONGEST else ""


def _served(one: Ranked) -> str:
    said = f"serves {_percent(one.served)}"
    if one.at_once.mean < one.served.mean:
        said += f", at once {_percent(one.at_once)}"
    return said


def _percent(value: Estimate) -> str:
    text = f"{100 * value.mean:.3g} %"
    if isnan(value.low):
        return text
    return f"{text} [{100 * value.low:.3g}, {100 * value.high:.3g}]"


def _cost(one: Ranked) -> str:
    said = [
        f"{100 * (one.costs[name] - 1):+.0f} % {words}"
        for name, words in _COSTS.items()
        if name in one.costs
    ]
    return "at " + ", ".join(said) if said else ""
