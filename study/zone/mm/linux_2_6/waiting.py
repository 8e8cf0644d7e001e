"""When reclaim waits for the disk, from 2.6.8 to 5.9: direct reclaim and kswapd.

| since  | in a pass, for HZ/10 at most                                | before another round    |
|--------|-------------------------------------------------------------|-------------------------|
| 2.6.8  | direct reclaim, below priority 10, if inactive pages were   | HZ/50                   |
|        | looked at; kswapd likewise (2.6.11: aa0baf358a)             |                         |
| 2.6.33 | kswapd not below the min mark (bb3ab59683)                  |                         |
| 2.6.37 | direct reclaim only if the disk's queue is full and was     | HZ/50 on the            |
|        | why a batch's dirty pages stayed (0e093d99763e)             | same condition          |
| 3.9    | kswapd never (cda73a10eb3f, 3.8; 258401a60c4d)              |                         |
| 3.11   | direct reclaim, whatever the priority ("move direct reclaim |                         |
|        | wait_iff_congested into shrink_list"); kswapd if it meets   |                         |
|        | pages again that it has had written, after a batch of       |                         |
|        | nothing else (283aba9f9e0e, b1a6f21e3b23)                   |                         |
| 4.7    |                                                             | HZ/10 if nothing was    |
|        |                                                             | freed and half of what  |
|        |                                                             | could be is unwritten,  |
|        |                                                             | else none; 16 rounds in |
|        |                                                             | vain (0a0337e0d1d1)     |

congestion_wait returns early when a write completes. That it be called only where pages under
writeback were met (nr_io_pages) was in -mm from 2.6.23 on, and in no release.
Simplification: from 3.11 on the kernel looks after each batch of 32 pages, here after each pass.
"""

from __future__ import annotations

from study.zone.engine.compile import kernel
from study.zone.mm.linux_2_6.reclaim import DEF_PRIORITY
from study.zone.mm.linux_2_6.writeback import congested, congestion_wait_ns
from study.zone.settings import KswapdLoop, ReclaimWait

NAP_NS = 100_000_000
"""HZ/10: nap within a pass, or before a round after one in vain (4.7)."""
RETRY_NS = 20_000_000
"""HZ/50: nap between rounds of direct reclaim."""
LOOK_NS = 1_000
"""A pass that finds nothing on the lists, and does not sleep, takes the time of a look at them."""
RETRIES_MAX = 16
"""MAX_RECLAIM_RETRIES: rounds in vain before the OOM killer is called (mm/internal.h, 4.7)."""


@kernel
def _reclaim_is_congested(z):
    """Would wait_iff_congested sleep?"""
    return z.zone.congested != 0 and congested(z)


@kernel
def naps_after_pass(z, seen, priority):
    """Does direct reclaim wait after a pass that looked at `seen` inactive pages?"""
    if z.reclaim_wait >= ReclaimWait.V3_11:
        return _reclaim_is_congested(z)
    if seen == 0 or priority >= DEF_PRIORITY - 2:
        return False
    if z.reclaim_wait == ReclaimWait.V2_6_37:
        return _reclaim_is_congested(z)
    return True


@kernel
def _reclaimable_pages(z):
    """Pages on the lists that reclaim may take (zone_reclaimable_pages, 3.12)."""
    return z.zone.nr_file + (z.zone.nr_anon if z.swap else 0)


@kernel
def made_progress(z, freed):
    """Does a run through all priorities that freed so many pages count as progress?

    Since 2.6.37 at the latest any page does, and up to 4.6 it is enough that the zone has not been
    given up (do_try_to_free_pages); before, only 32 pages of one pass. kswapd alone gave a zone up,
    and where it had no work to do nobody did, until zone_reclaimable() was asked (6e543d5780e3, of
    3.12; here with the rules of 3.11).
    """
    if z.reclaim_wait < ReclaimWait.V2_6_37:
        return False
    if freed > 0:
        return True
    if z.reclaim_wait < ReclaimWait.V3_11:
        return z.zone.all_unreclaimable == 0
    return z.reclaim_wait < ReclaimWait.V4_7 and z.zone.pages_scanned < 6 * _reclaimable_pages(z)


@kernel
def kswapd_naps(z):
    """Does kswapd wait after its pass?

    What it has looked at counts from the beginning of its run. The nap before 2.6.11 is dead code:
    its counter is never raised (aa0baf358a).
    """
    if z.reclaim_wait >= ReclaimWait.V3_11:
        return z.met_again > 0
    if z.kswapd_loop < KswapdLoop.V2_6_11:
        return False
    if z.kswapd_scanned == 0 or z.kswapd_priority >= DEF_PRIORITY - 2:
        return False
    if z.reclaim_wait >= ReclaimWait.V2_6_33:
        return z.zone.free >= z.zone.min
    return True


@kernel
def wait_before_retry_ns(z, freed):
    """How long direct reclaim sleeps before another round; `freed`: did it make progress?"""
    longest = RETRY_NS
    if z.reclaim_wait >= ReclaimWait.V4_7:
        unwritten = z.nr_dirty + z.nr_writeback
        longest = NAP_NS if not freed and 2 * unwritten > _reclaimable_pages(z) else 0
    elif z.reclaim_wait >= ReclaimWait.V2_6_37 and not _reclaim_is_congested(z):
        longest = 0
    return congestion_wait_ns(z, longest) if longest > 0 else LOOK_NS
