"""The figures of a study, by matplotlib: for the report, for papers, and for notebooks.

Importing this package loads matplotlib.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from study.report.figures.forest import forest
from study.report.figures.pages import zone_map
from study.report.figures.policies import success, tradeoff
from study.report.figures.sheet import PAGE, PHONE, Sheet, house_style
from study.report.figures.uptime import buddyinfo, indices

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from study.statistics import Findings

__all__ = ["FIGURES", "PAGE", "PHONE", "draw", "house_style", "save"]

FIGURES: dict[str, Callable[[Findings, Sheet], Figure]] = {
    "tradeoff": tradeoff,
    "forest": forest,
    "success": success,
    "buddyinfo": buddyinfo,
    "indices": indices,
    "zone-map": zone_map,
}
"""The figures by name, in the order of the report."""


def draw(name: str, findings: Findings, sheet: Sheet = PAGE) -> Figure:
    """One of FIGURES as a matplotlib figure, which belongs to no window.

    Raises ResultsError when the results have nothing to draw it from.
    """
    with house_style():
        return FIGURES[name](findings, sheet)


def save(name: str, findings: Findings, path: Path) -> None:
    """Draw one of FIGURES into a file; its suffix names the format (png, svg, pdf)."""
    figure = draw(name, findings)
    with house_style():
        # No date: the same results give the same file.
        bare = {"png": None, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
        figure.savefig(path, dpi=300, metadata=bare.get(path.suffix[1:]))
