"""What the settings come to in the record and the tables of this generation."""

from __future__ import annotations

from typing import Any

from study.zone.engine.layout import (
    MAX_ORDER_PAGES,
    NEVER,
    NR_CACHES,
    NR_HEADS,
    NR_TYPED_HEADS,
)
from study.zone.marks import dma_marks_for, marks_for, pagecache_pages, start_boost
from study.zone.mm.linux_2_6.allocate import LONG_AGO_NS
from study.zone.mm.linux_2_6.kmalloc import cache_limits
from study.zone.mm.linux_2_6.percpu import batch_pages
from study.zone.mm.linux_2_6.reclaim import DEF_PRIORITY, pagevec_size
from study.zone.mm.linux_2_6.writeback import WRITES_MOST
from study.zone.settings import AllocationPath, Grouping, Settings

LOWMEM_RESERVE_RATIO = 256
"""sysctl_lowmem_reserve_ratio of zone DMA."""
REQUEST_ROWS = 4_096
"""Requests that may sleep at once."""


INSTRUCTIONS_A_PAGE = 250
"""Of a scan of both lists. Timed in a guest of 500 million instructions a second whose memory costs
nothing, under 2.6.8 and 2.6.11: 1,870 to 2,150 pages a millisecond (docs/validation.md)."""
MISSES_A_PAGE = 3
"""Its struct page, what it belongs to (anon_vma or address_space) and its page table entry, which
shrink_list and page_referenced read (mm/vmscan.c, mm/rmap.c, 2.6.8)."""


def scan_ns(s: Settings) -> float:
    """Time that reclaim takes to look at a page, in ns."""
    if s.kswapd.pages_per_ms > 0:
        return 1e6 / s.kswapd.pages_per_ms
    return INSTRUCTIONS_A_PAGE * 1_000 / s.cpu.mips + MISSES_A_PAGE * s.cpu.miss_ns


def nr_zones(settings: Settings) -> int:
    """Zones of the machine: the zone, and DMA if there is one."""
    return 2 if settings.memory.dma_pages else 1


def nr_heads(settings: Settings) -> int:
    """List heads of one zone."""
    return NR_HEADS + (NR_TYPED_HEADS if settings.memory.grouping else 0)


def table_rows(settings: Settings, user_pages: int) -> dict[str, int]:
    """Rows of each table of memory management, by its name in layout.TABLES.

    user_pages  virtual pages that may have a file behind them
    """
    pages = settings.memory.pages
    blocks = -(-pages // MAX_ORDER_PAGES) + -(-settings.memory.dma_pages // MAX_ORDER_PAGES)
    pages += settings.memory.dma_pages
    grouping = settings.memory.grouping != Grouping.OFF
    pageblock_order = settings.memory.pageblock_order
    return {
        "frame": blocks * MAX_ORDER_PAGES + nr_zones(settings) * nr_heads(settings),
        "pageblock": blocks * MAX_ORDER_PAGES >> pageblock_order if grouping else 0,
        "write": WRITES_MOST + 1,
        "dirty": user_pages + 1,
        "slot": pages,
        "reclaimable": pages,
        "request": REQUEST_ROWS,
        "candidate": pages,
        "bucket": MAX_ORDER_PAGES + 1,
    }


def set_constants(z: Any, s: Settings) -> None:
    """Write into the record what follows from the settings and does not change during a trial."""
    memory = s.memory
    z["zone"]["pages"] = memory.pages
    z["zone"]["head"] = z["frame_rows"] - NR_HEADS
    boost = start_boost(s.watermarks)
    z["zone"]["boost"] = boost
    marks = marks_for(memory, s.watermarks)
    z["zone"]["min"], z["zone"]["low"], z["zone"]["high"] = (mark + boost for mark in marks)
    z["zone"]["compact_shift"] = s.compaction.deferred
    z["zone"]["typed_heads"] = NR_TYPED_HEADS if memory.grouping else 0
    z["nofragment"] = bool(memory.grouping) and memory.nofragment
    z["zone"]["pcp_batch"] = batch_pages(memory.pages)
    z["zone"]["prev_priority"] = z["zone"]["temp_priority"] = DEF_PRIORITY
    z["zone"]["total_memory"] = max(pagecache_pages(memory.pages, marks[2]), 1)
    z["zone"]["heads"] = NR_HEADS
    z["nr_zones"] = nr_zones(s)
    z["dma_first"] = NEVER
    if memory.dma_pages:
        _set_dma(z, s)
    z["pagevec_size"] = pagevec_size(s.kswapd.loop)
    z["dirty_in_pte"] = s.allocation < AllocationPath.V2_6_24
    z["kswapd_ns_per_page"] = scan_ns(s)
    start_clock(z, s)
    for order in range(NR_CACHES):
        limit, batch, free_limit = cache_limits(order)
        z["cache_limit"][order] = limit
        z["cache_batch"][order] = batch
        z["cache_free_limit"][order] = free_limit


def _set_dma(z: Any, s: Settings) -> None:
    """Zone DMA, whose frames and list heads lie after those of the zone that comes first."""
    memory, dma = s.memory, z["others"][0]
    first = -(-memory.pages // MAX_ORDER_PAGES) * MAX_ORDER_PAGES
    z["dma_first"] = first
    dma["pages"] = memory.dma_pages
    dma["head"] = z["zone"]["head"] - nr_heads(s)
    dma["heads"] = NR_HEADS
    dma["typed_heads"] = z["zone"]["typed_heads"]
    marks = dma_marks_for(memory, s.watermarks)
    dma["min"], dma["low"], dma["high"] = marks
    dma["pcp_batch"] = batch_pages(memory.dma_pages)
    dma["prev_priority"] = dma["temp_priority"] = DEF_PRIORITY
    if s.allocation == AllocationPath.V2_6_8:
        # protection[]: the low marks of the zones above (setup_per_zone_protection).
        dma["protection"] = z["zone"]["low"]
    elif s.allocation >= AllocationPath.V2_6_11:
        # lowmem_reserve: a machine that ran 2.6.11-rc5 reports it, lowmem_reserve[]: 0 496 496 of
        # 496 MB of Normal. 2.6.9 and 2.6.10 protect nothing unless told to.
        dma["protection"] = memory.pages // LOWMEM_RESERVE_RATIO
    both = int(z["zone"]["total_memory"]) + pagecache_pages(memory.dma_pages, marks[2])
    z["zone"]["total_memory"] = dma["total_memory"] = both


def start_clock(z: Any, s: Settings) -> None:
    """Let a trial begin now: no write or run is under way, and what happened was long ago."""
    z["now"] = z["disk_free_at"] = z["reclaimed_until"] = z["kcompactd_free_at"] = 0
    z["oom_first"] = z["oom_last"] = LONG_AGO_NS
    z["defrag_last"] = -s.defrag.interval_ns
