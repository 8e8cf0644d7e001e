"""Rules of reclaim that differ between 2.6.8, 2.6.9, 2.6.10 and 2.6.11, one at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from study.zone.engine.enums import Caller, Event, Flag, Gfp, Home, Kind
from study.zone.engine.layout import HEAD_INACTIVE, NO_PFN
from study.zone.mm.linux_2_6 import allocate as alloc
from study.zone.mm.linux_2_6.buddy import take_block
from study.zone.mm.linux_2_6.kmalloc import kfree, kmalloc_atomic, new_object, reap
from study.zone.mm.linux_2_6.kswapd import run_kswapd, wake_kswapd
from study.zone.mm.linux_2_6.lru import mark_page_accessed
from study.zone.mm.linux_2_6.memory import free_neighbours, install, touch_resident
from study.zone.mm.linux_2_6.reclaim import (
    begin_scan,
    begin_shrink,
    pagevec_size,
    reclaim_mapped,
    refill_inactive,
    shrink_cache,
    shrink_done,
    shrink_slab,
    shrink_step,
)
from study.zone.mm.linux_2_6.slab import new_slab
from study.zone.mm.linux_2_6.writeback import (
    CONGESTED_PAGES,
    WRITES_MOST,
    end_page_writeback,
    queue_wait_ns,
    set_dirty,
)
from study.zone.settings import (
    AllocationPath,
    Kswapd,
    KswapdLoop,
    KswapdPolicy,
    Memory,
    Settings,
    Slab,
    Watermarks,
)
from study.zone.trial.verify import verify
from study.zone.trial.zone import Zone
from tests.zone.test_rules import due

Quiet = Callable[..., Settings]
KSWAPD, DIRECT = 0, 1
SECOND = 1_000_000_000
RULES = {
    "2.6.8": (AllocationPath.V2_6_8, KswapdLoop.V2_6_8, KswapdPolicy.COUNT_ONLY),
    "2.6.9": (AllocationPath.V2_6_9, KswapdLoop.V2_6_9, KswapdPolicy.COUNT_ONLY),
    "2.6.10": (AllocationPath.V2_6_9, KswapdLoop.V2_6_10, KswapdPolicy.COUNT_ONLY),
    "2.6.11": (AllocationPath.V2_6_11, KswapdLoop.V2_6_11, KswapdPolicy.ORDER_AWARE),
}


def full(
    quiet: Quiet, version: str = "2.6.8", pages: int = 1_024, *, swap: bool = True, **groups: object
) -> Zone:
    """A zone of a version whose every frame holds a clean, unused file page, all inactive."""
    allocation, loop, policy = RULES[version]
    zone = Zone(
        quiet(
            pages,
            memory=Memory(
                pages=pages, lowmem_pages=pages, reserved_pages=0, percpu_lists=False, swap=swap
            ),
            watermarks=Watermarks(explicit_pages=(16, 32, 48)),
            allocation=allocation,
            kswapd=Kswapd(loop=loop, policy=policy),
            **groups,
        )
    )
    for page in range(pages):
        pfn = take_block(zone.state, 0)
        install(zone.state, pfn, page, False)
        zone.frame[pfn]["flags"] = 0
    return zone


def oldest(zone: Zone) -> int:
    """The frame at the inactive tail."""
    return int(zone.frame[zone.own["head"] + HEAD_INACTIVE]["prev"])


def forget(zone: Zone, pfn: int) -> None:
    """Part a frame from its page; it is nobody's then."""
    from study.zone.mm.linux_2_6.lru import lru_del
    from study.zone.mm.linux_2_6.rmap import forget_page

    lru_del(zone.state, pfn)
    forget_page(zone.state, pfn)


def leave(zone: Zone, count: int) -> list[int]:
    """Give all but so many frames to the kernel; those left, oldest first."""
    for pfn in range(zone.pages - count):
        forget(zone, pfn)
        new_object(zone.state, pfn, 0, int(Kind.IDLE))
    left = sorted(range(zone.pages - count, zone.pages), key=lambda p: zone.frame[p]["owner"])
    return [int(pfn) for pfn in left]


