"""The units of a study: a cell of the matrix, and one trial of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from study.zone.settings import Extension, Settings

if TYPE_CHECKING:
    pass

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
