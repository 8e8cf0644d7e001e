"""Boosted marks, MIGRATE_RESERVE and HIGHATOMIC: memory kept for later, and who gets it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.zone.engine.enums import Caller, Flag, Gfp, Home, Kind, Migratetype
from study.zone.engine.layout import NO_PFN
from study.zone.mm.linux_2_6 import allocate as alloc
from study.zone.mm.linux_2_6.boost import boost_marks, lower_marks
from study.zone.mm.linux_2_6.grouping import (
    has_block,
    pageblock_type,
    rmqueue,
    set_pageblock_type,
    would_mix,
)
from study.zone.mm.linux_2_6.kmalloc import new_object
from study.zone.mm.linux_2_6.percpu import take_typed_page
from study.zone.mm.linux_2_6.reserve import take_for_atomic, unreserve_pageblock
from study.zone.mm.linux_2_6.watermark import watermark_ok
from study.zone.settings import (
    AllocationPath,
    Compaction,
    Grouping,
    Kswapd,
    KswapdLoop,
    KswapdPolicy,
    Memory,
    Reserve,
    Watermarks,
)
from study.zone.trial.advance import advance
from study.zone.trial.verify import verify
from study.zone.trial.zone import Zone
from tests.zone.worn import drop, homes, zone_of

BLOCK = 5
UNMOVABLE, MOVABLE, HIGHATOMIC = 0, 1, int(Migratetype.HIGHATOMIC)
GROUPED = {"pageblock_order": BLOCK, "grouping": Grouping.ON}
BOOSTED = Watermarks(explicit_pages=(20, 40, 60), boost_factor=15_000)
MODERN = Kswapd(policy=KswapdPolicy.ORDER_AWARE, loop=KswapdLoop.V4_8)


def boosted(quiet, pages=256, **more):
    more = {"watermarks": BOOSTED, "memory": GROUPED, "kswapd": MODERN} | more
    return zone_of(quiet, pages, allocation=AllocationPath.V4_4, **more)


# Who breaks into a pageblock of another type.


@pytest.mark.parametrize("left", [1, 3])
@pytest.mark.parametrize("nofragment", [False, True])
def test_a_refill_mixes_only_for_who_has_nothing(quiet, nofragment, left):
    """With a page or three of its own type left a list is content with those, and steals nothing.

    When it has none it steals all the same, as the kernel does when no other zone has a page.
    """
    memory = GROUPED | {"nofragment": nofragment, "percpu_lists": True}
    zone = zone_of(quiet, 256, memory=memory)
    z = zone.state
    z["zone"]["pcp_batch"] = 8
    set_pageblock_type(z, 0, 0, UNMOVABLE)
    drop(zone, [0, 2, 4][:left], UNMOVABLE)
    drop(zone, range(64, 96, 2), MOVABLE)
    stolen = []
    for _ in range(left + 1):
        pfn = take_typed_page(z, False, UNMOVABLE)
        new_object(z, pfn, 0, Kind.STACK)
        stolen.append(int(zone.count["stolen"]) > 0)
    assert stolen == ([False] * left + [True] if nofragment else [True] * (left + 1))
    verify(zone)


@pytest.mark.parametrize(("free", "mixes"), [(0, True), (16, True), (32, False)])
def test_a_whole_pageblock_may_be_taken_from_another_type(quiet, free, mixes):
    """A free block as large as a pageblock changes its type; a smaller one would be mixed."""
    zone = zone_of(quiet, 256, memory=dict(GROUPED))
    drop(zone, range(64, 64 + free), MOVABLE)
    assert would_mix(zone.state, UNMOVABLE) == mixes
    assert would_mix(zone.state, MOVABLE) == (free == 0)


# The boost.


def test_a_steal_raises_all_three_marks_by_a_pageblock_up_to_a_limit(quiet):
    """Each boost adds 32 pages; the most is 150 % of high, 90 pages."""
    zone = boosted(quiet)
    marks = []
    for _ in range(4):
        boost_marks(zone.state)
        marks.append(tuple(int(zone.own[name]) for name in ("min", "low", "high", "boost")))
    assert marks == [
        (52, 72, 92, 32),
        (84, 104, 124, 64),
        (110, 130, 150, 90),
        (110, 130, 150, 90),
    ]
    lower_marks(zone.state, 64)
    assert (zone.own["min"], zone.own["boost"]) == (46, 26)
    lower_marks(zone.state, 64)
    assert (zone.own["min"], zone.own["high"], zone.own["boost"]) == (20, 60, 0)


@pytest.mark.parametrize(("pages", "factor"), [(96, 15_000), (256, 0)])
def test_small_zones_and_a_factor_of_0_have_no_boost(quiet, pages, factor):
    """Four pageblocks must fit into the zone."""
    marks = Watermarks(explicit_pages=(2, 4, 6), boost_factor=factor)
    zone = boosted(quiet, pages, watermarks=marks)
    boost_marks(zone.state)
    assert zone.own["boost"] == zone.own["boost_asked"] == 0


def test_only_a_steal_below_the_pageblocks_order_boosts(quiet):
    """Taking a whole pageblock mixes nothing; taking part of one does, and is counted."""
    zone = boosted(quiet, free=[*range(64, 96), *range(128, 144)])
    assert rmqueue(zone.state, 0, UNMOVABLE) == 64
    assert (zone.own["boost"], zone.count["stolen"]) == (0, 0)
    assert pageblock_type(zone.state, 64) == UNMOVABLE
    zone = boosted(quiet, free=range(128, 144))
    assert rmqueue(zone.state, 0, UNMOVABLE) == 128
    assert (zone.own["boost"], zone.count["stolen"]) == (32, 1)


def test_kswapd_works_for_the_boost_and_then_takes_it_back(quiet):
    """Balanced otherwise, it frees clean file pages as many as the boost, and wakes kcompactd."""
    compaction = Compaction(daemon=True)
    # Large enough for a scan at the lowest priority to look at a batch.
    zone = boosted(quiet, 1 << 16, free=range(128, 400), compaction=compaction)
    free = zone.free
    boost_marks(zone.state)
    zone.own["boost_asked"] = 1
    pfn = alloc.allocate(zone.state, 0, int(Gfp.KERNEL | Gfp.MOVABLE), int(Caller.USER))
    zone.frame[pfn]["home"] = Home.NONE
    assert zone.state["kswapd_awake"] == 1
    advance(zone.state, 10**9)
    assert zone.state["kswapd_awake"] == 0
    assert zone.own["boost"] == 0
    assert zone.own["high"] == 60
    freed = zone.free - (free - 1)
    assert 32 <= freed <= 64
    assert zone.state["no_io"] == 0


def test_what_is_freed_for_the_boost_costs_no_writing(quiet):
    """Dirty pages are passed over while kswapd works for the boost alone."""
    # Large enough for a scan at the lowest priority to look at some.
    zone = boosted(quiet, 1 << 16, free=range(128, 400))
    used = np.flatnonzero(homes(zone) == Home.INACTIVE)
    zone.frame["flags"][used] = Flag.DIRTY
    zone.state["nr_dirty"] += len(used)
    boost_marks(zone.state)
    from study.zone.mm.linux_2_6.kswapd import wake_kswapd

    wake_kswapd(zone.state, 0)
    advance(zone.state, 10**9)
    assert zone.count["scanned"].sum() > 0
    assert zone.count["written"] == 0
    assert zone.count["reclaimed"].sum() == 0
    assert zone.own["boost"] == 0, "a boost that finds nothing is given up"


def test_out_of_balance_the_boost_waits(quiet):
    """With fewer free pages than high plus the boost, kswapd reclaims as ever, and may write."""
    zone = boosted(quiet, 1024, free=range(128, 190))
    for pfn in range(1024):
        if zone.frame[pfn]["home"] == Home.INACTIVE:
            zone.frame[pfn]["flags"] = Flag.DIRTY
            zone.state["nr_dirty"] += 1
    boost_marks(zone.state)
    from study.zone.mm.linux_2_6.kswapd import wake_kswapd

    wake_kswapd(zone.state, 0)
    advance(zone.state, 10**8)
    assert zone.count["written"] > 0


# The reserves.


def grouped(quiet, pages=1024, reserve=Reserve.HIGHATOMIC, **more):
    return zone_of(
        quiet,
        pages,
        memory=GROUPED | {"reserve": reserve},
        allocation=AllocationPath.V4_4,
        **more,
    )


def test_2_6_24_reserves_as_many_pageblocks_as_min_fills_and_at_most_two(quiet):
    """Min of 20 pages is one pageblock of 32, min of 33 two, min of 200 still two."""
    for least, blocks in ((20, 1), (33, 2), (200, 2)):
        memory = Memory(
            1024,
            1024,
            40,
            percpu_lists=False,
            reserve=Reserve.MIGRATE_RESERVE,
            grouping=Grouping.ON,
            pageblock_order=BLOCK,
        )
        marks = Watermarks(explicit_pages=(least, least + 1, least + 2))
        zone = Zone(quiet(1024, memory=memory, watermarks=marks))
        types = zone.pageblock["migratetype"].tolist()
        # The first two pageblocks begin with reserved memory (40 pages): they are passed over.
        assert [i for i, t in enumerate(types) if t == HIGHATOMIC] == [2, 3][:blocks]
        verify(zone)


def test_the_boot_reserve_is_everybodys_last_resort(quiet):
    """It serves when all other lists are empty, and not before."""
    memory = Memory(
        4096,
        4096,
        0,
        percpu_lists=False,
        reserve=Reserve.MIGRATE_RESERVE,
        grouping=Grouping.ON,
        pageblock_order=10,
    )
    zone = Zone(quiet(4096, memory=memory))
    assert [rmqueue(zone.state, 10, MOVABLE) >> 10 for _ in range(4)] == [3, 2, 1, 0]
    assert zone.pageblock["migratetype"].tolist() == [HIGHATOMIC, MOVABLE, MOVABLE, MOVABLE]
    assert rmqueue(zone.state, 0, MOVABLE) == NO_PFN


def test_an_atomic_block_reserves_its_pageblock_for_the_next(quiet):
    """The rest of the pageblock is then for atomic requests only, which it serves first."""
    zone = grouped(quiet, free=range(64, 96))
    first = take_for_atomic(zone.state, 3, UNMOVABLE)
    assert first == 64
    assert pageblock_type(zone.state, 64) == HIGHATOMIC
    assert zone.own["nr_reserved"] == 32
    assert rmqueue(zone.state, 0, MOVABLE) == NO_PFN
    assert take_for_atomic(zone.state, 3, UNMOVABLE) == 72
    assert zone.own["nr_reserved"] == 32


def test_no_more_than_a_hundredth_of_the_zone_is_reserved(quiet):
    """1 % of 1,024 pages and one pageblock: no new one once 42 pages are reserved."""
    zone = grouped(quiet, free=range(64, 256))
    for _ in range(24):
        assert take_for_atomic(zone.state, 3, UNMOVABLE) != NO_PFN
    assert zone.own["nr_reserved"] == 64
    assert (zone.pageblock["migratetype"] == HIGHATOMIC).sum() == 2


def test_the_last_reserved_pageblock_is_kept(quiet):
    """Reclaim in vain gives reserved pageblocks back one by one, but not the last."""
    zone = grouped(quiet, free=range(64, 256))
    for _ in range(6):
        take_for_atomic(zone.state, 3, UNMOVABLE)
    assert zone.own["nr_reserved"] == 64
    unreserve_pageblock(zone.state, MOVABLE)
    assert zone.own["nr_reserved"] == 32
    assert (zone.pageblock["migratetype"] == HIGHATOMIC).sum() == 1

    zone = grouped(quiet, free=range(64, 256))
    take_for_atomic(zone.state, 3, UNMOVABLE)
    unreserve_pageblock(zone.state, MOVABLE)
    assert zone.own["nr_reserved"] == 32
    assert zone.nr_free[3] == 1
    assert rmqueue(zone.state, 5, MOVABLE) != NO_PFN
    assert (zone.pageblock["migratetype"] == HIGHATOMIC).sum() == 1


def test_reserved_pages_count_only_for_who_may_use_them(quiet):
    """By the test of 4.4: not as free pages and not as blocks, unless the request is harder."""
    zone = grouped(quiet, free=range(64, 96))
    set_pageblock_type(zone.state, 64, 0, HIGHATOMIC)
    from study.zone.mm.linux_2_6.grouping import move_free_pages

    move_free_pages(zone.state, 64, HIGHATOMIC)
    zone.own["nr_reserved"] = 32
    for order in (0, 3):
        assert not watermark_ok(zone.state, order, 0, False, False)
        assert watermark_ok(zone.state, order, 0, True, True)


@given(
    free=st.sets(st.integers(0, 127), max_size=100),
    order=st.integers(0, 7),
    mark=st.integers(0, 60),
)
def test_the_test_of_4_4_wants_pages_and_one_block(quiet_settings, free, order, mark):
    """Free pages less the block must exceed the mark, and one block must be large enough."""
    zone = zone_of(quiet_settings, 128, free=free, memory=GROUPED, allocation=AllocationPath.V4_4)
    blocks = [
        start
        for start in range(0, 128, 1 << order)
        if {*range(start, start + (1 << order))} <= free
    ]
    expected = len(free) - (1 << order) + 1 > mark and bool(blocks)
    assert watermark_ok(zone.state, order, mark, False, False) == expected
    assert has_block(zone.state, order, MOVABLE) == bool(blocks)


def test_reclaim_in_vain_drains_the_percpu_lists(quiet):
    """2.6.24: two halves of a block that lie on the hot list are found by who waits for it."""
    from study.zone.mm.linux_2_6.percpu import free_page

    found = []
    for path in (AllocationPath.V2_6_11, AllocationPath.V2_6_24):
        memory = {"pageblock_order": BLOCK, "percpu_lists": True}
        zone = zone_of(
            quiet,
            256,
            pinned=[p for p in range(256) if p % 2 or p in {40, 41}],
            memory=memory,
            allocation=path,
            watermarks=Watermarks(explicit_pages=(0, 1, 2)),
        )
        # Pages 41 and 40 are freed by the kernel, through the hot list.
        for pfn in (40, 41):
            zone.frame[pfn]["home"] = Home.NONE
            zone.own["nr_kernel"] -= 1
            free_page(zone.state, pfn, False)
        assert zone.nr_free[1:].sum() == 0
        found.append(
            int(alloc.allocate_or_wait(zone.state, 1, int(Gfp.KERNEL), int(Caller.STACK), 0, 0))
        )
        assert (homes(zone)[40] == Home.PERCPU) == (path == AllocationPath.V2_6_11)
    assert found == [NO_PFN, 40]
