"""The state of one simulated zone, and the words for it.

    zone record (one row)          tables (one allocation each)
    +---------------------+        frame     [0 .. pages)        one row per page frame, by pfn
    | marks, counters     |                  [.. blocks * 1024)  padding: reserved, never free
    | list lengths        |                  [heads ..)          list heads (sentinels)
    | kswapd, defrag, nic |        vpage     one row per virtual page a program may touch
    | table addresses ----|------> event     a heap ordered by (time, seq)
    +---------------------+        ...

Kernels get the record and reach a table through its accessor: `frames(z)[pfn].order`. The record
holds addresses, as struct zone holds a pointer to its mem_map: passing one pointer is cheap, and
one compilation serves zones of every size. `Zone` owns the memory; keep it alive.
"""

from __future__ import annotations

import numpy as np

from study.zone.engine.enums import Caller, Migratetype, Stream
from study.zone.engine.table import table_of
from study.zone.settings import NR_ORDERS, NUMBERS_MAX

MAX_ORDER_PAGES = 1 << (NR_ORDERS - 1)
NO_PFN = -1
NO_ROW = -1
NEVER = np.int64(1 << 62)
SOURCE_BEGINS = -1
"""What a traffic source that is an extension is called with first."""
NR_CALLERS = len(Caller)
NR_STREAMS = len(Stream)
NR_CACHES = 6
"""kmalloc caches whose objects fill one slab of order 0..5 (kmalloc-4096 .. kmalloc-131072)."""
CACHE_SLOTS = 32
FRAGMENTS_MAX = 4
"""Pages of one frame kept as fragments: 16,110 bytes need four."""
PROCESS_PAGES_MAX = 512
PAGE_TABLES_MAX = 16

# List heads follow the padded frames: one per order, then these.
HEAD_HOT = NR_ORDERS
HEAD_COLD = NR_ORDERS + 1
HEAD_ACTIVE = NR_ORDERS + 2
HEAD_INACTIVE = NR_ORDERS + 3
HEAD_TARGETS = NR_ORDERS + 4
"""Free pages that compaction has taken as places to move to."""
NR_HEADS = NR_ORDERS + 5

NR_MIGRATETYPES = len(Migratetype)
NR_PCP_TYPES = 3
"""UNMOVABLE, MOVABLE and RECLAIMABLE have per-cpu lists of their own."""
# With grouping on, the heads of the other types lie below: type t's free lists NR_ORDERS * t rows
# below those of type 0, and below all of them the hot and cold lists of types 1 and 2.
NR_TYPED_HEADS = (NR_MIGRATETYPES - 1) * NR_ORDERS + (NR_PCP_TYPES - 1) * 2

FRAME = np.dtype(
    [
        ("next", "i4"),
        ("prev", "i4"),
        ("owner", "i4"),  # vpage of a user page (the reverse map); slot of a kernel page
        ("home", "u1"),
        ("order", "u1"),  # of the block whose first frame this is
        ("flags", "u1"),
        ("kind", "u1"),
    ]
)
VPAGE = np.dtype(
    [
        ("pfn", "i4"),  # NO_PFN while not resident
        ("kind", "u1"),  # FILE or ANON
        ("mapped", "u1"),  # reached through a page table
        ("thrown", "u1"),
        (
            "state",
            "u1",
        ),  # bit 0 waiting for a frame, bit 1 has a swap slot, bit 2 in the dirty queue
    ]
)
WAITING, SWAPPED, QUEUED = 1, 2, 4
EVENT = np.dtype([("time", "i8"), ("seq", "i8"), ("what", "i4"), ("value", "i4")])
SOON = np.dtype([*EVENT.descr, ("next", "i4"), ("pad", "i4")])
NR_BUCKETS = 1_024
"""Of the wheel; a power of two."""
BUCKETS_A_WORD = 64
ALIAS = np.dtype([("keep", "u4"), ("other", "u4")])
EXTENT = np.dtype([("extent", "i4")])
WRITE = np.dtype([("time", "i8"), ("pfn", "i4"), ("vpage", "i4")])
DIRTY = np.dtype([("time", "i8"), ("vpage", "i4"), ("pad", "i4")])
SLOT = np.dtype(
    [
        ("pfn", "i4"),
        ("objects", "i4"),  # live objects on a reclaimable slab page
        ("place", "i4"),  # in the list of reclaimable slabs, else NO_ROW
        ("next_free", "i4"),
        ("death", "i8"),  # seq of the event that ends it
    ]
)
INDEX = np.dtype([("row", "i4")])
PAGEBLOCK = np.dtype([("migratetype", "i4")])
PROCESS = np.dtype(
    [
        ("stack", "i4"),
        ("pages", "i4"),
        ("tables", "i4"),
        ("alive", "i4"),
        ("next_free", "i4"),
        ("born", "i4"),  # generation, so that a late answer finds its asker gone
        ("lifetime", "i8"),
        ("table", "i4", PAGE_TABLES_MAX),
    ]
)
REQUEST = np.dtype(
    [
        ("since", "i8"),
        ("reclaimed", "i8"),
        ("scan_ns", "i8"),
        ("caller", "i4"),
        ("order", "i4"),
        ("gfp", "i4"),
        ("value", "i4"),
        ("born", "i4"),
        ("priority", "i4"),
        ("rounds", "i4"),
        ("next_free", "i4"),
    ]
)

