"""Allocation, reclaim and the defragmenter, one rule at a time on zones set up by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from study.zone.engine.agenda import drop_first, first_event, next_due
from study.zone.engine.enums import Caller, Event, Flag, Gfp, Home, Kind
from study.zone.engine.layout import NEVER, NO_PFN, WAITING
from study.zone.load.nic import WATCHDOG_NS, refill_ring, rx_frame, rx_watchdog
from study.zone.load.user import fault
from study.zone.mm.linux_2_6 import allocate as alloc
from study.zone.mm.linux_2_6.buddy import take_block
from study.zone.mm.linux_2_6.defrag import (
    ask_daemon,
    cost_of_emptying,
    defragment_inline,
    empty_block,
    run_daemon,
)
from study.zone.mm.linux_2_6.kmalloc import kfree, kmalloc_atomic, new_object
from study.zone.mm.linux_2_6.kswapd import wake_kswapd
from study.zone.mm.linux_2_6.lru import mark_page_accessed
from study.zone.mm.linux_2_6.memory import install
from study.zone.mm.linux_2_6.percpu import give_back
from study.zone.mm.linux_2_6.reclaim import (
    begin_scan,
    reclaim_mapped,
    refill_inactive,
    shrink_cache,
)
from study.zone.settings import (
    Defrag,
    DefragMode,
    DefragRun,
    Kswapd,
    KswapdLoop,
    KswapdPolicy,
    Memory,
    Nic,
    Settings,
    User,
    Watermarks,
)
from study.zone.trial.advance import advance
from study.zone.trial.verify import verify
from study.zone.trial.zone import Zone

Quiet = Callable[..., Settings]
KSWAPD, DIRECT = 0, 1
MARKS = Watermarks(explicit_pages=(64, 128, 192))


def plain_memory(pages: int, **more: object) -> Memory:
    return Memory(pages=pages, lowmem_pages=pages, reserved_pages=0, percpu_lists=False, **more)  # type: ignore[arg-type]


def full_of_files(quiet: Quiet, pages: int = 4096, **groups: object) -> Zone:
    """A zone whose every frame holds an unmapped, clean, unreferenced file page."""
    zone = Zone(quiet(pages, memory=plain_memory(pages), watermarks=MARKS, **groups))
    for page in range(pages):
        pfn = take_block(zone.state, 0)
        install(zone.state, pfn, page, False)
        zone.frame[pfn]["flags"] = 0
    return zone


def evict(zone: Zone, pfns: list[int]) -> None:
    """Free single file pages."""
    from study.zone.mm.linux_2_6.lru import lru_del
    from study.zone.mm.linux_2_6.rmap import forget_page

    for pfn in pfns:
        lru_del(zone.state, pfn)
        forget_page(zone.state, pfn)
        give_back(zone.state, pfn, 0)


def test_stock_kswapd_sleeps_beside_a_failing_atomic_request(quiet: Quiet) -> None:
    """2.6.8: 300 single free pages, above high; order 3 fails and kswapd is not even woken."""
    zone = full_of_files(quiet)
    evict(zone, list(range(0, 600, 2)))

    assert alloc.allocate_atomic(zone.state, 3, int(Caller.RX)) == NO_PFN
    assert zone.free == 300 > zone.own["high"]
    assert zone.state["kswapd_awake"] == 0
    assert zone.count["wakeups"] == 0
    assert zone.count["failures"][Caller.RX] == 1


@pytest.mark.parametrize(
    ("policy", "order", "free_singles", "expected"),
    [
        # blockless, of them kswapd at rest; above low and at rest, of them woken
        (KswapdPolicy.COUNT_ONLY, 3, 300, (1, 1, 1, 0)),
        (KswapdPolicy.ORDER_AWARE, 3, 300, (1, 0, 1, 1)),
        (KswapdPolicy.COUNT_ONLY, 3, 100, (1, 0, 0, 0)),
        (KswapdPolicy.COUNT_ONLY, 0, 100, (0, 0, 0, 0)),
    ],
)
def test_what_kswapd_does_about_a_request_without_a_block_is_counted(
    quiet: Quiet,
    policy: KswapdPolicy,
    order: int,
    free_singles: int,
    expected: tuple[int, int, int, int],
) -> None:
    """A request that meets no block of its order is counted by whether kswapd rests or wakes."""
    zone = full_of_files(quiet, kswapd=Kswapd(policy=policy))
    evict(zone, list(range(0, 2 * free_singles, 2)))

    alloc.allocate_atomic(zone.state, order, int(Caller.RX))

    count = zone.count
    names = ("blockless", "blockless_rests", "blockless_asked", "blockless_woken")
    assert tuple(count[name] for name in names) == expected


def test_order_aware_kswapd_works_until_blocks_form(quiet: Quiet) -> None:
    """The same zone under the patch: woken for order 3, it rests when the order test passes."""
    zone = full_of_files(
        quiet, kswapd=Kswapd(policy=KswapdPolicy.ORDER_AWARE, loop=KswapdLoop.V2_6_9)
    )
    evict(zone, list(range(0, 600, 2)))
    alloc.allocate_atomic(zone.state, 3, int(Caller.RX))

    assert zone.state["kswapd_awake"] == 1
    advance(zone.state, 10**9)

    assert zone.state["kswapd_awake"] == 0
    assert alloc.allocate_atomic(zone.state, 3, int(Caller.RX)) != NO_PFN
    assert zone.free > 300


def test_kswapd_frees_up_to_high_and_rests(quiet: Quiet) -> None:
    """Woken below low it frees until more than high is free, and little more."""
    zone = full_of_files(quiet)
    wake_kswapd(zone.state, 0)
    advance(zone.state, 10**9)

    assert zone.state["kswapd_awake"] == 0
    assert zone.own["high"] < zone.free <= zone.own["high"] + 64
    verify(zone)


def test_kswapd_of_2_6_8_gives_up_after_thirteen_priorities(quiet: Quiet) -> None:
    """With nothing to free it scans down to priority 0 once and sleeps below high."""
    zone = full_of_files(quiet, pages=1024)
    zone.frame["flags"][:1024] |= np.uint8(Flag.WRITEBACK)
    zone.state["nr_writeback"] = 1024
    wake_kswapd(zone.state, 0)
    advance(zone.state, 10**9)

    assert zone.state["kswapd_awake"] == 0
    assert zone.free == 0
    assert zone.own["temp_priority"] == 0
    assert zone.count["reclaimed"][KSWAPD] == 0


@pytest.mark.parametrize(
    ("loop", "rests", "scanned"),
    [
        # Lengths of the list looked at when it rests, or after a second if it does not.
        (KswapdLoop.V2_6_8, True, (1.9, 3.0)),
        (KswapdLoop.V2_6_9, True, (4.0, 5.0)),
        # What is counted are the pages looked at on the active list, of which there are none.
        (KswapdLoop.V2_6_10, False, (10.0, 1e9)),
        # It waits for the disk a tenth of a second after each pass below priority 10.
        (KswapdLoop.V2_6_11, False, (1.9, 4.0)),
    ],
)
def test_when_kswapd_gives_a_zone_up_by_its_version(
    quiet: Quiet, loop: KswapdLoop, rests: bool, scanned: tuple[float, float]
) -> None:
    """With nothing to free: after 13 priorities; or after four times both lists, if ever."""
    zone = full_of_files(quiet, pages=1024, kswapd=Kswapd(loop=loop))
    assert zone.own["nr_inactive"] == 1024
    zone.frame["flags"][:1024] |= np.uint8(Flag.WRITEBACK)
    zone.state["nr_writeback"] = 1024
    wake_kswapd(zone.state, 0)
    advance(zone.state, 10**9)

    assert (zone.state["kswapd_awake"] == 0) == rests
    least, most = scanned
    assert least * 1024 <= zone.count["scanned"][KSWAPD] <= most * 1024


def test_kswapd_of_2_6_9_begins_anew_once_it_has_freed_a_cluster(quiet: Quiet) -> None:
    """Far below high, the 2.6.8 loop goes deeper with every pass, the later one starts again."""
    lowest = {}
    for loop in (KswapdLoop.V2_6_8, KswapdLoop.V2_6_9):
        zone = full_of_files(quiet, kswapd=Kswapd(loop=loop))
        wake_kswapd(zone.state, 0)
        seen = []
        while zone.state["kswapd_awake"]:
            advance(zone.state, zone.now + 50_000)
            seen.append(int(zone.own["prev_priority"]))
        assert zone.free > zone.own["high"]
        lowest[loop] = min(seen)

    assert lowest[KswapdLoop.V2_6_8] < lowest[KswapdLoop.V2_6_9]


def test_distress_makes_mapped_pages_fair_game_within_one_run(quiet: Quiet) -> None:
    """With 68 % mapped nothing may be unmapped until the scan has gone as deep as priority 4."""
    zone = full_of_files(quiet, pages=1024)
    mapped = list(range(566))
    for pfn in range(566, 1024):
        evict(zone, [pfn])
        new_object(zone.state, take_block(zone.state, 0), 0, int(Kind.SLAB))
    for pfn in mapped:
        mark_page_accessed(zone.state, pfn)
        mark_page_accessed(zone.state, pfn)
        zone.frame[pfn]["flags"] = Flag.MAPPED
    zone.state["nr_mapped"] = len(mapped)
    begin_scan(zone.state, KSWAPD)
    assert not reclaim_mapped(zone.state, KSWAPD)
    wake_kswapd(zone.state, 0)
    advance(zone.state, 10**9)

    assert zone.count["wakeups"] == 1
    assert zone.count["reclaimed"][KSWAPD] > 0
    assert zone.own["prev_priority"] <= 4


def test_a_wake_up_above_low_is_refused(quiet: Quiet) -> None:
    """wakeup_kswapd of 2.6.8 does nothing while free > low, whatever the order."""
    zone = full_of_files(quiet)
    evict(zone, list(range(0, 2 * 129, 2)))
    wake_kswapd(zone.state, 10)

    assert zone.count["wakeups_refused"] == 1
    assert zone.state["kswapd_awake"] == 0


@pytest.mark.parametrize(("order", "gives_up"), [(1, False), (3, False), (4, True)])
def test_sleeping_requests_are_retried_without_bound_up_to_order_3(
    quiet: Quiet, order: int, gives_up: bool
) -> None:
    """Above order 3 one round of reclaim decides; up to order 3 the request goes on."""
    zone = full_of_files(quiet)
    # Every second frame is the kernel's, so that no block of two can ever form.
    for pfn in range(1, 4096, 2):
        evict(zone, [pfn])
        assert take_block(zone.state, 0) == pfn
        new_object(zone.state, pfn, 0, int(Kind.SLAB))
        zone.state["nr_slab"] += 1
    answer = alloc.allocate_or_wait(zone.state, order, int(Gfp.KERNEL), int(Caller.STACK), 0, 0)

    assert answer == (alloc.GAVE_UP if gives_up else NO_PFN)
    assert zone.state["nr_waiting"] == (0 if gives_up else 1)
    assert zone.count["failures"][Caller.STACK] == (1 if gives_up else 0)
    assert zone.count["reclaimed"][DIRECT] >= 32
    assert zone.free != 0


@pytest.mark.parametrize("write", [False, True])
def test_a_fault_that_slept_brings_its_page_in_as_asked(quiet: Quiet, write: bool) -> None:
    """Below low a fault waits for kswapd; then its page is there, dirty only if written."""
    zone = full_of_files(quiet)
    page = 5_000
    fault(zone.state, page, write, int(Caller.USER), -1)
    assert zone.vpage[page]["state"] & WAITING
    assert zone.state["nr_waiting"] == 1

    advance(zone.state, 10**9)

    pfn = int(zone.vpage[page]["pfn"])
    assert pfn != NO_PFN
    assert not zone.vpage[page]["state"] & WAITING
    assert bool(zone.frame[pfn]["flags"] & Flag.DIRTY) == write
    assert zone.state["nr_waiting"] == 0
    assert zone.count["stalls"][Caller.USER] == 1
    # It reclaimed, slept 20 ms and reclaimed once more; each scan delays what comes after it, once.
    assert zone.count["stall_rounds"][Caller.USER] == 2
    assert zone.count["stall_ns"][Caller.USER] == zone.state["reclaimed_until"]
    assert zone.count["stall_ns"][Caller.USER] > 20_000_000
    verify(zone)


def test_a_second_read_promotes_a_page(quiet: Quiet) -> None:
    """Inactive and unreferenced, then referenced, then active with the bit cleared."""
    zone = full_of_files(quiet)
    pfn = 100

    mark_page_accessed(zone.state, pfn)
    assert (zone.frame[pfn]["home"], zone.frame[pfn]["flags"]) == (Home.INACTIVE, Flag.REFERENCED)
    mark_page_accessed(zone.state, pfn)
    assert (zone.frame[pfn]["home"], zone.frame[pfn]["flags"]) == (Home.ACTIVE, 0)
    mark_page_accessed(zone.state, pfn)
    assert (zone.frame[pfn]["home"], zone.frame[pfn]["flags"]) == (Home.ACTIVE, Flag.REFERENCED)


def test_the_oldest_pages_go_first(quiet: Quiet) -> None:
    """shrink_cache frees the pages that were installed first, in that order."""
    zone = full_of_files(quiet)
    oldest = [int(zone.vpage[page]["pfn"]) for page in range(33)]

    assert shrink_cache(zone.state, KSWAPD, 32, 32) == 32
    assert all(zone.vpage[page]["pfn"] == NO_PFN for page in range(32))
    assert zone.vpage[32]["pfn"] == oldest[32]
    verify(zone)


def test_a_clean_unmapped_page_is_freed_though_referenced(quiet: Quiet) -> None:
    """In 2.6.8 the flag protects only pages in use: mapped, or in the swap cache."""
    zone = full_of_files(quiet)
    first, second = (int(zone.vpage[page]["pfn"]) for page in (0, 1))
    zone.frame[first]["flags"] = Flag.REFERENCED
    zone.frame[second]["flags"] = Flag.REFERENCED | Flag.MAPPED
    zone.state["nr_mapped"] = 1

    assert shrink_cache(zone.state, KSWAPD, 2, 2) == 1
    assert zone.vpage[0]["pfn"] == NO_PFN
    assert zone.frame[second]["home"] == Home.ACTIVE
    assert zone.frame[second]["flags"] == Flag.MAPPED


def test_a_dirty_page_is_written_then_freed_at_the_next_scan(quiet: Quiet) -> None:
    """First trip: written and kept; when the write ends it goes to the tail and is freed next."""
    from study.zone.mm.linux_2_6.writeback import set_dirty

    zone = full_of_files(quiet)
    pfn = int(zone.vpage[0]["pfn"])
    set_dirty(zone.state, pfn)

    assert shrink_cache(zone.state, KSWAPD, 1, 1) == 0
    assert zone.frame[pfn]["flags"] & Flag.WRITEBACK
    assert zone.count["written"] == 1
    advance(zone.state, 10**8)
    assert zone.frame[zone.own["head"] + 14]["prev"] == pfn
    assert shrink_cache(zone.state, KSWAPD, 1, 1) == 1
    assert zone.vpage[0]["pfn"] == NO_PFN


@pytest.mark.parametrize(
    ("priority", "mapped_percent", "fair"),
    [(12, 79, False), (12, 80, True), (7, 79, False), (3, 50, False), (3, 56, True), (1, 0, True)],
)
def test_mapped_pages_are_fair_game_by_distress_and_ratio(
    quiet: Quiet, priority: int, mapped_percent: int, fair: bool
) -> None:
    """mapped_ratio / 2 + distress + swappiness >= 100, with distress = 100 >> priority."""
    zone = Zone(quiet(1000), empty=True)
    zone.own["prev_priority"] = priority
    zone.own["total_memory"] = 1000
    zone.state["nr_mapped"] = mapped_percent * 10
    begin_scan(zone.state, KSWAPD)

    assert reclaim_mapped(zone.state, KSWAPD) == fair


@pytest.mark.parametrize(
    ("mapped", "referenced", "stays"),
    [
        (True, True, True),
        (True, False, True),
        (False, True, False),
        (False, False, False),
    ],
)
def test_aging_keeps_mapped_pages_and_no_others(
    quiet: Quiet, mapped: bool, referenced: bool, stays: bool
) -> None:
    """Without distress a mapped page goes round; an unmapped one goes even if referenced."""
    zone = full_of_files(quiet)
    pfn = 7
    mark_page_accessed(zone.state, pfn)
    mark_page_accessed(zone.state, pfn)
    zone.frame[pfn]["flags"] = mapped * Flag.MAPPED | referenced * Flag.REFERENCED
    zone.state["nr_mapped"] = int(mapped)
    refill_inactive(zone.state, KSWAPD, 1)

    assert (zone.frame[pfn]["home"] == Home.ACTIVE) == stays
    if not stays:
        assert bool(zone.frame[pfn]["flags"] & Flag.REFERENCED) == referenced


@pytest.mark.parametrize("mode", [DefragMode.RMAP_EVICT, DefragMode.RMAP_MIGRATE])
def test_the_defragmenter_empties_an_aligned_block(quiet: Quiet, mode: DefragMode) -> None:
    """Evicting frees its pages; migrating moves them and changes no count of free pages."""
    zone = full_of_files(quiet, defrag=Defrag(mode=mode))
    evict(zone, [*range(1, 800, 2), 2048 + 2])
    free = zone.free
    resident = int((zone.vpage["pfn"] >= 0).sum())

    assert cost_of_emptying(zone.state, 2048, 3) == 7
    assert empty_block(zone.state, 2048, 3) > 0
    verify(zone)
    assert zone.frame[2048]["home"] == Home.BUDDY
    assert zone.frame[2048]["order"] == 3
    evicted = 7 if mode == DefragMode.RMAP_EVICT else 0
    assert zone.free == free + evicted
    assert (zone.vpage["pfn"] >= 0).sum() == resident - evicted
    assert zone.count["defrag_migrated"] == 7 - evicted


@pytest.mark.parametrize("spoilt", ["kernel", "writeback", "percpu", "free"])
def test_a_block_that_cannot_be_emptied_is_left_alone(quiet: Quiet, spoilt: str) -> None:
    """One page of the kernel's, in flight to disk or on a per-cpu list spoils its block."""
    zone = full_of_files(quiet, defrag=Defrag(mode=DefragMode.RMAP_MIGRATE))
    if spoilt == "kernel":
        evict(zone, [67])
        new_object(zone.state, take_block(zone.state, 0), 0, int(Kind.SLAB))
    elif spoilt == "writeback":
        zone.frame[67]["flags"] |= Flag.WRITEBACK
    elif spoilt == "percpu":
        zone.frame[67]["home"] = Home.PERCPU
    else:
        evict(zone, list(range(64, 72)))

    assert cost_of_emptying(zone.state, 64, 3) == -1


