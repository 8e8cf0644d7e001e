"""A zone brought up in whole blocks is the zone brought up page by page, and lives on the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from study.zone.engine.enums import Home
from study.zone.mm.linux_2_6.bootmem import free_all
from study.zone.settings import AllocationPath, Grouping, Memory, Placement, Reserve, Settings, User
from study.zone.trial.advance import advance
from study.zone.trial.verify import verify
from study.zone.trial.zone import Zone
from tests.zone.conftest import SECOND, small
from tests.zone.reference_boot import booted


def lists(zone: Zone) -> list[list[int]]:
    """The frames on every list, from first to last."""
    after = zone.frame["next"]
    found = []
    for head in range(int(zone.own["head"] - zone.own["typed_heads"]), len(zone.frame)):
        found.append([])
        pfn = int(after[head])
        while pfn != head:
            found[-1].append(pfn)
            pfn = int(after[pfn])
    return found


def check_same(one: Zone, other: Zone) -> None:
    """Everything that anybody reads is equal; what only lies about in a free frame may differ."""
    for name in one.record.dtype.names:
        if not name.endswith("_at"):
            assert np.array_equal(one.state[name], other.state[name]), name
    assert lists(one) == lists(other)
    assert (one.vpage == other.vpage).all()
    assert (one.extent == other.extent).all()
    assert (one.slot == other.slot).all()
    assert (one.pageblock == other.pageblock).all()
    home = one.frame["home"]
    assert (home == other.frame["home"]).all()
    for name, homes in {
        "order": (Home.BUDDY, Home.KERNEL, Home.ACTIVE, Home.INACTIVE),
        "kind": (Home.KERNEL, Home.ACTIVE, Home.INACTIVE),
        "flags": (Home.KERNEL, Home.ACTIVE, Home.INACTIVE),
        "owner": (Home.ACTIVE, Home.INACTIVE),
    }.items():
        told = np.isin(home, homes)
        assert (one.frame[name][told] == other.frame[name][told]).all(), name


def sized(pages: int, reserved: int, extent_pages: int = 16, **memory: object) -> Settings:
    settings = small(pages)
    return replace(
        settings,
        memory=replace(
            Memory(pages=pages, lowmem_pages=pages, reserved_pages=reserved),
            **memory,  # type: ignore[arg-type]
        ),
        user=replace(settings.user, extent_pages=extent_pages),
    )


CASES = {
    "whole blocks": sized(8_192, 0),
    "ragged ends": sized(7_777, 130),
    "less than a block": sized(700, 9),
    "no more than the hot list holds": sized(8, 3),
    "batches that do not divide a block": sized(13_500, 100),
    "extents that do not": sized(9_000, 64, extent_pages=7),
    "one page at a time": sized(5_000, 64, extent_pages=1),
    "no per-cpu lists": sized(9_000, 64, percpu_lists=False),
    "best fit": sized(9_000, 64, placement=Placement.BEST_FIT),
    "grouping": sized(9_000, 64, grouping=Grouping.ON, pageblock_order=9),
    "grouping, no per-cpu lists": sized(
        9_000, 64, grouping=Grouping.ON, pageblock_order=9, percpu_lists=False
    ),
    "grouping and a reserve": sized(
        9_000, 64, grouping=Grouping.ON, pageblock_order=9,
        reserve=Reserve.MIGRATE_RESERVE,
    ),
    "words of 2.6.9": replace(sized(7_777, 130), allocation=AllocationPath.V2_6_9),
    "words, no per-cpu lists": replace(
        sized(7_777, 96, percpu_lists=False), allocation=AllocationPath.V2_6_9
    ),
    "a working set that fits": replace(
        sized(9_000, 64), user=User(working_set_pages=3_000, touches_per_s=5_000.0)
    ),
    "marks of nothing": replace(
        sized(9_000, 64), watermarks=replace(Settings().watermarks, explicit_pages=(0, 0, 0))
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_block_by_block_is_page_by_page(case: str) -> None:
    """Every list in its order, every counter, every page: whatever the zone's size and kernel."""
    whole, plain = Zone(CASES[case], seed=3), booted(CASES[case], seed=3)
    check_same(whole, plain)
    verify(whole)


def test_2_6_9_boots_in_words() -> None:
    """Whole words of 32 pages go past the per-cpu lists: the hot list holds what fills no word."""
    words = Zone(replace(sized(65_536, 3_072), allocation=AllocationPath.V2_6_9), empty=True)
    ragged = Zone(replace(sized(7_777, 130), allocation=AllocationPath.V2_6_9), empty=True)
    singly = Zone(sized(65_536, 3_072), empty=True)
    for zone in (words, ragged, singly):
        free_all(zone.state, zone.settings.memory.reserved_pages)

    assert (words.free, words.own["nr_hot"], words.nr_free[10]) == (62_464, 0, 61)
    assert (singly.free, singly.own["nr_hot"], singly.nr_free[10]) == (62_368, 96, 60)
    # 30 pages up to the first whole word, one after the last: a batch of 1, six at most.
    assert ragged.own["nr_hot"] == 6
    assert ragged.free == 7_777 - 130 - 6


@pytest.mark.parametrize("case", ["ragged ends", "grouping", "best fit"])
def test_it_lives_on_the_same(case: str) -> None:
    """What differs in frames that are free, nobody ever reads."""
    whole, plain = Zone(CASES[case], seed=3), booted(CASES[case], seed=3)
    for zone in (whole, plain):
        advance(zone.state, 3 * SECOND)
    assert whole.count["reclaimed"].sum() > 0
    check_same(whole, plain)
