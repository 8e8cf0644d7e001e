"""One scenario out of several: `extends:`, presets, and the two ways to write a key.

    extends: [machine/i386-1gb, nic/e1000-jumbo, common.yaml]

What is named first is laid down first, the file itself comes last. Then

base       is merged key by key; null takes an inherited value away
axes       an axis that is given again replaces the inherited one; null removes it
exclude, include   are added to those inherited; null drops those
claims     likewise; a claim with the id of an inherited one replaces it
the rest   (question, seed, replicates, sampling): the later one stands
name       is not inherited: a study is called after itself

Wherever settings stand, `nic: {mtu: 9000}` and `nic.mtu: 9000` say the same. Every value keeps the
place it was written at, so that a fault names the file it is in.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path as File
from typing import Any

from study.scenario.check import groups, known_keys
from study.scenario.errors import Fault, ScenarioError, did_you_mean, shown
from study.scenario.machine.profile import LETTERS_MAX, PIECES_MAX, PROFILE_KEYS, pieces_of_file
from study.scenario.presets import Preset, presets
from study.scenario.read import MAX_BYTES, Document, Path, read_scalar, read_text
from study.scenario.sampling import is_range

MAX_FILES = 50
_ADDED = ("include", "exclude", "claims")
"""Sections that are lists, to which a file adds."""
_SUMS = ("gain", "pages_taken", "refaults")
RESERVED = frozenset(
    (
        *("name", "metric", "cell", "replicate", "seed", "status", "error", "n", "mean", "sd"),
        *("low", "high", "failed", "note", "front", "on_front", "beaten_by", "alike"),
        *(f"{name}{end}" for name in _SUMS for end in ("", "_low", "_high")),
    )
)
"""What no axis may be called: the columns that stand beside the axes in trials, summary and
trade-off (rooms above this one; tests/statistics/test_columns.py holds them together).
"""


def compose(document: Document, read: Callable[[File], str]) -> Composed:
    """The document with all that it extends.

    read  gives the text of a file, or raises ScenarioError

    Names of files count from the folder of the file that names them. Raises ScenarioError when
    nothing is left that could be checked further.
    """
    work = _Composition(read)
    result = work.resolve(document, File(document.name), ())
    if work.faults and not result.value:
        raise ScenarioError(work.faults)
    return Composed(result, work.faults, work.traces)


@dataclass(frozen=True)
class Composed:
    """What came of it.

    Parameters
    ----------
    document
        With all that it extends, in nested keys throughout.
    faults
        What was wrong.
    traces
        Each recorded load that one of its files names, and that file's folder.
    """

    document: Document
    faults: list[Fault]
    traces: list[tuple[str, File]]


@dataclass
class _Composition:
    read: Callable[[File], str]
    faults: list[Fault] = field(default_factory=list)
    files: int = 0
    letters: int = 0
    rows_left: int = PIECES_MAX
    rates_letters: int = 0
    traces: list[tuple[str, File]] = field(default_factory=list)

    def resolve(self, document: Document, file: File, above: tuple[File, ...]) -> Document:
        """The document laid over what it extends."""
        self.faults += document.faults
        if not isinstance(document.value, dict):
            what = "is empty" if document.value is None else "is no mapping of keys to values"
            self.faults.append(Fault(document.name, None, None, f"the scenario {what}"))
            return Document(document.name, {})
        parts = self._parts(document, file, (*above, _identity(file)))
        document.value.pop("extends", None)
        self._canonical(document, file)
        self._check_own(document)
        if not parts:
            return document
        whole = Document(document.name, {}, {(): document.places[()]})
        for part in parts:
            part.value.pop("name", None)
            self._lay_over(whole, part)
        self._lay_over(whole, document)
        return whole

    def _lay_over(self, below: Document, above: Document) -> None:
        """Merge, unless a setting would be without effect because an inherited axis has it."""
        setters = dict(_setters(below)) if below.value.get("axes") else {}
        own = above.value.get("axes")
        for key, path in _based(above):
            axis = setters.get(key)
            if axis is not None and not (isinstance(own, dict) and axis in own):
                text = f"{key} has no effect here: the axis {axis} sets it"
                self.faults.append(above.fault(path, f"{text} ({below.where(('axes', axis))})"))
        _lay_over(below, above)

    def _check_own(self, document: Document) -> None:
        """A setting under base that an axis of the same file sets in every cell would be lost.

        Entries of include may make cells without the axis, and a resolved scenario says all.
        """
        if document.value.get("include") or _says_all(document):
            return
        setters = dict(_setters(document))
        for key, path in _based(document):
            axis = setters.get(key)
            # A request may be written whole, as its report has it, beside an axis of its order.
            if axis is None or (axis == key and key.startswith("requests.")):
                continue
            text = f"{key} has no effect: the axis {axis} sets it in every cell"
            if axis != key:
                level = next(iter(document.value["axes"][axis]))
                value = document.value["base"]
                for step in path[1:]:
                    value = value[step]
                text += f"; put it into the levels, as {level}: [..., {{ {key}: {shown(value)} }}]"
            self.faults.append(document.fault(path, f"{text} ({document.where(('axes', axis))})"))

    def _parts(self, document: Document, file: File, above: tuple[File, ...]) -> list[Document]:
        named = document.value.get("extends")
        if named is None:
            return []
        several = isinstance(named, list)
        result = []
        for index, name in enumerate(named if several else [named]):
            path: Path = ("extends", index) if several else ("extends",)
            try:
                part = self._part(name, file, above)
            except _Refused as why:
                self.faults.append(document.fault(path, f"extends {shown(name)}{why}"))
            except ScenarioError as error:
                self.faults += error.faults
            else:
                result.append(part)
        return result

    def _part(self, name: Any, file: File, above: tuple[File, ...]) -> Document:
        if not isinstance(name, str) or not name:
            raise _Refused(", which is neither a file nor a preset")
        self.files += 1
        if self.files > MAX_FILES:
            raise _Refused(f", with which it is of more than {MAX_FILES} files in all")
        if not name.endswith((".yaml", ".yml")):
            return copy.deepcopy(_preset(name, "neither a .yaml file nor a preset").document)
        other = file.parent / name
        if _identity(other) in above:
            chain = [*above[above.index(_identity(other)) :], _identity(other)]
            raise _Refused(f", which goes round in a circle: {' -> '.join(f.name for f in chain)}")
        try:
            text = self.read(other)
        except ScenarioError as error:
            raise _Refused(f": {error.faults[0].text}") from None
        self.letters += len(text)
        if self.letters > MAX_BYTES:
            raise _Refused(f", with which it is larger than {MAX_BYTES:,} bytes")
        return self.resolve(read_text(text, str(other)), other, above)

    def _canonical(self, document: Document, file: File) -> None:
        """Write all keys in one way: nested under base, with a dot under axes and in entries."""
        _nest(document, self.faults)
        axes = document.value.get("axes")
        if isinstance(axes, dict):
            document.value["axes"] = _dotted(axes, ("axes",), document, self.faults)
            self._levels(document)
        for section in ("include", "exclude"):
            entries = document.value.get(section)
            for index, entry in enumerate(entries if isinstance(entries, list) else ()):
                if isinstance(entry, dict):
                    entries[index] = _dotted(entry, (section, index), document, self.faults)
        self._read_profiles(document, file)
        self.traces += ((name, file.parent) for name in _traces(document))

    def _read_profiles(self, document: Document, file: File) -> None:
        """Put what is in the files of uneven loads in their place."""
        for settings, key, path in _profiles(document):
            told, settings[key] = settings[key], None
            if self.rows_left < 0 or self.rates_letters > LETTERS_MAX:
                continue
            try:
                pieces = pieces_of_file(told, file.parent, self._rates)
            except ScenarioError as error:
                why = f"cannot be read: {error.faults[0]}"
            except ValueError as error:
                why = str(error)
            else:
                settings[key] = pieces
                self.rows_left -= len(pieces)
                if self.rows_left >= 0:
                    continue
                why = f"makes more than {PIECES_MAX:,} rows of the files of its profiles in all"
            self.faults.append(document.fault(path, f"{'.'.join(map(str, path[1:]))} {why}"))

    def _rates(self, file: File) -> str:
        """The text of a file of rates."""
        text = self.read(file)
        self.rates_letters += len(text)
        if self.rates_letters > LETTERS_MAX:
            why = f"with it, the files of profiles are larger than {LETTERS_MAX:,} bytes in all"
            raise ScenarioError([Fault(str(file), None, None, why)])
        return text

    def _levels(self, document: Document) -> None:
        """Named levels as mappings of dotted keys; presets are replaced by what they set."""
        axes = document.value["axes"]
        for axis, levels in axes.items():
            if not is_named(axis, levels):
                continue
            by_name = levels
            if isinstance(levels, list):
                by_name = self._listed_presets(document, axis, levels)
            axes[axis] = {
                name: self._level(document, (axis, name), told) for name, told in by_name.items()
            }

    def _listed_presets(self, document: Document, axis: str, names: list[Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for index, name in enumerate(names):
            short = str(name).rpartition("/")[2]
            place = document.places.get(("axes", axis, index))
            if short in found:
                self.faults.append(
                    document.fault(("axes", axis, index), f"{axis} has the level {short} twice")
                )
            if place:
                document.places["axes", axis, short] = place
            found[short] = name
        return found

    def _level(self, document: Document, at: tuple[str, str], told: Any) -> dict[str, Any]:
        path: Path = ("axes", *at)
        settings: dict[str, Any] = {}
        for part in told if isinstance(told, list) else [told]:
            if part is None:
                continue
            if isinstance(part, dict):
                settings |= _dotted(part, path, document, self.faults)
                continue
            try:
                preset = _preset(part, "no preset")
            except _Refused as why:
                self.faults.append(document.fault(path, f"{at[0]} has {shown(part)}{why}"))
                continue
            for dotted, inner in _based(preset.document):
                value: Any = preset.document.value
                for step in inner:
                    value = value[step]
                settings[dotted] = value
                document.places[(*path, dotted)] = preset.document.places[inner]
        return settings


def _profiles(document: Document) -> Iterator[tuple[dict[str, Any], str, Path]]:
    """Where a file says how uneven a load is: in which mapping, under which key, and its path."""
    value = document.value
    base, axes = value.get("base"), value.get("axes")
    told: list[tuple[Any, Path]] = []
    for group, settings in base.items() if isinstance(base, dict) else ():
        told.append((settings, ("base", group)))
    for axis, levels in axes.items() if isinstance(axes, dict) else ():
        for level, settings in levels.items() if isinstance(levels, dict) else ():
            told.append((settings, ("axes", axis, level)))
    for settings, path in told:
        for key, inner in settings.items() if isinstance(settings, dict) else ():
            dotted = f"{path[1]}.{key}" if path[0] == "base" else key
            if dotted in PROFILE_KEYS and isinstance(inner, dict):
                yield settings, key, (*path, key)


def _traces(document: Document) -> Iterator[str]:
    """The recorded loads that a document names by itself."""
    value = document.value
    base, axes = value.get("base"), value.get("axes")
    load = base.get("load") if isinstance(base, dict) else None
    told: list[Any] = [load.get("trace") if isinstance(load, dict) else None]
    for axis, levels in axes.items() if isinstance(axes, dict) else ():
        of_levels = list(levels.values()) if isinstance(levels, dict) else levels
        for level in of_levels if isinstance(of_levels, list) else ():
            if axis == "load.trace":
                told.append(level)
            elif isinstance(level, dict):
                told.append(level.get("load.trace"))
    entries = value.get("include")
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict):
            told += [entry.get("load.trace")]
    yield from (name for name in told if isinstance(name, str))


class _Refused(Exception):
    """Why something cannot be extended, as the rest of a sentence."""


def _preset(name: Any, otherwise: str) -> Preset:
    known = presets()
    if not isinstance(name, str) or name not in known:
        hint = did_you_mean(str(name), known)
        raise _Refused(f", which is {otherwise}{hint or _all(known)}")
    return known[name]


def _all(known: Mapping[str, Any]) -> str:
    return f"; `study presets` lists all {len(known)}"


def _identity(file: File) -> File:
    try:
        return file.resolve()
    except (OSError, RuntimeError, ValueError):
        return file


ALSO_A_WORD = frozenset({"load"})
"""Groups whose names authors also give to axes of their own."""


def _is_group(key: Any, value: Any) -> bool:
    """Does a group of settings stand here, or, where that can be, an axis of its name?"""
    if key not in groups():
        return False
    if key not in ALSO_A_WORD or not isinstance(value, dict):
        return True
    return any(f"{key}.{name}" in known_keys() for name in value)


def is_named(axis: Any, levels: Any) -> bool:
    """Is it an axis of the author's own, whose levels set several keys each?

    Its name is no setting; its levels are a mapping, or a list of presets.
    """
    if axis in known_keys() or _is_group(axis, levels) or "." in str(axis):
        return False
    if isinstance(levels, dict):
        return bool(levels) and not is_range(levels)
    return (
        isinstance(levels, list)
        and bool(levels)
        and all(isinstance(level, str) and "/" in level for level in levels)
    )


def reads_as_word(name: str) -> bool:
    """Would YAML read this level as a word, so that claims and overrides can name it?"""
    try:
        return bool(read_scalar(name, name) == name)
    except ScenarioError:
        return False


def _nest(document: Document, faults: list[Fault]) -> None:
    """base: {nic.mtu: 9000} -> base: {nic: {mtu: 9000}}."""
    _take_in(document)
    base = document.value.get("base")
    if not isinstance(base, dict):
        return
    moved: dict[Path, Path] = {}
    nested = groups() | {"requests"}
    for dotted in [key for key in base if key.partition(".")[0] in nested and "." in key]:
        group, _, key = dotted.partition(".")
        value = base.pop(dotted)
        into = base.get(group)
        if into is None:
            into = base[group] = {}
        if not isinstance(into, dict):
            continue  # what stands there instead of a group is a fault of its own
        if key in into:
            faults.append(_twice(document, ("base", dotted), dotted))
            continue
        into[key] = value
        moved["base", dotted] = ("base", group, key)
    _move(document, moved, depth=2)
    _nest_requests(document, faults)


def _nest_requests(document: Document, faults: list[Fault]) -> None:
    """requests: {dockerd.order: 6} -> {dockerd: {order: 6}}."""
    requests = document.value["base"].get("requests")
    if not isinstance(requests, dict):
        return
    moved: dict[Path, Path] = {}
    for dotted in [key for key in requests if "." in str(key)]:
        name, _, key = str(dotted).partition(".")
        into = requests.get(name)
        if into is None:
            into = requests[name] = {}
        if not isinstance(into, dict):
            continue  # what stands there is a fault of its own
        value = requests.pop(dotted)
        if key in into:
            faults.append(_twice(document, ("base", "requests", dotted), f"requests.{dotted}"))
            continue
        into[key] = value
        moved["base", "requests", dotted] = ("base", "requests", name, key)
    _move(document, moved, depth=3)


def _take_in(document: Document) -> None:
    """Requests and actions may also stand beside base: they are the machine's all the same."""
    for key in ("requests", "actions"):
        base = document.value.get("base")
        if key not in document.value or (base is not None and not isinstance(base, dict)):
            continue
        if base is None:
            base = document.value["base"] = {}
        value = document.value.pop(key)
        base[key] = value
        document.places = {
            ("base", *path) if path[:1] == (key,) else path: place
            for path, place in document.places.items()
        }


