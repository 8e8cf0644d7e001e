"""The figures of a study, by matplotlib: for the report, for papers, and for notebooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from study.report import select
from study.report.colours import FREE_ORDERS, INK, LINES, MARKERS, OWNERS, PAPER, SERIES
from study.results.folder import ResultsError
from study.scenario.units import nanoseconds_from

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from matplotlib.figure import Figure

    from study.statistics import Findings

WIDTH = 7.2
"""Inches, of every figure: the text is of one size on the page."""
ORDER_SHOWN = 3
ORDER_OF_INDEX = 6
SMOOTHED = 11
"""Samples of which the lines of the indices are a moving mean."""
MINUTE_NS = 60e9

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
    "figure.constrained_layout.wspace": 0.05,
    "svg.hashsalt": "study",
    "lines.linewidth": 1.4,
}


@contextmanager
def house_style() -> Iterator[None]:
    """The look of every figure, while it is drawn and while it is saved."""
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        yield


def draw(name: str, findings: Findings) -> Figure:
    """One of FIGURES as a matplotlib figure, which belongs to no window.

    Raises ResultsError when the results have nothing to draw it from.
    """
    with house_style():
        return FIGURES[name](findings)


def save(name: str, findings: Findings, path: Path) -> None:
    """Draw one of FIGURES into a file; its suffix names the format (png, svg, pdf)."""
    figure = draw(name, findings)
    with house_style():
        # No date: the same results give the same file.
        bare = {"Date": None} if path.suffix == ".svg" else {}
        figure.savefig(path, dpi=200, metadata=bare or None)


def _figure(height: float, **grid: Any) -> tuple[Figure, Any]:
    from study.report.drawing import Drawing

    figure = Drawing(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots(**grid)


def _finished(findings: Findings, *metrics: str) -> pd.DataFrame:
    """Cell, replicate and some metrics of the trials there are to draw."""
    found = findings.columns.finished(*metrics)
    if found.empty:
        raise ResultsError(f"{findings.place} has no finished trial to draw")
    return found


def minutes_measured(findings: Findings) -> float:
    """Length of the measured phase in minutes of simulated time."""
    return _clock_minutes(findings, "measure")


def _clock_minutes(findings: Findings, name: str) -> float:
    return nanoseconds_from(findings.manifest["scenario"]["base"]["clock"][name]) / MINUTE_NS


def compared(findings: Findings) -> pd.DataFrame:
    """Service and costs of the cells that differ in policy only, as findings.tradeoff has them.

    Costs are per minute of simulated time; the front is that of these cells alone.
    """
    from study.statistics.tradeoff import tradeoff

    cells = select.compared_cells(findings.manifest["cells"])
    _finished(findings)
    _need(findings, "rx_success_ratio", "reclaimed_pages", "moved_pages", "refaults")
    table: pd.DataFrame = tradeoff(findings.columns, cells)
    table = table[np.isfinite(table["gain"].to_numpy(float))].copy()
    if table.empty:
        raise ResultsError("no cell asked for receive buffers")
    minutes = minutes_measured(findings)
    for cost in ("pages_taken", "refaults"):
        for column in (cost, f"{cost}_low", f"{cost}_high"):
            table[column] = table[column] / minutes
    return table


def _need(findings: Findings, *metrics: str) -> None:
    missing = [name for name in metrics if name not in findings.columns]
    if missing:
        raise ResultsError(f"{findings.place} has no metric {missing[0]}")


def tradeoff(findings: Findings) -> Figure:
    """Receive buffers served against what it cost, a mark for each policy; front marked."""
    table = compared(findings)
    cells = select.compared_cells(findings.manifest["cells"])
    names, looks = _looks(cells)
    rows = -(-len(looks) // 2) + 1
    figure, panels = _figure(3.4 + 0.2 * rows, ncols=2, sharey=True)
    costs = {
        "pages_taken": "pages reclaimed, evicted or moved\n(thousands a minute)",
        "refaults": "refaults: pages missed soon after\n(thousands a minute)",
    }
    for axes, (cost, label) in zip(panels, costs.items(), strict=True):
        for row in table.to_dict("records"):
            name, filled = names[row["cell"]]
            colour, marker = looks[name]
            x, y = row[cost] / 1e3, 100 * row["gain"]
            axes.errorbar(
                [x],
                [y],
                xerr=_reach(row, cost, 1e-3),
                yerr=_reach(row, "gain", 100),
                fmt=marker,
                color=colour,
                markerfacecolor=colour if filled else PAPER,
                markersize=6,
                elinewidth=1,
                capsize=2,
            )
            if row["front"]:
                axes.plot([x], [y], "o", ms=13, mfc="none", mec=INK, mew=0.8)
        axes.set_xlabel(label)
        axes.margins(0.12)
    panels[0].set_ylabel("receive buffers served (%)")
    _policy_legend(figure, cells, looks, front=True)
    return figure


def _looks(
    cells: Mapping[str, Mapping[str, Any]],
) -> tuple[dict[str, tuple[str, int]], dict[str, tuple[str, str]]]:
    """Cell -> (policy, filled), and policy -> (colour, marker)."""
    first = next(iter(cells.values()))
    names = select.policy_names(cells, list(first))
    distinct = dict.fromkeys(name for name, _ in names.values())
    looks = {
        name: (SERIES[i % len(SERIES)], MARKERS[(i + i // len(SERIES)) % len(MARKERS)])
        for i, name in enumerate(distinct)
    }
    return names, looks


def _reach(row: Mapping[Any, Any], name: str, factor: float) -> Any:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    if not np.isfinite([low, high]).all():
        return None
    return [[max(row[name] - low, 0) * factor], [max(high - row[name], 0) * factor]]


def _policy_legend(
    figure: Figure,
    cells: Mapping[str, Mapping[str, Any]],
    looks: Mapping[str, tuple[str, str]],
    *,
    front: bool,
) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=colour, marker=marker, ls="", ms=6, label=name)
        for name, (colour, marker) in looks.items()
        if len(looks) > 1
    ]
    fill = select.fill_axis(cells, list(next(iter(cells.values()))))
    if fill:
        for filled, level in enumerate(select.fill_levels(cells, fill)):
            handles.append(
                Line2D(
                    [],
                    [],
                    color=SERIES[0],
                    marker="o",
                    ls="",
                    ms=6,
                    mfc=SERIES[0] if filled else PAPER,
                    label=f"{'filled' if filled else 'open'}: {fill} {level}",
                )
            )
    if front:
        handles.append(
            Line2D(
                [],
                [],
                color=INK,
                marker="o",
                ls="",
                ms=11,
                mfc="none",
                mew=0.8,
                label="on the Pareto front",
            )
        )
    if handles:
        figure.legend(handles=handles, loc="outside lower left", ncols=2)


FOREST: dict[str, tuple[str, str]] = {
    "rx_success_ratio": ("receive buffers served\n(percentage points)", "points"),
    "reclaimed_pages": ("pages reclaimed\n(% of the other level)", "percent"),
    "refaults": ("refaults\n(% of the other level)", "percent"),
}
ROWS_MOST = 30


def paired_differences(findings: Findings) -> pd.DataFrame:
    """Each level against the first of its axis, on the metrics of FOREST, paired by replicate.

    Columns axis, level, against, metric, cells, n, value, low, high: in percentage points or in
    per cent; 95 % intervals, not corrected for their number.
    """
    from study.statistics import contrast_table

    _finished(findings)
    cells = findings.manifest["cells"]
    table = contrast_table(
        findings.columns, cells=cells, axes=findings.manifest["axes"], metrics=list(FOREST)
    )
    firsts = {
        axis: next(levels[axis] for levels in cells.values() if axis in levels)
        for axis in findings.manifest["axes"]
    }
    table = table[
        (table["kind"] == "axis") & (table["against"] == table["axis"].map(firsts))
    ].copy()
    points = table["metric"].map(lambda name: FOREST[name][1] == "points").to_numpy(bool)
    for target, gap, ratio in (
        ("value", "difference", "ratio"),
        ("low", "low", "ratio_low"),
        ("high", "high", "ratio_high"),
    ):
        in_points = 100 * table[gap].to_numpy(float)
        table[target] = np.where(points, in_points, 100 * (table[ratio].to_numpy(float) - 1))
    columns = ["axis", "level", "against", "metric", "cells", "n", "value", "low", "high"]
    return table[columns].reset_index(drop=True)


def forest(findings: Findings) -> Figure:
    """What each level changes against the first of its axis, paired by replicate."""
    table = paired_differences(findings)
    rows = list(dict.fromkeys(map(tuple, table[["axis", "level", "against"]].to_numpy(object))))
    rows = rows[:ROWS_MOST]
    if not rows:
        raise ResultsError("the study has no two levels to compare")
    figure, panels = _figure(1.0 + 0.42 * len(rows), ncols=len(FOREST), sharey=True)
    place = {row: len(rows) - 1 - i for i, row in enumerate(rows)}
    for axes, (metric, (label, _)) in zip(panels, FOREST.items(), strict=True):
        axes.axvline(0, color=INK, lw=0.8)
        for row in table[table["metric"] == metric].to_dict("records"):
            y = place.get((row["axis"], row["level"], row["against"]))
            if y is None or not np.isfinite(row["value"]):
                continue
            if np.isfinite([row["low"], row["high"]]).all():
                axes.plot([row["low"], row["high"]], [y, y], color=SERIES[4], lw=1.6)
            axes.plot([row["value"]], [y], "s", color=SERIES[4], ms=5)
        axes.set_xlabel(label)
        axes.grid(visible=False, axis="y")
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.margins(x=0.1)
    panels[0].set_yticks(
        list(place.values()),
        [
            f"{axis}\n{select.word(level)} less {select.word(against)}"
            for axis, level, against in rows
        ],
    )
    for axes in panels:
        axes.tick_params(axis="y", length=0)
    return figure


def success(findings: Findings) -> Figure:
    """Requests served at each order that is asked for, by policy."""
    from study.statistics.intervals import mean_interval

    cells = select.compared_cells(findings.manifest["cells"])
    names, looks = _looks(cells)
    columns = findings.columns
    compared = columns["cell"].isin(list(cells))
    orders = [
        order
        for order in range(11)
        if f"order{order}_attempts" in columns
        and (columns[f"order{order}_attempts"][compared] > 0).any()
    ]
    trials = _finished(findings, *(f"order{order}_success_ratio" for order in orders))
    if not orders:
        raise ResultsError("no cell asked for pages")
    rows = -(-len(looks) // 2) + 1
    figure, axes = _figure(2.6 + 0.2 * rows)
    step = 0.8 / len(cells)
    for number, cell in enumerate(cells):
        name, filled = names[cell]
        colour, marker = looks[name]
        of_cell = trials[trials["cell"] == cell]
        for position, order in enumerate(orders):
            values = of_cell[f"order{order}_success_ratio"].to_numpy(float)
            values = values[np.isfinite(values)]
            if not len(values):
                continue
            x = position - 0.4 + step * (number + 0.5)
            reach = None
            if len(values) > 1:
                found = mean_interval(values)
                reach = 100 * np.array([[found.mean - found.low], [found.high - found.mean]]).clip(
                    0
                )
            axes.errorbar(
                [x],
                [100 * values.mean()],
                yerr=reach,
                fmt=marker,
                color=colour,
                markerfacecolor=colour if filled else PAPER,
                markersize=5,
                elinewidth=1,
            )
    axes.set_xticks(range(len(orders)), [f"order {order}\n{4 << order} KiB" for order in orders])
    axes.set_xlim(-0.5, len(orders) - 0.5)
    axes.grid(visible=False, axis="x")
    for edge in range(1, len(orders)):
        axes.axvline(edge - 0.5, color=LINES, lw=0.8)
    axes.set_ylabel("requests served (%)")
    _policy_legend(figure, cells, looks, front=False)
    return figure


FREE = [f"nr_free{order}" for order in range(11)]


def _over_time(findings: Findings) -> tuple[dict[str, pd.DataFrame], dict[str, str]]:
    """Cell -> means over replicates by minute, and cell -> title, of the cells to show.

    Columns nr_free0 .. nr_free10, unusable, extfrag. Samples are read some at a time: a study
    may have more of them than memory holds.
    """
    from study.results.read import series_batches

    sums: pd.DataFrame | None = None
    counts: pd.DataFrame | None = None
    _finished(findings)
    telling = select.telling_cells(findings)
    for samples in series_batches(findings.folder):
        if "nr_free0" not in samples:
            break
        of_cells = samples[samples["cell"].isin(telling)]
        grouped = _indexed(of_cells).groupby([of_cells["cell"], of_cells["time_ns"] / MINUTE_NS])
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
    cells = findings.manifest["cells"]
    shown = {cell: means.loc[[cell]].droplevel(0) for cell in telling if cell in there}
    return shown, {cell: select.difference_from_first(cells, cell) for cell in shown}


def _indexed(samples: pd.DataFrame) -> pd.DataFrame:
    """Free blocks by order of some samples, and the two indices."""
    from study.zone.indices import unusable_indices

    counts = samples[FREE].to_numpy(np.int64)
    return samples[FREE].assign(
        unusable=unusable_indices(counts)[:, ORDER_SHOWN] / 1000,
        extfrag=_extfrag(counts, ORDER_OF_INDEX),
    )


def _measured_from(findings: Findings) -> float:
    return _clock_minutes(findings, "ageing")


def buddyinfo(findings: Findings) -> Figure:
    """Free pages by order over uptime, stacked, mean over replicates, for a few cells."""
    shown, titles = _over_time(findings)
    across = min(2, len(shown))
    down = -(-len(shown) // across)
    figure, grid = _figure(
        0.9 + 2.0 * down, nrows=down, ncols=across, sharex=True, sharey=True, squeeze=False
    )
    layers: Sequence[Any] = ()
    for axes, (cell, means) in zip(grid.flat, shown.items(), strict=False):
        mean = means[FREE]
        # At the start a zone may be all free, which would flatten what matters.
        mean = mean.iloc[1:] if len(mean) > 2 else mean
        pages = mean.to_numpy(float) * (1 << np.arange(11))
        layers = axes.stackplot(
            mean.index, pages.T, colors=FREE_ORDERS, labels=range(11), lw=0.2, ec=PAPER
        )
        axes.axvline(_measured_from(findings), color=INK, lw=0.8, ls=":")
        axes.set_title(_wrapped(titles[cell]))
        axes.margins(x=0)
    for axes in grid[-1]:
        axes.set_xlabel("uptime (minutes)")
    for axes in grid[:, 0]:
        axes.set_ylabel("free pages")
    for axes in list(grid.flat)[len(shown) :]:
        axes.set_visible(False)
    figure.legend(
        handles=list(layers),
        labels=[f"{order}" for order in range(11)],
        title="free pages in blocks of order",
        loc="outside lower center",
        ncols=11,
        handlelength=1,
        columnspacing=1,
    )
    return figure


def _wrapped(text: str, letters: int = 46) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(text, letters)) or text


def indices(findings: Findings) -> Figure:
    """The kernel's two fragmentation indices over uptime, mean over replicates, a few cells."""
    shown, titles = _over_time(findings)
    figure, panels = _figure(3.1 + 0.2 * -(-len(shown) // 2), ncols=2)
    labels = {
        "unusable": f"share of free memory useless to order {ORDER_SHOWN}",
        "extfrag": f"fragmentation index of order {ORDER_OF_INDEX}",
    }
    for axes, (column, label) in zip(panels, labels.items(), strict=True):
        for number, (cell, means) in enumerate(shown.items()):
            mean = means[column]
            mean = mean.iloc[1:] if len(mean) > 2 else mean
            mean = mean.rolling(SMOOTHED, center=True, min_periods=1).mean()
            style = ("-", "--", "-.", (0, (1, 1)))[number % 4]
            axes.plot(
                mean.index,
                mean.to_numpy(),
                color=SERIES[(0, 2, 4, 5)[number % 4]],
                ls=style,
                label=_wrapped(titles[cell], 60),
            )
        axes.axvline(_measured_from(findings), color=INK, lw=0.8, ls=":")
        axes.set_ylim(0, 1.02)
        axes.set_ylabel(label)
        axes.set_xlabel("uptime (minutes)")
        axes.margins(x=0.01)
    panels[0].set_title("unusable free space index")
    panels[1].set_title("0: too little memory, 1: fragmentation")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower left", ncols=2, handlelength=3)
    return figure


def _extfrag(counts: Any, order: int) -> Any:
    """extfrag_index of many samples in [0, 1]; NaN where a request would be served."""
    blocks = counts.sum(axis=1)
    pages = (counts << np.arange(11)).sum(axis=1)
    fails = (counts[:, order:].sum(axis=1) == 0) & (blocks > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        index = 1000 - (1000 + pages * 1000 // (1 << order)) // np.maximum(blocks, 1)
    return np.where(fails, index / 1000, np.nan)


def zone_map(findings: Findings) -> Figure:
    """Every page of a zone coloured by owner, for a few cells, at three moments of a trial."""
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    from study.report.zone_map import MOMENTS, classes, raster, read_zone_maps

    maps = read_zone_maps(findings.folder)
    if not maps:
        raise ResultsError(f"{findings.place} keeps no picture of a zone")
    shape = raster(classes(maps[0].owners[0]), background=0).shape
    height = 2.25 * shape[0] / shape[1] + 0.1
    figure, grid = _figure(1.0 + height * len(maps), nrows=len(maps), ncols=3, squeeze=False)
    colours = ListedColormap([*OWNERS.values(), PAPER])
    for row, kept in zip(grid, maps, strict=True):
        for axes, owners, moment in zip(row, kept.owners, MOMENTS.values(), strict=True):
            picture = raster(classes(owners), background=len(OWNERS))
            axes.imshow(picture, cmap=colours, vmin=0, vmax=len(OWNERS), interpolation="nearest")
            axes.set_axis_off()
            axes.set_title(moment if kept is maps[0] else "")
        title = select.difference_from_first(findings.manifest["cells"], kept.cell)
        row[0].set_axis_on()
        row[0].set_xticks([])
        row[0].set_yticks([])
        row[0].set_ylabel(_wrapped(title, 28))
    figure.legend(
        handles=[Patch(color=colour, label=name) for name, colour in OWNERS.items()],
        loc="outside lower center",
        ncols=3,
    )
    return figure


FIGURES: dict[str, Callable[[Findings], Figure]] = {
    "tradeoff": tradeoff,
    "forest": forest,
    "success": success,
    "buddyinfo": buddyinfo,
    "indices": indices,
    "zone-map": zone_map,
}
"""The figures by name, in the order of the report."""
