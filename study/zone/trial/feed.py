"""Feeding recorded events of a kernel to the allocator: the zone's face for the replay.

The events say which block left or entered the free lists; with the ordered lists of the start
known, every request is also put to our allocator, and its choice compared with the kernel's. After
a miss the recorded block is taken instead, so that each request is judged by itself; a run without
a miss is one in which the allocator ran free, since then nothing but its own choices was carried
out.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from study.zone.engine.compile import kernel
from study.zone.engine.enums import Home, Migratetype
from study.zone.engine.layout import (
    FRAME,
    MAX_ORDER_PAGES,
    NO_PFN,
    NR_HEADS,
    NR_TYPED_HEADS,
    PAGEBLOCK,
    frames,
    pageblocks,
)
from study.zone.engine.lists import list_add_tail, list_del
from study.zone.engine.record import MACHINE
from study.zone.mm.interface import (
    add_typed_block,
    cut,
    find_fallback,
    first_fit,
    free_list,
    move_free_pages,
    pageblock_type,
    prepare_lists,
    remove_free_block,
    return_block,
    set_pageblock_type,
    steal,
)
from study.zone.settings import NR_ORDERS, Grouping


class Op(IntEnum):
    """What a recorded event does to the free lists."""

    REQUEST = 0
    """A block left for a request: order, migratetype."""
    FALLBACK = 1
    """Announces that the next request steals: aux is the stolen block's order."""
    STOLEN = 2
    """A block left, stolen and cut without a request of its own (since 6.10)."""
    ENTER = 3
    """A block came back; migratetype -1 stands for its pageblock's."""
    ISOLATE = 4
    """A block was taken out by address (__isolate_free_page)."""
    RETYPE = 5
    """The pageblock changed its migratetype."""
    ALLOCATED = 6
    """A caller got a block."""
    FREED = 7
    """A caller gave a block up; it need not be back on the lists yet."""


class Tally(IntEnum):
    """What is counted while feeding."""

    REQUESTS = 0
    PFN_EXACT = 1
    FIRST_MISS = 2
    """Requests before the first miss, -1 without one."""
    LEFT_NOT_FREE = 3
    """A block left that was not, or only in part, on the lists."""
    ENTERED_TWICE = 4
    """A block entered that was on the lists already, in part at least."""
    ISOLATED_NOT_WHOLE = 5
    """A block taken out by address was part of a larger one on our lists."""
    CAPTURED = 6
    """Compaction took the block it had just freed, without a request."""
    FREED_BEFORE_START = 7
    """The page was in use when the trace began."""
    FREED_UNTRACED = 8
    """Nobody was seen to get the page: bulk allocations and migration targets have no event."""
    FREED_IN_PARTS = 9
    """Freed at another order than it was allocated at."""
    ALLOCATED_TWICE = 10
    """A caller got what a caller holds: its free was not seen."""
    FALLBACK_DIFFERS = 11
    """The kernel stole where ours would not, or another block, or did not where ours would."""
    PASSED = 12
    """Blocks that were passed while looking for the end of a list; no irregularity."""


PASSED_MOST = 500_000_000
"""Some seconds: a recorded trace passes a few thousand, one made for it would pass any number."""

_REQUEST = int(Op.REQUEST)
_STOLEN = int(Op.STOLEN)
_ENTER = int(Op.ENTER)
_ISOLATE = int(Op.ISOLATE)


# What is known of a page's user: nothing yet, that it has none that was seen, or 2 + the order of
# the block it is the first page of.
_UNKNOWN, _NOBODY, _INSIDE, _FIRST = 0, 1, 2, 3


