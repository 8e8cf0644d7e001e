"""The names of all metrics, for whoever has to know them before anything is simulated."""

from __future__ import annotations

from study.zone.settings import NR_ORDERS

_PER_REQUEST = ("attempts", "failures", "success_ratio")
_PER_CALLER = (*_PER_REQUEST, "starved", "contiguity_ratio")
_PER_SLEEPER = (
    "stalls",
    "stall_mean_ms",
    "stall_longest_ms",
    "stall_rounds",
    "stall_reclaimed_pages",
)
_OF_A_ZONE = """
    free_pages_mean free_pages_end largest_free_order_mean largest_free_order_end
    kswapd_scanned_pages kswapd_reclaimed_pages direct_scanned_pages direct_reclaimed_pages
    reclaimed_pages reclaimed_pages_per_order3_block slab_reclaimed_pages
    deactivated_pages activated_pages written_pages swapped_out_pages
    kswapd_wakeups kswapd_wakeups_refused
    blockless_requests blockless_kswapd_rests_ratio
    blockless_above_low_asked blockless_above_low_woken blockless_above_low_woken_ratio
    kswapd_busy_share oom_kills
    defrag_runs defrag_scanned_pages defrag_blocks defrag_evicted_pages defrag_migrated_pages
    defrag_moved_pages defrag_pages_per_block defrag_written_pages defrag_busy_ms
    touches events first_faults minor_faults refaults refaults_after_defrag refault_ratio
    time_lost_share forks forks_refused exits
    frames_received frames_dropped frames_dropped_ratio
    frames_sent frames_unsent frames_unsent_ratio
    moved_pages stolen_blocks boosts recycled_buffers reserved_pages_end
    compact_stalls compact_deferred compact_skipped compact_successes compact_failures
    compact_migrated_pages compact_scanned_pages compact_busy_ms
    kcompactd_wakeups kcompactd_busy_ms
    unmovable_share_end unmovable_blocks_share_end huge_free_blocks_end
    highalloc_pass1_ratio highalloc_pass2_ratio highalloc_rest_ratio
    churn_whole_start churn_whole_end churn_whole_possible churn_score
    probe_freed_pages probe_written_pages probe_touches_lost_share
"""


def _all() -> tuple[str, ...]:
    callers = ("user", "stack", "page_table", "slab", "huge", "rx", "tx", "source")
    names = [f"{caller}_{what}" for caller in callers for what in _PER_CALLER]
    names += [f"{caller}_{what}" for caller in callers[:5] for what in _PER_SLEEPER]
    for order in range(NR_ORDERS):
        names += [f"order{order}_{what}" for what in _PER_REQUEST]
        names += [f"order{order}_blocks_{what}" for what in ("formed", "split")]
        names += [f"free_order{order}_blocks_{what}" for what in ("mean", "end")]
        names.append(f"order{order}_absent_share")
        names += [f"{index}_index_order{order}_mean" for index in ("unusable", "extfrag")]
        if order:
            names.append(f"probe_order{order}_freed_pages")
    return (*names, *_OF_A_ZONE.split())


METRICS: tuple[str, ...] = _all()
"""Every name that a trial's metrics have."""


def is_share(name: str) -> bool:
    """Does the metric lie between 0 and 1, whatever happens?"""
    if name.startswith("probe_"):
        return False  # a difference of two shares
    return name.endswith(("_ratio", "_share")) or "_index_order" in name
