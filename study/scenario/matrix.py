"""Axes into combinations, with exclude and include as in a CI matrix.

exclude  removes every combination that has all the levels an entry names.
include  each entry is laid over every combination whose own levels it does not change, adding or
         replacing settings that are not axes; an entry that fits none becomes a new combination.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

from study.scenario.trial import Level

MAX_CELLS = 10_000

Combination = dict[str, Level]


def size(axes: Mapping[str, Sequence[Level]]) -> int:
    """Number of combinations before exclude and include."""
    return math.prod(len(levels) for levels in axes.values())


def combinations(
    axes: Mapping[str, Sequence[Level]],
    exclude: Sequence[Mapping[str, Level]],
    include: Sequence[Mapping[str, Level]],
) -> list[Combination]:
    """All combinations in the order of the file, the last axis changing fastest."""
    kept = _kept(axes, exclude)
    # A matrix without axes is the base alone, unless include entries say more.
    if not axes and include:
        kept = []
    result = [dict(c) for c in kept]
    for entry in include:
        fitting = [i for i, c in enumerate(kept) if _leaves_alone(c, entry)]
        for i in fitting:
            result[i].update(entry)
        if not fitting:
            result.append(dict(entry))
    return result


def idle_excludes(
    axes: Mapping[str, Sequence[Level]], exclude: Sequence[Mapping[str, Level]]
) -> list[int]:
    """Which entries remove nothing that those before them have left."""
    found = []
    left = _product(axes)
    for index, entry in enumerate(exclude):
        kept = [c for c in left if not _matches(c, entry)]
        if len(kept) == len(left):
            found.append(index)
        left = kept
    return found


def idle_includes(
    axes: Mapping[str, Sequence[Level]],
    exclude: Sequence[Mapping[str, Level]],
    include: Sequence[Mapping[str, Level]],
) -> list[int]:
    """Which entries name combinations that are there already, and nothing besides."""
    kept = _kept(axes, exclude) if axes else []
    return [
        index
        for index, entry in enumerate(include)
        if all(key in axes for key in entry) and any(_leaves_alone(c, entry) for c in kept)
    ]


def _product(axes: Mapping[str, Sequence[Level]]) -> list[Combination]:
    return [dict(zip(axes, levels, strict=True)) for levels in itertools.product(*axes.values())]


def _kept(
    axes: Mapping[str, Sequence[Level]], exclude: Sequence[Mapping[str, Level]]
) -> list[Combination]:
    return [c for c in _product(axes) if not any(_matches(c, entry) for entry in exclude)]


def _matches(combination: Mapping[str, Level], entry: Mapping[str, Level]) -> bool:
    return all(key in combination and combination[key] == level for key, level in entry.items())


def _leaves_alone(combination: Mapping[str, Level], entry: Mapping[str, Level]) -> bool:
    return all(combination.get(key, level) == level for key, level in entry.items())
