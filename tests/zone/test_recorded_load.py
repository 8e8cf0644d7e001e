"""A recorded load: asked for again at its times, given back at its own, reclaimed as ours is."""

from __future__ import annotations

import hashlib
import lzma
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from study.zone.demand import Use, pack, reopen, rows_of, user_pages_most
from study.zone.engine.enums import Gfp, Home, Kind
from study.zone.engine.layout import LIVE, NO_PFN
from study.zone.load.trace import _free_vpage
from study.zone.settings import Clock, Load, Memory, Recorded, Resample, Settings
from study.zone.simulate import simulate
from study.zone.trial.advance import advance
from study.zone.trial.verify import verify
from study.zone.trial.zone import Zone
from tests.zone.conftest import SECOND, small

KERNEL, MOVABLE = int(Gfp.KERNEL), int(Gfp.KERNEL | Gfp.MOVABLE)
ATOMIC = int(Gfp.ATOMIC)
MS = 1_000


def recorded(*rows: tuple[int, int, int, int, int], length_us: int = 1_000_000) -> Recorded:
    """A load of (at us, hold us, order, gfp, use)."""
    columns = np.array(rows, np.int64).T
    return pack(*columns, length_us)


def playing(load: Recorded, how: Resample = Resample.NONE, **more: object) -> Load:
    return Load(trace=load, replicates=how, **more)  # type: ignore[arg-type]


def in_use(zone: Zone) -> int:
    """Pages that neither the free areas nor the per-cpu lists hold."""
    return zone.pages - zone.free - int(zone.own["nr_hot"]) - int(zone.own["nr_cold"])


def test_each_request_is_made_at_its_time_and_given_back_at_its_own(
    quiet: Callable[..., Settings],
) -> None:
    """Blocks are in use from their recorded request to their recorded free, of their own order."""
    load = recorded(
        (10 * MS, 20 * MS, 3, ATOMIC, 0),
        (15 * MS, 40 * MS, 0, KERNEL, 0),
        (20 * MS, 5 * MS, 6, KERNEL, 0),
    )
    zone = Zone(quiet(4_096, load=playing(load)), seed=1)
    used = []
    for ms in (9, 12, 17, 22, 32, 60):
        advance(zone.state, ms * 1_000_000)
        used.append(in_use(zone))

    assert used == [0, 8, 9, 73, 1, 0]
    assert list(zone.count["attempts_order"][[0, 3, 6]]) == [1, 1, 1]
    verify(zone)


def test_a_recording_that_is_over_begins_again(quiet: Callable[..., Settings]) -> None:
    """After its length it is played once more, whatever was held until its end."""
    load = recorded((10 * MS, 1_000 * MS, 2, KERNEL, 0), length_us=100 * MS)
    zone = Zone(quiet(4_096, load=playing(load)), seed=1)
    advance(zone.state, 350_000_000)

    assert zone.count["attempts_order"][2] == 4
    assert in_use(zone) == 16


