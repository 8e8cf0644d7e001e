"""Every setting of one simulated zone, declared once, in the kernel's own units.

A field below is a setting: name, type, default, bounds and a sentence. From it come the key of a
scenario with its checks and the JSON schema (scenario/model.py), the record that kernels read
(engine/record.py) and docs/settings.md.

Pages are 4 KiB frames, times are nanoseconds of simulated time, shares lie in [0, 1]; the end of a
name says which. Nothing here is parsed or checked: that is the scenario's work, done once, where
the file and line are still known.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from enum import IntEnum
from functools import cache
from itertools import pairwise
from typing import Any, get_type_hints

PAGE_BYTES = 4096
NR_ORDERS = 11
"""Orders 0..10: MAX_ORDER is 11 (include/linux/mmzone.h, 2.6.8)."""
ORDER_MAX = NR_ORDERS - 1
KMALLOC_ORDER_MAX = 5
"""kmalloc ends at 131072 bytes (include/linux/kmalloc_sizes.h, 2.6.8), until 2.6.22."""
PAGES_MAX = 1 << 26
"""256 GiB: pfns are 32-bit numbers in the zone's tables, with room to spare."""
NUMBERS_MAX = 8
REQUESTS_MAX = 4
"""Named requests of one machine: each has metrics of its own, and so columns in every row."""
ACTIONS_MAX = 8
RATE_MOST = 1e7
"""Arrivals a second: times are whole nanoseconds, so a mean gap of 100 is kept to 1 %."""
COST_NS_MOST = 10_000_000_000
"""Of one page: a disk that takes longer has failed."""

UNITS = ("pages", "ns", "per_s", "per_ms", "share")
"""What the name of a setting may end in; the unit is none otherwise."""


@cache
def words_of(members: type[IntEnum]) -> dict[str, IntEnum]:
    """The members of an enum by the words that people write for them: `count-only`, `2.6.8`."""
    found = {}
    for member in members:
        name = member.name.lower()
        is_version = name[0] == "v" and name[1].isdigit()
        found[name[1:].replace("_", ".") if is_version else name.replace("_", "-")] = member
    return found


@dataclass(frozen=True)
class Setting:
    """What is declared about a setting beside its name, type and default.

    Parameters
    ----------
    key
        Of a scenario, within its group, or with a dot in another; empty if it has none. Unless
        given, the name without its unit.
    unit
        One of UNITS, or empty. Unless given, what the name ends in.
    least, above, most
        Bounds of the value, in its unit.
    policy
        Is it a choice of how memory is managed? All others are the machine and its load.
    constant
        Does a kernel read it? If not, it is only used to set up a trial, as every rate is.
    """

    key: str | None = None
    unit: str | None = None
    least: float | None = None
    above: float | None = None
    most: float | None = None
    policy: bool = False
    constant: bool = True


@dataclass(frozen=True)
class Declared:
    """A setting as declared, with what follows from its place.

    Parameters
    ----------
    name
        Of the field in Settings, dotted: defrag.scan_pages.
    key
        Dotted key of a scenario: defrag.scan; empty if it has none.
    constant
        What the record calls it: defrag_scan_pages; empty if it is not there.
    kind
        Type of its values.
    unit
        One of UNITS, or empty.
    default, about
        Its value unless said otherwise, and its sentence.
    setting
        What else was declared.
    """

    name: str
    key: str
    constant: str
    kind: Any
    unit: str
    default: Any
    about: str
    setting: Setting


def setting(default: Any, **more: Any) -> Any:
    """A field that is a setting of which there is more to say; see Setting."""
    return field(default=default, metadata={"setting": Setting(**more)})


def group(of: type, *, key: str = "", prefix: str | None = None) -> Any:
    """A field that is a group of settings.

    Parameters
    ----------
    key
        Of a scenario; unless given, the field's own name.
    prefix
        What the record puts before the names of these settings; None: they are not in it.
    """
    return field(default_factory=of, metadata={"key": key, "prefix": prefix})


