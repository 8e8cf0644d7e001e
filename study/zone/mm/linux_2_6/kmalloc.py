"""Large kmalloc objects, one to a slab of order 0..5: 8K stacks, packet buffers (mm/slab.c, 2.6.8).

A per-cpu array of idle objects sits in front of a list of idle slabs, so that a steady load never
reaches the buddy lists; bursts do. Classes are shared: an 8K stack and an 8K buffer are both
kmalloc-8192.
"""

from __future__ import annotations

from study.zone.engine.agenda import book
from study.zone.engine.compile import kernel
from study.zone.engine.enums import Event, Home, Kind
from study.zone.engine.layout import CACHE_SLOTS, NO_PFN, NR_CACHES, frames
from study.zone.mm.linux_2_6.allocate import allocate, allocate_atomic, allocate_or_wait
from study.zone.mm.linux_2_6.percpu import free_page, give_back
from study.zone.mm.linux_2_6.zones import enter_zone, enter_zone_of

REAP_NS = 2_000_000_000
"""REAPTIMEOUT_CPUC, 2.6.8: between two looks at the arrays."""
REAP_SLABS_NS = 4_000_000_000
"""REAPTIMEOUT_LIST3, 2.6.8: between two looks at the idle slabs of a cache."""


def cache_limits(order: int) -> tuple[int, int, int]:
    """(limit, batch, free limit) of the cache whose objects fill a slab of this order.

    enable_cpucache, 2.6.8, one CPU: the array holds 24 objects of 4 KB, 8 of up to 128 KB; half
    of that is moved at once; idle slabs are kept up to (1 + CPUs) * batch + objects per slab.
    """
    limit = 24 if order == 0 else 8
    batch = (limit + 1) // 2
    return limit, batch, min(2 * batch + 1, CACHE_SLOTS)


@kernel
def new_object(z, pfn, order, kind):
    """Make a block fresh from the buddy lists the kernel's."""
    frames(z)[pfn].order = order
    frames(z)[pfn].home = Home.KERNEL
    frames(z)[pfn].kind = kind
    frames(z)[pfn].flags = 0
    before = enter_zone_of(z, pfn)
    z.zone.nr_kernel += 1 << order
    enter_zone(z, before)


@kernel
def _idle_object(z, order):
    """An idle object of the cache, NO_PFN if there is none (cache_alloc_refill without growing).

    Larger objects than the caches have come straight from the buddy lists (2.6.22).
    """
    if order >= NR_CACHES:
        return NO_PFN
    z.cache_touched[order] = 1
    if z.cache_used[order] == 0:
        # No slab is ever partly used: each is one object.
        z.cache_free_touched[order] = 1
        while z.cache_used[order] < z.cache_batch[order] and z.cache_free[order] > 0:
            z.cache_free[order] -= 1
            z.cache_array[order, z.cache_used[order]] = z.cache_slab[order, z.cache_free[order]]
            z.cache_used[order] += 1
    if z.cache_used[order] == 0:
        return NO_PFN
    z.cache_used[order] -= 1
    return z.cache_array[order, z.cache_used[order]]


@kernel
def kmalloc_atomic(z, order, caller, kind):
    """GFP_ATOMIC object that fills a block of this order; NO_PFN if none is to be had."""
    pfn = _idle_object(z, order)
    if pfn != NO_PFN:
        frames(z)[pfn].kind = kind
        return pfn
    pfn = allocate_atomic(z, order, caller)
    if pfn != NO_PFN:
        new_object(z, pfn, order, kind)
    return pfn


@kernel
def kmalloc_or_not(z, order, gfp, caller, kind):
    """As kmalloc_atomic for a caller who has another way: neither reserves nor reclaim.

    kvmalloc's first try (4.12); its one round of reclaim (__GFP_NORETRY) is left out.
    """
    pfn = _idle_object(z, order)
    if pfn != NO_PFN:
        frames(z)[pfn].kind = kind
        return pfn
    pfn = allocate(z, order, gfp, caller)
    if pfn != NO_PFN:
        new_object(z, pfn, order, kind)
    return pfn


@kernel
def kmalloc_or_wait(z, order, gfp, caller, kind, value, born):
    """As kmalloc_atomic for a caller who may sleep; answers as allocate_or_wait."""
    pfn = _idle_object(z, order)
    if pfn != NO_PFN:
        frames(z)[pfn].kind = kind
        return pfn
    pfn = allocate_or_wait(z, order, gfp, caller, value, born)
    if pfn >= 0:
        new_object(z, pfn, order, kind)
    return pfn


@kernel
def free_object(z, pfn, order):
    """Give the kernel's block back: what new_object() made."""
    before = enter_zone_of(z, pfn)
    z.zone.nr_kernel -= 1 << order
    enter_zone(z, before)
    frames(z)[pfn].home = Home.NONE
    if order == 0:
        free_page(z, pfn, False)
    else:
        give_back(z, pfn, order)


@kernel
def _shelve(z, order, nr_objects):
    """Move the oldest objects of the array to the idle slabs; what exceeds their limit is freed."""
    nr_objects = min(nr_objects, z.cache_used[order])
    for i in range(nr_objects):
        pfn = z.cache_array[order, i]
        if z.cache_free[order] >= z.cache_free_limit[order]:
            free_object(z, pfn, order)
        else:
            z.cache_slab[order, z.cache_free[order]] = pfn
            z.cache_free[order] += 1
    for i in range(nr_objects, z.cache_used[order]):
        z.cache_array[order, i - nr_objects] = z.cache_array[order, i]
    z.cache_used[order] -= nr_objects


@kernel
def kfree(z, pfn, order):
    """Return an object to its cache; a full array first sheds a batch (cache_flusharray)."""
    if order >= NR_CACHES:
        free_object(z, pfn, order)
        return
    if z.cache_used[order] >= z.cache_limit[order]:
        _shelve(z, order, z.cache_batch[order])
    frames(z)[pfn].kind = Kind.IDLE
    z.cache_array[order, z.cache_used[order]] = pfn
    z.cache_used[order] += 1


@kernel
def _reap_array(z, order):
    """A fifth of the array's limit, or half of what is less (drain_array_locked, 2.6.8).

    An array from which an object was taken since the last look is spared.
    """
    if z.cache_touched[order]:
        z.cache_touched[order] = 0
        return
    surplus = (z.cache_limit[order] + 4) // 5
    if surplus > z.cache_used[order]:
        surplus = (z.cache_used[order] + 1) // 2
    _shelve(z, order, surplus)


@kernel
def _reap_slabs(z, order):
    """A fifth of the idle slabs' limit, the newest first, unless a refill has asked for one."""
    if z.cache_free_touched[order]:
        z.cache_free_touched[order] = 0
        return
    surplus = (z.cache_free_limit[order] + 4) // 5
    while surplus > 0 and z.cache_free[order] > 0:
        surplus -= 1
        z.cache_free[order] -= 1
        free_object(z, z.cache_slab[order, z.cache_free[order]], order)


@kernel
def reap(z):
    """Give back of what has lain idle since the last look (cache_reap, 2.6.8)."""
    for order in range(len(z.cache_used)):
        _reap_array(z, order)
        if z.now >= z.cache_next_reap[order]:
            z.cache_next_reap[order] = z.now + REAP_SLABS_NS
            _reap_slabs(z, order)
    book(z, z.now + REAP_NS, Event.REAP, 0)


@kernel
def start_reap(z):
    """Book the first reaping; idle slabs are looked at from the second on."""
    for order in range(len(z.cache_used)):
        z.cache_next_reap[order] = REAP_SLABS_NS
    book(z, REAP_NS, Event.REAP, 0)
