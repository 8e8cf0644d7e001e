"""Finding pages to free: the scan of the two LRU lists in mm/vmscan.c, 2.6.8.

Which frames become free is decided by LRU order alone; nothing here looks at an address, unless
lumpy reclaim is switched on.
"""

from __future__ import annotations

from study.zone.engine.call import call_at
from study.zone.engine.compile import kernel
from study.zone.engine.dice import below
from study.zone.engine.enums import Flag, Home, Kind, Stream, Thrown
from study.zone.engine.layout import HEAD_ACTIVE, HEAD_INACTIVE, frames, reclaimables, slots, vpages
from study.zone.engine.lists import list_add, list_del
from study.zone.mm.linux_2_6.lru import (
    looked_at_active,
    looked_at_inactive,
    lru_add_active,
    lru_add_inactive,
    lru_del,
    page_referenced,
)
from study.zone.mm.linux_2_6.lumpy import COSTLY_ORDER, gather_block
from study.zone.mm.linux_2_6.percpu import free_page
from study.zone.mm.linux_2_6.rmap import forget_page, unmap_ptes
from study.zone.mm.linux_2_6.slab import free_slab
from study.zone.mm.linux_2_6.writeback import congested, set_dirty, start_write
from study.zone.settings import KswapdLoop

DEF_PRIORITY = 12
SWAP_CLUSTER_MAX = 32
PAGEVEC_SIZE = 16
SHRINK_BATCH = 128
SEEKS = 2
"""DEFAULT_SEEKS, as the dentry and inode caches declare."""


@kernel
def reclaim_mapped(z):
    """Are mapped pages fair game? (refill_inactive_zone: distress, mapped ratio, swappiness)"""
    distress = 100 >> z.zone.prev_priority
    mapped_ratio = z.nr_mapped * 100 // z.zone.pages
    return mapped_ratio // 2 + distress + z.swappiness >= 100


@kernel
def _age(z, pfn, fair_game):
    """Send a page from the active tail to the inactive head, or round once more."""
    frame = frames(z)
    keep = False
    if frame[pfn].flags & Flag.MAPPED:
        keep = not fair_game or page_referenced(z, pfn)
    if frame[pfn].kind == Kind.ANON and z.swap == 0:
        keep = True
    if keep:
        list_del(z, pfn)
        list_add(z, z.zone.head + HEAD_ACTIVE, pfn)
    else:
        lru_del(z, pfn)
        lru_add_inactive(z, pfn)
        z.zone.count.deactivated += 1


@kernel
def refill_inactive(z, nr_pages):
    """Age pages from the active tail: to the inactive head, or round once more.

    A mapped page stays active unless mapped pages are fair game and it was not referenced; an
    unmapped one is deactivated whatever its referenced bit (2.6.8).
    """
    frame = frames(z)
    head = z.zone.head + HEAD_ACTIVE
    fair_game = reclaim_mapped(z)
    # The kernel takes its batch off the list first: no page is looked at twice.
    scanned = min(nr_pages, z.zone.nr_active)
    for _ in range(scanned):
        _age(z, frame[head].prev, fair_game)
    looked_at_active(z, scanned)
    if z.kswapd_loop >= KswapdLoop.V2_6_10:
        z.zone.pages_scanned += scanned
    return scanned


@kernel
def _refill_blocks(z, nr_pages, order):
    """refill_inactive with lumpy reclaim: active neighbours are looked at together."""
    frame = frames(z)
    head = z.zone.head + HEAD_ACTIVE
    fair_game = reclaim_mapped(z)
    most = min(nr_pages, z.zone.nr_active)
    scanned = 0
    while scanned < most:
        batch = 1 + gather_block(z, frame[head].prev, order)
        for _ in range(batch):
            _age(z, frame[head].prev, fair_game)
        scanned += batch
    z.zone.pages_scanned += scanned
    return scanned


