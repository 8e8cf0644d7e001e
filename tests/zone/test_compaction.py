"""Compaction: the two scanners, when they begin and end, deferral, kcompactd, proactive runs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.zone.engine.enums import Caller, Flag, Gfp, Home, Kind, Migratetype
from study.zone.engine.layout import HEAD_INACTIVE
from study.zone.mm.linux_2_6.compaction import (
    COMPLETE,
    SKIPPED,
    SUCCESS,
    WHOLE_ZONE,
    compact_directly,
    compact_zone,
    compaction_suitable,
    deferred,
    expect_success,
    fragmentation_index,
    fragmentation_score,
    update_deferral,
)
from study.zone.mm.linux_2_6.grouping import set_pageblock_type
from study.zone.mm.linux_2_6.kcompactd import (
    DEFER_POLLS,
    POLL_NS,
    proactive_tick,
    run_kcompactd,
    wake_kcompactd,
)
from study.zone.mm.linux_2_6.kmalloc import new_object
from study.zone.mm.linux_2_6.kswapd import wake_kswapd
from study.zone.mm.linux_2_6.lru import lru_add_inactive, lru_del
from study.zone.settings import (
    AllocationPath,
    Compaction,
    CompactionRules,
    Grouping,
    Kswapd,
    KswapdLoop,
    KswapdPolicy,
    Watermarks,
)
from study.zone.trial.advance import advance
from study.zone.trial.indices import extfrag_index
from study.zone.trial.verify import verify
from tests.zone.worn import MARKS, contents, drop, head_of, homes, listed, zone_of

PAGES, BLOCK = 256, 5
LATER = CompactionRules.V3_19
V2_6_24, V4_4 = AllocationPath.V2_6_24, AllocationPath.V4_4
MOVABLE = int(Migratetype.MOVABLE)
RULES = st.sampled_from(list(CompactionRules))


def zone_with(quiet, rules=CompactionRules.V2_6_35, pages=PAGES, **more):
    more.setdefault("memory", {"pageblock_order": BLOCK})
    compaction = Compaction(direct_order=1, daemon=True, rules=rules)
    return zone_of(quiet, pages, compaction=compaction, **more)


@given(
    free=st.sets(st.integers(0, PAGES - 1), min_size=40, max_size=120),
    pinned=st.sets(st.integers(0, PAGES - 1), max_size=30),
    writing=st.sets(st.integers(0, PAGES - 1), max_size=10),
    order=st.integers(1, BLOCK),
    rules=RULES,
)
def test_whatever_it_does_no_page_is_lost_and_pages_only_move_up(
    quiet_settings, free, pinned, writing, order, rules
):
    """Every page stays resident, pinned ones stay put, others go to higher pfns only."""
    zone = zone_with(quiet_settings, rules, pinned=pinned - free, free=free)
    for pfn in writing - free - pinned:
        zone.frame[pfn]["flags"] = Flag.WRITEBACK
        zone.state["nr_writeback"] += 1
    before, total = contents(zone), zone.free
    had = any(zone.nr_free[order:])
    result = compact_zone(zone.state, order, 0, 0)
    after = contents(zone)

    assert after.keys() == before.keys()
    assert all(after[page] >= before[page] for page in before)
    assert all(zone.frame[pfn]["home"] == Home.KERNEL for pfn in pinned - free)
    for page, pfn in before.items():
        if pfn in writing:
            assert after[page] == pfn
    moved = sum(after[page] != before[page] for page in before)
    assert zone.count["compact_migrated"] == moved
    assert zone.free == total
    if result == SUCCESS:
        assert zone.nr_free[order:].any()
    if had and rules == LATER:
        assert (result, moved) == (SUCCESS, 0)
    assert not (homes(zone) == Home.ISOLATED).any()
    verify(zone)


def test_the_lowest_block_is_emptied_into_the_highest_frames(quiet):
    """With every fourth frame free a run moves the first block's pages to the top of the zone."""
    zone = zone_with(quiet, LATER, free=range(3, PAGES, 4))
    assert compact_zone(zone.state, BLOCK, 0, 0) == SUCCESS
    first = homes(zone)[: 1 << BLOCK]
    assert first[0] == Home.BUDDY
    assert zone.frame[0]["order"] == BLOCK
    assert not (first[1:] == Home.INACTIVE).any()
    # Four pageblocks give 32 places; what was found last is used first, so the top keeps eight.
    assert zone.count["compact_migrated"] == 24
    assert (homes(zone)[-128:-32] == Home.INACTIVE).all()
    assert (homes(zone)[-32:] == Home.BUDDY).sum() == 8
    verify(zone)


