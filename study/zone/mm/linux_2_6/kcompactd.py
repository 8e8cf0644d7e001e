"""The compaction daemon: woken by kswapd before it sleeps (4.6), and of its own accord (5.9).

mm/compaction.c, kcompactd_do_work and proactive compaction. kswapd leaves the making of blocks
to it; every half second it looks whether free memory is so scattered that it should work unasked.
"""

from __future__ import annotations

from study.zone.engine.agenda import book
from study.zone.engine.compile import kernel
from study.zone.engine.enums import Event, Migratetype
from study.zone.mm.linux_2_6.compaction import (
    SUCCESS,
    WHOLE_ZONE,
    compact_zone,
    compaction_suitable,
    deferred,
    expect_success,
    fragmentation_score,
    update_deferral,
)
from study.zone.mm.linux_2_6.percpu import drain_percpu
from study.zone.mm.linux_2_6.watermark import watermark_ok
from study.zone.settings import CompactionRules

POLL_NS = 500_000_000
"""HPAGE_FRAG_CHECK_INTERVAL_MSEC."""
DEFER_POLLS = 64
"""Looks that are skipped after proactive compaction has not lowered the score."""


@kernel
def _needed(z, order):
    """Is there no block yet, and would compaction have a chance? (kcompactd_node_suitable)"""
    return not watermark_ok(z, order, z.zone.min, False, False) and compaction_suitable(z, order)


@kernel
def wake_kcompactd(z, order):
    """Ask the daemon for a block of this order."""
    if z.compact_daemon == 0 or order == 0:
        return
    z.kcompactd_order = max(z.kcompactd_order, order)
    if z.kcompactd_armed or not _needed(z, z.kcompactd_order):
        return
    z.kcompactd_armed = 1
    z.count.kcompactd_wakeups += 1
    book(z, max(z.now, z.kcompactd_free_at), Event.KCOMPACTD, 0)


@kernel
def _spend(z):
    z.kcompactd_free_at = z.now + z.compact_spent_ns
    z.count.kcompactd_ns += z.compact_spent_ns


@kernel
def run_kcompactd(z):
    """Compact until there is such a block (kcompactd_do_work)."""
    order = z.kcompactd_order
    z.kcompactd_armed = 0
    z.kcompactd_order = 0
    if deferred(z, order):
        z.count.compact_deferred += 1
        return
    if not _needed(z, order):
        return
    if compact_zone(z, order, Migratetype.UNMOVABLE, 0) == SUCCESS:
        expect_success(z, order)
        z.count.compact_successes += 1
    else:
        # Pages on the per-cpu lists may be all that is missing.
        drain_percpu(z)
        # Failures of kswapd's own compaction did not count (compact_pgdat, 3.5).
        if z.compact_rules == CompactionRules.V3_19:
            update_deferral(z, order, False)
    _spend(z)


@kernel
def proactive_tick(z):
    """Proactive compaction (5.9): if the score is above its mark and kswapd is asleep."""
    book(z, max(z.now + POLL_NS, z.kcompactd_free_at), Event.PROACTIVE, 0)
    if z.kswapd_awake:
        return
    wanted = max(100 - z.compact_proactiveness, 5)
    before = fragmentation_score(z)
    if before <= min(wanted + 10, 100):
        return
    if z.proactive_defer > 0:
        z.proactive_defer -= 1
        return
    compact_zone(z, WHOLE_ZONE, Migratetype.MOVABLE, wanted)
    if fragmentation_score(z) >= before:
        z.proactive_defer = DEFER_POLLS
    _spend(z)


@kernel
def start_proactive(z):
    """Book the first look at how scattered free memory is."""
    z.proactive_begun = 1
    book(z, z.now + POLL_NS, Event.PROACTIVE, 0)
