"""A scenario file, checked and unfolded into a Study; all of its faults at once."""

from __future__ import annotations

import copy
import difflib
import json
import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from study.scenario import matrix
from study.scenario.check import findings, known_keys, machine_of, nearest
from study.scenario.claims import Claim, read_claims, words
from study.scenario.compose import RESERVED, compose, is_named, reads_as_word
from study.scenario.effect import asleep, without_effect
from study.scenario.errors import FAULTS_MOST, Fault, ScenarioError, did_you_mean, listing, shown
from study.scenario.head import NAME, SECTIONS, Head
from study.scenario.machine.notes import values_of
from study.scenario.machine.recordings import Recordings, recordings_at_hand
from study.scenario.machine.sysctls import SYSCTLS
from study.scenario.model import KERNELS, Machine, bundle_of
from study.scenario.origin import Unfolded
from study.scenario.override import apply_overrides, as_json
from study.scenario.presets import presets
from study.scenario.read import MAPPING, MAX_BYTES, Document, read_text
from study.scenario.rules import complaints
from study.scenario.sampling import Range, SamplingKeys, draw, is_range, range_of, rows_of
from study.scenario.stopping import Stopping
from study.scenario.study import Study
from study.scenario.trial import LONG_ID_DIGITS, Cell, Level, cell_id
from study.scenario.versions import spell_versions
from study.scenario.write import yaml_text
from study.trust.extensions import allowed_extensions, allowing, only_naming
from study.zone.settings import Settings
from study.zone.trial.metrics import METRICS

MAX_TRIALS = 10_000_000
RECORDINGS_LETTERS_MOST = 850_000
"""Of what a resolved scenario holds of recorded loads: with the rest it is less than MAX_BYTES."""
LEVEL_LETTERS_MOST = 60


def load(
    path: str | os.PathLike[str],
    overrides: Sequence[str] = (),
    *,
    extensions: str | Iterable[str] = (),
) -> Study:
    """Read a scenario file and lay overrides (`key=value`) over it.

    extensions  what the scenario may have imported: each `module:name`, or a module

    Raises ScenarioError, with one fault for each thing that is wrong, before any work starts.
    """
    return unfold(path, overrides, extensions=extensions).study


def load_text(
    text: str, name: str, overrides: Sequence[str] = (), *, extensions: str | Iterable[str] = ()
) -> Study:
    """As load, for a text that is at hand; `name` stands for the file in messages."""
    return unfold_text(text, name, overrides, extensions=extensions).study


def load_mapping(
    scenario: Mapping[str, Any],
    overrides: Sequence[str] = (),
    *,
    extensions: str | Iterable[str] = (),
) -> Study:
    """As load, for a scenario from Python: what a file says, as dict, list, str and numbers.

    Names of files in it count from the current folder.
    """
    text = yaml_text(json.loads(as_json(scenario, "scenario")))
    return _unfold(text, MAPPING, overrides, extensions, Path()).study


def load_claims(path: str | os.PathLike[str]) -> tuple[Claim, ...]:
    """The claims of a scenario file, which is read and checked; what it names is not imported.

    Raises ScenarioError, as load.
    """
    with only_naming():
        return load(path).claims


def unfold(
    path: str | os.PathLike[str],
    overrides: Sequence[str] = (),
    *,
    extensions: str | Iterable[str] = (),
) -> Unfolded:
    """As load, with what is needed to say where each setting of a cell comes from."""
    return _unfold(_text_of(Path(path)), str(path), overrides, extensions, Path(path).parent)


def unfold_text(
    text: str, name: str, overrides: Sequence[str] = (), *, extensions: str | Iterable[str] = ()
) -> Unfolded:
    """As unfold, for a text that is at hand; a recorded load must stand in it."""
    return _unfold(text, name, overrides, extensions, None)


def _unfold(
    text: str,
    name: str,
    overrides: Sequence[str],
    extensions: str | Iterable[str],
    folder: Path | None,
) -> Unfolded:
    """Read a text.

    folder  where recorded loads are looked for; None for those under `recordings` alone
    """
    allowed = allowed_extensions(extensions)
    with allowing(allowed), recordings_at_hand(folder) as recordings:
        unfolded = _unfold_text(text, name, overrides, recordings)
    return replace(unfolded, study=replace(unfolded.study, allowed=allowed))


