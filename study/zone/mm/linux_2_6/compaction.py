"""Compaction: used pages are moved from the bottom of the zone into free ones at its top (2.6.35).

mm/compaction.c, 2.6.36 and, where `rules` say so, 4.19. A migrate scanner goes up, pageblock by
pageblock, and takes pages that can move, 32 at a time; a free scanner comes down and takes free
pages of MOVABLE pageblocks as places to move to. A run ends when a block of the order is free, or
when the scanners meet. After a run in vain the next ones are skipped, ever more of them.

Simplification: a run happens at one moment of simulated time. What it would take is charged to
who asked for it, or puts off the daemon's next run.
"""

from __future__ import annotations

from study.zone.engine.compile import kernel
from study.zone.engine.enums import Flag, Home, Migratetype
from study.zone.engine.layout import HEAD_TARGETS, NEVER, frames
from study.zone.engine.lists import list_add, list_del
from study.zone.mm.linux_2_6.buddy import remove_free_block
from study.zone.mm.linux_2_6.defrag import LOOK_NS
from study.zone.mm.linux_2_6.grouping import (
    free_list,
    may_steal_pageblock,
    pageblock_type,
    return_block,
    set_pageblock_type,
)
from study.zone.mm.linux_2_6.percpu import drain_percpu, free_page
from study.zone.mm.linux_2_6.rmap import migrate_page
from study.zone.mm.linux_2_6.watermark import watermark_ok
from study.zone.settings import NR_ORDERS, CompactionRules

_HIGHATOMIC = int(Migratetype.HIGHATOMIC)
_COSTLY_ORDER = 3
CLUSTER_MAX = 32
"""COMPACT_CLUSTER_MAX: pages moved between two looks at whether that was enough."""
DEFER_SHIFT_MAX = 6
"""COMPACT_MAX_DEFER_SHIFT: at most 63 runs are skipped in a row."""
WHOLE_ZONE = -1
"""Instead of an order: compact until the fragmentation score is low (proactive, 5.9)."""
SKIPPED, SUCCESS, COMPLETE = 0, 1, 2
"""What became of a run: not begun, a block is there, or the scanners met."""


