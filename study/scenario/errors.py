"""What is wrong with a scenario, said to the person who wrote it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from study.printable import printable


@dataclass(frozen=True, order=True)
class Fault:
    """One thing that is wrong with a scenario, and where.

    Parameters
    ----------
    file
        Its name, or the override that is wrong.
    line, column
        In the file, from 1; None if it is no matter of one place.
    text
        What was found, and what is allowed.
    """

    file: str
    line: int | None
    column: int | None
    text: str

    def __str__(self) -> str:
        place = self.file
        if self.line is not None:
            place += f":{self.line}:{self.column}"
        # Keys and file names come from whoever wrote them: one line, and no control of a terminal.
        return printable(f"{place}: {self.text}")


FAULTS_MOST = 200
"""That are reported at once; nobody reads more, and each may take a search for a like name."""
_MORE = f"and more; the first {FAULTS_MOST} are told"


class ScenarioError(ValueError):
    """A scenario that cannot be run.

    str() is one line for each fault.

    Parameters
    ----------
    faults
        In any order. The attribute of this name has each once, file by file and from top to
        bottom; of more than FAULTS_MOST only so many, and a last one says so.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        files = {name: index for index, name in enumerate(dict.fromkeys(f.file for f in faults))}
        ordered = sorted(
            dict.fromkeys(faults),
            key=lambda f: (f.text == _MORE, files[f.file], f.line or 0, f.column or 0),
        )
        if len(ordered) > FAULTS_MOST:
            more = Fault(ordered[0].file, None, None, _MORE)
            ordered = [*ordered[:FAULTS_MOST], more]
        self.faults = tuple(ordered)
        super().__init__("\n".join(map(str, self.faults)))

    def __reduce__(self) -> tuple[type[ScenarioError], tuple[tuple[Fault, ...]]]:
        return (ScenarioError, (self.faults,))


_AS_WRITTEN = {None: "null", True: "true", False: "false"}


def shown(value: object, limit: int = 60) -> str:
    """A value as it may stand in a message: as YAML has it, on one line, not too long."""
    if value is None or isinstance(value, bool):
        return _AS_WRITTEN[value]
    if value == "":
        return "''"
    text = printable(value if isinstance(value, str) else repr(value))
    return text if len(text) <= limit else text[: limit - 3] + "..."


_LISTED_MOST = 20
_NAME_LETTERS_MOST = 60
_KNOWN_MOST = 400


def listing(values: Collection[object]) -> str:
    """Values as they may stand in a message, the first few of many: 'a, b and 38 more'."""
    text = ", ".join(shown(value) for value in islice(values, _LISTED_MOST))
    more = len(values) - _LISTED_MOST
    return f"{text} and {more:,} more" if more > 0 else text


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """'; did you mean x?' for the nearest known name, or nothing if none is near.

    A search takes time with both lengths: long names, and all but the first known ones of very
    many, are left out.
    """
    if len(name) > _NAME_LETTERS_MOST:
        return ""
    by_lower = {other.lower(): other for other in islice(known, _KNOWN_MOST)}
    near = difflib.get_close_matches(name.lower(), list(by_lower), n=1, cutoff=0.6)
    return f"; did you mean {by_lower[near[0]]}?" if near else ""


def nearest_version(name: str, known: Sequence[str]) -> str:
    """As did_you_mean for kernel versions, which come in their order.

    The first known one of that series, or the last one before it.
    """
    wanted = _version(name)
    if wanted is None:
        return did_you_mean(name, known)
    versions = {other: _version(other) or () for other in known}
    within = [other for other in known if versions[other][: len(wanted)] == wanted]
    before = [other for other in known if versions[other] <= wanted]
    return f"; did you mean {[*within, *before[::-1], *known][0]}?"


def _version(name: str) -> tuple[int, ...] | None:
    match = re.fullmatch(r"v?([0-9]{1,4}(?:\.[0-9]{1,4})*)", name)
    return tuple(map(int, match[1].split("."))) if match else None