def ask(zone: Zone) -> int:
    """One GFP_KERNEL request for a page."""
    return int(alloc.allocate_or_wait(zone.state, 0, int(Gfp.KERNEL), int(Caller.SLAB), 0, 0))


@pytest.mark.parametrize(
    ("version", "naps"), [("2.6.8", 0), ("2.6.9", 0), ("2.6.10", 0), ("2.6.11", 1)]
)
@pytest.mark.parametrize(("disk_ms", "slept_ms"), [(None, 100), (7, 7), (300, 100)])
def test_who_finds_only_pages_being_written_waits_for_the_disk_from_2_6_11_on(
    quiet: Quiet, version: str, naps: int, disk_ms: int | None, slept_ms: int
) -> None:
    """2.6.11 naps below priority 10 until a write ends; before, they count for nothing."""
    zone = full(quiet, version)
    zone.frame["flags"][: zone.pages] |= np.uint8(Flag.WRITEBACK)
    if disk_ms is not None:
        zone.state["nr_writes"] = 1
        zone.write[zone.state["write_first"]]["time"] = disk_ms * 10**6

    assert ask(zone) == NO_PFN
    assert zone.count["naps"][DIRECT] == naps
    # Without a nap all priorities were tried at once; then HZ/50, or until a write ends.
    expected = slept_ms if naps else min(20, disk_ms or 20)
    assert due(zone, Event.RETRY) == zone.state["reclaimed_until"] + expected * 10**6
    assert (zone.own["temp_priority"] == 0) == (naps == 0)
    assert zone.count["oom"] == 0


@pytest.mark.parametrize("version", ["2.6.8", "2.6.10"])
def test_2_6_8_kills_only_after_a_second_of_failures(quiet: Quiet, version: str) -> None:
    """A second since the first failure and ten after it; five seconds without, and all is new."""
    zone = full(quiet, version)
    z = zone.state

    def fails(at_ms: int) -> bool:
        z["now"] = at_ms * 10**6
        return bool(alloc.out_of_memory(z))

    assert not any(fails(at) for at in range(0, 1_000, 20))
    assert [fails(at) for at in range(1_000, 1_200, 20)] == [False] * 9 + [True]
    # No process is killed, so nothing comes free: every further failure is one.
    assert all(fails(at) for at in range(1_200, 9_000, 20))
    assert not fails(20_000)
    assert not any(fails(at) for at in range(20_020, 21_000, 20))


def test_who_reclaims_in_vain_waits_until_all_others_have(quiet: Quiet) -> None:
    """There is one processor: ten who find nothing take ten times as long until they try again."""
    zone = full(quiet, "2.6.8")
    zone.frame["flags"][: zone.pages] |= np.uint8(Flag.WRITEBACK)
    ask(zone)
    once = int(zone.state["reclaimed_until"])
    assert once == zone.count["scanned"][DIRECT] * zone.state["kswapd_ns_per_page"] > 0
    for _ in range(9):
        ask(zone)

    assert zone.state["reclaimed_until"] >= 9 * once
    assert due(zone, Event.RETRY) == once + 20_000_000


def test_2_6_11_kills_at_once(quiet: Quiet) -> None:
    """Where reclaim finds nothing at all, the request for which it would is refused."""
    zone = full(quiet, "2.6.11")
    leave(zone, 0)
    assert ask(zone) == alloc.GAVE_UP
    assert zone.count["oom"] == 1
    assert zone.count["failures"][Caller.SLAB] == 1

    patient = full(quiet, "2.6.10")
    leave(patient, 0)
    assert ask(patient) == NO_PFN
    assert patient.count["oom"] == 0


@pytest.mark.parametrize("version", RULES)
def test_a_zone_given_up_is_in_ever_more_distress(quiet: Quiet, version: str) -> None:
    """Direct reclaim passes it by below priority 12, and yet lowers its priority to 0."""
    zone = full(quiet, version)
    zone.frame["flags"][: zone.pages] |= np.uint8(Flag.WRITEBACK)
    zone.own["all_unreclaimable"] = 1
    ask(zone)

    assert zone.own["temp_priority"] == zone.own["prev_priority"] == 0
    assert zone.count["scanned"][DIRECT] == 0