def _dotted(
    raw: Mapping[str, Any], path: Path, document: Document, faults: list[Fault]
) -> dict[str, Any]:
    """{nic: {mtu: 9000}} -> {nic.mtu: 9000}; the places at and below `path` follow."""
    result: dict[str, Any] = {}
    for key, value in raw.items():
        of_requests = key == "requests"
        if not (_is_group(key, value) or of_requests) or not isinstance(value, dict):
            if key in result:
                faults.append(_twice(document, (*path, key), key))
            result[key] = value
            continue
        # They have names between the group and its keys.
        told = _dotted_once(value, (*path, key), document) if of_requests else value
        for name, inner in told.items():
            dotted = f"{key}.{name}"
            if dotted in result:
                faults.append(_twice(document, (*path, key, name), dotted))
            result[dotted] = inner
            place = document.places.get((*path, key, name))
            if place:
                document.places[(*path, dotted)] = place
            for index, _ in enumerate(inner if isinstance(inner, list) else ()):
                place = document.places.get((*path, key, name, index))
                if place:
                    document.places[(*path, dotted, index)] = place
    return result


def _dotted_once(raw: Mapping[Any, Any], path: Path, document: Document) -> dict[str, Any]:
    """{dockerd: {order: 6}} -> {dockerd.order: 6}; the places follow."""
    result: dict[str, Any] = {}
    for name, keys in raw.items():
        if not isinstance(keys, dict):
            result[str(name)] = keys
            continue
        for key, value in keys.items():
            result[f"{name}.{key}"] = value
            if place := document.places.get((*path, name, key)):
                document.places[(*path, f"{name}.{key}")] = place
    return result


