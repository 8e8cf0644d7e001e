"""Requests by name: what they get, what they fall back to, what they hold and give back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from study.zone.engine.enums import Gfp, Home, Kind
from study.zone.gfp import KNOWN_FLAGS, gfp_of
from study.zone.settings import (
    Action,
    AdminAction,
    AllocationPath,
    Clock,
    Compaction,
    DirectCompaction,
    Grouping,
    Memory,
    Nic,
    Otherwise,
    Request,
    Reserve,
    Settings,
    Watermarks,
)
from study.zone.simulate import simulate
from study.zone.trial.advance import advance
from study.zone.trial.verify import verify
from study.zone.trial.zone import Zone
from tests.zone.conftest import SECOND, small

KERNEL = int(Gfp.KERNEL)
ATOMIC = int(Gfp.ATOMIC)


def asking(*requests: Request, seconds: int = 2, **groups: object) -> Settings:
    """A small zone under a light load, measured from the start, and requests by name."""
    clock = Clock(ageing_ns=0, measure_ns=seconds * SECOND, sample_ns=SECOND)
    return replace(small(), requests=requests, clock=clock, **groups)  # type: ignore[arg-type]


def metrics_of(settings: Settings, seed: int = 1) -> dict[str, float]:
    return simulate(settings, seed=seed, replicate=0).metrics


@pytest.mark.parametrize("order", [0, 3, 6, 10])
def test_every_order_can_be_asked_for_and_is_given_back(
    quiet: Callable[..., Settings], order: int
) -> None:
    """A request of any order takes a whole block of an idle zone and later leaves it free again."""
    one = Request("one", order, KERNEL, 0.0, SECOND // 100, first_ns=1_000)
    zone = Zone(quiet(8_192, requests=(one,)), seed=1)
    before = zone.free + int(zone.own["nr_hot"])
    advance(zone.state, 2_000)
    held = np.flatnonzero(zone.frame["kind"][: zone.pages] == Kind.REQUEST)

    assert held.size == 1
    assert zone.frame["order"][held[0]] == order
    assert zone.frame["home"][held[0]] == Home.KERNEL
    advance(zone.state, 60 * SECOND)
    assert zone.free + int(zone.own["nr_hot"]) == before
    verify(zone)


@pytest.mark.parametrize(
    ("otherwise", "pages"), [(Otherwise.REFUSE, 0), (Otherwise.ORDER_0, 1), (Otherwise.VMALLOC, 8)]
)
def test_what_is_refused_is_content_with_what_it_said(
    quiet: Callable[..., Settings], otherwise: Otherwise, pages: int
) -> None:
    """Without a block of order 3, a request gets nothing, one page, or eight single pages."""
    memory = Memory(
        pages=4_096, lowmem_pages=4_096, reserved_pages=0, buddyinfo=(600, 200, *[0] * 9)
    )
    one = Request("one", 3, ATOMIC, 0.0, 3_600 * SECOND, otherwise, 1_000)
    zone = Zone(quiet(4_096, memory=memory, requests=(one,)), seed=1)
    advance(zone.state, 2_000)

    held = zone.frame["kind"][: zone.pages] == Kind.REQUEST
    assert held.sum() == pages
    assert zone.count["fell_back_named"][0] == (pages > 0)
    assert zone.count["got_named"][0] == 0
    verify(zone)


def test_names_have_metrics_of_their_own() -> None:
    """Two names are counted apart; all of them together are the caller `request`."""
    few = Request("few", 0, KERNEL, 5.0, SECOND // 10)
    many = Request("many", 1, ATOMIC, 200.0, SECOND // 100)
    metrics = metrics_of(asking(few, many))

    assert 2 <= metrics["request1_attempts"] <= 30
    assert 300 <= metrics["request2_attempts"] <= 500
    total = metrics["request1_attempts"] + metrics["request2_attempts"]
    assert metrics["request_attempts"] == total
    assert np.isnan(metrics["request3_success_ratio"])
    assert metrics["request1_success_ratio"] == 1.0


def test_a_name_alone_decides_what_it_meets() -> None:
    """The stream of a name is the same beside other names, and leaves all other load as it was."""
    one = Request("b", 0, KERNEL, 40.0, SECOND // 10)
    other = Request("a", 2, ATOMIC, 100.0, SECOND // 10)
    alone, both = metrics_of(asking(one)), metrics_of(asking(other, one))
    without = metrics_of(asking())

    assert alone["request1_attempts"] == both["request2_attempts"]
    assert alone["touches"] == both["touches"] == without["touches"]
    frames = [m["frames_received"] + m["frames_dropped"] for m in (alone, both, without)]
    assert frames[0] == frames[1] == frames[2]
    assert alone["forks"] == both["forks"] == without["forks"]


@pytest.mark.parametrize("path", [AllocationPath.V2_6_11, AllocationPath.V4_4])
def test_who_may_not_wait_dips_as_its_kernel_lets_it(
    quiet: Callable[..., Settings], path: AllocationPath
) -> None:
    """At half of min GFP_ATOMIC is served and GFP_KERNEL is not; GFP_NOWAIT since 4.4 is not."""
    marks = Watermarks(explicit_pages=(1_000, 1_250, 1_500))
    memory = Memory(
        pages=8_192, lowmem_pages=8_192, reserved_pages=0, percpu_lists=False,
        buddyinfo=(0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0),
    )  # fmt: skip
    served = {}
    for name, gfp in (("atomic", ATOMIC), ("nowait", 0)):
        one = Request(name, 0, gfp, 0.0, SECOND, first_ns=1_000)
        zone = Zone(
            quiet(8_192, memory=memory, watermarks=marks, allocation=path, requests=(one,)), seed=1
        )
        advance(zone.state, 2_000)
        served[name] = int(zone.count["got_named"][0])

    # 768 pages: above 3/8 of min, and above 3/4 of it only before 4.4.
    assert served == {"atomic": 1, "nowait": int(path != AllocationPath.V4_4)}


def test_noretry_ends_at_once_and_nofail_never() -> None:
    """With nothing to be had, __GFP_NORETRY is refused in its first round, __GFP_NOFAIL waits."""
    memory = Memory(
        pages=4_096, lowmem_pages=4_096, reserved_pages=0, swap=False, buddyinfo=(40, *[0] * 10)
    )
    settings = asking(
        Request("noretry", 2, KERNEL | int(Gfp.NORETRY), 0.0, SECOND, first_ns=1_000),
        Request("nofail", 9, KERNEL | int(Gfp.NOFAIL), 0.0, SECOND, first_ns=1_000),
        memory=memory,
    )
    zone = Zone(settings, seed=1)
    advance(zone.state, SECOND // 2)

    assert zone.count["waited_named"][:2].tolist() == [1, 1]
    assert zone.state["nr_waiting"] >= 1
    assert zone.count["got_named"][1] == 0
    verify(zone)


def test_nofs_leaves_dirty_files_alone() -> None:
    """Direct reclaim of a request without __GFP_FS neither writes file pages nor shrinks slabs."""
    freed = {}
    for name, gfp in (("nofs", KERNEL | int(Gfp.NOFS)), ("kernel", KERNEL)):
        lists = (40, *[0] * 10)
        memory = Memory(pages=4_096, lowmem_pages=4_096, reserved_pages=0, buddyinfo=lists)
        base = small()
        idle = replace(
            base.user, touches_per_s=0.0, drifts_per_s=0.0, deletes_per_s=0.0, anonymous_share=0.0
        )
        settings = asking(
            # It reclaims again and again; kswapd has no reason to.
            Request(name, 9, gfp | int(Gfp.NOFAIL), 0.0, SECOND, first_ns=1_000),
            memory=memory, user=idle, watermarks=Watermarks(explicit_pages=(1, 2, 3)),
            slab=replace(base.slab, initial_share=0.5, pages_per_s=0.0, objects_per_page=1),
            processes=replace(base.processes, forks_per_s=0.0),
            nic=Nic(ring=0, rx_frames_per_s=0.0, tx_frames_per_s=0.0),
        )  # fmt: skip
        zone = Zone(settings, seed=1)
        advance(zone.state, SECOND)
        freed[name] = int(zone.count["slab_reclaimed"])

    assert freed["nofs"] == 0
    assert freed["kernel"] > 0


def test_lowmem_reserve_is_held_back_from_requests_only(quiet: Callable[..., Settings]) -> None:
    """A zone with enough free pages refuses if they do not reach mark and reserve together."""
    memory = Memory(
        pages=8_192, lowmem_pages=8_192, reserved_pages=0, percpu_lists=False,
        buddyinfo=(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2),
    )  # fmt: skip
    got = {}
    for reserve in (0, 2_020):
        marks = Watermarks(explicit_pages=(100, 125, 150), lowmem_reserve_pages=reserve)
        one = Request("one", 0, ATOMIC, 0.0, SECOND, first_ns=1_000)
        zone = Zone(
            quiet(
                8_192, memory=memory, watermarks=marks, allocation=AllocationPath.V2_6_11,
                requests=(one,),
            ),
            seed=1,
        )  # fmt: skip
        advance(zone.state, 2_000)
        got[reserve] = int(zone.count["got_named"][0])

    # 2,048 pages are free, and 3/8 of min are 37.
    assert got == {0: 1, 2_020: 0}


def test_put_off_compaction_is_not_tried(quiet: Callable[..., Settings]) -> None:
    """With compaction.deferred the first requests that may compact go without."""
    memory = Memory(
        pages=8_192, lowmem_pages=8_192, reserved_pages=0, buddyinfo=(1_500, 300, *[0] * 9)
    )
    for deferred in (0, 6):
        one = Request("one", 5, KERNEL, 0.0, SECOND, first_ns=1_000)
        zone = Zone(
            quiet(
                8_192, memory=memory, requests=(one,),
                compaction=Compaction(direct_order=DirectCompaction.ALL, deferred=deferred),
            ),
            seed=1,
        )  # fmt: skip
        advance(zone.state, 2_000)
        assert (zone.count["compact_deferred"] > 0) == (deferred > 0)


def typed(**rows: dict[int, int]) -> tuple[tuple[int, ...], ...]:
    """Blocks by type and order: U, M, E and H."""
    return tuple(
        tuple(rows.get(letter, {}).get(order, 0) for order in range(11)) for letter in "UMEH"
    )


def test_a_start_from_lists_by_type_has_just_these(quiet: Callable[..., Settings]) -> None:
    """Each list has the blocks that were given for it, in pageblocks of its type; all is sound."""
    lists = typed(U={0: 20, 1: 10, 3: 2}, M={0: 100, 2: 20, 9: 3}, E={0: 10, 1: 5}, H={3: 4, 5: 1})
    memory = Memory(
        pages=16_384, lowmem_pages=16_384, reserved_pages=64, grouping=Grouping.ON,
        pageblock_order=9, reserve=Reserve.HIGHATOMIC, highatomic_pages=512,
        buddyinfo=tuple(map(sum, zip(*lists, strict=True))), typed_blocks=lists,
        typed_pageblocks=(3, 0, 2, 1),
    )  # fmt: skip
    zone = Zone(quiet(16_384, memory=memory), seed=3)
    head, rows = int(zone.own["head"]), zone.pageblock["migratetype"]
    for migratetype, blocks in enumerate(lists):
        for order, count in enumerate(blocks):
            first = head + order - migratetype * 11
            found, pfn = 0, int(zone.frame["next"][first])
            while pfn != first:
                assert rows[pfn >> 9] == migratetype
                found += 1
                pfn = int(zone.frame["next"][pfn])
            assert found == count

    assert zone.own["nr_reserved"] == 512
    verify(zone)


def test_a_request_that_may_not_use_the_reserve_is_refused(quiet: Callable[..., Settings]) -> None:
    """Blocks on the HIGHATOMIC list serve GFP_ATOMIC and nobody who may wait (4.4)."""
    lists = typed(U={0: 900}, M={0: 900}, H={6: 2})
    memory = Memory(
        pages=16_384, lowmem_pages=16_384, reserved_pages=0, grouping=Grouping.ON,
        pageblock_order=9, reserve=Reserve.HIGHATOMIC, highatomic_pages=128, typed_blocks=lists,
        buddyinfo=tuple(map(sum, zip(*lists, strict=True))),
    )  # fmt: skip
    got = {}
    for name, gfp in (("kernel", KERNEL), ("atomic", ATOMIC)):
        one = Request(name, 6, gfp, 0.0, SECOND, first_ns=1_000)
        zone = Zone(
            quiet(16_384, memory=memory, allocation=AllocationPath.V4_4, requests=(one,)), seed=1
        )
        advance(zone.state, 2_000)
        got[name] = int(zone.count["at_once_named"][0])

    assert got == {"kernel": 0, "atomic": 1}


def test_actions_are_only_taken_at_their_time() -> None:
    """An action changes nothing before it, and all that follows is as if it had always been."""
    # Mapped pages are not dropped, and reclaim has left more of them than of others.
    user = replace(small().user, touches_per_s=100.0, mapped_share=0.0)
    base = asking(seconds=3, user=user)
    acting = replace(base, actions=(Action(SECOND + SECOND // 2, AdminAction.DROP_CACHES),))
    plain, acted = (simulate(s, seed=1, replicate=0).series for s in (base, acting))

    assert (plain["free_pages"][:2] == acted["free_pages"][:2]).all()
    assert acted["file_pages"][2] < plain["file_pages"][2] // 2
    assert acted["free_pages"][2] > plain["free_pages"][2]


def test_flags_by_name_have_the_bits_of_the_zone() -> None:
    """REPEAT is what RETRY_MAYFAIL was called before 4.12."""
    for name in KNOWN_FLAGS - {"REPEAT"}:
        assert gfp_of(frozenset({name})) & Gfp[name] == Gfp[name]
    assert gfp_of(frozenset({"REPEAT"})) == Gfp.RETRY_MAYFAIL
    assert gfp_of(frozenset({"WAIT", "FS", "IO"})) == Gfp.KERNEL
    assert gfp_of(frozenset({"WAIT", "IO"})) & Gfp.NOFS
