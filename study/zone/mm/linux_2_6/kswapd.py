"""The pageout daemon: woken below low, works until balanced, rests (kswapd, balance_pgdat).

It runs in steps of one batch, each taking as long as its scan takes, so it races with the load.
"""

from __future__ import annotations

from study.zone.engine.agenda import book
from study.zone.engine.compile import kernel
from study.zone.engine.enums import Event, Reclaimer
from study.zone.mm.linux_2_6.boost import lower_marks
from study.zone.mm.linux_2_6.compaction import compaction_suitable
from study.zone.mm.linux_2_6.defrag import defragment_inline, inline_wanted
from study.zone.mm.linux_2_6.kcompactd import wake_kcompactd
from study.zone.mm.linux_2_6.reclaim import (
    DEF_PRIORITY,
    SWAP_CLUSTER_MAX,
    begin_scan,
    begin_shrink,
    shrink_done,
    shrink_slab,
    shrink_step,
)
from study.zone.mm.linux_2_6.waiting import NAP_NS, kswapd_naps
from study.zone.mm.linux_2_6.watermark import balanced, kswapd_needed
from study.zone.mm.linux_2_6.writeback import congestion_wait_ns, queue_wait_ns
from study.zone.mm.linux_2_6.zones import enter_zone, keep_priority, lru_pages
from study.zone.settings import KswapdLoop, KswapdPolicy


@kernel
def _begin_run(z):
    """The start of balance_pgdat, and where it goes to loop_again."""
    z.kswapd_priority = DEF_PRIORITY
    z.kswapd_reclaimed = 0
    z.kswapd_scanned = 0
    z.kswapd_pass = 0
    for index in range(z.nr_zones):
        enter_zone(z, index)
        z.zone.temp_priority = DEF_PRIORITY
        enter_zone(z, 0)
    begin_scan(z, Reclaimer.KSWAPD)


@kernel
def _begin_work(z, order):
    """Start a run for an order; what the marks are boosted by now is reclaimed for (5.0)."""
    z.kswapd_order = order
    z.kswapd_woken_order = order
    z.reclaim_order[Reclaimer.KSWAPD] = order
    z.kswapd_boost = z.zone.boost
    z.kswapd_boost_left = z.zone.boost
    z.kswapd_freed = 0
    _begin_run(z)


@kernel
def _needed_anywhere(z, order):
    """Is any zone below the mark at which a wake-up finds something to do?"""
    needed = kswapd_needed(z, order)
    for index in range(1, z.nr_zones):
        enter_zone(z, index)
        needed |= kswapd_needed(z, order)
        enter_zone(z, 0)
    return needed


@kernel
def wake_kswapd(z, order):
    """Ask kswapd to work for a request of this order; it may find nothing to do (wakeup_kswapd)."""
    if not _needed_anywhere(z, order):
        z.count.wakeups_refused += 1
        return
    if z.kswapd_awake and z.kswapd_policy == KswapdPolicy.COUNT_ONLY:
        # It knows no order, and nobody waits for it: the wake-up is lost.
        return
    z.kswapd_max_order = max(z.kswapd_max_order, order)
    if z.kswapd_awake:
        return
    z.kswapd_awake = 1
    z.kswapd_begun = 0
    z.count.wakeups += 1
    book(z, z.now + z.kswapd_delay_ns, Event.KSWAPD, 0)


@kernel
def _order_to_balance(z):
    """0 where compaction can see to the order (testorder in balance_pgdat, fe2c2a106663, 3.3)."""
    if z.kswapd_loop == KswapdLoop.V3_3 and z.kswapd_order > 0:
        if compaction_suitable(z, z.kswapd_order):
            return 0
    return z.kswapd_order


@kernel
def _begin_zone(z):
    """Start the scan of the zone that the pass has come to, unless it was given up."""
    before = enter_zone(z, z.kswapd_zone)
    priority = z.kswapd_priority
    z.sc_nr_scanned[Reclaimer.KSWAPD] = 0
    if z.zone.all_unreclaimable and priority != DEF_PRIORITY:
        z.zone.scan_active[Reclaimer.KSWAPD] = 0
        z.zone.scan_inactive[Reclaimer.KSWAPD] = 0
        z.zone.scan_target[Reclaimer.KSWAPD] = SWAP_CLUSTER_MAX
    else:
        z.zone.temp_priority = priority
        z.zone.prev_priority = min(z.zone.prev_priority, priority)
        begin_shrink(z, Reclaimer.KSWAPD, priority)
    enter_zone(z, before)


@kernel
def _end_zone_of_pass(z):
    """The first zone in need: it is scanned, and all below it (balance_pgdat); -1 if none is."""
    order = _order_to_balance(z)
    found = -1
    for index in range(z.nr_zones):
        enter_zone(z, index)
        given_up = z.zone.all_unreclaimable and z.kswapd_priority != DEF_PRIORITY
        if found < 0 and not given_up and not balanced(z, order):
            found = index
        enter_zone(z, 0)
    if z.kswapd_boost_left > 0:
        if found == 0:
            # Below its plain marks: reclaim for the boost is dropped, and may write again.
            z.kswapd_boost_left = 0
            _begin_run(z)
        found = 0
    return found


@kernel
def _begin_pass_over_zones(z):
    """Start one priority's scan of all zones, lowest first, up to the first that is in need."""
    z.kswapd_end = _end_zone_of_pass(z)
    if z.kswapd_end < 0:
        return False
    z.kswapd_lru_pages = lru_pages(z, z.kswapd_end)
    z.kswapd_zone = z.nr_zones - 1
    _begin_zone(z)
    z.kswapd_pass = 1
    return True


