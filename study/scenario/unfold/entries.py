"""The entries of exclude and include: what they name is there, and each makes a difference."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from study.scenario import matrix
from study.scenario.check import known_keys, nearest
from study.scenario.claims.comparison import words
from study.scenario.errors import did_you_mean, listing, shown
from study.scenario.trial import Level
from study.scenario.unfold.axes import Axes
from study.scenario.unfold.faults import Faults

Entries = Sequence[Mapping[str, Level]]


def read_exclude(raw: Mapping[str, Any], axes: Axes, faults: Faults) -> list[dict[str, Level]]:
    """The entries that take combinations away; they name axes."""
    return _read(raw, "exclude", set(axes.listed), axes, faults)


def read_include(raw: Mapping[str, Any], axes: Axes, faults: Faults) -> list[dict[str, Level]]:
    """The entries that add to combinations; they name axes and settings."""
    return _read(raw, "include", {*known_keys(), *axes.named}, axes, faults)


def _read(
    raw: Mapping[str, Any], section: str, allowed: Collection[str], axes: Axes, faults: Faults
) -> list[dict[str, Level]]:
    entries = raw.get(section) or []
    if not isinstance(entries, list):
        faults.add((section,), f"{section} must be a list of entries, each a mapping")
        return []
    for i, entry in enumerate(entries):
        if not isinstance(entry, dict) or not entry:
            faults.add((section, i), f"an entry of {section} must map keys to levels")
            continue
        for key, level in entry.items():
            path = (section, i, key)
            if key not in allowed and section == "exclude" and faults.document.inherited(path):
                continue  # an axis that the extended file had, and this one removed
            if (wrong := _wrong(key, level, allowed, axes)) is not None:
                faults.add(path, wrong)
            elif (key in axes.named or section == "exclude") and not _is_level(
                key, level, path, axes, faults
            ):
                has = listing(axes.listed[key])
                faults.add(path, f"{key} has no level {shown(level)}; it has {has}")
    return [entry for entry in entries if isinstance(entry, dict)]


def _wrong(key: str, level: Any, allowed: Collection[str], axes: Axes) -> str | None:
    if key not in known_keys() and key not in axes.named:
        return f"{shown(key)} is not a setting{did_you_mean(key, axes.named) or nearest(key)}"
    if key not in allowed:
        return f"{key} is not an axis, so it can exclude nothing"
    if isinstance(level, dict | list):
        return f"{key}: a level must be a single value"
    return None


def _is_level(key: str, level: Level, path: tuple[Any, ...], axes: Axes, faults: Faults) -> bool:
    """Is it a level of the axis, or may it have been one before the axis was cut?"""
    document = faults.document
    return (
        level in axes.levels[key]
        or ("axes", key) in document.origins
        or (path[0] == "exclude" and document.inherited(path))
    )


def check_included(axes: Axes, include: Entries, faults: Faults) -> None:
    """Refuse more entries than can be laid over the combinations of the axes in a while."""
    size = matrix.size(axes.listed)
    if len(include) * size > matrix.MAX_LAID_OVER:
        faults.add(
            ("include",),
            f"include has {len(include):,} entries for {size:,} combinations of the axes; "
            f"at most {matrix.MAX_LAID_OVER // size:,}",
        )


def without_idle(
    axes: Axes, exclude: Entries, include: Entries, faults: Faults
) -> tuple[list[Mapping[str, Level]], list[Mapping[str, Level]]]:
    """Exclude and include less the entries without effect.

    Such an entry is a fault, unless it was written for more levels than are left.
    """
    idle = {("exclude", i) for i in matrix.idle_excludes(axes.listed, exclude)}
    idle |= {("include", i) for i in matrix.idle_includes(axes.listed, exclude, include)}
    for section, index in sorted(idle):
        if faults.cut_axes() or faults.document.inherited((section, index)):
            continue
        what = "excludes nothing: no cell" if section == "exclude" else "adds nothing: a cell"
        entry = (exclude if section == "exclude" else include)[index]
        left = " that is left" if section == "exclude" and index else ""
        faults.add((section, index), f"this entry {what}{left} has {words(entry)}")
    return (
        [entry for i, entry in enumerate(exclude) if ("exclude", i) not in idle],
        [entry for i, entry in enumerate(include) if ("include", i) not in idle],
    )
