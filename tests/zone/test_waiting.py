"""Who waits for the disk, by the kernel's version: direct reclaim, kswapd, and who tries again."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import study
from study.scenario.model import KERNELS
from study.zone.engine.enums import Event, Flag
from study.zone.engine.layout import NO_PFN
from study.zone.mm.linux_2_6 import allocate as alloc
from study.zone.mm.linux_2_6.kswapd import run_kswapd, wake_kswapd
from study.zone.mm.linux_2_6.waiting import (
    LOOK_NS,
    NAP_NS,
    RETRIES_MAX,
    RETRY_NS,
    kswapd_naps,
    naps_after_pass,
    wait_before_retry_ns,
)
from study.zone.mm.linux_2_6.writeback import CONGESTED_PAGES
from study.zone.settings import Reclaim, ReclaimWait, Settings
from study.zone.trial.advance import advance
from study.zone.trial.zone import Zone
from tests.zone.test_reclaim_rules import DIRECT, KSWAPD, ask, full
from tests.zone.test_rules import due

Quiet = Callable[..., Settings]
WAITS = list(ReclaimWait)
PASSES = 13
"""Priorities 12 to 0."""
SINCE = {wait: wait.name for wait in WAITS}


def zone_of(quiet: Quiet, wait: ReclaimWait) -> Zone:
    """A full zone of files, with 2.6.11's kswapd, that waits as a kernel does."""
    return full(quiet, "2.6.11", reclaim=Reclaim(reclaim_wait=wait))


def write_all(zone: Zone) -> None:
    """Have every page be written, by reclaim, which is to free it next."""
    zone.frame["flags"][: zone.pages] |= np.uint8(Flag.WRITEBACK | Flag.RECLAIM)


def fill_queue(zone: Zone) -> None:
    """Have the disk's queue be full, the next write in a second."""
    zone.state["nr_writes"] = CONGESTED_PAGES
    zone.write["time"] = 10**9


@pytest.mark.parametrize("wait", WAITS, ids=SINCE.get)
def test_direct_reclaim_naps_without_need_up_to_2_6_36(quiet: Quiet, wait: ReclaimWait) -> None:
    """Pages were looked at below priority 10, and nothing is being written."""
    zone = zone_of(quiet, wait)
    naps = wait < ReclaimWait.V2_6_37

    assert naps_after_pass(zone.state, 32, 9) == naps
    assert not naps_after_pass(zone.state, 32, 10)
    assert not naps_after_pass(zone.state, 0, 9)


@pytest.mark.parametrize("wait", WAITS, ids=SINCE.get)
def test_direct_reclaim_naps_for_a_disk_that_is_in_the_way(quiet: Quiet, wait: ReclaimWait) -> None:
    """A full queue, into which no dirty page of a batch went; since 3.11 at any priority."""
    zone = zone_of(quiet, wait)
    fill_queue(zone)
    only_if_congested = wait >= ReclaimWait.V2_6_37
    assert naps_after_pass(zone.state, 32, 9) != only_if_congested
    zone.own["congested"] = 1

    assert naps_after_pass(zone.state, 32, 9)
    assert naps_after_pass(zone.state, 32, 12) == (wait >= ReclaimWait.V3_11)
    zone.state["nr_writes"] -= 1
    assert naps_after_pass(zone.state, 32, 9) != only_if_congested


@pytest.mark.parametrize("wait", WAITS, ids=SINCE.get)
def test_kswapd_naps_without_need_up_to_2_6_37(quiet: Quiet, wait: ReclaimWait) -> None:
    """Below priority 10; from 2.6.33 on not while it is short of pages, from 3.9 on never."""
    zone = zone_of(quiet, wait)
    zone.state["kswapd_scanned"], zone.state["kswapd_priority"] = 32, 9
    zone.own["free"] = zone.own["min"]
    assert kswapd_naps(zone.state) == (wait <= ReclaimWait.V2_6_37)
    zone.own["free"] = zone.own["min"] - 1
    assert kswapd_naps(zone.state) == (wait == ReclaimWait.V2_6_8)
    zone.state["met_again"] = 1
    assert kswapd_naps(zone.state) == (wait in (ReclaimWait.V2_6_8, *WAITS[3:]))


@pytest.mark.parametrize("wait", [ReclaimWait.V2_6_37, ReclaimWait.V3_11, ReclaimWait.V4_7])
def test_kswapd_naps_since_3_11_for_pages_that_it_meets_again(
    quiet: Quiet, wait: ReclaimWait
) -> None:
    """Every page is being written, as it saw in the batch before, and waits to be freed."""
    zone = zone_of(quiet, wait)
    write_all(zone)
    wake_kswapd(zone.state, 0)
    for _ in range(200):
        run_kswapd(zone.state)
        if zone.count["naps"][KSWAPD]:
            break

    assert zone.count["naps"][KSWAPD] == (wait >= ReclaimWait.V3_11)


