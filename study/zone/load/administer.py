"""What an administrator does while the machine runs: sysctl -w, drop_caches, compact_memory."""

from __future__ import annotations

from study.zone.engine.compile import kernel
from study.zone.engine.enums import Flag, Home, Kind, Migratetype
from study.zone.engine.layout import frames, reclaimables
from study.zone.mm.interface import (
    WHOLE_ZONE,
    compact_zone,
    drain_percpu,
    evict_user_page,
    free_slab,
    start_proactive,
)
from study.zone.settings import Deed

_NO_SCORE = -1
"""A fragmentation score that is never reached: compaction runs until its scanners meet."""


@kernel
def drop_caches(z):
    """Throw out file pages that are clean and in no page table, and all dentries and inodes.

    echo 3 > /proc/sys/vm/drop_caches (2.6.16): invalidate_mapping_pages, then shrink_slab until it
    frees no more.
    """
    kept = Flag.DIRTY | Flag.WRITEBACK | Flag.MAPPED
    frame = frames(z)
    for pfn in range(z.zone.pages):
        home = frame[pfn].home
        if home != Home.ACTIVE and home != Home.INACTIVE:
            continue
        if frame[pfn].kind == Kind.FILE and not frame[pfn].flags & kept:
            evict_user_page(z, pfn)
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
def _set(z, row):
    if z.action_values[row, 0] >= 0:
        # setup_per_zone_wmarks also ends a boost (5.0).
        z.zone.boost = 0
        z.zone.min = z.action_values[row, 0]
        z.zone.low = z.action_values[row, 1]
        z.zone.high = z.action_values[row, 2]
    z.boost_factor = z.action_values[row, 3]
    z.swappiness = z.action_values[row, 4]
    z.compact_threshold = z.action_values[row, 5]
    z.compact_proactiveness = z.action_values[row, 6]
    if z.compact_proactiveness > 0 and z.proactive_begun == 0:
        start_proactive(z)


@kernel
def administer(z, row):
    """Carry out what is in a row of the actions."""
    z.count.actions += 1
    deed = z.action_deed[row]
    if deed == Deed.DROP_CACHES:
        drop_caches(z)
    elif deed == Deed.COMPACT_MEMORY:
        compact_memory(z)
    else:
        _set(z, row)
