"""Mobility grouping against an obvious model of the kernel's rules, and by known answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from study.zone.engine.enums import Home
from study.zone.engine.layout import NO_PFN
from study.zone.mm.linux_2_6.grouping import (
    find_fallback,
    pageblock_type,
    return_block,
    rmqueue,
    set_pageblock_type,
)
from study.zone.mm.linux_2_6.percpu import free_page, take_typed_page
from study.zone.settings import Clock, Grouping, Memory, Settings
from study.zone.simulate import simulate
from study.zone.trial.feed import fill_list, read_list
from study.zone.trial.zone import Zone
from tests.zone.reference_grouping import (
    BLOCK_ORDER,
    HIGHATOMIC,
    MOVABLE,
    PAGES,
    RECLAIMABLE,
    UNMOVABLE,
    GroupedBuddy,
)


def lists_of(zone: Zone) -> dict[tuple[int, int], list[int]]:
    found = {}
    for order in range(11):
        for kind in range(5):
            pfns = np.zeros(PAGES, np.int64)
            length = read_list(zone.state, order, kind, pfns)
            found[order, kind] = pfns[:length].tolist()
    return found


@pytest.fixture
def grouped(quiet):
    """A zone of eight pageblocks of 512 pages, nothing free."""

    def make(**memory: object) -> Zone:
        settings = quiet(PAGES)
        wanted = {"grouping": Grouping.ON, "pageblock_order": BLOCK_ORDER} | memory
        return Zone(replace(settings, memory=replace(settings.memory, **wanted)), empty=True)

    return make


STEPS = st.lists(
    st.tuples(
        st.integers(0, 99),  # take below 55, else give back
        st.one_of(st.integers(0, 3), st.integers(0, 10)),
        st.integers(0, 2),
        st.integers(0, 1 << 30),
    ),
    min_size=50,
    max_size=200,
)


@settings(max_examples=20)
@given(steps=STEPS, reserved=st.integers(0, 7))
def test_every_list_is_as_the_model_has_it(steps, reserved):
    """Whatever is asked for and given back, all lists have the model's blocks in its order."""
    memory = Memory(PAGES, PAGES, 0, grouping=Grouping.ON, pageblock_order=BLOCK_ORDER)
    zone = Zone(replace(Settings(), memory=memory), empty=True)
    model = GroupedBuddy()
    set_pageblock_type(zone.state, reserved << BLOCK_ORDER, 0, HIGHATOMIC)
    model.types[reserved] = HIGHATOMIC
    taken = []
    for pfn in range(0, PAGES, 1 << BLOCK_ORDER):
        kind = min(model.types[pfn >> BLOCK_ORDER], RECLAIMABLE)
        return_block(zone.state, pfn, BLOCK_ORDER, kind)
        model.give(pfn, BLOCK_ORDER, kind)
    for dice, order, kind, place in steps:
        if dice < 55 or not taken:
            pfn = rmqueue(zone.state, order, kind)
            assert pfn == model.take(order, kind)
            if pfn == NO_PFN:
                continue
            taken.append((pfn, order))
            if order == 0 and kind == MOVABLE:
                zone.frame[pfn]["home"] = Home.ACTIVE
                model.user_pages.add(pfn)
        else:
            pfn, held = taken.pop(place % len(taken))
            zone.frame[pfn]["home"] = Home.NONE
            model.user_pages.discard(pfn)
            return_block(zone.state, pfn, held, kind)
            model.give(pfn, held, kind)
        assert lists_of(zone) == model.lists
        assert zone.pageblock["migratetype"].tolist() == model.types
        assert zone.free == sum(len(pfns) << order for (order, _), pfns in model.lists.items())


@pytest.mark.parametrize(
    ("kind", "free", "victim"),
    [
        # The largest goes, whatever its type; among equals the order of fallbacks[] counts.
        (UNMOVABLE, {(9, MOVABLE): 512, (3, RECLAIMABLE): 8}, (512, 9, MOVABLE)),
        (UNMOVABLE, {(9, MOVABLE): 512, (9, RECLAIMABLE): 1024}, (1024, 9, RECLAIMABLE)),
        (RECLAIMABLE, {(9, MOVABLE): 512, (9, UNMOVABLE): 1024}, (1024, 9, UNMOVABLE)),
        (MOVABLE, {(9, UNMOVABLE): 512, (9, RECLAIMABLE): 1024}, (1024, 9, RECLAIMABLE)),
        # MOVABLE takes the largest only if it may have the pageblock: from order 9 // 2 on.
        (MOVABLE, {(4, UNMOVABLE): 512, (2, UNMOVABLE): 1024}, (512, 4, UNMOVABLE)),
        (MOVABLE, {(3, UNMOVABLE): 512, (2, UNMOVABLE): 1024}, (1024, 2, UNMOVABLE)),
        (MOVABLE, {(3, RECLAIMABLE): 512, (1, UNMOVABLE): 1024}, (512, 3, RECLAIMABLE)),
        # Nothing large enough.
        (MOVABLE, {(1, UNMOVABLE): 512}, (NO_PFN, 0, 0)),
    ],
)
def test_the_block_to_steal_is_chosen_by_size_then_type(grouped, kind, free, victim):
    """__rmqueue_fallback, for a request of order 2."""
    zone = grouped()
    for (order, other), pfn in free.items():
        fill_list(zone.state, order, other, np.array([pfn]))

    assert find_fallback(zone.state, 2, kind) == victim


