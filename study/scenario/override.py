"""key=value from the command line, laid over what the file says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any, get_args, get_origin

from study.scenario.check import known_keys, nearest
from study.scenario.compose import is_named
from study.scenario.errors import Fault, ScenarioError, did_you_mean, listing, shown
from study.scenario.head import SECTIONS, Head
from study.scenario.machine.profile import PROFILE_KEYS
from study.scenario.model import fields
from study.scenario.read import Document, read_scalar
from study.scenario.sampling import SamplingKeys

STUDY_KEYS = tuple(Head.model_fields)
STUDY_GROUPS = tuple(f"sampling.{key}" for key in SamplingKeys.model_fields)
FILE_ONLY = ("extends", *SECTIONS)
TAKE_LISTS = tuple(
    key
    for key, field in fields().items()
    for kind in (field.annotation, *get_args(field.annotation))
    if get_origin(kind) is tuple or key in ("zone.buddyinfo", *PROFILE_KEYS)
)

TAKE_MAPPINGS = ("requests", "zone.buddyinfo", "zone.dma", "zone.pageblocks")


def apply_overrides(document: Document, overrides: Sequence[str]) -> None:
    """Change a document in place.

    Keys of the study come first (replicates=5), then settings (zone.memory=256MiB, also written
    base.zone.memory=256MiB); a setting that is an axis gets the value or list given as its levels,
    and an axis of the author's own is restricted to those levels.
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


def as_overrides(settings: Mapping[str, Any]) -> list[str]:
    """Settings from Python as `key=value`.

    Parameters
    ----------
    settings
        Key -> value: `replicates=6`, `{"zone.memory": "256MiB"}`, or a group with its keys,
        `zone={"memory": "256MiB"}`.

    Raises
    ------
    ScenarioError
        A value is of a type that no scenario has.
    """
    return [f"{key}={_written(key, value)}" for key, value in _keys(settings)]


def _keys(settings: Mapping[str, Any], group: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key, value; a mapping is a group unless its key takes one."""
    for name, value in settings.items():
        key = f"{group}{name}"
        if isinstance(value, Mapping) and key not in TAKE_MAPPINGS and key not in known_keys():
            yield from _keys(value, f"{key}.")
        else:
            yield key, value


def _written(key: str, value: Any) -> str:
    return value if isinstance(value, str) and _reads_as(value) else as_json(value, key)


def as_json(value: Any, name: str) -> str:
    """A value from Python as JSON has it, which is YAML as well.

    Parameters
    ----------
    value
        Of what a scenario has; also paths, tuples, and numbers and arrays of numpy.
    name
        What it is called in messages.

    Raises
    ------
    ScenarioError
        It is, or holds, something else.
    """
    try:
        return json.dumps(value, default=_plain, ensure_ascii=False)
    except (AttributeError, RecursionError, TypeError, ValueError) as fault:
        text = f"no scenario has such a value: {shown(str(fault))}"
        raise ScenarioError([Fault(name, None, None, text)]) from None


def _reads_as(text: str) -> bool:
    """Whether a text is read as itself when it stands without quotes."""
    try:
        return bool(read_scalar(text, "") == text)
    except ScenarioError:
        return False


def _plain(value: Any) -> Any:
    """What JSON knows in place of what it does not: paths, numbers and arrays of numpy."""
    if isinstance(value, PurePath):
        return str(value)
    if not hasattr(value, "tolist"):
        raise TypeError(f"a {type(value).__name__}")
    return value.tolist()


def key_of(text: str) -> str:
    """The key that an override sets."""
    return text.partition("=")[0].strip().removeprefix("base.").removeprefix("axes.")


def origin_of(text: str) -> str:
    """What stands for the place of an override in messages."""
    return f"override '{shown(text)}'"


def _apply(document: Document, text: str) -> None:
    origin, key = origin_of(text), key_of(text)
    _, equals, word = text.partition("=")
    if not equals or not key:
        raise ScenarioError([Fault(origin, None, None, "an override looks like key=value")])
    value = read_scalar(word, origin)
    if key in STUDY_KEYS or key in STUDY_GROUPS:
        _set(document, tuple(key.split(".")), value, origin)
        return
    axes = document.value.get("axes")
    if isinstance(axes, dict) and key in axes and is_named(key, axes[key]):
        _choose(document, key, value, origin)
        return
    if key in FILE_ONLY:
        text = f"{key} stands in the file only; an override sets one key: nic.mtu=1500"
        raise ScenarioError([Fault(origin, None, None, text)])
    if key not in known_keys():
        named = [
            axis for axis in (axes if isinstance(axes, dict) else ()) if is_named(axis, axes[axis])
        ]
        hint = did_you_mean(key, (*STUDY_KEYS, *named)) if "." not in key else ""
        raise ScenarioError(
            [Fault(origin, None, None, f"{shown(key)} is not a setting{hint or nearest(key)}")]
        )
    if isinstance(axes, dict) and key in axes:
        _set(document, ("axes", key), value if isinstance(value, list | dict) else [value], origin)
    elif (isinstance(value, dict) and key not in TAKE_MAPPINGS) or (
        isinstance(value, list) and key not in TAKE_LISTS
    ):
        text = (
            f"{key} is {shown(value)}; several values make an axis, and {key} is none in the file"
        )
        raise ScenarioError([Fault(origin, None, None, text)])
    else:
        _set(document, ("base", *key.split(".")), value, origin)


def _choose(document: Document, axis: str, value: Any, origin: str) -> None:
    """Restrict an axis of the author's own to some of its levels."""
    levels = document.value["axes"][axis]
    wanted = value if isinstance(value, list) else [value]
    unknown = [level for level in wanted if not isinstance(level, str) or level not in levels]
    if unknown or not wanted:
        found = shown(unknown[0] if unknown else value)
        hint = did_you_mean(found, levels)
        text = f"{axis} has no level {found}; it has {listing(levels)}{hint}"
        raise ScenarioError([Fault(origin, None, None, text)])
    document.value["axes"][axis] = {level: levels[level] for level in wanted}
    document.origins["axes", axis] = origin


def _set(document: Document, path: tuple[str, ...], value: Any, origin: str) -> None:
    """Put a value in place of what the file has, whose places below it no longer hold."""
    document.places = {
        at: place
        for at, place in document.places.items()
        if at[: len(path)] != path or len(at) == len(path)
    }
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