class Grouping(IntEnum):
    """Whether free blocks are kept by mobility: not in 2.6.8; since 2.6.24, here as in 6.1."""

    OFF = 0
    ON = 1


class Reserve(IntEnum):
    """Pageblocks kept for atomic requests: two from boot on (2.6.24), or as needed (4.4)."""

    OFF = 0
    MIGRATE_RESERVE = 1
    HIGHATOMIC = 2


class Placement(IntEnum):
    """Which free block a request gets: Linux's choice, or one of two bounds no kernel has.

    BEST_FIT takes the lowest address among the smallest blocks that fit. BY_LIFETIME knows how
    long each kernel page will live and keeps short and long lives apart (with grouping on).
    """

    BUDDY = 0
    BEST_FIT = 1
    BY_LIFETIME = 2


class Marks(IntEnum):
    """How min, low and high follow from memory size (mm/page_alloc.c, init_per_zone_pages_min)."""

    V2_6_8 = 0
    V2_6_10 = 1
    V4_6 = 2


class AllocationPath(IntEnum):
    """Which __alloc_pages: whom it lets below which mark, and in which pass."""

    V2_6_8 = 0
    V2_6_9 = 1
    V2_6_11 = 2
    V2_6_24 = 3
    V4_4 = 4


class KswapdLoop(IntEnum):
    """How balance_pgdat ends a run, and what counts as scanned before it gives a zone up.

    2.6.8 gives up after 13 priorities; 2.6.9 starts over until balanced; 2.6.10 counts active
    pages scanned, 2.6.11 both lists, and naps when a deep pass has found little. 3.3 is content
    with pages of any kind where compaction could make a block of them; 4.8 forgets the order once
    it has freed twice its pages.
    """

    V2_6_8 = 0
    V2_6_9 = 1
    V2_6_10 = 2
    V2_6_11 = 3
    V3_3 = 4
    V4_8 = 5


class KswapdPolicy(IntEnum):
    """What kswapd looks at before it rests."""

    COUNT_ONLY = 0
    ORDER_AWARE = 1


class ReclaimWait(IntEnum):
    """When those who reclaim wait for the disk (mm/linux_2_6/waiting.py has all of it).

    2.6.8 waits whether or not anything is being written; from 2.6.33 on kswapd not while few pages
    are free; from 2.6.37 on who asks waits only for a congested disk, from 3.9 on (3.11) kswapd
    only for pages that it meets again; from 4.7 on who tries again waits only if most of what is
    left is to be written.
    """

    V2_6_8 = 0
    V2_6_33 = 1
    V2_6_37 = 2
    V3_11 = 3
    V4_7 = 4


class DirectCompaction(IntEnum):
    """From which order a request that may sleep compacts: never, above order 3, or above 0."""

    OFF = 0
    COSTLY = 4
    ALL = 1


class DefragMode(IntEnum):
    """What the reverse-map defragmenter does with the pages of a block it wants."""

    OFF = 0
    RMAP_EVICT = 1
    RMAP_MIGRATE = 2


class DefragChoice(IntEnum):
    """Which blocks the defragmenter tries: the cheapest, or those beside a free half (Tosatti)."""

    CHEAPEST = 0
    BESIDE_FREE = 1


class CompactionRules(IntEnum):
    """2.6.35: each run scans anew and keeps low free. 3.19: a run resumes where the last one
    stopped (3.7), drains per-cpu lists as it leaves a block (3.19), and keeps min free (4.8).
    """

    V2_6_35 = 0
    V3_19 = 1


class StackSource(IntEnum):
    """Kernel stacks from one block, from single pages (4.9), or from either."""

    KMALLOC = 0
    VMALLOC = 1
    KVMALLOC = 2


class DefragRun(IntEnum):
    """Who runs the defragmenter: kswapd itself, or a rare process of its own."""

    INLINE = 0
    DAEMON = 1


class ProbeVictims(IntEnum):
    """Whom the probe throws out, after the load has stopped, to see what a block costs."""

    OFF = 0
    RANDOM = 1
    LRU = 2
    RMAP_EVICT = 3
    RMAP_MIGRATE = 4


