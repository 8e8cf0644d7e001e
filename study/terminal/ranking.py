"""The ranking of cures in a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterator
from math import isnan
from typing import TYPE_CHECKING

from study.statistics.ranking import Estimate, Ranked, ranking_of

if TYPE_CHECKING:
    from rich.console import RenderableType

    from study.statistics.findings import Findings

_COSTS = {"refaults": "refaults", "reclaimed_pages": "pages reclaimed", "free_pages_mean": "free"}


def ranking_parts(results: Findings) -> Iterator[RenderableType]:
    """What serves the requests by name best, best first; that nothing is refused, if so."""
    from rich.padding import Padding
    from rich.table import Table
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
    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(3):
        table.add_column()
    for one in ranking.levels:
        own = one.level == ranking.first
        cost = "as it is" if own else _cost(one)
        table.add_row(Text(f"  {one.level}", style="bold" if own else ""), _served(one), Text(cost))
    yield table
    if not isnan(ranking.reproduces):
        share = f"{100 * ranking.reproduces:.0f} %"
        yield Text(
            f"At {ranking.first} the first request met the lists as they were reported: in {share} "
            "of the replicates it was refused, or had to reclaim first. [ ]: interval of 95 %.",
            style="dim",
        )


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
