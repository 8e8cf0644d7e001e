"""Asking for less, and for more: vmalloc stacks, recycled buffers, huge pages, stress-highalloc."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from study.zone.engine.enums import Caller, Gfp, Kind
from study.zone.engine.layout import NO_PFN
from study.zone.load.huge import HELD, ask_for_huge, release_held
from study.zone.mm.linux_2_6.buddy import take_block
from study.zone.mm.linux_2_6.defrag import defragment
from study.zone.mm.linux_2_6.grouping import gfp_by_lifetime
from study.zone.settings import (
    Churn,
    Compaction,
    CompactionRules,
    Defrag,
    DefragChoice,
    DefragMode,
    Grouping,
    HighAlloc,
    Huge,
    NicReceive,
    Placement,
    Slab,
    StackSource,
)
from study.zone.simulate import simulate
from study.zone.trial.advance import advance
from study.zone.trial.churn import churn
from study.zone.trial.highalloc import end_load
from study.zone.trial.verify import verify
from study.zone.trial.zone import Zone
from tests.zone.conftest import SECOND, small
from tests.zone.worn import contents, zone_of


@pytest.mark.parametrize("source", list(StackSource))
def test_stacks_of_single_pages_never_wait_for_a_block(source):
    """With vmalloc no stack asks for order 1; with kvmalloc those that find none do without."""
    settings = small()
    wanted = replace(settings.processes, stack_source=source, forks_per_s=200.0)
    metrics = simulate(replace(settings, processes=wanted), seed=1, replicate=0).metrics
    assert metrics["forks"] > 100
    if source == StackSource.VMALLOC:
        assert metrics["stack_attempts"] == 0
    else:
        assert metrics["stack_attempts"] > 0
    if source != StackSource.KMALLOC:
        assert metrics["stack_stalls"] == 0
    assert metrics["exits"] > 50


def test_a_vmalloc_stack_is_as_many_single_pages(quiet):
    """A process with 8K stacks holds two more page-table pages, and gives them back."""
    held = {}
    for source in (StackSource.KMALLOC, StackSource.VMALLOC):
        settings = quiet(1024)
        wanted = replace(
            settings.processes,
            stack_source=source,
            forks_per_s=50.0,
            lifetime_median_ns=10**12,
            lifetime_sigma=0.0,
            live_max=8,
        )
        zone = Zone(replace(settings, processes=wanted))
        advance(zone.state, SECOND // 4)
        kinds = np.bincount(zone.frame["kind"][:1024], minlength=len(Kind))
        held[source] = (int(zone.state["live"]), int(kinds[Kind.PAGE_TABLE]))
        verify(zone)
    lived, tables = held[StackSource.KMALLOC]
    assert lived > 0
    assert tables == 4 * lived
    assert held[StackSource.VMALLOC] == (lived, 6 * lived)


@pytest.mark.parametrize("receive", list(NicReceive))
def test_recycled_buffers_are_posted_again_and_asked_for_no_more(receive):
    """Once enough buffers circulate the card asks for none; as many frames are received."""
    settings = small()
    plain = replace(settings, nic=replace(settings.nic, receive=receive, ring=128, rx_order=1))
    pooled = replace(plain, nic=replace(plain.nic, recycle=True))
    without, with_pool = (simulate(s, seed=3, replicate=0).metrics for s in (plain, pooled))
    assert with_pool["rx_attempts"] < without["rx_attempts"] / 4
    assert with_pool["frames_received"] >= without["frames_received"]
    assert with_pool["recycled_buffers"] > 0 == without["recycled_buffers"]


@pytest.mark.quick
def test_the_pool_holds_no_more_buffers_than_the_ring(quiet):
    """What comes back beyond that is freed."""
    settings = quiet(4096)
    nic = replace(
        settings.nic, ring=8, recycle=True, rx_order=1, rx_frames_per_s=5000.0, rx_hold_ns=10**7
    )
    zone = Zone(replace(settings, nic=nic))
    for step in range(1, 50):
        advance(zone.state, step * SECOND // 50)
        assert zone.state["nr_recycled"] <= 8
    assert zone.count["recycled"] > 100
    verify(zone)


def test_huge_pages_are_asked_for_kept_and_given_back():
    """On empty memory each is served, no more than `most` live, and all are freed in time."""
    settings = small(pages=16_384)
    idle = replace(settings.user, touches_per_s=0.0, filled=False)
    huge = Huge(order=6, per_s=50.0, lifetime_median_ns=SECOND // 2, most=10)
    outcome = simulate(replace(settings, user=idle, huge=huge), seed=2, replicate=0)
    assert outcome.metrics["huge_attempts"] > 20
    assert outcome.metrics["huge_success_ratio"] == 1.0
    zone = Zone(replace(settings, user=idle, huge=huge), seed=2)
    for step in range(1, 40):
        advance(zone.state, step * SECOND // 20)
        live = (zone.frame["kind"][:16_384] == Kind.HUGE).sum()
        assert live == zone.state["nr_huge"] <= 10
    verify(zone)


def test_the_same_huge_pages_are_wanted_whatever_the_policy():
    """The stream of requests does not depend on who serves them (common random numbers)."""
    settings = small(pages=16_384)
    # So short that the limit on those alive is never met.
    huge = Huge(order=5, per_s=40.0, lifetime_median_ns=1_000_000, lifetime_sigma=0.1)
    asked = {
        simulate(s, seed=5, replicate=1).metrics["huge_attempts"]
        for s in (
            replace(settings, huge=huge),
            replace(settings, huge=huge, memory=replace(settings.memory, grouping=Grouping.ON)),
        )
    }
    assert len(asked) == 1


def test_held_huge_pages_are_counted_and_released(quiet):
    """Five blocks of order 4 fit beside a pinned page; releasing them makes the zone whole."""
    zone = zone_of(quiet, 96, pinned=[90], free=range(80), huge=Huge(order=4))
    for _ in range(7):
        ask_for_huge(zone.state, HELD)
    assert zone.state["nr_held_blocks"] == 5
    verify(zone)
    assert release_held(zone.state) == 5
    assert zone.free >= 80, "who asked in vain has reclaimed"
    verify(zone)


def test_stress_highalloc_has_three_passes_and_rest_is_the_easiest():
    """At rest, with the files gone, more huge pages are to be had than under load."""
    settings = small(pages=16_384, highalloc=HighAlloc(share=0.8, order=7, gap_ns=SECOND // 50))
    metrics = simulate(settings, seed=1, replicate=0).metrics
    ratios = [metrics[f"highalloc_{name}_ratio"] for name in ("pass1", "pass2", "rest")]
    assert all(0 <= ratio <= 1 for ratio in ratios)
    assert ratios[2] > ratios[0]


@pytest.mark.parametrize("order", [2, 4])
def test_stress_highalloc_may_ask_for_another_order_than_the_programs(order):
    """Huge pages of both orders live at once, each given back as large as it was."""
    settings = small(
        pages=8_192,
        huge=Huge(order=order, per_s=20.0, lifetime_median_ns=SECOND),
        highalloc=HighAlloc(share=1.0, order=6, gap_ns=SECOND // 50),
    )
    for replicate in range(3):
        metrics = simulate(settings, seed=1, replicate=replicate).metrics  # verified at its end
        assert 0 < metrics["highalloc_rest_ratio"] <= 1


def test_slab_pages_die_in_their_time_though_the_load_has_ended():
    """None comes any more; those there live out their 20 s."""
    lives = Slab(
        initial_share=0.0,
        pages_per_s=200.0,
        lifetime_median_ns=20 * SECOND,
        lifetime_sigma=0.01,
        reclaimable_share=0.0,
    )
    zone = Zone(small(slab=lives), seed=1)
    advance(zone.state, SECOND)
    end_load(zone)
    assert zone.state["nr_slab"] > 100
    advance(zone.state, 25 * SECOND)
    assert zone.state["nr_slab"] == 0
    verify(zone)


def churned(quiet, placement=Placement.BUDDY, proactiveness=0, **asked):
    """The metrics of LLFree's test on an empty zone of 64 MB, and the zone afterwards."""
    pages = 32 * 512
    settings = quiet(
        pages,
        compaction=Compaction(proactiveness=proactiveness, rules=CompactionRules.V3_19),
        churn=Churn(rounds=20, **asked),
    )
    settings = replace(settings, user=replace(settings.user, anonymous_share=1.0))
    wanted = replace(settings.memory, placement=placement, pageblock_order=9)
    zone = Zone(replace(settings, memory=wanted))
    found = churn(zone)
    verify(zone)
    return found, zone