def test_a_pinned_page_costs_the_work_but_not_the_run(quiet):
    """The first block holds a pinned page: its pages are moved in vain, the second becomes free."""
    zone = zone_with(quiet, LATER, free=range(3, PAGES, 4), pinned=[8])
    assert compact_zone(zone.state, BLOCK, 0, 0) == SUCCESS
    assert zone.frame[1 << BLOCK]["home"] == Home.BUDDY
    assert zone.frame[1 << BLOCK]["order"] == BLOCK
    assert zone.count["compact_migrated"] == 23 + 24


def test_the_scanners_meet_when_no_block_can_be_made(quiet):
    """A pinned page in each block of the order: the run was in vain, the next is put off."""
    zone = zone_with(quiet, free=range(3, PAGES, 4), pinned=range(0, PAGES, 8))
    assert compact_directly(zone.state, 3, 0, False) == COMPLETE
    update_deferral(zone.state, 3, False)
    assert compact_directly(zone.state, 3, 0, False) == SKIPPED
    assert zone.count["compact_deferred"] == 1
    assert zone.nr_free[3:].sum() == 0
    verify(zone)


@pytest.mark.parametrize(("rules", "resumes"), [(CompactionRules.V2_6_35, False), (LATER, True)])
def test_only_the_later_rules_resume(quiet, rules, resumes):
    """A run that begins where the last one stopped leaves alone what lies below."""
    zone = zone_with(quiet, rules, pages=1024, free=range(1, 1024, 2))
    zone.own["min"] = zone.own["low"] = 0
    zone.own["migrate_cursor"], zone.own["free_cursor"] = 512, 1024
    assert compact_zone(zone.state, 7, 0, 0) == SUCCESS
    below = homes(zone)[:512]
    assert ((below == Home.INACTIVE).sum() == 256) == resumes


def test_pages_freed_on_percpu_lists_are_drained_as_a_block_is_left(quiet):
    """By the later rules a run sees its block at once; by the older it goes on moving pages."""
    moved = []
    for rules in (LATER, CompactionRules.V2_6_35):
        memory = {"pageblock_order": BLOCK, "percpu_lists": True}
        # A zone so small has batches of one page; the hot list keeps six of those freed.
        zone = zone_with(quiet, rules, free=range(3, PAGES, 4), memory=memory)
        compact_zone(zone.state, BLOCK, 0, 0)
        moved.append(int(zone.count["compact_migrated"]))
        verify(zone)
    assert moved[0] == 24 < moved[1]


@pytest.mark.parametrize(
    ("rules", "order", "free", "expected"),
    [
        # low is 8, min 4; room is twice the block. Singles only: the index is high.
        (CompactionRules.V2_6_35, 3, 24, False),
        (CompactionRules.V2_6_35, 3, 25, True),
        (LATER, 3, 20, False),
        (LATER, 3, 21, True),
        (LATER, 4, 40, False),
        (LATER, 4, 41, True),
    ],
)
def test_it_begins_only_with_room_to_move(quiet, rules, order, free, expected):
    """Twice the block above low, or above min for orders up to 3 by the later rules."""
    zone = zone_with(quiet, rules, free=range(1, 2 * free, 2))
    assert compaction_suitable(zone.state, order) == expected


def test_lack_of_memory_is_left_to_reclaim(quiet):
    """An index of at most the threshold says that there is too little memory, however it lies."""
    # Four free blocks of 8 pages for a request of 32: 1000 - (1000 + 32 * 1000 // 32) // 4 = 500.
    free = [p for start in (0, 16, 32, 48) for p in range(start, start + 8)]
    marks = Watermarks(explicit_pages=(0, 1, 2))
    zone = zone_with(quiet, free=free, watermarks=marks)
    assert fragmentation_index(zone.state, 5) == 500
    zone.own["free"] = 100  # room enough, as if elsewhere
    assert not compaction_suitable(zone.state, 5)
    zone.state["compact_threshold"] = 499
    assert compaction_suitable(zone.state, 5)


@given(counts=st.lists(st.integers(0, 300), min_size=11, max_size=11), order=st.integers(0, 10))
def test_the_index_is_that_of_a_snapshot(quiet_settings, counts, order):
    """The compiled fragmentation index equals the one that reports use, on any free lists."""
    zone = zone_with(quiet_settings, pages=64)
    zone.own["nr_free"] = counts
    assert fragmentation_index(zone.state, order) == extfrag_index(counts, order)


