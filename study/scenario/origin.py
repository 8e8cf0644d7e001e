"""Where each setting of a cell comes from: file and line, preset, override, or a default."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from study.scenario.check import known_keys
from study.scenario.machine.sysctls import SYSCTLS
from study.scenario.model import Machine, bundle_of
from study.scenario.read import Document
from study.scenario.study import Study
from study.scenario.trial import Cell, Level
from study.scenario.units import text_of


@dataclass(frozen=True)
class Setting:
    """One key of one cell.

    key      dotted: zone.memory
    value    plain, as JSON would have it
    text     as a person would write it, with a unit
    place    file:line:column, `preset NAME:line:column`, `override '...'`, or empty for a default
    through  what stands between: the axis and its level, the kernel, or nothing
    """

    key: str
    value: Any
    text: str
    place: str
    through: str = ""


@dataclass(frozen=True)
class Unfolded:
    """A study with what it was made from.

    study     the cells, trials and claims
    document  the scenario with what it extends
    named     axis -> level -> dotted key -> value, for axes of the author's own
    combined  cell id -> the combination of levels, and what include adds
    machines  cell id -> all its settings
    """

    study: Study
    document: Document
    named: Mapping[str, Mapping[str, Mapping[str, Level]]]
    combined: Mapping[str, Mapping[str, Level]]
    machines: Mapping[str, Machine]

    def settings(self, cell: Cell) -> Iterator[Setting]:
        """Every key of a cell, in the order of the reference."""
        machine = self.machines[cell.id]
        written = machine.model_dump(mode="json")
        for key in known_keys():
            place, through = self._origin(cell, key)
            value = _at(written, tuple(key.split(".")))
            yield Setting(key, value, text_of_key(machine, key), place, through)

    def fixed(self) -> list[Setting]:
        """What all cells have in common and no default gives."""
        first = self.study.cells[0]
        found = []
        for setting in self.settings(first):
            path = setting.key.split(".")
            values = {repr(_attribute(machine, path)) for machine in self.machines.values()}
            if setting.place and len(values) == 1 and not setting.through.startswith("kernel"):
                found.append(setting)
        return found

    def _origin(self, cell: Cell, key: str) -> tuple[str, str]:
        combination = self.combined[cell.id]
        for index, entry in enumerate(self.document.value.get("include") or ()):
            fits = key in entry and all(combination.get(k) == v for k, v in entry.items())
            if fits and key not in self.study.axes:
                return self.document.where(("include", index, key)), "include"
        for axis, level in combination.items():
            if axis == key:
                return self.document.where(self._of_level(key, level)), f"axis {key}"
            if key in self.named.get(axis, {}).get(str(level), {}):
                place = self.document.where(("axes", axis, level, key))
                return place, f"axis {axis}: {level}"
        path = ("base", *key.split("."))
        if _at(self.document.value, path) is not None:
            return self.document.where(path), ""
        name = _SYSCTL_OF.get(key)
        if name is not None and getattr(self.machines[cell.id].vm, name) is not None:
            return self._origin(cell, f"vm.{name}")[0], f"vm.{name}"
        return self._of_kernel(cell, key)

    def _of_level(self, key: str, level: Level) -> tuple[Any, ...]:
        levels = self.document.value["axes"][key]
        if isinstance(levels, list) and level in levels:
            path: tuple[Any, ...] = ("axes", key, levels.index(level))
            return ("axes", key) if ("axes", key) in self.document.origins else path
        return ("axes", key)

    def _of_kernel(self, cell: Cell, key: str) -> tuple[str, str]:
        kernel = self.machines[cell.id].kernel
        group, _, name = key.partition(".")
        if name not in bundle_of(kernel).get(group, {}):
            return "", ""
        return self._origin(cell, "kernel")[0], f"kernel {kernel}"


_SYSCTL_OF = {one.key: name for name, one in SYSCTLS.items()}
"""Setting -> the sysctl that gives it."""


def text_of_key(machine: Machine, key: str) -> str:
    """The value of a dotted key as a person would write it."""
    *groups, name = key.split(".")
    group: BaseModel = _attribute(machine, groups)
    told = type(group).model_fields[name]
    return text_of(told.annotation, told.metadata, getattr(group, name))


def _attribute(value: Any, path: Sequence[str]) -> Any:
    for name in path:
        value = getattr(value, name)
    return value


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