class Otherwise(IntEnum):
    """What a request that is refused its block is content with.

    REFUSE is nothing, ORDER_0 one single page (skb_page_frag_refill), VMALLOC as many single pages
    as the block has (kvmalloc). Single pages are not waited for.
    """

    REFUSE = 0
    ORDER_0 = 1
    VMALLOC = 2


class AdminAction(IntEnum):
    """What an administrator does while a machine runs."""

    DROP_CACHES = 0
    COMPACT_MEMORY = 1
    SET = 2


class Resample(IntEnum):
    """How replicates differ in a recorded load.

    BLOCKS draws pieces of it with replacement, each from a random moment on (circular block
    bootstrap), SHIFT plays it in a circle from a random moment on, NONE as it was recorded.
    """

    BLOCKS = 0
    SHIFT = 1
    NONE = 2


class NicReceive(IntEnum):
    LINEAR = 0
    PAGE_ARRAY = 1


class NicTransmit(IntEnum):
    LINEAR = 0
    SCATTER_GATHER = 1


@dataclass(frozen=True)
class Memory:
    """The zone itself."""

    pages: int = setting(225_280, key="memory", least=1, most=PAGES_MAX, constant=False)
    """Present pages of the zone: 880MiB is zone Normal of a 1 GB i386 machine (16 to 896 MB)."""
    lowmem_pages: int = setting(225_280, constant=False)
    """Present pages of all lowmem zones together; the marks are a share of these."""
    reserved_pages: int = setting(3_072, constant=False)
    """Kernel image, mem_map and boot memory, never freed. Assumed."""
    dma_pages: int = setting(0, key="dma", constant=False)
    """Zone DMA beside the zone, on which its requests fall back, and what of it is reserved."""
    dma_reserved_pages: int = setting(0, key="", constant=False)
    """Of it, what the kernel's image and boot memory have taken for good."""
    percpu_lists: bool = setting(True, policy=True)
    """Order-0 pages go through per-cpu lists (hot and cold), as in every 2.6 kernel."""
    swap: bool = setting(True, policy=True)
    """Anonymous pages can be swapped out."""
    grouping: Grouping = setting(Grouping.OFF, policy=True)
    """Free lists per migratetype, with fallback and stealing: off is 2.6.8, on is 6.1."""
    pageblock_order: int = setting(10, most=ORDER_MAX, policy=True)
    """Size of a pageblock, for grouping and compaction: 10 is a huge page of i386 (4 MB)."""
    reserve: Reserve = setting(Reserve.OFF, policy=True)
    """Pageblocks for atomic requests: two from boot on (2.6.24) or as needed (4.4)."""
    nofragment: bool = setting(False, policy=True)
    """Refills of per-cpu lists do not break into pageblocks of other types (ALLOC_NOFRAGMENT)."""
    placement: Placement = setting(Placement.BUDDY, policy=True)
    """Linux's choice of a block, or a bound: by lowest address, or knowing kernel pages' lives."""
    buddyinfo: tuple[int, ...] | None = None
    """Start with exactly these free blocks per order, all else in use."""
    typed_blocks: tuple[tuple[int, ...], ...] | None = setting(None, key="")
    """Of buddyinfo, the blocks on the lists of each type: unmovable, movable, reclaimable and
    reserved for atomic requests, each by order; used with grouping on.
    """
    typed_pageblocks: tuple[int, ...] | None = setting(None, key="")
    """Pageblocks of each of these types at the start; the rest are movable."""
    highatomic_pages: int = setting(0, key="highatomic", constant=False)
    """At the start so many pages are in pageblocks reserved for atomic requests (4.4)."""


