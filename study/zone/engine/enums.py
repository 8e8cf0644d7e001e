"""The vocabulary of the record and the tables: what a number in them stands for."""

from __future__ import annotations

import zlib
from enum import IntEnum


class Home(IntEnum):
    """Where a frame is. A frame inside a block, other than its first, has no home of its own."""

    NONE = 0
    BUDDY = 1
    PERCPU = 2
    ACTIVE = 3
    INACTIVE = 4
    KERNEL = 5
    RESERVED = 6
    ISOLATED = 7


class Kind(IntEnum):
    """What a frame in use holds."""

    NONE = 0
    FILE = 1
    ANON = 2
    STACK = 3
    PAGE_TABLE = 4
    SLAB = 5
    RX = 6
    TX = 7
    IDLE = 8
    """A whole-slab object kept in a kmalloc cache."""
    HUGE = 9
    SOURCE = 10
    """Taken by a traffic source that is an extension."""
    REQUEST = 11
    RECORDED = 12
    """Asked for by a recorded load, and no page of programs."""


class Flag(IntEnum):
    """Bits of frame.flags."""

    REFERENCED = 1
    YOUNG = 2
    """A page table entry was used since the last look (the accessed bit)."""
    MAPPED = 4
    DIRTY = 8
    WRITEBACK = 16
    SWAPCACHE = 32
    """Has a slot in swap; clean unless DIRTY."""
    RECLAIM = 64
    """Goes to the inactive tail when its write ends, to be freed at the next scan."""
    DIRTY_PTE = 128
    """Written through its page table entry; DIRTY once it is unmapped."""


class Gfp(IntEnum):
    """Request flags that matter here (include/linux/gfp.h, 2.6.8)."""

    WAIT = 0x10
    HIGH = 0x20
    COLD = 0x100
    NOFS = 0x200
    """Without __GFP_FS: nothing that has to be written to a file is waited for."""
    RETRY_MAYFAIL = 0x400
    """__GFP_REPEAT before 4.12."""
    NOFAIL = 0x800
    NORETRY = 0x1000
    RECLAIMABLE = 0x80000
    """With MOVABLE the migratetype of the request (2.6.24); neither is UNMOVABLE."""
    MOVABLE = 0x100000
    ATOMIC = 0x20
    KERNEL = 0xD0


class Caller(IntEnum):
    """Who asks for pages."""

    USER = 0
    STACK = 1
    PAGE_TABLE = 2
    SLAB = 3
    RX = 4
    TX = 5
    MIGRATION = 6
    HUGE = 7
    SOURCE = 8
    REQUEST = 9
    TRACE = 10
    """A recorded load."""


class Thrown(IntEnum):
    """Who evicted a virtual page that was resident before."""

    NO = 0
    RECLAIM = 1
    DEFRAG = 2


class Reclaimer(IntEnum):
    KSWAPD = 0
    DIRECT = 1


class Event(IntEnum):
    """What falls due; user touches are not queued, they fill the time between."""

    KSWAPD = 0
    DEFRAG = 1
    SLAB_ARRIVAL = 2
    SLAB_DEATH = 3
    FORK = 4
    EXIT = 5
    RX_FRAME = 6
    RX_RETURN = 7
    RX_WATCHDOG = 8
    TX_FRAME = 9
    TX_DONE = 10
    RETRY = 11
    WRITE_DONE = 12
    PDFLUSH = 13
    REAP = 14
    DRIFT = 15
    DELETE = 16
    KCOMPACTD = 17
    PROACTIVE = 18
    HUGE_ARRIVAL = 19
    HUGE_DEATH = 20
    SOURCE = 21
    REQUEST_ARRIVAL = 22
    REQUEST_END = 23
    ACTION = 24
    TRACE_REQUEST = 25
    TRACE_BLOCK = 26
    TRACE_END = 27
    TOUCH_PACE = 28


class Paced(IntEnum):
    """Sources whose rate a profile may vary."""

    TOUCH = 0
    RX = 1
    TX = 2


class Stream(IntEnum):
    """One stream of random numbers per workload source, so that policies meet the same load.

    KERNEL and VICTIMS are the only ones whose use depends on the policy.
    """

    TOUCH = 0
    DRIFT = 1
    DELETE = 2
    FORK = 3
    SLAB = 4
    RX = 5
    TX = 6
    KERNEL = 7
    START = 8
    HUGE = 9
    SOURCE = 10
    VICTIMS = 11
    TRACE = 12


def stream_of_request(name: str) -> str:
    """What the stream of a request by name is called."""
    return f"REQUEST {name}"


def stream_key(name: str) -> int:
    """What a stream is seeded by, of its name: 32 bits, which two names may share by chance."""
    return zlib.crc32(name.encode())


class Migratetype(IntEnum):
    """What a pageblock is meant to hold; each has free lists of its own (6.1, without CMA)."""

    UNMOVABLE = 0
    MOVABLE = 1
    RECLAIMABLE = 2
    HIGHATOMIC = 3
    """Kept for who cannot wait; also what 2.6.24 calls MIGRATE_RESERVE."""
    ISOLATE = 4
