"""The ranking of cures in a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from study.statistics.ranking import ranking_of, refuses_nothing, reproduced, told

if TYPE_CHECKING:
    from rich.console import RenderableType

    from study.statistics.findings import Findings


def ranking_parts(results: Findings) -> Iterator[RenderableType]:
    """What serves the requests by name best, best first; that nothing is refused, if so."""
    from rich.padding import Padding
    from rich.text import Text

    ranking = ranking_of(results)
    if ranking is None:
        return
    if not ranking.refuses:
        yield Padding(Text(refuses_nothing(ranking), style="bold"), (1, 0, 0, 0))
        return
    yield Padding(Text("For this machine:", style="bold"), (1, 0, 0, 0))
    for one in told(ranking, results.manifest):
        line = f"{one.level}{one.sets and f' ({one.sets})'}: {one.serves}"
        yield Padding(Text(line, style="bold" if one.is_first else ""), (0, 0, 0, 2))
        notes = "; ".join(filter(None, (one.tied, one.costs and f"at {one.costs}")))
        if notes:
            yield Padding(Text(notes, style="dim"), (0, 0, 0, 6))
    if note := reproduced(ranking, results.manifest):
        yield Text(note, style="dim")
