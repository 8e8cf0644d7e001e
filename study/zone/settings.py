"""What one simulated zone is told before it starts: plain numbers in the kernel's own units.

Pages are 4 KiB frames, times are nanoseconds of simulated time, shares lie in [0, 1].
Nothing here is parsed or checked for sense: that is the scenario's work, done once, where
the file and line are still known.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

PAGE_BYTES = 4096
NR_ORDERS = 11
"""Orders 0..10: MAX_ORDER is 11 (include/linux/mmzone.h, 2.6.8)."""


def words_of(members: type[IntEnum]) -> dict[str, IntEnum]:
    """The members of an enum by the words that people write for them: `count-only`, `2.6.8`."""
    found = {}
    for member in members:
        name = member.name.lower()
        is_version = name[0] == "v" and name[1].isdigit()
        found[name[1:].replace("_", ".") if is_version else name.replace("_", "-")] = member
    return found


class Grouping(IntEnum):
    """Whether free blocks are kept by mobility: not in 2.6.8; since 2.6.24, here as in 6.1."""

    OFF = 0
    ON = 1


class Reserve(IntEnum):
    """Pageblocks kept for who cannot wait: two from boot on (2.6.24), or as needed (4.4)."""

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


class NicReceive(IntEnum):
    LINEAR = 0
    PAGE_ARRAY = 1


class NicTransmit(IntEnum):
    LINEAR = 0
    SCATTER_GATHER = 1


@dataclass(frozen=True)
class Memory:
    """The zone itself: 225,280 pages are zone Normal of a 1 GB i386 machine (16..896 MB)."""

    pages: int = 225_280
    lowmem_pages: int = 229_376
    """Present pages of all lowmem zones together; the marks are a share of these."""
    reserved_pages: int = 3_072
    """Kernel image, mem_map, boot memory: never freed."""
    percpu_lists: bool = True
    swap: bool = True
    grouping: Grouping = Grouping.OFF
    pageblock_order: int = 10
    """Size of a pageblock, of interest with grouping only: a huge page, 4 MB on i386."""
    reserve: Reserve = Reserve.OFF
    nofragment: bool = False
    """A per-cpu refill does not break into another type's pageblock (ALLOC_NOFRAGMENT, 5.0)."""
    placement: Placement = Placement.BUDDY
    buddyinfo: tuple[int, ...] | None = None
    """Start with exactly these free blocks per order, all else in use; None starts at boot."""


@dataclass(frozen=True)
class Watermarks:
    marks: Marks = Marks.V2_6_8
    explicit_pages: tuple[int, int, int] | None = None
    """(min, low, high) in pages, instead of the formula."""
    boost_factor: int = 0
    """vm.watermark_boost_factor: most that a steal raises the marks, in 1/10000 of high."""


@dataclass(frozen=True)
class Kswapd:
    policy: KswapdPolicy = KswapdPolicy.COUNT_ONLY
    loop: KswapdLoop = KswapdLoop.V2_6_8
    pages_per_ms: float = 200.0
    """Pages scanned per millisecond of simulated time."""


@dataclass(frozen=True)
class Reclaim:
    lumpy: bool = False
    """Take the neighbours of a victim in its aligned block as well (2.6.23)."""


@dataclass(frozen=True)
class Compaction:
    direct_order: int = 0
    """A request that may sleep compacts before it reclaims from this order on; 0: never."""
    daemon: bool = False
    """kswapd wakes kcompactd before it sleeps."""
    proactiveness: int = 0
    """vm.compaction_proactiveness: kcompactd also works unasked; 0: never, 100: always."""
    threshold: int = 500
    """vm.extfrag_threshold: below it a failure is for lack of memory, and is left to reclaim."""
    rules: CompactionRules = CompactionRules.V2_6_35


@dataclass(frozen=True)
class Defrag:
    mode: DefragMode = DefragMode.OFF
    run: DefragRun = DefragRun.DAEMON
    choice: DefragChoice = DefragChoice.CHEAPEST
    order: int = 3
    """The order whose blocks it tries to free."""
    interval_ns: int = 10_000_000_000
    """Daemon: shortest time between two runs; a failed request above order 0 asks for one."""
    blocks_wanted: int = 64
    """A run ends when so many blocks of the order are free; larger ones count as several."""
    budget_pages: int = 2_048
    """A run ends when it has evicted or migrated this many pages."""
    scan_pages: int = 4_096
    """Inline: frames looked at per run, from where the last one stopped. The daemon sees all."""


@dataclass(frozen=True)
class User:
    """File and anonymous memory that user programs touch."""

    working_set_pages: int = 266_649
    extent_pages: int = 16
    """Pages of a file or heap that become popular together."""
    zipf_exponent: float = 0.9
    touches_per_s: float = 20_000.0
    run_pages: float = 8.0
    """Mean number of consecutive pages touched per visit (geometric, cut at the extent's end)."""
    anonymous_share: float = 0.4
    mapped_share: float = 0.2
    """Share of the file extents that are mapped into page tables rather than read(2)."""
    write_share: float = 0.1
    """Share of visits that dirty what they touch."""
    drifts_per_s: float = 20.0
    """Pairs of extents per second that swap their popularity."""
    filled: bool = True
    """Start with memory full of the most popular extents, as after hours of use."""
    deletes_per_s: float = 5.0
    """Extents per second whose pages are freed at once (truncate, unlink, munmap)."""