@pytest.mark.parametrize("version", RULES)
def test_a_run_that_finds_nothing_to_do_ends_the_distress(quiet: Quiet, version: str) -> None:
    """Direct reclaim has gone down to 0; kswapd comes, memory is free, and all is calm again."""
    zone = full(quiet, version)
    zone.own["prev_priority"] = zone.own["temp_priority"] = 0
    wake_kswapd(zone.state, 0)
    assert zone.own["temp_priority"] == 0
    for pfn in range(64):
        forget(zone, pfn)
        zone.frame[pfn]["home"] = Home.KERNEL
        zone.frame[pfn]["order"] = 0
        zone.own["nr_kernel"] += 1
        alloc_free(zone, pfn)
    run_kswapd(zone.state)

    assert not zone.state["kswapd_awake"]
    assert zone.own["prev_priority"] == 12
    assert zone.count["scanned"][KSWAPD] == 0


def alloc_free(zone: Zone, pfn: int) -> None:
    from study.zone.mm.linux_2_6.kmalloc import free_object

    free_object(zone.state, pfn, 0)


def work_off(zone: Zone) -> None:
    """Run kswapd until it sleeps, the clock standing still."""
    for _ in range(10_000):
        if not zone.state["kswapd_awake"]:
            return
        run_kswapd(zone.state)
    raise AssertionError("kswapd does not come to rest")


def test_kswapd_naps_for_what_its_run_has_looked_at(quiet: Quiet) -> None:
    """With active pages only nobody waits for the disk; inactive ones of earlier passes count."""
    zone = full(quiet, "2.6.11")
    for pfn in leave(zone, 200):
        mark_page_accessed(zone.state, pfn)
        mark_page_accessed(zone.state, pfn)
        zone.frame[pfn]["flags"] |= Flag.MAPPED
    zone.state["nr_mapped"] = 200
    zone.own["total_memory"] = 100_000
    wake_kswapd(zone.state, 0)
    while zone.own["temp_priority"] > 2 or not zone.state["kswapd_begun"]:
        run_kswapd(zone.state)
    assert zone.count["scanned"][KSWAPD] > 0
    assert zone.own["nr_inactive"] == 0
    assert zone.count["naps"][KSWAPD] == 0

    written = full(quiet, "2.6.11")
    written.frame["flags"][: written.pages] |= np.uint8(Flag.WRITEBACK)
    wake_kswapd(written.state, 0)
    work_off(written)
    # Ten priorities from 9 on, but for those after it was given up.
    assert written.count["naps"][KSWAPD] > 3


def test_how_much_is_mapped_is_noted_as_a_scan_begins(quiet: Quiet) -> None:
    """Four fifths of the pages above high decide, and go on to until the scan is over."""
    zone = full(quiet)
    assert zone.own["total_memory"] == 1_024 - 48
    zone.state["nr_mapped"] = 780
    begin_scan(zone.state, KSWAPD)
    assert not reclaim_mapped(zone.state, KSWAPD)
    zone.state["nr_mapped"] = 781
    assert not reclaim_mapped(zone.state, KSWAPD)
    begin_scan(zone.state, DIRECT)
    assert reclaim_mapped(zone.state, DIRECT)
    assert not reclaim_mapped(zone.state, KSWAPD)


@pytest.mark.parametrize("version", RULES)
def test_without_swap_the_accessed_bit_stays_from_2_6_9_on(quiet: Quiet, version: str) -> None:
    """An anonymous page goes round; 2.6.8 looks whether it was used, which clears the bit."""
    zone = full(quiet, version, swap=False)
    forget(zone, 7)
    zone.vpage[5]["kind"], zone.vpage[5]["mapped"] = Kind.ANON, 1
    forget(zone, int(zone.vpage[5]["pfn"]))
    install(zone.state, 7, 5, False)
    zone.own["prev_priority"] = 0
    begin_scan(zone.state, KSWAPD)
    refill_inactive(zone.state, KSWAPD, 1)

    assert zone.frame[7]["home"] == Home.ACTIVE
    assert bool(zone.frame[7]["flags"] & Flag.YOUNG) == (version != "2.6.8")