@pytest.mark.parametrize("placement", [Placement.BUDDY, Placement.BEST_FIT])
def test_churn_wins_no_huge_page_back(quiet, placement):
    """LLFree's test: what lies whole stays whole, what is broken does not heal."""
    found, zone = churned(quiet, placement)
    # 92 % of 32 huge pages were filled in sequence, so two were left whole.
    assert found["churn_whole_start"] == 2
    assert abs(found["churn_whole_end"] - 2) <= 1
    assert found["churn_whole_possible"] == zone.free >> 9 == 16
    gained = found["churn_whole_end"] - found["churn_whole_start"]
    assert found["churn_score"] == gained / (16 - 2)
    assert zone.own["nr_anon"] == int(0.48 * 32 * 512)


def test_compaction_heals_what_churn_has_broken(quiet):
    """A daemon that gathers used pages between the rounds brings most of them back."""
    found, _ = churned(quiet, proactiveness=100)
    assert found["churn_score"] > 0.5


def test_a_round_frees_and_asks_for_its_share(quiet):
    """Whoever is put out comes back, and nobody else is touched."""
    for part in (0.0, 0.25):
        _, zone = churned(quiet, part=part)
        brought_in = int(zone.count["first_faults"])
        filled, held = int(0.92 * 32 * 512), int(0.48 * 32 * 512)
        assert brought_in == filled + 20 * int(part * held)


