"""A scenario file, checked and unfolded into a Study; all of its faults at once."""

from __future__ import annotations

import copy
import difflib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from study.scenario import matrix
from study.scenario.check import findings, known_keys, machine_of, nearest
from study.scenario.claims import Claim, read_claims
from study.scenario.errors import Fault, ScenarioError, did_you_mean, shown
from study.scenario.model import KERNELS, Machine
from study.scenario.override import apply_overrides
from study.scenario.read import MAX_BYTES, Document, read_text
from study.scenario.sampling import Range, SamplingKeys, draw, range_of, rows_of
from study.scenario.sense import complaints
from study.scenario.stopping import Stopping
from study.scenario.trial import Cell, Level, Study, cell_id
from study.scenario.units import count_from
from study.scenario.versions import spell_versions

MAX_TRIALS = 10_000_000


class _Head(BaseModel):
    """The keys of the study itself."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] = "study"
    question: str = ""
    seed: Annotated[int, BeforeValidator(count_from)] = 1
    replicates: Annotated[int, BeforeValidator(count_from), Field(ge=1)] = 5


_SECTIONS = ("base", "axes", "include", "exclude", "sampling", "claims")


def load(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Study:
    """Read a scenario file and lay overrides (`key=value`) over it.

    Raises ScenarioError, with one fault for each thing that is wrong, before any work starts.
    """
    file = Path(path)
    return load_text(_text_of(file), str(path), overrides)


def load_text(text: str, name: str, overrides: Sequence[str] = ()) -> Study:
    """As load, for a text that is at hand; `name` stands for the file in messages."""
    document = read_text(text, name)
    if not isinstance(document.value, dict):
        what = "is empty" if document.value is None else "is no mapping of keys to values"
        raise ScenarioError([Fault(name, None, None, f"the scenario {what}")])
    apply_overrides(document, overrides)
    document.value = spell_versions(document.value)
    return _Unfolding(document).study()


def _text_of(file: Path) -> str:
    def refuse(text: str) -> ScenarioError:
        return ScenarioError([Fault(str(file), None, None, text)])

    try:
        if file.stat().st_size > MAX_BYTES:
            raise refuse(f"larger than {MAX_BYTES:,} bytes; a scenario is a page of text")
        return file.read_text(encoding="utf-8")
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

    def __init__(self, document: Document) -> None:
        self.document = document
        self.raw: dict[str, Any] = document.value
        self.faults: list[Fault] = []
        self.stopping: Stopping | None = None
        self.ranges: dict[str, Range] = {}
        self.sampling = SamplingKeys()

    def fault(self, path: tuple[Any, ...], text: str) -> None:
        self.faults.append(self.document.fault(path, text))

    def stop_if_faulty(self) -> None:
        if self.faults:
            raise ScenarioError(self.faults)

    def study(self) -> Study:
        self.stopping = self._stopping()
        head = self._head()
        base = self._base()
        axes = self._axes()
        self.sampling = self._sampling()
        exclude = self._entries("exclude", set(axes))
        include = self._entries("include", set(known_keys()))
        self.stop_if_faulty()
        self._check_size(axes)
        self.stop_if_faulty()
        self._check_levels(base, axes, include)
        self.stop_if_faulty()
        points = self._points(head.seed)
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
        if "kernel" in axes or any("kernel" in entry for entry in include):
            _leave_to_kernel(resolved, base)
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
                "axes": axes | {key: self.raw["axes"][key] for key in self.ranges},
                # An entry whose level an override took away excludes nothing any more.
                "exclude": [
                    entry
                    for entry in exclude
                    if all(level in axes.get(key, ()) for key, level in entry.items())
                ],
                "include": include,
                "claims": [claim.plain() for claim in claims],
                **({"sampling": self.sampling.model_dump()} if self.ranges else {}),
                **({"replicates": self.stopping.plain()} if self.stopping else {}),
            },
            source=self.document.name,
            claims=tuple(claims),
            stopping=self.stopping,
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
            for path, text in findings(error, lambda key: f"{key} is not a key of replicates"):
                self.fault(("replicates", *path), text)
            return None
        axes = self.raw.get("axes")
        axes = axes if isinstance(axes, dict) else {}
        if stopping.axis is not None and stopping.axis not in axes:
            self.fault(
                ("replicates", "until", "axis"),
                f"until.axis is {shown(stopping.axis)}, which is no axis"
                f"{did_you_mean(stopping.axis, axes)}",
            )
        if stopping.metric is None and not self.raw.get("claims"):
            self.fault(("replicates", "until"), "until is claims, but the scenario makes no claims")
        self.raw["replicates"] = stopping.least
        return stopping

    def _claims(self, cells: Mapping[str, Mapping[str, Level]]) -> list[Claim]:
        claims, wrong = read_claims(
            self.raw.get("claims"),
            cells,
            say=findings,
            cut=any(path[:1] == ("axes",) for path in self.document.origins),
        )
        for path, text in wrong:
            self.fault(("claims", *path), text)
        return claims

    def _head(self) -> _Head:
        allowed = (*_Head.model_fields, *_SECTIONS)
        for key in self.raw:
            if key not in allowed:
                where = did_you_mean(key, allowed)
                if key in Machine.model_fields:
                    where = f"; settings of the machine stand under base: base.{key}"
                self.fault((key,), f"{shown(key)} is not a key of a scenario{where}")
        try:
            return _Head.model_validate({k: v for k, v in self.raw.items() if v is not None})
        except ValidationError as error:
            for path, text in findings(error):
                self.fault(path, self._of_head(str(path[0]), text))
            return _Head()

    def _of_head(self, key: str, text: str) -> str:
        """A finding about the study's own keys, in better words where there are any."""
        found = shown(self.raw[key])
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
        return base

    def _axes(self) -> dict[str, list[Level]]:
        axes = self.raw.get("axes") or {}
        if not isinstance(axes, dict):
            self.fault(("axes",), f"axes is {shown(axes)}; it must map keys to lists of levels")
            return {}
        for key, levels in axes.items():
            if key not in known_keys():
                self.fault(("axes", key), f"{shown(key)} is not a setting{nearest(key)}")
            elif isinstance(levels, dict) and levels:
                try:
                    self.ranges[key] = range_of(key, levels)
                except ValueError as error:
                    self.fault(("axes", key), str(error))
            elif not isinstance(levels, list) or not levels:
                self.fault(
                    ("axes", key), f"{key} is {shown(levels)}; an axis is a list of levels: [a, b]"
                )
            else:
                self._check_plain(key, levels)
        # In an order of their own: points hang on the ranges, not on the order of the file.
        self.ranges = dict(sorted(self.ranges.items()))
        return {key: levels for key, levels in axes.items() if not isinstance(levels, dict)}

    def _sampling(self) -> SamplingKeys:
        raw = self.raw.get("sampling")
        cut = any(path[:1] == ("axes",) for path in self.document.origins)
        if raw is not None and not self.ranges and not self.faults and not cut:
            self.fault(("sampling",), "sampling has nothing to draw: no axis is a range")
        if raw is not None and not isinstance(raw, dict):
            self.fault(("sampling",), f"sampling is {shown(raw)}; it must be a mapping")
            return SamplingKeys()
        try:
            return SamplingKeys.model_validate(raw or {})
        except ValidationError as error:
            for path, text in findings(error, lambda key: f"{key} is not a key of sampling"):
                self.fault(("sampling", *path), text)
            return SamplingKeys()

    def _points(self, seed: int) -> list[dict[str, Level]]:
        """What the ranges are in each point; one point of nothing if no axis is a range."""
        return draw(self.ranges, self.sampling, seed=seed) if self.ranges else [{}]

    def _check_plain(self, key: str, levels: list[Any]) -> None:
        for i, level in enumerate(levels):
            if isinstance(level, dict | list):
                self.fault(("axes", key, i), f"{key}: a level must be a single value")
            elif level in levels[:i]:
                self.fault(("axes", key, i), f"{key} has the level {shown(level)} twice")

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
                if key not in known_keys():
                    self.fault(path, f"{shown(key)} is not a setting{nearest(key)}")
                elif key not in allowed:
                    self.fault(path, f"{key} is not an axis, so it can exclude nothing")
                elif isinstance(level, dict | list):
                    self.fault(path, f"{key}: a level must be a single value")
                elif section == "exclude" and not self._is_level(key, level):
                    levels = ", ".join(map(shown, _listed(self.raw["axes"][key])))
                    self.fault(path, f"{key} has no level {shown(level)}; it has {levels}")
        return [entry for entry in entries if isinstance(entry, dict)]

    def _is_level(self, key: str, level: Level) -> bool:
        """Is it a level of the axis, or may it have been one before an override cut the axis?"""
        return level in _listed(self.raw["axes"][key]) or ("axes", key) in self.document.origins

    def _check_size(self, axes: Mapping[str, Sequence[Level]]) -> None:
        size = matrix.size(axes)
        if self.ranges:
            size *= rows_of(self.sampling.design, self.sampling.points, len(self.ranges))
        if size > matrix.MAX_CELLS:
            self.fault(
                ("axes",),
                f"the axes combine into {size:,} cells; at most {matrix.MAX_CELLS:,}",
            )

    def _check_levels(
        self,
        base: Mapping[str, Any],
        axes: Mapping[str, Sequence[Level]],
        include: Sequence[Mapping[str, Level]],
    ) -> None:
        """Try each level by itself, so that a wrong one is reported once and where it stands."""
        tries: list[tuple[tuple[Any, ...], str, Level]] = [
            (("axes", key, i), key, level)
            for key, levels in axes.items()
            for i, level in enumerate(levels)
        ]
        tries += [
            (("axes", key), key, level)
            for key, axis in self.ranges.items()
            for level in axis.ends()
        ]
        tries += [
            (("include", i, key), key, level)
            for i, entry in enumerate(include)
            for key, level in entry.items()
        ]
        for place, key, level in tries:
            _, found = machine_of(with_kernel(with_levels(base, {key: level})))
            for _, text in found:
                self.fault(place, text)

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
        combined = [{**point, **levels} for levels in listed for point in points]
        columns = [*axes, *dict.fromkeys(k for c in combined for k in c if k not in axes)]
        cells: dict[str, Cell] = {}
        for combination in combined:
            # Each level was found valid by itself, and no key's type depends on another's.
            machine = Machine.model_validate(with_kernel(with_levels(base, combination)))
            self._complain(machine, combination, axes)
            if self.faults:
                continue
            levels = {key: _level(machine, combination, key) for key in columns}
            settings = machine.settings()
            identity = cell_id(settings)
            # Points of whole numbers may coincide.
            if identity in cells and not self.ranges:
                self.fault(("axes",), f"two cells are the same machine: {shown(levels, 300)}")
            cells[identity] = Cell(identity, levels, settings)
        return list(cells.values())

    def _complain(
        self, machine: Machine, combination: Mapping[str, Level], axes: Mapping[str, Any]
    ) -> None:
        for key, text in complaints(machine):
            place: tuple[Any, ...] = ("base", *key.split("."))
            if key in combination and key in axes and combination[key] in axes[key]:
                place = ("axes", key, axes[key].index(combination[key]))
            self.fault(place, f"{key} {text}")


def _listed(levels: Any) -> list[Any]:
    """The levels of an axis; none if it is no list, which is a fault of its own."""
    return levels if isinstance(levels, list) else []


def _leave_to_kernel(resolved: dict[str, Any], base: Mapping[str, Any]) -> None:
    """Take out what the kernel decides unless the scenario itself says it: kernels vary."""
    for group, bundle in KERNELS["2.6.8"].items():
        own = base.get(group, {})
        for name in bundle:
            if name not in own:
                resolved[group].pop(name, None)


def with_kernel(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with those of their kernel filled in where they say nothing themselves."""
    result = {k: dict(v) if isinstance(v, dict) else v for k, v in raw.items()}
    for group, bundle in KERNELS.get(str(result.get("kernel", "2.6.8")), {}).items():
        own = result.setdefault(group, {})
        if isinstance(own, dict):
            result[group] = bundle | own
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
