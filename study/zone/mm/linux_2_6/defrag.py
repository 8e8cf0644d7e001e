"""The reverse-map defragmenter: pick aligned blocks that can be emptied, and empty them.

What the thread of September 2004 proposes and no kernel of the time had. Martin Bligh: choose a
block, check by rmap that every page can go, evict them all. Marcelo Tosatti (October 2004): move
the pages instead. Linus Torvalds: not in kswapd, but rarely, in a process of its own. The block
that needs the fewest pages moved goes first; or, as in Tosatti's patch, one that holds a free block
of the next smaller orders.
"""

from __future__ import annotations

from study.zone.engine.agenda import book
from study.zone.engine.compile import kernel
from study.zone.engine.enums import Event, Flag, Home, Kind, Migratetype, Thrown
from study.zone.engine.layout import NO_PFN, NO_ROW, SWAPPED, buckets, candidates, frames, vpages
from study.zone.mm.linux_2_6.buddy import remove_free_block
from study.zone.mm.linux_2_6.grouping import free_list, pageblock_type, return_block
from study.zone.mm.linux_2_6.lru import lru_del
from study.zone.mm.linux_2_6.percpu import give_back, take_typed_page
from study.zone.mm.linux_2_6.rmap import forget_page, migrate_page
from study.zone.mm.linux_2_6.watermark import watermark_ok
from study.zone.settings import NR_ORDERS, DefragChoice, DefragMode, DefragRun

_ISOLATE = int(Migratetype.ISOLATE)
LOOK_NS = 20
"""Time to look at one frame while searching: a cache miss or two. Assumed; it only enters
defrag_ns and delays the inline caller."""
EVICT_NS = 1_000
"""Time to unmap and free one clean page. Assumed, as above."""
# The daemon's own work takes no simulated time: it sleeps far longer than it runs.


@kernel
def free_blocks(z, order):
    """How many blocks of an order the free lists hold, larger ones counted in such blocks."""
    nr_blocks = 0
    for larger in range(order, NR_ORDERS):
        nr_blocks += z.zone.nr_free[larger] << (larger - order)
    return nr_blocks


@kernel
def cost_of_emptying(z, start, order):
    """Pages to evict or move so that a block becomes free; -1 if it cannot or need not be."""
    frame = frames(z)
    pfn = start
    stop = start + (1 << order)
    cost = 0
    while pfn < stop:
        home = frame[pfn].home
        if home == Home.BUDDY:
            if frame[pfn].order >= order:
                return -1
            pfn += 1 << frame[pfn].order
            continue
        if home != Home.ACTIVE and home != Home.INACTIVE:
            return -1
        if frame[pfn].flags & Flag.WRITEBACK:
            return -1
        if z.defrag_mode == DefragMode.RMAP_EVICT and frame[pfn].kind == Kind.ANON and z.swap == 0:
            return -1
        cost += 1
        pfn += 1
    return cost


@kernel
def _rank_blocks(z, first, nr_blocks):
    """Sort the blocks of a window into buckets by cost, lowest address first in each."""
    order = z.defrag_order
    for cost in range((1 << order) + 1):
        buckets(z)[cost].row = NO_ROW
    for i in range(nr_blocks):
        block = first + nr_blocks - 1 - i
        cost = cost_of_emptying(z, block << order, order)
        if cost > 0:
            candidates(z)[block].row = buckets(z)[cost].row
            buckets(z)[cost].row = block
    z.count.defrag_scanned += nr_blocks << order


@kernel
def _evict(z, pfn):
    """Throw a page out through the reverse map; returns ns spent. A dirty page is written first."""
    frame = frames(z)
    spent = EVICT_NS
    anon = frame[pfn].kind == Kind.ANON
    dirty = (frame[pfn].flags & (Flag.DIRTY | Flag.DIRTY_PTE)) != 0
    if dirty or (anon and not frame[pfn].flags & Flag.SWAPCACHE):
        spent += z.cost_write_ns
        z.count.defrag_written += 1
    lru_del(z, pfn)
    page = forget_page(z, pfn)
    vpages(z)[page].thrown = Thrown.DEFRAG
    if anon:
        vpages(z)[page].state |= SWAPPED
    z.count.defrag_evicted += 1
    return spent


@kernel
def _migrate(z, pfn):
    """Move a page to a free frame elsewhere; returns ns spent, -1 if no frame is to be had."""
    target = take_typed_page(z, False, Migratetype.MOVABLE)
    if target == NO_PFN:
        return -1
    migrate_page(z, pfn, target)
    z.count.defrag_migrated += 1
    return z.cost_migrate_ns


@kernel
def _release(z, start, order):
    """Give back what was isolated of a block that could not be emptied."""
    frame = frames(z)
    pfn = start
    while pfn < start + (1 << order):
        if frame[pfn].home == Home.ISOLATED:
            part = frame[pfn].order
            frame[pfn].home = Home.NONE
            return_block(z, pfn, part, pageblock_type(z, pfn))
            pfn += 1 << part
        else:
            pfn += 1


