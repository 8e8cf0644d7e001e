"""Operations at which the kernel's own code was recorded, put to the zone: the replay's face.

Each operation is carried out by the same kernels that a trial runs, and what a recording holds of
the state is noted after it: counters, and check sums of all lists in order and of the pages' flags.
Time stands still: waits inside reclaim return at once, writes end when an operation says so, and
the disk is never congested.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from study.zone.engine.agenda import drop_first, next_due
from study.zone.engine.compile import kernel
from study.zone.engine.enums import Caller, Flag, Gfp, Home, Kind, Reclaimer
from study.zone.engine.layout import (
    HEAD_ACTIVE,
    HEAD_COLD,
    HEAD_HOT,
    HEAD_INACTIVE,
    NEVER,
    NO_PFN,
    NO_ROW,
    frames,
    requests,
    vpages,
)
from study.zone.marks import marks_of, pagecache_pages
from study.zone.mm.interface import (
    COSTLY_ORDER,
    DEF_PRIORITY,
    HOPELESS,
    NAP,
    allocate,
    batch_pages,
    begin_scan,
    begin_shrink,
    drop_request,
    end_page_writeback,
    free_page,
    free_user_page,
    give_back,
    install,
    new_request,
    refill_inactive,
    run_kswapd,
    shrink_done,
    shrink_step,
    take_after_reclaim,
    touch_resident,
    try_to_free_pages,
)
from study.zone.settings import (
    NR_ORDERS,
    AllocationPath,
    Kswapd,
    KswapdLoop,
    KswapdPolicy,
    Marks,
    Memory,
    Nic,
    Processes,
    Settings,
    Slab,
    User,
    Watermarks,
)
from study.zone.trial.zone import Zone


class Op(IntEnum):
    """What an operation does; its three arguments are called a, b and c."""

    BOOT = 0
    """Pages a to b are freed one by one."""
    REQUEST = 1
    """Order a, flags b; c is what a sleeper is called by."""
    FREE = 2
    """The block at pfn a of order b, to the cold list if c."""
    TOUCH = 3
    """Virtual page a, written if b; c is what a sleeper is called by."""
    RESUME = 4
    """Sleeper a goes on."""
    DELETE = 5
    """Virtual page a."""
    KSWAPD = 6
    """It runs until it sleeps, if anybody has woken it."""
    WRITE_ENDS = 7
    """Of pfn a."""
    SHRINK_ZONE = 8
    """At priority a."""
    REFILL_INACTIVE = 9
    """So many pages as a says, after prev_priority was set to b."""


REFUSED, ASLEEP, OUT_OF_MEMORY = -1, -2, -3
"""Answers of a request that is not served."""
FIELDS = (
    "free",
    "hot",
    "cold",
    "nr_active",
    "nr_inactive",
    "nr_scan_active",
    "nr_scan_inactive",
    "prev_priority",
    "temp_priority",
    "pages_scanned",
    "all_unreclaimable",
    "nr_mapped",
    "nr_writeback",
    "asleep",
    "naps_direct",
    "naps_kswapd",
)
"""Counters noted after each operation, in this order."""
DIGESTS = ("free_lists", "lru_lists", "flags")
"""Check sums noted after each operation, in this order."""
UNBOOTED = -1
"""In `held`: the page has not been freed yet."""
NR_LISTS = NR_ORDERS + 4
SLEEPERS_MOST = 4_096
NOBODY = NO_ROW
"""In `sleepers`: no request sleeps under the name."""
RUN_MOST = 20_000_000
"""Pages that one run of kswapd looks at, and its steps, before it is taken for endless."""
WORK_MOST = 20_000_000_000
"""Pages looked at and entries of lists summed before an end is made: some minutes."""

_FIELDS_WIDE = len(FIELDS)
_DIGESTS_WIDE = len(DIGESTS)


@dataclass(frozen=True)
class Rules:
    """Which kernel's rules a zone follows, as its settings say it."""

    marks: Marks
    allocation: AllocationPath
    loop: KswapdLoop
    policy: KswapdPolicy


VERSIONS = {
    "2.6.8": Rules(Marks.V2_6_8, AllocationPath.V2_6_8, KswapdLoop.V2_6_8, KswapdPolicy.COUNT_ONLY),
    "2.6.9": Rules(Marks.V2_6_8, AllocationPath.V2_6_9, KswapdLoop.V2_6_9, KswapdPolicy.COUNT_ONLY),
    "2.6.10": Rules(
        Marks.V2_6_10, AllocationPath.V2_6_9, KswapdLoop.V2_6_10, KswapdPolicy.COUNT_ONLY
    ),
    "2.6.11": Rules(
        Marks.V2_6_10, AllocationPath.V2_6_11, KswapdLoop.V2_6_11, KswapdPolicy.ORDER_AWARE
    ),
}


