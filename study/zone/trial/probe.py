"""The probe: how many pages must be freed before so many more blocks of an order are free?

Linus Torvalds's experiment in the thread behind the article (5 September 2004) freed random pages
of a full memory. Here the same question is put to any zone, with other ways to choose victims.
The load stands still meanwhile, and what is freed goes straight to the buddy lists.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from study.zone.engine.compile import kernel
from study.zone.engine.dice import below
from study.zone.engine.enums import Home, Reclaimer, Stream
from study.zone.engine.layout import NO_PFN, frames
from study.zone.mm.interface import (
    DEF_PRIORITY,
    begin_scan,
    begin_shrink,
    congestion_wait_ns,
    defragment,
    evict_user_page,
    finish_writes,
    free_blocks,
    shrink_done,
    shrink_step,
)
from study.zone.settings import NR_ORDERS, DefragMode, ProbeVictims
from study.zone.trial.zone import Zone

_WAIT_NS = 100_000_000
_IDLE_ROUNDS = 3
"""Rounds of all priorities without a page freed after which no more is to be had."""
_PAGES_A_CALL = 65_536
"""Freed at random in one call of compiled code, which no signal interrupts."""


@kernel
def _note(z, wanted: np.ndarray, freed: np.ndarray, pages):
    """Write down which orders have just reached what is wanted of them."""
    for order in range(NR_ORDERS):
        if freed[order] < 0 and free_blocks(z, order) >= wanted[order]:
            freed[order] = pages


@kernel
def _evict_anywhere(z):
    """Evict a page chosen evenly among all on the LRU lists."""
    frame = frames(z)
    pfn = below(z, Stream.KERNEL, z.zone.pages)
    while frame[pfn].home != Home.ACTIVE and frame[pfn].home != Home.INACTIVE:
        pfn = below(z, Stream.KERNEL, z.zone.pages)
    evict_user_page(z, pfn)


@kernel
def _free_at_random(z, order, wanted: np.ndarray, freed: np.ndarray, pages):
    """Free up to so many pages more, each chosen among all; pages freed from the start on."""
    end = pages + _PAGES_A_CALL
    while pages < end and freed[order] < 0 and z.zone.nr_active + z.zone.nr_inactive > 0:
        _evict_anywhere(z)
        pages += 1
        _note(z, wanted, freed, pages)
    return pages


@kernel
def _free_by_lru(z, order, wanted: np.ndarray, freed: np.ndarray, pages):
    """Scan once as kswapd does, at ever higher priority, then wait for the disk."""
    for i in range(DEF_PRIORITY + 1):
        z.zone.prev_priority = DEF_PRIORITY - i
        begin_scan(z, Reclaimer.KSWAPD)
        begin_shrink(z, Reclaimer.KSWAPD, DEF_PRIORITY - i)
        while not shrink_done(z, Reclaimer.KSWAPD):
            before = z.zone.free
            shrink_step(z, Reclaimer.KSWAPD)
            pages += z.zone.free - before
            _note(z, wanted, freed, pages)
            if freed[order] >= 0:
                return pages
        if z.nr_writes > 0:
            z.now += congestion_wait_ns(z, _WAIT_NS)
            finish_writes(z)
    return pages


@kernel
def _empty_blocks(z, order, wanted: np.ndarray, freed: np.ndarray):
    """Have the reverse-map defragmenter make the blocks, cheapest first, from the whole zone."""
    z.defrag_order = order
    z.defrag_blocks_wanted = wanted[order]
    z.defrag_budget_pages = z.zone.pages
    before = z.count.defrag_evicted + z.count.defrag_migrated
    defragment(z, 0, z.zone.pages >> order)
    pages = z.count.defrag_evicted + z.count.defrag_migrated - before
    _note(z, wanted, freed, pages)
    return pages


@kernel
def free_more(z, victims, order, wanted: np.ndarray, freed: np.ndarray, pages):
    """Free pages for a while; how many in all, and the number at which each order was reached."""
    z.percpu_lists = 0
    if victims == ProbeVictims.RANDOM:
        return _free_at_random(z, order, wanted, freed, pages)
    if victims == ProbeVictims.LRU:
        return _free_by_lru(z, order, wanted, freed, pages)
    z.defrag_mode = DefragMode.RMAP_EVICT
    if victims == ProbeVictims.RMAP_MIGRATE:
        z.defrag_mode = DefragMode.RMAP_MIGRATE
    return _empty_blocks(z, order, wanted, freed)


def _free_until(
    zone: Zone, wanted: np.ndarray, freed: np.ndarray, check_time_limit: Callable[[], None]
) -> None:
    """Free pages until the probe's blocks are there, or no more is to be had."""
    asked, z = zone.settings.probe, zone.state
    by_lru = asked.victims == ProbeVictims.LRU
    pages = idle = 0
    while freed[asked.order] < 0 and idle < (_IDLE_ROUNDS if by_lru else 1):
        before = pages
        check_time_limit()
        pages = free_more(z, asked.victims, asked.order, wanted, freed, pages)
        if asked.victims in {ProbeVictims.RMAP_EVICT, ProbeVictims.RMAP_MIGRATE}:
            return  # they go through the whole zone in one call
        # Writes that are under way free pages later.
        in_vain = pages == before and not (by_lru and z["nr_writes"] > 0)
        idle = idle + 1 if in_vain else 0


def probe(zone: Zone, check_time_limit: Callable[[], None] = lambda: None) -> dict[str, float]:
    """Free pages until the probe's blocks are there; leaves the zone consistent, but used up.

    Returns metrics, none without a probe. probe_freed_pages: evicted or migrated until the goal,
    NaN if it was not reached; probe_written_pages: of them, first written to disk;
    probe_touches_lost_share: share of user touches that meet their page before, but not after, as
    popularity stands; probe_orderK_freed_pages: pages freed when `blocks` more blocks of order K
    were free (by LRU counted in steps of up to 32 pages). `check_time_limit` is called before each
    piece of the work, as in pass_time.
    """
    asked, z = zone.settings.probe, zone.state
    if asked.victims == ProbeVictims.OFF:
        return {}
    freed = np.full(NR_ORDERS, -1, np.int64)
    wanted = np.array([free_blocks(z, order) + asked.blocks for order in range(NR_ORDERS)])
    before = zone.count
    hits_before = _hit_share(zone)
    _free_until(zone, wanted, freed, check_time_limit)
    lost = hits_before - _hit_share(zone)
    after = zone.count
    at = [float(pages) if pages >= 0 else float("nan") for pages in freed]
    return {
        "probe_freed_pages": at[asked.order],
        "probe_written_pages": float(
            sum(after[name] - before[name] for name in ("written", "defrag_written"))
        ),
        "probe_touches_lost_share": lost,
        **{f"probe_order{order}_freed_pages": at[order] for order in range(1, NR_ORDERS)},
    }


def _hit_share(zone: Zone) -> float:
    """Share of visits to the working set that would begin on a resident page."""
    user = zone.settings.user
    pages = zone.vpage["pfn"][: zone.extents * user.extent_pages] != NO_PFN
    resident = pages.reshape(zone.extents, user.extent_pages).mean(axis=1)
    weight = np.arange(1, zone.extents + 1) ** -user.zipf_exponent
    return float((weight * resident[zone.extent["extent"]]).sum() / weight.sum())
