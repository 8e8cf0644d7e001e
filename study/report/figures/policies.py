"""Figures with a mark for each policy: what service costs, and which requests are served."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from study.report import select
from study.report.colours import FAINT, INK, LINES, MARKERS, PAPER, SERIES
from study.report.figures.sheet import Sheet, wrapped
from study.results.errors import ResultsError
from study.scenario.trial import level_name

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from study.statistics import Findings

_COSTS = {
    "pages_taken": "pages reclaimed, evicted or moved\n(thousands a minute)",
    "refaults": "refaults: pages missed soon after\n(thousands a minute)",
}
_LEGEND_ROW = 0.2
"""Inches."""
_LETTERS = 44
"""In a line of the legend."""
_NAMED_MOST = 8
"""Marks with a number in the trade-off."""
_DISC = 10.0
"""Points (1/72 inch) from one number to the next at least."""
_NUMBER: dict[str, Any] = {
    "color": PAPER, "fontsize": 6, "fontweight": "bold", "zorder": 5,
    "ha": "center", "va": "center",
}  # fmt: skip


@dataclass(frozen=True)
class Compared:
    """Service and costs of the cells that differ in policy only.

    table  as findings.tradeoff has it, costs per minute of simulated time; the front is that of
           these cells alone
    looks  of their marks
    """

    table: pd.DataFrame
    looks: Looks


def compared(findings: Findings) -> Compared:
    """What the trade-off shows."""
    from study.statistics.tradeoff import minutes_measured
    from study.statistics.tradeoff import tradeoff as judged

    select.finished(findings)
    cells = select.policies(findings)
    needed = ("rx_success_ratio", "reclaimed_pages", "moved_pages", "refaults")
    missing = [name for name in needed if name not in findings.columns]
    if missing:
        raise ResultsError(f"{findings.place} has no metric {missing[0]}")
    table: pd.DataFrame = judged(
        findings.columns, cells, minutes=minutes_measured(findings.manifest)
    )
    table = table[np.isfinite(table["gain"].to_numpy(float))].copy()
    if table.empty:
        raise ResultsError("no cell asked for receive buffers")
    return Compared(table, Looks(cells))


def tradeoff(shown: Compared, sheet: Sheet) -> Figure:
    """Receive buffers served against what it cost, a mark for each policy; front dark.

    The marks that matter have a number, by service, beside them where marks lie too close; the
    others are dots.
    """
    table, looks = shown.table, shown.looks
    numbers = {cell: place for place, cell in enumerate(named_cells(table), start=1)}
    rows = sorted(
        table.to_dict("records"), key=lambda row: (row["front"], -numbers.get(row["cell"], 99))
    )
    handles = _numbered(rows, numbers, looks)
    figure, panels = sheet.panels(
        len(_COSTS), height=3.4, rest=_LEGEND_ROW * sheet.legend_rows(len(handles)), sharey=True
    )
    for number, (axes, (cost, label)) in enumerate(zip(panels, _COSTS.items(), strict=True)):
        for cells in _along(looks.cells):
            line = table.set_index("cell").reindex(cells)
            axes.plot(line[cost] / 1e3, 100 * line["gain"], color=LINES, lw=1, zorder=1)
        for row in rows:
            x, y = _place(row, cost)
            reach = {"xerr": _reach(row, cost, 1e-3), "yerr": _reach(row, "gain", 100)}
            axes.errorbar([x], [y], **reach, **_mark(front=row["front"]))
        axes.set_xlabel(label)
        axes.margins(0.12)
        axes.set_title("↖ more served for less", fontsize=8)
        _plain_steps(axes, "x")
        if sheet.at_left(number):
            axes.set_ylabel("receive buffers served (%)")
    _within_per_cent(panels[0])
    # An interval that says little, as of what was served in every replicate, would squeeze the
    # marks into a line: it is cut at the edge.
    least = 100 * float(table["gain"].min())
    bottom, top = panels[0].get_ylim()
    panels[0].set_ylim(max(bottom, least - max(2.0, 0.4 * (100 - least))), top)
    figure.legend(handles=handles, loc="outside lower left", ncols=sheet.columns)
    figure.draw_without_rendering()  # Where marks lie on the sheet is known from here on.
    of_cell = {row["cell"]: row for row in rows}
    by_number = [(number, of_cell[cell]) for cell, number in numbers.items()]
    for axes, cost in zip(panels, _COSTS, strict=True):
        points = {number: _place(row, cost) for number, row in by_number}
        for (number, row), offset in zip(by_number, _apart(axes, points.values()), strict=True):
            _write_number(axes, number, points[number], offset, front=row["front"])
    return figure


def _place(row: Mapping[Any, Any], cost: str) -> tuple[float, float]:
    """Where a mark stands: cost in thousands, service in per cent."""
    return row[cost] / 1e3, 100 * row["gain"]


def _apart(axes: Axes, points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """How far from its mark each number is written, in points (1/72 inch), so that none hides
    another: nowhere if there is room, or else as near as there is.
    """
    scale = 72 / axes.figure.dpi
    inside = axes.get_window_extent()
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    offsets = [(0.0, 0.0)]
    offsets += [(r * np.cos(a), r * np.sin(a)) for r in np.arange(10, 60, 5) for a in angles]
    taken: list[Any] = []
    found = []
    for point in points:
        at = axes.transData.transform(point)
        free = (
            offset
            for offset in offsets
            if all(np.hypot(*(at * scale + offset - other)) >= _DISC for other in taken)
            and (not any(offset) or inside.contains(*(at + np.divide(offset, scale))))
        )
        offset = next(free, (0.0, 0.0))
        taken.append(at * scale + offset)
        found.append(offset)
    return found


def _write_number(
    axes: Axes, number: int, point: tuple[float, float], offset: tuple[float, float], *, front: bool
) -> None:
    """A number on a disc: on its mark, or beside it, with a line to the mark."""
    colour = INK if front else FAINT
    axes.annotate(
        str(number),
        point,
        offset,
        textcoords="offset points",
        bbox={"boxstyle": "circle,pad=0.25", "fc": colour, "lw": 0},
        arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.6, "shrinkA": 0, "shrinkB": 0},
        **_NUMBER,
    ).set_in_layout(False)


def named_cells(table: pd.DataFrame) -> list[str]:
    """The cells whose marks have numbers, best service first: the front, the first, the best of the
    rest.
    """
    ranked = table.sort_values("gain", ascending=False, kind="stable")
    first = table["cell"].iloc[:1].tolist()
    front = ranked[ranked["front"]]["cell"].tolist()
    chosen = set(list(dict.fromkeys([*first, *front, *ranked["cell"]]))[:_NAMED_MOST])
    return [cell for cell in ranked["cell"] if cell in chosen]


def _mark(*, front: bool) -> dict[str, Any]:
    colour = INK if front else FAINT
    return {
        "fmt": "o",
        "color": colour,
        "markersize": 4,
        "elinewidth": 0.8,
        "zorder": 4 if front else 3,
    }


def _numbered(
    rows: Sequence[Mapping[Any, Any]], numbers: Mapping[str, int], looks: Looks
) -> list[Any]:
    """What the legend says: each number's policy, and what dark and grey are."""
    from matplotlib.lines import Line2D

    def dot(label: str, *, front: bool) -> Any:
        colour = INK if front else FAINT
        return Line2D([], [], color=colour, marker="o", ls="", ms=6, label=wrapped(label, _LETTERS))

    fronts = {row["cell"]: bool(row["front"]) for row in rows}
    found = [
        dot(f"{number}  {looks.name(cell)}", front=fronts[cell]) for cell, number in numbers.items()
    ]
    found.append(dot("not grey: none shown is better in all", front=True))
    if len(rows) > len(numbers):
        found.append(dot(f"small: {len(rows) - len(numbers)} more policies", front=False))
    return found


