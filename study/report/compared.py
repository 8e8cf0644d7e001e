"""Two studies side by side on a page that stands alone."""

from __future__ import annotations

from itertools import groupby
from math import isfinite
from typing import TYPE_CHECKING

from study.report.template import template
from study.statistics.words import number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from study.statistics.compare import Comparison, Line


def render_comparison(found: Comparison) -> str:
    """The page as text: a table for each group of cells, what differs marked in words and not by
    colour alone. It names no other file and asks no network for anything.
    """
    groups = [
        (group, [_row(line, found.first.labels) for line in lines])
        for group, lines in groupby(found.lines, key=lambda line: line.group)
    ]
    text: str = template("compare.html.j2").render(
        studies=(("A", found.first), ("B", found.second)),
        cells=found.cells,
        paired=found.paired,
        groups=groups,
        differing=sum(line.significant for line in found.lines),
        lines=len(found.lines),
        notes=sorted({line.note for line in found.lines if line.note and not line.significant}),
    )
    return text


def _row(line: Line, labels: Mapping[str, str]) -> dict[str, str]:
    percent = f"{line.percent:+.2f} %" if isfinite(line.percent) else "-"
    return {
        "metric": labels.get(line.metric, line.metric.replace("_", " ")),
        "name": line.metric,
        "first": number(line.first),
        "second": number(line.second),
        "percent": percent,
        "differs": "differs" if line.significant else "",
    }
