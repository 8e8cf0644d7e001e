"""Writing dirty pages: one disk that writes page after page, and pdflush.

Simplification: the queue is first in, first out at a fixed time per page; elevators, seeks and
request merging are left out. A page being written is neither reclaimed nor moved.
"""

from __future__ import annotations

from study.zone.engine.agenda import book
from study.zone.engine.compile import kernel
from study.zone.engine.enums import Event, Flag, Kind, Reclaimer
from study.zone.engine.layout import NO_PFN, QUEUED, SWAPPED, dirty_queue, frames, vpages, writes
from study.zone.mm.linux_2_6.lru import rotate_reclaimable

# mm/page-writeback.c, 2.6.8: dirty_background_ratio, dirty_writeback_centisecs,
# dirty_expire_centisecs.
BACKGROUND_PERCENT = 10
WRITEBACK_NS = 5_000_000_000
EXPIRE_NS = 30_000_000_000
CONGESTED_PAGES = 4_096
"""Writes in flight at which the device counts as congested: 128 requests of 32 pages
(drivers/block/ll_rw_blk.c, BLKDEV_MAX_RQ; full-size requests assumed)."""
WRITES_MOST = 2 * CONGESTED_PAGES
"""Who may write to a full queue waits at the end of its batch: room for what it holds till then."""


@kernel
def set_dirty(z, pfn):
    """Mark a page as differing from its copy on disk."""
    frame = frames(z)
    if frame[pfn].flags & Flag.DIRTY:
        return
    frame[pfn].flags |= Flag.DIRTY
    # Memory without a file behind it does not count as dirty (page-writeback.c, nr_dirty).
    if frame[pfn].kind == Kind.ANON:
        return
    z.nr_dirty += 1
    page = frame[pfn].owner
    vpage = vpages(z)
    if vpage[page].state & QUEUED:
        return
    # pdflush visits file pages in the order they were dirtied.
    vpage[page].state |= QUEUED
    row = (z.dirty_first + z.nr_queued) % z.dirty_rows
    dirty_queue(z)[row].time = z.now
    dirty_queue(z)[row].vpage = page
    z.nr_queued += 1


@kernel
def congested(z):
    """Is the disk's queue full?"""
    return z.nr_writes >= CONGESTED_PAGES


@kernel
def may_write_to_queue(z, pfn, who):
    """May reclaim begin this write now? (may_write_to_queue, 2.6.8)

    kswapd may even if the queue is full, and so may who writes to swap, whose backing device is
    never congested; they then wait in the queue (queue_wait_ns).
    """
    if z.nr_writes >= WRITES_MOST:
        return False
    return who == Reclaimer.KSWAPD or frames(z)[pfn].kind == Kind.ANON or not congested(z)


@kernel
def queue_wait_ns(z):
    """How long who has just written waits until the queue holds no more than it has room for."""
    if z.nr_writes <= CONGESTED_PAGES:
        return 0
    row = (z.write_first + z.nr_writes - CONGESTED_PAGES - 1) % z.write_rows
    return max(writes(z)[row].time - z.now, 0)


@kernel
def congestion_wait_ns(z, limit):
    """How long blk_congestion_wait sleeps: to the end of the next write, at most the limit (ns)."""
    if z.nr_writes == 0:
        return limit
    return max(min(limit, writes(z)[z.write_first].time - z.now), 1)


@kernel
def start_write(z, pfn, reclaim):
    """Begin writing a dirty page; with reclaim it is rotated to the inactive tail afterwards."""
    frame = frames(z)
    frame[pfn].flags &= ~Flag.DIRTY
    frame[pfn].flags |= Flag.WRITEBACK
    if reclaim:
        frame[pfn].flags |= Flag.RECLAIM
    page = frame[pfn].owner
    if frame[pfn].kind == Kind.ANON:
        vpages(z)[page].state |= SWAPPED
        z.count.swapped_out += 1
    else:
        z.nr_dirty -= 1
    z.nr_writeback += 1
    z.count.written += 1
    z.disk_free_at = max(z.disk_free_at, z.now) + z.cost_write_ns
    row = (z.write_first + z.nr_writes) % z.write_rows
    writes(z)[row].time = z.disk_free_at
    writes(z)[row].pfn = pfn
    writes(z)[row].vpage = page
    if z.nr_writes == 0:
        book(z, z.disk_free_at, Event.WRITE_DONE, 0)
    z.nr_writes += 1


@kernel
def end_page_writeback(z, pfn):
    """A page is on the disk; if reclaim wrote it and nobody has since, it is freed next."""
    flags = frames(z)[pfn].flags
    frames(z)[pfn].flags = flags & ~(Flag.WRITEBACK | Flag.RECLAIM)
    z.nr_writeback -= 1
    if flags & Flag.RECLAIM and not flags & Flag.DIRTY:
        rotate_reclaimable(z, pfn)


@kernel
def finish_writes(z):
    """Complete the writes that are due, and book the next."""
    write = writes(z)
    while z.nr_writes > 0 and write[z.write_first].time <= z.now:
        pfn = write[z.write_first].pfn
        z.write_first = (z.write_first + 1) % z.write_rows
        z.nr_writes -= 1
        # A page deleted meanwhile has left NO_PFN behind (see drop_write).
        if pfn == NO_PFN:
            continue
        end_page_writeback(z, pfn)
    if z.nr_writes > 0:
        book(z, write[z.write_first].time, Event.WRITE_DONE, 0)


@kernel
def drop_write(z, pfn):
    """Forget the write of a page that is being deleted; the disk stays busy as long."""
    frames(z)[pfn].flags &= ~(Flag.WRITEBACK | Flag.RECLAIM)
    z.nr_writeback -= 1
    for i in range(z.nr_writes):
        row = (z.write_first + i) % z.write_rows
        if writes(z)[row].pfn == pfn:
            writes(z)[row].pfn = NO_PFN
            return


@kernel
def pdflush(z):
    """Write file pages dirty for 30 s, or the oldest while a tenth of memory is dirty."""
    vpage = vpages(z)
    frame = frames(z)
    background = z.zone.pages * BACKGROUND_PERCENT // 100
    while z.nr_queued > 0 and not congested(z):
        oldest = dirty_queue(z)[z.dirty_first].time
        if oldest > z.now - EXPIRE_NS and z.nr_dirty <= background:
            break
        page = dirty_queue(z)[z.dirty_first].vpage
        z.dirty_first = (z.dirty_first + 1) % z.dirty_rows
        z.nr_queued -= 1
        vpage[page].state &= ~QUEUED
        pfn = vpage[page].pfn
        if pfn == NO_PFN:
            continue
        if frame[pfn].flags & Flag.DIRTY and not frame[pfn].flags & Flag.WRITEBACK:
            start_write(z, pfn, False)
    book(z, z.now + WRITEBACK_NS, Event.PDFLUSH, 0)


@kernel
def start_pdflush(z):
    """Book its first round."""
    book(z, WRITEBACK_NS, Event.PDFLUSH, 0)
