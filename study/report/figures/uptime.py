"""Figures over uptime: free memory by the order of its blocks, and the fragmentation indices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from study.report import select
from study.report.colours import FREE_ORDERS, INK, SERIES
from study.report.figures.sheet import Sheet, wrapped
from study.results.folder import ResultsError
from study.scenario.units import nanoseconds_from

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.figure import Figure

    from study.statistics import Findings

ORDER_OF_CARD = 3
ORDER_OF_INDEX = 6
POINTS_MOST = 100
"""Along the time axis: more are averaged, which also keeps the file small."""
SMOOTHED = 5
"""Points of which the lines of the indices are a moving mean."""
FREE = [f"nr_free{order}" for order in range(11)]


def buddyinfo(findings: Findings, sheet: Sheet) -> Figure:
    """Free pages by order over uptime, stacked, mean over replicates, for a few cells."""
    shown = over_time(findings)
    figure, panels = sheet.panels(len(shown), height=2.0, rest=0.9, sharex=True, sharey=True)
    layers: Sequence[Any] = ()
    for number, (axes, (cell, mean)) in enumerate(zip(panels, shown.items(), strict=True)):
        pages = mean[FREE].to_numpy(float) * (1 << np.arange(11))
        layers = axes.stackplot(mean.index, pages.T, colors=FREE_ORDERS, lw=0)
        axes.axvline(_measured_from(findings), color=INK, lw=0.8, ls=":")
        axes.set_title(_title(findings, cell))
        axes.margins(x=0)
        axes.yaxis.set_major_formatter("{x:,.0f}")
        if sheet.at_foot(number, len(shown)):
            axes.set_xlabel(f"uptime ({_unit(findings)[0]})")
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


def indices(findings: Findings, sheet: Sheet) -> Figure:
    """The kernel's two fragmentation indices over uptime, mean over replicates, a few cells."""
    shown = over_time(findings)
    panels_of = {
        "unusable": ("unusable free space index", f"share useless to order {ORDER_OF_CARD}"),
        "extfrag": (
            "fragmentation index",
            f"order {ORDER_OF_INDEX}: 0 too little free,\n1 too fragmented",
        ),
    }
    figure, panels = sheet.panels(
        len(panels_of), height=2.9, rest=0.2 * sheet.legend_rows(len(shown)), sharex=True
    )
    for place, (axes, (column, (title, label))) in enumerate(
        zip(panels, panels_of.items(), strict=True)
    ):
        for number, (cell, mean) in enumerate(shown.items()):
            line = mean[column].rolling(SMOOTHED, center=True, min_periods=1).mean()
            axes.plot(
                line.index,
                line.to_numpy(),
                color=SERIES[(0, 2, 4, 5)[number % 4]],
                ls=("-", "--", "-.", (0, (1, 1)))[number % 4],
                label=_title(findings, cell),
            )
        axes.axvline(_measured_from(findings), color=INK, lw=0.8, ls=":")
        axes.set_ylim(0, 1.02)
        axes.set_title(title)
        axes.set_ylabel(label)
        axes.margins(x=0.01)
        if sheet.at_foot(place, len(panels)):
            axes.set_xlabel(f"uptime ({_unit(findings)[0]})")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower left", ncols=sheet.columns, handlelength=3)
    return figure


def over_time(findings: Findings) -> dict[str, pd.DataFrame]:
    """Cell -> means over replicates, a row for each of at most 100 stretches of uptime.

    Columns nr_free0 .. nr_free10, unusable, extfrag. Samples are read some at a time: a study
    may have more of them than memory holds.
    """
    from study.results.read import series_batches

    sums: pd.DataFrame | None = None
    counts: pd.DataFrame | None = None
    select.finished(findings)
    telling = select.telling_cells(findings)
    for samples in series_batches(findings.folder):
        if "nr_free0" not in samples:
            break
        of_cells = samples[samples["cell"].isin(telling)]
        uptime = of_cells["time_ns"] / _unit(findings)[1]
        grouped = _indexed(of_cells).groupby([of_cells["cell"], uptime])
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
    return {cell: _thinned(means.loc[[cell]].droplevel(0)) for cell in telling if cell in there}


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


def _indexed(samples: pd.DataFrame) -> pd.DataFrame:
    """Free blocks by order of some samples, and the two indices."""
    from study.zone.indices import unusable_indices

    counts = samples[FREE].to_numpy(np.int64)
    return samples[FREE].assign(
        unusable=unusable_indices(counts)[:, ORDER_OF_CARD] / 1000,
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


def _measured_from(findings: Findings) -> float:
    """When the measured phase begins."""
    return nanoseconds_from(_clock(findings)["ageing"]) / _unit(findings)[1]


def _unit(findings: Findings) -> tuple[str, float]:
    """The unit of uptime that gives numbers of a handy size, and its nanoseconds."""
    clock = _clock(findings)
    whole = nanoseconds_from(clock["ageing"]) + nanoseconds_from(clock["measure"])
    if whole < 3 * 60e9:
        return "seconds", 1e9
    return ("minutes", 60e9) if whole < 3 * 3600e9 else ("hours", 3600e9)


def _clock(findings: Findings) -> dict[str, str]:
    clock: dict[str, str] = findings.manifest["scenario"]["base"]["clock"]
    return clock


def _title(findings: Findings, cell: str) -> str:
    return wrapped(select.difference_from_first(findings.manifest["cells"], cell), 46)