def _unfold_text(
    text: str, name: str, overrides: Sequence[str], recordings: Recordings
) -> Unfolded:
    document, faults = compose(read_text(text, name), _text_of)
    kept = document.value.pop("recordings", None)
    for index, wrong in recordings.keep(kept if isinstance(kept, list) else []):
        faults.append(document.fault(("recordings", index), wrong))
    if kept is not None and not isinstance(kept, list):
        faults.append(document.fault(("recordings",), "recordings must be a list"))
    document.value = spell_versions(document.value)
    # A study is called after its file, unless it says otherwise.
    stem = Path(name).stem
    if document.value.get("name") is None and re.fullmatch(NAME, stem):
        document.value["name"] = stem
    before = copy.deepcopy(document)
    try:
        apply_overrides(document, overrides)
    except ScenarioError as error:
        faults += error.faults
    document.value = spell_versions(document.value)
    if faults or not overrides:
        return _with_recordings(_Unfolding(document, faults).unfolded(), recordings)
    unfolded = _Unfolding(copy.deepcopy(document)).unfolded()
    faults = without_effect(before, overrides, unfolded, lambda d: _Unfolding(d).unfolded())
    if faults:
        raise ScenarioError(faults)
    return _with_recordings(unfolded, recordings)


def _with_recordings(unfolded: Unfolded, recordings: Recordings) -> Unfolded:
    """The same with the content of the recorded loads in its document."""
    study = unfolded.study
    held = recordings.plain(values_of(study.document, "load.trace"))
    if not held:
        return unfolded
    size = sum(len(one["packed"]) for one in held)
    if size > RECORDINGS_LETTERS_MOST:
        raise ScenarioError(
            [
                unfolded.document.fault(
                    (),
                    f"its {len(held)} recorded loads take {size:,} bytes; a study carries at most "
                    f"{RECORDINGS_LETTERS_MOST:,}",
                )
            ]
        )
    document = study.document | {"recordings": held}
    return replace(unfolded, study=replace(study, document=document))


def _text_of(file: Path) -> str:
    def refuse(text: str) -> ScenarioError:
        return ScenarioError([Fault(str(file), None, None, text)])

    try:
        # A pipe would keep us waiting for somebody to write into it.
        with os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK), "rb") as opened:
            if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                raise refuse("is no regular file")
            content = opened.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise refuse(f"larger than {MAX_BYTES:,} bytes; a scenario is a page of text")
        return content.decode()
    except ScenarioError:
        raise
    except FileNotFoundError:
        raise refuse(f"no such file{_nearest_file(file)}") from None
    except IsADirectoryError:
        raise refuse("is a folder; give one of the .yaml files in it") from None
    except UnicodeDecodeError:
        raise refuse("is not UTF-8 text") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise refuse(f"cannot be read: {shown(reason)}") from None


def _nearest_file(file: Path) -> str:
    folder = file.parent
    try:
        names = [f.name for f in folder.iterdir() if f.suffix in (".yaml", ".yml")]
    except OSError:
        return f", nor a folder {folder}"
    near = difflib.get_close_matches(file.name, names, n=1, cutoff=0.5)
    return f"; did you mean {folder / near[0]}?" if near else ""