def test_churn_has_memory_to_itself():
    """The load has ended, and what it left behind is gone before the first page is brought in."""
    zone = Zone(small(churn=Churn(rounds=3, fill=0.6, hold=0.3)), seed=1)
    z = zone.state
    advance(z, SECOND)
    touches = int(z["count"]["touches"])
    assert z["live"] > 0
    churn(zone)
    assert (z["live"], z["count"]["touches"]) == (0, touches)
    assert (zone.vpage["pfn"][: z["process_vpages"]] != NO_PFN).sum() == int(0.3 * zone.pages)
    verify(zone)


def test_without_the_test_its_metrics_have_no_value():
    """No share asked for, no ratio; no rounds, no score."""
    metrics = simulate(small(), seed=1, replicate=0).metrics
    assert np.isnan(metrics["churn_score"])
    assert np.isnan(metrics["highalloc_rest_ratio"])
    assert np.isnan(metrics["huge_success_ratio"])


# Placement that is not Linux's, and Tosatti's choice of blocks.


def test_best_fit_takes_the_lowest_address_of_the_smallest_blocks(quiet):
    """Linux takes the block freed last; best fit the one at the lowest address."""
    for placement, expected in ((Placement.BUDDY, 40), (Placement.BEST_FIT, 8)):
        zone = zone_of(quiet, 64, free=[8, 24, 40, *range(48, 56)], memory={"placement": placement})
        assert take_block(zone.state, 0) == expected
        assert take_block(zone.state, 2) == 48


