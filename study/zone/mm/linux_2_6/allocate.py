"""Asking for pages: __alloc_pages over the zones, after 2.6.8 to 2.6.11 and what came later.

Who may not sleep gets an answer at once. Who may sleep reclaims for itself, naps, and for order
<= 3 goes on without bound; such a request lives in a row of the request table between naps.
"""

from __future__ import annotations

from study.zone.engine.agenda import book
from study.zone.engine.compile import kernel
from study.zone.engine.enums import Event, Gfp, Migratetype, Reclaimer
from study.zone.engine.layout import NO_PFN, NO_ROW, requests
from study.zone.mm.linux_2_6.compaction import (
    SKIPPED,
    SUCCESS,
    compact_directly,
    compaction_suitable,
    expect_success,
    update_deferral,
)
from study.zone.mm.linux_2_6.defrag import ask_daemon
from study.zone.mm.linux_2_6.grouping import gfp_by_lifetime, rmqueue
from study.zone.mm.linux_2_6.kswapd import wake_kswapd
from study.zone.mm.linux_2_6.percpu import drain_percpu, take_typed_page
from study.zone.mm.linux_2_6.reclaim import (
    DEF_PRIORITY,
    SWAP_CLUSTER_MAX,
    begin_scan,
    begin_shrink,
    shrink_done,
    shrink_slab,
    shrink_step,
)
from study.zone.mm.linux_2_6.reserve import take_for_atomic, unreserve_pageblock
from study.zone.mm.linux_2_6.waiting import (
    LOOK_NS,
    NAP_NS,
    RETRIES_MAX,
    made_progress,
    naps_after_pass,
    wait_before_retry_ns,
)
from study.zone.mm.linux_2_6.watermark import (
    after_failed_reclaim_ok,
    after_reclaim_ok,
    first_pass_ok,
    second_pass_ok,
)
from study.zone.mm.linux_2_6.writeback import congestion_wait_ns, queue_wait_ns
from study.zone.mm.linux_2_6.zones import enter_zone, keep_priority, lru_pages
from study.zone.settings import NR_ORDERS, AllocationPath, CompactionRules, ReclaimWait

_UNMOVABLE = int(Migratetype.UNMOVABLE)
_MOVABLE = int(Migratetype.MOVABLE)
_RECLAIMABLE = int(Migratetype.RECLAIMABLE)
COSTLY_ORDER = 3
"""Up to this order a sleeping request is retried for ever (__alloc_pages, 2.6.8: order <= 3)."""
ALL_ORDERS = 1
"""compact_direct_order: from order 1 on, and reclaim is then to make room for compaction."""
SECOND_NS = 1_000_000_000
OOM_FAILURES = 10
"""So many, after the first second, before 2.6.8 believes that memory is used up."""
LONG_AGO_NS = -1_000 * SECOND_NS

PROGRESS, NAP, HOPELESS = 1, 0, -1
GAVE_UP = -2
"""Answer of go_on(): the request has failed and its row is free."""


@kernel(inline=True)
def migratetype_of(gfp):
    """The migratetype a request asks for (allocflags_to_migratetype)."""
    if gfp & Gfp.MOVABLE:
        return _MOVABLE
    if gfp & Gfp.RECLAIMABLE:
        return _RECLAIMABLE
    return _UNMOVABLE


@kernel
def _wake_for_boost(z):
    """Have kswapd work if serving a request has raised the marks (rmqueue, 5.0)."""
    if z.zone.boost_asked:
        z.zone.boost_asked = 0
        wake_kswapd(z, 0)


@kernel
def _take(z, order, gfp):
    migratetype = migratetype_of(gfp)
    if order == 0:
        pfn = take_typed_page(z, (gfp & Gfp.COLD) != 0, migratetype)
    else:
        pfn = rmqueue(z, order, migratetype)
    _wake_for_boost(z)
    return pfn


@kernel
def _take_harder(z, order, gfp):
    """For the second pass: atomic requests have a reserve."""
    if z.reserve and order > 0 and gfp & Gfp.HIGH and not gfp & Gfp.WAIT:
        pfn = take_for_atomic(z, order, migratetype_of(gfp))
        _wake_for_boost(z)
        return pfn
    return _take(z, order, gfp)