@dataclass(frozen=True)
class Processes:
    """Short-lived processes: a stack, page tables and private anonymous pages each."""

    stack_order: int = 1
    """1 for 8K stacks, 0 for 4K stacks (CONFIG_4KSTACKS)."""
    stack_source: StackSource = StackSource.KMALLOC
    forks_per_s: float = 20.0
    lifetime_median_ns: int = 200_000_000
    lifetime_sigma: float = 2.0
    """Lognormal: log of the lifetime has this standard deviation."""
    anonymous_pages: float = 64.0
    """Mean private pages per process (geometric, at most 512)."""
    page_table_pages: int = 4
    live_max: int = 1_024


@dataclass(frozen=True)
class Slab:
    """Unmovable kernel objects, at the granularity of order-0 slab pages."""

    initial_share: float = 0.03
    """Share of the zone's pages in slab pages at boot."""
    pages_per_s: float = 100.0
    lifetime_median_ns: int = 2_000_000_000
    lifetime_sigma: float = 2.5
    reclaimable_share: float = 0.5
    """Share of slab pages holding dentries and inodes, which shrink_slab may empty."""
    objects_per_page: int = 16


@dataclass(frozen=True)
class Nic:
    receive: NicReceive = NicReceive.LINEAR
    transmit: NicTransmit = NicTransmit.LINEAR
    ring: int = 256
    """Receive descriptors."""
    replaces: bool = False
    """A frame is handed up only once there is a new buffer in its place (tg3), or else is lost."""
    rx_order: int = 3
    """Order of one linear receive buffer (e1000 at MTU 9000: kmalloc-32768)."""
    tx_order: int = 2
    """Order of one linearised frame to send (MTU 9000: kmalloc-16384)."""
    frame_pages: int = 3
    """Order-0 pages that hold one frame as fragments."""
    rx_frames_per_s: float = 2_000.0
    rx_burst_frames: float = 32.0
    """Mean frames per burst (geometric); bursts arrive as a Poisson process."""
    rx_hold_ns: int = 20_000_000
    """Mean time (exponential) until the reader returns a received buffer."""
    tx_frames_per_s: float = 1_000.0
    tx_burst_frames: float = 8.0
    tx_hold_ns: int = 1_000_000
    wire_ns: int = 72_000
    """Time between frames of one burst: 9,018 bytes at 1 Gbit/s."""
    recycle: bool = False
    """Keep returned receive buffers, as many as the ring has, to post them again (page pool)."""


@dataclass(frozen=True)
class Huge:
    """Huge pages asked for while the system runs: movable, and content with a refusal."""

    order: int = 9
    per_s: float = 0.0
    lifetime_median_ns: int = 5_000_000_000
    lifetime_sigma: float = 1.0
    most: int = 64
    """No more are asked for while so many live."""


@dataclass(frozen=True)
class HighAlloc:
    """Gorman's stress-highalloc after the measured time: ask for much of memory in huge pages."""

    share: float = 0.0
    """Share of the zone that each pass asks for; 0: no such test."""
    order: int = 9
    gap_ns: int = 100_000_000
    """Time between two requests."""


@dataclass(frozen=True)
class Churn:
    """LLFree's test after the measured time, the load at an end: free and ask again, in rounds."""

    rounds: int = 0
    """0: no such test."""
    fill: float = 0.92
    """Share of the zone that is filled, in sequence, before random pages are freed."""
    hold: float = 0.48
    """Share of the zone that stays in use."""
    part: float = 0.1
    """Share of what is held that one round frees and asks for again."""
    gap_ns: int = 1_000_000_000
    """Time between two rounds."""


@dataclass(frozen=True)
class Costs:
    """Time lost per page, used for reporting only: offered load does not slow down."""

    refault_ns: int = 1_000_000
    write_ns: int = 100_000
    migrate_ns: int = 2_000


@dataclass(frozen=True)
class Probe:
    """After the measured time: free pages until so many more blocks of an order are free."""

    victims: ProbeVictims = ProbeVictims.OFF
    order: int = 3
    blocks: int = 1


NUMBERS_MAX = 8


@dataclass(frozen=True)
class Extension:
    """Code of somebody else's, by the names it is registered under; "" for none."""

    victims: str = ""
    source: str = ""
    numbers: tuple[float, ...] = ()
    """What it is told, at most NUMBERS_MAX; 0 where nothing is said."""
    victims_digest: str = ""
    source_digest: str = ""
    """Which version of it; "" for whichever there is."""


@dataclass(frozen=True)
class Clock:
    ageing_ns: int = 240_000_000_000
    measure_ns: int = 60_000_000_000
    sample_ns: int = 1_000_000_000


@dataclass(frozen=True)
class Settings:
    """Everything one trial needs besides its seed and replicate."""

    memory: Memory = field(default_factory=Memory)
    watermarks: Watermarks = field(default_factory=Watermarks)
    allocation: AllocationPath = AllocationPath.V2_6_8
    kswapd: Kswapd = field(default_factory=Kswapd)
    reclaim: Reclaim = field(default_factory=Reclaim)
    compaction: Compaction = field(default_factory=Compaction)
    defrag: Defrag = field(default_factory=Defrag)
    user: User = field(default_factory=User)
    processes: Processes = field(default_factory=Processes)
    slab: Slab = field(default_factory=Slab)
    nic: Nic = field(default_factory=Nic)
    huge: Huge = field(default_factory=Huge)
    costs: Costs = field(default_factory=Costs)
    probe: Probe = field(default_factory=Probe)
    highalloc: HighAlloc = field(default_factory=HighAlloc)
    churn: Churn = field(default_factory=Churn)
    extension: Extension = field(default_factory=Extension)
    clock: Clock = field(default_factory=Clock)
