"""The axes: levels of a setting, levels of the author's own, ranges to draw from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from study.scenario import matrix
from study.scenario.check import findings, known_keys, nearest
from study.scenario.compose import RESERVED, is_named, reads_as_word
from study.scenario.errors import did_you_mean, shown
from study.scenario.presets import presets
from study.scenario.sampling import Range, SamplingKeys, range_of, rows_of
from study.scenario.trial import Level
from study.scenario.unfold.faults import Faults
from study.zone.trial.metrics import METRICS

LEVEL_LETTERS_MOST = 60


@dataclass(frozen=True)
class Axes:
    """What varies.

    listed  axis -> levels, in the order of the file; of a named axis the names of its levels
    named   axis of the author's own -> level -> dotted key -> value
    ranges  dotted key -> the range that it is drawn from. In an order of their own: points hang on
            the ranges, not on the order of the file
    """

    listed: dict[str, list[Any]]
    named: dict[str, dict[str, dict[str, Level]]]
    ranges: dict[str, Range]

    @cached_property
    def levels(self) -> dict[str, frozenset[Level]]:
        """Levels of each listed axis; those that are none, a fault of its own, are left out."""
        return {
            axis: frozenset(level for level in levels if not isinstance(level, dict | list))
            for axis, levels in self.listed.items()
        }

    def keys_of(self, axis: str) -> list[str]:
        """The dotted keys that an axis sets."""
        if axis not in self.named:
            return [axis]
        return list(dict.fromkeys(key for told in self.named[axis].values() for key in told))

    def expanded(self, combination: Mapping[str, Level]) -> dict[str, Level]:
        """A combination with named levels replaced by the settings they stand for."""
        settings: dict[str, Level] = {}
        for key, level in combination.items():
            settings |= self.named[key][str(level)] if key in self.named else {key: level}
        return settings


def read_axes(raw: Mapping[str, Any], faults: Faults) -> Axes:
    """The axes; their levels have yet to be tried."""
    axes = raw.get("axes") or {}
    if not isinstance(axes, dict):
        faults.add(("axes",), f"axes is {shown(axes)}; it must map keys to lists of levels")
        return Axes({}, {}, {})
    named: dict[str, dict[str, dict[str, Level]]] = {}
    ranges: dict[str, Range] = {}
    for key, levels in axes.items():
        if is_named(key, levels):
            _check_named(key, levels, faults)
            named[key] = levels
        elif (wrong := _wrong_axis(key, levels)) is not None:
            faults.add(("axes", key), wrong)
            faults.mark_unsound(key)
        elif isinstance(levels, dict):
            try:
                ranges[key] = range_of(key, levels)
            except ValueError as error:
                faults.add(("axes", key), str(error))
                faults.mark_unsound(key)
        else:
            _check_plain(key, levels, faults)
    listed = {
        key: list(levels)
        for key, levels in axes.items()
        if isinstance(levels, list) or key in named
    }
    return Axes(listed, named, dict(sorted(ranges.items())))


def _wrong_axis(key: str, levels: Any) -> str | None:
    if key not in known_keys():
        return _no_axis(key, levels)
    if not levels or not isinstance(levels, dict | list):
        return f"{key} is {shown(levels)}; an axis is a list of levels: [a, b]"
    return None


def _no_axis(key: str, levels: Any) -> str:
    """What is wrong with an axis that is neither a setting nor one of the author's own."""
    words = [word for word in (levels if isinstance(levels, list) else [levels]) if word]
    whole = {name.rpartition("/")[2]: name for name in presets()}
    short = next((word for word in words if isinstance(word, str) and word in whole), None)
    if isinstance(levels, str) and levels in presets():
        return f"{shown(key)} is {levels}; an axis is a list of levels: [{levels}, ...]"
    if short is not None:
        return f"{shown(key)} has {short}, which is no preset; did you mean {whole[short]}?"
    hint = nearest(key)
    if not words and not hint:
        return f"{shown(key)} has no levels"
    if not hint and "." not in key:
        hint = "; levels of an axis of your own are presets or have names: {a: {nic.mtu: 1500}}"
    return f"{shown(key)} is not a setting{hint}"