def test_runs_in_vain_put_off_ever_more_and_at_most_63():
    """After n failures in a row 2**n - 1 runs are skipped, at most 63; success forgets them."""
    from study.zone.settings import Memory, Settings
    from study.zone.trial.zone import Zone

    zone = Zone(Settings(memory=Memory(64, 64, 0)), empty=True)
    z = zone.state
    skipped = []
    for _ in range(8):
        update_deferral(z, 4, False)
        n = 0
        while deferred(z, 4):
            n += 1
        skipped.append(n)
    assert skipped == [1, 3, 7, 15, 31, 63, 63, 63]
    assert not deferred(z, 3), "a smaller order has not failed"
    update_deferral(z, 4, True)
    assert not deferred(z, 4)
    update_deferral(z, 4, False)
    assert [deferred(z, 4), deferred(z, 4)] == [True, False], "one run is skipped, as at first"
    assert z["count"]["compact_failures"] == 9
    assert z["count"]["compact_successes"] == 1


@pytest.mark.parametrize(("made", "first_failing"), [(3, 7), (6, 7), (7, 8)])
def test_a_block_made_speaks_for_its_order_and_below(quiet, made, first_failing):
    """Orders up to 6 are tried; a smaller block does not make 4 to 6 doubtful."""
    z = zone_with(quiet).state
    z["zone"]["compact_order_failed"] = 7
    expect_success(z, made)
    assert z["zone"]["compact_order_failed"] == first_failing


def test_the_daemons_success_starts_no_count_anew(quiet):
    """It lets the order be tried again; what failed requests have counted up stays (4.19)."""
    zone = zone_with(quiet, LATER, free=range(3, PAGES, 4))
    z = zone.state
    for _ in range(2):
        update_deferral(z, 4, False)
    z["zone"]["compact_considered"] = 3
    z["kcompactd_order"] = 4
    run_kcompactd(z)
    assert z["zone"]["nr_free"][4:].sum() >= 1
    assert z["count"]["compact_successes"] == 1
    assert (z["zone"]["compact_shift"], z["zone"]["compact_order_failed"]) == (2, 5)
    update_deferral(z, 4, True)
    assert z["zone"]["compact_shift"] == 0


@pytest.mark.parametrize(("rules", "failures"), [(CompactionRules.V2_6_35, 0), (LATER, 1)])
def test_the_daemons_failures_put_off_requests_by_the_later_rules_only(quiet, rules, failures):
    """What kswapd compacted in vain was no matter of requests (compact_pgdat, 3.5)."""
    zone = zone_with(quiet, rules, free=range(3, PAGES, 4), pinned=range(0, PAGES, 8))
    zone.state["kcompactd_order"] = 3
    run_kcompactd(zone.state)
    assert zone.count["kcompactd_ns"] > 0
    assert zone.count["compact_failures"] == zone.own["compact_shift"] == failures


def test_a_block_that_is_there_but_not_to_be_had_starts_no_count_anew(quiet):
    """The marks forbid it: the order may be tried again, earlier failures stay counted (4.19)."""
    from study.zone.mm.linux_2_6 import allocate as alloc

    free = [*range(8), *range(17, 137, 2)]  # a block of order 3, and 60 single pages
    marks = Watermarks(explicit_pages=(32, 32, 32))
    zone = zone_with(quiet, LATER, free=free, watermarks=marks, allocation=V2_6_24)
    z = zone.state
    for _ in range(2):
        update_deferral(z, 3, False)
    z["zone"]["compact_considered"] = 3
    alloc.allocate_or_wait(z, 3, int(Gfp.KERNEL), int(Caller.STACK), 0, -1)
    assert z["count"]["compact_stalls"] == 1
    assert (z["zone"]["compact_shift"], z["zone"]["compact_order_failed"]) == (2, 4)


@pytest.mark.parametrize(("path", "room"), [(V2_6_24, True), (V4_4, False)])
def test_what_is_reserved_is_no_room_to_move(quiet, path, room):
    """Since 4.4 the order-0 test takes reserved pages off, for compaction as for anybody."""
    zone = zone_with(quiet, LATER, free=range(1, 2 * 30, 2), allocation=path)
    assert compaction_suitable(zone.state, 3)
    zone.own["nr_reserved"] = 11  # 30 free, min 4, and 16 for two blocks
    assert compaction_suitable(zone.state, 3) == room