def test_pages_of_programs_can_be_thrown_out_and_others_cannot(
    quiet: Callable[..., Settings],
) -> None:
    """A page of a file or a program is on the LRU lists; any other block is the kernel's."""
    load = recorded(
        (1 * MS, 500 * MS, 0, MOVABLE, Use.FILE),
        (2 * MS, 500 * MS, 0, MOVABLE, Use.ANON | Use.WRITTEN),
        (3 * MS, 500 * MS, 0, KERNEL, 0),
    )
    zone = Zone(quiet(4_096, load=playing(load)), seed=1)
    advance(zone.state, 10_000_000)

    homes = zone.frame["home"][: zone.pages]
    assert zone.own["nr_file"] == 1
    assert zone.own["nr_anon"] == 1
    assert (homes == Home.KERNEL).sum() == 1
    assert zone.frame["kind"][: zone.pages][homes == Home.KERNEL] == Kind.RECORDED
    advance(zone.state, SECOND // 2 + 10_000_000)
    assert in_use(zone) == 0
    verify(zone)


@pytest.mark.parametrize(("use", "left"), [(Use.FILE, 0), (Use.FILE | Use.RECLAIMED, 1)])
def test_what_the_recorded_reclaim_took_is_left_to_ours(
    quiet: Callable[..., Settings], use: int, left: int
) -> None:
    """A page given back by its user is free; one that reclaim took stays where memory is plenty."""
    load = recorded((1 * MS, 5 * MS, 0, MOVABLE, use), length_us=10 * SECOND // 1_000)
    zone = Zone(quiet(4_096, load=playing(load)), seed=1)
    advance(zone.state, 100_000_000)

    assert in_use(zone) == left
    verify(zone)


@pytest.mark.parametrize("use", [Use.FILE, Use.ANON | Use.WRITTEN])
def test_a_large_folio_is_asked_for_whole_and_reclaimed_by_pages(
    quiet: Callable[..., Settings], use: int
) -> None:
    """A movable block of order 4 is one request; its sixteen pages lie on the lists and end."""
    load = recorded((1 * MS, 50 * MS, 4, MOVABLE, use))
    zone = Zone(quiet(4_096, load=playing(load)), seed=1)
    advance(zone.state, 10_000_000)

    assert zone.count["attempts_order"][4] == 1
    assert zone.own["nr_file"] + zone.own["nr_anon"] == 16
    assert zone.own["nr_kernel"] == 0
    verify(zone)
    advance(zone.state, 100_000_000)
    assert in_use(zone) == 0
    verify(zone)


def test_large_folios_make_room_when_memory_is_short(quiet: Callable[..., Settings]) -> None:
    """More is read in blocks than there is memory: reclaim takes them, and few are refused."""
    rows = [(1_000 * i, 500, 4, MOVABLE, int(Use.FILE | Use.RECLAIMED)) for i in range(900)]
    zone = Zone(quiet(4_096, load=playing(recorded(*rows))), seed=1)
    advance(zone.state, SECOND)

    assert zone.count["reclaimed"].sum() > 8_000
    assert zone.count["trace_left_out"] == 0
    assert zone.count["failures_order"][4] < 90
    verify(zone)


def test_our_reclaim_makes_room_for_what_it_took_then(quiet: Callable[..., Settings]) -> None:
    """More pages are read than there is memory: kswapd frees, and all requests are served."""
    rows = [(10 * i, 1_000, 0, MOVABLE, int(Use.FILE | Use.RECLAIMED)) for i in range(20_000)]
    zone = Zone(quiet(4_096, load=playing(recorded(*rows))), seed=1)
    advance(zone.state, SECOND)

    assert zone.count["reclaimed"].sum() > 10_000
    assert zone.count["trace_left_out"] == 0
    assert zone.count["failures_order"][0] == 0
    verify(zone)


def mixed(nr: int = 4_000) -> Recorded:
    """A load of all kinds, with more pages than a small zone has, from a fixed seed."""
    dice = np.random.default_rng(1)
    at = np.sort(dice.integers(0, 2_000_000, nr))
    kind = dice.integers(0, 4, nr)
    order = np.where(kind < 2, 0, dice.integers(0, 4, nr))
    use = np.choose(kind, [int(Use.FILE | Use.RECLAIMED), int(Use.ANON | Use.WRITTEN), 0, 0])
    gfp = np.choose(kind, [MOVABLE, MOVABLE, KERNEL, ATOMIC])
    return pack(at, dice.integers(100, 2_000_000, nr), order, gfp, use, 2_000_000)


@pytest.mark.quick
@pytest.mark.parametrize("how", Resample)
def test_a_trial_of_it_holds_together(how: Resample) -> None:
    """Beside all other loads, under pressure, in pieces or not: every invariant holds."""
    settings = replace(small(), load=playing(mixed(), how, block_ns=SECOND // 3))
    metrics = simulate(settings, seed=1, replicate=0).metrics

    assert metrics["trace_attempts"] > 3_000
    assert 0.5 < metrics["trace_success_ratio"] <= 1


def asked_in(how: Resample, replicate: int, **groups: object) -> list[tuple[int, int]]:
    """When how much was in use, which tells what was asked for when."""
    clock = Clock(ageing_ns=0, measure_ns=4 * SECOND, sample_ns=SECOND // 10)
    load = playing(mixed(400), how, block_ns=SECOND // 2)
    memory = Memory(pages=16_384, lowmem_pages=16_384, reserved_pages=0)
    settings = replace(
        small(16_384),
        **({"memory": memory, "load": load, "clock": clock} | groups),  # type: ignore[arg-type]
    )
    outcome = simulate(settings, seed=3, replicate=replicate)
    return [(int(row["time_ns"]), int(row["kernel_pages"])) for row in outcome.series]


def test_replicates_differ_as_was_asked(quiet: Callable[..., Settings]) -> None:
    """As recorded all replicates are the same; shifted or in pieces each is another."""
    idle = quiet(16_384)
    still = {name: getattr(idle, name) for name in ("user", "processes", "slab", "nic")}
    assert asked_in(Resample.NONE, 0, **still) == asked_in(Resample.NONE, 1, **still)
    for how in (Resample.SHIFT, Resample.BLOCKS):
        assert asked_in(how, 0, **still) != asked_in(how, 1, **still)
        assert asked_in(how, 1, **still) == asked_in(how, 1, **still)


def test_in_pieces_it_asks_as_often_as_it_did(quiet: Callable[..., Settings]) -> None:
    """The mean number of requests over many pieces is that of the recording."""
    load = playing(mixed(4_000), Resample.BLOCKS, block_ns=SECOND // 10)
    zone = Zone(quiet(16_384, load=load), seed=5)
    advance(zone.state, 40 * SECOND)

    # 80,000 on average; pieces of 200 requests or so, from a nearly even stream.
    assert abs(int(zone.count["attempts"].sum()) - 80_000) < 2_000


def test_what_is_packed_is_read_again() -> None:
    """Times to the microsecond, holds to one part in 64, everything else as it was."""
    dice = np.random.default_rng(2)
    at = np.sort(dice.integers(0, 10**7, 1_000))
    hold = np.append(np.arange(500), 2 ** dice.uniform(0, 33, 500)).astype(np.int64)
    order, use = dice.integers(1, 11, 1_000), np.zeros(1_000, np.int64)
    gfp = dice.choice([KERNEL, ATOMIC, MOVABLE], 1_000)
    load = pack(at, hold, order, gfp, use, 10**7)
    rows = rows_of(reopen(load.packed, load.digest))

    assert (rows["at"] == at * 1_000).all()
    assert (np.abs(rows["hold"] - hold * 1_000) <= hold * 1_000 / 64).all()
    assert (rows["order"] == order).all()
    assert (rows["gfp"] == gfp).all()
    assert load.nr_requests == 1_000
    assert load.length_ns == 10 * SECOND


def test_as_many_pages_of_programs_as_at_most_at_once() -> None:
    """Blocks of the kernel do not count, nor a page that is given back before the next one."""
    assert user_pages_most(recorded((0, 10, 3, MOVABLE, Use.FILE))) == 8
    load = recorded(
        (0, 10, 0, MOVABLE, Use.FILE),
        (5, 10, 0, MOVABLE, Use.ANON),
        (20, 10, 0, MOVABLE, Use.FILE),
        (21, 10, 0, KERNEL, 0),
    )
    assert user_pages_most(load) == 2


def test_damage_is_told_and_nothing_else_happens() -> None:
    """Any other bytes, or a digest of other content, are refused."""
    load = mixed(100)
    for cut in (b"", b"xyz", load.packed[:-9], load.packed + b"x"):
        with pytest.raises(ValueError, match="damaged"):
            reopen(cut, load.digest)
    with pytest.raises(ValueError, match="digest"):
        reopen(load.packed, "0" * 32)


@pytest.mark.parametrize(
    ("row", "length"),
    [((10, 1, 11, 0, 0), 100), ((10, 1, 0, 0, 3), 100), ((10, 1, 2, 1 << 25, 0), 100)],
    ids=["order", "user", "flags"],
)
def test_numbers_that_no_recording_has_are_refused(
    row: tuple[int, int, int, int, int], length: int
) -> None:
    """Orders and flags out of range and large pages of programs come from nobody's recording."""
    load = recorded(row, length_us=length)
    with pytest.raises(ValueError, match=r"no recording has|damaged"):
        reopen(load.packed, load.digest)


@pytest.mark.parametrize("shift", [35, 57, 58, 200])
def test_a_hold_that_nobody_has_written_is_refused(shift: int) -> None:
    """Shifted so far its time would leave 64 bits, or be longer than any that is packed."""
    raw = lzma.decompress(recorded((10, 1, 0, 0, 0)).packed)[:-2]
    raw += (shift * 64 + 63).to_bytes(2, "little")
    digest = hashlib.blake2b(raw, digest_size=16).hexdigest()
    with pytest.raises(ValueError, match="damaged"):
        reopen(lzma.compress(raw), digest)


def test_times_that_no_machine_has_are_refused() -> None:
    """Nothing that ends before its last request, or asks without end at one moment."""
    with pytest.raises(ValueError, match="times"):
        recorded((10, 1, 0, 0, 0), length_us=9)
    with pytest.raises(ValueError, match="times"):
        recorded(*[(0, 1, 0, 0, 0)] * 20, length_us=1)
    with pytest.raises(ValueError, match="0 requests"):
        pack(*[np.zeros(0, np.int64)] * 5, 10)


def test_a_free_page_of_the_recording_is_found_wherever_it_is(
    quiet: Callable[..., Settings],
) -> None:
    """At once while some are near; where all are taken, by the requests that share the search."""
    load = recorded((1 * MS, 500 * MS, 0, MOVABLE, Use.FILE))
    zone = Zone(quiet(4_096, load=playing(load)), seed=1)
    z = zone.state
    first, pages = int(z["trace_first_page"]), int(z["trace_pages"])
    rows = zone.vpage[first : first + pages]
    assert pages > 4_096
    for _ in range(2 * pages):
        rows["state"] = LIVE
        rows["state"][(int(z["trace_page"]) + 40) % pages] = 0
        assert _free_vpage(z) != NO_PFN

    rows["state"] = LIVE
    assert _free_vpage(z) == NO_PFN
    place = int(z["trace_page"]) - 1
    rows["state"][place] = 0
    found = [int(_free_vpage(z)) for _ in range(1 + pages // 64)]
    assert found.count(NO_PFN) == len(found) - 1
    assert found[-1] == first + place % pages