def _along(cells: Mapping[str, Mapping[str, Any]]) -> Iterator[list[str]]:
    """Cells that differ in an axis of many levels alone, in its order: their marks are joined."""
    for axis in select.many_levels(cells)[:1]:
        groups: dict[tuple[str, ...], list[str]] = {}
        for cell, levels in cells.items():
            key = tuple(level_name(level) for name, level in levels.items() if name != axis)
            groups.setdefault(key, []).append(cell)
        yield from groups.values()


def describe_tradeoff(shown: Compared) -> str:
    """Each policy with the share it serves, from the best to the worst."""
    ranked = shown.table.sort_values("gain", ascending=False).to_dict("records")
    phrases = [
        f"{shown.looks.name(row['cell'])} {100 * row['gain']:.1f} %"
        f" for {row['pages_taken'] / 1e3:.1f} thousand pages a minute"
        f"{' (Pareto front)' if row['front'] else ''}"
        for row in ranked
    ]
    return f"Receive buffers served: {'; '.join(phrases)}."


@dataclass(frozen=True)
class Served:
    """Requests served, in per cent, by the cells that differ in policy only.

    orders  that are asked for
    shares  (cell, order) -> mean, low, high; low and high NaN with one replicate
    looks   of the cells' marks
    """

    orders: list[int]
    shares: dict[tuple[str, int], tuple[float, float, float]]
    looks: Looks


