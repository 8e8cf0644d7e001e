"""Who is told how a run gets on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from study.fanout import Session


class Watcher:
    """Somebody who is told how the study gets on. This one keeps it to itself."""

    def phase(self, text: str) -> None:
        """Say what is being prepared or finished, in a few words."""

    def step(self, text: str) -> None:
        """Say how far the phase is."""

    def note(self, text: str) -> None:
        """Say something that is to stay on the screen."""

    def start(self, trials: int, *, cells: int, replicates: int, place: str, done: int) -> None:
        """Trials begin; `done` of them were run earlier."""

    def cluster(self, session: Session) -> None:
        """Trials run there: for the number of nodes and cores at work."""

    def total(self, trials: int) -> None:
        """There are more trials than were thought."""

    def advance(self, finished: int, failed: int) -> None:
        """So many trials more have finished, of them so many failed."""

    def stopping(self) -> None:
        """The run has been asked to end. Called by a signal's handler: note it and write nothing,
        as what it interrupts may be writing.
        """

    def close(self) -> None:
        """No more trials will finish."""


SILENT = Watcher()
