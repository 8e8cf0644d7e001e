"""Huge pages: asked for in one block while the system runs, kept for a while, given back.

Who asks may sleep, compact and reclaim once, and is content with a refusal, as a fault that wants
a transparent huge page is (mm/huge_memory.c, 2.6.38; order above 3, so no retry). Simplification:
a huge page is neither on an LRU list nor split or moved while it lives.
"""

from __future__ import annotations

from study.zone.engine.agenda import book
from study.zone.engine.compile import kernel
from study.zone.engine.dice import exponential, lognormal
from study.zone.engine.enums import Caller, Event, Gfp, Kind, Stream
from study.zone.engine.layout import NO_PFN, frames
from study.zone.mm.interface import allocate_or_wait, free_object, new_object

GFP_HUGE = int(Gfp.KERNEL | Gfp.MOVABLE)
HELD = (1 << 30) - 1
"""Instead of a lifetime in ms: to be held until release_held()."""


@kernel
def settle_huge(z, pfn, lifetime_ms):
    """Make a block a huge page in use, until its time is over or all that are held are released."""
    # The order it was asked for in: stress-highalloc may ask for another than the programs do.
    new_object(z, pfn, frames(z)[pfn].order, Kind.HUGE)
    if lifetime_ms == HELD:
        frames(z)[pfn].owner = z.held_first
        z.held_first = pfn
        z.nr_held_blocks += 1
        return
    z.nr_huge += 1
    book(z, z.now + lifetime_ms * 1_000_000, Event.HUGE_DEATH, pfn)


@kernel
def ask_for_huge(z, lifetime_ms):
    """Ask for one; the answer may come later."""
    pfn = allocate_or_wait(z, z.huge_order, GFP_HUGE, Caller.HUGE, lifetime_ms, -1)
    if pfn >= 0:
        settle_huge(z, pfn, lifetime_ms)


@kernel
def huge_arrives(z):
    """A program could do with a huge page; how long it would keep it is drawn in any case."""
    lifetime = lognormal(z, Stream.HUGE, z.huge_lifetime_median_ns, z.huge_lifetime_sigma)
    book(z, z.now + 1 + exponential(z, Stream.HUGE, z.huge_gap_ns), Event.HUGE_ARRIVAL, 0)
    if z.nr_huge < z.huge_most:
        ask_for_huge(z, min(lifetime // 1_000_000, HELD - 1))


@kernel
def free_huge(z, pfn):
    """Give a huge page back."""
    free_object(z, pfn, frames(z)[pfn].order)


@kernel
def huge_dies(z, pfn):
    """The program is done with it."""
    z.nr_huge -= 1
    free_huge(z, pfn)


@kernel
def release_held(z):
    """Give back all huge pages that are held; returns how many there were."""
    nr_blocks = z.nr_held_blocks
    while z.held_first != NO_PFN:
        pfn = z.held_first
        z.held_first = frames(z)[pfn].owner
        free_huge(z, pfn)
    z.nr_held_blocks = 0
    return nr_blocks
