"""The units of a study: a cell of the matrix, and one trial of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from study.zone.settings import Extension, Settings

if TYPE_CHECKING:
    from study.scenario.claims import Claim
    from study.scenario.stopping import Stopping

Level = str | int | float | bool | None


@dataclass(frozen=True)
class Cell:
    """One combination of levels.

    id      8 hex digits over the settings: the same machine has the same id in any study, but for
            machines of one study whose 8 digits are the same, which have 16
    levels  dotted key -> what the scenario calls the level; the same keys for every cell
    """

    id: str
    levels: dict[str, Level]
    settings: Settings


@dataclass(frozen=True)
class Trial:
    """One simulated zone: a cell, and which of its replicates. Trials of one replicate meet the
    same workload in every cell.
    """

    cell: Cell
    replicate: int
    seed: int


@dataclass(frozen=True, repr=False)
class Study:
    """A scenario, checked and unfolded.

    axes        dotted key -> levels in the order of the file
    replicates  of every cell; the least number if `stopping` may ask for more
    document    the whole scenario with overrides and defaults, as JSON would have it
    claims      what the study is to decide
    stopping    when a cell has enough replicates; None: `replicates` are run
    allowed     extensions that its trials may import; said by who runs it, never by the scenario
    """

    name: str
    question: str
    seed: int
    replicates: int
    axes: dict[str, tuple[Level, ...]]
    cells: tuple[Cell, ...]
    document: dict[str, Any]
    source: str
    claims: tuple[Claim, ...] = ()
    stopping: Stopping | None = None
    allowed: tuple[str, ...] = field(default=(), compare=False)

    def __len__(self) -> int:
        return self.replicates * len(self.cells)

    def __repr__(self) -> str:
        counts = f"{len(self.cells)} cells x {self.replicates} replicates = {len(self)} trials"
        return f"<Study {self.name!r} of {self.source}: {counts}>"

    def extensions(self) -> list[str]:
        """Versions of the extensions that its cells use, 16 hex digits each."""
        asked = [cell.settings.extension for cell in self.cells]
        used = {version for one in asked for version in (one.victims_digest, one.source_digest)}
        return sorted(used - {""})

    def trials(self, replicates: Mapping[str, int] | None = None) -> Iterator[Trial]:
        """All trials, replicate by replicate, so that a run cut short has whole comparisons.

        replicates  cell id -> how many, where it is not the same number for every cell
        """
        most = self.replicates if replicates is None else max(replicates.values(), default=0)
        for replicate in range(most):
            for cell in self.cells:
                if replicates is None or replicate < replicates[cell.id]:
                    yield Trial(cell, replicate, self.seed)


ID_DIGITS = 8
LONG_ID_DIGITS = 16


def cell_id(settings: Settings, digits: int = ID_DIGITS) -> str:
    """Hex digits that depend on the settings alone."""
    told = asdict(settings)
    # A machine without extensions is the one it was before there were any.
    if settings.extension == Extension():
        del told["extension"]
    canonical = json.dumps(told, sort_keys=True)
    return hashlib.blake2b(canonical.encode(), digest_size=digits // 2).hexdigest()
