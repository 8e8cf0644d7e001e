"""From a YAML text to plain values, with the line and column of everything.

Safe against hostile files: no tags that build objects, bounded size, depth and alias expansion.
Scalars follow YAML 1.2: `off`, `on`, `yes` and `no` are words, only true and false are booleans,
and `2.6.8` is a word too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self, cast

import yaml

from study.scenario.errors import Fault, ScenarioError, shown

MAX_BYTES = 1_000_000
MAX_VALUES = 50_000
MAX_DEPTH = 40

Path = tuple[Hashable, ...]


class _Loader(yaml.SafeLoader):
    """SafeLoader with the scalars of YAML 1.2's core schema."""

    # PyYAML looks for the table on the class.
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012
    nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """As PyYAML's, but a text of too many values is left as soon as that shows."""
        self.nodes += 1
        if self.nodes > MAX_VALUES:
            raise yaml.MarkedYAMLError(
                problem=f"more than {MAX_VALUES:,} values",
                problem_mark=self.peek_event().start_mark,  # type: ignore[no-untyped-call]
            )
        return super().compose_node(parent, index)

    def scan_tag_directive_value(self, start_mark: yaml.Mark) -> Any:
        """Refuse %TAG: each use of a short tag would be a copy of the long one that it names."""
        raise yaml.MarkedYAMLError(
            problem="%TAG names tags of one's own, of which none is allowed",
            problem_mark=start_mark,
        )


SCALARS = (
    (
        "tag:yaml.org,2002:bool",
        re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"),
        [*"tTfF"],
    ),
    ("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), [*"-+0123456789"]),
    (
        "tag:yaml.org,2002:float",
        re.compile(
            r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$"
            r"|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$"
        ),
        [*"-+0123456789."],
    ),
)
"""Tag, what its scalars look like, and what they begin with."""
for _tag, _pattern, _first in SCALARS:
    _Loader.add_implicit_resolver(_tag, _pattern, _first)


class Written(float):
    """A number that remembers how it was written: 6.10 is a version, and none of 6.1.

    text  as it was written
    """

    text: str

    def __new__(cls, text: str) -> Self:
        """The number of a text."""
        number = super().__new__(cls, text)
        number.text = text
        return number


_KINDS: dict[str, Callable[[str], Any]] = {
    "tag:yaml.org,2002:bool": lambda text: text.lower() == "true",
    "tag:yaml.org,2002:null": lambda _: None,
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:float": lambda text: Written(
        text.replace(".inf", "inf").replace(".nan", "nan")
    ),
    "tag:yaml.org,2002:str": str,
}
_PATTERNS = {tag: pattern for tag, pattern, _ in SCALARS}
_TAGS: dict[type[yaml.Node], frozenset[str]] = {
    yaml.ScalarNode: frozenset(_KINDS),
    yaml.MappingNode: frozenset({"tag:yaml.org,2002:map"}),
    yaml.SequenceNode: frozenset({"tag:yaml.org,2002:seq"}),
}
MAX_DIGITS = 300
_HALF = re.compile("[\ud800-\udfff]")
"""What "\\ud800" stands for: half of a letter, which no file can hold."""
_NO_MERGE = "YAML 1.2 has no merging; extend a file or a preset, or give an alias as a whole value"
_PROBLEMS = {
    "mapping values are not allowed here": (
        "a colon where none can stand; check the indentation, and put text with a colon in quotes"
    ),
    "found character '\\t' that cannot start any token": "a tab; indent with spaces",
    "but found another document": "a second document begins here; a scenario is one",
    "could not find expected ':'": "a line without a colon, or out of line with its neighbours",
    "found unexpected end of stream": "a quotation that does not end",
}
"""What PyYAML says about the mistakes that people make, in their terms."""


MAPPING = "<scenario>"
"""Stands for the file of a scenario that is none: a dict from Python, which has no lines."""


