"""Traces written by the obvious allocator, as kernels before and after 6.10 would write them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from study.replay.replay import replay
from tests.zone.reference_grouping import (
    BLOCK_ORDER,
    MOVABLE,
    GroupedBuddy,
)

FREE, REQUEST, DRAIN, EXTFRAG, RETYPE, FREE_ONE = 2, 4, 5, 6, 8, 9
OLD, NEW = "Linux host 6.1.0-56-amd64 #1", "Linux host 6.12.43-amd64 #1"


class Recorder(GroupedBuddy):
    """An allocator that writes down what it does, row by row."""

    def __init__(self, *, newer: bool, probed: bool) -> None:
        super().__init__()
        self.newer = newer
        self.probed = probed
        self.rows: list[tuple[int, int, int, int, int]] = []
        self.taken: list[tuple[int, int]] = []

    def request(self, order: int, kind: int) -> None:
        """Serve a request and note how."""
        pfn = self.smallest(order, kind)
        if pfn is None and (key := self.victim(order, kind)):
            pfn = self.rob(key, order, kind) if self.newer else self.announce(key, order, kind)
        elif pfn is not None:
            self.rows.append((REQUEST, pfn, order, kind, 1))
        if pfn is not None:
            self.taken.append((pfn, order))

    def announce(self, key: tuple[int, int], order: int, kind: int) -> int:
        """Steal as up to 6.9: retype, tell of the steal, then serve."""
        victim, before = self.lists[key][0], list(self.types)
        self.steal(key, kind)
        self.note_types(before)
        self.rows.append((EXTFRAG, victim, order, kind, self.told(victim, key, kind)))
        pfn = self.smallest(order, kind)
        assert pfn is not None
        self.rows.append((REQUEST, pfn, order, kind, 1))
        return pfn

    def rob(self, key: tuple[int, int], order: int, kind: int) -> int:
        """Steal as since 6.10: claim a pageblock and serve from it, or cut this block only."""
        found, other = key
        victim, before = self.lists[key][0], list(self.types)
        saved = {place: list(pfns) for place, pfns in self.lists.items()}
        self.steal(key, kind)
        if found < BLOCK_ORDER and before != self.types:
            self.note_types(before)
            pfn = self.smallest(order, kind)
            assert pfn is not None
            self.rows.append((REQUEST, pfn, order, kind, 1))
        else:
            self.note_types(before)
            self.lists = saved
            self.lists[key].pop(0)
            rest = kind if self.types != before else other
            for part in range(order, found):
                self.lists[part, rest].insert(0, victim + (1 << part))
            pfn = victim
        self.rows.append((EXTFRAG, pfn, order, kind, self.told(pfn, key, kind)))
        return pfn

    def told(self, pfn: int, key: tuple[int, int], kind: int) -> int:
        """What a steal says of itself: order and type of the victim, whose pageblock it is now."""
        owned = self.types[pfn >> BLOCK_ORDER] == kind
        return key[0] | key[1] << 8 | owned << 16

    def note_types(self, before: list[int]) -> None:
        """Write down which pageblocks have changed, if a probe is there to see it."""
        if not self.probed:
            return
        for block, (old, new) in enumerate(zip(before, self.types, strict=True)):
            if old != new:
                self.rows.append((RETYPE, block << BLOCK_ORDER, BLOCK_ORDER, new, 7))

    def release(self, place: int) -> None:
        """Give back one of the blocks taken."""
        pfn, order = self.taken.pop(place % len(self.taken))
        kind = self.types[pfn >> BLOCK_ORDER]
        self.rows.append((FREE, pfn, order, -1, 0))
        if order <= 3 or order == 9:
            self.rows.append((DRAIN, pfn, order, kind, 0))
        elif self.newer and self.probed:
            # What %r8 holds there are flags.
            self.rows.append((FREE_ONE, pfn, order, 0, 0))
        self.give(pfn, order, kind)

    def snapshot(self) -> dict[str, Any]:
        """The counts as they are now."""
        counts = [sum(len(self.lists[order, kind]) for kind in range(5)) for order in range(11)]
        return {"idx_buddyinfo": len(self.rows), "buddyinfo": {"DMA": counts}}


# Without its name a kernel is known by whether a request follows each steal.
@pytest.mark.parametrize(
    ("newer", "uname"),
    [(False, OLD), (True, NEW), (False, ""), (True, "")],
    ids=["old", "new", "old unnamed", "new unnamed"],
)
@pytest.mark.parametrize("probed", [True, False], ids=["probes", "kmem only"])
@pytest.mark.parametrize("seed", range(4))
def test_a_recorded_allocator_is_followed_all_the_way(write, newer, uname, seed, probed):
    """Requests, steals, claims and frees of 3,000 steps are the recorder's, counts and choices."""
    random = np.random.default_rng(seed)
    recorder = Recorder(newer=newer, probed=probed)
    recorder.lists[10, MOVABLE] = [2048, 0, 1024]
    recorder.lists[9, MOVABLE] = [3072]
    shots = []
    start = {key: list(pfns) for key, pfns in recorder.lists.items() if pfns}
    wanted = random.choice(3, 3_000, p=[0.3, 0.5, 0.2])
    for step, kind in enumerate(wanted.tolist()):
        fill = 0.75 if step // 500 % 2 == 0 else 0.35
        if random.random() < fill or not recorder.taken:
            order = int(random.choice([0, 0, 0, 0, 1, 2, 3, 4, 5, 9]))
            recorder.request(order, kind)
        else:
            recorder.release(int(random.integers(1 << 30)))
        if step % 100 == 0:
            shots.append(recorder.snapshot())
    assert sum(row[0] == EXTFRAG for row in recorder.rows) > 20
    assert len(set(recorder.types)) > 1

    result = replay(write(recorder.rows, start, snapshots=shots, uname=uname))

    assert result.snapshots_exact == result.snapshots == 30
    assert result.pfn_exact == result.zone_requests
    assert result.free_running is True
    assert result.irregularities["fallbacks_different"] == 0
    assert result.irregularities["rows_out_of_range"] == 0
