"""Pageblocks kept for atomic requests: MIGRATE_RESERVE of 2.6.24, HIGHATOMIC of 4.4.

mm/page_alloc.c. The first takes its pageblocks at boot and is everybody's last resort, so what
lies in it stays in few pieces. The second takes the pageblock out of which an atomic request above
order 0 was served, for the next one of its kind, and gives pageblocks back when reclaim for
another was in vain.
"""

from __future__ import annotations

from study.zone.engine.compile import kernel
from study.zone.engine.enums import Home, Migratetype
from study.zone.engine.layout import NO_PFN, frames
from study.zone.mm.linux_2_6.grouping import (
    free_list,
    move_free_pages,
    pageblock_type,
    rmqueue,
    set_pageblock_type,
    take_smallest,
)
from study.zone.settings import NR_ORDERS, Reserve

RESERVE_BLOCKS_MAX = 2
"""setup_zone_migrate_reserve, since 2.6.36; min alone decides before."""


@kernel
def set_boot_reserve(z):
    """Reserve the lowest pageblocks of memory that is not, as many as min fills."""
    pages = 1 << z.pageblock_order
    wanted = min((z.zone.min + pages - 1) >> z.pageblock_order, RESERVE_BLOCKS_MAX)
    for row in range(z.zone.pages >> z.pageblock_order):
        if wanted == 0:
            return
        pfn = row << z.pageblock_order
        if frames(z)[pfn].home == Home.RESERVED:
            continue
        set_pageblock_type(z, pfn, 0, Migratetype.HIGHATOMIC)
        move_free_pages(z, pfn, Migratetype.HIGHATOMIC)
        z.zone.nr_reserved += pages
        wanted -= 1


@kernel
def _reserve_pageblock(z, pfn):
    """Keep the pageblock of a block just served for others of its kind, up to 1 % of the zone."""
    pages = 1 << z.pageblock_order
    if (
        z.zone.nr_reserved >= z.zone.pages // 100 + pages
        or pageblock_type(z, pfn) >= Migratetype.HIGHATOMIC
    ):
        return
    z.zone.nr_reserved += pages
    set_pageblock_type(z, pfn, 0, Migratetype.HIGHATOMIC)
    move_free_pages(z, pfn, Migratetype.HIGHATOMIC)


@kernel
def take_for_atomic(z, order, migratetype):
    """A block for an atomic request: of the reserve first, and where it comes from is reserved."""
    if z.reserve != Reserve.HIGHATOMIC:
        return rmqueue(z, order, migratetype)
    pfn = take_smallest(z, order, Migratetype.HIGHATOMIC)
    if pfn == NO_PFN:
        pfn = rmqueue(z, order, migratetype)
    if pfn != NO_PFN:
        _reserve_pageblock(z, pfn)
    return pfn


@kernel
def unreserve_pageblock(z, migratetype):
    """Give a pageblock back, but not the last (unreserve_highatomic_pageblock)."""
    pages = 1 << z.pageblock_order
    if z.reserve != Reserve.HIGHATOMIC or z.zone.nr_reserved <= pages:
        return
    for order in range(NR_ORDERS):
        head = free_list(z, order, Migratetype.HIGHATOMIC)
        pfn = frames(z)[head].next
        if pfn == head:
            continue
        if pageblock_type(z, pfn) == Migratetype.HIGHATOMIC:
            z.zone.nr_reserved -= min(pages, z.zone.nr_reserved)
        set_pageblock_type(z, pfn, 0, migratetype)
        move_free_pages(z, pfn, migratetype)
        return
