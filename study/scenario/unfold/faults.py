"""What is wrong with a scenario, gathered over all passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from study.scenario.errors import FAULTS_MOST, Fault, ScenarioError
from study.scenario.read import Document


class Faults:
    """The faults of one document.

    document          where each value stands
    inherits_soundly  nothing was wrong before the first pass
    unsound           groups of settings with a fault: what follows from them cannot be told
    """

    def __init__(self, document: Document, found: Sequence[Fault] = ()) -> None:
        self.document = document
        self.inherits_soundly = not found
        self.unsound: set[str] = set()
        self._found = list(found)
        self._known = set(found)

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, path: tuple[Any, ...], text: str) -> None:
        """Note what is wrong. Raises ScenarioError when it is more than anybody would read."""
        fault = self.document.fault(path, text)
        if fault in self._known:
            return
        self._known.add(fault)
        self._found.append(fault)
        if len(self._found) > FAULTS_MOST:
            self.stop()

    def mark_unsound(self, key: str) -> None:
        """Note that the group of a dotted key has a fault."""
        self.unsound.add(key.partition(".")[0])

    def stop(self) -> None:
        """Raise ScenarioError if anything is wrong."""
        if self._found:
            raise ScenarioError(self._found)

    def cut_axes(self) -> bool:
        """Has an override changed axes? Then entries and claims may have lost what they name."""
        return any(path[:1] == ("axes",) for path in self.document.origins)
