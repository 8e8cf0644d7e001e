"""The tables of one simulated machine; the record that holds all else is in record.py.

    record (one row)               tables (one allocation each)
    +---------------------+        frame     [0 .. pages)        one row per page frame, by pfn
    | zone: marks, lists, |                  [.. blocks * 1024)  padding: reserved, never free
    |       counters      |                  [heads ..)          list heads (sentinels)
    | clock, kswapd, load |        vpage     one row per virtual page a program may touch
    | table addresses ----|------> event     a heap ordered by (time, seq)
    +---------------------+        ...

Kernels get the record and reach a table through its accessor: `frames(z)[pfn].order`. The record
holds addresses, as struct zone holds a pointer to its mem_map: passing one pointer is cheap, and
one compilation serves zones of every size. `Zone` owns the memory; keep it alive.
"""

from __future__ import annotations

import numpy as np

from study.zone.demand import DEMAND
from study.zone.engine.enums import Caller, Migratetype, Paced, Stream
from study.zone.engine.table import table_of
from study.zone.settings import NR_ORDERS

MAX_ORDER_PAGES = 1 << (NR_ORDERS - 1)
NO_PFN = -1
NO_ROW = -1
NEVER = np.int64(1 << 62)
SOURCE_BEGINS = -1
"""What a traffic source that is an extension is called with first."""
NR_CALLERS = len(Caller)
NR_STREAMS = len(Stream)
NR_PACED = len(Paced)
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
        # Whose the frame is, or what comes after it; by home and kind, one of six:
        #   ACTIVE, INACTIVE       the vpage that it holds: the reverse map (mm/.../rmap.py)
        #   KERNEL, kind SLAB      its row in the slot table (slab.py)
        #   KERNEL, kind RX or TX  the frame's next fragment, NO_PFN at the last (load/nic.py)
        #   KERNEL, kind HUGE      the next one that is held, NO_PFN at the last (load/huge.py)
        #   KERNEL, kind REQUEST   the next of its single pages, NO_PFN at the last (load/named.py)
        #   PERCPU                 the migratetype it was freed as, with grouping on (percpu.py)
        # Anything else leaves behind what was there.
        ("owner", "i4"),
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
        # bit 0 waiting for a frame, bit 1 has a swap slot, bit 2 in the dirty queue, bit 3 in use
        # by a recorded load
        ("state", "u1"),
    ]
)
WAITING, SWAPPED, QUEUED, LIVE = 1, 2, 4, 8
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
PACE = np.dtype([("lasts_ns", "i8"), ("gap_ns", "i8")])
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
        ("lru_pages", "i8"),  # of both lists, when its reclaim began
        ("in_vain", "i8"),  # rounds that freed too little, in a row
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
    "demand": DEMAND,
    "pace": PACE,
}

paces = table_of("pace", PACE)
"""The pieces of uneven loads, source by source: how long each lasts, and the mean gap; 0: none."""
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
demands = table_of("demand", DEMAND)
"""The requests of a recorded load, in the order of time; read only, and none without one."""