@dataclass(frozen=True)
class Watermarks:
    """min, low and high."""

    marks: Marks = setting(Marks.V2_6_8, policy=True, constant=False)
    """The formula for min, low and high."""
    boost_factor: int = setting(0, most=1_000_000, policy=True)
    """vm.watermark_boost_factor: most that a steal raises the marks, in 1/10000 of high (5.0)."""
    min_free_kbytes: int = setting(0, most=1 << 28, policy=True, constant=False)
    """vm.min_free_kbytes, split over the lowmem zones as the kernel does; 0: by its formula."""
    scale_factor: int = setting(10, least=1, most=3_000, policy=True, constant=False)
    """vm.watermark_scale_factor: least distance of the marks, in 1/10000 of the zone (4.6)."""
    boost_pages: int = setting(0, key="boost", constant=False)
    """By so much the three marks are raised at the start; nothing while boost_factor is 0."""
    lowmem_reserve_pages: int = setting(0, key="lowmem_reserve", policy=True)
    """Held back beside the marks from requests that could also be served by a higher zone."""
    explicit_pages: tuple[int, int, int] | None = setting(None, key="min", policy=True)
    """min, low and high, instead of the formula."""


@dataclass(frozen=True)
class Cpu:
    """The processor, as far as reclaim takes its time."""

    mips: float = setting(1_000.0, least=1, most=1e6, constant=False)
    """Million instructions a second, cache misses apart."""
    miss_ns: int = setting(150, most=1_000_000, constant=False)
    """Time of a cache miss."""


@dataclass(frozen=True)
class Kswapd:
    """The background reclaimer."""

    policy: KswapdPolicy = setting(KswapdPolicy.COUNT_ONLY, policy=True)
    """Rest when enough pages are free, or (Nick Piggin's patch) enough in large enough blocks."""
    loop: KswapdLoop = setting(KswapdLoop.V2_6_8, policy=True)
    """How balance_pgdat ends a run."""
    pages_per_ms: float = setting(0.0, key="speed")
    """Pages that reclaim looks at per millisecond, kswapd and who asks; 0: by the machine (cpu)."""
    delay_ns: int = setting(0, most=1_000_000_000)
    """Time from being woken until it runs: a process, it waits until it gets the processor."""


@dataclass(frozen=True)
class Reclaim:
    """How pages are freed, whoever does it."""

    lumpy: bool = setting(False, policy=True)
    """Take the neighbours of a victim in its aligned block as well (2.6.23 to 3.4)."""
    swappiness: int = setting(60, most=100, policy=True)
    """vm.swappiness: how soon mapped pages are fair game (refill_inactive_zone, 2.6.8)."""
    reclaim_wait: ReclaimWait = setting(ReclaimWait.V2_6_8, key="wait", policy=True)
    """When those who reclaim wait for the disk."""


@dataclass(frozen=True)
class Compaction:
    """Used pages move together."""

    direct_order: DirectCompaction = setting(DirectCompaction.OFF, key="direct", policy=True)
    """Requests that may sleep compact before they reclaim: above order 3 (2.6.35) or 0 (2.6.38)."""
    daemon: bool = setting(False, policy=True)
    """kswapd wakes kcompactd before it sleeps (4.6)."""
    proactiveness: int = setting(0, most=100, policy=True)
    """vm.compaction_proactiveness: kcompactd also works unasked; 0: never, 100: always (5.9)."""
    threshold: int = setting(500, most=1_000, policy=True)
    """vm.extfrag_threshold: a lower index is lack of memory and left to reclaim."""
    deferred: int = setting(0, most=6, constant=False)
    """At the start runs are put off as after so many failures: 2 ** this many less one (3.7)."""
    rules: CompactionRules = setting(CompactionRules.V2_6_35, policy=True)
    """Each run scans anew and keeps low free; or runs resume, drain, and keep min free."""