def bare_zone(
    version: str,
    pages: int,
    marks: tuple[int, int, int],
    *,
    swap: bool,
    anon: np.ndarray,
    mapped: np.ndarray,
) -> Zone:
    """A zone of one version's rules, nothing free yet, and virtual pages of these kinds."""
    rules = VERSIONS[version]
    idle = Settings(
        memory=Memory(pages=pages, lowmem_pages=pages, reserved_pages=0, swap=swap),
        watermarks=Watermarks(marks=rules.marks, explicit_pages=marks),
        allocation=rules.allocation,
        kswapd=Kswapd(policy=rules.policy, loop=rules.loop),
        user=User(
            working_set_pages=max(len(anon), 1), extent_pages=1, touches_per_s=0.0, filled=False
        ),
        processes=Processes(forks_per_s=0.0, live_max=1),
        slab=Slab(initial_share=0.0, pages_per_s=0.0),
        nic=Nic(ring=0, rx_frames_per_s=0.0, tx_frames_per_s=0.0),
    )
    zone = Zone(idle, empty=True)
    zone.vpage["kind"][: len(anon)] = np.where(anon, Kind.ANON, Kind.FILE)
    zone.vpage["mapped"][: len(mapped)] = mapped
    return zone


def constants(version: str, pages: int, lowmem_pages: int) -> dict[str, int]:
    """What boot computes for a zone, and for a zone DMA that has the rest of lowmem."""
    rules = VERSIONS[version].marks
    marks = marks_of(rules, pages, lowmem_pages)
    total = pagecache_pages(pages, marks[2])
    others = lowmem_pages - pages
    if others > 0:
        total += pagecache_pages(others, marks_of(rules, others, lowmem_pages)[2])
    batch = batch_pages(pages)
    return {
        "min": marks[0],
        "low": marks[1],
        "high": marks[2],
        "batch": batch,
        "hot_low": 2 * batch,
        "hot_high": 6 * batch,
        "cold_high": 2 * batch,
        "total_memory": total,
    }


def crc_table() -> np.ndarray:
    """CRC-32 of every byte in each of a word's four places, 1024 numbers."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(0xEDB88320), table >> 1)
    places = [table]
    for _ in range(3):
        places.append((places[-1] >> 8) ^ table[places[-1] & 0xFF])
    return np.concatenate(places).astype(np.int64)


@kernel(inline=True)
def _add_word(crc, word, table):
    """CRC-32, not inverted, after four more bytes."""
    crc ^= word
    low = table[768 + (crc & 0xFF)] ^ table[512 + ((crc >> 8) & 0xFF)]
    return low ^ table[256 + ((crc >> 16) & 0xFF)] ^ table[(crc >> 24) & 0xFF]


@kernel
def _head(z, which):
    """Where the which-th list of a recording begins: free blocks by order, hot, cold, LRU."""
    if which < NR_ORDERS:
        return z.zone.head + which
    if which == NR_ORDERS:
        return z.zone.head + HEAD_HOT
    if which == NR_ORDERS + 1:
        return z.zone.head + HEAD_COLD
    if which == NR_ORDERS + 2:
        return z.zone.head + HEAD_ACTIVE
    return z.zone.head + HEAD_INACTIVE


@kernel
def _lists_digest(z, first, last, table: np.ndarray):
    """CRC-32 of lists, each as 32-bit pfns from its head on and then -1."""
    crc = 0xFFFFFFFF
    for which in range(first, last):
        head = _head(z, which)
        pfn = frames(z)[head].next
        while pfn != head:
            crc = _add_word(crc, pfn, table)
            pfn = frames(z)[pfn].next
        crc = _add_word(crc, 0xFFFFFFFF, table)
    return crc ^ 0xFFFFFFFF


@kernel(inline=True)
def _flags_of(z, pfn):
    """A page's flags as recordings have them: dirty wherever that is noted."""
    flags = np.int64(frames(z)[pfn].flags)
    if flags & Flag.DIRTY_PTE:
        return flags & ~Flag.DIRTY_PTE | Flag.DIRTY
    return flags


@kernel
def _flags_digest(z, table: np.ndarray):
    """CRC-32 of the flags of all pages on the active, then the inactive list, a byte each."""
    crc = 0xFFFFFFFF
    for which in range(NR_LISTS - 2, NR_LISTS):
        head = _head(z, which)
        pfn = frames(z)[head].next
        while pfn != head:
            crc = (crc >> 8) ^ table[(crc ^ _flags_of(z, pfn)) & 0xFF]
            pfn = frames(z)[pfn].next
    return crc ^ 0xFFFFFFFF


