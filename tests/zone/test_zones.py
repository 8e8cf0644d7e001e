"""Zone DMA beside the zone: who falls back on it, by version, and who reclaims it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from study.zone.engine.enums import Caller, Flag, Gfp, Home, Kind
from study.zone.engine.layout import NO_PFN
from study.zone.mm.interface import allocate, free_page, give_back, install, run_kswapd
from study.zone.mm.linux_2_6.kswapd import wake_kswapd
from study.zone.settings import (
    Action,
    AdminAction,
    AllocationPath,
    Grouping,
    KswapdLoop,
    KswapdPolicy,
    Settings,
)
from study.zone.simulate import simulate
from study.zone.trial.advance import advance
from study.zone.trial.verify import verify
from study.zone.trial.zone import Zone
from tests.zone.conftest import SECOND, small

NORMAL, DMA = 16_384, 4_096
WAIT, ATOMIC = int(Gfp.KERNEL), int(Gfp.ATOMIC)
PATHS = [AllocationPath.V2_6_8, AllocationPath.V2_6_9, AllocationPath.V2_6_11]


def beside(settings: Settings, reserved: int = 1_000) -> Settings:
    """The same machine with zone DMA."""
    memory = settings.memory
    return replace(
        settings,
        memory=replace(
            memory,
            dma_pages=DMA,
            dma_reserved_pages=reserved,
            lowmem_pages=memory.pages + DMA,
        ),
    )


@pytest.fixture
def machine(quiet):
    """Make an idle machine with zone DMA, all of it free."""

    def make(path: AllocationPath) -> Zone:
        return Zone(beside(quiet(NORMAL, allocation=path)), seed=1)

    return make


def dma(zone: Zone) -> np.void:
    """What is zone DMA's in the record."""
    return zone.dma


def in_dma(zone: Zone, pfn: int) -> bool:
    return bool(pfn >= zone.state["dma_first"])


def take_until(zone: Zone, order: int, gfp: int) -> tuple[int, int]:
    """Blocks that the zone, and then DMA, give before a request is refused."""
    got = [0, 0]
    while (pfn := allocate(zone.state, order, gfp, int(Caller.SOURCE))) != NO_PFN:
        got[in_dma(zone, pfn)] += 1
    return got[0], got[1]


def test_marks_and_protection_are_those_of_a_machine_of_512_mb(quiet) -> None:
    """min, low, high of DMA: 5, 10, 15 in 2.6.8, which protects the low mark of Normal in it."""
    zone = Zone(beside(quiet(126_976)), seed=1)
    own = dma(zone)
    assert (own["min"], own["low"], own["high"]) == (5, 10, 15)
    assert own["low"] + own["protection"] == 360
    assert zone.marks == (175, 350, 525)


def test_2_6_11_reserves_in_dma_what_a_machine_that_ran_it_reports(quiet) -> None:
    """lowmem_reserve[]: 0 496 496, a 256th of Normal; 2.6.9 and 2.6.10 reserved nothing."""
    reserves = [
        int(dma(Zone(beside(quiet(126_976, allocation=path)), seed=1))["protection"])
        for path in (AllocationPath.V2_6_9, AllocationPath.V2_6_11)
    ]

    assert reserves == [0, 496]