def _twice(document: Document, path: Path, key: str) -> Fault:
    return document.fault(path, f"{shown(key)} stands here a second time")


def _move(document: Document, moved: Mapping[Path, Path], *, depth: int) -> None:
    if moved:
        document.places = {
            (*moved[path[:depth]], *path[depth:]) if path[:depth] in moved else path: place
            for path, place in document.places.items()
        }


def _setters(document: Document) -> Iterator[tuple[str, str]]:
    """Each key that an axis sets in all its levels, and the axis."""
    axes = document.value.get("axes")
    for axis, levels in axes.items() if isinstance(axes, dict) else ():
        if not is_named(axis, levels):
            yield axis, axis
            continue
        told = [set(level) for level in levels.values() if isinstance(level, dict)]
        for key in set.intersection(*told) if told else ():
            yield key, axis


def _says_all(document: Document) -> bool:
    """Does the base have every setting there is, as that of a manifest does?"""
    base = document.value.get("base")
    return isinstance(base, dict) and groups() <= {*base}


def _based(document: Document) -> Iterator[tuple[str, Path]]:
    """Each dotted key under base, and its path."""
    base = document.value.get("base")
    for group, keys in base.items() if isinstance(base, dict) else ():
        if not isinstance(keys, dict):
            yield group, ("base", group)
            continue
        for key, value in keys.items():
            if group == "requests" and isinstance(value, dict):
                yield from (
                    (f"{group}.{key}.{own}", ("base", group, key, own))
                    for own, inner in value.items()
                    if inner is not None
                )
            elif value is not None:
                yield f"{group}.{key}", ("base", group, key)