@kernel
def _wake_kswapd_for(z, order):
    """Ask kswapd to work, and note what came of it if there is no block to be had."""
    at_rest = z.kswapd_awake == 0
    wake_kswapd(z, order)
    if order == 0:
        return
    for larger in range(order, NR_ORDERS):
        if z.zone.nr_free[larger] > 0:
            return
    z.count.blockless += 1
    if z.kswapd_awake == 0:
        z.count.blockless_rests += 1
    if at_rest and z.zone.free > z.zone.low:
        z.count.blockless_asked += 1
        if z.kswapd_awake != 0:
            z.count.blockless_woken += 1


@kernel
def _take_from_lower_zones(z, order, gfp, caller, again):
    """Try the zones after the first, in the order of the zonelist; a pfn, or NO_PFN.

    again  is it the second pass?
    """
    wait = (gfp & Gfp.WAIT) != 0
    pfn = NO_PFN
    for index in range(1, z.nr_zones):
        enter_zone(z, index)
        if again:
            if second_pass_ok(z, order, wait, (gfp & Gfp.HIGH) != 0):
                pfn = _take_harder(z, order, gfp)
        elif first_pass_ok(z, order, wait):
            pfn = _take(z, order, gfp)
        enter_zone(z, 0)
        if pfn != NO_PFN:
            z.count.below[caller] += 1
            break
    return pfn


@kernel
def allocate(z, order, gfp, caller):
    """The two passes before anyone sleeps; a pfn, or NO_PFN.

    A mark that passes while no block of the order is free just yields nothing, and kswapd is
    asked to work: whether it finds anything to do is its own affair.
    """
    z.count.attempts[caller] += 1
    z.count.attempts_order[order] += 1
    wait = (gfp & Gfp.WAIT) != 0
    if first_pass_ok(z, order, wait):
        pfn = _take(z, order, gfp)
        if pfn != NO_PFN:
            return pfn
    if z.nr_zones > 1:
        pfn = _take_from_lower_zones(z, order, gfp, caller, False)
        if pfn != NO_PFN:
            return pfn
    _wake_kswapd_for(z, order)
    if second_pass_ok(z, order, wait, (gfp & Gfp.HIGH) != 0):
        pfn = _take_harder(z, order, gfp)
        if pfn != NO_PFN:
            return pfn
    if z.nr_zones > 1:
        pfn = _take_from_lower_zones(z, order, gfp, caller, True)
        if pfn != NO_PFN:
            return pfn
    if not second_pass_ok(z, 0, wait, (gfp & Gfp.HIGH) != 0):
        z.count.starved[caller] += 1
    ask_daemon(z, order)
    return NO_PFN


@kernel
def count_failure(z, order, caller):
    """Note that a request was refused."""
    z.count.failures[caller] += 1
    z.count.failures_order[order] += 1


@kernel
def allocate_atomic(z, order, caller):
    """GFP_ATOMIC: never sleeps, and fails at once."""
    # The only callers are network buffers: they live for milliseconds.
    pfn = allocate(z, order, gfp_by_lifetime(z, Gfp.ATOMIC, 0), caller)
    if pfn == NO_PFN:
        count_failure(z, order, caller)
    return pfn


@kernel
def _reclaim_for_compaction(z, order, priority, freed):
    """Free on at one priority until compaction has room (should_continue_reclaim, 2.6.38).

    freed  pages freed so far at this priority; returns pages freed and scanned beyond them
    """
    more = 0
    scanned = 0
    if order <= COSTLY_ORDER and priority >= DEF_PRIORITY - 2:
        return more, scanned
    room = 2 << order
    while z.zone.nr_inactive > room and (freed + more < room or not compaction_suitable(z, order)):
        begin_shrink(z, Reclaimer.DIRECT, priority)
        looked = 0
        while not shrink_done(z, Reclaimer.DIRECT):
            looked += shrink_step(z, Reclaimer.DIRECT)
        got = SWAP_CLUSTER_MAX - z.zone.scan_target[Reclaimer.DIRECT]
        # By then shares below a batch were scanned at once; here they add up first.
        if got == 0 and (looked > 0 or z.zone.nr_inactive >> priority == 0):
            break
        scanned += looked
        more += got
    return more, scanned


