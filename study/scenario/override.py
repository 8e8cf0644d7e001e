"""key=value from the command line, laid over what the file says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from study.scenario.check import known_keys, nearest
from study.scenario.errors import Fault, ScenarioError, did_you_mean, shown
from study.scenario.read import Document, read_scalar

STUDY_KEYS = ("name", "question", "seed", "replicates")
STUDY_GROUPS = ("sampling.design", "sampling.points")


def apply_overrides(document: Document, overrides: Sequence[str]) -> None:
    """Change a document in place.

    Keys of the study come first (replicates=5), then settings (zone.memory=256MiB, also written
    base.zone.memory=256MiB); a setting that is an axis is restricted to the value or list given.
    Raises ScenarioError for what is no key=value or names nothing.
    """
    faults: list[Fault] = []
    for text in overrides:
        try:
            _apply(document, text)
        except ScenarioError as error:
            faults += error.faults
    if faults:
        raise ScenarioError(faults)


def _apply(document: Document, text: str) -> None:
    origin = f"override '{shown(text)}'"
    key, equals, word = text.partition("=")
    key = key.strip().removeprefix("base.").removeprefix("axes.")
    if not equals or not key:
        raise ScenarioError([Fault(origin, None, None, "an override looks like key=value")])
    value = read_scalar(word, origin)
    if key in STUDY_KEYS or key in STUDY_GROUPS:
        _set(document, tuple(key.split(".")), value, origin)
        return
    if key not in known_keys():
        hint = did_you_mean(key, STUDY_KEYS) if "." not in key else ""
        raise ScenarioError(
            [Fault(origin, None, None, f"{shown(key)} is not a setting{hint or nearest(key)}")]
        )
    axes = document.value.get("axes")
    if isinstance(axes, dict) and key in axes:
        _set(document, ("axes", key), value if isinstance(value, list | dict) else [value], origin)
    else:
        _set(document, ("base", *key.split(".")), value, origin)


def _set(document: Document, path: tuple[str, ...], value: Any, origin: str) -> None:
    group = document.value
    for depth, name in enumerate(path[:-1]):
        if not isinstance(group.get(name), dict):
            # What stands there instead of a group is reported where it stands.
            if group.get(name) is not None:
                return
            group[name] = {}
            document.origins[path[: depth + 1]] = origin
        group = group[name]
    group[path[-1]] = value
    document.origins[path] = origin
