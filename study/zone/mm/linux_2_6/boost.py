"""Watermark boost: a steal from another migratetype raises the marks for a while (5.0).

mm/page_alloc.c, boost_watermark (1c30844d2dfe). The more free memory kswapd then keeps, the
sooner the next request finds a block of its own type. It is undone when kswapd has worked for it.
"""

from __future__ import annotations

from study.zone.engine.compile import kernel


@kernel
def _shift_marks(z, pages):
    z.zone.boost += pages
    z.zone.min += pages
    z.zone.low += pages
    z.zone.high += pages


@kernel
def boost_marks(z):
    """Raise min, low and high by a pageblock, up to a share of high; have kswapd woken."""
    pageblock_pages = 1 << z.pageblock_order
    if z.boost_factor == 0 or 4 * pageblock_pages > z.zone.pages:
        return
    most = max(pageblock_pages, (z.zone.high - z.zone.boost) * z.boost_factor // 10_000)
    _shift_marks(z, min(z.zone.boost + pageblock_pages, most) - z.zone.boost)
    z.zone.count.boosts += 1
    z.zone.boost_asked = 1


@kernel
def lower_marks(z, pages):
    """Take back so much of the boost; what was added since stays (balance_pgdat, 5.0)."""
    _shift_marks(z, -min(z.zone.boost, pages))
