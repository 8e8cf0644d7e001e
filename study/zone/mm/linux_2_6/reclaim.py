"""Finding pages to free: the scan of the two LRU lists in mm/vmscan.c, 2.6.8.

Which frames become free is decided by LRU order alone; nothing here looks at an address, unless
lumpy reclaim is switched on.
"""

from __future__ import annotations

from study.zone.engine.call import call_at
from study.zone.engine.compile import kernel
from study.zone.engine.dice import below
from study.zone.engine.enums import Flag, Home, Kind, Reclaimer, Stream, Thrown
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
from study.zone.mm.linux_2_6.writeback import may_write_to_queue, set_dirty, start_write
from study.zone.settings import KswapdLoop

DEF_PRIORITY = 12
SWAP_CLUSTER_MAX = 32
SHRINK_BATCH = 128
SEEKS = 2
"""DEFAULT_SEEKS, as the dentry and inode caches declare."""


def pagevec_size(loop: KswapdLoop) -> int:
    """PAGEVEC_SIZE: 16, and 14 from 2.6.10 on (include/linux/pagevec.h)."""
    return 14 if loop >= KswapdLoop.V2_6_10 else 16


@kernel
def begin_scan(z, who):
    """Note what a reclaimer sees of the machine as its scan begins (struct scan_control)."""
    z.sc_nr_mapped[who] = z.nr_mapped
    z.sc_nr_scanned[who] = 0


@kernel
def reclaim_mapped(z, who):
    """May mapped pages be reclaimed? (refill_inactive_zone: distress, mapped ratio, swappiness)"""
    distress = 100 >> z.zone.prev_priority
    mapped_ratio = z.sc_nr_mapped[who] * 100 // z.zone.total_memory
    return mapped_ratio // 2 + distress + z.swappiness >= 100


@kernel
def _age(z, pfn, may_take_mapped):
    """Move a page from the active tail to the inactive head, or back to the active head."""
    frame = frames(z)
    keep = frame[pfn].kind == Kind.ANON and z.swap == 0
    # Since 2.6.9 the referenced bit of an anonymous page is not tested without swap.
    if frame[pfn].flags & Flag.MAPPED and not (keep and z.kswapd_loop >= KswapdLoop.V2_6_9):
        keep |= not may_take_mapped or page_referenced(z, pfn)
    if keep:
        list_del(z, pfn)
        list_add(z, z.zone.head + HEAD_ACTIVE, pfn)
    else:
        lru_del(z, pfn)
        lru_add_inactive(z, pfn)
        z.zone.count.deactivated += 1


@kernel
def refill_inactive(z, who, nr_pages):
    """Age pages from the active tail: to the inactive head, or back to the active head.

    A mapped page stays active unless mapped pages may be reclaimed and it was not referenced; an
    unmapped one is deactivated whatever its referenced bit (2.6.8).
    """
    frame = frames(z)
    head = z.zone.head + HEAD_ACTIVE
    fair_game = reclaim_mapped(z, who)
    # The kernel takes its batch off the list first: no page is looked at twice.
    scanned = min(nr_pages, z.zone.nr_active)
    for _ in range(scanned):
        _age(z, frame[head].prev, fair_game)
    looked_at_active(z, scanned)
    if z.kswapd_loop >= KswapdLoop.V2_6_10:
        z.zone.pages_scanned += scanned
    return scanned


@kernel
def _refill_blocks(z, who, nr_pages):
    """refill_inactive with lumpy reclaim: active neighbours are looked at together."""
    frame = frames(z)
    head = z.zone.head + HEAD_ACTIVE
    order = z.reclaim_order[who]
    fair_game = reclaim_mapped(z, who)
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
    if z.victims == z.pagevec_size:
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


@kernel(inline=True)
def _count_scanned(z, who, flags):
    """sc.nr_scanned: pages in a page table or in swap count twice, active ones never.

    2.6.8 to 2.6.10 leave out those that are being written.
    """
    if not flags & Flag.WRITEBACK or z.kswapd_loop >= KswapdLoop.V2_6_11:
        z.sc_nr_scanned[who] += 2 if flags & (Flag.MAPPED | Flag.SWAPCACHE) else 1


