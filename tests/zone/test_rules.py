"""Arithmetic of the kernel's scan, caches and write-back that no larger test singles out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from study.zone.engine.agenda import book, drop_first, first_event, next_due
from study.zone.engine.enums import Caller, Event, Flag, Gfp, Home, Kind
from study.zone.engine.layout import (
    HEAD_INACTIVE,
    NEVER,
    NO_PFN,
    NO_ROW,
    NR_BUCKETS,
    PROCESS_PAGES_MAX,
)
from study.zone.load.user import fault
from study.zone.mm.linux_2_6 import allocate as alloc
from study.zone.mm.linux_2_6.buddy import take_block
from study.zone.mm.linux_2_6.kmalloc import cache_limits, kfree, kmalloc_atomic
from study.zone.mm.linux_2_6.kswapd import wake_kswapd
from study.zone.mm.linux_2_6.lru import mark_page_accessed
from study.zone.mm.linux_2_6.memory import free_user_page, install
from study.zone.mm.linux_2_6.percpu import give_back, take_page
from study.zone.mm.linux_2_6.reclaim import (
    begin_shrink,
    shrink_cache,
    shrink_done,
    shrink_step,
)
from study.zone.mm.linux_2_6.setup import scan_ns
from study.zone.mm.linux_2_6.slab import free_slab, new_slab
from study.zone.mm.linux_2_6.writeback import BACKGROUND_PERCENT, pdflush, set_dirty
from study.zone.settings import (
    Cpu,
    Kswapd,
    Memory,
    NicReceive,
    NicTransmit,
    Settings,
    Watermarks,
)
from study.zone.simulate import simulate
from study.zone.trial.advance import advance
from study.zone.trial.verify import verify
from study.zone.trial.zone import Zone
from tests.zone.conftest import SECOND, small

Quiet = Callable[..., Settings]
KSWAPD = 0


def full(quiet: Quiet, pages: int = 4_096, **groups: object) -> Zone:
    """A zone whose every frame holds a clean file page of the inactive list."""
    memory = Memory(pages=pages, lowmem_pages=pages, reserved_pages=0, percpu_lists=False)
    marks = Watermarks(explicit_pages=(16, 32, 48))
    zone = Zone(quiet(pages, memory=memory, watermarks=marks, **groups))
    for page in range(pages):
        pfn = take_block(zone.state, 0)
        install(zone.state, pfn, page, False)
        zone.frame[pfn]["flags"] = 0
    return zone


@pytest.mark.parametrize("order", range(6))
def test_a_cache_of_large_objects_has_the_kernels_limits(order: int) -> None:
    """8 objects above 4 KB and 24 of 4 KB in the array; half is moved at once."""
    limit, batch, idle = cache_limits(order)

    assert (limit, batch) == ((24, 12) if order == 0 else (8, 4))
    assert idle == 2 * batch + 1


@pytest.mark.parametrize(("held", "kept"), [(5, 5), (8, 8), (13, 13), (17, 14), (40, 17)])
def test_a_cache_keeps_so_many_idle_blocks(quiet: Quiet, held: int, kept: int) -> None:
    """Of order 3, up to 8 in the array, which sheds 4 when full, and 9 idle slabs behind it."""
    zone = Zone(quiet(4_096))
    pfns = [kmalloc_atomic(zone.state, 3, int(Caller.RX), int(Kind.RX)) for _ in range(held)]
    for pfn in pfns:
        kfree(zone.state, pfn, 3)

    idle = (zone.frame["kind"] == Kind.IDLE).sum()
    assert idle == kept
    verify(zone)


@pytest.mark.parametrize(
    ("priority", "calls", "scans"),
    [(12, 15, 0), (12, 16, 32), (7, 1, 33), (0, 1, 4_097)],
)
def test_small_shares_of_a_scan_add_up_to_a_batch(
    quiet: Quiet, priority: int, calls: int, scans: int
) -> None:
    """Each call adds (list >> priority) + 1; what is below 32 is carried over to the next."""
    zone = full(quiet)
    for _ in range(calls):
        begin_shrink(zone.state, KSWAPD, priority)

    assert zone.own["scan_inactive"][KSWAPD] == scans
    assert zone.own["nr_scan_inactive"] == (0 if scans else 2 * calls)
    assert zone.own["scan_target"][KSWAPD] == 32


def test_a_scan_ends_when_32_pages_are_free(quiet: Quiet) -> None:
    """However much it might scan, one call of shrink_zone frees a cluster and stops."""
    zone = full(quiet)
    begin_shrink(zone.state, KSWAPD, 0)
    while not shrink_done(zone.state, KSWAPD):
        shrink_step(zone.state, KSWAPD)

    assert zone.free == 32
    assert zone.own["scan_inactive"][KSWAPD] > 0


def test_direct_reclaim_is_content_with_a_cluster(quiet: Quiet) -> None:
    """A sleeper whose mark fails frees 32 pages in its first pass and is served."""
    zone = full(quiet)
    alloc.allocate_or_wait(zone.state, 0, int(Gfp.KERNEL), int(Caller.SLAB), 0, -1)
    rounds = 0
    while zone.state["nr_waiting"] and rounds < 100:
        advance(zone.state, zone.now + 20_000_000)
        rounds += 1

    assert zone.state["nr_waiting"] == 0
    reclaimed = zone.count["stall_reclaimed"][Caller.SLAB]
    assert reclaimed % 32 == 0
    assert 32 <= reclaimed <= 128


def due(zone: Zone, what: Event) -> int:
    """When the first event of a kind falls due; everything before it is dropped."""
    while next_due(zone.state) < NEVER:
        time, _, kind, _ = first_event(zone.state)
        if kind == what:
            return int(time)
        drop_first(zone.state)
    raise AssertionError(f"no {what.name} is booked")


@pytest.mark.parametrize(("disk_ms", "slept_ms"), [(None, 20), (7, 7), (300, 20)])
def test_who_has_reclaimed_in_vain_tries_again_after_20_ms(
    quiet: Quiet, disk_ms: int | None, slept_ms: int
) -> None:
    """HZ/50, or until a write ends: a cluster is free, but no block of the order is."""
    zone = full(quiet)
    for pfn in range(1, 4096, 2):
        _forget(zone, pfn)
        zone.frame[pfn]["home"] = Home.KERNEL
    if disk_ms is not None:
        zone.state["nr_writes"] = 1
        zone.write[zone.state["write_first"]]["time"] = disk_ms * 10**6

    assert alloc.allocate_or_wait(zone.state, 1, int(Gfp.KERNEL), int(Caller.STACK), 0, 0) == NO_PFN

    # Once its scan, which takes the processor, is over.
    assert due(zone, Event.RETRY) == zone.state["reclaimed_until"] + slept_ms * 10**6


def test_rows_of_dead_slab_pages_serve_again(quiet: Quiet) -> None:
    """However many slab pages come and go, the table has a row for each that lives."""
    zone = Zone(quiet(256))
    for _ in range(3 * len(zone.slot)):
        slot = new_slab(zone.state, take_page(zone.state, False), True)
        assert slot != NO_ROW
        free_slab(zone.state, slot)
    assert zone.state["slots_used"] == 1
    verify(zone)


def _forget(zone: Zone, pfn: int) -> None:
    from study.zone.mm.linux_2_6.lru import lru_del
    from study.zone.mm.linux_2_6.rmap import forget_page

    lru_del(zone.state, pfn)
    forget_page(zone.state, pfn)


def test_kswapd_is_woken_at_low_and_not_above(quiet: Quiet) -> None:
    """With one page more than low free it is not; with exactly low it is."""
    zone = full(quiet)
    zone.own["free"] = zone.own["low"] + 1
    wake_kswapd(zone.state, 0)
    assert not zone.state["kswapd_awake"]

    zone.own["free"] = zone.own["low"]
    wake_kswapd(zone.state, 0)
    assert zone.state["kswapd_awake"]


def test_the_hot_list_is_refilled_when_two_batches_are_left(quiet: Quiet) -> None:
    """With 2 * batch pages on it, a request first brings in another batch."""
    zone = Zone(quiet(65_536))
    batch = int(zone.own["pcp_batch"])
    while zone.own["nr_hot"] != 2 * batch + 1:
        take_page(zone.state, False)
    take_page(zone.state, False)
    assert zone.own["nr_hot"] == 2 * batch
    take_page(zone.state, False)
    assert zone.own["nr_hot"] == 3 * batch - 1


@pytest.mark.parametrize(
    ("kind", "write", "cold"),
    [(Kind.FILE, False, True), (Kind.FILE, True, False), (Kind.ANON, False, False)],
    ids=["read", "write", "anonymous"],
)
def test_reads_ask_the_cold_list_all_others_the_hot(
    quiet: Quiet, kind: Kind, write: bool, cold: bool
) -> None:
    """What the disk will fill need not be in the processor's cache; what a program fills should."""
    zone = Zone(quiet(65_536))
    batch = int(zone.own["pcp_batch"])
    zone.vpage[7]["kind"] = kind
    # The first to ask the cold list finds it empty and brings in a batch.
    hot, empty = int(zone.own["nr_hot"]), int(zone.own["nr_cold"])
    assert (hot > 2 * batch, empty, batch) == (True, 0, 16)

    fault(zone.state, 7, write, int(Caller.USER), -1)

    after = (hot, batch - 1) if cold else (hot - 1, 0)
    assert (zone.own["nr_hot"], zone.own["nr_cold"]) == after