def test_the_daemon_takes_the_cheapest_blocks_and_stops(quiet: Quiet) -> None:
    """Blocks with more holes go first; the run ends with as many blocks as wanted."""
    zone = full_of_files(
        quiet,
        defrag=Defrag(mode=DefragMode.RMAP_EVICT, run=DefragRun.DAEMON, blocks_wanted=5),
    )
    holes = [pfn for block in (10, 20, 30, 40, 50) for pfn in range(8 * block, 8 * block + 8, 2)]
    evict(zone, [*holes, 8 * 60 + 1])
    run_daemon(zone.state)

    assert zone.count["defrag_blocks"] == 5
    assert zone.count["defrag_evicted"] == 20
    assert all(zone.frame[8 * block]["home"] == Home.BUDDY for block in (10, 20, 30, 40, 50))
    assert zone.frame[8 * 60]["home"] == Home.INACTIVE


def test_a_block_that_lacks_one_page_goes_first_and_a_full_one_last(quiet: Quiet) -> None:
    """From one page to all eight: the cheapest costs one, and even the dearest can be had."""
    zone = full_of_files(
        quiet,
        defrag=Defrag(mode=DefragMode.RMAP_EVICT, run=DefragRun.DAEMON, blocks_wanted=1),
    )
    evict(zone, [pfn for pfn in range(80, 88) if pfn != 83])
    evict(zone, [*range(160, 166)])
    run_daemon(zone.state)

    assert zone.count["defrag_evicted"] == 1
    assert zone.frame[80]["home"] == Home.BUDDY
    assert zone.frame[80]["order"] == 3
    zone.state["defrag_blocks_wanted"] = 3
    run_daemon(zone.state)
    assert zone.count["defrag_evicted"] == 1 + 2 + 8