TABLES = {
    "frame": FRAME,
    "vpage": VPAGE,
    "event": EVENT,
    "soon": SOON,
    "alias": ALIAS,
    "extent": EXTENT,
    "write": WRITE,
    "dirty": DIRTY,
    "slot": SLOT,
    "reclaimable": INDEX,
    "process": PROCESS,
    "request": REQUEST,
    "posted": INDEX,
    "recycled": INDEX,
    "candidate": INDEX,
    "bucket": INDEX,
    "pageblock": PAGEBLOCK,
}

COUNTERS = np.dtype(
    [
        ("attempts", "i8", (NR_CALLERS,)),
        ("failures", "i8", (NR_CALLERS,)),
        ("attempts_order", "i8", (NR_ORDERS,)),
        ("failures_order", "i8", (NR_ORDERS,)),
        ("stalls", "i8", (NR_CALLERS,)),  # requests that had to reclaim or wait
        ("stall_ns", "i8", (NR_CALLERS,)),
        ("stall_longest_ns", "i8", (NR_CALLERS,)),
        ("stall_rounds", "i8", (NR_CALLERS,)),
        ("stall_reclaimed", "i8", (NR_CALLERS,)),
        ("formed", "i8", (NR_ORDERS,)),  # blocks of this order made by merging two halves
        ("split", "i8", (NR_ORDERS,)),
        ("scanned", "i8", (2,)),  # by Reclaimer
        ("reclaimed", "i8", (2,)),
        ("deactivated", "i8"),
        ("activated", "i8"),
        ("written", "i8"),
        ("swapped_out", "i8"),
        ("slab_reclaimed", "i8"),
        ("wakeups", "i8"),
        ("wakeups_refused", "i8"),  # asked for, but the test found nothing to do
        # Requests above order 0 that met no free block: all; those after which kswapd was at rest;
        # those above the low mark that found it at rest; and of these, those that woke it.
        ("blockless", "i8"),
        ("blockless_rests", "i8"),
        ("blockless_asked", "i8"),
        ("blockless_woken", "i8"),
        ("kswapd_ns", "i8"),
        ("touches", "i8"),
        ("first_faults", "i8"),
        ("minor_faults", "i8"),
        ("refaults", "i8"),
        ("refaults_after_defrag", "i8"),
        ("deleted", "i8"),
        ("forks", "i8"),
        ("forks_refused", "i8"),
        ("exits", "i8"),
        ("frames_received", "i8"),
        ("frames_dropped", "i8"),
        ("frames_sent", "i8"),
        ("frames_unsent", "i8"),
        ("defrag_runs", "i8"),
        ("defrag_scanned", "i8"),
        ("defrag_blocks", "i8"),
        ("defrag_evicted", "i8"),
        ("defrag_migrated", "i8"),
        ("defrag_written", "i8"),
        ("defrag_ns", "i8"),
        ("starved", "i8", (NR_CALLERS,)),  # refused by the marks: too few pages, however they lie
        ("stolen", "i8"),  # blocks taken from another migratetype, below the pageblock's order
        ("boosts", "i8"),
        ("recycled", "i8"),
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
        ("oom", "i8"),
        ("events", "i8"),
        ("lost_ns", "i8"),
    ]
)


