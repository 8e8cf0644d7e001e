"""User memory: files and heaps whose popularity is skewed and drifts, touched page by page.

Pages become popular in extents of neighbours; a visit picks an extent by Zipf's law and touches a
run of its pages. A touch of a resident page sets what the hardware or the kernel would set; any
other is a fault. Touches come at fixed times whatever the zone does (an open load), so that every
policy meets the same ones; what faults cost is counted, not slept.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from study.zone.engine.agenda import book
from study.zone.engine.compile import kernel
from study.zone.engine.dice import below, draw, exponential, geometric, uniform
from study.zone.engine.enums import Caller, Event, Gfp, Kind, Stream, Thrown
from study.zone.engine.layout import ALIAS, NO_PFN, WAITING, aliases, extents, frames, vpages
from study.zone.engine.table import prefetch
from study.zone.mm.interface import (
    allocate_or_wait,
    fetch_tails,
    free_neighbours,
    install,
    touch_resident,
)

GFP_USER = int(Gfp.KERNEL | Gfp.MOVABLE)
GFP_READ = int(Gfp.KERNEL | Gfp.MOVABLE | Gfp.COLD)
"""Page cache that is read asks for cold pages (mm/readahead.c, mm/filemap.c, 2.6.8)."""


@lru_cache(maxsize=8)
def alias_table(nr_ranks: int, exponent: float) -> np.ndarray:
    """Zipf's law over ranks 0..nr_ranks-1 as an alias table, dtype ALIAS.

    Walker's method in Vose's form: row i is kept with probability keep / 2**32, else its other
    rank is taken. Rank r has weight (r + 1) ** -exponent.
    """
    weight = np.arange(1, nr_ranks + 1, dtype=np.float64) ** -exponent
    share = (weight * (nr_ranks / weight.sum())).tolist()
    keep = [1.0] * nr_ranks
    other = list(range(nr_ranks))
    small = [i for i, p in enumerate(share) if p < 1.0]
    large = [i for i, p in enumerate(share) if p >= 1.0]
    while small and large:
        poor, rich = small.pop(), large[-1]
        keep[poor] = share[poor]
        other[poor] = rich
        share[rich] -= 1.0 - share[poor]
        if share[rich] < 1.0:
            small.append(large.pop())
    table = np.empty(nr_ranks, ALIAS)
    table["keep"] = np.minimum(np.array(keep) * 2.0**32, 2.0**32 - 1).astype(np.uint32)
    table["other"] = other
    table.setflags(write=False)
    return table


@kernel(inline=True)
def zipf_rank(z):
    """A rank by Zipf's law, from one draw: high half picks the row, low half keeps it or not."""
    word = draw(z, Stream.TOUCH)
    row = np.int64(((word >> np.uint64(32)) * np.uint64(z.zipf_rows)) >> np.uint64(32))
    alias = aliases(z)[row]
    # Both are read first, so that the choice is no branch: nobody could guess which way it goes.
    keep, other = alias.keep, np.int64(alias.other)
    return row if (word & np.uint64(0xFFFFFFFF)) < keep else other


@kernel(inline=True)
def _first_page(z, rank, start):
    """Where a visit begins, as popularity stands now."""
    return np.int64(extents(z)[rank].extent) * z.extent_pages + start


@kernel(inline=True)
def _draw_visit(z):
    """Choose the visit after the next: an extent, where in it, how far, and whether it writes."""
    z.next_rank, z.next_start = z.later_rank, z.later_start
    z.next_pages, z.next_write = z.later_pages, z.later_write
    z.later_rank = zipf_rank(z)
    z.later_start = below(z, Stream.TOUCH, z.extent_pages)
    length = geometric(z, Stream.TOUCH, z.run_log)
    z.later_pages = min(length, z.extent_pages - z.later_start)
    z.later_write = uniform(z, Stream.TOUCH) <= z.write_share


@kernel
def _draw_first_visits(z):
    _draw_visit(z)
    _draw_visit(z)
    z.visits_drawn = 1


