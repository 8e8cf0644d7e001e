"""The record that every kernel takes as its first argument, z: one simulated machine.

    z.zone.free     what a zone has, as struct zone: free areas, marks, per-cpu lists, LRU, counters
    z.now           what the machine has: clock, agenda, daemons, disk, caches, load

z.zone is one zone of the machine, z.others are those beside it (mm/linux_2_6/zones.py). What is the
machine's is so because the kernel has it once (page_state, pgdat, caches, scan_control) or because
it is none of the kernel's affairs (the load, the clock).

A name says its unit: _ns, _pages; what begins with nr_ is a number of things, a page if no other is
named. Points in time are ns since the trial began. A gap is the mean time between two arrivals of a
source, 0 if none ever comes.

The settings that kernels read are in it too, each under its own name (see Declared.constant in
zone/settings.py, where they are explained).
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from study.zone.engine.layout import (
    BUCKETS_A_WORD,
    CACHE_SLOTS,
    NR_BUCKETS,
    NR_CACHES,
    NR_CALLERS,
    NR_PACED,
    NR_STREAMS,
    TABLES,
)
from study.zone.settings import (
    ACTIONS_MAX,
    NR_ORDERS,
    NUMBERS_MAX,
    REQUESTS_MAX,
    Settings,
    declared,
)

ZONE_COUNTERS = np.dtype(
    [
        ("formed", "i8", (NR_ORDERS,)),  # blocks of this order made by merging two halves
        ("split", "i8", (NR_ORDERS,)),
        ("scanned", "i8", (2,)),  # pages of both LRU lists, by Reclaimer
        ("reclaimed", "i8", (2,)),  # pages freed, those of slabs included, by Reclaimer
        ("deactivated", "i8"),
        ("activated", "i8"),
        ("stolen", "i8"),  # blocks taken from another migratetype, below the pageblock's order
        ("boosts", "i8"),  # times the marks were raised
    ]
)

COUNTERS = np.dtype(
    [
        ("attempts", "i8", (NR_CALLERS,)),
        ("failures", "i8", (NR_CALLERS,)),
        ("attempts_order", "i8", (NR_ORDERS,)),
        ("failures_order", "i8", (NR_ORDERS,)),
        ("below", "i8", (NR_CALLERS,)),  # served from a zone after the first
        ("starved", "i8", (NR_CALLERS,)),  # refused by the marks: too few pages, however they lie
        ("stalls", "i8", (NR_CALLERS,)),  # requests that had to reclaim or wait
        ("stall_ns", "i8", (NR_CALLERS,)),
        ("stall_longest_ns", "i8", (NR_CALLERS,)),
        ("stall_rounds", "i8", (NR_CALLERS,)),
        ("stall_reclaimed", "i8", (NR_CALLERS,)),
        ("naps", "i8", (2,)),  # waits of HZ/10 for the disk, by Reclaimer
        ("oom", "i8"),  # requests refused because nothing was left to reclaim
        ("written", "i8"),  # pages, for whatever reason but defragmentation
        ("swapped_out", "i8"),
        ("slab_reclaimed", "i8"),
        ("wakeups", "i8"),  # of kswapd
        ("wakeups_refused", "i8"),  # asked for, but the test found nothing to do
        # Requests above order 0 that met no free block: all; those after which kswapd was at rest;
        # those above the low mark that found it at rest; and of these, those that woke it.
        ("blockless", "i8"),
        ("blockless_rests", "i8"),
        ("blockless_asked", "i8"),
        ("blockless_woken", "i8"),
        ("kswapd_ns", "i8"),
        ("defrag_runs", "i8"),
        ("defrag_scanned", "i8"),
        ("defrag_blocks", "i8"),
        ("defrag_evicted", "i8"),
        ("defrag_migrated", "i8"),
        ("defrag_written", "i8"),
        ("defrag_ns", "i8"),
        ("compact_stalls", "i8"),  # direct compaction ran
        ("compact_deferred", "i8"),
        ("compact_skipped", "i8"),
        ("compact_successes", "i8"),  # of any compaction: a block was there afterwards
        ("compact_failures", "i8"),
        ("compact_migrated", "i8"),
        ("compact_scanned", "i8"),
        ("compact_ns", "i8"),
        ("kcompactd_wakeups", "i8"),
        ("kcompactd_ns", "i8"),
        ("touches", "i8"),
        ("first_faults", "i8"),
        ("minor_faults", "i8"),
        ("refaults", "i8"),
        ("refaults_after_defrag", "i8"),
        ("lost_ns", "i8"),  # what refaults would have cost
        ("deleted", "i8"),  # extents
        ("forks", "i8"),
        ("forks_refused", "i8"),
        ("exits", "i8"),
        ("frames_received", "i8"),
        ("frames_dropped", "i8"),
        ("frames_sent", "i8"),
        ("frames_unsent", "i8"),
        ("recycled", "i8"),  # receive buffers posted again
        # Requests by name: all, those that got their block, that were content with single pages,
        # that had to wait.
        ("asked_named", "i8", (REQUESTS_MAX,)),
        ("got_named", "i8", (REQUESTS_MAX,)),
        ("fell_back_named", "i8", (REQUESTS_MAX,)),
        ("waited_named", "i8", (REQUESTS_MAX,)),
        ("at_once_named", "i8", (REQUESTS_MAX,)),  # got their block without reclaim or waiting
        ("first_named", "i8", (REQUESTS_MAX,)),  # did the first of them?
        ("trace_left_out", "i8"),  # recorded requests for which there was no virtual page
        ("actions", "i8"),  # of an administrator
        ("events", "i8"),
    ]
)

# Name and meaning of whole numbers; all int64, 0 or 1 where the meaning is a question.
_ZONE = """
    pages                 page frames
    total_memory          pages above high: what the mapped ratio is a share of
    start_pfn             first frame that is the zone's; above 0 for recorded traces only
    head                  row of the frame table where the list heads begin
    heads                 rows of list heads from there on
    protection            pages that requests which fall back on the zone leave in it
    typed_heads           rows of list heads before it, for the migratetypes above 0; grouping only
    min                   marks, in pages
    low
    high
    boost                 pages by which the three marks are raised now
    boost_asked           is kswapd to be woken because they were?
    free                  pages in the free areas
    nr_hot                pages on the hot per-cpu list, or lists
    nr_cold
    pcp_batch             pages that a per-cpu list takes or gives at once
    nr_reserved           pages in pageblocks that are reserved
    nr_active
    nr_inactive
    nr_file               pages on the two lists, by what they hold
    nr_anon
    nr_kernel             pages in use that are on neither list
    nr_scan_active        what begin_shrink carries over until it makes a batch
    nr_scan_inactive
    prev_priority         of the last scan that was in need; 12 is calm, 0 desperate
    temp_priority         of the scan that runs
    pages_scanned         since the last page was freed
    all_unreclaimable     has scanning been given up?
    congested             did reclaim meet a full queue with all dirty pages of a batch?
    all_writeback         were all pages of a batch being written?
    fetched_active        where lru.fetch_tails has come to on the active list
    active_ahead          pages between there and the tail
    fetched_inactive
    inactive_ahead
    migrate_cursor        pfn where compaction's scanner of used pages stands
    free_cursor           pfn above which its scanner of free pages is done
    compact_considered    tries put off since the last failure
    compact_shift         2 ** this many are to be put off
    compact_order_failed  the smallest order that failed