def served(findings: Findings) -> Served:
    """What the figure of requests by order shows."""
    from study.intervals import mean_interval

    cells = select.policies(findings)
    orders = _orders_asked(findings, list(cells))
    trials = select.finished(findings, *(f"order{order}_success_ratio" for order in orders))
    if not orders:
        raise ResultsError("no cell asked for pages")
    shares = {}
    for cell, of_cell in trials.groupby("cell", observed=True):
        for order in orders:
            values = of_cell[f"order{order}_success_ratio"].to_numpy(float)
            values = values[np.isfinite(values)]
            if cell not in cells or not len(values):
                continue
            low = high = float("nan")
            if len(values) > 1:
                found = mean_interval(values, share=True)
                low, high = float(found.low), float(found.high)
            shares[str(cell), order] = (100 * float(values.mean()), 100 * low, 100 * high)
    return Served(orders, shares, Looks(cells))


def success(shown: Served, sheet: Sheet) -> Figure:
    """Requests served at each order that is asked for, by policy."""
    orders, looks = shown.orders, shown.looks
    handles = looks.handles()
    figure, (axes,) = sheet.panels(
        1, height=2.8, rest=_LEGEND_ROW * sheet.legend_rows(len(handles))
    )
    step = 0.8 / len(looks.cells)
    for number, cell in enumerate(looks.cells):
        for position, order in enumerate(orders):
            if (cell, order) not in shown.shares:
                continue
            mean, low, high = shown.shares[cell, order]
            known = np.isfinite([low, high]).all()
            # What is alike in every replicate has a bound of how often that is so, which is no
            # spread of the share.
            spread = known and mean not in (low, high)
            reach = np.array([[mean - low], [high - mean]]).clip(0) if spread else None
            x = position - 0.4 + step * (number + 0.5)
            axes.errorbar([x], [mean], yerr=reach, **looks.mark(cell, size=5))
    axes.set_xticks(range(len(orders)), [f"order {order}\n{4 << order} KiB" for order in orders])
    axes.set_xlim(-0.5, len(orders) - 0.5)
    axes.grid(visible=False, axis="x")
    for edge in range(1, len(orders)):
        axes.axvline(edge - 0.5, color=LINES, lw=0.8)
    axes.set_ylabel("requests served (%)")
    _within_per_cent(axes)
    if handles:
        figure.legend(handles=handles, loc="outside lower left", ncols=sheet.columns)
    return figure