def test_the_daemon_rests_for_its_interval(quiet: Quiet) -> None:
    """The first failed request has it run at once; the next only when the interval has passed."""
    interval = 10_000_000_000
    zone = full_of_files(
        quiet,
        defrag=Defrag(
            mode=DefragMode.RMAP_EVICT,
            run=DefragRun.DAEMON,
            interval_ns=interval,
            blocks_wanted=1,
            budget_pages=8,
        ),
    )
    evict(zone, list(range(0, 600, 2)))
    ask_daemon(zone.state, 3)
    advance(zone.state, 1_000)
    assert zone.count["defrag_runs"] == 1

    zone.nr_free[3:] = 0  # as if what it made were taken at once
    ask_daemon(zone.state, 0)
    ask_daemon(zone.state, 3)
    advance(zone.state, interval - 1)
    assert zone.count["defrag_runs"] == 1
    advance(zone.state, interval + 1)
    assert zone.count["defrag_runs"] == 2


def test_the_inline_window_wanders_over_the_zone_and_begins_anew(quiet: Quiet) -> None:
    """Each run from kswapd looks at the next window; after the last comes the first."""
    zone = full_of_files(
        quiet,
        defrag=Defrag(
            mode=DefragMode.RMAP_EVICT,
            run=DefragRun.INLINE,
            blocks_wanted=10_000,
            scan_pages=1_024,
        ),
    )
    for windows in range(1, 5):
        defragment_inline(zone.state)
        assert zone.free == 1_024 * windows
        assert (zone.frame["home"][1_024 * windows : 4_096] == Home.INACTIVE).all()
    install(zone.state, take_block(zone.state, 0), 0, False)
    before = int(zone.count["defrag_scanned"])
    defragment_inline(zone.state)
    assert zone.state["defrag_cursor"] == 1_024 >> 3
    assert zone.count["defrag_scanned"] == before + 1_024