"""
_ZONE_VECTORS = [
    ("nr_free", "i8", (NR_ORDERS,)),  # blocks of each order
    # Left to scan and to free in the current call of shrink_zone, by Reclaimer.
    ("scan_active", "i8", (2,)),
    ("scan_inactive", "i8", (2,)),
    ("scan_target", "i8", (2,)),
    ("count", ZONE_COUNTERS),
]

_MACHINE = """
    now                   the clock

    nr_zones              zones of the machine
    zone_now              which of them z.zone is; the others are in z.others
    dma_first             first frame of zone DMA; NEVER without it

    nr_events             in the heap
    nr_soon               on the wheel
    soon_first            row of the wheel's next event
    soon_free             first of its free rows
    next_seq              number of the next event to be booked
    event_overflow        did an event find no room?

    types_from_trace      are pageblocks given their types by a recorded trace, not by a steal?
    claims_only           does a steal move free pages only if it claims the pageblock (6.10)?

    nr_mapped             pages reached through a page table (page_state)
    nr_dirty              file pages that differ from the disk
    nr_writeback          pages being written
    write_first           row of the oldest write in flight
    nr_writes             writes in flight, those of pages deleted meanwhile included
    disk_free_at          when the last of them is done
    dirty_first           row of the page that has been dirty longest
    nr_queued             pages in that queue

    reclaimed_until       when the processor is done with all direct reclaim so far
    oom_first             when reclaim first found too little, of the failures counted
    oom_last              when it last did
    oom_failures          since oom_first

    request_free          first free row of the request table
    nr_waiting            requests asleep

    pagevec_size          pages that are freed together (PAGEVEC_SIZE)
    dirty_in_pte          does a write through a mapping dirty the page only once it is unmapped?
    victims               pages that reclaim holds, to be freed together
    nr_kept               pages that a short batch has put back
    nr_pinned             of them, those that its pagevec still holds
    slab_scan             objects that shrink_slab still owes, below a batch
    ignore_references     does the scan that runs take pages in use (lumpy, above order 3)?
    met_dirty             dirty pages that reclaim has met in its batch
    met_refused           of them, those for which the disk's queue had no room
    met_writeback         pages that were being written
    met_again             of them, those that kswapd has met before, in its pass
    no_io                 does it leave alone what must be written (boost)?
    no_fs                 does it leave alone what a file system would have to write (NOFS)?

    kswapd_awake          has it work?
    kswapd_zone           the zone its pass has come to
    kswapd_end            the last zone of the pass
    kswapd_begun          has it begun since it was woken?
    kswapd_max_order      largest order asked for since its run began
    kswapd_order          that it works for
    kswapd_woken_order           that it was woken for
    kswapd_priority       of the next pass; -1 after the last
    kswapd_pass           is a pass begun and not ended?
    kswapd_reclaimed      pages freed since the priority was 12
    kswapd_freed          pages freed in the run (4.8)
    kswapd_scanned        inactive pages looked at since the run began (total_scanned)
    kswapd_lru_pages      pages of both lists when the pass began
    kswapd_boost          boost when the run began
    kswapd_boost_left     pages still to be freed for it

    defrag_cursor         block where the next inline run begins
    defrag_armed          daemon: is a run booked?
    defrag_last           when the last run began

    compact_async         is the run that runs a request's first try?
    compact_spent_ns      what the last run took
    compact_undrained     lowest pfn freed to per-cpu lists and not drained; NEVER if none
    nr_targets            free pages that it holds as places to move to
    kcompactd_order       largest order asked for since its last run
    kcompactd_armed       is a run booked?
    kcompactd_free_at     when its last run is over
    proactive_defer       looks that are still to be skipped
    proactive_begun       is a look booked?

    slot_free             first free row of the slot table among those once used
    slots_used            rows ever used
    nr_reclaimable        slab pages that shrink_slab may empty
    nr_slab               slab pages
    slab_deaths_left      emptied by reclaim with their end booked, since such were last dropped

    process_vpages        pages of the working set; those of processes come after
    extents               in the working set
    zipf_rows             popularity ranks, one an extent
    touch_period_ns       between two touches; there are none if next_touch is NEVER
    next_touch            when the next one is due
    visit_page            vpage it will be of
    visit_left            touches left of the visit
    visit_write           does the visit write?
    visits_drawn          are the next two visits drawn? They are:
    next_rank             popularity rank of the extent
    next_start            page in it
    next_pages
    next_write
    later_rank
    later_start
    later_pages
    later_write
    drift_gap_ns
    delete_gap_ns

    fork_gap_ns
    process_tables        page tables of each
    process_free          first free row of the process table
    live                  processes

    slab_gap_ns

    fragments             pages of a frame that is kept in such
    rx_gap_ns             between the bursts
    tx_gap_ns
    posted_first          row of the posted buffer that is used next
    nr_posted             buffers
    nr_held               received and not back yet
    nr_recycled           of them, those that wait to be posted

    huge_gap_ns
    nr_huge               huge pages that live
    held_first            pfn of the first that is held without end
    nr_held_blocks        of these

    nr_named              requests by name

    trace_length          of a recorded load, in ns
    trace_row             of its next request
    trace_shift           what makes a time in it one of this trial, in ns
    trace_block_ends      when the next piece of it begins; NEVER in one piece
    trace_first_page      vpage of the first of its pages
    trace_pages           how many virtual pages it has
    trace_page            the one that is tried next
    trace_looks           how many may be tried for the next request

    victims_at            address of the extension that selects victims, 0 without
    source_at             address of the one that is a source of load