@kernel(inline=True)
def _fetch_ahead(z):
    """Have the processor fetch what the next two visits will need, while this one is worked off.

    A visit meets pages and frames that lie anywhere; which they are takes two looks into memory,
    so each visit is given two others' time. Drift may still move it, and then it just waits.
    """
    first = _first_page(z, z.next_rank, z.next_start)
    for page in range(first, first + z.next_pages):
        prefetch(frames(z), vpages(z)[page].pfn)
    first = _first_page(z, z.later_rank, z.later_start)
    prefetch(vpages(z), first)
    prefetch(vpages(z), first + z.later_pages - 1)
    fetch_tails(z)


@kernel(inline=True)
def _new_visit(z):
    """Begin the next visit. The stream of touches is nobody else's: it may be drawn from early."""
    if z.visits_drawn == 0:
        _draw_first_visits(z)
    z.visit_write = z.next_write
    z.visit_page = _first_page(z, z.next_rank, z.next_start)
    z.visit_left = z.next_pages
    _draw_visit(z)
    _fetch_ahead(z)


@kernel
def fault(z, page, write, caller, born):
    """Bring a virtual page into memory, or have it wait for a frame."""
    vpage = vpages(z)
    thrown = vpage[page].thrown
    if thrown == Thrown.NO:
        z.count.first_faults += 1
    else:
        z.count.refaults += 1
        z.count.lost_ns += z.cost_refault_ns
        if thrown == Thrown.DEFRAG:
            z.count.refaults_after_defrag += 1
    gfp = GFP_USER
    if vpage[page].kind == Kind.FILE and not write:
        gfp = GFP_READ
    # What a sleeper remembers: the page, and in bit 0 whether it is to be written.
    memo = page * 2 + (1 if write else 0)
    pfn = allocate_or_wait(z, 0, gfp, caller, memo, born)
    if pfn >= 0:
        install(z, pfn, page, write)
    elif pfn == NO_PFN:
        vpage[page].state |= WAITING


@kernel
def touch_until(z, limit):
    """Touch pages up to a time (ns, exclusive), or until a fault may have changed the agenda."""
    vpage = vpages(z)
    while z.next_touch < limit:
        if z.visit_left == 0:
            _new_visit(z)
        # What a touch of a resident page does not depend on is kept out of the record meanwhile.
        page, write = z.visit_page, z.visit_write
        next_touch, period = z.next_touch, z.touch_period_ns
        end = page + min(z.visit_left, (limit - next_touch + period - 1) // period)
        first = page
        pfn = NO_PFN
        while page < end:
            pfn = vpage[page].pfn
            page += 1
            if pfn == NO_PFN:
                break
            if write:
                z.now = next_touch + (page - 1 - first) * period
            touch_resident(z, page - 1, pfn, write)
        touched = page - first
        z.visit_page = page
        z.visit_left -= touched
        z.now = next_touch + (touched - 1) * period
        z.next_touch = next_touch + touched * period
        z.count.touches += touched
        if pfn == NO_PFN and not vpage[page - 1].state & WAITING:
            fault(z, page - 1, write, Caller.USER, -1)
            return


@kernel
def delete_extent(z):
    """Truncate, unlink or munmap: the pages of one extent are free at once."""
    extent = below(z, Stream.DELETE, z.extents)
    book(z, z.now + 1 + exponential(z, Stream.DELETE, z.delete_gap_ns), Event.DELETE, 0)
    free_neighbours(z, extent * z.extent_pages, (extent + 1) * z.extent_pages)
    z.count.deleted += 1


@kernel
def _drifting_rank(z):
    """A rank by Zipf's law from the drift's own stream."""
    row = below(z, Stream.DRIFT, z.zipf_rows)
    word = draw(z, Stream.DRIFT)
    if (word & np.uint64(0xFFFFFFFF)) < aliases(z)[row].keep:
        return row
    return np.int64(aliases(z)[row].other)


@kernel
def drift(z):
    """Let two extents change places in popularity; one of them is a popular one."""
    popular = _drifting_rank(z)
    any_rank = below(z, Stream.DRIFT, z.zipf_rows)
    book(z, z.now + 1 + exponential(z, Stream.DRIFT, z.drift_gap_ns), Event.DRIFT, 0)
    extent = extents(z)
    before = extent[popular].extent
    extent[popular].extent = extent[any_rank].extent
    extent[any_rank].extent = before