def test_the_oracle_asks_for_short_lives_as_reclaimable(quiet):
    """What lives less than a second lies with what can be reclaimed; Linux does not know."""
    told = {}
    for placement in (Placement.BUDDY, Placement.BY_LIFETIME):
        z = zone_of(quiet, 64, memory={"placement": placement}).state
        told[placement] = [
            int(gfp_by_lifetime(z, int(Gfp.KERNEL | more), lifetime))
            == Gfp.KERNEL | Gfp.RECLAIMABLE
            for lifetime in (SECOND - 1, SECOND)
            for more in (0, Gfp.RECLAIMABLE)
        ]
    assert told[Placement.BUDDY] == [False, True, False, True]
    assert told[Placement.BY_LIFETIME] == [True, True, False, False]


def test_by_lifetime_keeps_short_and_long_lives_apart():
    """Network buffers and long-lived slab pages share no more pageblocks than types can help."""
    settings = small(pages=16_384)
    # A short run with few blocks to count: where frames come closer or not, they may be none.
    settings = replace(settings, nic=replace(settings.nic, wire_ns=72_000))
    shared = dict.fromkeys((Placement.BUDDY, Placement.BY_LIFETIME), 0)
    for placement, seed in itertools.product(shared, range(1, 9)):
        memory = replace(
            settings.memory, grouping=Grouping.ON, pageblock_order=7, placement=placement
        )
        zone = Zone(replace(settings, memory=memory), seed=seed)
        advance(zone.state, 2 * SECOND)
        rows = zone.frame[:16_384]
        blocks = np.arange(16_384) >> 7
        short = set(blocks[rows["kind"] == Kind.RX])
        long = set(blocks[rows["kind"] == Kind.SLAB])
        shared[placement] += len(short & long)
        verify(zone)
    assert shared[Placement.BY_LIFETIME] < shared[Placement.BUDDY]


def test_tosattis_search_extends_a_free_half(quiet):
    """Order 3: the block around a free four-page half is completed by moving its other pages."""
    choice = Defrag(mode=DefragMode.RMAP_MIGRATE, choice=DefragChoice.BESIDE_FREE, blocks_wanted=1)
    # Half of a block at 16; the block at 32 would be cheaper, but its free pages are pairs.
    spare = range(65, 128, 2)
    free = [*range(16, 20), *(p for p in range(32, 40) if p not in {33, 36}), *spare]
    zone = zone_of(quiet, 128, free=free, defrag=choice)
    before = contents(zone)
    defragment(zone.state, 0, 8)
    assert zone.frame[16]["order"] == 3
    assert zone.nr_free[3:].sum() == 1
    assert contents(zone).keys() == before.keys()
    assert zone.count["defrag_migrated"] == 4
    verify(zone)


def test_tosattis_search_goes_two_orders_down_and_no_further(quiet):
    """A free pair is extended to order 3, a free single page is not."""
    choice = Defrag(mode=DefragMode.RMAP_MIGRATE, choice=DefragChoice.BESIDE_FREE, blocks_wanted=1)
    spare = range(65, 128, 2)
    zone = zone_of(quiet, 128, free=[40, *spare], defrag=choice)
    defragment(zone.state, 0, 8)
    assert zone.count["defrag_migrated"] == 0
    zone = zone_of(quiet, 128, free=[40, 41, *spare], defrag=choice)
    defragment(zone.state, 0, 8)
    assert zone.frame[40]["order"] == 3
    assert zone.count["defrag_migrated"] == 6


def test_callers_of_single_pages_are_told_from_those_of_blocks():
    """Failures for want of any page are counted apart from failures for want of a block."""
    metrics = simulate(small(), seed=1, replicate=0).metrics
    for caller in Caller:
        if caller == Caller.MIGRATION:
            continue
        name = caller.name.lower()
        assert metrics[f"{name}_starved"] <= metrics[f"{name}_attempts"]
        ratio, success = (metrics[f"{name}_{what}_ratio"] for what in ("contiguity", "success"))
        assert np.isnan(ratio) or ratio >= success