def test_reclaimed_pages_go_to_the_cold_list_deleted_ones_to_the_hot(quiet: Quiet) -> None:
    """Of 16 reclaimed pages the last is freed first, so that the oldest is the next to be taken."""
    zone = Zone(quiet(65_536))
    pfns = []
    for page in range(17):
        fault(zone.state, page, False, int(Caller.USER), -1)
        pfns.append(int(zone.vpage[page]["pfn"]))
        zone.frame[pfns[-1]]["flags"] = 0
    # Boot leaves the hot list full.
    take_page(zone.state, False)
    hot, cold = int(zone.own["nr_hot"]), int(zone.own["nr_cold"])

    assert shrink_cache(zone.state, KSWAPD, 16, 16) == 16
    assert (zone.own["nr_hot"], zone.own["nr_cold"]) == (hot, cold + 16)
    assert [take_page(zone.state, True) for _ in range(16)] == pfns[:16]

    free_user_page(zone.state, 16)
    assert zone.own["nr_hot"] == hot + 1


@pytest.mark.parametrize("used", [False, True])
def test_a_dirty_page_in_use_is_not_written_yet(quiet: Quiet, used: bool) -> None:
    """Reclaim starts the write of an idle dirty page only; a used one makes another round."""
    zone = full(quiet)
    pfn = int(zone.frame[zone.own["head"] + HEAD_INACTIVE]["prev"])
    set_dirty(zone.state, pfn)
    if used:
        mark_page_accessed(zone.state, pfn)
    shrink_cache(zone.state, KSWAPD, 1, 1)

    assert bool(zone.frame[pfn]["flags"] & Flag.WRITEBACK) != used
    assert zone.count["written"] == (0 if used else 1)