@kernel
def empty_block(z, start, order):
    """Empty one block and free it whole; returns ns spent, -1 if it had to be given up.

    Its free parts are taken off the lists first, so that no page is moved within the block.
    """
    frame = frames(z)
    stop = start + (1 << order)
    pfn = start
    while pfn < stop:
        if frame[pfn].home == Home.BUDDY:
            part = frame[pfn].order
            remove_free_block(z, pfn, part)
            z.zone.free -= 1 << part
            frame[pfn].home = Home.ISOLATED
            pfn += 1 << part
        else:
            pfn += 1
    spent = 0
    pfn = start
    while pfn < stop:
        if frame[pfn].home == Home.ISOLATED:
            pfn += 1 << frame[pfn].order
            continue
        took = _evict(z, pfn) if z.defrag_mode == DefragMode.RMAP_EVICT else _migrate(z, pfn)
        if took < 0:
            _release(z, start, order)
            return -1
        spent += took
        frame[pfn].home = Home.ISOLATED
        frame[pfn].order = 0
        pfn += 1
    for pfn in range(start, stop):
        frame[pfn].home = Home.NONE
    give_back(z, start, order)
    z.count.defrag_blocks += 1
    return spent


@kernel
def _beside_free_block(z, order, smaller):
    """The first block of an order, in the order of a smaller order's lists, that can be emptied.

    NO_PFN if there is none. Pages cost LOOK_NS each, counted in defrag_scanned.
    """
    types = 1 if z.grouping == 0 else _ISOLATE
    for migratetype in range(types):
        head = free_list(z, smaller, migratetype)
        pfn = frames(z)[head].next
        while pfn != head:
            start = pfn >> order << order
            z.count.defrag_scanned += 1 << order
            if start + (1 << order) <= z.zone.pages and cost_of_emptying(z, start, order) > 0:
                return start
            pfn = frames(z)[pfn].next
    return NO_PFN


@kernel
def _extend_free_blocks(z):
    """Make blocks out of free ones of the next two smaller orders; returns ns spent.

    coalesce_memory of Marcelo Tosatti's patch (1 October 2004), in its sane reading: the aligned
    block around a free one, all other pages of which are free or can be moved.
    """
    order = z.defrag_order
    looked = z.count.defrag_scanned
    spent = 0
    moved = 0
    z.count.defrag_runs += 1
    z.defrag_last = z.now
    for smaller in range(order - 1, max(order - 3, -1), -1):
        while free_blocks(z, order) < z.defrag_blocks_wanted:
            start = _beside_free_block(z, order, smaller)
            if start == NO_PFN:
                break
            cost = cost_of_emptying(z, start, order)
            evicting = z.defrag_mode == DefragMode.RMAP_EVICT
            enough = evicting or z.zone.free > z.zone.min + (2 << order)
            if moved + cost > z.defrag_budget_pages or not enough:
                break
            took = empty_block(z, start, order)
            if took < 0:
                break
            spent += took
            moved += cost
    spent += (z.count.defrag_scanned - looked) * LOOK_NS
    z.count.defrag_ns += spent
    return spent


@kernel
def defragment(z, first, nr_blocks):
    """Empty blocks of a window, cheapest first, until enough are free or the budget is spent."""
    if z.defrag_choice == DefragChoice.BESIDE_FREE:
        return _extend_free_blocks(z)
    order = z.defrag_order
    z.count.defrag_runs += 1
    z.defrag_last = z.now
    _rank_blocks(z, first, nr_blocks)
    spent = (nr_blocks << order) * LOOK_NS
    moved = 0
    for cost in range(1, (1 << order) + 1):
        block = buckets(z)[cost].row
        while block != NO_ROW:
            if (
                free_blocks(z, order) >= z.defrag_blocks_wanted
                or moved + cost > z.defrag_budget_pages
            ):
                z.count.defrag_ns += spent
                return spent
            # Moving needs frames elsewhere; the reserve below min is not for this.
            evicting = z.defrag_mode == DefragMode.RMAP_EVICT
            enough = evicting or z.zone.free > z.zone.min + (2 << order)
            # Earlier moves may have filled holes of this block.
            now_costs = cost_of_emptying(z, block << order, order)
            if enough and now_costs > 0:
                took = empty_block(z, block << order, order)
                if took >= 0:
                    spent += took
                    moved += now_costs
            block = candidates(z)[block].row
    z.count.defrag_ns += spent
    return spent


@kernel
def inline_wanted(z):
    """Does kswapd have blocks to make: pages enough, but not in blocks of the order?"""
    if z.defrag_mode == DefragMode.OFF or z.defrag_run != DefragRun.INLINE:
        return False
    low = z.zone.low
    return z.zone.free > low and not watermark_ok(z, z.defrag_order, low, False, False)


@kernel
def defragment_inline(z):
    """From kswapd: the next window of the zone; returns ns spent."""
    nr_blocks = z.zone.pages >> z.defrag_order
    window = min(max(z.defrag_scan_pages >> z.defrag_order, 1), nr_blocks)
    if window == 0:
        return 0
    if z.defrag_cursor + window > nr_blocks:
        z.defrag_cursor = 0
    spent = defragment(z, z.defrag_cursor, window)
    z.defrag_cursor += window
    return spent


@kernel
def ask_daemon(z, order):
    """A request found no block of its order: have the daemon run when its interval allows."""
    if z.defrag_mode == DefragMode.OFF or z.defrag_run != DefragRun.DAEMON:
        return
    if order == 0 or z.defrag_armed:
        return
    z.defrag_armed = 1
    book(z, max(z.now, z.defrag_last + z.defrag_interval_ns), Event.DEFRAG, 0)


@kernel
def run_daemon(z):
    """The rare separate process: looks at the whole zone, if blocks are still scarce."""
    z.defrag_armed = 0
    if watermark_ok(z, z.defrag_order, z.zone.high, False, False):
        return
    nr_blocks = z.zone.pages >> z.defrag_order
    if nr_blocks > 0:
        defragment(z, 0, nr_blocks)