@kernel
def _is_pinned(z, pfn):
    """Does the pagevec of the batch before still hold the page?"""
    pinned = False
    for i in range(z.nr_pinned):
        pinned |= z.pinned[i] == pfn
    return pinned


@kernel
def _meet_writeback(z, who, flags):
    """Note a page that is being written; kswapd has met it before if reclaim is to free it next."""
    z.met_writeback += 1
    if who == Reclaimer.KSWAPD and flags & Flag.RECLAIM and z.zone.all_writeback:
        z.met_again += 1


@kernel
def _note_batch(z, taken):
    """Mark the zone if a batch held only pages under writeback, or dirty ones that must stay.

    ZONE_CONGESTED (2.6.37): all dirty pages met a full queue. ZONE_WRITEBACK (3.11): all were
    being written.
    """
    if z.met_dirty > 0 and z.met_dirty == z.met_refused:
        z.zone.congested = 1
    if taken > 0 and z.met_writeback == taken:
        z.zone.all_writeback = 1
    z.met_dirty = 0
    z.met_refused = 0
    z.met_writeback = 0


@kernel
def shrink_list(z, who, pfn):
    """Decide on one page from the inactive tail; True if it was freed (shrink_list, 2.6.8).

    A page that is kept goes back to the inactive head, and crosses the whole list again.
    """
    frame = frames(z)
    _count_scanned(z, who, frame[pfn].flags)
    if frame[pfn].flags & Flag.WRITEBACK:
        _meet_writeback(z, who, frame[pfn].flags)
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
    dirty = (frame[pfn].flags & (Flag.DIRTY | Flag.DIRTY_PTE)) != 0
    if z.no_io and (frame[pfn].kind == Kind.ANON or dirty):
        _keep(z, pfn)
        return False
    if z.no_fs and frame[pfn].kind == Kind.FILE and dirty:
        _keep(z, pfn)
        return False
    if frame[pfn].kind == Kind.ANON and not frame[pfn].flags & Flag.SWAPCACHE:
        if z.swap == 0:
            _activate(z, pfn)
            return False
        frame[pfn].flags |= Flag.SWAPCACHE
        set_dirty(z, pfn)
    unmap_ptes(z, pfn)
    if z.nr_pinned > 0 and _is_pinned(z, pfn):
        _keep(z, pfn)
        return False
    if frame[pfn].flags & Flag.DIRTY:
        z.met_dirty += 1
        if not referenced:
            if may_write_to_queue(z, pfn, who):
                start_write(z, pfn, True)
            else:
                z.met_refused += 1
        _keep(z, pfn)
        return False
    _reclaim_page(z, pfn)
    return True


@kernel
def _shrink_blocks(z, who, most):
    """shrink_cache with lumpy reclaim: (pages looked at, pages freed)."""
    frame = frames(z)
    order = z.reclaim_order[who]
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
            if shrink_list(z, who, frame[head].prev):
                reclaimed += 1
        taken += batch
    z.ignore_references = 0
    return taken, reclaimed


@kernel
def _chosen(z, oldest):
    """The inactive page that an extension selects instead of the oldest."""
    pfn = call_at(z.victims_at, z, oldest)
    if 0 <= pfn < z.zone.pages and frames(z)[pfn].home == Home.INACTIVE:
        return pfn
    return oldest


@kernel
def _take_batch(z, who, nr_taken, again):
    """Look at so many pages from the inactive tail; returns how many were freed.

    again  will there be another look in the same call? Then note what is put back.
    """
    frame = frames(z)
    head = z.zone.head + HEAD_INACTIVE
    reclaimed = 0
    for _ in range(nr_taken):
        pfn = frame[head].prev
        if pfn == head:
            break
        if z.victims_at:
            pfn = _chosen(z, pfn)
        if shrink_list(z, who, pfn):
            reclaimed += 1
        elif again:
            z.kept[z.nr_kept] = pfn
            z.nr_kept += 1
    _release_victims(z)
    _note_batch(z, nr_taken)
    return reclaimed