def describe_success(shown: Served) -> str:
    """For each order the policies that serve least and most."""
    phrases = []
    for order in shown.orders:
        ranked = sorted(
            (share[0], cell) for (cell, at), share in shown.shares.items() if at == order
        )
        if not ranked:
            continue
        (least, worst), (most, best) = ranked[0], ranked[-1]
        if most - least < 0.05:
            phrases.append(f"order {order}: {least:.1f} % by all policies")
        else:
            phrases.append(
                f"order {order}: from {least:.1f} % ({shown.looks.name(worst)}) "
                f"to {most:.1f} % ({shown.looks.name(best)})"
            )
    return f"Requests served, {'; '.join(phrases)}."


class Looks:
    """Colour and shape of each policy's mark; one axis of two levels leaves it open or fills it."""

    def __init__(self, cells: Mapping[str, Mapping[str, Any]]) -> None:
        self.cells = cells
        axes = list(next(iter(cells.values())))
        self._names = select.policy_names(cells, axes)
        self._fill = select.fill_axis(cells, axes)
        distinct = dict.fromkeys(name for name, _ in self._names.values())
        self._looks = {
            name: (SERIES[i % len(SERIES)], MARKERS[(i + i // len(SERIES)) % len(MARKERS)])
            for i, name in enumerate(distinct)
        }

    def name(self, cell: str) -> str:
        """What a cell's policy is called, in full."""
        name, _ = self._names[cell]
        if not self._fill:
            return name
        levels = select.level_names(self.cells, self._fill)
        level = levels[level_name(self.cells[cell].get(self._fill))]
        return f"{level}, {name}" if len(self._looks) > 1 else level

    def mark(self, cell: str, *, size: float = 6) -> dict[str, Any]:
        """How errorbar() draws a cell."""
        name, filled = self._names[cell]
        colour, marker = self._looks[name]
        return {
            "fmt": marker,
            "color": colour,
            "markerfacecolor": colour if filled else PAPER,
            "markersize": size,
            "elinewidth": 1,
        }

    def handles(self) -> list[Any]:
        """What the legend says of the marks."""
        from matplotlib.lines import Line2D

        found = [
            Line2D([], [], color=colour, marker=marker, ls="", ms=6, label=wrapped(name, _LETTERS))
            for name, (colour, marker) in self._looks.items()
            if len(self._looks) > 1
        ]
        if self._fill:
            for filled, level in enumerate(select.fill_levels(self.cells, self._fill)):
                label = wrapped(f"{'filled' if filled else 'open'}: {self._fill} {level}", _LETTERS)
                face = FAINT if filled else PAPER
                found.append(
                    Line2D([], [], color=FAINT, marker="o", ls="", ms=6, mfc=face, label=label)
                )
        return found


def _reach(row: Mapping[Any, Any], name: str, factor: float) -> Any:
    """Lengths of an error bar below and above; None where there is no interval."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    if not np.isfinite([low, high]).all():
        return None
    return [[max(row[name] - low, 0) * factor], [max(high - row[name], 0) * factor]]


def _orders_asked(findings: Findings, cells: list[str]) -> list[int]:
    columns = findings.columns
    of_cells = columns["cell"].isin(cells)
    return [
        order
        for order in range(11)
        if f"order{order}_attempts" in columns
        and (columns[f"order{order}_attempts"][of_cells] > 0).any()
    ]


def _within_per_cent(axes: Axes) -> None:
    """Upright, from 0 to 100 at most: the interval of a mean may reach beyond what a share can."""
    _plain_steps(axes, "y")
    low, high = axes.get_ylim()
    low = max(low, -3)
    # A mark at 100 is whole.
    axes.set_ylim(low, min(high, 100 + max(0.05 * (100 - low), 0.1)))


def _plain_steps(axes: Axes, which: str) -> None:
    """Ticks at round numbers, without digits that say nothing."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis = getattr(axes, f"{which}axis")
    axis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _plain(value)))


def _plain(value: float) -> str:
    return f"{value:,.6g}".replace("-", "\N{MINUS SIGN}")