@kernel
def fragmentation_index(z, order):
    """Toward 0 an allocation fails for lack of memory, toward 1000 for fragmentation; -1000 if it
    would not fail (mm/vmstat.c, 2.6.36; indices.extfrag_index is the same for a snapshot).
    """
    blocks = 0
    pages = 0
    for o in range(NR_ORDERS):
        blocks += z.zone.nr_free[o]
        pages += z.zone.nr_free[o] << o
        if o >= order and z.zone.nr_free[o] > 0:
            return -1000
    if blocks == 0:
        return 0
    return 1000 - (1000 + pages * 1000 // (1 << order)) // blocks


@kernel
def fragmentation_score(z):
    """Percent of free memory that no pageblock can use, as the node's score (5.9, one zone)."""
    suitable = 0
    pages = 0
    for o in range(NR_ORDERS):
        pages += z.zone.nr_free[o] << o
        if o >= z.pageblock_order:
            suitable += z.zone.nr_free[o] << o
    if pages == 0:
        return 0
    return z.zone.pages * ((pages - suitable) * 100 // pages) // (z.zone.pages + 1)


@kernel
def compaction_suitable(z, order):
    """Are there free pages to migrate to, and is the fragmentation index above its threshold?"""
    mark = z.zone.low
    if z.compact_rules == CompactionRules.V3_19 and order <= _COSTLY_ORDER:
        mark = z.zone.min
    # The kernel's order-0 test: what is reserved for HIGHATOMIC is no room (4.4).
    if not watermark_ok(z, 0, mark + (2 << order), False, False):
        return False
    if z.compact_rules == CompactionRules.V3_19 and order <= _COSTLY_ORDER:
        return True
    index = fragmentation_index(z, order)
    return not 0 <= index <= z.compact_threshold


@kernel
def deferred(z, order):
    """Is this run to be skipped, as others were in vain? (compaction_deferred)

    None is for an order smaller than those that failed (aff622495c9a, 3.4; 2.6.35 knew no order).
    """
    if order < z.zone.compact_order_failed:
        return False
    z.zone.compact_considered = min(z.zone.compact_considered + 1, 1 << z.zone.compact_shift)
    return z.zone.compact_considered < 1 << z.zone.compact_shift


@kernel
def expect_success(z, order):
    """A block was made, but nobody has it yet: the order may be tried, and no count starts anew.

    compact_pgdat, 3.5; compaction_defer_reset without alloc_success later.
    """
    z.zone.compact_order_failed = max(z.zone.compact_order_failed, order + 1)


@kernel
def update_deferral(z, order, success):
    """Update how long compaction is deferred (compaction_defer_reset, defer_compaction)."""
    z.zone.compact_considered = 0
    if success:
        z.zone.compact_shift = 0
        expect_success(z, order)
        z.count.compact_successes += 1
    else:
        z.zone.compact_shift = min(z.zone.compact_shift + 1, DEFER_SHIFT_MAX)
        z.zone.compact_order_failed = min(z.zone.compact_order_failed, order)
        z.count.compact_failures += 1


@kernel
def _finished(z, order, migratetype, score_wanted):
    """Is there a block for the request, and by the older rules memory enough? (compact_finished)"""
    if order == WHOLE_ZONE:
        return fragmentation_score(z) <= score_wanted
    later = z.compact_rules == CompactionRules.V3_19
    if not later and not watermark_ok(z, order, z.zone.low + (1 << order), False, False):
        return False
    for o in range(order, NR_ORDERS):
        if z.zone.nr_free[o] == 0:
            continue
        if z.grouping == 0 or (o >= z.pageblock_order and not later):
            return True
        for other in range(_HIGHATOMIC):
            head = free_list(z, o, other)
            if frames(z)[head].next == head:
                continue
            if other == migratetype or (later and may_steal_pageblock(z, o, migratetype)):
                return True
    return False


@kernel
def _is_target(z, pfn):
    """May pages be moved into this pageblock? (suitable_migration_target)"""
    if z.grouping == 0:
        return True
    migratetype = pageblock_type(z, pfn)
    if migratetype >= _HIGHATOMIC:
        return False
    whole = frames(z)[pfn].home == Home.BUDDY and frames(z)[pfn].order >= z.pageblock_order
    return whole or migratetype == Migratetype.MOVABLE


@kernel
def _take_free_pages(z, first, stop):
    """Take all free pages of a stretch as targets; how many (isolate_freepages_block).

    The last goes to the head and is used first. Each block must be one that the order-0 test would
    give out: above low (split_free_page, 2.6.35), above min without its boost (__isolate_free_page,
    4.8 and 5.1).
    """
    frame = frames(z)
    mark = z.zone.min - z.zone.boost if z.compact_rules == CompactionRules.V3_19 else z.zone.low
    taken = 0
    pfn = first
    while pfn < stop:
        if frame[pfn].home != Home.BUDDY:
            pfn += 1
            continue
        order = frame[pfn].order
        if not watermark_ok(z, 0, mark + (1 << order), False, False):
            pfn += 1 << order
            continue
        remove_free_block(z, pfn, order)
        z.zone.free -= 1 << order
        if z.grouping and order >= z.pageblock_order - 1:
            # What a split takes whole will hold movable pages (split_free_page).
            set_pageblock_type(z, pfn, order, Migratetype.MOVABLE)
        for page in range(pfn, pfn + (1 << order)):
            frame[page].home = Home.ISOLATED
            frame[page].order = 0
            list_add(z, z.zone.head + HEAD_TARGETS, page)
        taken += 1 << order
        pfn += 1 << order
    z.count.compact_scanned += stop - first
    z.compact_spent_ns += (stop - first) * LOOK_NS
    z.nr_targets += taken
    return taken


@kernel
def _find_targets(z):
    """Move the free scanner down until there are places for a batch, or the scanners meet."""
    size = 1 << z.pageblock_order
    while z.nr_targets < CLUSTER_MAX and z.zone.free_cursor - size > z.zone.migrate_cursor:
        first = z.zone.free_cursor - size
        if _is_target(z, first):
            taken = _take_free_pages(z, first, min(z.zone.free_cursor, z.zone.pages))
            if taken > 0 and z.nr_targets >= CLUSTER_MAX:
                # The same pageblock is looked at again: it may have been freed into meanwhile.
                return
        z.zone.free_cursor = first


@kernel
def _release_targets(z):
    """Give back the places that were not needed (release_freepages)."""
    frame = frames(z)
    head = z.zone.head + HEAD_TARGETS
    while frame[head].next != head:
        pfn = frame[head].next
        list_del(z, pfn)
        frame[pfn].home = Home.NONE
        return_block(z, pfn, 0, pageblock_type(z, pfn))
    z.nr_targets = 0


@kernel
def _is_source(z, pfn, migratetype):
    """May pages be moved out of this pageblock? (suitable_migration_source, 4.19)

    The first, asynchronous try of a request (2.6.38) wastes no work on pageblocks of kernel pages;
    by the later rules it looks at those of the request's own type.
    """
    if z.compact_async == 0 or z.grouping == 0:
        return True
    if z.compact_rules == CompactionRules.V3_19:
        return pageblock_type(z, pfn) == migratetype
    return pageblock_type(z, pfn) == Migratetype.MOVABLE


@kernel
def _move_batch(z, migratetype):
    """Move up to a batch of pages out of the pageblock under the migrate scanner.

    Returns pages moved, -1 if there was no place for one.
    """
    frame = frames(z)
    size = 1 << z.pageblock_order
    pfn = z.zone.migrate_cursor
    stop = min((pfn >> z.pageblock_order << z.pageblock_order) + size, z.zone.pages)
    if not _is_source(z, pfn, migratetype):
        z.zone.migrate_cursor = stop
        return 0
    moved = 0
    looked = pfn
    no_place = False
    while pfn < stop and moved < CLUSTER_MAX:
        home = frame[pfn].home
        if home == Home.BUDDY:
            pfn += 1 << frame[pfn].order
            continue
        movable = home == Home.ACTIVE or home == Home.INACTIVE
        if not movable or frame[pfn].flags & Flag.WRITEBACK:
            pfn += 1
            continue
        if z.nr_targets == 0:
            _find_targets(z)
        if z.nr_targets == 0:
            no_place = True
            break
        target = frame[z.zone.head + HEAD_TARGETS].next
        list_del(z, target)
        frame[target].home = Home.NONE
        z.nr_targets -= 1
        z.compact_undrained = min(z.compact_undrained, pfn)
        migrate_page(z, pfn, target)
        free_page(z, pfn, False)
        moved += 1
        pfn += 1
    z.zone.migrate_cursor = min(pfn, stop)
    z.count.compact_scanned += z.zone.migrate_cursor - looked
    z.count.compact_migrated += moved
    z.compact_spent_ns += (z.zone.migrate_cursor - looked) * LOOK_NS + moved * z.cost_migrate_ns
    return -1 if no_place else moved


@kernel
def compact_zone(z, order, migratetype, score_wanted):
    """Run the two scanners; SUCCESS or COMPLETE. z.compact_spent_ns is then what it took, in ns.

    order  of the block wanted, or WHOLE_ZONE for a fragmentation score of at most score_wanted
    """
    z.compact_spent_ns = 0
    z.compact_undrained = NEVER
    resumes = z.compact_rules == CompactionRules.V3_19 and order != WHOLE_ZONE
    top = (z.zone.pages + (1 << z.pageblock_order) - 1) >> z.pageblock_order << z.pageblock_order
    if not resumes or z.zone.free_cursor <= z.zone.migrate_cursor:
        z.zone.migrate_cursor = 0
        z.zone.free_cursor = top
    result = SUCCESS
    while not _finished(z, order, migratetype, score_wanted):
        if z.zone.free_cursor <= z.zone.migrate_cursor + (1 << z.pageblock_order):
            # They have met; the next run starts anew.
            z.zone.migrate_cursor = 0
            z.zone.free_cursor = 0
            result = COMPLETE
            break
        moved = _move_batch(z, migratetype)
        if moved < 0:
            z.zone.migrate_cursor = 0
            z.zone.free_cursor = 0
            result = COMPLETE
            break
        block = z.zone.migrate_cursor >> max(order, 0) << max(order, 0)
        if z.compact_rules == CompactionRules.V3_19 and z.compact_undrained < block:
            # What was freed in the block just left is of use only when it can merge.
            drain_percpu(z)
            z.compact_undrained = NEVER
    _release_targets(z)
    z.count.compact_ns += z.compact_spent_ns
    return result


@kernel
def compact_directly(z, order, migratetype, asynchronous):
    """Compact on behalf of a request that may sleep; SKIPPED if there is no point in it.

    The caller takes its block and says how it went by update_deferral()
    (__alloc_pages_direct_compact).
    """
    z.compact_spent_ns = 0
    if deferred(z, order):
        z.count.compact_deferred += 1
        return SKIPPED
    if not compaction_suitable(z, order):
        z.count.compact_skipped += 1
        return SKIPPED
    z.count.compact_stalls += 1
    z.compact_async = asynchronous
    result = compact_zone(z, order, migratetype, 0)
    z.compact_async = 0
    drain_percpu(z)
    return result