@kernel
def _reclaim_below(z, row, priority):
    """A pass over the zones after the first (shrink_caches); pages freed."""
    freed = 0
    for index in range(1, z.nr_zones):
        enter_zone(z, index)
        z.zone.temp_priority = priority
        z.zone.prev_priority = min(z.zone.prev_priority, priority)
        if not z.zone.all_unreclaimable or priority == DEF_PRIORITY:
            begin_shrink(z, Reclaimer.DIRECT, priority)
            scanned = 0
            while not shrink_done(z, Reclaimer.DIRECT):
                scanned += shrink_step(z, Reclaimer.DIRECT)
            freed += SWAP_CLUSTER_MAX - z.zone.scan_target[Reclaimer.DIRECT]
            requests(z)[row].scan_ns += int(scanned * z.kswapd_ns_per_page)
        enter_zone(z, 0)
    return freed


@kernel
def _reclaim_passes(z, row):
    """The passes over the lists, one for each priority."""
    request = requests(z)[row]
    if request.priority == DEF_PRIORITY:
        request.lru_pages = lru_pages(z, 0)
    got = 0
    while request.priority >= 0:
        priority = request.priority
        request.priority -= 1
        z.zone.temp_priority = priority
        z.zone.prev_priority = min(z.zone.prev_priority, priority)
        begin_scan(z, Reclaimer.DIRECT)
        if z.zone.all_unreclaimable and priority != DEF_PRIORITY:
            # Given up: kswapd looks at it now and then. Slabs are asked all the same.
            freed = _reclaim_below(z, row, priority) if z.nr_zones > 1 else 0
            seen = z.sc_nr_scanned[Reclaimer.DIRECT]
            freed += shrink_slab(z, Reclaimer.DIRECT, seen, request.lru_pages)
            request.reclaimed += freed
            got += freed
            if freed >= SWAP_CLUSTER_MAX:
                keep_priority(z)
                return PROGRESS
            continue
        z.reclaim_order[Reclaimer.DIRECT] = request.order
        begin_shrink(z, Reclaimer.DIRECT, priority)
        scanned = 0
        while not shrink_done(z, Reclaimer.DIRECT):
            scanned += shrink_step(z, Reclaimer.DIRECT)
        freed = SWAP_CLUSTER_MAX - z.zone.scan_target[Reclaimer.DIRECT]
        if z.compact_direct_order == ALL_ORDERS and request.order > 0:
            more, looked = _reclaim_for_compaction(z, request.order, priority, freed)
            freed += more
            scanned += looked
        if z.nr_zones > 1:
            freed += _reclaim_below(z, row, priority)
        seen = z.sc_nr_scanned[Reclaimer.DIRECT]
        freed += shrink_slab(z, Reclaimer.DIRECT, seen, request.lru_pages)
        request.reclaimed += freed
        got += freed
        # The scan takes the caller's time, and so does a disk that has no room for what it wrote.
        request.scan_ns += int(scanned * z.kswapd_ns_per_page) + queue_wait_ns(z)
        if freed >= SWAP_CLUSTER_MAX:
            keep_priority(z)
            return PROGRESS
        if naps_after_pass(z, seen, priority):
            z.count.naps[Reclaimer.DIRECT] += 1
            return NAP
    keep_priority(z)
    return PROGRESS if made_progress(z, got) else HOPELESS


@kernel
def try_to_free_pages(z, row):
    """Direct reclaim from where the request left off, down to priority 0 (mm/vmscan.c, 2.6.8).

    PROGRESS once a pass has freed 32 pages, NAP where the kernel waits for the disk, HOPELESS
    after the last priority, where the kernel would call the OOM killer.
    """
    request = requests(z)[row]
    z.no_fs = (request.gfp & Gfp.NOFS) != 0
    outcome = _reclaim_passes(z, row)
    z.no_fs = 0
    return outcome


@kernel
def drop_request(z, row):
    """Free a sleeper's row."""
    requests(z)[row].next_free = z.request_free
    z.request_free = row
    z.nr_waiting -= 1


@kernel
def _take_turn(z, row):
    """Have a round's work take the processor, so that whoever reclaims next waits for its end.

    The round itself comes at once, as the asker has the processor.
    """
    z.reclaimed_until = max(z.reclaimed_until, z.now) + requests(z)[row].scan_ns


@kernel
def _sleep(z, row, wait_ns):
    """Have a request try again after a wait, which begins when its round's work is done."""
    _take_turn(z, row)
    book(z, z.reclaimed_until + wait_ns, Event.RETRY, row)