class BareZone:
    """A zone of nothing but frames, pageblocks and free lists, mobility grouping on, none free.

    Frames are numbered from start_pfn rounded down to the largest block; end_pfn is the first frame
    after the zone. `state` is what kernels take.
    """

    def __init__(
        self, start_pfn: int, end_pfn: int, pageblock_order: int, *, claims_only: bool
    ) -> None:
        self.base = start_pfn // MAX_ORDER_PAGES * MAX_ORDER_PAGES
        pages = end_pfn - self.base
        rows = -(-pages // MAX_ORDER_PAGES) * MAX_ORDER_PAGES
        self.frame = np.zeros(rows + NR_TYPED_HEADS + NR_HEADS, FRAME)
        self.pageblock = np.zeros(rows >> pageblock_order, PAGEBLOCK)
        self.record = np.zeros(1, MACHINE)
        self.state = z = self.record[0]
        for name, table in (("frame", self.frame), ("pageblock", self.pageblock)):
            z[f"{name}_at"] = table.ctypes.data
            z[f"{name}_rows"] = len(table)
        z["zone"]["head"] = len(self.frame) - NR_HEADS
        z["zone"]["typed_heads"] = NR_TYPED_HEADS
        z["grouping"] = Grouping.ON
        z["pageblock_order"] = pageblock_order
        z["zone"]["pages"] = pages
        z["zone"]["start_pfn"] = start_pfn - self.base
        z["types_from_trace"] = 1
        z["claims_only"] = claims_only
        prepare_lists(z)


@kernel
def fill_list(z, order, migratetype, pfns: np.ndarray):
    """Put blocks on a free list, the first to be taken first."""
    for i in range(len(pfns)):
        add_typed_block(z, pfns[i], order, migratetype, True)
        z.zone.free += 1 << order


@kernel
def set_types(z, types: np.ndarray):
    """Give the pageblocks their migratetypes, lowest first."""
    for row in range(min(len(types), z.pageblock_rows)):
        pageblocks(z)[row].migratetype = types[row]


@kernel
def read_list(z, order, migratetype, pfns: np.ndarray):
    """Write down a free list in its order; returns its length, which may exceed what fits."""
    head = free_list(z, order, migratetype)
    length = 0
    pfn = frames(z)[head].next
    while pfn != head:
        if length < len(pfns):
            pfns[length] = pfn
        length += 1
        pfn = frames(z)[pfn].next
    return length


@kernel
def _holder(z, pfn, order):
    """The free block that holds a block whole: (first pfn, order), (NO_PFN, 0) if none does."""
    for larger in range(order, NR_ORDERS):
        first = pfn >> larger << larger
        if frames(z)[first].home == Home.BUDDY and frames(z)[first].order == larger:
            return first, larger
    return NO_PFN, 0


@kernel
def _drop_parts(z, pfn, order):
    """Take every smaller free block within a block off the lists; returns how many there were."""
    dropped = 0
    page = pfn
    while page < pfn + (1 << order):
        if frames(z)[page].home == Home.BUDDY:
            part = frames(z)[page].order
            remove_free_block(z, page, part)
            z.zone.free -= 1 << part
            page += 1 << part
            dropped += 1
        else:
            page += 1
    return dropped


@kernel
def extract(z, pfn, order, migratetype):
    """Take exactly these pages off the free lists, wherever they are; False if not all were free.

    What is cut off a larger block goes to the head of the lists of the type.
    """
    first, found = _holder(z, pfn, order)
    if first == NO_PFN:
        _drop_parts(z, pfn, order)
        return False
    remove_free_block(z, first, found)
    while found > order:
        found -= 1
        half = 1 << found
        if pfn & half:
            add_typed_block(z, first, found, migratetype, False)
            first += half
        else:
            add_typed_block(z, first + half, found, migratetype, False)
    z.zone.free -= 1 << order
    return True


@kernel
def _completes(z, pfn, order, wanted):
    """Whether a block would merge into a free one of exactly an order on its way up."""
    while order < wanted:
        buddy = pfn ^ (1 << order)
        if frames(z)[buddy].home != Home.BUDDY or frames(z)[buddy].order != order:
            return False
        pfn &= ~(1 << order)
        order += 1
    return True


@kernel
def _enter(z, pfn, order, migratetype, wanted, tally: np.ndarray):
    """A block comes back, unless compaction is waiting for the one that it completes.

    wanted  order of the block that compaction captures, -1 if it does not
    """
    first, _ = _holder(z, pfn, order)
    if first != NO_PFN:
        tally[Tally.ENTERED_TWICE] += 1
        return
    if _drop_parts(z, pfn, order) > 0:
        tally[Tally.ENTERED_TWICE] += 1
    if migratetype < 0:
        migratetype = pageblock_type(z, pfn)
    if wanted >= order and _completes(z, pfn, order, wanted):
        tally[Tally.CAPTURED] += 1
        _drop_parts(z, pfn >> wanted << wanted, wanted)
    else:
        return_block(z, pfn, order, migratetype)


@kernel
def find_captures(
    z,  # noqa: ARG001 - what every kernel begins with
    op: np.ndarray,
    pfn: np.ndarray,
    order: np.ndarray,
    last: np.ndarray,
    wanted: np.ndarray,
):
    """Find the frees whose block compaction kept for its caller (compaction_capture).

    No event tells of them, but the caller then gets a block that nothing has taken off the lists.

    last    one entry a frame, zero at first: one more than the last event that moved it
    wanted  one entry an event, -1 at first; the order of what was captured is filled in
    """
    for i in range(len(op)):
        what = op[i]
        end = pfn[i] + (1 << order[i])
        if what in {_REQUEST, _STOLEN, _ISOLATE, _ENTER}:
            for page in range(pfn[i], end):
                last[page] = i + 1
        elif what == Op.ALLOCATED:
            latest = 0
            for page in range(pfn[i], end):
                latest = max(latest, last[page])
                last[page] = 0
            if latest > 0 and op[latest - 1] == _ENTER:
                wanted[latest - 1] = order[i]


@kernel
def _retype(z, pfn, migratetype):
    """Change a pageblock's type; reserves and isolation take its free pages along.

    A steal moves free pages by itself, before or after; only what has to do with HIGHATOMIC or
    ISOLATE is a change of its own (reserve_highatomic_pageblock, set_migratetype_isolate).
    """
    before = pageblock_type(z, pfn)
    set_pageblock_type(z, pfn, 0, migratetype)
    if before != migratetype and (
        before >= Migratetype.HIGHATOMIC or migratetype >= Migratetype.HIGHATOMIC
    ):
        move_free_pages(z, pfn, migratetype)


@kernel
def _steal_first(z, order, migratetype, victim, victim_order):
    """Make room for a request as the kernel did; True if ours would have done just that.

    victim  the block the kernel stole, NO_PFN if it did not
    """
    own, _ = first_fit(z, order, migratetype)
    if own != NO_PFN and victim == NO_PFN:
        return True
    choice, choice_order, _ = find_fallback(z, order, migratetype)
    if z.claims_only and own == NO_PFN and choice != NO_PFN:
        # Since 6.10 a steal is announced afterwards, and free pages move only with a claim.
        if choice_order < z.pageblock_order and pageblock_type(z, choice) == migratetype:
            move_free_pages(z, choice, migratetype)
            return True
        return False
    if own != NO_PFN:
        choice = NO_PFN
    same = choice == victim
    if victim == NO_PFN:
        return same
    if frames(z)[victim].home == Home.BUDDY and frames(z)[victim].order >= order:
        if choice_order != victim_order:
            same = False
        steal(z, victim, frames(z)[victim].order, migratetype)
    return same


@kernel
def _turn(z, pfn, order, migratetype, tally: np.ndarray):
    """Turn a free list so that a block on it comes first; nothing if it is on another list.

    Compaction searches the lists for free pages and leaves them turned so, without any event
    (move_freelist_head, move_freelist_tail); a miss is where it shows.
    """
    head = free_list(z, order, migratetype)
    page = frames(z)[pfn].next
    while page < z.zone.pages and tally[Tally.PASSED] < PASSED_MOST:
        page = frames(z)[page].next
        tally[Tally.PASSED] += 1
    if page == head:
        list_del(z, head)
        list_add_tail(z, pfn, head)


@kernel(inline=True)
def _judge(exact, tally):
    """Count a request and whether ours chose the kernel's block."""
    if exact:
        tally[Tally.PFN_EXACT] += 1
    elif tally[Tally.FIRST_MISS] < 0:
        tally[Tally.FIRST_MISS] = tally[Tally.REQUESTS]
    tally[Tally.REQUESTS] += 1


@kernel
def _serve_stolen(z, pfn, order, migratetype, victim_order, tally: np.ndarray):
    """A request of 6.10 or later that cut another type's block without claiming its pageblock.

    What is left of the block stays with its own type, unless it was a whole pageblock or more.
    """
    own, _ = first_fit(z, order, migratetype)
    choice, found, other = find_fallback(z, order, migratetype)
    exact = own == NO_PFN and choice == pfn and found == victim_order
    if not exact:
        tally[Tally.FALLBACK_DIFFERS] += 1
        choice, found = _holder(z, pfn, order)
        other = pageblock_type(z, pfn)
    if found >= z.pageblock_order:
        other = migratetype
    extract(z, pfn, order, other)
    _judge(exact, tally)


@kernel
def _serve(z, pfn, order, migratetype, victim, victim_order, tally: np.ndarray):
    """Put a request to our allocator and carry out what the kernel did; False if it was not free.

    victim  the block the kernel stole first, NO_PFN if it did not
    """
    exact = _steal_first(z, order, migratetype, victim, victim_order)
    if not exact:
        tally[Tally.FALLBACK_DIFFERS] += 1
    choice, found = first_fit(z, order, migratetype)
    was_free = True
    if choice == pfn:
        cut(z, pfn, found, order, migratetype)
    else:
        exact = False
        if choice != NO_PFN and frames(z)[pfn].home == Home.BUDDY and frames(z)[pfn].order == found:
            _turn(z, pfn, found, migratetype, tally)
        was_free = extract(z, pfn, order, migratetype)
    _judge(exact, tally)
    return was_free


@kernel(inline=True)
def _note_user(pfn, order, users, tally):
    """A caller got a block."""
    if users[pfn] >= _INSIDE:
        tally[Tally.ALLOCATED_TWICE] += 1
    users[pfn] = _FIRST + order
    for page in range(pfn + 1, pfn + (1 << order)):
        users[page] = _INSIDE


@kernel(inline=True)
def _note_free(pfn, order, users, tally):
    """A caller gave a block up."""
    if users[pfn] == _UNKNOWN:
        tally[Tally.FREED_BEFORE_START] += 1
    elif users[pfn] == _NOBODY:
        tally[Tally.FREED_UNTRACED] += 1
    elif users[pfn] != _FIRST + order:
        tally[Tally.FREED_IN_PARTS] += 1
    for page in range(pfn, pfn + (1 << order)):
        users[page] = _NOBODY


@kernel(inline=True)
def _note_known(pfn, order, users):
    """A block left or entered the lists: whoever used it before the start does so no more."""
    for page in range(pfn, pfn + (1 << order)):
        users[page] = _NOBODY


@kernel
def note_free_at_start(z, users: np.ndarray):
    """What is on the free lists has no user."""
    pfn = 0
    while pfn < z.zone.pages:
        if frames(z)[pfn].home == Home.BUDDY:
            order = frames(z)[pfn].order
            _note_known(pfn, order, users)
            pfn += 1 << order
        else:
            pfn += 1


@kernel
def feed(  # noqa: PLR0917 - the columns of a trace
    z,
    op: np.ndarray,
    pfn: np.ndarray,
    order: np.ndarray,
    migratetype: np.ndarray,
    aux: np.ndarray,
    wanted: np.ndarray,
    stop: np.ndarray,
    nr_free: np.ndarray,
    users: np.ndarray,
    tally: np.ndarray,
    start_known,
):
    """Feed events to the zone.

    op, pfn, order, migratetype, aux  one entry an event; pfn relative to the zone's first block
    wanted   one entry an event, as find_captures fills it in
    stop     numbers of events after which a snapshot is due, ascending
    nr_free  free blocks per order at each stop: 11 entries a stop, filled in
    users    one entry a frame, zero at first: what is known of its user
    tally    counts by Tally, added to
    start_known  whether what was free at the start is on the lists
    """
    stops = 0
    victim = NO_PFN
    victim_order = 0
    for i in range(len(op) + 1):
        while stops < len(stop) and stop[stops] == i:
            for k in range(NR_ORDERS):
                nr_free[stops * NR_ORDERS + k] = z.zone.nr_free[k]
            stops += 1
        if i == len(op):
            break
        what = op[i]
        page = pfn[i]
        size = order[i]
        kind = migratetype[i]
        if what == _REQUEST:
            if not _serve(z, page, size, kind, victim, victim_order, tally):
                # Where nothing is known of the start, what leaves first was free.
                if start_known or users[page] != _UNKNOWN:
                    tally[Tally.LEFT_NOT_FREE] += 1
            victim = NO_PFN
            _note_known(page, size, users)
        elif what == _ENTER:
            _enter(z, page, size, kind, wanted[i], tally)
            _note_known(page, size, users)
        elif what == Op.ALLOCATED:
            first, _ = _holder(z, page, size)
            if first != NO_PFN:
                tally[Tally.CAPTURED] += 1
                extract(z, page, size, pageblock_type(z, page))
            _note_user(page, size, users, tally)
        elif what == Op.FREED:
            _note_free(page, size, users, tally)
        elif what == _ISOLATE:
            first, found = _holder(z, page, size)
            if first != NO_PFN and found != size:
                tally[Tally.ISOLATED_NOT_WHOLE] += 1
            if not extract(z, page, size, pageblock_type(z, page)):
                if start_known or users[page] != _UNKNOWN:
                    tally[Tally.LEFT_NOT_FREE] += 1
            _note_known(page, size, users)
        elif what == Op.FALLBACK:
            victim = page
            victim_order = aux[i]
        elif what == Op.RETYPE:
            _retype(z, page, kind)
        elif what == _STOLEN:
            first, _ = _holder(z, page, size)
            if first != NO_PFN:
                _serve_stolen(z, page, size, kind, aux[i], tally)
                _note_known(page, size, users)