def test_a_free_that_reaches_the_buddy_lists_rearms_kswapd(quiet: Quiet) -> None:
    """A zone that was given up is tried again as soon as anything of it is freed."""
    zone = full(quiet)
    zone.own["all_unreclaimable"], zone.own["pages_scanned"] = 1, 12_345
    _forget(zone, 7)
    give_back(zone.state, 7, 0)

    assert zone.own["all_unreclaimable"] == 0
    assert zone.own["pages_scanned"] == 0


def test_pdflush_writes_what_is_old_or_too_much(quiet: Quiet) -> None:
    """Young pages below the background share wait; old ones, or the oldest of too many, go."""
    zone = full(quiet)
    for pfn in range(10):
        set_dirty(zone.state, pfn)
    pdflush(zone.state)
    assert zone.state["nr_writes"] == 0

    zone.state["now"] += 31 * SECOND
    pdflush(zone.state)
    assert zone.state["nr_writes"] == 10

    zone = full(quiet)
    background = 4_096 * BACKGROUND_PERCENT // 100
    for pfn in range(background + 5):
        set_dirty(zone.state, pfn)
    pdflush(zone.state)
    assert zone.state["nr_writes"] == 5
    assert (zone.frame["flags"][:5] & Flag.WRITEBACK).all()


def test_how_fast_reclaim_is_follows_from_the_machine() -> None:
    """2,000 pages a ms were timed at 500 MIPS without cache misses; a speed may be said."""
    assert scan_ns(Settings(cpu=Cpu(mips=500, miss_ns=0))) == 1e6 / 2_000
    assert scan_ns(Settings()) == 250 + 3 * 150
    assert scan_ns(Settings(kswapd=Kswapd(pages_per_ms=200))) == 1e6 / 200


def test_the_demand_side_removes_whole_orders() -> None:
    """4K stacks ask for no order 1, scatter/gather for no order 2; receiving stays order 3."""
    linear = small(nic=replace(small().nic, transmit=NicTransmit.LINEAR))
    asked = simulate(linear, seed=1, replicate=0).metrics
    lean = replace(
        linear,
        processes=replace(linear.processes, stack_order=0),
        nic=replace(linear.nic, transmit=NicTransmit.SCATTER_GATHER),
    )
    saved = simulate(lean, seed=1, replicate=0).metrics
    none = replace(lean, nic=replace(lean.nic, receive=NicReceive.PAGE_ARRAY))
    at_all = simulate(none, seed=1, replicate=0).metrics

    assert min(asked[f"order{order}_attempts"] for order in (1, 2, 3)) > 0
    assert saved["order1_attempts"] == saved["order2_attempts"] == 0
    assert saved["order3_attempts"] > 0
    assert sum(at_all[f"order{order}_attempts"] for order in range(1, 11)) == 0