@dataclass(frozen=True)
class Defrag:
    """The reverse-map defragmenter."""

    mode: DefragMode = setting(DefragMode.OFF, policy=True)
    """What the reverse-map defragmenter does with the pages of a block it wants free."""
    run: DefragRun = setting(DefragRun.DAEMON, policy=True)
    """From kswapd, or rarely and in a process of its own."""
    choice: DefragChoice = setting(DefragChoice.CHEAPEST, policy=True)
    """The block with the fewest pages to move, or one around a free half (Marcelo Tosatti)."""
    order: int = setting(3, least=1, most=ORDER_MAX, policy=True)
    """The order whose blocks it frees."""
    interval_ns: int = setting(10_000_000_000, policy=True)
    """Daemon: shortest time between two runs; a failed request above order 0 asks for one."""
    blocks_wanted: int = setting(64, policy=True)
    """A run ends when so many blocks of the order are free; larger ones count as several."""
    budget_pages: int = setting(2_048, policy=True)
    """Most pages that a run evicts or migrates."""
    scan_pages: int = setting(4_096, least=1, policy=True)
    """Inline: pages looked at per run, from where the last one stopped."""


@dataclass(frozen=True)
class User:
    """File and anonymous memory that user programs touch."""

    working_set_pages: int = setting(270_336, constant=False)
    """Distinct pages that programs touch."""
    extent_pages: int = setting(16, least=1, most=1 << 16)
    """Neighbouring pages that become popular together."""
    zipf_exponent: float = setting(0.9, key="zipf", most=10, constant=False)
    """Exponent of popularity: 0 is uniform."""
    touches_per_s: float = setting(20_000.0, key="touch_rate", most=1e8)
    """Pages touched per second; the time between two is a whole number of nanoseconds."""
    touch_profile: tuple[tuple[int, float], ...] = ()
    """Touches that come unevenly: times and factors of the even rate or rates, over and over, or a
    file of rates; unless given, evenly.
    """
    run_pages: float = setting(8.0, key="run", unit="", least=1, constant=False)
    """Mean number of neighbouring pages touched per visit (geometric, cut at the extent's end)."""
    anonymous_share: float = setting(0.4, constant=False)
    """Share of the working set that has no file behind it."""
    mapped_share: float = setting(0.2, constant=False)
    """Share of file extents that are mapped rather than read."""
    write_share: float = setting(0.1, key="written")
    """Share of visits that write."""
    drifts_per_s: float = setting(20.0, key="drift_rate", most=RATE_MOST)
    """Pairs of extents per second that swap popularity."""
    deletes_per_s: float = setting(5.0, key="delete_rate", most=RATE_MOST)
    """Extents per second that are freed at once (truncate, unlink, munmap)."""
    filled: bool = setting(True, constant=False)
    """Start with memory full of the most popular extents, as after hours of use."""


@dataclass(frozen=True)
class Processes:
    """Short-lived processes: a stack, page tables and private anonymous pages each."""

    stack_order: int = setting(1, key="stacks.size")
    """1 for 8K stacks, 0 for 4K stacks (CONFIG_4KSTACKS)."""
    stack_source: StackSource = setting(StackSource.KMALLOC, key="stacks.source")
    """One block; single pages (4.9); or single pages where no block is free."""
    forks_per_s: float = setting(20.0, key="fork_rate", most=RATE_MOST)
    """Short-lived processes per second."""
    lifetime_median_ns: int = setting(200_000_000, key="lifetime")
    """Median; lognormal."""
    lifetime_sigma: float = setting(2.0, most=10)
    """Standard deviation of the lifetime's logarithm."""
    anonymous_pages: float = setting(64.0, key="memory", least=1, constant=False)
    """Mean private pages (geometric, at most 512)."""
    page_table_pages: int = setting(4, key="page_tables", unit="", most=16, constant=False)
    """Page-table pages of each (order 0, unmovable)."""
    live_max: int = setting(1_024, key="most", least=1, most=1 << 16, constant=False)
    """Most processes alive at once."""


@dataclass(frozen=True)
class Slab:
    """Unmovable kernel objects, at the granularity of order-0 slab pages."""

    initial_share: float = setting(0.03, constant=False)
    """Share of the zone in slab pages at start."""
    pages_per_s: float = setting(100.0, key="rate", most=RATE_MOST)
    """New slab pages per second."""
    lifetime_median_ns: int = setting(2_000_000_000, key="lifetime")
    """Median; lognormal."""
    lifetime_sigma: float = setting(2.5, most=10)
    """Standard deviation of the lifetime's logarithm."""
    reclaimable_share: float = 0.5
    """Share of slab pages of dentries and inodes, which reclaim may empty."""
    objects_per_page: int = setting(16, least=1, most=10_000)
    """A slab page is free when all its objects are."""


