"""The zone map as a figure: every page by owner, for a few cells, at three moments of a trial."""

from __future__ import annotations

from typing import TYPE_CHECKING

from study.report import select
from study.report.colours import OWNERS, PAPER
from study.report.figures.sheet import Sheet, wrapped
from study.report.zone_map import (
    MOMENTS,
    Array,
    classes,
    moments,
    page_counts,
    raster,
    read_zone_maps,
)
from study.results.errors import ResultsError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from study.statistics import Findings

_ACROSS = 17
"""Blocks beside each other: a picture wider than high, so that a page holds those of four cells."""


def kept_maps(findings: Findings) -> dict[str, Array]:
    """The pictures kept in the folder: what a cell is called -> owners at three moments."""
    cells = findings.cells
    maps = {
        select.difference_from_first(cells, kept.cell): kept.owners
        for kept in read_zone_maps(findings.folder)
        if kept.cell in cells
    }
    if not maps:
        raise ResultsError(f"{findings.place} keeps no picture of a zone")
    return maps


def zone_map(maps: dict[str, Array], sheet: Sheet) -> Figure:
    """Every page of a zone coloured by owner, for a few cells, at three moments of a trial."""
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    first_owners = next(iter(maps.values()))
    down, across = raster(classes(first_owners[0]), background=0, across=_ACROSS).shape
    named = list(dict.fromkeys(name for owners in maps.values() for name in moments(owners)))
    beside = Sheet(sheet.width, len(named))
    height = (sheet.width - 0.4) / len(named) * down / across + 0.1
    columns = 3 if sheet.columns > 1 else 1
    rest = 0.4 + 0.2 * -(-len(OWNERS) // columns)
    figure, panels = beside.panels(len(named) * len(maps), height=height, rest=rest)
    colours = ListedColormap([*OWNERS.values(), PAPER])
    for row, (title, at_moments) in enumerate(maps.items()):
        of_cell = panels[row * len(named) : (row + 1) * len(named)]
        at_named = dict(zip(MOMENTS.values(), at_moments, strict=True))
        for axes, moment in zip(of_cell, named, strict=True):
            owners = at_named[moment]
            picture = raster(classes(owners), background=len(OWNERS), across=_ACROSS)
            # "none": a file of vectors holds every page, too.
            axes.imshow(picture, cmap=colours, vmin=0, vmax=len(OWNERS), interpolation="none")
            axes.set_axis_off()
            axes.set_title(moment if row == 0 else "")
        first = of_cell[0]
        first.set_axis_on()
        first.set_xticks([])
        first.set_yticks([])
        # Upright beside the pictures, which are as high as the sheet is wide.
        first.set_ylabel(wrapped(title, int(4 * sheet.width)), fontsize=9 if columns > 1 else 7)
    figure.legend(
        handles=[Patch(color=colour, label=name) for name, colour in OWNERS.items()],
        loc="outside lower center",
        ncols=columns,
    )
    return figure


def describe_zone_map(maps: dict[str, Array]) -> str:
    """How many pages each owner has in the last picture of each cell."""
    ends = [f"{title}: {page_counts(at_moments[-1])}" for title, at_moments in maps.items()]
    return f"{list(MOMENTS.values())[-1].capitalize()}, {'; '.join(ends)}."
