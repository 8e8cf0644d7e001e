"""A trace as columns, whatever it was read from, and the faults of what cannot be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

import numpy as np

FAILED_PFN = 0xFFFFFFFF
"""The pfn of an allocation that failed."""
PAGEBLOCK_ORDER = 9
"""A huge page of 2 MB on x86-64."""


class ReplayError(Exception):
    """A trace or a file beside it cannot be used; the message is one line that names the file."""


class Code(IntEnum):
    """Event codes of the columnar files; events not named here leave the free lists alone."""

    ALLOC = 1
    FREE = 2
    FREE_BATCHED = 3
    ZONE_LOCKED = 4
    PCPU_DRAIN = 5
    EXTFRAG = 6
    ISOLATE = 7
    """__isolate_free_page: aux is what it returned, 0 where it refused."""
    SET_TYPE = 8
    """aux is the mask of the pageblock's bits that are set."""
    FREE_ONE = 9
    FREE_OK = 10
    OTHER = 255


_MARKS, _RECLAIM, _COMPACTION, _PROCESSES = (20, 23), (30, 36), (40, 52), (60, 64)
KNOWN_CODES = frozenset(range(1, 14)).union(
    *(range(*codes) for codes in (_MARKS, _RECLAIM, _COMPACTION, _PROCESSES)), {int(Code.OTHER)}
)
"""Every code that the columnar files use."""


@dataclass(frozen=True)
class Trace:
    """One recorded trace.

    code, pfn, order, migratetype, aux  int64 vectors, one entry a row, in ring-buffer order; pfn is
             FAILED_PFN for a failed allocation, migratetype -1 where the event has none; aux of
             EXTFRAG is fallback_order | fallback_type << 8 | change_ownership << 16
    oddities what was wrong with the rows themselves, by kind
    """

    path: Path
    code: np.ndarray
    pfn: np.ndarray
    order: np.ndarray
    migratetype: np.ndarray
    aux: np.ndarray
    oddities: dict[str, int] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.code)


def name_of(path: Path) -> str | None:
    """NAME of a file trace_NAME.*; None if it is not called so, and nothing is looked for."""
    stem = path.name
    for ending in (".gz", ".npz", ".txt", ".dat"):
        stem = stem.removesuffix(ending)
    return stem.removeprefix("trace_") if stem.startswith("trace_") else None