def test_the_defragmenters_budget_is_kept(quiet: Quiet) -> None:
    """No run evicts more pages than its budget."""
    zone = full_of_files(quiet, defrag=Defrag(mode=DefragMode.RMAP_EVICT, budget_pages=20))
    run_daemon(zone.state)

    assert 0 < zone.count["defrag_evicted"] <= 20


def test_the_receive_ring_fills_and_drops_when_empty(quiet: Quiet) -> None:
    """Never more buffers than descriptors; a frame is lost exactly when none is posted."""
    zone = Zone(
        quiet(4096, memory=plain_memory(4096), nic=Nic(ring=8, rx_order=3, rx_frames_per_s=0.0))
    )
    refill_ring(zone.state)
    assert zone.state["nr_posted"] == 8

    while take_block(zone.state, 3) != NO_PFN:
        pass
    for _ in range(12):
        rx_frame(zone.state, 1)

    received = int(zone.count["frames_received"])
    assert zone.count["frames_dropped"] == 12 - received > 0
    assert zone.state["nr_posted"] == 0


def test_a_card_that_replaces_first_loses_the_frame_and_keeps_its_buffer(quiet: Quiet) -> None:
    """tg3: without a new buffer a frame is lost and the ring stays full, though memory is."""
    nic = Nic(ring=8, rx_order=2, rx_frames_per_s=0.0, replaces=True)
    zone = Zone(quiet(4096, memory=plain_memory(4096), nic=nic))
    refill_ring(zone.state)
    rx_frame(zone.state, 1)
    assert (zone.state["nr_posted"], zone.count["frames_received"]) == (8, 1)

    while take_block(zone.state, 2) != NO_PFN:
        pass
    posted = sorted(zone.posted["row"][:8].tolist())
    # What the first frame left in the cache of buffers serves none: it is still held.
    for _ in range(12):
        rx_frame(zone.state, 1)

    assert zone.count["frames_dropped"] == 12
    assert zone.state["nr_posted"] == 8
    assert sorted(zone.posted["row"][:8].tolist()) == posted
    assert zone.count["failures"][Caller.RX] == 12


