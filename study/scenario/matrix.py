"""Axes into combinations, with exclude and include as in a CI matrix; which axes are policies.

exclude  removes every combination that has all the levels an entry names.
include  each entry is laid over every combination whose own levels it does not change, adding or
         replacing settings that are not axes; an entry that fits none becomes a new combination.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from study.scenario.model import policy_keys
from study.scenario.trial import Level

MAX_CELLS = 10_000
MAX_LAID_OVER = 5_000_000
"""Include entries times combinations: how often one may have to be laid over another."""

Combination = dict[str, Level]
NamedAxes = Mapping[str, Mapping[str, Mapping[str, Any]]]
NONE: NamedAxes = {}
_ABSENT = object()


def size(axes: Mapping[str, Sequence[Level]]) -> int:
    """Number of combinations before exclude and include."""
    return math.prod(len(levels) for levels in axes.values())


def combinations(
    axes: Mapping[str, Sequence[Level]],
    exclude: Sequence[Mapping[str, Level]],
    include: Sequence[Mapping[str, Level]],
) -> list[Combination]:
    """All combinations in the order of the file, the last axis changing fastest."""
    table = _Table(axes)
    kept = table.kept(exclude)
    # A matrix without axes is the base alone, unless include entries say more.
    if not axes and include:
        kept = 0
    places = {row: place for place, row in enumerate(_members(kept))}
    result = [dict(table.rows[row]) for row in places]
    for entry in include:
        fitting = _members(kept & table.leaving_alone(entry))
        for row in fitting:
            result[places[row]].update(entry)
        if not fitting:
            result.append(dict(entry))
    return result


def idle_excludes(
    axes: Mapping[str, Sequence[Level]], exclude: Sequence[Mapping[str, Level]]
) -> list[int]:
    """Which entries remove nothing that those before them have left."""
    table = _Table(axes)
    found = []
    left = table.all
    for index, entry in enumerate(exclude):
        gone = left & table.having(entry)
        if not gone:
            found.append(index)
        left &= ~gone
    return found


def idle_includes(
    axes: Mapping[str, Sequence[Level]],
    exclude: Sequence[Mapping[str, Level]],
    include: Sequence[Mapping[str, Level]],
) -> list[int]:
    """Which entries name combinations that are there already, and nothing besides."""
    if not axes:
        return []
    table = _Table(axes)
    kept = table.kept(exclude)
    return [
        index
        for index, entry in enumerate(include)
        if all(key in axes for key in entry) and kept & table.having(entry)
    ]


class _Table:
    """All combinations of the levels of some axes, in the order of the file.

    A set of combinations is a whole number with a bit for each, so that an entry takes as many
    steps as it has keys, however many combinations and entries there are.

    rows  the combinations
    all   the set of them all
    """

    def __init__(self, axes: Mapping[str, Sequence[Level]]) -> None:
        levels = itertools.product(*axes.values())
        self.rows: list[Combination] = [dict(zip(axes, each, strict=True)) for each in levels]
        self.all = (1 << len(self.rows)) - 1
        self._axes = axes
        self._having: dict[tuple[str, Level], int] = {}
        # Of each axis: how many rows one level lasts, how many rows all of them, and again.
        lasts = len(self.rows)
        for key, each in axes.items():
            period, lasts = lasts, lasts // len(each)
            again = self.all // ((1 << period) - 1)
            for index, level in enumerate(each):
                bits = (((1 << lasts) - 1) << (index * lasts)) * again
                self._having[key, level] = self._having.get((key, level), 0) | bits

    def having(self, entry: Mapping[str, Level]) -> int:
        """The combinations that have all the levels of an entry."""
        found = self.all
        for key, level in entry.items():
            found &= self._having.get((key, level), 0) if key in self._axes else 0
        return found

    def leaving_alone(self, entry: Mapping[str, Level]) -> int:
        """The combinations whose own levels an entry does not change."""
        return self.having({key: level for key, level in entry.items() if key in self._axes})

    def kept(self, exclude: Sequence[Mapping[str, Level]]) -> int:
        """The combinations that no entry excludes."""
        gone = 0
        for entry in exclude:
            gone |= self.having(entry)
        return self.all & ~gone


def _members(bits: int) -> list[int]:
    """Numbers of the bits that are set, ascending."""
    text = f"{bits:b}"[::-1]
    return [row for row, bit in enumerate(text) if bit == "1"]


def named_axes(scenario: Mapping[str, Any]) -> NamedAxes:
    """Axes whose levels have names -> level -> the settings it stands for."""
    axes = scenario.get("axes")
    return {
        axis: levels
        for axis, levels in (axes if isinstance(axes, Mapping) else {}).items()
        if isinstance(levels, Mapping)
        and all(isinstance(level, Mapping) for level in levels.values())
    }


def policies_of(axes: Iterable[str], named: NamedAxes = NONE) -> list[str]:
    """The axes that are policies: two of their levels differ in such keys and in no other."""
    return [
        axis
        for axis in axes
        if (_policies_alone(list(named[axis].values())) if axis in named else axis in policy_keys())
    ]


def held_axes(axes: Iterable[str], named: NamedAxes = NONE) -> list[str]:
    """The axes that are no policies: figures of policies show one level of each."""
    axes = list(axes)
    return [axis for axis in axes if axis not in policies_of(axes, named)]


def differing(levels: Mapping[str, Any], first: Mapping[str, Any]) -> list[str]:
    """The keys that both do not have the same of; what one lacks, differs."""
    return [
        key for key in {**first, **levels} if levels.get(key, _ABSENT) != first.get(key, _ABSENT)
    ]


def _policies_alone(levels: Collection[Mapping[str, Any]]) -> bool:
    """Do two of these levels differ in policies and in nothing else?"""
    return any(
        0 < len(keys := differing(one, other)) == len(policy_keys().intersection(keys))
        for one, other in itertools.combinations(levels, 2)
    )