@kernel
def _release_victims(z):
    """Free the collected pages, last first, to the cold list (__pagevec_release_nonlru)."""
    while z.victims > 0:
        z.victims -= 1
        free_page(z, z.victim[z.victims], True)


@kernel
def _reclaim_page(z, pfn):
    """Evict a clean, idle page; the frame joins the victims."""
    lru_del(z, pfn)
    page = forget_page(z, pfn)
    vpages(z)[page].thrown = Thrown.RECLAIM
    z.victim[z.victims] = pfn
    z.victims += 1
    if z.victims == PAGEVEC_SIZE:
        _release_victims(z)


@kernel
def _activate(z, pfn):
    lru_del(z, pfn)
    lru_add_active(z, pfn)
    z.zone.count.activated += 1


@kernel
def _keep(z, pfn):
    list_del(z, pfn)
    list_add(z, z.zone.head + HEAD_INACTIVE, pfn)


@kernel
def shrink_list(z, pfn):
    """Decide on one page from the inactive tail; True if it was freed (shrink_list, 2.6.8).

    A page that is kept goes back to the inactive head: a full second trip.
    """
    frame = frames(z)
    if frame[pfn].flags & Flag.WRITEBACK:
        _keep(z, pfn)
        return False
    referenced = page_referenced(z, pfn)
    if z.ignore_references:
        referenced = False
    # 2.6.8 counts the whole file as in use if anyone maps it; here mapping is per page.
    in_use = (frame[pfn].flags & (Flag.MAPPED | Flag.SWAPCACHE)) != 0
    if referenced and in_use:
        _activate(z, pfn)
        return False
    if z.no_io and (frame[pfn].kind == Kind.ANON or frame[pfn].flags & Flag.DIRTY):
        _keep(z, pfn)
        return False
    if z.no_fs and frame[pfn].kind == Kind.FILE and frame[pfn].flags & Flag.DIRTY:
        _keep(z, pfn)
        return False
    if frame[pfn].kind == Kind.ANON and not frame[pfn].flags & Flag.SWAPCACHE:
        if z.swap == 0:
            _activate(z, pfn)
            return False
        frame[pfn].flags |= Flag.SWAPCACHE
        set_dirty(z, pfn)
    unmap_ptes(z, pfn)
    if frame[pfn].flags & Flag.DIRTY:
        if not referenced and not congested(z):
            start_write(z, pfn, True)
        _keep(z, pfn)
        return False
    _reclaim_page(z, pfn)
    return True


@kernel
def _shrink_blocks(z, most, order):
    """shrink_cache with lumpy reclaim: (pages looked at, pages freed)."""
    frame = frames(z)
    head = z.zone.head + HEAD_INACTIVE
    taken = 0
    reclaimed = 0
    z.ignore_references = order > COSTLY_ORDER
    while taken < most:
        pfn = frame[head].prev
        if pfn == head:
            break
        batch = 1 + gather_block(z, pfn, order)
        for _ in range(batch):
            if shrink_list(z, frame[head].prev):
                reclaimed += 1
        taken += batch
    z.ignore_references = 0
    return taken, reclaimed


@kernel
def _chosen(z, oldest):
    """The inactive page that an extension would rather have looked at than the oldest."""
    pfn = call_at(z.victims_at, z, oldest)
    if 0 <= pfn < z.zone.pages and frames(z)[pfn].home == Home.INACTIVE:
        return pfn
    return oldest


@kernel
def shrink_cache(z, who, nr_pages):
    """Look at pages from the inactive tail, oldest first; returns how many were freed."""
    frame = frames(z)
    head = z.zone.head + HEAD_INACTIVE
    nr_taken = min(nr_pages, z.zone.nr_inactive)
    reclaimed = 0
    if z.lumpy and z.reclaim_order[who] > 0:
        nr_taken, reclaimed = _shrink_blocks(z, nr_taken, z.reclaim_order[who])
    else:
        for _ in range(nr_taken):
            pfn = frame[head].prev
            if pfn == head:
                break
            if z.victims_at:
                pfn = _chosen(z, pfn)
            if shrink_list(z, pfn):
                reclaimed += 1
    _release_victims(z)
    looked_at_inactive(z, nr_taken)
    if z.kswapd_loop != KswapdLoop.V2_6_10:
        z.zone.pages_scanned += nr_taken
    z.zone.count.scanned[who] += nr_taken
    z.zone.count.reclaimed[who] += reclaimed
    return reclaimed


