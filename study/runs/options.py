"""How a study is run: on what, in which pieces, and within which limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from study.fanout import Limits


@dataclass(frozen=True)
class Options:
    """What may be chosen about a run. No row depends on any of it.

    Raises ValueError for options that contradict each other.
    """

    workers: int | None = None
    """Cores to use at most; None uses all."""
    address: str | None = None
    """Of a Ray cluster to join; None starts a Ray here and ends it afterwards."""
    ray: bool = True
    """False runs the same trials one by one in this process."""
    batch: int | None = None
    """Trials of a Ray task; None measures how many fit."""
    limits: Limits | None = None
    """Of time and memory that a single trial may take."""
    force: bool = False
    """Start over in a folder that holds results of this very study."""
    extend: bool = False
    """Add replicates or cells to the study in the folder."""
    command: tuple[str, ...] = ()
    """The command line, for the manifest."""

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise ValueError(f"workers is {self.workers}; it must be at least 1")
        if not self.ray and (self.workers is not None or self.address is not None):
            raise ValueError("ray=False runs the trials in this process: no workers, no address")
        if self.force and self.extend:
            raise ValueError("force starts over and extend goes on: give one of them")