@pytest.mark.parametrize("version", RULES)
def test_pages_are_freed_in_vectors_of_the_versions_size(quiet: Quiet, version: str) -> None:
    """16 pages, the last first, and 14 from 2.6.10 on: so they lie on the cold list."""
    size = 16 if version in {"2.6.8", "2.6.9"} else 14
    assert pagevec_size(RULES[version][1]) == size
    zone = full(quiet, version, pages=4_096)
    zone.state["percpu_lists"] = 1
    zone.own["pcp_batch"] = 32
    victims = [int(zone.vpage[page]["pfn"]) for page in range(32)]

    assert shrink_cache(zone.state, KSWAPD, 32, 32) == 32

    head = int(zone.own["head"]) + 12
    cold, pfn = [], int(zone.frame[head]["next"])
    while pfn != head:
        cold.append(pfn)
        pfn = int(zone.frame[pfn]["next"])
    vectors = [victims[at : at + size] for at in range(0, 32, size)]
    assert cold == [pfn for vector in reversed(vectors) for pfn in vector]


@pytest.mark.parametrize(
    ("version", "scanned"), [("2.6.8", 40), ("2.6.9", 40), ("2.6.10", 0), ("2.6.11", 44)]
)
def test_a_short_list_is_gone_round_again(quiet: Quiet, version: str, scanned: int) -> None:
    """Ten pages for a share of 33: three rounds for the first 32 and one for the last."""
    zone = full(quiet, version)
    pages = leave(zone, 10)
    for pfn in pages:
        zone.frame[pfn]["flags"] |= Flag.WRITEBACK
    zone.own["nr_scan_inactive"] = 33 - 11
    begin_scan(zone.state, DIRECT)
    begin_shrink(zone.state, DIRECT, 0)
    while not shrink_done(zone.state, DIRECT):
        shrink_step(zone.state, DIRECT)

    assert zone.count["scanned"][DIRECT] == 40
    assert zone.own["pages_scanned"] == scanned


def test_what_a_pagevec_holds_is_neither_written_nor_freed(quiet: Quiet) -> None:
    """Used dirty pages, put back, would be written in the second round, were they not held."""
    zone = full(quiet)
    pages = leave(zone, 10)
    for pfn in pages:
        set_dirty(zone.state, pfn)
        zone.frame[pfn]["flags"] |= Flag.REFERENCED

    # A second round, of all ten: it finds every one held.
    assert shrink_cache(zone.state, DIRECT, 12, 12) == 0
    assert zone.state["nr_writeback"] == 0

    for pfn in pages:
        zone.frame[pfn]["flags"] |= Flag.REFERENCED
    # Three rounds: in the second the vector of sixteen is full and let go, and holds four again.
    assert shrink_cache(zone.state, DIRECT, 32, 32) == 0
    written = zone.frame["flags"][pages] & Flag.WRITEBACK != 0
    assert written.tolist() == [True] * 6 + [False] * 4
    assert zone.state["nr_pinned"] == 0


@pytest.mark.parametrize("who", [KSWAPD, DIRECT])
@pytest.mark.parametrize("anonymous", [False, True])
def test_kswapd_writes_to_a_congested_disk(quiet: Quiet, who: int, anonymous: bool) -> None:
    """Others do not, unless they swap; whoever wrote waits until the queue has room again."""
    zone = full(quiet)
    z = zone.state
    pfn = oldest(zone)
    if anonymous:
        zone.frame[pfn]["kind"] = Kind.ANON
        zone.own["nr_anon"] += 1
        zone.own["nr_file"] -= 1
    else:
        set_dirty(z, pfn)
    z["nr_writes"] = CONGESTED_PAGES
    zone.write["time"][:CONGESTED_PAGES] = np.arange(1, CONGESTED_PAGES + 1) * 1_000
    zone.write["pfn"][:CONGESTED_PAGES] = NO_PFN
    shrink_cache(z, who, 1, 1)

    written = who == KSWAPD or anonymous
    assert bool(zone.frame[pfn]["flags"] & Flag.WRITEBACK) == written
    assert queue_wait_ns(z) == (1_000 if written else 0)
    z["nr_writes"] = WRITES_MOST
    set_dirty(z, oldest(zone))
    before = int(z["nr_writeback"])
    shrink_cache(z, who, 1, 1)
    assert z["nr_writeback"] == before