@kernel
def _let_time_stand(z):
    """Drop what was booked, and let the disk be idle: nothing falls due, nothing is congested."""
    while next_due(z) < NEVER:
        drop_first(z)
    z.nr_writes = 0
    z.write_first = 0


@kernel
def _reclaim(z, row):
    """What follows when nobody may be served: a pfn, ASLEEP, REFUSED or OUT_OF_MEMORY."""
    outcome = NAP
    while outcome == NAP:
        outcome = try_to_free_pages(z, row)
        _let_time_stand(z)
    pfn = take_after_reclaim(z, row, outcome)
    retried = requests(z)[row].order <= COSTLY_ORDER
    if pfn == NO_PFN and outcome != HOPELESS and retried:
        requests(z)[row].priority = DEF_PRIORITY
        return ASLEEP
    drop_request(z, row)
    if pfn != NO_PFN:
        return pfn
    # Up to 2.6.10 the killer is called first, and who is not retried then just fails.
    last_resort = retried or z.allocation >= AllocationPath.V2_6_11
    return OUT_OF_MEMORY if outcome == HOPELESS and last_resort else REFUSED


@kernel
def _request(z, order, gfp, value, name, sleepers: np.ndarray):
    """A request of a recording; who sleeps is noted under its name with `value`."""
    # What else a recording says (IO, FS) makes no difference here.
    gfp &= Gfp.WAIT | Gfp.HIGH | Gfp.COLD
    pfn = allocate(z, order, gfp, Caller.SLAB)
    if pfn != NO_PFN:
        return pfn
    if not gfp & Gfp.WAIT:
        return REFUSED
    row = new_request(z, order, gfp, Caller.SLAB, value, 0)
    if row == NO_ROW:
        return REFUSED
    answer = _reclaim(z, row)
    if answer == ASLEEP:
        if 0 <= name < len(sleepers) and sleepers[name] == NO_ROW:
            sleepers[name] = row
        else:
            # Nobody can ever wake it.
            drop_request(z, row)
    return answer


@kernel
def _touch(z, page, write, name, sleepers: np.ndarray):
    """A read or write of a virtual page; a pfn, or how the request for one ended."""
    pfn = vpages(z)[page].pfn
    if pfn != NO_PFN:
        touch_resident(z, page, pfn, write)
        return pfn
    reads_file = vpages(z)[page].kind == Kind.FILE and not write
    gfp = Gfp.KERNEL | Gfp.COLD if reads_file else Gfp.KERNEL
    pfn = _request(z, 0, gfp, page * 2 + write, name, sleepers)
    if pfn >= 0:
        install(z, pfn, page, write)
    return pfn


@kernel
def _resume(z, name, sleepers: np.ndarray, held: np.ndarray):
    row = sleepers[name]
    sleepers[name] = NO_ROW
    value = requests(z)[row].value
    order = requests(z)[row].order
    answer = _reclaim(z, row)
    if answer == ASLEEP:
        sleepers[name] = row
    elif answer >= 0 and value >= 0:
        page = value // 2
        if vpages(z)[page].pfn == NO_PFN:
            install(z, answer, page, value % 2)
        else:
            # Somebody else was quicker.
            touch_resident(z, page, vpages(z)[page].pfn, value % 2)
            free_page(z, answer, False)
            answer = vpages(z)[page].pfn
    elif answer >= 0:
        held[answer] = order + 1
    return answer


@kernel
def _work_off_kswapd(z):
    """Run it until it sleeps; returns steps and pages looked at, more than RUN_MOST if endless."""
    before = z.zone.count.scanned[Reclaimer.KSWAPD]
    steps = 0
    while z.kswapd_awake:
        run_kswapd(z)
        _let_time_stand(z)
        steps += 1
        if steps + z.zone.count.scanned[Reclaimer.KSWAPD] - before > RUN_MOST:
            break
    return steps + z.zone.count.scanned[Reclaimer.KSWAPD] - before


@kernel
def _possible(z, what, a, b, sleepers: np.ndarray, held: np.ndarray):
    """Can the zone, as it stands, do what an operation says?"""
    if what == Op.BOOT:
        booted = False
        for pfn in range(a, b):
            booted |= held[pfn] != UNBOOTED
        return not booted
    if what == Op.FREE:
        return held[a] == b + 1
    if what == Op.RESUME:
        return sleepers[a] != NO_ROW
    if what == Op.WRITE_ENDS:
        on_lru = frames(z)[a].home == Home.ACTIVE or frames(z)[a].home == Home.INACTIVE
        return on_lru and (frames(z)[a].flags & Flag.WRITEBACK) != 0
    return True