def _check_plain(key: str, levels: list[Any], faults: Faults) -> None:
    before: set[Level] = set()
    for i, level in enumerate(levels):
        if isinstance(level, dict | list):
            faults.add(("axes", key, i), f"{key}: a level must be a single value")
        elif level in before:
            faults.add(("axes", key, i), f"{key} has the level {shown(level)} twice")
        else:
            before.add(level)


def _check_named(axis: str, levels: dict[str, dict[str, Level]], faults: Faults) -> None:
    """An axis of the author's own: each level sets several keys."""
    if axis in RESERVED or axis in METRICS:
        faults.add(("axes", axis), f"an axis cannot be called {axis}: the tables use the word")
    elif not re.fullmatch("[A-Za-z][A-Za-z0-9_-]{0,31}", axis):
        faults.add(
            ("axes", axis),
            f"an axis cannot be called {shown(axis)}: letters, digits, dash and underscore, "
            "at most 32",
        )
    for level in levels:
        why = ""
        if len(level) > LEVEL_LETTERS_MOST:
            why = f"which has more than {LEVEL_LETTERS_MOST} letters"
        elif not level or not reads_as_word(level):
            why = "which reads as no word; begin it with a letter"
        if why:
            faults.add(("axes", axis, level), f"{axis} has the level {shown(level)}, {why}")


def check_clashes(axes: Axes, faults: Faults) -> None:
    """No key is set by two axes: one of them would be without effect."""
    setters: dict[str, str] = {}
    for axis in [*axes.listed, *axes.ranges]:
        for key in axes.keys_of(axis):
            other = setters.setdefault(key, axis)
            if other != axis:
                faults.add(("axes", axis), f"{axis} and {other} both set {key}")


def check_size(axes: Axes, sampling: SamplingKeys, faults: Faults) -> bool:
    """Whether there are no more combinations than anybody would run."""
    size = matrix.size(axes.listed)
    if axes.ranges:
        size *= rows_of(sampling.design, sampling.points, len(axes.ranges))
    if size > matrix.MAX_CELLS:
        faults.add(("axes",), f"the axes combine into {size:,} cells; at most {matrix.MAX_CELLS:,}")
    return size <= matrix.MAX_CELLS


def read_sampling(raw: Mapping[str, Any], axes: Axes, faults: Faults) -> SamplingKeys:
    """How points are drawn from the ranges."""
    asked = raw.get("sampling")
    cut = faults.cut_axes() or faults.document.inherited(("sampling",))
    if asked is not None and not axes.ranges and not faults and not cut:
        faults.add(("sampling",), "sampling has nothing to draw: no axis is a range")
    if asked is not None and not isinstance(asked, dict):
        faults.add(("sampling",), f"sampling is {shown(asked)}; it must be a mapping")
        return SamplingKeys()
    try:
        return SamplingKeys.model_validate(asked or {})
    except ValidationError as error:
        unknown = findings(error, lambda key: f"{key} is not a key of sampling", within="sampling")
        for path, text in unknown:
            faults.add(("sampling", *path), text)
        return SamplingKeys()


def read_nuisance(raw: Mapping[str, Any], axes: Axes, faults: Faults) -> tuple[str, ...]:
    """The axes under `nuisance:`, whose combinations have a load each."""
    asked = raw.get("nuisance")
    if asked is None:
        return ()
    if not isinstance(asked, list):
        faults.add(("nuisance",), f"nuisance is {shown(asked)}; it must be a list of axes")
        return ()
    known = {*axes.listed, *axes.named}
    found: list[str] = []
    for index, axis in enumerate(asked):
        if not isinstance(axis, str) or axis not in {*known, *axes.ranges}:
            hint = did_you_mean(str(axis), known)
            text = f"nuisance has {shown(axis)}, which is no axis of this study{hint}"
            # Inherited, its axis may have been taken away.
            if not faults.document.inherited(("nuisance",)):
                faults.add(("nuisance", index), text)
        elif axis in axes.ranges:
            why = "a range: its points are compared, and must share a load"
            faults.add(("nuisance", index), f"nuisance has {axis}, which is {why}")
        elif axis in found:
            faults.add(("nuisance", index), f"nuisance has {axis} twice")
        else:
            found.append(axis)
    return tuple(found)
