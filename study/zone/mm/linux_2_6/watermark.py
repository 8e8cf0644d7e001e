"""The three marks of a zone, and the tests of free pages against them."""

from __future__ import annotations

from study.zone.engine.compile import kernel
from study.zone.engine.enums import Migratetype
from study.zone.mm.linux_2_6.grouping import has_block
from study.zone.settings import AllocationPath, KswapdLoop, KswapdPolicy

_HIGHATOMIC = int(Migratetype.HIGHATOMIC)


@kernel
def _enough_and_a_block(z, order, mark, reserve, high, harder):
    """Enough pages free, and one block that will do, wherever it is (__zone_watermark_ok, 4.4).

    What is reserved for HIGHATOMIC counts only for who may use it.
    """
    if high:
        mark -= mark // 2
    free = z.zone.free - (1 << order) + 1
    if harder:
        mark -= mark // 4
    else:
        free -= z.zone.nr_reserved
    if free <= mark + reserve:
        return False
    if order == 0:
        return True
    if z.grouping == 0:
        return has_block(z, order, 0)
    for migratetype in range(_HIGHATOMIC + (1 if harder else 0)):
        if has_block(z, order, migratetype):
            return True
    return False


@kernel
def _leaves(z, order, mark, reserve, high, harder):
    """Nick Piggin's test: enough pages free, and enough of them in blocks that can serve.

    zone_watermark_ok, 2.6.11-rc1 (206ca74edc): each smaller order's pages are taken off, the mark
    is halved, and what remains must still exceed it. The comparison is strict. The reserve is
    lowmem_reserve, which no flag lowers and no order halves.
    """
    if z.allocation == AllocationPath.V4_4:
        return _enough_and_a_block(z, order, mark, reserve, high, harder)
    if high:
        mark -= mark // 2
    if harder:
        mark -= mark // 4
    free = z.zone.free - (1 << order) + 1
    if free <= mark + reserve:
        return False
    for smaller in range(order):
        free -= z.zone.nr_free[smaller] << smaller
        mark >>= 1
        if free <= mark:
            return False
    return True


@kernel
def watermark_ok(z, order, mark, high, harder):
    """The test against a mark without lowmem_reserve, as kswapd and compaction ask."""
    return _leaves(z, order, mark, 0, high, harder)


@kernel(inline=True)
def _reserve(z):
    """What a request leaves in a zone above the marks: as set, and where it only falls back."""
    return z.lowmem_reserve_pages + z.zone.protection


@kernel(inline=True)
def _enough_in_2_6_8(z, need, wait):
    """A request without __GFP_WAIT also passes at high, whatever protection[] says (2.6.8)."""
    if not wait and z.zone.free >= z.zone.high:
        return True
    return z.zone.free - z.lowmem_reserve_pages >= need


@kernel
def first_pass_ok(z, order, wait):
    """May a request be served in the fast path, at low? (__alloc_pages, first loop over zones)"""
    free = z.zone.free - z.lowmem_reserve_pages
    if z.allocation == AllocationPath.V2_6_8:
        # zone.protection[] of a zone's own class is its pages_low.
        return _enough_in_2_6_8(z, (1 << order) + z.zone.low + z.zone.protection, wait)
    if z.allocation == AllocationPath.V2_6_9:
        return free >= (1 << order) + z.zone.low + z.zone.protection
    return _leaves(z, order, z.zone.low, _reserve(z), False, False)


@kernel
def second_pass_ok(z, order, wait, high):
    """May it be served now that kswapd has been woken? Who cannot sleep may dip deeper.

    Since 4.4 only if it is GFP_ATOMIC: not to wait alone (GFP_NOWAIT) lowers no mark.
    """
    free = z.zone.free - z.lowmem_reserve_pages
    if z.allocation == AllocationPath.V2_6_8:
        need = (1 << order) + z.zone.low + z.zone.protection
        if high:
            need -= z.zone.low // 4
        return _enough_in_2_6_8(z, need, wait)
    if z.allocation == AllocationPath.V2_6_9:
        mark = z.zone.min
        if high:
            mark //= 2
        if not wait:
            mark -= mark // 4
        return free >= mark + (1 << order) + z.zone.protection
    mark = z.zone.min
    harder = not wait
    if z.allocation == AllocationPath.V4_4:
        harder = harder and high
        if order == 0 and harder:
            # The boost is to wake kswapd, not to refuse a page (zone_watermark_fast, 5.9).
            mark -= z.zone.boost
    return _leaves(z, order, mark, _reserve(z), high, harder)


@kernel
def after_reclaim_ok(z, order, high):
    """May a request that has just reclaimed be served? From 2.6.9 on as in the second pass."""
    if z.allocation == AllocationPath.V2_6_8:
        return z.zone.free - _reserve(z) >= (1 << order) + z.zone.low
    return second_pass_ok(z, order, True, high)


@kernel
def after_failed_reclaim_ok(z, order, high):
    """May it be served though reclaim found too little?

    2.6.11 tests at high, only to see whether somebody else was killed meanwhile (86a4c6d9e2).
    """
    if z.allocation < AllocationPath.V2_6_11:
        return after_reclaim_ok(z, order, high)
    return _leaves(z, order, z.zone.high, _reserve(z), False, False)


@kernel
def kswapd_needed(z, order):
    """Does a wake-up find anything to do? (wakeup_kswapd; 2.6.8 asks for no order)

    Since 4.8 it does unless the zone is balanced (pgdat_balanced), or while the marks are boosted.
    """
    if z.kswapd_policy == KswapdPolicy.COUNT_ONLY:
        return z.zone.free <= z.zone.low
    if z.zone.boost > 0:
        return True
    mark = z.zone.high if z.kswapd_loop == KswapdLoop.V4_8 else z.zone.low
    return not watermark_ok(z, order, mark, False, False)


@kernel
def balanced(z, order):
    """Is the zone balanced, so that kswapd may sleep? (balance_pgdat)"""
    if z.kswapd_policy == KswapdPolicy.COUNT_ONLY:
        return z.zone.free > z.zone.high
    return watermark_ok(z, order, z.zone.high, False, False)