# Whole numbers of the zone record, by what they belong to; all int64.
_SCALARS = """
    pages head now
    min low high allocation percpu swap
    free nr_hot nr_cold pcp_batch
    grouping pageblock_order typed_heads types_told claims_only start_pfn
    nr_active nr_inactive nr_mapped nr_dirty nr_writeback nr_kernel nr_file nr_anon
    nr_scan_active nr_scan_inactive prev_priority temp_priority
    pages_scanned all_unreclaimable slab_scan victims
    lumpy ignore_references no_io
    reserve nr_reserved placement nofragment
    boost_factor boost boost_asked kswapd_boost kswapd_boost_left kswapd_wish kswapd_freed
    compact_direct compact_daemon compact_threshold compact_rules proactiveness
    compact_considered compact_shift compact_order_failed
    compact_spent compact_undrained compact_async
    migrate_cursor free_cursor nr_targets
    kcompactd_order kcompactd_armed kcompactd_free_at proactive_defer
    huge_gap huge_order huge_median huge_most nr_huge held_first nr_held_blocks
    recycle nr_recycled stack_source
    nr_events nr_soon soon_first soon_free next_seq event_overflow
    process_vpages extents extent_pages zipf_rows
    touch_period next_touch visit_page visit_left visit_write drift_gap delete_gap
    visits_drawn next_rank next_start next_pages next_write
    later_rank later_start later_pages later_write
    fetched_active active_ahead fetched_inactive inactive_ahead
    kswapd_policy kswapd_loop kswapd_awake kswapd_order kswapd_max_order
    kswapd_priority kswapd_pass kswapd_reclaimed kswapd_scanned
    defrag_mode defrag_run defrag_order defrag_interval defrag_wanted defrag_budget
    defrag_window defrag_cursor defrag_armed defrag_last defrag_choice
    stack_order fork_gap lifetime_median process_tables process_free live
    slab_gap slab_median slab_objects slot_free slots_used nr_reclaimable nr_slab
    rx_mode tx_mode rx_replaces ring rx_order tx_order fragments wire
    rx_gap rx_hold tx_gap tx_hold posted_first nr_posted nr_held
    request_free nr_waiting
    refault_cost write_cost migrate_cost
    write_first nr_writes disk_free_at dirty_first nr_queued
    victims_at source_at
"""
# Logarithms of the probability that a run, a process's memory or a burst goes on after one more;
# shares; spreads.
_FRACTIONS = """
    run_log process_log rx_log tx_log
    write_share reclaimable_share lifetime_sigma slab_sigma huge_sigma kswapd_ns_per_page
"""
_VECTORS = [
    ("nr_free", "i8", (NR_ORDERS,)),
    # The row of the first event in each bucket of the wheel.
    ("wheel", "i4", (NR_BUCKETS,)),
    # A bit for each bucket that is not empty.
    ("wheel_used", "u8", (NR_BUCKETS // BUCKETS_A_WORD,)),
    ("dice", "u8", (NR_STREAMS, 4)),
    ("victim", "i4", (16,)),
    # What the scenario tells extensions.
    ("numbers", "f8", (NUMBERS_MAX,)),
    # The order a reclaimer works for, by Reclaimer; of interest to lumpy reclaim only.
    ("reclaim_order", "i8", (2,)),
    # Left to scan and to free in the current call of shrink_zone, by Reclaimer.
    ("scan_active", "i8", (2,)),
    ("scan_inactive", "i8", (2,)),
    ("scan_target", "i8", (2,)),
    # The kmalloc caches, by order of their slabs: objects in the array, idle slabs, limits.
    ("cache_used", "i8", (NR_CACHES,)),
    ("cache_free", "i8", (NR_CACHES,)),
    ("cache_limit", "i8", (NR_CACHES,)),
    ("cache_batch", "i8", (NR_CACHES,)),
    ("cache_free_limit", "i8", (NR_CACHES,)),
    ("cache_array", "i4", (NR_CACHES, CACHE_SLOTS)),
    ("cache_slab", "i4", (NR_CACHES, CACHE_SLOTS)),
    ("count", COUNTERS),
]

ZONE = np.dtype(
    [(f"{name}_{what}", kind) for name in TABLES for what, kind in (("at", "u8"), ("rows", "i8"))]
    + [(name, "i8") for name in _SCALARS.split()]
    + [(name, "f8") for name in _FRACTIONS.split()]
    + _VECTORS
)


frames = table_of("frame", FRAME)
"""Every page frame by pfn, then padding, then the list heads."""
vpages = table_of("vpage", VPAGE)
"""Every virtual page: the working set, then each process's private pages."""
events = table_of("event", EVENT)
"""The agenda's heap."""
soon_events = table_of("soon", SOON)
"""The agenda's wheel."""
aliases = table_of("alias", ALIAS)
"""Zipf's law over popularity ranks."""
extents = table_of("extent", EXTENT)
"""Which extent has which popularity rank."""
writes = table_of("write", WRITE)
"""A ring of writes in flight, oldest first."""
dirty_queue = table_of("dirty", DIRTY)
"""A ring of dirty file pages, oldest first, for pdflush."""
slots = table_of("slot", SLOT)
"""Slab pages, by slot."""
reclaimables = table_of("reclaimable", INDEX)
"""The slots of the slab pages that shrink_slab may empty."""
processes = table_of("process", PROCESS)
"""Short-lived processes, by slot."""
requests = table_of("request", REQUEST)
"""Requests asleep in direct reclaim."""
posted_buffers = table_of("posted", INDEX)
"""The receive ring: first pfn of each posted buffer."""
recycled_buffers = table_of("recycled", INDEX)
"""The card's pool: first pfn of each receive buffer kept for reuse."""
candidates = table_of("candidate", INDEX)
"""For each block of the defragmenter's order, the next one of equal cost."""
buckets = table_of("bucket", INDEX)
"""For each cost, the first block that has it."""
pageblocks = table_of("pageblock", PAGEBLOCK)
"""The pageblocks, by pfn >> pageblock_order; none with grouping off."""