@kernel
def begin_shrink(z, who, priority):
    """Say how much of each list one call of shrink_zone is to scan; small shares add up first."""
    z.zone.nr_scan_active += (z.zone.nr_active >> priority) + 1
    z.zone.scan_active[who] = 0
    if z.zone.nr_scan_active >= SWAP_CLUSTER_MAX:
        z.zone.scan_active[who] = z.zone.nr_scan_active
        z.zone.nr_scan_active = 0
    z.zone.nr_scan_inactive += (z.zone.nr_inactive >> priority) + 1
    z.zone.scan_inactive[who] = 0
    if z.zone.nr_scan_inactive >= SWAP_CLUSTER_MAX:
        z.zone.scan_inactive[who] = z.zone.nr_scan_inactive
        z.zone.nr_scan_inactive = 0
    z.zone.scan_target[who] = SWAP_CLUSTER_MAX


@kernel
def shrink_done(z, who):
    """Has this call of shrink_zone freed enough or scanned its share?"""
    both = z.zone.scan_active[who] <= 0 and z.zone.scan_inactive[who] <= 0
    return z.zone.scan_target[who] <= 0 or both


@kernel
def shrink_step(z, who):
    """One turn of shrink_zone's loop: up to 32 active, then 32 inactive pages.

    Returns pages scanned; pages freed are taken off scan_target.
    """
    scanned = 0
    if z.zone.scan_active[who] > 0:
        share = min(z.zone.scan_active[who], SWAP_CLUSTER_MAX)
        z.zone.scan_active[who] -= share
        if z.lumpy and z.reclaim_order[who] > 0:
            active = _refill_blocks(z, share, z.reclaim_order[who])
        else:
            active = refill_inactive(z, share)
        z.zone.count.scanned[who] += active
        scanned += active
    if z.zone.scan_inactive[who] > 0:
        z.zone.scan_inactive[who] -= min(z.zone.scan_inactive[who], SWAP_CLUSTER_MAX)
        # 2.6.8 always takes a full batch here, even when fewer were asked for.
        before = z.zone.count.scanned[who]
        z.zone.scan_target[who] -= shrink_cache(z, who, SWAP_CLUSTER_MAX)
        scanned += z.zone.count.scanned[who] - before
    return scanned


@kernel
def shrink_slab(z, who, scanned):
    """Empty dentry and inode slabs in step with the LRU scan; returns pages freed.

    shrink_slab, 2.6.8. Objects die at random over the reclaimable slab pages, and a page is
    free only when its last object has gone: this is why slab reclaim yields so few pages.
    """
    objects = z.nr_reclaimable * z.slab_objects_per_page
    z.slab_scan += 4 * (scanned // SEEKS) * objects // (z.zone.nr_active + z.zone.nr_inactive + 1)
    freed = 0
    if z.no_fs:
        # dentries and inodes are the file system's (shrink_dcache_memory, 2.6.8).
        return freed
    while z.slab_scan >= SHRINK_BATCH:
        z.slab_scan -= SHRINK_BATCH
        for _ in range(SHRINK_BATCH):
            if z.nr_reclaimable == 0:
                break
            slot = reclaimables(z)[below(z, Stream.KERNEL, z.nr_reclaimable)].row
            slots(z)[slot].objects -= 1
            if slots(z)[slot].objects == 0:
                free_slab(z, slot)
                freed += 1
    z.count.slab_reclaimed += freed
    z.zone.count.reclaimed[who] += freed
    return freed
