"""Recount from scratch what the zone's counters and lists claim. A trial that fails is an error."""

from __future__ import annotations

import numpy as np

from study.zone.engine.compile import kernel
from study.zone.engine.enums import Flag, Home, Kind
from study.zone.engine.layout import (
    HEAD_ACTIVE,
    HEAD_COLD,
    HEAD_HOT,
    HEAD_INACTIVE,
    NR_MIGRATETYPES,
    PROCESS_PAGES_MAX,
    frames,
)
from study.zone.settings import NR_ORDERS, Reserve
from study.zone.trial.zone import Zone


class InvariantBroken(AssertionError):
    """The simulated zone contradicts itself; the message says where."""


@kernel
def walk(z, head, home, order):
    """Length of a list, -1 if a link is wrong or a frame does not belong there."""
    frame = frames(z)
    length = 0
    pfn = frame[head].next
    while pfn != head:
        if frame[frame[pfn].next].prev != pfn or frame[pfn].home != home:
            return -1
        if order >= 0 and frame[pfn].order != order:
            return -1
        length += 1
        if length > z.frame_rows:
            return -1
        pfn = frame[pfn].next
    return length


def _total(z: np.void, heads: list[int], home: Home, order: int) -> int:
    """Length of several lists together, -1 if one of them is broken."""
    lengths = [walk(z, head, int(home), order) for head in heads]
    return -1 if -1 in lengths else sum(lengths)


def _require(claim: bool, text: str) -> None:
    if not claim:
        raise InvariantBroken(text)


def verify(zone: Zone) -> None:
    """Raise InvariantBroken unless every invariant holds.

    Pages are conserved and no two blocks overlap; lists and counters agree; no free block has a
    free buddy of its order; LRU lists and reverse map are consistent both ways.
    """
    z = zone.state
    _require(not z["event_overflow"], "the agenda of events overflowed")
    _require(z["zone_now"] == 0, "a zone was entered and not left")
    places = [(zone.own, 0)]
    if zone.settings.memory.dma_pages:
        places.append((z["others"][0], int(z["dma_first"])))
    for own, first in places:
        rows = slice(first, first + int(own["pages"]))
        _check_lists(zone, own)
        _check_cover(zone, own, rows)
        _check_buddies(zone, rows)
        _check_uses(zone, own, rows)
    _check_reverse_map(zone)


def _check_lists(zone: Zone, own: np.void) -> None:
    z = zone.state
    head, typed = int(own["head"]), int(own["head"] - own["typed_heads"])
    types = NR_MIGRATETYPES if z["grouping"] else 1
    hot_typed, cold_typed = ([typed, typed + 2], [typed + 1, typed + 3]) if types > 1 else ([], [])
    for order in range(NR_ORDERS):
        heads = [head + order - t * NR_ORDERS for t in range(types)]
        length = _total(z, heads, Home.BUDDY, order)
        _require(length == own["nr_free"][order], f"free list of order {order}: {length} blocks")
    for name, heads, home in (
        ("nr_hot", [head + HEAD_HOT, *hot_typed], Home.PERCPU),
        ("nr_cold", [head + HEAD_COLD, *cold_typed], Home.PERCPU),
        ("nr_active", [head + HEAD_ACTIVE], Home.ACTIVE),
        ("nr_inactive", [head + HEAD_INACTIVE], Home.INACTIVE),
    ):
        length = _total(z, heads, home, -1)
        _require(length == own[name], f"{name} is {own[name]}, its list holds {length}")


