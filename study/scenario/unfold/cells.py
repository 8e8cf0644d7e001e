"""Combinations of levels into cells, each another machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from study.scenario import matrix
from study.scenario.claims.comparison import words
from study.scenario.effect import why_no_effect
from study.scenario.errors import shown
from study.scenario.machine.requests import with_places
from study.scenario.model import Machine
from study.scenario.trial import LONG_ID_DIGITS, Cell, Level, cell_id
from study.scenario.unfold.axes import Axes
from study.scenario.unfold.entries import Entries
from study.scenario.unfold.faults import Faults
from study.scenario.unfold.levels import complain, machine_at
from study.zone.settings import Settings


@dataclass
class Cells:
    """The cells of a study, each by its id, with what it was made from.

    cells     with their settings
    combined  the combination of levels, and what include adds
    machines  all its settings
    """

    cells: dict[str, Cell] = field(default_factory=dict)
    combined: dict[str, matrix.Combination] = field(default_factory=dict)
    machines: dict[str, Machine] = field(default_factory=dict)


def make_cells(
    base: Mapping[str, Any],
    axes: Axes,
    exclude: Entries,
    include: Entries,
    points: Sequence[Mapping[str, Level]],
    requests_of: Sequence[str],
    faults: Faults,
) -> Cells:
    """A cell for each combination.

    points       what the ranges are in each point; one of nothing if no axis is a range
    requests_of  names of the study's requests, which each cell has a place for

    Raises ScenarioError for more cells than a study may have, or settings that are no machine.
    """
    listed = matrix.combinations(axes.listed, exclude, include)
    if not listed:
        faults.add(("exclude",), "exclude leaves no cell at all")
    if len(listed) * len(points) > matrix.MAX_CELLS:
        drawn = f" of {len(points):,} points each" if axes.ranges else ""
        faults.add(
            ("include",),
            f"axes and include combine into {len(listed) * len(points):,} cells "
            f"({len(listed):,}{drawn}); at most {matrix.MAX_CELLS:,}",
        )
        faults.stop()
    combined = [{**point, **levels} for levels in listed for point in points]
    columns = [*axes.listed, *dict.fromkeys(k for c in combined for k in c if k not in axes.listed)]
    machines: list[tuple[matrix.Combination, Machine, Settings]] = []
    for combination in combined:
        # Each level was found valid by itself, and no key's type depends on another's.
        machine = machine_at(base, axes.expanded(combination), axes, faults)
        if machine is None:
            faults.stop()
            raise AssertionError("settings that are no machine have a fault")
        settings = machine.settings()
        complain(machine, settings, combination, axes, faults)
        if not faults:
            requests = with_places(settings.requests, requests_of)
            machines.append((combination, machine, replace(settings, requests=requests)))
    identities = _identities([settings for _, _, settings in machines])
    made = Cells()
    for combination, machine, settings in machines:
        identity = identities[settings]
        # Points of whole numbers may coincide.
        if identity in made.cells and not axes.ranges:
            _tell_same(combination, made.combined[identity], axes, include, faults)
        levels = {
            key: combination.get(key) if key in axes.named else _level(machine, combination, key)
            for key in columns
        }
        made.cells[identity] = Cell(identity, levels, settings)
        made.combined[identity] = combination
        made.machines[identity] = machine
    if not faults:
        _check_effect(axes, made, faults)
    return made


def _identities(machines: Sequence[Settings]) -> dict[Settings, str]:
    """An id for each different machine.

    Of 10,000 machines two have the same short id by chance in one study of a hundred; then both
    get a long one.
    """
    short = {settings: cell_id(settings) for settings in machines}
    often = Counter(short.values())
    return {
        settings: identity if often[identity] == 1 else cell_id(settings, LONG_ID_DIGITS)
        for settings, identity in short.items()
    }


def _tell_same(
    combination: Mapping[str, Level],
    other: Mapping[str, Level],
    axes: Axes,
    include: Entries,
    faults: Faults,
) -> None:
    """Two cells are one machine: told at the level, or the entry, that makes no difference."""
    differ = [key for key in combination if combination[key] != other.get(key)]
    place: tuple[Any, ...] = ("axes",)
    for key in differ:
        level = combination[key]
        entry = next((i for i, e in enumerate(include) if e.get(key) == level), None)
        if level in (listed := axes.listed.get(key, [])):
            place = ("axes", key, level if key in axes.named else listed.index(level))
        elif entry is not None:
            place = ("include", entry, key)
    one = words({key: combination[key] for key in differ})
    two = words({key: other[key] for key in differ if key in other})
    faults.add(place, f"{one} makes the same machine as {two or 'without it'}")


def _check_effect(axes: Axes, made: Cells, faults: Faults) -> None:
    """No axis is one that makes no difference to any cell."""
    for axis in [*axes.listed, *axes.ranges]:
        levels = {combination.get(axis) for combination in made.combined.values()}
        if axis not in axes.named and len(levels) > 1:
            why = why_no_effect(axis, [cell.settings for cell in made.cells.values()])
            if why:
                faults.add(("axes", axis), f"{axis} makes no difference in any cell: {why}")


def _level(machine: Machine, combination: Mapping[str, Level], key: str) -> Level:
    """What a cell's column says: the scenario's own word, or what the key resolves to."""
    if key in combination:
        return combination[key]
    value: Any = machine
    for name in key.split("."):
        value = getattr(value, name)
    return value if isinstance(value, str | int | float | bool | None) else shown(value)