def test_a_card_that_replaces_posts_the_new_buffer_and_hands_up_the_old(quiet: Quiet) -> None:
    """Ring and readers share no buffer, and none is left over."""
    nic = Nic(ring=8, rx_order=2, rx_frames_per_s=0.0, replaces=True)
    zone = Zone(quiet(4096, memory=plain_memory(4096), nic=nic))
    refill_ring(zone.state)
    for _ in range(20):
        rx_frame(zone.state, 1)
    held = []
    while next_due(zone.state) < NEVER:
        _, _, what, value = first_event(zone.state)
        if what == Event.RX_RETURN:
            held.append(int(value))
        drop_first(zone.state)

    assert len(held) == zone.state["nr_held"] == 20
    in_use = np.flatnonzero(zone.frame["kind"][:4096] == Kind.RX)
    assert sorted(held + zone.posted["row"][:8].tolist()) == in_use.tolist()


def test_the_watchdog_refills_a_ring_that_no_frame_comes_to(quiet: Quiet) -> None:
    """A ring left empty for want of memory is full again two seconds after there is some."""
    zone = Zone(quiet(4096, memory=plain_memory(4096), nic=Nic(ring=16, rx_frames_per_s=0.0)))
    assert zone.state["nr_posted"] == 0

    rx_watchdog(zone.state)
    assert zone.state["nr_posted"] == 16
    assert zone.event["time"][: zone.state["nr_events"]].max() >= WATCHDOG_NS


