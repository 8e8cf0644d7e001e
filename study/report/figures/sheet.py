"""The sheet a figure is drawn on: how wide, in which style."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from study.report.colours import INK, LINES, PAPER
from study.trust.current_folder import away_from_current_folder

with away_from_current_folder():
    import matplotlib.style
# isort: split
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "axes.edgecolor": LINES,
    "axes.labelcolor": INK,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": LINES,
    "grid.linewidth": 0.5,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "svg.fonttype": "none",
    # Outlines that editors of journals accept.
    "pdf.fonttype": 42,
    "figure.constrained_layout.wspace": 0.05,
    "svg.hashsalt": "study",
    "lines.linewidth": 1.4,
    # A dollar sign in the name of a level is a dollar sign.
    "text.parse_math": False,
}


@contextmanager
def house_style() -> Iterator[None]:
    """The look of every figure, while it is drawn and while it is saved."""
    with matplotlib.style.context(["default", _STYLE]), warnings.catch_warnings():
        # A browser has the letters that matplotlib's own font lacks; a file shows boxes for them.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield


@dataclass(frozen=True)
class Sheet:
    """What a figure is drawn on.

    width    inches, of every figure: text is of one size on the page
    columns  panels beside each other at most
    """

    width: float
    columns: int

    def panels(
        self, number: int, *, height: float, rest: float, **shared: Any
    ) -> tuple[Figure, list[Axes]]:
        """A figure of `number` panels of `height` inches, row by row.

        rest    inches for what lies outside the panels: legends, titles
        shared  sharex and sharey, as matplotlib has them
        """
        across = min(self.columns, number)
        down = -(-number // across)
        figure = Figure(figsize=(self.width, height * down + rest), layout="constrained")
        grid = figure.subplots(nrows=down, ncols=across, squeeze=False, **shared)
        for unused in grid.flat[number:]:
            unused.set_visible(False)
        return figure, list(grid.flat[:number])

    def legend_rows(self, entries: int) -> int:
        """Rows that a legend of so many entries takes."""
        return -(-entries // self.columns)

    def at_left(self, number: int) -> bool:
        """Whether the panel of this number is the first of its row."""
        return number % self.columns == 0

    def at_foot(self, number: int, of: int) -> bool:
        """Whether no panel lies below that of this number."""
        return number + min(self.columns, of) >= of


PAGE = Sheet(width=7.2, columns=2)
"""A page of a paper, or the report on a screen."""
PHONE = Sheet(width=3.7, columns=1)
"""The report on a phone: one panel below the other, with letters of the same size."""


def wrapped(text: str, letters: int) -> str:
    """Text in lines of so many letters."""
    return "\n".join(textwrap.wrap(text, letters)) or text