@pytest.mark.parametrize("later", [False, True])
def test_a_write_through_a_mapping_is_known_once_it_is_gone(quiet: Quiet, later: bool) -> None:
    """Nobody is told until reclaim unmaps the page; since 2.6.19 the first write faults."""
    zone = full(quiet)
    z = zone.state
    z["dirty_in_pte"] = not later
    pfn = oldest(zone)
    page = int(zone.frame[pfn]["owner"])
    zone.vpage[page]["mapped"] = 1
    touch_resident(z, page, pfn, 1)
    assert z["nr_mapped"] == 1
    assert z["nr_dirty"] == (1 if later else 0)
    assert z["nr_queued"] == (1 if later else 0)
    verify(zone)

    zone.frame[pfn]["flags"] &= ~np.uint8(Flag.YOUNG)
    shrink_cache(z, KSWAPD, 1, 1)

    assert zone.frame[pfn]["flags"] == Flag.WRITEBACK | Flag.RECLAIM
    assert (z["nr_mapped"], z["nr_dirty"], z["nr_writeback"]) == (0, 0, 1)


@pytest.mark.parametrize("again", [False, True])
def test_a_page_dirtied_while_it_is_written_is_not_rotated(quiet: Quiet, again: bool) -> None:
    """It has to be written once more, so it stays where it is."""
    zone = full(quiet)
    z = zone.state
    pfn = oldest(zone)
    set_dirty(z, pfn)
    shrink_cache(z, KSWAPD, 1, 1)
    assert zone.frame[pfn]["flags"] == Flag.WRITEBACK | Flag.RECLAIM
    if again:
        set_dirty(z, pfn)
    end_page_writeback(z, pfn)

    assert (oldest(zone) == pfn) == (not again)
    assert zone.frame[pfn]["flags"] == (Flag.DIRTY if again else 0)


@pytest.mark.parametrize(
    ("version", "scanned", "pending", "killed"),
    [
        # 2 * scanned * 6,400 objects / 625 pages = 20.48 a page looked at.
        ("2.6.8", 6, 122, 0),
        ("2.6.8", 7, 0, 143),
        ("2.6.8", 100, 0, 2_048),
        ("2.6.9", 6, 122, 0),
        ("2.6.9", 7, 15, 128),
        ("2.6.9", 100, 0, 2_048),
        ("2.6.8", 0, 0, 0),
        ("2.6.9", 0, 15, 640),
        ("2.6.11", 0, 15, 640),
    ],
)
def test_slabs_shrink_in_step_with_the_scan(
    quiet: Quiet, version: str, scanned: int, pending: int, killed: int
) -> None:
    """2.6.8 waits for more than 128 objects and takes all, 2.6.9 whole batches; 0 counts as 32."""
    slab = Slab(initial_share=0.0, pages_per_s=0.0, objects_per_page=16)
    zone = full(quiet, version, slab=slab)
    for pfn in range(400):
        forget(zone, pfn)
        new_slab(zone.state, pfn, True)
    shrink_slab(zone.state, KSWAPD, scanned, 624)

    objects = zone.slot["objects"][zone.slot["place"] >= 0]
    assert zone.state["slab_scan"] == pending
    assert 400 * 16 - int(objects[objects > 0].sum()) == killed


def idle(zone: Zone, order: int) -> tuple[list[int], list[int]]:
    """What a kmalloc cache keeps: the objects of its array, and its idle slabs."""
    used, free = int(zone.state["cache_used"][order]), int(zone.state["cache_free"][order])
    return (
        zone.state["cache_array"][order][:used].tolist(),
        zone.state["cache_slab"][order][:free].tolist(),
    )


def fifty_freed(quiet: Quiet) -> Zone:
    """A zone in which fifty stacks were had and given back, a while ago."""
    zone = Zone(quiet(4_096))
    z = zone.state
    held = [kmalloc_atomic(z, 1, int(Caller.STACK), int(Kind.STACK)) for _ in range(50)]
    for pfn in held:
        kfree(z, pfn, 1)
    z["cache_touched"], z["cache_free_touched"] = 0, 0
    return zone