@dataclass(frozen=True)
class Nic:
    """A network card, its driver and its traffic."""

    replaces: bool = setting(False, key="driver")
    """A frame is handed up only once there is a new buffer in its place (tg3), or else is lost."""
    frame_pages: int = setting(3, key="mtu", constant=False)
    """Order-0 pages that hold one frame as fragments."""
    receive: NicReceive = NicReceive.LINEAR
    """One contiguous buffer a frame, or order-0 fragments."""
    transmit: NicTransmit = NicTransmit.SCATTER_GATHER
    """One contiguous copy a frame, or order-0 fragments; unless given, as the driver can."""
    ring: int = setting(256, most=1 << 16)
    """Receive descriptors; 0 switches receiving off."""
    recycle: bool = False
    """Keep returned receive buffers, as many as the ring has, and post them again, as a page pool
    does (4.18).
    """
    wire_ns: int = setting(72_304, key="line_rate")
    """Time between frames of one burst: 9,038 bytes at 1 Gbit/s."""
    rx_frames_per_s: float = setting(2_000.0, key="rx_rate")
    """Mean frames received per second."""
    rx_profile: tuple[tuple[int, float], ...] = ()
    """As user.touch_profile, for the rate of frames received."""
    rx_burst_frames: float = setting(32.0, key="rx_burst", least=1, constant=False)
    """Mean frames per burst (geometric); bursts arrive as a Poisson process."""
    rx_hold_ns: int = 20_000_000
    """Mean time (exponential) until the reader frees a buffer."""
    tx_frames_per_s: float = setting(1_000.0, key="tx_rate")
    """Mean frames sent per second."""
    tx_profile: tuple[tuple[int, float], ...] = ()
    """As user.touch_profile, for the rate of frames sent."""
    tx_burst_frames: float = setting(8.0, key="tx_burst", least=1, constant=False)
    """Mean frames per burst."""
    tx_hold_ns: int = 1_000_000
    """Mean time until the card has sent a frame and its memory is freed."""
    rx_order: int = 3
    """Order of one linear receive buffer (e1000 at MTU 9000: kmalloc-32768)."""
    tx_order: int = 2
    """Order of one linearised frame to send (MTU 9000: kmalloc-16384)."""


@dataclass(frozen=True)
class Huge:
    """Huge pages asked for while the system runs: movable, and content with a refusal."""

    order: int = setting(9, least=1, most=ORDER_MAX)
    """Of a huge page: 9 is 2 MB (x86-64), 10 is 4 MB (i386)."""
    per_s: float = setting(0.0, key="rate", most=RATE_MOST)
    """Huge pages asked for per second."""
    lifetime_median_ns: int = setting(5_000_000_000, key="lifetime")
    """Median; lognormal. Assumed."""
    lifetime_sigma: float = setting(1.0, most=10)
    """Standard deviation of the lifetime's logarithm."""
    most: int = 64
    """No more are asked for while so many live."""


@dataclass(frozen=True)
class Recorded:
    """A recorded load; demand.py packs it and reads it.

    Parameters
    ----------
    digest
        Of its content, 32 hex digits: two of the same are the same.
    length_ns
        Of the recording.
    nr_requests
        In it.
    packed
        Its content.
    """

    digest: str
    length_ns: int = field(compare=False)
    nr_requests: int = field(compare=False)
    packed: bytes = field(compare=False, repr=False)


@dataclass(frozen=True)
class Load:
    """Requests and frees that a real machine's tracer wrote down."""

    trace: Recorded | None = None
    """A recorded trace whose requests and frees are a load: a file as `study replay` reads it."""
    replicates: Resample = Resample.BLOCKS
    """How replicates differ in it: pieces drawn with replacement, a random start, or not at all."""
    block_ns: int = setting(5_000_000_000, least=1_000_000)
    """Length of a piece."""