def test_idle_objects_stay_in_their_cache(quiet: Quiet) -> None:
    """A steady load of 8K objects runs from the cache: one request to the buddy lists."""
    zone = Zone(quiet(4096, memory=plain_memory(4096)))
    for _ in range(100):
        kfree(zone.state, kmalloc_atomic(zone.state, 1, int(Caller.STACK), int(Kind.STACK)), 1)

    assert zone.count["attempts"][Caller.STACK] == 1
    held = [kmalloc_atomic(zone.state, 1, int(Caller.STACK), int(Kind.STACK)) for _ in range(50)]
    for pfn in held:
        kfree(zone.state, pfn, 1)
    in_array, idle_slabs = int(zone.state["cache_used"][1]), int(zone.state["cache_free"][1])
    # (1 + CPUs) * batch + objects per slab.
    assert idle_slabs == 2 * 4 + 1
    assert in_array <= 8
    assert zone.own["nr_kernel"] == 2 * (in_array + idle_slabs)


def test_no_page_is_lost_to_user_memory_without_swap(quiet: Quiet) -> None:
    """Without swap anonymous pages are never reclaimed."""
    zone = Zone(
        quiet(
            1024,
            memory=plain_memory(1024, swap=False),
            user=User(
                working_set_pages=2048,
                touches_per_s=0.0,
                anonymous_share=1.0,
                filled=False,
                drifts_per_s=0.0,
                deletes_per_s=0.0,
            ),
        )
    )
    for page in range(1000):
        install(zone.state, take_block(zone.state, 0), page, True)
    zone.own["prev_priority"] = 0
    begin_scan(zone.state, KSWAPD)
    refill_inactive(zone.state, KSWAPD, 1000)

    assert zone.own["nr_active"] == 1000
    assert shrink_cache(zone.state, KSWAPD, 32, 32) == 0