@kernel
def _begin_pass(z):
    """Look at the zone and start one priority's scan; False if there is nothing left to do."""
    if z.nr_zones > 1:
        return _begin_pass_over_zones(z)
    priority = z.kswapd_priority
    if balanced(z, _order_to_balance(z)):
        z.zone.congested = 0
        if z.kswapd_boost_left <= 0:
            return False
    elif z.kswapd_boost_left > 0:
        # Below its plain marks: reclaim for the boost is dropped, and may write again.
        z.kswapd_boost_left = 0
        _begin_run(z)
        priority = z.kswapd_priority
    if z.zone.all_unreclaimable and priority != DEF_PRIORITY:
        return False
    z.zone.temp_priority = priority
    z.zone.prev_priority = min(z.zone.prev_priority, priority)
    z.sc_nr_scanned[Reclaimer.KSWAPD] = 0
    z.kswapd_lru_pages = z.zone.nr_active + z.zone.nr_inactive
    begin_shrink(z, Reclaimer.KSWAPD, priority)
    z.kswapd_pass = 1
    return True


@kernel
def _end_boost_pass(z, freed):
    """A pass for the boost frees what costs no writing; it ends when it finds nothing."""
    z.kswapd_boost_left -= min(z.kswapd_boost_left, freed)
    if freed == 0 and z.kswapd_priority <= DEF_PRIORITY - 2:
        z.kswapd_boost_left = 0
        z.kswapd_priority = -1
    elif z.kswapd_priority > DEF_PRIORITY - 2:
        z.kswapd_priority -= 1
    return 0


@kernel
def _end_zone(z):
    """Settle a zone's scan; returns pages freed."""
    freed = SWAP_CLUSTER_MAX - z.zone.scan_target[Reclaimer.KSWAPD]
    scanned = z.sc_nr_scanned[Reclaimer.KSWAPD]
    freed += shrink_slab(z, Reclaimer.KSWAPD, scanned, z.kswapd_lru_pages)
    z.kswapd_reclaimed += freed
    z.kswapd_scanned += scanned
    if z.kswapd_loop == KswapdLoop.V2_6_8:
        z.zone.all_unreclaimable |= z.zone.pages_scanned > 2 * z.zone.pages
    else:
        on_lists = z.zone.nr_active + z.zone.nr_inactive
        z.zone.all_unreclaimable |= z.zone.pages_scanned >= 4 * on_lists
    return freed


@kernel
def _end_pass(z, freed):
    """Settle one priority's scan; returns how long to nap (ns)."""
    z.kswapd_pass = 0
    nap = 0
    if kswapd_naps(z):
        nap = congestion_wait_ns(z, NAP_NS)
        z.count.naps[Reclaimer.KSWAPD] += 1
    z.met_again = 0
    z.zone.all_writeback = 0
    if z.kswapd_boost_left > 0:
        return _end_boost_pass(z, freed)
    if z.kswapd_loop == KswapdLoop.V4_8 and z.kswapd_order > 0:
        z.kswapd_freed += freed
        if z.kswapd_freed >= 2 << z.kswapd_order:
            # Memory enough; to make a block of it is for compaction (kswapd_shrink_node).
            z.kswapd_order = 0
            z.reclaim_order[Reclaimer.KSWAPD] = 0
    z.kswapd_priority -= 1
    if z.kswapd_loop != KswapdLoop.V2_6_8:
        # 2.6.9 on ("no priority windup"): enough was freed, or all priorities were tried: anew.
        if z.kswapd_reclaimed >= SWAP_CLUSTER_MAX or z.kswapd_priority < 0:
            keep_priority(z)
            _begin_run(z)
    return nap


@kernel
def _try_to_sleep(z, spent):
    """End a run: sleep, unless a larger order was asked for meanwhile (kswapd_try_to_sleep)."""
    z.count.kswapd_ns += spent
    keep_priority(z)
    if z.kswapd_boost > 0:
        lower_marks(z, z.kswapd_boost)
        wake_kcompactd(z, z.pageblock_order)
    requested = z.kswapd_max_order
    z.kswapd_max_order = 0
    if z.kswapd_order < requested:
        _begin_work(z, requested)
        book(z, z.now + max(spent, 1_000), Event.KSWAPD, 0)
        return
    z.kswapd_awake = 0
    wake_kcompactd(z, z.kswapd_woken_order)


@kernel
def run_kswapd(z):
    """One step: a batch of the scan, or the decision what comes next."""
    spent = 0
    if z.kswapd_begun == 0:
        # The largest order that was asked for until it came to run.
        z.kswapd_begun = 1
        requested = z.kswapd_max_order
        z.kswapd_max_order = 0
        _begin_work(z, requested)
    if z.kswapd_pass == 0 and inline_wanted(z):
        spent += defragment_inline(z)
    if z.kswapd_pass == 0 and (z.kswapd_priority < 0 or not _begin_pass(z)):
        _try_to_sleep(z, spent)
        return
    # What is reclaimed for the boost alone must be clean; that holds for kswapd only.
    z.no_io = z.kswapd_boost_left > 0
    enter_zone(z, z.kswapd_zone)
    scanned = shrink_step(z, Reclaimer.KSWAPD)
    z.no_io = 0
    spent += int(scanned * z.kswapd_ns_per_page)
    z.count.kswapd_ns += spent
    # What it wrote must find room in the disk's queue.
    spent += queue_wait_ns(z)
    if shrink_done(z, Reclaimer.KSWAPD):
        freed = _end_zone(z)
        enter_zone(z, 0)
        if z.kswapd_zone > z.kswapd_end:
            z.kswapd_zone -= 1
            _begin_zone(z)
        else:
            spent += _end_pass(z, freed)
    else:
        enter_zone(z, 0)
    # A step that scanned nothing still takes the time of a look.
    book(z, z.now + max(spent, 1_000), Event.KSWAPD, 0)
