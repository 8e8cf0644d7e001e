"""What an administrator does while the machine runs: sysctl -w, drop_caches, compact_memory."""

from __future__ import annotations

from study.zone.engine.compile import kernel
from study.zone.engine.enums import Flag, Home, Kind, Migratetype
from study.zone.engine.layout import frames, reclaimables
from study.zone.mm.interface import (
    WHOLE_ZONE,
    compact_zone,
    drain_percpu,
    enter_zone,
    evict_user_page,
    free_slab,
    start_proactive,
)
from study.zone.settings import AdminAction, AllocationPath

_NO_SCORE = -1
"""A fragmentation score that is never reached: compaction runs until its scanners meet."""


@kernel
def _drop_pages(z, first, nr_pages):
    """Throw out the pages of files among these frames that are clean and in no page table."""
    kept = Flag.DIRTY | Flag.WRITEBACK | Flag.MAPPED
    frame = frames(z)
    for pfn in range(first, first + nr_pages):
        home = frame[pfn].home
        if home != Home.ACTIVE and home != Home.INACTIVE:
            continue
        if frame[pfn].kind == Kind.FILE and not frame[pfn].flags & kept:
            evict_user_page(z, pfn)


@kernel
def drop_caches(z):
    """Throw out such pages of all zones, and all dentries and inodes.

    echo 3 > /proc/sys/vm/drop_caches (2.6.16): invalidate_mapping_pages, then shrink_slab until it
    frees no more.
    """
    for index in range(z.nr_zones):
        enter_zone(z, index)
        nr_pages = z.zone.pages
        enter_zone(z, 0)
        _drop_pages(z, z.dma_first if index else 0, nr_pages)
    while z.nr_reclaimable > 0:
        free_slab(z, reclaimables(z)[z.nr_reclaimable - 1].row)
        z.count.slab_reclaimed += 1


@kernel
def compact_memory(z):
    """Compact the whole zone (/proc/sys/vm/compact_memory, 2.6.35: compact_nodes)."""
    drain_percpu(z)
    compact_zone(z, WHOLE_ZONE, Migratetype.MOVABLE, _NO_SCORE)
    drain_percpu(z)


@kernel
def _set_marks(z, row):
    """The marks of every zone, and what 2.6.8 protects in those below.

    min_free_kbytes_sysctl_handler, 2.6.8: setup_per_zone_pages_min, setup_per_zone_protection.
    """
    low_of_first = z.action_values[row, 1]
    for index in range(z.nr_zones):
        enter_zone(z, index)
        # setup_per_zone_wmarks also ends a boost (5.0).
        z.zone.boost = 0
        z.zone.min = z.action_values[row, 3 * index]
        z.zone.low = z.action_values[row, 3 * index + 1]
        z.zone.high = z.action_values[row, 3 * index + 2]
        if index > 0 and z.allocation == AllocationPath.V2_6_8:
            z.zone.protection = low_of_first
        enter_zone(z, 0)


@kernel
def _set(z, row):
    if z.action_values[row, 0] >= 0:
        _set_marks(z, row)
    z.boost_factor = z.action_values[row, 6]
    z.swappiness = z.action_values[row, 7]
    z.compact_threshold = z.action_values[row, 8]
    z.compact_proactiveness = z.action_values[row, 9]
    if z.compact_proactiveness > 0 and z.proactive_begun == 0:
        start_proactive(z)


@kernel
def administer(z, row):
    """Carry out what is in a row of the actions."""
    z.count.actions += 1
    deed = z.action_deed[row]
    if deed == AdminAction.DROP_CACHES:
        drop_caches(z)
    elif deed == AdminAction.COMPACT_MEMORY:
        compact_memory(z)
    else:
        _set(z, row)
