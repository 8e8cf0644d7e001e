"""A step of a zone: what one event changed, and the zone after it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from study.zone.engine.enums import Event
from study.zone.settings import KswapdPolicy

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Counts:
    """Counters of the zone, or by how much they have grown."""

    attempts: tuple[int, ...]
    failures: tuple[int, ...]
    stalls: tuple[int, ...]
    attempts_order: tuple[int, ...]
    failures_order: tuple[int, ...]
    split: tuple[int, ...]
    formed: tuple[int, ...]
    scanned: int
    reclaimed: int
    wakeups: int
    refused: int
    runs: int
    evicted: int
    migrated: int


@dataclass(frozen=True)
class Choice:
    """A block the defragmenter could have emptied, what it costs in pages, and whether it did."""

    pfn: int
    cost: int
    taken: bool


@dataclass(frozen=True)
class Step:
    """One event of the zone that changed something, and the zone after it.

    number    1, 2, ...
    time_ns   simulated time
    what      what fell due: a member of Event, or None for a program's touch of a page
    quiet     events since the last step that changed neither a page nor a list
    owners    u1 of shape (pages,): whose each page is
    lists     for each order the first pfns of its free blocks, in list order
    free      pages on the free lists
    marks     min, low, high
    awake     kswapd works
    grown     by how much the counters have grown in this step
    changed   pfns whose owner changed
    choices   what the defragmenter could choose from, cheapest first, if it ran
    """

    number: int
    time_ns: int
    what: Event | None
    quiet: int
    owners: Array = field(repr=False)
    lists: tuple[tuple[int, ...], ...]
    free: int
    marks: tuple[int, int, int]
    awake: bool
    was_awake: bool
    policy: KswapdPolicy
    order_wanted: int
    grown: Counts = field(repr=False)
    changed: tuple[int, ...]
    choices: tuple[Choice, ...] = ()
