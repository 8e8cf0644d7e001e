"""Figures over uptime: free memory by the order of its blocks, and the fragmentation indices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from study.report import select
from study.report.colours import FREE_ORDERS, INK, SERIES
from study.report.figures.sheet import Sheet, wrapped
from study.results.errors import ResultsError
from study.scenario.units import nanoseconds_from

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.figure import Figure

    from study.statistics import Findings

ORDER_OF_INDEX = 6
_ORDER = 3
"""Of the unusable free space index where no card asks for larger blocks than pages."""
_SHARED_MOST = 3.0
"""Times as many free pages that a panel may have than another, for both to have one scale."""
POINTS_MOST = 100
"""Along the time axis: more are averaged, which also keeps the file small."""
SMOOTHED = 5
"""Points of which the lines of the indices are a moving mean."""
FREE = [f"nr_free{order}" for order in range(11)]


@dataclass(frozen=True)
class OverTime:
    """Samples of a few contrasting cells over uptime.

    means     cell -> mean over replicates, a row for each of at most 100 stretches of uptime, with
              columns nr_free0 .. nr_free10, unusable, extfrag
    titles    cell -> what to call it
    unit      of uptime
    measured  cell -> when its measured phase begins, in that unit
    order     that the card of the first cell asks for
    """

    means: dict[str, pd.DataFrame]
    titles: dict[str, str]
    unit: str
    measured: dict[str, float]
    order: int


def over_time(findings: Findings) -> OverTime:
    """What the figures over uptime show.

    Samples are read some at a time: a study may have more of them than memory holds.
    """
    from study.results.read import series_batches
    from study.statistics.drift import clock_of

    select.finished(findings)
    wanted = set(select.contrasting_cells(findings))
    # In the order of the levels, as the scenario has them; the first cell is among them.
    chosen = [cell for cell in findings.cells if cell in wanted]
    ageing, measure = (
        {cell: nanoseconds_from(raw) for cell, raw in clock_of(findings.manifest, phase).items()}
        for phase in ("ageing", "measure")
    )
    unit, ns = _unit(max(ageing[cell] + measure[cell] for cell in chosen))
    order = _order_of_card(findings, chosen[0])
    sums: pd.DataFrame | None = None
    counts: pd.DataFrame | None = None
    for samples in series_batches(findings.folder):
        if "nr_free0" not in samples:
            break
        of_cells = samples[samples["cell"].isin(chosen)]
        grouped = _indexed(of_cells, order).groupby([of_cells["cell"], of_cells["time_ns"] / ns])
        sum_, count = grouped.sum(), grouped.count()
        sums = sum_ if sums is None else sums.add(sum_, fill_value=0)
        counts = count if counts is None else counts.add(count, fill_value=0)
    if sums is None or counts is None:
        raise ResultsError(f"{findings.place} keeps no samples over time")
    if sums.empty:
        raise ResultsError(f"{findings.place} keeps no samples of these cells")
    # 0 / 0: a time at which no replicate has a value.
    means: pd.DataFrame = sums / counts
    there = set(means.index.get_level_values(0))
    shown = {cell: _thinned(means.loc[[cell]].droplevel(0)) for cell in chosen if cell in there}
    if not any(mean[FREE].to_numpy().any() for mean in shown.values()):
        raise ResultsError(f"{findings.place} has no sample with a free page")
    cells = findings.cells
    titles = {cell: select.difference_from_first(cells, cell) for cell in shown}
    begins = {cell: ageing[cell] / ns for cell in shown}
    return OverTime(shown, titles, unit, begins, order)


def _order_of_card(findings: Findings, cell: str) -> int:
    """The largest order of which a cell asks for as many blocks as for receive buffers."""
    trials = findings.columns
    if "rx_attempts" not in trials:
        return _ORDER
    of_cell = trials["cell"] == cell
    asked = float(trials["rx_attempts"][of_cell].sum())
    orders = [
        order
        for order in range(1, 11)
        if (name := f"order{order}_attempts") in trials
        and float(trials[name][of_cell].sum()) >= asked > 0
    ]
    return max(orders, default=_ORDER)


def buddyinfo(shown: OverTime, sheet: Sheet) -> Figure:
    """Free pages by order over uptime, stacked, mean over replicates, for a few cells."""
    number_of = len(shown.means)
    tops = [_pages(mean).sum(axis=1).max() for mean in shown.means.values()]
    sharey = max(tops) <= _SHARED_MOST * min(tops)
    figure, panels = sheet.panels(number_of, height=2.0, rest=0.9, sharex=True, sharey=sharey)
    layers: Sequence[Any] = ()
    for number, (axes, (cell, mean)) in enumerate(zip(panels, shown.means.items(), strict=True)):
        layers = axes.stackplot(mean.index, _pages(mean).T, colors=FREE_ORDERS, lw=0)
        axes.axvline(shown.measured[cell], color=INK, lw=0.8, ls=":")
        axes.set_title(wrapped(shown.titles[cell], 46))
        axes.margins(x=0)
        axes.yaxis.set_major_formatter("{x:,.0f}")
        if sheet.at_foot(number, number_of):
            axes.set_xlabel(f"uptime ({shown.unit})")
            axes.tick_params(labelbottom=True)
        if sheet.at_left(number):
            axes.set_ylabel("free pages")
    figure.legend(
        handles=list(layers),
        labels=[f"{order}" for order in range(11)],
        title="free pages in blocks of order",
        loc="outside lower center",
        ncols=11 if sheet.columns > 1 else 6,
        handlelength=1,
        columnspacing=1,
    )
    return figure


def describe_buddyinfo(shown: OverTime) -> str:
    """How many pages are free on average once measured, and how many of them serve no card."""
    phrases = []
    for cell, mean in shown.means.items():
        pages = _pages(mean[mean.index >= shown.measured[cell]]).mean(axis=0)
        phrases.append(
            f"{shown.titles[cell]}: {pages.sum():,.0f} pages free, "
            f"{pages[: shown.order].sum():,.0f} of them in blocks below order {shown.order}"
        )
    return f"In the measured phase, {'; '.join(phrases)}."


_INDICES = {
    "unusable": ("unusable free space index", "share useless to order {order}"),
    "extfrag": (
        "fragmentation index",
        f"order {ORDER_OF_INDEX}: 0 too little free,\n1 too fragmented",
    ),
}


def indices(shown: OverTime, sheet: Sheet) -> Figure:
    """The kernel's two fragmentation indices over uptime, mean over replicates, a few cells."""
    rest = 0.2 * sheet.legend_rows(len(shown.means))
    figure, panels = sheet.panels(len(_INDICES), height=2.9, rest=rest, sharex=True)
    for place, (axes, (column, (title, label))) in enumerate(
        zip(panels, _INDICES.items(), strict=True)
    ):
        drawn = 0
        for number, (cell, mean) in enumerate(shown.means.items()):
            line = mean[column].rolling(SMOOTHED, center=True, min_periods=1).mean()
            drawn += bool(line.notna().any())
            axes.plot(
                line.index,
                line.to_numpy(),
                color=SERIES[(0, 2, 4, 5)[number % 4]],
                ls=("-", "--", "-.", (0, (1, 1)))[number % 4],
                label=wrapped(shown.titles[cell], 46),
            )
        for begins in {*shown.measured.values()}:
            axes.axvline(begins, color=INK, lw=0.8, ls=":")
        axes.set_ylim(0, 1.02)
        axes.set_title(title)
        axes.set_ylabel(label.format(order=shown.order))
        if drawn < len(shown.means):
            which = "cells without a line" if drawn else "all cells"
            text = f"{which}: a request of\norder {ORDER_OF_INDEX} would be served"
            axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center")
        axes.margins(x=0.01)
        if sheet.at_foot(place, len(panels)):
            axes.set_xlabel(f"uptime ({shown.unit})")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower left", ncols=sheet.columns, handlelength=3)
    return figure