def test_boosted_marks_do_not_keep_targets_back(quiet):
    """A boost is for kswapd; what compaction may isolate goes by min without it (5.1)."""
    moved = []
    for boost in (0, 100):
        zone = zone_with(quiet, LATER, free=range(3, 4 * 12, 4))
        for mark in ("min", "low", "high", "boost"):
            zone.own[mark] += boost
        compact_zone(zone.state, 3, 0, 0)
        moved.append(int(zone.count["compact_migrated"]))
    assert moved[0] == moved[1] > 0


@pytest.mark.parametrize("rules", list(CompactionRules))
def test_only_the_first_try_of_a_request_is_asynchronous(quiet, rules):
    """An order-3 request that has reclaimed in vain compacts in earnest, and then puts off others.

    While it naps within reclaim it does not compact; it does so once a round (2.6.38).
    """
    from study.zone.mm.linux_2_6 import allocate as alloc

    zone = zone_with(quiet, rules, free=range(3, PAGES, 4), pinned=range(0, PAGES, 8))
    z = zone.state
    alloc.allocate_or_wait(z, 3, int(Gfp.KERNEL), int(Caller.STACK), 0, -1)
    row = int(np.flatnonzero(zone.request["since"] == z["now"])[0])
    assert (z["count"]["compact_stalls"], z["count"]["compact_failures"]) == (1, 0)
    assert zone.request[row]["rounds"] == 1
    alloc.go_on(z, row)
    assert (z["count"]["compact_stalls"], z["count"]["compact_failures"]) == (2, 1)
    z["zone"]["compact_shift"] = z["zone"]["compact_order_failed"] = 0
    zone.request[row]["priority"] = 6
    tried = int(z["count"]["compact_stalls"] + z["count"]["compact_deferred"])
    alloc.go_on(z, row)
    assert z["count"]["compact_stalls"] + z["count"]["compact_deferred"] == tried


def test_only_movable_pageblocks_take_pages_in(quiet):
    """With grouping the free scanner passes over UNMOVABLE and reserved pageblocks."""
    memory = {"pageblock_order": BLOCK, "grouping": Grouping.ON}
    zone = zone_with(quiet, LATER, memory=memory, free=range(3, PAGES, 4))
    top = PAGES - (1 << BLOCK)
    set_pageblock_type(zone.state, top, 0, Migratetype.UNMOVABLE)
    set_pageblock_type(zone.state, top - 32, 0, Migratetype.HIGHATOMIC)
    before = homes(zone)
    assert compact_zone(zone.state, BLOCK, MOVABLE, 0) == SUCCESS
    assert (homes(zone)[top - 32 :] == before[top - 32 :]).all()
    assert zone.frame[0]["order"] == BLOCK
    verify(zone)


@pytest.mark.parametrize(
    ("kind", "filled"), [(Migratetype.UNMOVABLE, True), (Migratetype.HIGHATOMIC, False)]
)
def test_a_free_pageblock_takes_pages_in_unless_it_is_reserved(quiet, kind, filled):
    """Wholly free, a pageblock is a target whatever its type, but for the reserve."""
    top = PAGES - (1 << BLOCK)
    memory = {"pageblock_order": BLOCK, "grouping": Grouping.ON}
    zone = zone_with(quiet, LATER, memory=memory, free=range(3, top, 4))
    set_pageblock_type(zone.state, top, 0, kind)
    drop(zone, range(top, PAGES), kind)
    # A block of two pageblocks: one is there, and would end the run at once.
    compact_zone(zone.state, BLOCK + 1, MOVABLE, 0)
    assert (homes(zone)[top:] == Home.INACTIVE).any() == filled


@pytest.mark.parametrize(
    ("rules", "request_type", "first_touched"),
    [(CompactionRules.V2_6_35, 0, 1), (LATER, MOVABLE, 1), (LATER, 0, 0)],
)
def test_the_first_try_leaves_other_pageblocks_alone(quiet, rules, request_type, first_touched):
    """An asynchronous run takes pages out of MOVABLE pageblocks, later of the request's own."""
    memory = {"pageblock_order": BLOCK, "grouping": Grouping.ON}
    zone = zone_with(quiet, rules, memory=memory, free=range(3, PAGES, 4))
    zone.own["low"] = zone.own["min"] = 0
    set_pageblock_type(zone.state, 0, 0, Migratetype.UNMOVABLE)
    before = homes(zone)
    compact_directly(zone.state, BLOCK - 1, request_type, True)
    changed = (homes(zone) != before).reshape(-1, 1 << BLOCK).any(axis=1)
    assert int(changed.argmax()) == first_touched
    verify(zone)