class Place(NamedTuple):
    """Where a value stands.

    file    may be a preset
    line    from 1
    column  from 1
    """

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass
class Document:
    """Plain values (dict, list, str, int, float, bool, None) and where each one stands.

    name     the file that was asked for; others may have been extended
    value    a mapping
    faults   what is wrong with the text and leaves the rest of it readable: keys that stand twice
    places   path -> where it stands; a key's place is that of the key itself
    origins  path -> what set it instead of a file: an override of the command line
    """

    name: str
    value: Any
    places: dict[Path, Place] = field(default_factory=dict)
    origins: dict[Path, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def where(self, path: Path) -> str:
        """What set the value at a path, or at the nearest enclosing place that is known."""
        path = self._known(path)
        if path in self.origins:
            return self.origins[path]
        place = self.places.get(path)
        if place is not None and place.file == MAPPING:
            return _subscripts(path)
        return str(place or self.name)

    def inherited(self, path: Path) -> bool:
        """Does it come from a file that the scenario extends?"""
        place = self.places.get(self._known(path))
        return place is not None and place.file != self.name

    def _known(self, path: Path) -> Path:
        while path and path not in self.places and path not in self.origins:
            path = path[:-1]
        return path

    def fault(self, path: Path, text: str) -> Fault:
        """A fault at a path, or at the nearest enclosing place that is known."""
        path = self._known(path)
        if path in self.origins:
            return Fault(self.origins[path], None, None, text)
        place = self.places.get(path)
        if place is not None and place.file != MAPPING:
            return Fault(*place, text)
        return Fault(_subscripts(path) if place else self.name, None, None, text)


def _subscripts(path: Path) -> str:
    """Where a value stands in a scenario that is no file: scenario['nic']['mtu']."""
    return "scenario" + "".join(f"[{step!r}]" for step in path)


class _Reader:
    def __init__(self, name: str) -> None:
        self.document = Document(name, None)
        self.faults: list[Fault] = []
        self.values = 0

    def fault_at(self, mark: yaml.Mark, text: str) -> None:
        self.faults.append(Fault(self.document.name, mark.line + 1, mark.column + 1, text))

    def harmless_at(self, mark: yaml.Mark, text: str) -> None:
        """A fault that does not keep the rest from being checked."""
        place = Place(self.document.name, mark.line + 1, mark.column + 1)
        self.document.faults.append(Fault(*place, text))

    def place(self, node: yaml.Node) -> Place:
        return Place(self.document.name, node.start_mark.line + 1, node.start_mark.column + 1)

    def plain(self, node: yaml.Node, path: Path, above: tuple[int, ...]) -> Any:
        """Turn a node into plain values; aliases are expanded, and what they expand to counts."""
        self.values += 1
        if self.values > MAX_VALUES:
            raise ScenarioError(
                [Fault(self.document.name, None, None, f"more than {MAX_VALUES:,} values")]
            )
        if id(node) in above or len(above) > MAX_DEPTH:
            what = "refers to itself" if id(node) in above else f"is nested over {MAX_DEPTH} deep"
            self.fault_at(node.start_mark, f"this value {what}")
            return None
        self.document.places.setdefault(path, self.place(node))
        above = (*above, id(node))
        if node.tag not in _TAGS[type(node)]:
            self.fault_at(node.start_mark, f"the tag {shown(node.tag)} is not allowed")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, above)
        if isinstance(node, yaml.SequenceNode):
            return [self.plain(n, (*path, i), above) for i, n in enumerate(node.value)]
        return self._scalar(cast("yaml.ScalarNode", node))

    def _mapping(self, node: yaml.MappingNode, path: Path, above: tuple[int, ...]) -> Any:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.harmless_at(key_node.start_mark, "a key must be a word")
                continue
            key = key_node.value
            self._check_whole(key_node)
            if key in result:
                first = self.document.places[(*path, key)]
                self.harmless_at(
                    key_node.start_mark,
                    f"{shown(key)} stands here a second time; the first is in line {first.line}",
                )
                continue
            if key == "<<":
                self.harmless_at(key_node.start_mark, f"<< is not a key; {_NO_MERGE}")
                continue
            self.document.places[(*path, key)] = self.place(key_node)
            result[key] = self.plain(value_node, (*path, key), above)
        return result

    def _check_whole(self, node: yaml.ScalarNode) -> None:
        if half := _HALF.search(node.value):
            self.fault_at(node.start_mark, f"U+{ord(half[0]):04X} is half of a letter")

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        kind = _KINDS[node.tag]
        self._check_whole(node)
        # A tag that is written out may name another kind than the text has: !!int abc.
        if node.tag in _PATTERNS and not _PATTERNS[node.tag].match(node.value):
            name = node.tag.rpartition(":")[2]
            self.fault_at(node.start_mark, f"{shown(node.value)} cannot be read as !!{name}")
            return None
        if len(node.value) > MAX_DIGITS and kind in (int, float):
            self.fault_at(node.start_mark, f"a number of {len(node.value)} digits")
            return None
        return kind(node.value)


def read_text(text: str, name: str) -> Document:
    """Parse one YAML document.

    Raises ScenarioError for text that is no YAML, no single document, or hostile. Keys that stand
    twice are among the `faults` of the document.
    """
    if len(text) > MAX_BYTES:
        raise ScenarioError([Fault(name, None, None, f"larger than {MAX_BYTES:,} bytes")])
    reader = _Reader(name)
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
        except (ValueError, OverflowError):
            # PyYAML turns digits into letters and numbers as they come: "\\UFFFFFFFF".
            raise ScenarioError([_unreadable(loader, name)]) from None
        finally:
            loader.dispose()
        value = reader.plain(node, (), ()) if node is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (None, None)
        raise ScenarioError([Fault(name, line, column, f"not YAML: {_problem(error)}")]) from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        problem = f"the character U+{ord(text[error.position]):04X}, which no text may have"
        raise ScenarioError([Fault(name, line, column, f"not YAML: {problem}")]) from None
    except yaml.YAMLError as error:
        raise ScenarioError(
            [Fault(name, None, None, f"not YAML: {shown(str(error), 120)}")]
        ) from None
    except RecursionError:
        raise ScenarioError([Fault(name, None, None, "nested too deeply to be read")]) from None
    if reader.faults:
        raise ScenarioError(reader.faults)
    reader.document.value = value
    return reader.document


def _unreadable(loader: _Loader, name: str) -> Fault:
    """What PyYAML was about to turn into a letter or a number that there is not."""
    mark = loader.get_mark()
    digits = shown(re.split(r"[^0-9A-Fa-f]", loader.prefix(40))[0], 20)
    return Fault(
        name, mark.line + 1, mark.column + 1, f"not YAML: {digits} stands for no letter or number"
    )


def _problem(error: yaml.MarkedYAMLError) -> str:
    """What is no YAML, and where that which it breaks off began."""
    said = error.problem or error.context or "cannot be read"
    text = _PROBLEMS.get(said, said)
    began, mark = error.context_mark, error.problem_mark
    what = re.sub("^while (parsing|scanning) ", "", error.context or "")
    if what != error.context and began and mark and began.line != mark.line:
        text += f" ({what}, begun at {began.line + 1}:{began.column + 1})"
    return shown(text, 160)


def read_scalar(text: str, name: str) -> Any:
    """Parse the value of a command line override, by the same rules."""
    document = read_text(text, name)
    if document.faults:
        raise ScenarioError(document.faults)
    return document.value
