"""Every level by itself: a wrong value is told once, and where it stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from study.scenario import matrix
from study.scenario.check import known_keys, machine_of, nearest
from study.scenario.errors import shown
from study.scenario.model import Machine
from study.scenario.rules import complaints
from study.scenario.trial import Level
from study.scenario.unfold.axes import Axes
from study.scenario.unfold.entries import Entries
from study.scenario.unfold.faults import Faults
from study.scenario.unfold.settings import with_kernel, with_levels
from study.zone.settings import Settings


def read_base(raw: Mapping[str, Any], faults: Faults) -> dict[str, Any]:
    """The settings under `base:`, groups without any left out."""
    base = raw.get("base") or {}
    if not isinstance(base, dict):
        faults.add(("base",), f"base is {shown(base)}; it must be a mapping of settings")
        return {}
    base = {group: value for group, value in base.items() if value is not None}
    _, found = machine_of(with_kernel(base))
    for path, text in found:
        faults.add(("base", *path), text)
        faults.mark_unsound(str(path[0]))
    return base


def check_levels(base: Mapping[str, Any], axes: Axes, include: Entries, faults: Faults) -> None:
    """Lay each level over the base alone."""
    told = list(_of_named_axes(axes))
    for path, key, _ in told:
        if key not in known_keys():
            faults.add(path, f"{shown(key)} is not a setting{nearest(key)}")
            faults.mark_unsound(key)
    _check_within_ranges(base, axes, faults)
    for path, key, level in (*_of_plain_axes(axes), *told, *_ends(axes), *_included(include)):
        several = isinstance(level, dict | list) and len(path) == 3
        if key not in known_keys() or several:
            continue  # that is a fault already
        _, found = machine_of(with_kernel(with_levels(base, {key: level})))
        for _, text in found:
            faults.add(path, text)
            faults.mark_unsound(key)


_Placed = Iterator[tuple[tuple[Any, ...], str, Any]]
"""Where a level stands, its dotted key, and the level."""


def _of_plain_axes(axes: Axes) -> _Placed:
    for key, levels in axes.listed.items():
        if key not in axes.named:
            yield from ((("axes", key, i), key, level) for i, level in enumerate(levels))


def _of_named_axes(axes: Axes) -> _Placed:
    for axis, named in axes.named.items():
        for name, told in named.items():
            yield from ((("axes", axis, name, key), key, level) for key, level in told.items())


def _ends(axes: Axes) -> _Placed:
    for key, axis in axes.ranges.items():
        yield from ((("axes", key), key, end) for end in axis.ends())


def _included(include: Entries) -> _Placed:
    for i, entry in enumerate(include):
        yield from ((("include", i, key), key, level) for key, level in entry.items())


def _check_within_ranges(base: Mapping[str, Any], axes: Axes, faults: Faults) -> None:
    """Try a level from within each range whose ends are sound: it need not be whole."""
    for key, axis in axes.ranges.items():
        ends = (with_kernel(with_levels(base, {key: end})) for end in axis.ends())
        if not any(machine_of(end)[1] for end in ends):
            machine_at(base, {key: axis.within()}, axes, faults)


def machine_at(
    base: Mapping[str, Any], levels: Mapping[str, Level], axes: Axes, faults: Faults
) -> Machine | None:
    """The machine of some levels; what is wrong with one that was drawn, is told at its axis.

    Raises ScenarioError when nothing can be drawn from a range that its setting would take.
    """
    machine, found = machine_of(with_kernel(with_levels(base, levels)))
    for path, text in found:
        key = ".".join(map(str, path))
        faults.mark_unsound(key)
        if (axis := axes.ranges.get(key)) is None:
            faults.add(("base", *path), text)
            continue
        whole = axis.as_integers()
        hint = f"; draw whole ones with {{integers: {whole}}}" if whole else ""
        faults.add(("axes", key), f"{key} is drawn from within a range: {text}{hint}")
    return machine


def complain(
    machine: Machine,
    settings: Settings,
    combination: Mapping[str, Level],
    axes: Axes,
    faults: Faults,
    known: Callable[[str], bool] = lambda _: True,
) -> None:
    """Tell which settings of a machine contradict each other, at the level that says so.

    known  whether the value of a dotted key, and all that it hangs on, is certain
    """
    for key, text in complaints(machine, settings):
        if not known(key):
            continue
        place: tuple[Any, ...] = ("base", *key.split("."))
        if key in combination and combination[key] in axes.listed.get(key, ()):
            place = ("axes", key, axes.listed[key].index(combination[key]))
        for axis, named in axes.named.items():
            if key in named.get(str(combination.get(axis)), {}):
                place = ("axes", axis, combination[axis], key)
        faults.add(place, f"{key} {text}")


def check_contradictions(
    base: Mapping[str, Any], axes: Axes, exclude: Entries, include: Entries, faults: Faults
) -> None:
    """What contradicts itself beside all that is wrong otherwise, as far as that can be known.

    A value is judged by the base and one level at a time, and only if nothing else that is faulty
    or varies can have to do with it.
    """
    if not faults.inherits_soundly:
        return
    varied: dict[str, set[str]] = {}
    for axis in [*axes.listed, *axes.ranges]:
        for key in axes.keys_of(axis) or [axis]:
            varied.setdefault(key.partition(".")[0], set()).add(axis)
    for key in {key for entry in include for key in entry}:
        varied.setdefault(key.partition(".")[0], set()).add("include")
    alone = {axis for entry in exclude if len(entry) == 1 for axis in entry}
    tries: list[tuple[str, Level]] = [("", None)]
    if sum(map(len, axes.listed.values())) <= matrix.MAX_CELLS:
        tries += [
            (axis, level)
            for axis, levels in axes.listed.items()
            if axis not in alone
            for level in levels
        ]
    for axis, level in tries:
        combination = {axis: level} if axis else {}
        told = axes.expanded(combination)
        if any(k not in known_keys() or isinstance(v, dict | list) for k, v in told.items()):
            continue
        machine, _ = machine_of(with_kernel(with_levels(base, told)))
        if machine is None:
            continue

        def known(key: str, axis: str = axis) -> bool:
            near = {key.partition(".")[0], "zone", "kernel"}
            others = set().union(*(varied.get(group, set()) for group in near)) - {axis}
            return not near & faults.unsound and not others

        complain(machine, machine.settings(), combination, axes, faults, known)