@pytest.mark.parametrize(("used", "claimed"), [(256, True), (257, False)])
def test_half_a_pageblock_free_is_enough_to_claim_it(grouped, used, claimed):
    """A RECLAIMABLE request relabels an UNMOVABLE pageblock of which 256 of 512 pages are free."""
    zone = grouped()
    set_pageblock_type(zone.state, 512, 0, UNMOVABLE)
    for pfn in range(512 + used, 1024):
        return_block(zone.state, pfn, 0, UNMOVABLE)

    rmqueue(zone.state, 0, RECLAIMABLE)

    assert (pageblock_type(zone.state, 512) == RECLAIMABLE) is claimed


def test_a_block_about_to_merge_waits_at_the_tail(grouped):
    """Page 2 is used after page 9: its merged block would find a free buddy, 9's would not."""
    zone = grouped()
    fill_list(zone.state, 1, MOVABLE, np.array([0]))
    for pfn in (9, 2):
        return_block(zone.state, pfn, 0, MOVABLE)

    assert [rmqueue(zone.state, 0, MOVABLE) for _ in range(2)] == [9, 2]


def test_grouping_off_is_the_allocator_of_2_6_8(quiet):
    """Without grouping the type of a request and of a free means nothing."""
    zones = [Zone(quiet(PAGES), empty=True) for _ in range(2)]
    for zone in zones:
        return_block(zone.state, 0, 10, 0)
    plain, typed = zones
    random = np.random.default_rng(3)
    taken: list[tuple[int, int]] = []
    for _ in range(2_000):
        kind = int(random.integers(0, 3))
        if random.random() < 0.5 or not taken:
            order = int(random.integers(0, 4))
            pfn = rmqueue(plain.state, order, 0)
            assert rmqueue(typed.state, order, kind) == pfn
            if pfn != NO_PFN:
                taken.append((pfn, order))
        else:
            pfn, order = taken.pop(int(random.integers(0, len(taken))))
            return_block(plain.state, pfn, order, 0)
            return_block(typed.state, pfn, order, kind)
    assert plain.frame.tobytes() == typed.frame.tobytes()


def test_percpu_lists_hold_one_type_each(grouped):
    """A page given back is not handed to another type before its list is drained."""
    zone = grouped()
    return_block(zone.state, 0, 10, MOVABLE)
    return_block(zone.state, 1024, 10, UNMOVABLE)
    set_pageblock_type(zone.state, 1024, 10, UNMOVABLE)
    movable = take_typed_page(zone.state, False, MOVABLE)
    unmovable = take_typed_page(zone.state, False, UNMOVABLE)
    free_page(zone.state, movable, False)
    free_page(zone.state, unmovable, False)

    assert (movable, unmovable) == (0, 1024)
    assert take_typed_page(zone.state, False, UNMOVABLE) == unmovable
    assert take_typed_page(zone.state, False, MOVABLE) == movable
    assert zone.own["nr_hot"] == 2 * zone.own["pcp_batch"] - 2


def test_full_percpu_lists_give_back_the_oldest(grouped):
    """At six batches a batch goes back, in turn from each type that has pages."""
    zone = grouped()
    set_pageblock_type(zone.state, 1024, 0, RECLAIMABLE)
    batch = int(zone.own["pcp_batch"])
    for i in range(3 * batch):
        free_page(zone.state, 2 * i, False)
        free_page(zone.state, 1024 + 2 * i, False)

    free_page(zone.state, 3000, False)

    freed = sorted(p for pfns in lists_of(zone).values() for p in pfns)
    assert len(freed) == batch
    assert freed[: (batch + 1) // 2] == [2 * i for i in range((batch + 1) // 2)]


def test_a_grouped_trial_keeps_every_invariant():
    """A trial with grouping runs to its checks, repeats, and differs from one without."""
    second = 1_000_000_000
    settings = Settings(
        memory=Memory(8_192, 8_192, 64, grouping=Grouping.ON, pageblock_order=9),
        clock=Clock(second, second, second // 4),
    )
    off = replace(settings, memory=replace(settings.memory, grouping=Grouping.OFF))

    first, again, without = (
        simulate(s, seed=1, replicate=0).series.tobytes() for s in (settings, settings, off)
    )

    assert first == again
    assert first != without