def _check_cover(zone: Zone, own: np.void, rows: slice) -> None:
    """Every frame belongs to exactly one block or is a page by itself."""
    frame = zone.frame[rows]
    pages = len(frame)
    home = frame["home"]
    _require(not (home == Home.ISOLATED).any(), "frames left isolated")
    blocks = np.isin(home, (Home.BUDDY, Home.KERNEL))
    singles = np.isin(home, (Home.PERCPU, Home.ACTIVE, Home.INACTIVE, Home.RESERVED))
    edges = np.zeros(pages + 1, np.int64)
    starts = np.flatnonzero(blocks)
    ends = starts + (1 << frame["order"][starts].astype(np.int64))
    _require(bool((ends <= pages).all()), "a block reaches past the end of the zone")
    aligned = starts & ((1 << frame["order"][starts].astype(np.int64)) - 1)
    _require(not aligned.any(), "a block is not aligned to its size")
    np.add.at(edges, starts, 1)
    np.add.at(edges, ends, -1)
    covered = edges[:pages].cumsum() + singles
    wrong = np.flatnonzero(covered != 1)
    _require(wrong.size == 0, f"{wrong.size} frames not covered exactly once, first {wrong[:1]}")
    free = (1 << frame["order"][home == Home.BUDDY].astype(np.int64)).sum()
    _require(free == own["free"], f"free is {own['free']}, counted {free}")


def _check_buddies(zone: Zone, rows: slice) -> None:
    frame = zone.frame
    heads = rows.start + np.flatnonzero(frame["home"][rows] == Home.BUDDY)
    order = frame["order"][heads].astype(np.int64)
    # Pageblocks that are, or were, reserved do not merge with others (__free_one_page).
    apart = zone.settings.memory.reserve != Reserve.OFF
    top = zone.settings.memory.pageblock_order if apart else NR_ORDERS - 1
    below_top = order < top
    heads, order = heads[below_top], order[below_top]
    buddy = heads ^ (1 << order)
    unmerged = (frame["home"][buddy] == Home.BUDDY) & (frame["order"][buddy] == order)
    _require(not unmerged.any(), "two free buddies were left unmerged")


def _check_reverse_map(zone: Zone) -> None:
    frame, z = zone.frame, zone.state
    holders = np.flatnonzero(np.isin(frame["home"], (Home.ACTIVE, Home.INACTIVE)))
    owners = frame["owner"][holders]
    _require(bool((zone.vpage["pfn"][owners] == holders).all()), "reverse map points astray")
    resident = int((zone.vpage["pfn"][pages_in_use(zone)] >= 0).sum())
    _require(resident == holders.size, f"{resident} pages resident, {holders.size} frames hold one")
    flags, kind = frame["flags"][holders], frame["kind"][holders]
    slabs = (frame["home"] == Home.KERNEL) & (frame["kind"] == Kind.SLAB)
    for name, count in (
        ("nr_mapped", (flags & Flag.MAPPED != 0).sum()),
        ("nr_dirty", ((flags & Flag.DIRTY != 0) & (kind == Kind.FILE)).sum()),
        ("nr_writeback", (flags & Flag.WRITEBACK != 0).sum()),
        ("nr_slab", slabs.sum()),
    ):
        _require(z[name] == count, f"{name} is {z[name]}, counted {count}")


def pages_in_use(zone: Zone) -> np.ndarray:
    """Which virtual pages have ever been anybody's: those of a process only if there was one."""
    in_use = np.ones(len(zone.vpage), bool)
    first = int(zone.state["process_vpages"])
    of_processes = np.repeat(zone.process["born"] > 0, PROCESS_PAGES_MAX)
    in_use[first : first + len(of_processes)] = of_processes
    return in_use


def _check_uses(zone: Zone, own: np.void, rows: slice) -> None:
    """What the pages of one zone hold."""
    frame = zone.frame[rows]
    on_lru = np.isin(frame["home"], (Home.ACTIVE, Home.INACTIVE))
    kernel_blocks = frame["home"] == Home.KERNEL
    for name, count in (
        ("nr_anon", (on_lru & (frame["kind"] == Kind.ANON)).sum()),
        ("nr_file", (on_lru & (frame["kind"] == Kind.FILE)).sum()),
        ("nr_kernel", (1 << frame["order"][kernel_blocks].astype(np.int64)).sum()),
    ):
        _require(own[name] == count, f"{name} is {own[name]}, counted {count}")