def test_the_mark_is_not_undercut_by_taking_targets(quiet):
    """While pages are isolated at least the mark stays on the free lists."""
    zone = zone_with(quiet, free=range(3, 4 * 12, 4))
    assert zone.free == 12
    compact_zone(zone.state, 3, 0, 0)
    # 12 free, low 8: a page is taken only while more than 8 + 1 are free, so three.
    assert zone.count["compact_migrated"] == 3
    assert zone.free == 12
    verify(zone)


def test_kswapd_wakes_the_daemon_before_it_sleeps(quiet):
    """Woken for a block, kswapd frees memory and rests; kcompactd then makes the block."""
    kswapd = Kswapd(policy=KswapdPolicy.ORDER_AWARE, loop=KswapdLoop.V4_8)
    zone = zone_with(quiet, LATER, free=range(3, PAGES, 8), kswapd=kswapd)
    # The pages that came first lie far apart, or kswapd would make the block by itself.
    for pfn in sorted(listed(zone, HEAD_INACTIVE), key=lambda pfn: -(pfn * 37 % PAGES)):
        lru_del(zone.state, pfn)
        lru_add_inactive(zone.state, pfn)
    assert zone.nr_free[1:].sum() == 0
    wake_kswapd(zone.state, 5)
    advance(zone.state, 10**9)
    count = zone.count
    assert zone.state["kswapd_awake"] == 0
    # Twice the block's pages and no more, then order 0 is enough.
    assert 64 <= count["reclaimed"].sum() <= 64 + 32
    assert count["kcompactd_wakeups"] >= 1
    assert zone.nr_free[5:].sum() >= 1
    verify(zone)


def test_the_daemon_does_not_run_for_what_is_there(quiet):
    """A block is free: nobody is woken; order 0 wakes nobody either."""
    zone = zone_with(quiet, LATER, free=range(64))
    wake_kcompactd(zone.state, 4)
    wake_kcompactd(zone.state, 0)
    assert zone.count["kcompactd_wakeups"] == 0
    assert zone.state["nr_events"] == 2  # pdflush and the reaper


def test_the_daemon_takes_its_time(quiet):
    """A second run does not begin before the first would be over."""
    zone = zone_with(quiet, LATER, free=range(3, PAGES, 4), pinned=range(0, PAGES, 8))
    wake_kcompactd(zone.state, 3)
    run_kcompactd(zone.state)
    busy = int(zone.count["kcompactd_ns"])
    assert busy == zone.count["compact_ns"] > 0
    assert zone.state["kcompactd_free_at"] == zone.now + busy


@pytest.mark.parametrize(
    ("proactiveness", "runs"),
    [(0, False), (1, False), (11, False), (12, True), (20, True), (100, True)],
)
def test_it_works_unasked_when_free_memory_is_scattered(quiet, proactiveness, runs):
    """A score of 99 is above 98, ten more than what proactiveness 12 wants, and not above 99."""
    compaction = Compaction(proactiveness=proactiveness, rules=LATER)
    zone = zone_of(
        quiet,
        PAGES,
        free=range(3, PAGES, 4),
        compaction=compaction,
        memory={"pageblock_order": BLOCK},
    )
    assert fragmentation_score(zone.state) == 99
    advance(zone.state, 2 * POLL_NS + 1)
    assert (zone.count["compact_migrated"] > 0) == runs
    if runs:
        wanted = max(100 - proactiveness, 5)
        assert fragmentation_score(zone.state) <= max(wanted, 60)
    verify(zone)


def test_unasked_work_in_vain_is_put_off_for_half_a_minute(quiet):
    """When a run has not lowered the score the next 64 looks do nothing."""
    zone = zone_of(
        quiet,
        PAGES,
        free=range(3, PAGES, 4),
        pinned=range(0, PAGES, 8),
        compaction=Compaction(proactiveness=20, rules=LATER),
        memory={"pageblock_order": BLOCK},
    )
    proactive_tick(zone.state)
    assert zone.state["proactive_defer"] == DEFER_POLLS
    moved = int(zone.count["compact_migrated"])
    for _ in range(DEFER_POLLS):
        proactive_tick(zone.state)
    assert zone.state["proactive_defer"] == 0
    assert zone.count["compact_migrated"] == moved


