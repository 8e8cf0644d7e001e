"""Zones in which every frame is used as a test says, without load: for policies that move pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from study.zone.engine.enums import Home, Kind
from study.zone.engine.layout import HEAD_ACTIVE, HEAD_INACTIVE, NO_PFN
from study.zone.mm.linux_2_6.buddy import take_block
from study.zone.mm.linux_2_6.grouping import return_block, rmqueue
from study.zone.mm.linux_2_6.kmalloc import new_object
from study.zone.mm.linux_2_6.lru import lru_del
from study.zone.mm.linux_2_6.memory import install
from study.zone.mm.linux_2_6.rmap import forget_page
from study.zone.settings import Memory, Settings, Watermarks
from study.zone.trial.verify import pages_in_use
from study.zone.trial.zone import Zone

MARKS = Watermarks(explicit_pages=(4, 8, 12))


def zone_of(
    quiet: Callable[..., Settings],
    pages: int,
    *,
    pinned: Iterable[int] = (),
    free: Iterable[int] = (),
    memory: dict[str, object] | None = None,
    **groups: object,
) -> Zone:
    """Every frame holds a clean file page, but for those the kernel pins and those left free.

    The lowest frame holds the page that came first. Per-cpu lists, if wanted, are empty.
    """
    wanted = Memory(pages=pages, lowmem_pages=pages, reserved_pages=0, percpu_lists=False)
    percpu = bool((memory or {}).pop("percpu_lists", False))
    settings = quiet(
        pages, memory=replace(wanted, **(memory or {})), **{"watermarks": MARKS} | groups
    )
    zone = Zone(settings)
    z = zone.state
    taken = sorted(take_any(zone) for _ in range(pages))
    assert taken == list(range(pages))
    zone.frame["home"][taken] = Home.NONE
    zone.frame["order"][taken] = 0
    for pfn in set(pinned):
        new_object(z, pfn, 0, Kind.STACK)
    empty = set(free)
    used = sorted(set(taken) - set(pinned) - empty)
    for page, pfn in enumerate(used):
        install(z, pfn, page, False)
    zone.frame["flags"][used] = 0
    for pfn in sorted(empty):
        return_block(z, pfn, 0, 1 if z["grouping"] else 0)
    z["percpu_lists"] = percpu
    return zone


def take_any(zone: Zone) -> int:
    """A single page off the free lists."""
    if zone.state["grouping"]:
        return int(rmqueue(zone.state, 0, 1))
    return int(take_block(zone.state, 0))


def drop(zone: Zone, pfns: Iterable[int], migratetype: int | None = None) -> None:
    """Free the user pages in these frames, to the lists of a type."""
    if migratetype is None:
        migratetype = 1 if zone.state["grouping"] else 0
    for pfn in pfns:
        lru_del(zone.state, pfn)
        forget_page(zone.state, pfn)
        return_block(zone.state, pfn, 0, migratetype)


def head_of(zone: Zone, which: int) -> int:
    """The frame number of the head of an LRU list."""
    assert which in (HEAD_ACTIVE, HEAD_INACTIVE)
    return int(zone.own["head"]) + which


def listed(zone: Zone, which: int) -> list[int]:
    """Frames on one LRU list, head first."""
    head = head_of(zone, which)
    found, pfn = [], int(zone.frame[head]["next"])
    while pfn != head:
        assert len(found) < zone.pages, "the list does not end"
        found.append(pfn)
        pfn = int(zone.frame[pfn]["next"])
    return found


def homes(zone: Zone) -> np.ndarray:
    """Home of every frame."""
    return zone.frame["home"][: zone.settings.memory.pages].copy()


def contents(zone: Zone) -> dict[int, int]:
    """Which virtual page each used frame holds."""
    resident = np.flatnonzero((zone.vpage["pfn"] != NO_PFN) & pages_in_use(zone))
    return {int(page): int(zone.vpage[page]["pfn"]) for page in resident}
