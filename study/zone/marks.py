"""min, low and high of a zone, by the formula of each kernel: plain arithmetic."""

from __future__ import annotations

from dataclasses import replace
from math import isqrt

from study.zone.settings import Marks, Memory, Settings, Watermarks

MarkPages = tuple[int, int, int]
"""min, low and high, in pages."""
SCALE_FACTOR = 10
"""vm.watermark_scale_factor, 4.6: distance between the marks in 1/10000 of the zone."""


def min_free_kbytes_of(marks: Marks, lowmem_pages: int) -> int:
    """vm.min_free_kbytes as a kernel sets it at boot (init_per_zone_pages_min).

    2.6.8 takes sqrt(lowmem kB) in [128, 16384]; 2.6.10 (c07161d8c0) sqrt(16 * lowmem kB) in
    [128, 65536].
    """
    lowmem_kb = 4 * lowmem_pages
    if marks == Marks.V2_6_8:
        return min(max(isqrt(lowmem_kb), 128), 16384)
    return min(max(isqrt(16 * lowmem_kb), 128), 65536)


def above_min(
    marks: Marks, pages_min: int, present_pages: int, scale_factor: int = SCALE_FACTOR
) -> MarkPages:
    """(min, low, high) in pages that go with a min mark (setup_per_zone_pages_min).

    2.6.8 has 2 and 3 times min; 2.6.10 5/4 and 6/4 of it; 4.6 (795ae7a0de6b) a quarter of min
    between them, and at least scale_factor / 10000 of the zone.
    """
    if marks == Marks.V2_6_8:
        return pages_min, 2 * pages_min, 3 * pages_min
    if marks == Marks.V4_6:
        apart = max(pages_min // 4, present_pages * scale_factor // 10_000)
        return pages_min, pages_min + apart, pages_min + 2 * apart
    return pages_min, pages_min * 5 // 4, pages_min * 6 // 4


def marks_of(
    marks: Marks,
    present_pages: int,
    lowmem_pages: int,
    min_free_kbytes: int = 0,
    scale_factor: int = SCALE_FACTOR,
) -> MarkPages:
    """(min, low, high) in pages of a lowmem zone.

    Parameters
    ----------
    marks
        Whose formula.
    present_pages, lowmem_pages
        Of the zone, and of all lowmem zones, which share min_free_kbytes by their size.
    min_free_kbytes
        As set by the administrator; 0: as the kernel sets it.
    scale_factor
        vm.watermark_scale_factor; nothing before 4.6.
    """
    min_free_kbytes = min_free_kbytes or min_free_kbytes_of(marks, lowmem_pages)
    pages_min = (min_free_kbytes >> 2) * present_pages // lowmem_pages
    return above_min(marks, pages_min, present_pages, scale_factor)


def marks_for(memory: Memory, watermarks: Watermarks) -> MarkPages:
    """(min, low, high) of a zone as set up, in pages, without a boost."""
    return watermarks.explicit_pages or marks_of(
        watermarks.marks,
        memory.pages,
        memory.lowmem_pages,
        watermarks.min_free_kbytes,
        watermarks.scale_factor,
    )


def dma_marks_for(memory: Memory, watermarks: Watermarks) -> MarkPages:
    """(min, low, high) of zone DMA, in pages, by its share of lowmem."""
    return marks_of(
        watermarks.marks,
        memory.dma_pages,
        memory.lowmem_pages,
        watermarks.min_free_kbytes,
        watermarks.scale_factor,
    )


def start_boost(watermarks: Watermarks) -> int:
    """Pages by which the marks are raised at the start."""
    return watermarks.boost_pages if watermarks.boost_factor else 0


def after(settings: Settings, name: str, value: int) -> Settings:
    """The settings once an administrator has set one: what `Action` calls SET.

    A new min_free_kbytes or scale_factor takes the place of marks that were given one by one.
    """
    group_name, _, key = name.partition(".")
    changes: dict[str, object] = {key: value}
    if name in ("watermarks.min_free_kbytes", "watermarks.scale_factor"):
        changes["explicit_pages"] = None
    group = replace(getattr(settings, group_name), **changes)
    return replace(settings, **{group_name: group})


def pagecache_pages(present_pages: int, high: int) -> int:
    """Pages of a zone that may hold page cache (nr_free_pagecache_pages, 2.6.8)."""
    return max(present_pages - high, 0)
