"""Whatever is odd in a trace is counted by kind, and the rest is replayed all the same."""

from __future__ import annotations

import numpy as np
import pytest

from study.replay.replay import READ, TALLIED, replay

FAILED = 0xFFFFFFFF
ALLOC, FREE, REQUEST, DRAIN, EXTFRAG, ISOLATE, RETYPE, FREE_ONE = 1, 2, 4, 5, 6, 7, 8, 9
MOVABLE, RECLAIMABLE, HIGHATOMIC = 1, 2, 3
BLOCK = {(10, MOVABLE): [1024, 2048]}

ODD = {
    "failed_allocations": [(ALLOC, FAILED, 3, 0, 0)],
    "refused_isolations": [(ISOLATE, 1024, 10, 0, 0)],
    "unknown_events": [(200, 0, 0, 0, 0)],
    "rows_out_of_range": [(DRAIN, 3, 2, 1, 0)],
    "blocks_left_not_free": [(REQUEST, 7, 0, 1, 1)],
    "blocks_entered_twice": [(DRAIN, 1030, 0, 1, 0)],
    "blocks_isolated_in_part": [(ISOLATE, 1024, 9, 0, 512)],
    "blocks_captured_by_compaction": [(ALLOC, 1024, 4, 0, 0)],
    "frees_of_pages_allocated_before_start": [(FREE, 9, 0, -1, 0)],
    "frees_of_pages_allocated_untraced": [(FREE, 9, 0, -1, 0), (FREE, 9, 0, -1, 0)],
    "frees_in_parts": [(ALLOC, 8, 1, 0, 0), (FREE, 8, 0, -1, 0)],
    "allocations_of_pages_in_use": [(ALLOC, 8, 1, 0, 0), (ALLOC, 8, 0, 0, 0)],
    "fallbacks_different": [(EXTFRAG, 2048, 0, 0, 10 | 1 << 8), (REQUEST, 2048, 0, 0, 1)],
}


@pytest.mark.parametrize("kind", ODD)
def test_an_oddity_is_counted(write, kind):
    """One odd event of a kind counts once under its name."""
    result = replay(write(ODD[kind], BLOCK))

    assert result.irregularities[kind] == 1


def test_a_clean_trace_has_none(write):
    """Taking and giving back a page that was free is no irregularity."""
    rows = [
        (REQUEST, 1024, 0, MOVABLE, 1),
        (ALLOC, 1024, 0, MOVABLE, 0),
        (FREE, 1024, 0, -1, 0),
        (DRAIN, 1024, 0, MOVABLE, 0),
    ]
    blocks = {"DMA": [0] * 10 + [2]}
    shot = {"idx_buddyinfo": 4, "idx_end": 4, "buddyinfo": blocks}

    result = replay(write(rows, BLOCK, snapshots=[shot]))

    assert not any(result.irregularities.values())
    assert (result.snapshots, result.snapshots_exact) == (1, 1)
    assert (result.zone_requests, result.pfn_exact) == (1, 1)


@pytest.mark.parametrize(("mask", "same"), [(7, 0), (8, 1)])
def test_only_the_type_bits_of_a_pageblock_are_its_type(write, mask, same):
    """The probe fires for compaction's skip hint too; a block that is reserved is not served."""
    rows = [(RETYPE, 1024, 9, HIGHATOMIC, mask), (REQUEST, 1024, 0, MOVABLE, 1)]

    assert replay(write(rows, BLOCK)).pfn_exact == same


def test_a_captured_block_never_reaches_the_lists(write):
    """The block that compaction waits for goes to it as it forms, its free neighbour stays."""
    rows = [
        (DRAIN, 0, 3, MOVABLE, 0),
        (ALLOC, 0, 4, 0, 0),
        (REQUEST, 16, 4, MOVABLE, 0),
    ]
    counts = {"DMA": [0, 0, 0, 0, 2] + [0] * 6}
    shot = {"idx_buddyinfo": 1, "idx_end": 1, "buddyinfo": counts}

    result = replay(write(rows, {(3, MOVABLE): [8], (4, MOVABLE): [16, 64]}, snapshots=[shot]))

    assert result.irregularities["blocks_captured_by_compaction"] == 1
    assert result.irregularities["blocks_left_not_free"] == 0
    assert (result.snapshots_exact, result.pfn_exact) == (1, 1)


def test_a_miss_is_counted_and_mended(write):
    """When the kernel took another block, that one leaves, and the next choice counts anew."""
    rows = [(REQUEST, 2048, 0, MOVABLE, 1), (REQUEST, 2049, 0, MOVABLE, 1)]

    result = replay(write(rows, BLOCK))

    assert (result.zone_requests, result.pfn_exact) == (2, 1)
    assert (result.free_running, result.first_miss) == (False, 0)


def test_a_reserve_takes_its_free_pages_along(write):
    """A pageblock made HIGHATOMIC serves no other type until given back, and then comes last."""
    rows = [
        (RETYPE, 1024, 0, HIGHATOMIC, 0),
        (REQUEST, 512, 0, MOVABLE, 1),
        (REQUEST, 1024, 3, HIGHATOMIC, 0),
        (RETYPE, 1024, 0, MOVABLE, 0),
        (REQUEST, 520, 3, MOVABLE, 1),
        (REQUEST, 1032, 3, MOVABLE, 1),
    ]

    result = replay(write(rows, {(9, MOVABLE): [1024, 512]}))

    assert result.pfn_exact == result.zone_requests == 4