def test_what_lies_idle_goes_back_a_fifth_at_a_time(quiet: Quiet) -> None:
    """Of the array's limit of 8 the two oldest every 2 s, of nine idle slabs two every 4 s."""
    zone = fifty_freed(quiet)
    z = zone.state
    array, slabs = idle(zone, 1)
    assert (len(array), len(slabs)) == (6, 9)
    assert due(zone, Event.REAP) == 2 * SECOND

    z["now"] = 2 * SECOND
    reap(z)
    # The list of idle slabs is full: what the array gives back is freed at once.
    assert idle(zone, 1) == (array[2:], slabs)
    assert zone.own["nr_kernel"] == 2 * (4 + 9)

    z["now"] = 4 * SECOND
    reap(z)
    assert idle(zone, 1) == (array[4:], slabs[:-2])

    z["now"] = 6 * SECOND
    reap(z)
    # The last two go to the idle slabs, which have room again.
    assert idle(zone, 1) == ([], [*slabs[:-2], *array[4:]])


def test_a_cache_in_use_is_spared(quiet: Quiet) -> None:
    """An object had since the last look keeps the array, a refill the idle slabs."""
    zone = fifty_freed(quiet)
    z = zone.state
    kfree(z, kmalloc_atomic(z, 1, int(Caller.STACK), int(Kind.STACK)), 1)
    before = idle(zone, 1)
    z["now"] = 2 * SECOND
    reap(z)
    assert idle(zone, 1) == before
    reap(z)
    assert len(idle(zone, 1)[0]) == len(before[0]) - 2

    z["cache_free_touched"][1] = 1
    z["now"] = 4 * SECOND
    slabs = idle(zone, 1)[1]
    reap(z)
    assert idle(zone, 1)[1][: len(slabs)] == slabs
    z["now"] = 6 * SECOND
    reap(z)
    assert len(idle(zone, 1)[1]) >= len(slabs)
    z["now"] = 8 * SECOND
    reap(z)
    assert len(idle(zone, 1)[1]) < len(slabs)


@pytest.mark.parametrize(("version", "vector"), [("2.6.8", 16), ("2.6.10", 14)])
@pytest.mark.parametrize("anonymous", [False, True])
def test_a_truncated_file_goes_last_page_first_memory_in_order(
    quiet: Quiet, version: str, vector: int, anonymous: bool
) -> None:
    """Sixteen resident pages at a time (14 from 2.6.10 on); what is unmapped goes as it comes."""
    zone = full(quiet, version)
    if anonymous:
        zone.vpage["kind"][:40] = Kind.ANON
        zone.frame["kind"][zone.vpage["pfn"][:40]] = Kind.ANON
        zone.own["nr_anon"], zone.own["nr_file"] = 40, zone.pages - 40
    forget(zone, int(zone.vpage["pfn"][3]))
    pfns = [int(pfn) for pfn in zone.vpage["pfn"][:40] if pfn != NO_PFN]
    zone.state["percpu_lists"] = 1
    zone.own["pcp_batch"] = 16
    free_neighbours(zone.state, 0, 40)

    head = int(zone.own["head"]) + 11
    hot, pfn = [], int(zone.frame[head]["prev"])
    while pfn != head:
        hot.append(pfn)
        pfn = int(zone.frame[pfn]["prev"])
    vectors = [pfns[at : at + vector] for at in range(0, 39, vector)]
    assert hot == (pfns if anonymous else [pfn for v in vectors for pfn in reversed(v)])


@pytest.mark.parametrize("delay", [0, 2_000_000])
def test_kswapd_begins_a_while_after_it_is_woken(quiet: Quiet, delay: int) -> None:
    """A process: it waits for its turn, and works for what was asked for until then."""
    zone = full(quiet, "2.6.11")
    zone.state["kswapd_delay_ns"] = delay
    zone.state["now"] = 5_000
    wake_kswapd(zone.state, 0)
    wake_kswapd(zone.state, 2)

    assert due(zone, Event.KSWAPD) == 5_000 + delay
    run_kswapd(zone.state)
    assert zone.state["kswapd_order"] == 2