@kernel
def _finish(z, row, failed):
    """Account for a request that slept, and free its row."""
    request = requests(z)[row]
    caller = request.caller
    _take_turn(z, row)
    # What earlier rounds took has passed before this one; its own has not.
    took = z.now - request.since + request.scan_ns
    z.count.stall_ns[caller] += took
    z.count.stall_longest_ns[caller] = max(z.count.stall_longest_ns[caller], took)
    z.count.stall_rounds[caller] += request.rounds
    z.count.stall_reclaimed[caller] += request.reclaimed
    if failed:
        count_failure(z, request.order, caller)
    drop_request(z, row)


@kernel
def _compact_for(z, row, asynchronous):
    """Let a sleeping request compact; a pfn, or NO_PFN (__alloc_pages_direct_compact, 2.6.35).

    An asynchronous run in vain is no reason to put off others (2.6.38), nor is one that has made a
    block which is then not to be had (compaction_defer_reset without alloc_success, 4.19).
    """
    request = requests(z)[row]
    order = request.order
    ran = compact_directly(z, order, migratetype_of(request.gfp), asynchronous)
    request.scan_ns += z.compact_spent_ns
    if ran == SKIPPED:
        return NO_PFN
    pfn = NO_PFN
    if after_reclaim_ok(z, order, (request.gfp & Gfp.HIGH) != 0):
        pfn = _take(z, order, request.gfp)
    if pfn == NO_PFN and ran == SUCCESS and z.compact_rules == CompactionRules.V3_19:
        expect_success(z, order)
    elif pfn != NO_PFN or not asynchronous:
        update_deferral(z, order, pfn != NO_PFN)
    return pfn


@kernel
def _drain_and_retry(z, row):
    """After reclaim in vain: drain per-cpu lists and reserves, and try once more.

    Returns a pfn or NO_PFN (__alloc_pages_slowpath, 2.6.24; __alloc_pages_direct_reclaim, 4.4).
    """
    request = requests(z)[row]
    drain_percpu(z)
    unreserve_pageblock(z, migratetype_of(request.gfp))
    if after_reclaim_ok(z, request.order, (request.gfp & Gfp.HIGH) != 0):
        return _take(z, request.order, request.gfp)
    return NO_PFN


@kernel
def take_after_reclaim(z, row, outcome):
    """A pfn for who has reclaimed, if the marks allow it now; else NO_PFN."""
    request = requests(z)[row]
    high = (request.gfp & Gfp.HIGH) != 0
    pfn = NO_PFN
    for index in range(z.nr_zones):
        enter_zone(z, index)
        if outcome == HOPELESS:
            enough = after_failed_reclaim_ok(z, request.order, high)
        else:
            enough = after_reclaim_ok(z, request.order, high)
        if enough:
            pfn = _take(z, request.order, request.gfp)
        enter_zone(z, 0)
        if pfn != NO_PFN:
            if index > 0:
                z.count.below[request.caller] += 1
            break
    return pfn


@kernel
def out_of_memory(z):
    """Would a process be killed because reclaim has failed? (mm/oom_kill.c)

    2.6.8 to 2.6.10 believe in it only once reclaim has failed for over a second and ten times;
    2.6.11 asks no such questions. They then wait five seconds for what the process has to come
    free. Here nothing does, so every failure counts from then on, until there was none for as long.
    """
    if z.allocation >= AllocationPath.V2_6_11:
        return True
    since_last = z.now - z.oom_last
    z.oom_last = z.now
    if since_last > 5 * SECOND_NS:
        z.oom_first = z.now
        z.oom_failures = 0
    if z.now - z.oom_first < SECOND_NS:
        return False
    z.oom_failures += 1
    return z.oom_failures >= OOM_FAILURES


@kernel
def _kills(z, row):
    """Is a process killed for a request that has reclaimed in vain? (should_reclaim_retry, 4.7)

    From then on only after so many rounds in a row.
    """
    if z.reclaim_wait >= ReclaimWait.V4_7 and requests(z)[row].in_vain <= RETRIES_MAX:
        return False
    return out_of_memory(z)


@kernel
def _may_compact(z, row):
    """Who may not enter a file system could not compact until 4.8 (try_to_compact_pages)."""
    request = requests(z)[row]
    if request.gfp & Gfp.NOFS and z.compact_rules == CompactionRules.V2_6_35:
        return False
    return z.compact_direct_order > 0 and request.order >= z.compact_direct_order