def test_a_full_wheel_leaves_the_rest_to_the_heap() -> None:
    """More events in the next milliseconds than the wheel has rows: none is lost, all in order."""
    zone = Zone(small(), empty=True)
    rows = len(zone.soon)
    times = [(7_919 * number) % 50_000_000 for number in range(rows + 500)]
    for number, time in enumerate(times):
        book(zone.state, time, 0, number)
    assert zone.state["nr_soon"] == rows
    assert zone.state["nr_events"] == 500

    met = []
    while next_due(zone.state) < NEVER:
        due, _, _, value = first_event(zone.state)
        met.append((due, value))
        drop_first(zone.state)
    assert met == sorted((time, number) for number, time in enumerate(times))
    assert zone.state["nr_soon"] == zone.state["nr_events"] == 0


@given(times=st.lists(st.integers(0, 5), max_size=60), dropped=st.integers(0, 3))
@hypothesis_settings(max_examples=60, deadline=None)
def test_events_come_by_time_and_at_equal_times_as_booked(times: list[int], dropped: int) -> None:
    """The agenda is a stable sort, also while events are taken out between two bookings."""
    zone = Zone(small(), empty=True)
    waiting: list[tuple[int, int]] = []
    met: list[tuple[int, int]] = []
    expected: list[tuple[int, int]] = []
    for number, step in enumerate(times):
        # Up to 100 ms ahead: on the wheel and in the heap.
        time = step * 20_000_000
        book(zone.state, time, 0, number)
        waiting.append((time, number))
        for _ in range(dropped if number % 4 == 3 else 0):
            if waiting:
                due, _, _, value = first_event(zone.state)
                met.append((due, value))
                drop_first(zone.state)
                expected.append(min(waiting))
                waiting.remove(min(waiting))
    while waiting:
        due, _, _, value = first_event(zone.state)
        met.append((due, value))
        drop_first(zone.state)
        expected.append(min(waiting))
        waiting.remove(min(waiting))

    assert met == expected


BUCKET_NS = 1 << 16


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from((0, 1, 63, 64, 65, 500, NR_BUCKETS - 1, NR_BUCKETS, NR_BUCKETS + 1)),
            st.integers(0, 2),
        ),
        max_size=60,
    )
)
@example(steps=[(NR_BUCKETS, 0), (5, 0), (0, 1)])
@example(steps=[(3, 1), (NR_BUCKETS - 1, 0), (65, 0), (0, 1)])
@hypothesis_settings(max_examples=60, deadline=None)
def test_the_wheel_turns_as_time_passes(steps: list[tuple[int, int]]) -> None:
    """What is due almost a turn ahead, or just beyond, comes neither early nor late."""
    zone = Zone(small(), empty=True)
    z = zone.state
    waiting: list[tuple[int, int]] = []
    for number, (buckets, dropped) in enumerate([*steps, (0, len(steps) + 1)]):
        time = int(z["now"]) + buckets * BUCKET_NS
        book(z, time, 0, number)
        waiting.append((time, number))
        for _ in range(min(dropped, len(waiting))):
            due, _, _, value = first_event(z)
            assert (due, value) == min(waiting)
            waiting.remove((due, value))
            drop_first(z)
            z["now"] = due
    assert next_due(z) == NEVER


@pytest.mark.parametrize("stack_order", [0, 1])
def test_processes_leave_nothing_behind(stack_order: int) -> None:
    """As many stacks and page tables are in use as the processes alive have, and no more."""
    processes = replace(small().processes, stack_order=stack_order, forks_per_s=200.0)
    zone = Zone(small(processes=processes), seed=2)
    advance(zone.state, 3 * SECOND)
    heads = zone.frame["home"][: zone.pages] == Home.KERNEL
    kinds = zone.frame["kind"][: zone.pages][heads]
    alive = zone.process["alive"] == 1

    assert zone.count["exits"] > 100
    assert (kinds == Kind.STACK).sum() == zone.state["live"] > 0
    assert (kinds == Kind.PAGE_TABLE).sum() == zone.process["tables"][alive].sum()


def test_private_memory_is_anonymous_and_mapped() -> None:
    """Of the first process in a slot as of every later one (do_anonymous_page)."""
    zone = Zone(small(), seed=2)
    advance(zone.state, SECOND)
    used = np.repeat(zone.process["born"] > 0, PROCESS_PAGES_MAX)
    private = zone.vpage[zone.state["process_vpages"] :][used]
    resident = private["pfn"][private["pfn"] != NO_PFN]

    assert zone.process["born"].max() > 1
    assert private["mapped"].all()
    assert len(resident) > 0
    assert (zone.frame["kind"][resident] == Kind.ANON).all()


def test_homes_are_what_the_tests_think(quiet: Quiet) -> None:
    """full() leaves nothing free: what the tests above count is what they did."""
    zone = full(quiet)

    assert zone.free == 0
    assert (zone.frame["home"][:4_096] == Home.INACTIVE).all()
    assert np.array_equal(zone.vpage["pfn"][zone.frame["owner"][:4_096]], np.arange(4_096))
