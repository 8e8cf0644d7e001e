"""What is wrong with a scenario, said to the person who wrote it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Fault:
    """One thing that is wrong: where (file, line, column or override), and what."""

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


class ScenarioError(ValueError):
    """A scenario that cannot be run. `faults` has them all; str() is one line for each."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(dict.fromkeys(faults))
        super().__init__("\n".join(map(str, self.faults)))

    def __reduce__(self) -> tuple[type[ScenarioError], tuple[tuple[Fault, ...]]]:
        return (ScenarioError, (self.faults,))


_AS_WRITTEN = {None: "null", True: "true", False: "false"}


def printable(text: str) -> str:
    """The same text on one line, without control characters."""
    return "".join(c if c.isprintable() else "?" for c in text)


def shown(value: object, limit: int = 60) -> str:
    """A value as it may stand in a message: as YAML has it, on one line, not too long."""
    if value is None or isinstance(value, bool):
        return _AS_WRITTEN[value]
    text = printable(value if isinstance(value, str) else repr(value))
    return text if len(text) <= limit else text[: limit - 3] + "..."


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """'; did you mean x?' for the nearest known name, or nothing if none is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""