@kernel
def _gives_up(z, row, killed):
    """Does a request fail now, rather than reclaim once more? (__alloc_pages, 2.6.8; 2.6.25)

    __GFP_NOFAIL never, __GFP_NORETRY at once. One above order 3 goes on only if it asked for
    retries (__GFP_REPEAT), until it has reclaimed as many pages as it wants.
    """
    request = requests(z)[row]
    if request.gfp & Gfp.NOFAIL:
        return False
    if killed or request.gfp & Gfp.NORETRY:
        return True
    if request.order <= COSTLY_ORDER:
        return False
    return not request.gfp & Gfp.RETRY_MAYFAIL or request.reclaimed >= 1 << request.order


@kernel
def go_on(z, row):
    """Let a sleeping request reclaim and try once more.

    Returns a pfn (the row is then free), NO_PFN if it sleeps again, GAVE_UP if it has failed.
    """
    request = requests(z)[row]
    request.scan_ns = 0
    # Once a round, before reclaim begins; only the first try is asynchronous (2.6.38).
    begins = request.priority == DEF_PRIORITY
    if begins and _may_compact(z, row):
        asynchronous = z.compact_direct_order == ALL_ORDERS and request.rounds == 0
        pfn = _compact_for(z, row, asynchronous)
        if pfn != NO_PFN:
            _finish(z, row, False)
            return pfn
    outcome = try_to_free_pages(z, row)
    if outcome == NAP:
        _sleep(z, row, congestion_wait_ns(z, NAP_NS))
        return NO_PFN
    request.rounds += 1
    request.in_vain = request.in_vain + 1 if outcome == HOPELESS else 0
    pfn = take_after_reclaim(z, row, outcome)
    if pfn != NO_PFN:
        _finish(z, row, False)
        return pfn
    if z.allocation >= AllocationPath.V2_6_24 and request.order > 0:
        pfn = _drain_and_retry(z, row)
        if pfn != NO_PFN:
            _finish(z, row, False)
            return pfn
    later = z.compact_direct_order == ALL_ORDERS and request.order > COSTLY_ORDER
    if later and _may_compact(z, row):
        # Reclaim has made room; such a request does not loop, so this is the time (2.6.38).
        pfn = _compact_for(z, row, False)
        if pfn != NO_PFN:
            _finish(z, row, False)
            return pfn
    killed = outcome == HOPELESS and _kills(z, row)
    if killed:
        # No process is killed here: the request that found nothing to reclaim is refused.
        z.count.oom += 1
    if _gives_up(z, row, killed):
        _finish(z, row, True)
        return GAVE_UP
    request.priority = DEF_PRIORITY
    wait_ns = wait_before_retry_ns(z, outcome == PROGRESS)
    if wait_ns == LOOK_NS and request.scan_ns == 0:
        # It finds the lists empty and does not sleep: its passes take the processor all the same.
        request.scan_ns = (DEF_PRIORITY + 1) * LOOK_NS
        wait_ns = 0
    _sleep(z, row, wait_ns)
    return NO_PFN


@kernel
def new_request(z, order, gfp, caller, value, born):
    """A row of the request table for who may sleep and was not served; NO_ROW if all are taken."""
    row = z.request_free
    if row == NO_ROW:
        return NO_ROW
    request = requests(z)[row]
    z.request_free = request.next_free
    z.nr_waiting += 1
    request.since = z.now
    request.reclaimed = 0
    request.scan_ns = 0
    request.caller = caller
    request.order = order
    request.gfp = gfp
    request.value = value
    request.born = born
    request.priority = DEF_PRIORITY
    request.rounds = 0
    request.in_vain = 0
    return row


@kernel
def allocate_or_wait(z, order, gfp, caller, value, born):
    """A request that may sleep.

    Returns a pfn, NO_PFN if it now sleeps (the answer comes with a RETRY event, for `value`, the
    asker, of generation `born`), or GAVE_UP.
    """
    pfn = allocate(z, order, gfp, caller)
    if pfn != NO_PFN:
        return pfn
    z.count.stalls[caller] += 1
    row = new_request(z, order, gfp, caller, value, born)
    if row == NO_ROW:
        count_failure(z, order, caller)
        return GAVE_UP
    return go_on(z, row)