@kernel
def _carry_out(z, what, a, b, c, sleepers: np.ndarray, held: np.ndarray):
    """Do one operation, kswapd's runs apart; returns its answer."""
    if what == Op.BOOT:
        for pfn in range(a, b):
            held[pfn] = 0
            frames(z)[pfn].home = Home.NONE
            free_page(z, pfn, False)
    elif what == Op.REQUEST:
        pfn = _request(z, a, b, -1, c, sleepers)
        if pfn >= 0:
            held[pfn] = a + 1
        return pfn
    elif what == Op.FREE:
        held[a] = 0
        if b > 0:
            give_back(z, a, b)
        else:
            free_page(z, a, c)
    elif what == Op.TOUCH:
        return _touch(z, a, b, c, sleepers)
    elif what == Op.RESUME:
        return _resume(z, a, sleepers, held)
    elif what == Op.DELETE:
        free_user_page(z, a)
    elif what == Op.WRITE_ENDS:
        end_page_writeback(z, a)
    elif what == Op.SHRINK_ZONE:
        before = z.zone.count.reclaimed[Reclaimer.DIRECT]
        begin_scan(z, Reclaimer.DIRECT)
        begin_shrink(z, Reclaimer.DIRECT, a)
        while not shrink_done(z, Reclaimer.DIRECT):
            shrink_step(z, Reclaimer.DIRECT)
        return z.zone.count.reclaimed[Reclaimer.DIRECT] - before
    elif what == Op.REFILL_INACTIVE:
        z.zone.prev_priority = b
        begin_scan(z, Reclaimer.DIRECT)
        refill_inactive(z, Reclaimer.DIRECT, a)
    return 0


@kernel
def _note_state(z, row, states: np.ndarray):
    at = row * _FIELDS_WIDE
    own = z.zone
    states[at] = own.free
    states[at + 1] = own.nr_hot
    states[at + 2] = own.nr_cold
    states[at + 3] = own.nr_active
    states[at + 4] = own.nr_inactive
    states[at + 5] = own.nr_scan_active
    states[at + 6] = own.nr_scan_inactive
    states[at + 7] = own.prev_priority
    states[at + 8] = own.temp_priority
    states[at + 9] = own.pages_scanned
    states[at + 10] = own.all_unreclaimable
    states[at + 11] = z.nr_mapped
    states[at + 12] = z.nr_writeback
    states[at + 13] = 1 - z.kswapd_awake
    states[at + 14] = z.count.naps[Reclaimer.DIRECT]
    states[at + 15] = z.count.naps[Reclaimer.KSWAPD]


@kernel
def carry_out(  # noqa: PLR0917 - the columns of a recording
    z,
    what: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    c: np.ndarray,
    table: np.ndarray,
    sleepers: np.ndarray,
    held: np.ndarray,
    answers: np.ndarray,
    states: np.ndarray,
    digests: np.ndarray,
    spent: np.ndarray,
):
    """Carry operations out, one after the other, and note what came of each.

    what, a, b, c  one entry an operation; see Op
    table          crc_table()
    sleepers       rows of the requests that sleep, by name; NOBODY at first
    held           one entry a frame: UNBOOTED, 0 free or on a list, 1 + order of a block got
    answers, states, digests  1, len(FIELDS) and len(DIGESTS) entries an operation, filled in
    spent          one number: work done so far, see WORK_MOST

    Returns how many were carried out, less than asked for if the zone could not do the next one or
    the work was too much.
    """
    for row in range(len(what)):
        if not _possible(z, what[row], a[row], b[row], sleepers, held):
            return row
        before = z.zone.count.scanned[Reclaimer.DIRECT]
        if what[row] == Op.KSWAPD:
            answers[row] = z.kswapd_awake
            ran = _work_off_kswapd(z)
            if ran > RUN_MOST:
                return row
            spent[0] += ran
        else:
            answers[row] = _carry_out(z, what[row], a[row], b[row], c[row], sleepers, held)
        _let_time_stand(z)
        _note_state(z, row, states)
        at = row * _DIGESTS_WIDE
        digests[at] = _lists_digest(z, 0, NR_LISTS - 2, table)
        digests[at + 1] = _lists_digest(z, NR_LISTS - 2, NR_LISTS, table)
        digests[at + 2] = _flags_digest(z, table)
        own = z.zone
        entries = own.nr_hot + own.nr_cold + own.nr_active + own.nr_inactive
        for order in range(NR_ORDERS):
            entries += own.nr_free[order]
        spent[0] += entries + own.count.scanned[Reclaimer.DIRECT] - before
        if spent[0] > WORK_MOST:
            return row
    return len(what)
