"""Memory is filled fault by fault, through the per-cpu lists, with reclaim; then all is quiet."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from study.zone.engine.agenda import next_due
from study.zone.engine.enums import Home, Kind, Thrown
from study.zone.engine.layout import NEVER, NO_PFN
from study.zone.mm.interface import free_all
from study.zone.settings import AllocationPath, KswapdLoop, KswapdPolicy, Memory, Settings, User
from study.zone.trial.boot import boot_slabs
from study.zone.trial.fill import fill_memory
from study.zone.trial.verify import verify
from study.zone.trial.zone import Zone
from tests.zone.conftest import small

PAGES = 65_536
EXTENT = 16


def booted(settings: Settings, seed: int = 2) -> Zone:
    """A zone that only the kernel uses yet; no load is booked."""
    zone = Zone(settings, seed=seed, empty=True)
    free_all(zone.state, settings.memory.reserved_pages)
    boot_slabs(zone.state, settings.memory.pages // 32)
    return zone


def resident(zone: Zone) -> np.ndarray:
    """Pages in memory of each extent, the most popular first."""
    pages = zone.vpage["pfn"][: zone.extents * EXTENT] != NO_PFN
    return pages.reshape(-1, EXTENT).sum(axis=1)[zone.extent["extent"]]


@pytest.mark.parametrize("loop", KswapdLoop)
def test_what_is_most_popular_was_read_last_and_is_there(loop: KswapdLoop) -> None:
    """The whole working set was read; what did not stay was thrown out by reclaim."""
    settings = small(PAGES)
    zone = Zone(replace(settings, kswapd=replace(settings.kswapd, loop=loop)), seed=2)

    there = resident(zone)
    assert (there[: zone.extents // 4] == EXTENT).all()
    assert there[-zone.extents // 4 :].mean() < EXTENT * 0.75
    out = zone.vpage["pfn"][: zone.extents * EXTENT] == NO_PFN
    assert (zone.vpage["thrown"][: zone.extents * EXTENT][out] == Thrown.RECLAIM).all()
    verify(zone)


@pytest.mark.parametrize("policy", KswapdPolicy)
def test_nothing_goes_on_when_memory_is_full(policy: KswapdPolicy) -> None:
    """No reclaim runs, kswapd left enough free, writes are done, and the clock stands at 0."""
    settings = small(PAGES)
    settings = replace(
        settings,
        kswapd=replace(settings.kswapd, policy=policy),
        allocation=AllocationPath.V2_6_11 if policy else AllocationPath.V2_6_8,
    )
    zone = booted(settings)
    before = int(zone.state["next_touch"])
    fill_memory(zone.state)

    assert next_due(zone.state) == NEVER
    assert zone.state["next_touch"] == before
    assert not zone.state["kswapd_awake"]
    assert zone.state["nr_writes"] == zone.state["nr_waiting"] == 0
    # A page may be taken, and a batch with it, before anybody is asked to work.
    assert zone.free > zone.own["low"] - zone.own["pcp_batch"] - 1
    assert Zone(settings, seed=2).now == 0


def test_files_are_read_to_cold_pages_and_anonymous_memory_to_hot_ones() -> None:
    """With room for all, what boot left on the hot list goes to anonymous memory only."""
    for anonymous in (0.0, 1.0):
        user = User(working_set_pages=64, touches_per_s=0.0, anonymous_share=anonymous)
        settings = small(PAGES, user=user)
        zone = booted(settings)
        head = int(zone.own["head"]) + 11
        hot, pfn = set(), int(zone.frame["next"][head])
        while pfn != head:
            hot.add(pfn)
            pfn = int(zone.frame["next"][pfn])
        fill_memory(zone.state)

        kind = Kind.ANON if anonymous else Kind.FILE
        used = set(np.flatnonzero(zone.frame["kind"] == kind).tolist())
        assert len(used) == 64
        assert bool(used & hot) == bool(anonymous)


def test_extents_are_out_of_step_with_aligned_blocks() -> None:
    """Most extents of 16 pages do not lie in one aligned block of 16: batches begin elsewhere."""
    whole = total = 0
    for seed in range(4):
        zone = Zone(small(PAGES), seed=seed)
        rows = zone.frame[:PAGES]
        user = np.isin(rows["home"], (Home.ACTIVE, Home.INACTIVE))
        extent = np.where(user, rows["owner"] // EXTENT, -1).reshape(-1, EXTENT)
        whole += int(((extent == extent[:, :1]).all(axis=1) & (extent[:, 0] >= 0)).sum())
        total += int(user.sum()) // EXTENT
    assert 0 < whole < total // 2


def test_it_ends_where_nothing_can_be_thrown_out() -> None:
    """Without swap, anonymous memory fills the zone and stays."""
    memory = Memory(pages=4_096, lowmem_pages=4_096, reserved_pages=64, swap=False)
    user = User(working_set_pages=6_000, touches_per_s=0.0, anonymous_share=1.0)
    zone = Zone(small(memory=memory, user=user), seed=2)

    assert 2_000 < zone.own["nr_anon"] < 4_096
    assert zone.now == 0
    verify(zone)