@pytest.mark.parametrize("wait", WAITS, ids=SINCE.get)
def test_who_tries_again_sleeps_by_version(quiet: Quiet, wait: ReclaimWait) -> None:
    """HZ/50; from 2.6.37 on for a congested disk; from 4.7 on HZ/10 if most is unwritten."""
    zone = zone_of(quiet, wait)
    free = LOOK_NS if wait >= ReclaimWait.V2_6_37 else RETRY_NS
    assert wait_before_retry_ns(zone.state, False) == free
    fill_queue(zone)
    zone.own["congested"] = 1
    of_disk = LOOK_NS if wait == ReclaimWait.V4_7 else RETRY_NS
    assert wait_before_retry_ns(zone.state, False) == of_disk
    zone.state["nr_dirty"] = zone.pages // 2 + 1
    assert wait_before_retry_ns(zone.state, True) == of_disk
    late = NAP_NS if wait == ReclaimWait.V4_7 else RETRY_NS
    assert wait_before_retry_ns(zone.state, False) == late


@pytest.mark.parametrize("wait", WAITS, ids=SINCE.get)
def test_a_batch_that_finds_no_room_marks_the_zone(quiet: Quiet, wait: ReclaimWait) -> None:
    """All pages are dirty and the queue is full: who asks waits for it from 2.6.37 on."""
    zone = zone_of(quiet, wait)
    for pfn in range(zone.pages):
        zone.frame[pfn]["flags"] |= np.uint8(Flag.DIRTY)
    fill_queue(zone)

    assert ask(zone) == NO_PFN
    assert zone.own["congested"] == 1
    assert zone.count["naps"][DIRECT] == 1


def test_4_7_gives_up_only_after_16_rounds_in_vain(quiet: Quiet) -> None:
    """Before, reclaim in vain once had a process killed."""
    zone = zone_of(quiet, ReclaimWait.V4_7)
    zone.own["all_unreclaimable"] = 1
    zone.frame["flags"][: zone.pages] |= np.uint8(Flag.WRITEBACK)
    row = alloc.new_request(zone.state, 0, 0xD0, 0, 0, 0)
    answers = [int(alloc.go_on(zone.state, row)) for _ in range(RETRIES_MAX + 1)]

    assert answers == [NO_PFN] * RETRIES_MAX + [alloc.GAVE_UP]
    assert due(zone, Event.RETRY) == PASSES * LOOK_NS
    early = zone_of(quiet, ReclaimWait.V3_11)
    early.own["pages_scanned"] = 6 * early.pages
    early.frame["flags"][: early.pages] |= np.uint8(Flag.WRITEBACK)
    assert ask(early) == alloc.GAVE_UP


def test_rounds_in_vain_take_turns_on_the_processor(quiet: Quiet) -> None:
    """Nothing is on the lists, nobody sleeps: a round takes a look a pass, whoever else asks."""
    zone = zone_of(quiet, ReclaimWait.V2_6_37)
    zone.own["nr_active"] = zone.own["nr_inactive"] = zone.own["free"] = 0
    # kswapd would give the zone up, and is kept away.
    zone.state["kswapd_delay_ns"] = 1_000_000_000
    asked = 4
    for _ in range(asked):
        assert ask(zone) == NO_PFN
    time = 1_000 * PASSES * LOOK_NS
    advance(zone.state, time)

    assert zone.state["nr_waiting"] == asked
    assert zone.count["events"] == pytest.approx(1_000, abs=asked + 1)


def test_every_kernel_waits_as_it_did() -> None:
    """By version, the latest change before it."""
    assert {kernel: of["reclaim"]["wait"] for kernel, of in KERNELS.items()} == {
        **dict.fromkeys(("2.6.8", "2.6.9", "2.6.10", "2.6.11", "2.6.23", "2.6.24"), "2.6.8"),
        "2.6.35": "2.6.33",
        "3.5": "2.6.37",
        "4.4": "3.11",
        **dict.fromkeys(("4.8", "5.0", "5.9"), "4.7"),
    }


def test_who_finds_nothing_to_reclaim_is_refused_since_3_12() -> None:
    """A trial of 4.4 ends whose reserve keeps user memory out: zone_reclaimable() is asked.

    Before, only kswapd gave a zone up, and it has nothing to do there: a request went on for ever
    (6e543d5780e3, "fix do_try_to_free_pages() livelock").
    """
    times = {f"clock.{name}": "20ms" for name in ("ageing", "measure", "sample")}
    found = study.simulate(
        **{"kernel": "4.4", "zone.memory": "64MiB", "watermarks.lowmem_reserve": "48MiB", **times}
    )
    assert found.metrics["oom_kills"] > 0
