"""Lumpy reclaim: the neighbours of a victim go with it, as 2.6.23 has it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.zone.engine.enums import Flag, Home
from study.zone.engine.layout import HEAD_ACTIVE, HEAD_INACTIVE
from study.zone.mm.linux_2_6.lru import lru_add_active, lru_del
from study.zone.mm.linux_2_6.lumpy import gather_block
from study.zone.mm.linux_2_6.reclaim import shrink_cache, shrink_step
from study.zone.settings import Reclaim
from study.zone.trial.verify import verify
from tests.zone.worn import listed, zone_of

KSWAPD = 0


def lumpy_zone(quiet, **more):
    return zone_of(quiet, 64, reclaim=Reclaim(lumpy=True), **more)


@given(
    active=st.sets(st.integers(0, 63)),
    pinned=st.sets(st.integers(0, 63), max_size=20),
    order=st.integers(1, 5),
    place=st.integers(0, 63),
)
def test_a_page_and_its_neighbours_come_to_the_tail_in_order_of_address(
    quiet_settings, active, pinned, order, place
):
    """The block's pages on the same list follow the victim; above order 3 active ones do too."""
    zone = lumpy_zone(quiet_settings, pinned=pinned)
    for pfn in active - pinned:
        lru_del(zone.state, pfn)
        lru_add_active(zone.state, pfn)
    inactive = listed(zone, HEAD_INACTIVE)
    if not inactive:
        return
    victim = inactive[place % len(inactive)]
    block = range(victim >> order << order, (victim >> order << order) + 2**order)
    mates = [p for p in block if p in inactive and p != victim]
    if order > 3:
        mates = [p for p in block if p not in pinned and p != victim]
    others = [p for p in inactive if p not in block]

    assert gather_block(zone.state, victim, order) == len(mates)

    # Read from the tail: the victim, then its neighbours upwards, then the rest as it was.
    assert listed(zone, HEAD_INACTIVE)[::-1] == [victim, *mates, *others[::-1]]
    verify(zone)


def test_active_pages_gather_active_pages_only(quiet):
    """Ageing with lumpy reclaim takes active neighbours, whatever the order."""
    zone = lumpy_zone(quiet)
    for pfn in (8, 10, 13):
        lru_del(zone.state, pfn)
        lru_add_active(zone.state, pfn)
    assert gather_block(zone.state, 13, 4) == 2
    assert listed(zone, HEAD_ACTIVE)[::-1] == [13, 8, 10]


def test_a_block_of_clean_pages_becomes_free_whole(quiet):
    """For order 3 the oldest page's block is freed with it: eight pages, one block."""
    zone = lumpy_zone(quiet)
    zone.state["reclaim_order"][KSWAPD] = 3
    oldest = listed(zone, HEAD_INACTIVE)[-1]
    assert shrink_cache(zone.state, KSWAPD, 1, 1) == 8
    assert zone.nr_free[3] == 1
    assert zone.frame[oldest >> 3 << 3]["home"] == Home.BUDDY
    assert zone.count["scanned"][KSWAPD] == 8
    verify(zone)


def test_pages_are_lost_even_if_a_neighbour_is_pinned(quiet):
    """Nobody looks beforehand: with one pinned page seven are freed and no block is there."""
    zone = lumpy_zone(quiet, pinned=[3])
    zone.state["reclaim_order"][KSWAPD] = 3
    assert listed(zone, HEAD_INACTIVE)[-1] == 0
    assert shrink_cache(zone.state, KSWAPD, 1, 1) == 7
    assert zone.nr_free[3:].sum() == 0


@pytest.mark.parametrize(("order", "freed"), [(3, 7), (4, 16)])
def test_a_used_mapped_page_is_spared_up_to_order_3_only(quiet, order, freed):
    """A referenced page in use is activated; for costly orders it goes like the others."""
    zone = lumpy_zone(quiet)
    zone.state["reclaim_order"][KSWAPD] = order
    zone.frame[5]["flags"] = Flag.MAPPED | Flag.YOUNG
    zone.state["nr_mapped"] = 1
    assert shrink_cache(zone.state, KSWAPD, 1, 1) == freed
    assert (zone.frame[5]["home"] == Home.ACTIVE) == (order <= 3)


def test_a_run_for_single_pages_is_not_lumpy(quiet):
    """Kswapd woken for order 0 takes the oldest pages and no others."""
    zone = lumpy_zone(quiet)
    oldest = listed(zone, HEAD_INACTIVE)[::-1]
    assert shrink_cache(zone.state, KSWAPD, 3, 3) == 3
    assert all(zone.frame[pfn]["home"] != Home.INACTIVE for pfn in oldest[:3])
    assert listed(zone, HEAD_INACTIVE)[::-1] == oldest[3:]


def test_ageing_goes_by_blocks_too(quiet):
    """One batch of ageing deactivates whole blocks of active pages."""
    zone = lumpy_zone(quiet)
    for pfn in range(64):
        lru_del(zone.state, pfn)
    for i in range(64):
        lru_add_active(zone.state, (i * 8) % 64 + i // 8)
    zone.state["reclaim_order"][KSWAPD] = 3
    zone.own["scan_active"][KSWAPD] = 4
    assert shrink_step(zone.state, KSWAPD) == 8
    assert listed(zone, HEAD_INACTIVE)[::-1] == list(range(8))
    verify(zone)