def _lay_over(below: Document, above: Document) -> None:
    """Merge `above` into `below`, with the places of its values."""
    shift: dict[str, dict[int, int]] = {}
    for key, value in above.value.items():
        there = below.value.get(key)
        if key in _ADDED and isinstance(there, list) and isinstance(value, list):
            shift[key] = dict(_appended(there, value, by_id=key == "claims"))
        elif key in ("base", "axes") and isinstance(there, dict) and isinstance(value, dict):
            _merge(there, value, depth=int(key == "base"))
        else:
            below.value[key] = value
    for path, place in above.places.items():
        moved = shift.get(str(path[0]), {}) if len(path) > 1 else {}
        if moved and isinstance(path[1], int):
            below.places[path[0], moved[path[1]], *path[2:]] = place
        else:
            below.places[path] = place


def _appended(there: list[Any], more: list[Any], *, by_id: bool) -> Iterator[tuple[int, int]]:
    """Add entries to a list; pairs of where each stood and where it stands now."""
    known = {
        entry["id"]: index
        for index, entry in enumerate(there)
        if by_id and isinstance(entry, dict) and isinstance(entry.get("id"), str)
    }
    for index, entry in enumerate(more):
        same = entry.get("id") if isinstance(entry, dict) else None
        if by_id and isinstance(same, str) and same in known:
            there[known[same]] = entry
            yield index, known[same]
        else:
            there.append(entry)
            yield index, len(there) - 1


def _merge(there: dict[str, Any], more: Mapping[str, Any], *, depth: int) -> None:
    for key, value in more.items():
        inner = there.get(key)
        if value is None and key in there:
            del there[key]
        elif depth and isinstance(inner, dict) and isinstance(value, dict):
            # Requests have names between the group and its keys.
            _merge(inner, value, depth=depth - (key != "requests"))
        else:
            there[key] = value