def describe_indices(shown: OverTime) -> str:
    """Both indices of each cell, on average once measured."""
    phrases = []
    for cell, mean in shown.means.items():
        measured = mean[mean.index >= shown.measured[cell]].mean()
        parts = [
            f"{title} {measured[column]:.2f}"
            for column, (title, _) in _INDICES.items()
            if np.isfinite(measured[column])
        ]
        phrases.append(f"{shown.titles[cell]}: {', '.join(parts) or 'no value'}")
    return f"In the measured phase, {'; '.join(phrases)}."


def _pages(mean: pd.DataFrame) -> Any:
    """Free pages by order, f8 of shape (times, 11)."""
    return mean[FREE].to_numpy(float) * (1 << np.arange(11))


def _thinned(mean: pd.DataFrame) -> pd.DataFrame:
    # At the start a zone may be all free, which would flatten what matters.
    mean = mean.iloc[1:] if len(mean) > 2 else mean
    together = -(-len(mean) // POINTS_MOST)
    uptime = mean.index.to_numpy()
    stretch = np.arange(len(mean)) // together
    thin: pd.DataFrame = mean.groupby(stretch).mean()
    ends = np.minimum(thin.index.to_numpy() * together + together - 1, len(mean) - 1)
    starts = thin.index.to_numpy() * together
    return thin.set_axis((uptime[starts] + uptime[ends]) / 2)


def _indexed(samples: pd.DataFrame, order: int) -> pd.DataFrame:
    """Free blocks by order of some samples, and the two indices."""
    from study.zone.trial.indices import unusable_indices

    counts = samples[FREE].to_numpy(np.int64)
    return samples[FREE].assign(
        unusable=unusable_indices(counts)[:, order] / 1000,
        extfrag=_extfrag(counts, ORDER_OF_INDEX),
    )


def _extfrag(counts: Any, order: int) -> Any:
    """extfrag_index of many samples in [0, 1]; NaN where a request would be served."""
    blocks = counts.sum(axis=1)
    pages = (counts << np.arange(11)).sum(axis=1)
    fails = (counts[:, order:].sum(axis=1) == 0) & (blocks > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        index = 1000 - (1000 + pages * 1000 // (1 << order)) // np.maximum(blocks, 1)
    return np.where(fails, index / 1000, np.nan)


def _unit(whole_ns: float) -> tuple[str, float]:
    """The unit that gives numbers of a handy size, and its nanoseconds."""
    if whole_ns < 3 * 60e9:
        return "seconds", 1e9
    return ("minutes", 60e9) if whole_ns < 3 * 3600e9 else ("hours", 3600e9)