def test_reserved_pageblocks_do_not_merge_with_others(write):
    """Two halves of 4 MB stay apart while one is HIGHATOMIC, and only then."""
    free = {(9, MOVABLE): [1024]}
    counts = [{"DMA": [0] * 9 + [2, 0]}, {"DMA": [0] * 9 + [0, 1]}]
    shots = [{"idx_buddyinfo": 2, "buddyinfo": blocks} for blocks in counts]
    rows = [(RETYPE, 1536, 0, HIGHATOMIC, 0), (DRAIN, 1536, 9, HIGHATOMIC, 0)]
    other = [(RETYPE, 1536, 0, RECLAIMABLE, 0), (DRAIN, 1536, 9, RECLAIMABLE, 0)]

    assert replay(write(rows, free, snapshots=shots[:1])).snapshots_exact == 1
    assert replay(write(other, free, snapshots=shots[1:])).snapshots_exact == 1


def test_a_steal_says_whose_the_pageblock_is(write):
    """Without rows of pageblock types, a change of ownership decides where a free goes."""
    rows = [
        (EXTFRAG, 1024, 4, 0, 9 | MOVABLE << 8 | 1 << 16),
        (REQUEST, 1024, 4, 0, 1),
        (FREE, 1024, 4, -1, 0),
        (REQUEST, 1024, 4, 0, 1),
    ]

    result = replay(write(rows, {(9, MOVABLE): [1024]}))

    assert result.pfn_exact == result.zone_requests == 2
    rows[0] = (EXTFRAG, 1024, 4, 0, 9 | MOVABLE << 8)
    assert replay(write(rows, {(9, MOVABLE): [1024]})).pfn_exact == 1


def test_large_blocks_come_back_at_once(write):
    """Order 4 enters with its free, order 3 and huge pages only when the per-cpu lists drain."""
    rows = [(FREE, 16, 4, -1, 0), (FREE, 32, 3, -1, 0), (FREE, 512, 9, -1, 0)]
    shot = {"idx_buddyinfo": 3, "buddyinfo": {"DMA": [0, 0, 0, 0, 1] + [0] * 6}}

    result = replay(write(rows, {}, snapshots=[shot]))

    assert result.snapshots_exact == 1


def test_newer_kernels_free_large_blocks_through_free_one_page(write):
    """Where free_one_page is seen with large blocks, the free before it moves nothing."""
    rows = [(FREE, 16, 4, -1, 0), (FREE_ONE, 16, 4, 0, 0), (FREE_ONE, 40, 0, 0, 0)]
    shots = [
        {"idx_buddyinfo": 1, "buddyinfo": {"DMA": [0] * 11}},
        {"idx_buddyinfo": 3, "buddyinfo": {"DMA": [1, 0, 0, 0, 1] + [0] * 6}},
    ]

    result = replay(write(rows, {}, snapshots=shots, uname="Linux host 6.12.9-amd64 #1"))

    assert result.snapshots_exact == 2
    assert result.irregularities["blocks_entered_twice"] == 0


@pytest.mark.parametrize("uname", ["Linux host 6.12.9-amd64 #1", ""])
def test_newer_kernels_steal_without_a_request(write, uname):
    """Since 6.10 a stolen page leaves with the steal alone; what is left keeps its type."""
    rows = [
        (EXTFRAG, 1024, 0, 0, 3 | MOVABLE << 8),
        (EXTFRAG, 1025, 0, 0, 0 | MOVABLE << 8),
        (REQUEST, 1026, 1, MOVABLE, 1),
    ]
    shot = {"idx_buddyinfo": 3, "buddyinfo": {"DMA": [0, 0, 1] + [0] * 8}}

    result = replay(write(rows, {(3, MOVABLE): [1024]}, snapshots=[shot], uname=uname))

    assert result.snapshots_exact == 1
    assert result.irregularities["blocks_left_not_free"] == 0
    assert result.zone_requests == 3


def test_any_rows_at_all_are_survived(write):
    """Rows of random numbers are counted, and the free pages still add up."""
    random = np.random.default_rng(1)
    rows = [
        (
            int(random.choice([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 77])),
            int(random.integers(0, 5_000)),
            int(random.integers(0, 13)),
            int(random.integers(-2, 7)),
            int(random.integers(0, 1 << 17)),
        )
        for _ in range(20_000)
    ]

    result = replay(write(rows, BLOCK))

    assert result.rows == 20_000
    assert result.irregularities["rows_out_of_range"] > 1_000
    assert result.irregularities["blocks_entered_twice"] > 0


def test_every_irregularity_is_explained(root):
    """docs/replay.md says what each of them means."""
    told = (root / "docs" / "replay.md").read_text(encoding="utf-8")
    assert [kind for kind in (*READ, *TALLIED) if f"`{kind}`" not in told] == []
