"""Which cells a figure shows, and what to call them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from study.results.errors import ResultsError
from study.scenario.machine.requests import by_column, names_of
from study.scenario.matrix import (
    NONE,
    NamedAxes,
    differing,
    held_axes,
    named_axes,
    policies_of,
)
from study.scenario.trial import level_name
from study.statistics.contrasts import LEVELS_MOST

if TYPE_CHECKING:
    import pandas as pd

    from study.statistics import Findings

CELLS_MOST = 24
MANY_LEVELS = 5
"""Levels from which on an axis is drawn as a curve."""
BASELINE = "baseline"
"""What figures call the first cell, from which the names of all others say how they differ."""

_Cells = Mapping[str, Mapping[str, Any]]
_SWITCHED = ("off", "on", "false", "true", "null")
"""Levels that say nothing without the name of their axis."""


def finished(findings: Findings, *metrics: str) -> pd.DataFrame:
    """Cell, replicate and some metrics of the trials there are to draw.

    Raises ResultsError when there is none.
    """
    found: pd.DataFrame = findings.columns.finished(*metrics)
    if found.empty:
        raise ResultsError(f"{findings.place} has no finished trial to draw")
    return found


def policies(findings: Findings) -> dict[str, Mapping[str, Any]]:
    """compared_cells() of a study that chose its levels.

    Raises ResultsError for one that drew them from ranges: there a cell is no policy.
    """
    from study.statistics.sensitivity import sampled_axes

    if sampled_axes(findings.manifest):
        raise ResultsError(
            "the cells are points in ranges, not policies; `study sensitivity DIR` tells which "
            "ranges matter"
        )
    return compared_cells(findings.cells, named_axes(findings.manifest["scenario"]))


def compared_cells(cells: _Cells, named: NamedAxes = NONE) -> dict[str, Mapping[str, Any]]:
    """The cells that differ from the first in policies only; all, if none does. At most 24."""
    first = next(iter(cells.values()))
    load = held_axes(first, named)
    same = {
        cell: levels
        for cell, levels in cells.items()
        if all(levels.get(axis) == first[axis] for axis in load)
    }
    chosen = same if len(same) > 1 else dict(cells)
    return dict(list(chosen.items())[:CELLS_MOST])


def many_levels(cells: _Cells) -> list[str]:
    """The axes that are drawn as curves: of many levels in an order, or of too many for rows."""
    found = []
    for axis in dict.fromkeys(axis for levels in cells.values() for axis in levels):
        of_axis = {level_name(levels[axis]) for levels in cells.values() if axis in levels}
        if len(of_axis) >= MANY_LEVELS and (in_order(of_axis) or len(of_axis) > LEVELS_MOST):
            found.append(axis)
    return found


def in_order(levels: Iterable[str]) -> bool:
    """Whether levels by these names are quantities or versions, so that a line may join them."""
    return all(name[:1].isdigit() for name in levels)


def drawn_metrics(findings: Findings) -> dict[str, str]:
    """What figures show of settings: metric -> what it is called; service first, then costs.

    Service is that of the requests that are ranked, or that of the network card, or where nobody
    sends to it that of the first request by name.
    """
    columns, scenario = findings.columns, findings.manifest["scenario"]
    asked = {"rx_success_ratio": "receive buffers served"}
    by_name = {
        f"{column}_served_ratio": f"requests of {name} served"
        for column, name in by_column(names_of(scenario)).items()
    }
    asked = by_name | asked if scenario.get("ranking") else asked | by_name
    served = next(
        (name for name in asked if name in columns and columns[name].notna().any()),
        "rx_success_ratio",
    )
    return {served: asked[served], "reclaimed_pages": "pages reclaimed", "refaults": "refaults"}


def contrasting_cells(findings: Findings, most: int = 4) -> list[str]:
    """The first cell, and those one level away from it in which most changes.

    Measured by the share of receive buffers served, then by the free memory useless to order 3.
    """
    cells: _Cells = findings.cells
    first_id, first = next(iter(cells.items()))
    near = [cell for cell, levels in cells.items() if len(differing(levels, first)) == 1]
    if not near:
        near = [cell for cell in cells if cell != first_id]
    trials = findings.columns
    wanted = ("rx_success_ratio", "unusable_index_order3_mean")
    names = [name for name in wanted if name in trials]
    means = trials.finished(*names).groupby("cell", observed=True)[names].mean()

    def change(cell: str) -> tuple[float, ...]:
        if cell not in means.index or first_id not in means.index:
            return (0.0,) * len(names)
        gaps = (means.loc[cell] - means.loc[first_id]).abs().fillna(0.0).to_numpy(float)
        return tuple(float(gap) for gap in gaps)

    ranked = sorted(near, key=change, reverse=True)
    named = named_axes(findings.manifest["scenario"])
    policies = [cell for cell in ranked if policies_of(differing(cells[cell], first), named)]
    # Policies first, but one other change beside them.
    chosen = policies[: most - 2]
    others = [cell for cell in ranked if cell not in policies]
    rest = [*others, *policies[most - 2 :]]
    return [first_id, *chosen, *rest[: most - 1 - len(chosen)]]


def difference_from_first(cells: _Cells, cell: str) -> str:
    """What sets a cell apart from the first: 'defrag.mode rmap-evict'; 'baseline' for itself."""
    first_id, first = next(iter(cells.items()))
    if cell == first_id:
        return BASELINE
    levels = cells[cell]
    return ", ".join(
        f"{axis} {level_name(levels.get(axis))}"
        for axis in first
        if levels.get(axis) != first[axis]
    )


def all_levels(levels: Mapping[str, Any]) -> str:
    """All levels of a cell in one line."""
    return (
        ", ".join(f"{axis} {level_name(level)}" for axis, level in levels.items())
        or "the only cell"
    )


def policy_names(cells: _Cells, axes: Sequence[str]) -> dict[str, tuple[str, int]]:
    """Cell -> (what its policy is called, 0 or 1): the number stands for the level of the first
    axis of two levels, which a figure shows by filling the mark.
    """
    fill = fill_axis(cells, axes)
    varying = [
        axis
        for axis in axes
        if axis != fill and len({level_name(levels.get(axis)) for levels in cells.values()}) > 1
    ]
    texts = [text for axis in varying for text in {level_name(c.get(axis)) for c in cells.values()}]
    ambiguous = {text for text in texts if texts.count(text) > 1}
    called = {axis: level_names(cells, axis, ambiguous) for axis in varying}
    found = {}
    for cell, levels in cells.items():
        # A defragmenter that is off runs nowhere.
        off = level_name(levels.get("defrag.mode")).lower() in ("off", "false")
        names = [
            called[axis][level_name(levels.get(axis))]
            for axis in varying
            if not (off and axis.startswith("defrag.") and axis != "defrag.mode")
        ]
        found[cell] = (", ".join(names) or "all cells", _place(cells, fill, levels) if fill else 1)
    return found


def level_names(cells: _Cells, axis: str, ambiguous: Collection[str] = ()) -> dict[str, str]:
    """Level -> what it is called where its axis is not in sight: 'order-aware', 'zone.grouping on'.

    Parameters
    ----------
    cells
        Whose levels to name.
    axis
        Of these levels.
    ambiguous
        Levels that other axes have as well.
    """
    levels = {level_name(of_cell.get(axis)): of_cell.get(axis) for of_cell in cells.values()}
    bare = {
        text
        for text, level in levels.items()
        if not isinstance(level, str) or text in _SWITCHED or text in ambiguous
    }
    if axis.endswith(".mode"):
        # A mode has a name of its own, unless it is none.
        return {text: f"{axis[:-5]} {text}" if text in bare else text for text in levels}
    return {text: f"{axis} {text}" if bare else text for text in levels}


def fill_axis(cells: _Cells, axes: Sequence[str]) -> str | None:
    """The first axis with exactly two levels among these cells, if another one varies too."""
    counts = {axis: len({level_name(c.get(axis)) for c in cells.values()}) for axis in axes}
    two = [axis for axis, count in counts.items() if count == 2]
    return two[0] if two else None


def fill_levels(cells: _Cells, axis: str) -> list[str]:
    """The levels of an axis in the order of the cells."""
    return list(dict.fromkeys(level_name(levels.get(axis)) for levels in cells.values()))


def _place(cells: _Cells, axis: str, levels: Mapping[str, Any]) -> int:
    return fill_levels(cells, axis).index(level_name(levels.get(axis)))
