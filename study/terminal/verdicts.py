"""Verdicts in a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from study.statistics.words import evidence

if TYPE_CHECKING:
    from rich.console import RenderableType

    from study.statistics.verdict import Verdict

_STYLES = {
    "supported": "bold green",
    "contradicted": "bold red",
    "equivalent": "bold cyan",
    "always seen": "bold blue",
    "never seen": "bold magenta",
    "undecided": "bold yellow",
    "not asked": "dim",
}


def verdict_parts(
    verdicts: Sequence[Verdict], note: str, labels: Mapping[str, str]
) -> Iterator[RenderableType]:
    """The verdicts on all claims, and what they rest on; nothing if there is no claim.

    labels  metric -> what the study calls it
    """
    from rich.table import Table
    from rich.text import Text

    if not verdicts:
        return
    # A claim whose cells an override took away is counted, not told.
    judged = [verdict for verdict in verdicts if verdict.has_cells]
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    most = max((verdict.n for verdict in judged), default=0)
    for verdict in judged:
        table.add_row(Text(verdict.verdict, style=_STYLES[verdict.verdict]), Text(verdict.says))
        table.add_row("", Text(evidence(verdict, labels, most=most), style="dim"))
    if judged:
        yield table
    yield Text(note, style="dim")
    yield Text()
