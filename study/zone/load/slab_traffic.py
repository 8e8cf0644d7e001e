"""The kernel's small objects come and go: a Poisson stream of slab pages with lognormal lives."""

from __future__ import annotations

from study.zone.engine.agenda import book, book_again
from study.zone.engine.compile import kernel
from study.zone.engine.dice import exponential, lognormal, uniform
from study.zone.engine.enums import Caller, Event, Gfp, Stream
from study.zone.engine.layout import NO_ROW, events, slots
from study.zone.mm.interface import (
    allocate_or_wait,
    free_page,
    free_slab,
    gfp_by_lifetime,
    new_slab,
)

_GFP = int(Gfp.KERNEL)
_RECLAIMABLE_GFP = int(Gfp.RECLAIMABLE)
RECLAIMABLE = 1
"""Bit 0 of what a waiting request remembers; the other bits are the lifetime in milliseconds."""


@kernel
def _forget_deaths(z):
    """Drop the ends of slab pages that reclaim emptied before: they would fill the agenda."""
    waiting = z.nr_events
    z.nr_events = 0
    for i in range(waiting):
        event = events(z)[i]
        time, seq, what, value = event.time, event.seq, event.what, event.value
        if what != Event.SLAB_DEATH or slots(z)[value].death == seq:
            book_again(z, time, seq, what, value)
    z.slab_deaths_left = 0


@kernel
def settle_slab(z, pfn, reclaimable, lifetime):
    """Make a frame a slab page and book its end (lifetime in ns)."""
    slot = new_slab(z, pfn, reclaimable)
    if slot == NO_ROW:
        free_page(z, pfn, False)
        return
    if z.slab_deaths_left > z.zone.pages // 2:
        _forget_deaths(z)
    slots(z)[slot].death = book(z, z.now + lifetime, Event.SLAB_DEATH, slot)


@kernel
def slab_arrives(z):
    """A cache grows by one slab page."""
    lifetime = lognormal(z, Stream.SLAB, z.slab_lifetime_median_ns, z.slab_lifetime_sigma)
    reclaimable = uniform(z, Stream.SLAB) <= z.slab_reclaimable_share
    book(z, z.now + 1 + exponential(z, Stream.SLAB, z.slab_gap_ns), Event.SLAB_ARRIVAL, 0)
    # A request that sleeps can remember one number: the lifetime is rounded to milliseconds.
    lifetime_ms = min(lifetime // 1_000_000, 1 << 29)
    memo = lifetime_ms * 2 + (RECLAIMABLE if reclaimable else 0)
    gfp = _GFP | _RECLAIMABLE_GFP if reclaimable else _GFP
    gfp = gfp_by_lifetime(z, gfp, lifetime)
    pfn = allocate_or_wait(z, 0, gfp, Caller.SLAB, memo, -1)
    if pfn >= 0:
        settle_slab(z, pfn, reclaimable, lifetime_ms * 1_000_000)


@kernel
def slab_dies(z, slot, seq):
    """End a slab page, unless shrink_slab was there first and the slot is another's now."""
    if slots(z)[slot].death == seq:
        slots(z)[slot].death = -1
        free_slab(z, slot)