@dataclass(frozen=True)
class Costs:
    """Time lost per page, used for reporting only: offered load does not slow down."""

    refault_ns: int = setting(1_000_000, most=COST_NS_MOST)
    """Time a refault costs: a random read, spread over the run it brings in. Assumed."""
    write_ns: int = setting(100_000, most=COST_NS_MOST)
    """Time the disk takes to write a page. Assumed."""
    migrate_ns: int = setting(2_000, most=COST_NS_MOST)
    """Time to copy and remap a page. Assumed."""


@dataclass(frozen=True)
class Probe:
    """After the measured time: free pages until so many more blocks of an order are free."""

    victims: ProbeVictims = ProbeVictims.OFF
    """After the measured time, free such pages until `blocks` more blocks of `order` are free."""
    order: int = setting(3, least=1, most=ORDER_MAX)
    """The order of the blocks that it asks for."""
    blocks: int = setting(1, least=1)
    """How many more of them must become free."""


@dataclass(frozen=True)
class HighAlloc:
    """Gorman's stress-highalloc after the measured time: ask for much of memory in huge pages."""

    share: float = setting(0.0, key="share")
    """After the measured time, ask for this share of the zone in huge pages: stress-highalloc."""
    order: int = setting(9, least=1, most=ORDER_MAX)
    """Of these huge pages: 9 is 2 MB (x86-64), 10 is 4 MB (i386)."""
    gap_ns: int = setting(100_000_000, above=0)
    """Time between two requests."""


@dataclass(frozen=True)
class Churn:
    """LLFree's test after the measured time, the load at an end: free and ask again, in rounds."""

    rounds: int = 0
    """After the measured time, LLFree's test: so often memory is freed and asked for again."""
    fill: float = setting(0.92, unit="share")
    """Share of the zone that is filled in sequence at first; of the rest whole blocks stay."""
    hold: float = setting(0.48, unit="share")
    """Share of the zone that stays in use after random pages of it were freed."""
    part: float = setting(0.1, unit="share")
    """Share of what is held that a round frees and asks for again."""
    gap_ns: int = setting(1_000_000_000, above=0)
    """Time between two rounds."""


@dataclass(frozen=True)
class Extension:
    """Code of somebody else's, by the names it is registered under; "" for none."""

    victims: str = setting("", policy=True)
    """Who picks reclaim's next victim, if not LRU."""
    source: str = ""
    """A further load."""
    numbers: tuple[float, ...] = ()
    """What it is told, at most NUMBERS_MAX; 0 where nothing is said."""
    victims_digest: str = setting("", key="")
    """Which version; empty for whichever there is."""
    source_digest: str = setting("", key="")
    """Which version; empty for whichever there is."""


@dataclass(frozen=True)
class Request:
    """A load of one kind of request: a Poisson stream of bursts, each block kept for a while.

    Parameters
    ----------
    name
        What a scenario calls it; the stream of random numbers is named after it.
    order
        Of the block wished for.
    gfp
        Bits of engine.enums.Gfp.
    per_s
        How many come per second, on average.
    hold_ns
        Mean time until one is given back, exponential; with hold_sigma the median, lognormal.
    otherwise
        What it is content with if it is refused.
    first_ns
        When the first one comes; -1: by chance, as all others.
    hold_sigma
        Standard deviation of the logarithm of that time; 0: it is exponential.
    burst
        Mean number that come at one moment (geometric).
    """

    name: str
    order: int
    gfp: int
    per_s: float
    hold_ns: int
    otherwise: Otherwise = Otherwise.REFUSE
    first_ns: int = -1
    hold_sigma: float = 0.0
    burst: float = 1.0


@dataclass(frozen=True)
class Action:
    """What an administrator does at some time.

    Parameters
    ----------
    at_ns
        Since the trial began.
    deed
        What it is.
    setting
        Of SET: name of a setting, one of SETTABLE.
    value
        Of SET: its new value.
    """

    at_ns: int
    deed: AdminAction
    setting: str = ""
    value: int = 0