class _Unfolding:
    """One scenario on its way from a document to a Study; faults are gathered as they are met."""

    def __init__(self, document: Document, faults: Sequence[Fault] = ()) -> None:
        self.document = document
        self.raw: dict[str, Any] = document.value
        self.faults: list[Fault] = list(faults)
        self.known_faults = set(self.faults)
        self.level_sets: dict[str, frozenset[Any]] = {}
        self.stopping: Stopping | None = None
        self.ranges: dict[str, Range] = {}
        self.sampling = SamplingKeys()
        self.named: dict[str, dict[str, dict[str, Level]]] = {}
        self.combined: dict[str, matrix.Combination] = {}
        self.machines: dict[str, Machine] = {}
        # Groups of settings that have a fault: what follows from them cannot be told.
        self.unsound: set[str] = set()
        self.inherits_soundly = not self.faults

    def fault(self, path: tuple[Any, ...], text: str) -> None:
        """Note what is wrong. Raises ScenarioError when it is more than anybody would read."""
        fault = self.document.fault(path, text)
        if fault in self.known_faults:
            return
        self.known_faults.add(fault)
        self.faults.append(fault)
        if len(self.faults) > FAULTS_MOST:
            raise ScenarioError(self.faults)

    def stop_if_faulty(self) -> None:
        if self.faults:
            raise ScenarioError(self.faults)

    def unfolded(self) -> Unfolded:
        """The study, and where everything in it comes from."""
        study = self.study()
        return Unfolded(study, self.document, self.named, self.combined, self.machines)

    def study(self) -> Study:
        self.stopping = self._stopping()
        head = self._head()
        base = self._base()
        axes = self._axes()
        self.sampling = self._sampling()
        exclude = self._entries("exclude", set(axes))
        include = self._entries("include", {*known_keys(), *self.named})
        # Levels are tried on what is sound of the base: its faults are told once, not for each.
        sound = {group: keys for group, keys in base.items() if group not in self.unsound}
        if self._check_size(axes):
            self._check_levels(sound, axes, include)
            self._check_include(axes, include)
        self._check_clashes([*axes, *self.ranges])
        if head.ranking is not None and len(axes.get(head.ranking, ())) < 2:
            self.fault(
                ("ranking",),
                f"ranking is {shown(head.ranking)}, which is no axis of two levels or more"
                f"{did_you_mean(head.ranking, axes)}",
            )
        if self.faults:
            self._claims({})
            self._check_sense(sound, axes, exclude, include)
        nuisance = self._nuisance({*axes, *self.named})
        self.stop_if_faulty()
        points = self._points(head.seed)
        idle = self._idle(axes, exclude, include)
        cells = self._cells(base, axes, exclude, include, points)
        most = self.stopping.most if self.stopping else head.replicates
        if len(cells) * most > MAX_TRIALS:
            self.fault(
                ("replicates",),
                f"replicates is {most:,}, which makes {len(cells) * most:,} "
                f"trials; at most {MAX_TRIALS:,}",
            )
        claims = self._claims({cell.id: cell.levels for cell in cells})
        self.stop_if_faulty()
        resolved = Machine.model_validate(with_kernel(base)).model_dump(mode="json")
        told = [told for levels in self.named.values() for told in levels.values()]
        varied = {*axes, *self.ranges, *(key for entry in (*include, *told) for key in entry)}
        if "kernel" in varied:
            _leave_to_kernel(resolved, base)
        _leave_to_sysctls(resolved, base, varied)
        return Study(
            name=head.name,
            question=" ".join(head.question.split()),
            seed=head.seed,
            replicates=head.replicates,
            axes={key: tuple(levels) for key, levels in axes.items()}
            | {key: tuple(dict.fromkeys(point[key] for point in points)) for key in self.ranges},
            cells=tuple(cells),
            document={
                **head.model_dump(mode="json"),
                "base": resolved,
                "axes": axes | self.named | {key: self.raw["axes"][key] for key in self.ranges},
                # An entry may have been without effect since an override cut an axis.
                "exclude": [e for i, e in enumerate(exclude) if ("exclude", i) not in idle],
                "include": [e for i, e in enumerate(include) if ("include", i) not in idle],
                "claims": [claim.plain() for claim in claims],
                **({"nuisance": list(nuisance)} if nuisance else {}),
                **({"sampling": self.sampling.model_dump()} if self.ranges else {}),
                **({"replicates": self.stopping.plain()} if self.stopping else {}),
            },
            source=self.document.name,
            claims=tuple(claims),
            stopping=self.stopping,
            nuisance=nuisance,
        )

    def _stopping(self) -> Stopping | None:
        """The rule under `replicates:`, whose least number then stands there instead."""
        raw = self.raw.get("replicates")
        if not isinstance(raw, dict):
            return None
        self.raw["replicates"] = None
        try:
            stopping = Stopping.from_plain(raw)
        except ValidationError as error:
            said = findings(
                error, lambda key: f"{key} is not a key of replicates", within="replicates"
            )
            for path, text in said:
                hint = "; it is claims, or { metric: NAME, half_width: NUMBER }"
                self.fault(("replicates", *path), text + hint * (path == ("until",)))
            return None
        axes = self.raw.get("axes")
        axes = axes if isinstance(axes, dict) else {}
        if stopping.axis is not None and stopping.axis not in axes:
            self.fault(
                ("replicates", "until", "axis"),
                f"replicates.until.axis is {shown(stopping.axis)}, which is no axis"
                f"{did_you_mean(stopping.axis, axes)}",
            )
        if stopping.metric is None and not self.raw.get("claims"):
            self.fault(("replicates", "until"), "replicates.until is claims, but there are none")
        self.raw["replicates"] = stopping.least
        return stopping

    def _claims(self, cells: Mapping[str, Mapping[str, Level]]) -> list[Claim]:
        claims, wrong = read_claims(
            self.raw.get("claims"),
            cells,
            say=findings,
            cut=lambda index: (
                any(path[:1] == ("axes",) for path in self.document.origins)
                or self.document.inherited(("claims", index))
            ),
        )
        for path, text in wrong:
            self.fault(("claims", *path), text)
        return claims

    def _head(self) -> Head:
        allowed = (*Head.model_fields, *SECTIONS)
        for key in self.raw:
            if key not in allowed:
                where = did_you_mean(key, allowed)
                if key in Machine.model_fields:
                    where = f"; settings of the machine stand under base: base.{key}"
                self.fault((key,), f"{shown(key)} is not a key of a scenario{where}")
        try:
            return Head.model_validate({k: v for k, v in self.raw.items() if v is not None})
        except ValidationError as error:
            for path, text in findings(error):
                self.fault(path, self._of_head(str(path[0]), text))
            return Head()

    def _of_head(self, key: str, text: str) -> str:
        """A finding about the study's own keys, in better words where there are any."""
        found = shown(self.raw[key])
        if key == "name" and isinstance(self.raw[key], int | float):
            return f"name is {found}; it must be text; put it in quotes"
        if key == "name":
            return (
                f"name is {found}; it names a folder: letters, digits, dot, dash and underscore, "
                "at most 64"
            )
        if key == "replicates" and "greater than" in text:
            return f"replicates is {found}; it must be at least 1"
        return text

    def _base(self) -> dict[str, Any]:
        base = self.raw.get("base") or {}
        if not isinstance(base, dict):
            self.fault(("base",), f"base is {shown(base)}; it must be a mapping of settings")
            return {}
        base = {group: value for group, value in base.items() if value is not None}
        _, found = machine_of(with_kernel(base))
        for path, text in found:
            self.fault(("base", *path), text)
            self.unsound.add(str(path[0]))
        return base

    def _axes(self) -> dict[str, list[Level]]:
        axes = self.raw.get("axes") or {}
        if not isinstance(axes, dict):
            self.fault(("axes",), f"axes is {shown(axes)}; it must map keys to lists of levels")
            return {}
        for key, levels in axes.items():
            if is_named(key, levels):
                self._named(key, levels)
            elif key not in known_keys():
                self.fault(("axes", key), _no_axis(key, levels))
                self.unsound.add(key.partition(".")[0])
            elif isinstance(levels, dict) and levels:
                try:
                    self.ranges[key] = range_of(key, levels)
                except ValueError as error:
                    self.fault(("axes", key), str(error))
                    self.unsound.add(key.partition(".")[0])
            elif not isinstance(levels, list) or not levels:
                self.fault(
                    ("axes", key), f"{key} is {shown(levels)}; an axis is a list of levels: [a, b]"
                )
                self.unsound.add(key.partition(".")[0])
            else:
                self._check_plain(key, levels)
        # In an order of their own: points hang on the ranges, not on the order of the file.
        self.ranges = dict(sorted(self.ranges.items()))
        return {
            key: list(levels)
            for key, levels in axes.items()
            if isinstance(levels, list) or key in self.named
        }

    def _named(self, axis: str, levels: dict[str, dict[str, Level]]) -> None:
        """An axis of the author's own: each level sets several keys."""
        if axis in RESERVED or axis in METRICS:
            self.fault(("axes", axis), f"an axis cannot be called {axis}: the tables use the word")
        elif not re.fullmatch("[A-Za-z][A-Za-z0-9_-]{0,31}", axis):
            self.fault(
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
                self.fault(("axes", axis, level), f"{axis} has the level {shown(level)}, {why}")
        self.named[axis] = levels

    def _sampling(self) -> SamplingKeys:
        raw = self.raw.get("sampling")
        cut = any(path[:1] == ("axes",) for path in self.document.origins)
        cut = cut or self.document.inherited(("sampling",))
        if raw is not None and not self.ranges and not self.faults and not cut:
            self.fault(("sampling",), "sampling has nothing to draw: no axis is a range")
        if raw is not None and not isinstance(raw, dict):
            self.fault(("sampling",), f"sampling is {shown(raw)}; it must be a mapping")
            return SamplingKeys()
        try:
            return SamplingKeys.model_validate(raw or {})
        except ValidationError as error:
            unknown = findings(
                error, lambda key: f"{key} is not a key of sampling", within="sampling"
            )
            for path, text in unknown:
                self.fault(("sampling", *path), text)
            return SamplingKeys()

    def _nuisance(self, axes: Collection[str]) -> tuple[str, ...]:
        """The axes under `nuisance:`, whose combinations have a load each."""
        raw = self.raw.get("nuisance")
        if raw is None:
            return ()
        if not isinstance(raw, list):
            self.fault(("nuisance",), f"nuisance is {shown(raw)}; it must be a list of axes")
            return ()
        found: list[str] = []
        for index, axis in enumerate(raw):
            if not isinstance(axis, str) or axis not in {*axes, *self.ranges}:
                hint = did_you_mean(str(axis), axes)
                text = f"nuisance has {shown(axis)}, which is no axis of this study{hint}"
                # Inherited, its axis may have been taken away.
                if not self.document.inherited(("nuisance",)):
                    self.fault(("nuisance", index), text)
            elif axis in self.ranges:
                why = "a range: its points are compared, and must share a load"
                self.fault(("nuisance", index), f"nuisance has {axis}, which is {why}")
            elif axis in found:
                self.fault(("nuisance", index), f"nuisance has {axis} twice")
            else:
                found.append(axis)
        return tuple(found)

    def _points(self, seed: int) -> list[dict[str, Level]]:
        """What the ranges are in each point; one point of nothing if no axis is a range."""
        return draw(self.ranges, self.sampling, seed=seed) if self.ranges else [{}]

    def _check_plain(self, key: str, levels: list[Any]) -> None:
        before: set[Level] = set()
        for i, level in enumerate(levels):
            if isinstance(level, dict | list):
                self.fault(("axes", key, i), f"{key}: a level must be a single value")
            elif level in before:
                self.fault(("axes", key, i), f"{key} has the level {shown(level)} twice")
            else:
                before.add(level)

    def _entries(self, section: str, allowed: set[str]) -> list[dict[str, Level]]:
        entries = self.raw.get(section) or []
        if not isinstance(entries, list):
            self.fault((section,), f"{section} must be a list of entries, each a mapping")
            return []
        for i, entry in enumerate(entries):
            if not isinstance(entry, dict) or not entry:
                self.fault((section, i), f"an entry of {section} must map keys to levels")
                continue
            for key, level in entry.items():
                path = (section, i, key)
                if key not in allowed and section == "exclude" and self.document.inherited(path):
                    continue  # an axis that the extended file had, and this one removed
                if key not in known_keys() and key not in self.named:
                    self.fault(path, f"{shown(key)} is not a setting{self._nearest(key)}")
                elif key not in allowed:
                    self.fault(path, f"{key} is not an axis, so it can exclude nothing")
                elif isinstance(level, dict | list):
                    self.fault(path, f"{key}: a level must be a single value")
                else:
                    self._check_level(section, key, level, path)
        return [entry for entry in entries if isinstance(entry, dict)]

    def _check_level(self, section: str, key: str, level: Level, path: tuple[Any, ...]) -> None:
        by_level = key in self.named or section == "exclude"
        if by_level and not self._is_level(key, level, path):
            levels = listing(_listed(self.raw["axes"][key]))
            self.fault(path, f"{key} has no level {shown(level)}; it has {levels}")

    def _nearest(self, key: str) -> str:
        return did_you_mean(key, self.named) or nearest(key)

    def _levels_of(self, key: str) -> frozenset[Any]:
        """The levels of an axis; those that are none, which is a fault of its own, are left out."""
        if key not in self.level_sets:
            levels = _listed(self.raw["axes"][key])
            self.level_sets[key] = frozenset(
                level for level in levels if not isinstance(level, dict | list)
            )
        return self.level_sets[key]

    def _is_level(self, key: str, level: Level, path: tuple[Any, ...]) -> bool:
        """Is it a level of the axis, or may it have been one before the axis was cut?"""
        return (
            level in self._levels_of(key)
            or ("axes", key) in self.document.origins
            or (path[0] == "exclude" and self.document.inherited(path))
        )

    def _check_size(self, axes: Mapping[str, Sequence[Level]]) -> bool:
        size = matrix.size(axes)
        if self.ranges:
            size *= rows_of(self.sampling.design, self.sampling.points, len(self.ranges))
        if size > matrix.MAX_CELLS:
            self.fault(
                ("axes",),
                f"the axes combine into {size:,} cells; at most {matrix.MAX_CELLS:,}",
            )
        return size <= matrix.MAX_CELLS

    def _check_include(
        self, axes: Mapping[str, Sequence[Level]], include: Sequence[Mapping[str, Level]]
    ) -> None:
        """Refuse more entries than can be laid over the combinations of the axes in a while."""
        size = matrix.size(axes)
        if len(include) * size > matrix.MAX_LAID_OVER:
            self.fault(
                ("include",),
                f"include has {len(include):,} entries for {size:,} combinations of the axes; "
                f"at most {matrix.MAX_LAID_OVER // size:,}",
            )

    def _check_levels(
        self,
        base: Mapping[str, Any],
        axes: Mapping[str, Sequence[Level]],
        include: Sequence[Mapping[str, Level]],
    ) -> None:
        """Try each level by itself, so that a wrong one is reported once and where it stands."""
        tries: list[tuple[tuple[Any, ...], str, Any]] = [
            (("axes", key, i), key, level)
            for key, levels in axes.items()
            if key not in self.named
            for i, level in enumerate(levels)
        ]
        for axis, named in self.named.items():
            for name, told in named.items():
                for key, value in told.items():
                    path = ("axes", axis, name, key)
                    tries.append((path, key, value))
                    if key not in known_keys():
                        self.fault(path, f"{shown(key)} is not a setting{nearest(key)}")
                        self.unsound.add(key.partition(".")[0])
        tries += [
            (("axes", key), key, level)
            for key, axis in self.ranges.items()
            for level in axis.ends()
        ]
        self._check_within(base)
        tries += [
            (("include", i, key), key, level)
            for i, entry in enumerate(include)
            for key, level in entry.items()
        ]
        for place, key, level in tries:
            several = isinstance(level, dict | list) and len(place) == 3
            if key not in known_keys() or several:
                continue  # that is a fault already
            _, found = machine_of(with_kernel(with_levels(base, {key: level})))
            for _, text in found:
                self.fault(place, text)
                self.unsound.add(key.partition(".")[0])

    def _check_within(self, base: Mapping[str, Any]) -> None:
        """Try a level from within each range whose ends are sound: it need not be whole."""
        for key, axis in self.ranges.items():
            ends = (with_kernel(with_levels(base, {key: end})) for end in axis.ends())
            if not any(machine_of(end)[1] for end in ends):
                self._check_point(base, {key: axis.within()})

    def _check_point(self, base: Mapping[str, Any], levels: Mapping[str, Level]) -> Machine | None:
        """The machine of some levels; what is wrong with one that was drawn, is told at its axis.

        Raises ScenarioError when nothing can be drawn from a range that its setting would take.
        """
        machine, found = machine_of(with_kernel(with_levels(base, levels)))
        for path, text in found:
            key = ".".join(map(str, path))
            self.unsound.add(str(path[0]))
            if (axis := self.ranges.get(key)) is None:
                self.fault(("base", *path), text)
                continue
            whole = axis.as_integers()
            hint = f"; draw whole ones with {{integers: {whole}}}" if whole else ""
            self.fault(("axes", key), f"{key} is drawn from within a range: {text}{hint}")
        return machine

    def _check_clashes(self, axes: Sequence[str]) -> None:
        """No key is set by two axes: one of them would be without effect."""
        setters: dict[str, str] = {}
        for axis in axes:
            keys = dict.fromkeys(key for told in self.named.get(axis, {}).values() for key in told)
            for key in keys if axis in self.named else [axis]:
                other = setters.setdefault(key, axis)
                if other != axis:
                    self.fault(("axes", axis), f"{axis} and {other} both set {key}")

    def _check_sense(
        self,
        sound: Mapping[str, Any],
        axes: Mapping[str, Sequence[Level]],
        exclude: Sequence[Mapping[str, Level]],
        include: Sequence[Mapping[str, Level]],
    ) -> None:
        """What is impossible beside all that is wrong otherwise, as far as that can be known.

        A value is judged by the base and one level at a time, and only if nothing else that is
        faulty or varies can have to do with it.
        """
        if not self.inherits_soundly:
            return
        varied: dict[str, set[str]] = {}
        for axis in [*axes, *self.ranges]:
            keys = {key for told in self.named.get(axis, {}).values() for key in told} or {axis}
            for key in keys:
                varied.setdefault(key.partition(".")[0], set()).add(axis)
        for key in {key for entry in include for key in entry}:
            varied.setdefault(key.partition(".")[0], set()).add("include")
        alone = {axis for entry in exclude if len(entry) == 1 for axis in entry}
        tries: list[tuple[str, Level]] = [("", None)]
        if sum(map(len, axes.values())) <= matrix.MAX_CELLS:
            tries += [(axis, level) for axis in axes if axis not in alone for level in axes[axis]]
        for axis, level in tries:
            combination = {axis: level} if axis else {}
            told = self._expanded(combination)
            if any(k not in known_keys() or isinstance(v, dict | list) for k, v in told.items()):
                continue
            machine, _ = machine_of(with_kernel(with_levels(sound, told)))
            if machine is None:
                continue

            def known(key: str, axis: str = axis) -> bool:
                near = {key.partition(".")[0], "zone", "kernel"}
                others = set().union(*(varied.get(group, set()) for group in near)) - {axis}
                return not near & self.unsound and not others

            self._complain(machine, machine.settings(), combination, axes, known)

    def _expanded(self, combination: Mapping[str, Level]) -> dict[str, Level]:
        """A combination with named levels replaced by the settings they stand for."""
        settings: dict[str, Level] = {}
        for key, level in combination.items():
            settings |= self.named[key][str(level)] if key in self.named else {key: level}
        return settings

    def _cells(
        self,
        base: Mapping[str, Any],
        axes: Mapping[str, Sequence[Level]],
        exclude: Sequence[Mapping[str, Level]],
        include: Sequence[Mapping[str, Level]],
        points: Sequence[Mapping[str, Level]],
    ) -> list[Cell]:
        listed = matrix.combinations(axes, exclude, include)
        if not listed:
            self.fault(("exclude",), "exclude leaves no cell at all")
        if len(listed) * len(points) > matrix.MAX_CELLS:
            drawn = f" of {len(points):,} points each" if self.ranges else ""
            self.fault(
                ("include",),
                f"axes and include combine into {len(listed) * len(points):,} cells "
                f"({len(listed):,}{drawn}); at most {matrix.MAX_CELLS:,}",
            )
            raise ScenarioError(self.faults)
        combined = [{**point, **levels} for levels in listed for point in points]
        columns = [*axes, *dict.fromkeys(k for c in combined for k in c if k not in axes)]
        cells: dict[str, Cell] = {}
        made: list[tuple[matrix.Combination, Machine, Settings]] = []
        for combination in combined:
            # Each level was found valid by itself, and no key's type depends on another's.
            told = self._expanded(combination)
            machine = self._check_point(base, told)
            if machine is None:
                raise ScenarioError(self.faults)
            settings = machine.settings()
            self._complain(machine, settings, combination, axes)
            if not self.faults:
                made.append((combination, machine, settings))
        identities = _identities([settings for _, _, settings in made])
        for combination, machine, settings in made:
            identity = identities[settings]
            levels = {
                key: combination.get(key)
                if key in self.named
                else _level(machine, combination, key)
                for key in columns
            }
            # Points of whole numbers may coincide.
            if identity in cells and not self.ranges:
                self._same(combination, self.combined[identity], axes, include)
            cells[identity] = Cell(identity, levels, settings)
            self.combined[identity] = combination
            self.machines[identity] = machine
        if not self.faults:
            self._check_awake([*axes, *self.ranges], cells.values())
        return list(cells.values())

    def _same(
        self,
        combination: Mapping[str, Level],
        other: Mapping[str, Level],
        axes: Mapping[str, Sequence[Level]],
        include: Sequence[Mapping[str, Level]],
    ) -> None:
        """Two cells are one machine: told at the level, or the entry, that makes no difference."""
        differ = [key for key in combination if combination[key] != other.get(key)]
        place: tuple[Any, ...] = ("axes",)
        for key in differ:
            level = combination[key]
            entry = next((i for i, e in enumerate(include) if e.get(key) == level), None)
            if key in axes and level in axes[key]:
                place = ("axes", key, level if key in self.named else axes[key].index(level))
            elif entry is not None:
                place = ("include", entry, key)
        one = words({key: combination[key] for key in differ})
        two = words({key: other[key] for key in differ if key in other})
        self.fault(place, f"{one} makes the same machine as {two or 'without it'}")

    def _idle(
        self,
        axes: Mapping[str, Sequence[Level]],
        exclude: Sequence[Mapping[str, Level]],
        include: Sequence[Mapping[str, Level]],
    ) -> set[tuple[str, int]]:
        """Entries without effect: a fault, unless they were written for more levels than are left.

        Pairs of the section and the index in it.
        """
        idle = {("exclude", i) for i in matrix.idle_excludes(axes, exclude)}
        idle |= {("include", i) for i in matrix.idle_includes(axes, exclude, include)}
        cut = any(path[:1] == ("axes",) for path in self.document.origins)
        for section, index in sorted(idle):
            if cut or self.document.inherited((section, index)):
                continue
            what = "excludes nothing: no cell" if section == "exclude" else "adds nothing: a cell"
            entry = (exclude if section == "exclude" else include)[index]
            left = " that is left" if section == "exclude" and index else ""
            self.fault((section, index), f"this entry {what}{left} has {words(entry)}")
        return idle

    def _check_awake(self, axes: Sequence[str], cells: Collection[Cell]) -> None:
        """No axis is one that makes no difference to any cell."""
        for axis in axes:
            levels = {combination.get(axis) for combination in self.combined.values()}
            if axis not in self.named and len(levels) > 1:
                why = asleep(axis, [cell.settings for cell in cells])
                if why:
                    self.fault(("axes", axis), f"{axis} makes no difference in any cell: {why}")

    def _complain(
        self,
        machine: Machine,
        settings: Settings,
        combination: Mapping[str, Level],
        axes: Mapping[str, Any],
        known: Callable[[str], bool] = lambda _: True,
    ) -> None:
        for key, text in complaints(machine, settings):
            if not known(key):
                continue
            place: tuple[Any, ...] = ("base", *key.split("."))
            if key in combination and key in axes and combination[key] in axes[key]:
                place = ("axes", key, axes[key].index(combination[key]))
            for axis, named in self.named.items():
                if key in named.get(str(combination.get(axis)), {}):
                    place = ("axes", axis, combination[axis], key)
            self.fault(place, f"{key} {text}")


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


def _listed(levels: Any) -> list[Any]:
    """The levels of an axis; none if it is a range or no axis, which is a fault of its own."""
    if isinstance(levels, dict):
        return [] if is_range(levels) else list(levels)
    return levels if isinstance(levels, list) else []


def _leave_to_kernel(resolved: dict[str, Any], base: Mapping[str, Any]) -> None:
    """Take out what the kernel decides unless the scenario itself says it: kernels vary."""
    for group, bundle in KERNELS["2.6.8"].items():
        own = base.get(group, {})
        for name in bundle:
            if name not in own:
                resolved[group].pop(name, None)


def _leave_to_sysctls(
    resolved: dict[str, Any], base: Mapping[str, Any], varied: Collection[str]
) -> None:
    """Take out what a sysctl gives unless the scenario itself says it: sysctls may vary."""
    said = base.get("vm") or {}
    for sysctl, one in SYSCTLS.items():
        group, _, name = one.key.partition(".")
        own = base.get(group)
        used = said.get(sysctl) is not None or f"vm.{sysctl}" in varied
        if used and (not isinstance(own, dict) or name not in own):
            resolved[group].pop(name, None)


def with_kernel(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with those of their kernel filled in where they say nothing themselves."""
    result = {k: dict(v) if isinstance(v, dict) else v for k, v in raw.items()}
    of_kernel = bundle_of(str(result.get("kernel") or "2.6.8"))
    of_sysctls: dict[str, dict[str, Any]] = {}
    vm = result.get("vm")
    for name, value in vm.items() if isinstance(vm, dict) else ():
        if name in SYSCTLS and value is not None:
            group, _, key = SYSCTLS[name].key.partition(".")
            of_sysctls.setdefault(group, {})[key] = value
    for group in {**of_kernel, **of_sysctls}:
        own = result.setdefault(group, {})
        if isinstance(own, dict):
            result[group] = of_kernel.get(group, {}) | of_sysctls.get(group, {}) | own
    return result


def with_levels(raw: Mapping[str, Any], levels: Mapping[str, Level]) -> dict[str, Any]:
    """Nested settings with dotted keys set."""
    result = copy.deepcopy(dict(raw))
    for key, level in levels.items():
        group, _, name = key.partition(".")
        if name:
            result.setdefault(group, {})[name] = level
        else:
            result[group] = level
    return result


def _level(machine: Machine, combination: Mapping[str, Level], key: str) -> Level:
    """What a cell's column says: the scenario's own word, or what the key resolves to."""
    if key in combination:
        return combination[key]
    value: Any = machine
    for name in key.split("."):
        value = getattr(value, name)
    return value if isinstance(value, str | int | float | bool | None) else shown(value)
