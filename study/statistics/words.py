"""Verdicts as a person reads them in a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite
from typing import TYPE_CHECKING

from study.statistics.intervals import CONFIDENCE
from study.statistics.tables import digits
from study.statistics.verdict import REPLICATES_LEAST

if TYPE_CHECKING:
    from rich.console import RenderableType

    from study.statistics.verdict import Verdict

_STYLES = {
    "supported": "bold green",
    "contradicted": "bold red",
    "equivalent": "bold cyan",
    "undecided": "bold yellow",
    "not asked": "dim",
}


def verdict_parts(verdicts: Sequence[Verdict], *, alpha: float) -> Iterator[RenderableType]:
    """The verdicts on all claims; nothing if there is no claim."""
    from rich.table import Table
    from rich.text import Text

    if not verdicts:
        return
    # A claim whose cells an override took away is counted, not told.
    asked = [verdict for verdict in verdicts if verdict.verdict != "not asked"]
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    most = max((verdict.n for verdict in asked), default=0)
    for verdict in asked:
        table.add_row(Text(verdict.verdict, style=_STYLES[verdict.verdict]), Text(verdict.says))
        table.add_row("", Text(evidence(verdict, most=most), style="dim"))
    if asked:
        yield table
    yield Text(footnote(verdicts, alpha=alpha), style="dim")
    yield Text()


def footnote(verdicts: Sequence[Verdict], *, alpha: float) -> str:
    """What the verdicts rest on, in one sentence or two.

    alpha  chance of a wrong verdict at one look: 5 %, shared by the looks there can be
    """
    asked = [verdict for verdict in verdicts if verdict.verdict != "not asked"]
    text = ""
    if asked:
        n = max(verdict.n for verdict in asked)
        looks = round((1 - CONFIDENCE) / alpha)
        text = (
            f"{n} replicates, compared within each. At least {100 * CONFIDENCE:g} % of such "
            f"studies say nothing wrong (Holm over {len(asked)} claim{'s' * (len(asked) > 1)}"
            f"{f', {looks} looks' * (looks > 1)}). [ ]: interval of {100 * (1 - alpha):.4g} %."
        )
        if n < REPLICATES_LEAST:
            text = f"{n} replicate{'s' * (n != 1)}: fewer than {REPLICATES_LEAST} decide nothing."
    skipped = [verdict for verdict in verdicts if verdict.verdict == "not asked"]
    if skipped and not asked:
        return f"No claim can be judged: {skipped[0].note}."
    if skipped:
        text += f" {len(skipped)} more claim{'s' * (len(skipped) > 1)}: this study lacks the cells."
    return text


def evidence(verdict: Verdict, *, most: int) -> str:
    """The figures behind a verdict, in one line.

    most  replicates that claims rest on; one that has fewer says so
    """
    parts = []
    if isfinite(verdict.estimate):
        sums = " + " in verdict.metric or " - " in verdict.metric or verdict.metric[0].isdigit()
        if sums:
            parts.append(f"{verdict.metric}: {_signed(verdict.estimate)}{_interval(verdict)}")
        else:
            of = f"{100 * verdict.share:g} % of " if verdict.share != 1 else ""
            of += f"the gain from {verdict.baseline} to " if verdict.baseline else ""
            parts.append(
                f"{verdict.metric} {number(verdict.side)} against {of}{number(verdict.other)}: "
                f"{_signed(verdict.estimate)}{_interval(verdict)}"
            )
        if verdict.margin:
            parts.append(f"{number(verdict.margin)} matters")
    if verdict.verdict == "undecided" and verdict.more is not None:
        more = f"about {verdict.more:,} more replicate{'s' * (verdict.more > 1)}"
        if verdict.minutes is not None:
            more += f", {duration(verdict.minutes)}"
        parts.append(more)
    if verdict.note:
        parts.append(verdict.note)
    if 0 < verdict.n < most:
        parts.append(f"{verdict.n} replicate{'s' * (verdict.n > 1)}")
    return "; ".join(parts)


def duration(minutes: float) -> str:
    """A time in the unit that fits it: '40 s', '12 min', '3 h', '5 days'."""
    if minutes < 1.5:
        return f"{max(60 * minutes, 1):.0f} s"
    if minutes < 90:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.0f} h" if minutes < 72 * 60 else f"{minutes / 1440:.0f} days"


def number(value: float) -> str:
    """A number with three digits that count."""
    if not isfinite(value):
        return "-"
    size = abs(value)
    if size >= 1e6 or (size and size < 1e-4):
        return f"{value:.2e}"
    return f"{value:,.0f}" if size >= 1000 else digits(value, 3)


def _signed(value: float) -> str:
    return number(value) if value < 0 else f"+{number(value)}"


def _interval(verdict: Verdict) -> str:
    if not (isfinite(verdict.low) and isfinite(verdict.high)):
        return ""
    return f" [{number(verdict.low)}, {number(verdict.high)}]"