SETTABLE = (
    "watermarks.min_free_kbytes",
    "watermarks.scale_factor",
    "watermarks.boost_factor",
    "reclaim.swappiness",
    "compaction.threshold",
    "compaction.proactiveness",
)
"""Settings that an administrator can change while a machine runs: sysctls."""


@dataclass(frozen=True)
class Clock:
    """The phases of a trial."""

    ageing_ns: int = 240_000_000_000
    """Simulated time before anything counts."""
    measure_ns: int = setting(60_000_000_000, above=0)
    """Simulated time that is measured."""
    sample_ns: int = setting(1_000_000_000, above=0)
    """Time between two looks at /proc/buddyinfo."""


@dataclass(frozen=True)
class Settings:
    """Everything one trial needs besides its seed and replicate."""

    memory: Memory = group(Memory, key="zone", prefix="")
    watermarks: Watermarks = group(Watermarks, prefix="")
    allocation: AllocationPath = setting(AllocationPath.V2_6_8, key="allocation.path", policy=True)
    """Which __alloc_pages: who may go below which mark."""
    cpu: Cpu = group(Cpu)
    kswapd: Kswapd = group(Kswapd, prefix="kswapd_")
    reclaim: Reclaim = group(Reclaim, prefix="")
    compaction: Compaction = group(Compaction, prefix="compact_")
    defrag: Defrag = group(Defrag, prefix="defrag_")
    user: User = group(User, prefix="")
    processes: Processes = group(Processes, prefix="")
    slab: Slab = group(Slab, prefix="slab_")
    nic: Nic = group(Nic, prefix="")
    huge: Huge = group(Huge, prefix="huge_")
    load: Load = group(Load, prefix="trace_")
    costs: Costs = group(Costs, prefix="cost_")
    probe: Probe = group(Probe)
    highalloc: HighAlloc = group(HighAlloc)
    churn: Churn = group(Churn)
    extension: Extension = group(Extension)
    clock: Clock = group(Clock)
    requests: tuple[Request, ...] = setting((), key="")
    """Requests by name, at most REQUESTS_MAX."""
    actions: tuple[Action, ...] = setting((), key="")
    """What an administrator does, at most ACTIONS_MAX, in the order of time."""


@cache
def _sentences() -> dict[tuple[str, str], str]:
    """What stands under each field of this module, by the names of its class and itself."""
    sentences = {}
    for of in ast.parse(inspect.getsource(sys.modules[__name__])).body:
        if not isinstance(of, ast.ClassDef):
            continue
        for above, below in pairwise(of.body):
            match above, below:
                case ast.AnnAssign(ast.Name(name)), ast.Expr(ast.Constant(str(text))):
                    sentences[of.name, name] = " ".join(text.split())
    return sentences


def _declared(
    of: type, name: str = "", key: str = "", prefix: str | None = ""
) -> Iterator[Declared]:
    kinds, sentences = get_type_hints(of), _sentences()
    for one in fields(of):
        kind, full = kinds[one.name], f"{name}.{one.name}".lstrip(".")
        if "prefix" in one.metadata:
            of_group = one.metadata["key"] or one.name
            yield from _declared(kind, full, of_group, one.metadata["prefix"])
            continue
        setting: Setting = one.metadata.get("setting", Setting())
        ending = next((u for u in UNITS if f"_{one.name}".endswith(f"_{u}")), "")
        own = setting.key if setting.key is not None else one.name.removesuffix(f"_{ending}")
        unit = ending if setting.unit is None else setting.unit
        number = isinstance(kind, type) and issubclass(kind, int | float)
        read = number and prefix is not None and setting.constant and not unit.startswith("per_")
        yield Declared(
            full,
            own if "." in own or not own else f"{key}.{own}",
            f"{prefix}{one.name}" if read else "",
            kind,
            unit,
            one.default,
            sentences.get((of.__name__, one.name), ""),
            setting,
        )


@cache
def declared() -> dict[str, Declared]:
    """Every setting by its name, dotted, in the order of the reference."""
    return {one.name: one for one in _declared(Settings)}