@pytest.mark.parametrize(("free", "awake"), [(range(64), 0), (range(3, PAGES, 4), 1)])
def test_only_looks_that_would_be_work_count_down_the_rest(quiet, free, awake):
    """Neither with free memory in one piece nor while kswapd works (kcompactd, 5.9)."""
    compaction = Compaction(proactiveness=20, rules=LATER)
    memory = {"pageblock_order": BLOCK}
    zone = zone_of(quiet, PAGES, free=free, compaction=compaction, memory=memory)
    zone.state["proactive_defer"], zone.state["kswapd_awake"] = 5, awake
    proactive_tick(zone.state)
    assert zone.state["proactive_defer"] == 5


def test_kswapd_at_work_is_not_disturbed(quiet):
    """Proactive compaction stays away while kswapd is awake."""
    zone = zone_of(
        quiet,
        PAGES,
        free=range(3, PAGES, 4),
        memory={"pageblock_order": BLOCK},
        compaction=Compaction(proactiveness=100, rules=LATER),
    )
    zone.state["kswapd_awake"] = 1
    proactive_tick(zone.state)
    assert zone.count["compact_migrated"] == 0


def test_a_whole_zone_run_gathers_all_free_memory(quiet):
    """Without a goal short of it the used pages end at the top and the free ones in blocks."""
    zone = zone_with(quiet, LATER, free=range(3, PAGES, 4))
    compact_zone(zone.state, WHOLE_ZONE, MOVABLE, 5)
    assert fragmentation_score(zone.state) <= 50
    assert zone.nr_free[BLOCK:].sum() >= 1
    assert np.flatnonzero(homes(zone) == Home.INACTIVE).mean() > PAGES / 2
    verify(zone)


def test_marks_of_the_tests_are_what_they_say(quiet):
    """The zones of this module have low 8 and min 4."""
    zone = zone_with(quiet)
    assert (zone.own["min"], zone.own["low"]) == MARKS.explicit_pages[:2]


@pytest.mark.parametrize(("direct", "counted"), [(1, False), (2, True)])
def test_an_asynchronous_run_in_vain_puts_off_nobody(quiet, direct, counted):
    """From order 1 on (2.6.38) the first try of a request is asynchronous, before it is not."""
    from study.zone.mm.linux_2_6 import allocate as alloc

    zone = zone_with(quiet, free=range(3, PAGES, 4), pinned=range(0, PAGES, 8))
    zone.state["compact_direct_order"] = direct
    alloc.allocate_or_wait(zone.state, 3, int(Gfp.KERNEL), int(Caller.HUGE), 0, -1)
    assert zone.count["compact_stalls"] > 0
    assert (zone.count["compact_failures"] > 0) == counted
    assert (zone.own["compact_shift"] > 0) == counted


def test_reclaim_makes_room_for_compaction(quiet):
    """A sleeping order-5 request frees twice its pages, not just a batch, and then has its block.

    By the rules of 2.6.35 it compacts first only, frees a batch, and is refused.
    """
    from study.zone.mm.linux_2_6 import allocate as alloc

    found = {}
    for direct in (1, 4):
        # Large enough for every call at a low priority to scan a batch.
        zone = zone_with(quiet, LATER, pages=1 << 16, free=range(3, 60, 4))
        zone.state["compact_direct_order"] = direct
        # The pages that came first lie far apart, or reclaim would make the block by itself.
        ring = [head_of(zone, HEAD_INACTIVE)]
        ring += sorted(listed(zone, HEAD_INACTIVE), key=lambda pfn: pfn * 37 % (1 << 16))
        zone.frame["next"][ring] = np.roll(ring, -1)
        zone.frame["prev"][ring] = np.roll(ring, 1)
        pfn = alloc.allocate_or_wait(zone.state, 5, int(Gfp.KERNEL), int(Caller.HUGE), 0, -1)
        found[direct] = (pfn >= 0, int(zone.count["reclaimed"].sum()))
        verify_after(zone, pfn)
    assert found[1][0]
    assert found[1][1] >= 2 << 5
    assert found[4] == (False, 32)


def verify_after(zone, pfn):
    """Recount the zone, a block that was handed out being the kernel's."""
    if pfn >= 0:
        new_object(zone.state, pfn, 5, Kind.HUGE)
    verify(zone)