@pytest.mark.parametrize("path", PATHS)
def test_requests_ask_the_zone_first_and_then_dma(machine, path: AllocationPath) -> None:
    """A sleeper leaves in DMA its mark, and what is protected there for the zone's own users."""
    zone = machine(path)
    own = dma(zone)
    before = int(own["free"])
    normal, below = take_until(zone, 2, WAIT)

    assert normal > 3_500
    assert below == zone.count["below"][Caller.SOURCE] > 0
    left = before - 4 * below
    mark = int(own["low"] if path == AllocationPath.V2_6_8 else own["min"]) + own["protection"]
    assert mark <= left < mark + 16
    protected = {AllocationPath.V2_6_8: zone.own["low"], AllocationPath.V2_6_11: NORMAL // 256}
    assert own["protection"] == protected.get(path, 0)


def test_who_cannot_sleep_passes_dma_at_its_own_high_in_2_6_8_only(machine) -> None:
    """Whatever is protected in it; a sleeper never does, and from 2.6.9 on nobody."""
    for path in PATHS:
        zone = machine(path)
        dma(zone)["protection"] = 500
        take_until(zone, 2, WAIT)
        left = int(dma(zone)["free"])
        take_until(zone, 2, ATOMIC)

        assert left > 500
        own = dma(zone)
        if path == AllocationPath.V2_6_8:
            assert own["high"] - 4 <= own["free"] < own["high"] + 4
        else:
            assert own["free"] > 500
        verify_free(zone)


def verify_free(zone: Zone) -> None:
    """Pages of both zones are where their counters say."""
    first = int(zone.state["dma_first"])
    for own, rows in ((zone.own, slice(0, zone.pages)), (dma(zone), slice(first, first + DMA))):
        frame = zone.frame[rows]
        orders = frame["order"][frame["home"] == Home.BUDDY].astype(np.int64)
        assert own["free"] == (1 << orders).sum()


def test_a_page_goes_back_to_the_zone_it_is_of(machine) -> None:
    """Against a model of two counters: random requests and frees leave each zone what it lent."""
    zone = machine(AllocationPath.V2_6_8)
    rng = np.random.default_rng(3)
    start = [zone.free + zone.own["nr_hot"], int(dma(zone)["free"] + dma(zone)["nr_hot"])]
    held: list[tuple[int, int]] = []
    lent = [0, 0]
    for _ in range(20_000):
        order = int(rng.integers(0, 4))
        if rng.random() < 0.7:
            pfn = int(allocate(zone.state, order, ATOMIC, int(Caller.SOURCE)))
            if pfn != NO_PFN:
                held.append((pfn, order))
                lent[in_dma(zone, pfn)] += 1 << order
        elif held:
            pfn, order = held.pop(int(rng.integers(0, len(held))))
            if order:
                give_back(zone.state, pfn, order)
            else:
                free_page(zone.state, pfn, 0)
            lent[in_dma(zone, pfn)] -= 1 << order
    assert lent[1] > 0
    for own, first, out in ((zone.own, start[0], lent[0]), (dma(zone), start[1], lent[1])):
        assert own["free"] + own["nr_hot"] + own["nr_cold"] == first - out
    assert zone.state["zone_now"] == 0


@pytest.mark.parametrize("loop", [KswapdLoop.V2_6_8, KswapdLoop.V2_6_9])
def test_kswapd_shrinks_every_zone_up_to_the_one_in_need(quiet, loop: KswapdLoop) -> None:
    """With the zone below low, pages of DMA are freed though it is far above its marks."""
    settings = beside(quiet(NORMAL))
    zone = Zone(replace(settings, kswapd=replace(settings.kswapd, loop=loop)), seed=1)
    page = 0
    first = int(zone.state["dma_first"])
    while (pfn := allocate(zone.state, 0, WAIT, int(Caller.USER))) != NO_PFN and page < 40_000:
        install(zone.state, pfn, page, 0)
        page += 1
        # Leave DMA far above its marks: half of it stays free.
        if dma(zone)["free"] < DMA // 2 - 500:
            break
    assert (zone.frame["home"][first : first + DMA] == Home.INACTIVE).sum() > 1_000
    free = int(dma(zone)["free"])
    assert free > 20 * dma(zone)["high"]
    # A run takes little of so small a zone; what is left over adds up from run to run.
    for _ in range(40):
        wake_kswapd(zone.state, 0)
        assert zone.state["kswapd_awake"]
        while zone.state["kswapd_awake"]:
            run_kswapd(zone.state)
        assert zone.free > zone.own["high"]
        while zone.free > zone.own["low"]:
            install(zone.state, allocate(zone.state, 0, WAIT, int(Caller.USER)), page, 0)
            page += 1
    assert dma(zone)["count"]["reclaimed"].sum() > 0
    verify(zone)


@pytest.mark.parametrize("in_need", [0, 1])
def test_slabs_shrink_by_the_lists_of_the_zones_that_are_scanned(machine, in_need: int) -> None:
    """Of DMA alone where the zone has enough, so that a scan of so small a zone weighs much."""
    zone = machine(AllocationPath.V2_6_8)
    page = 0
    while (pfn := allocate(zone.state, 0, WAIT, int(Caller.USER))) != NO_PFN:
        install(zone.state, pfn, page, 0)
        page += 1
    listed = [int(own["nr_active"] + own["nr_inactive"]) for own in (zone.own, dma(zone))]
    assert min(listed) > 1_000
    for own, needs in ((zone.own, in_need == 0), (dma(zone), in_need == 1)):
        own["low"] = own["high"] = own["free"] + 100 if needs else 0
    wake_kswapd(zone.state, 0)
    run_kswapd(zone.state)

    assert zone.state["kswapd_lru_pages"] == sum(listed[in_need:])


@pytest.mark.parametrize("path", AllocationPath)
def test_a_machine_with_dma_stays_whole(path: AllocationPath) -> None:
    """Under load every page is somewhere, in each zone, and the same seed gives the same rows."""
    settings = small(NORMAL, allocation=path)
    later = path >= AllocationPath.V2_6_24
    settings = beside(
        replace(
            settings,
            kswapd=replace(
                settings.kswapd,
                policy=KswapdPolicy.ORDER_AWARE if path else KswapdPolicy.COUNT_ONLY,
                loop=KswapdLoop.V2_6_11 if path else KswapdLoop.V2_6_8,
            ),
            memory=replace(settings.memory, grouping=Grouping.ON if later else Grouping.OFF),
        )
    )
    one, other = (simulate(settings, seed=2, replicate=0) for _ in range(2))
    assert one.series.tobytes() == other.series.tobytes()
    zone = Zone(settings, seed=2)
    assert (zone.frame["kind"][int(zone.state["dma_first"]) :] == Kind.FILE).any()
    verify(zone)


@pytest.mark.parametrize("path", PATHS)
def test_a_new_min_free_kbytes_moves_the_marks_of_both_zones(quiet, path: AllocationPath) -> None:
    """By their share of lowmem; 2.6.8 then protects the zone's new low mark in DMA."""
    action = Action(SECOND, AdminAction.SET, "watermarks.min_free_kbytes", 8_000)
    zone = Zone(beside(quiet(3 * DMA, allocation=path, actions=(action,))), seed=1)
    protected = int(dma(zone)["protection"])
    advance(zone.state, 2 * SECOND)
    own = dma(zone)

    assert zone.marks == (1_500, 3_000, 4_500)
    assert (own["min"], own["low"], own["high"]) == (500, 1_000, 1_500)
    assert own["protection"] == (3_000 if path == AllocationPath.V2_6_8 else protected)


def test_caches_are_dropped_in_both_zones() -> None:
    """No clean file page that nobody maps is left in DMA either."""
    action = Action(2 * SECOND, AdminAction.DROP_CACHES)
    zone = Zone(replace(beside(small(NORMAL)), actions=(action,)), seed=1)
    first, kept = int(zone.state["dma_first"]), Flag.DIRTY | Flag.WRITEBACK | Flag.MAPPED

    def droppable() -> int:
        frame = zone.frame[first : first + DMA]
        listed = (frame["home"] == Home.ACTIVE) | (frame["home"] == Home.INACTIVE)
        clean = (frame["flags"] & kept) == 0
        return int((listed & clean & (frame["kind"] == Kind.FILE)).sum())

    advance(zone.state, 2 * SECOND - 1)
    before = droppable()
    advance(zone.state, 2 * SECOND + 1)

    assert before > 10
    assert droppable() <= 1  # what was read since
    verify(zone)


def test_free_and_reclaimed_pages_are_told_by_zone_and_of_the_machine() -> None:
    """What is named after DMA is DMA's, the rest the first zone's; 0 where there is no DMA."""
    settings = small(NORMAL)
    free = "free_pages_mean"
    with_dma, without = (
        simulate(one, seed=2, replicate=0).metrics for one in (beside(settings), settings)
    )

    assert with_dma[f"machine_{free}"] == pytest.approx(with_dma[free] + with_dma[f"dma_{free}"])
    assert 0 < with_dma[f"dma_{free}"] <= DMA
    assert 0 < with_dma["dma_reclaimed_pages"] < with_dma["reclaimed_pages"]
    assert without[f"machine_{free}"] == without[free] > 0
    assert without[f"dma_{free}"] == without["dma_reclaimed_pages"] == 0


def test_without_dma_nothing_is_different() -> None:
    """Its keys are 0 by default, and what a machine without it has is one zone."""
    assert Settings().memory.dma_pages == 0
    zone = Zone(small(), seed=1)
    assert zone.state["nr_zones"] == 1
    assert not zone.state["others"]["pages"].any()
    assert not zone.count["below"].any()
    assert zone.settings.clock.measure_ns == 2 * SECOND