@kernel
def _pin_kept(z):
    """Pages put back stay pinned by a pagevec until it is full, and are neither written nor freed.

    It matters where a page is looked at twice in one call (fewer than 31 pages on the list).
    """
    for i in range(z.nr_kept):
        z.pinned[z.nr_pinned] = z.kept[i]
        z.nr_pinned += 1
        if z.nr_pinned == z.pagevec_size:
            z.nr_pinned = 0
    z.nr_kept = 0


@kernel
def shrink_cache(z, who, nr_to_scan, cluster):
    """Look at pages from the inactive tail, oldest first; returns how many were freed.

    Whole clusters are taken, even if fewer pages are to be looked at. Up to 2.6.11 each is charged
    one page too many, and a list that is shorter than the scan's target is scanned again.

    cluster  pages taken at once (sc->swap_cluster_max), at most SWAP_CLUSTER_MAX
    """
    reclaimed = 0
    taken = 0
    if z.lumpy and z.reclaim_order[who] > 0:
        taken, reclaimed = _shrink_blocks(z, who, min(cluster, z.zone.nr_inactive))
        _release_victims(z)
        _note_batch(z, taken)
        z.zone.pages_scanned += taken
    else:
        counts_more = z.kswapd_loop <= KswapdLoop.V2_6_11
        left = nr_to_scan
        while left > 0:
            nr_taken = min(cluster, SWAP_CLUSTER_MAX, z.zone.nr_inactive)
            # Before anything is freed: a free that reaches the buddy lists sets it to 0.
            if z.kswapd_loop != KswapdLoop.V2_6_10:
                z.zone.pages_scanned += nr_taken + (z.kswapd_loop == KswapdLoop.V2_6_11)
            if nr_taken == 0:
                break
            left = left - nr_taken - 1 if counts_more else 0
            reclaimed += _take_batch(z, who, nr_taken, left > 0)
            taken += nr_taken
            if left > 0:
                _pin_kept(z)
        z.nr_pinned = 0
    looked_at_inactive(z, taken)
    z.zone.count.scanned[who] += taken
    z.zone.count.reclaimed[who] += reclaimed
    return reclaimed


@kernel
def begin_shrink(z, who, priority):
    """Set what one call of shrink_zone scans of each list; less than a batch is carried over."""
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
            active = _refill_blocks(z, who, share)
        else:
            active = refill_inactive(z, who, share)
        z.zone.count.scanned[who] += active
        scanned += active
    if z.zone.scan_inactive[who] > 0:
        share = min(z.zone.scan_inactive[who], SWAP_CLUSTER_MAX)
        z.zone.scan_inactive[who] -= share
        before = z.zone.count.scanned[who]
        z.zone.scan_target[who] -= shrink_cache(z, who, share, SWAP_CLUSTER_MAX)
        scanned += z.zone.count.scanned[who] - before
    return scanned


@kernel
def _slab_objects_due(z, scanned, lru_pages):
    """How many objects shrink_slab scans now.

    2.6.8 waits for more than 128 of them and then takes them all; 2.6.9 takes whole batches and
    keeps the rest, and counts a scan of nothing as one of 32 pages.
    """
    if scanned == 0 and z.kswapd_loop >= KswapdLoop.V2_6_9:
        scanned = SWAP_CLUSTER_MAX
    objects = z.nr_reclaimable * z.slab_objects_per_page
    z.slab_scan += 4 * scanned // SEEKS * objects // (lru_pages + 1)
    due = z.slab_scan
    if z.kswapd_loop >= KswapdLoop.V2_6_9:
        due -= due % SHRINK_BATCH
    elif due <= SHRINK_BATCH:
        due = 0
    z.slab_scan -= due
    return due


@kernel
def shrink_slab(z, who, scanned, lru_pages):
    """Empty dentry and inode slabs in step with the LRU scan; returns pages freed.

    shrink_slab, 2.6.8. Objects die at random over the reclaimable slab pages, and a page is
    free only when its last object has gone: this is why slab reclaim yields so few pages.

    scanned    inactive pages looked at, those in use twice (sc.nr_scanned)
    lru_pages  on both lists before the scan
    """
    freed = 0
    due = _slab_objects_due(z, scanned, lru_pages)
    if z.no_fs:
        # dentries and inodes are the file system's (shrink_dcache_memory, 2.6.8): carried over.
        z.slab_scan += due
        return freed
    for _ in range(due):
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