"""
_MACHINE_FRACTIONS = """
    kswapd_ns_per_page    time of a page's scan
    touch_left            of the gap before the next touch, while none come: the share still to pass
    run_log               log of the probability that a run of touches goes on after one more
    process_log           that a process has one more page
    rx_log                that a burst has one more frame
    tx_log
"""
_MACHINE_VECTORS = [
    # The row of the first event in each bucket of the wheel.
    ("wheel", "i4", (NR_BUCKETS,)),
    # A bit for each bucket that is not empty.
    ("wheel_used", "u8", (NR_BUCKETS // BUCKETS_A_WORD,)),
    ("dice", "u8", (NR_STREAMS + REQUESTS_MAX, 4)),
    ("victim", "i4", (16,)),
    ("kept", "i4", (32,)),
    ("pinned", "i4", (16,)),
    # struct scan_control, by Reclaimer: mapped pages when its scan began, and pages looked at.
    ("sc_nr_mapped", "i8", (2,)),
    ("sc_nr_scanned", "i8", (2,)),
    # What the scenario gives extensions.
    ("numbers", "f8", (NUMBERS_MAX,)),
    # The requests by name: the fields of settings.Request.
    ("named_order", "i8", (REQUESTS_MAX,)),
    ("named_gfp", "i8", (REQUESTS_MAX,)),
    ("named_gap_ns", "i8", (REQUESTS_MAX,)),
    ("named_hold_ns", "i8", (REQUESTS_MAX,)),
    ("named_otherwise", "i8", (REQUESTS_MAX,)),
    ("named_first_ns", "i8", (REQUESTS_MAX,)),
    ("named_sigma", "f8", (REQUESTS_MAX,)),
    # log of the probability that a burst has one more; 0 if each comes alone.
    ("named_burst_log", "f8", (REQUESTS_MAX,)),
    # What is done when, and what becomes of the settings then: min, low, high and SETTABLE.
    ("action_at_ns", "i8", (ACTIONS_MAX,)),
    ("action_deed", "i8", (ACTIONS_MAX,)),
    ("action_values", "i8", (ACTIONS_MAX, 10)),
    # Uneven loads, by Paced: rows of their pieces (none: even), the piece that the source has come
    # to, and when it ends.
    ("pace_first", "i8", (NR_PACED,)),
    ("pace_pieces", "i8", (NR_PACED,)),
    ("pace_piece", "i8", (NR_PACED,)),
    ("pace_ends", "i8", (NR_PACED,)),
    # The order a reclaimer works for, by Reclaimer; of interest to lumpy reclaim only.
    ("reclaim_order", "i8", (2,)),
    # The kmalloc caches, by order of their slabs: objects in the array, idle slabs, limits.
    ("cache_used", "i8", (NR_CACHES,)),
    ("cache_free", "i8", (NR_CACHES,)),
    ("cache_limit", "i8", (NR_CACHES,)),
    ("cache_batch", "i8", (NR_CACHES,)),
    ("cache_free_limit", "i8", (NR_CACHES,)),
    # Was an object, or an idle slab, asked for since the last look? When idle slabs are looked at.
    ("cache_touched", "i8", (NR_CACHES,)),
    ("cache_free_touched", "i8", (NR_CACHES,)),
    ("cache_next_reap", "i8", (NR_CACHES,)),
    ("cache_array", "i4", (NR_CACHES, CACHE_SLOTS)),
    ("cache_slab", "i4", (NR_CACHES, CACHE_SLOTS)),
    ("count", COUNTERS),
]


def _fields(text: str, kind: str) -> list[tuple[Any, ...]]:
    """Of a text above: (name, kind) of each line."""
    return [(line.split()[0], kind) for line in text.splitlines() if line]


_CONSTANTS = [
    (one.constant, "f8" if issubclass(one.kind, float) else "i8")
    for one in declared().values()
    if one.constant
]
ZONE = np.dtype(_fields(_ZONE, "i8") + _ZONE_VECTORS)
OTHER_ZONES = 1
"""Zones beside the first: DMA."""
MACHINE = np.dtype(
    [(f"{name}_{what}", kind) for name in TABLES for what, kind in (("at", "u8"), ("rows", "i8"))]
    + [("zone", ZONE), ("others", ZONE, (OTHER_ZONES,))]
    + _CONSTANTS
    + _fields(_MACHINE, "i8")
    + _fields(_MACHINE_FRACTIONS, "f8")
    + _MACHINE_VECTORS
)


def set_settings(z: Any, settings: Settings) -> None:
    """Write into a record the settings that kernels read."""
    for name, one in declared().items():
        if one.constant:
            z[one.constant] = reduce(getattr, name.split("."), settings)


def counters(z: Any) -> dict[str, Any]:
    """All counters of a record, the zones' together and the machine's, by name."""
    zones, of_machine = [z["zone"], *z["others"]], z["count"]
    counted = {
        name: sum(zone["count"][name] for zone in zones) for name in ZONE_COUNTERS.names or ()
    }
    return counted | {name: of_machine[name] for name in COUNTERS.names or ()}
