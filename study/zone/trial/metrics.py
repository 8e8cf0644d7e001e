"""What a trial measured, by names that carry their units; the same names for every trial."""

from __future__ import annotations

from typing import Any

import numpy as np

from study.zone.engine.enums import Caller, Home, Reclaimer
from study.zone.settings import NR_ORDERS, Settings
from study.zone.trial.indices import unusable_indices
from study.zone.trial.zone import Zone

Counts = dict[str, Any]

_HUGE_ORDER = 9
"""2 MB: a huge page of x86-64, whatever the zone's pageblocks are."""

SAMPLE = np.dtype(
    [
        ("time_ns", "i8"),
        ("phase", "u1"),
        ("nr_free", "i4", (NR_ORDERS,)),
        ("free_pages", "i4"),
        ("percpu_pages", "i4"),
        ("active_pages", "i4"),
        ("inactive_pages", "i4"),
        ("file_pages", "i4"),
        ("anonymous_pages", "i4"),
        ("kernel_pages", "i4"),
        ("dirty_pages", "i4"),
    ]
)


def sample(zone: Zone, phase: int, row: np.void) -> None:
    """Write down the state of the zone as /proc would show it, into a row of dtype SAMPLE."""
    own = zone.own
    row["time_ns"] = zone.now
    row["phase"] = phase
    row["nr_free"] = zone.nr_free
    row["free_pages"] = zone.free
    row["percpu_pages"] = own["nr_hot"] + own["nr_cold"]
    row["active_pages"] = own["nr_active"]
    row["inactive_pages"] = own["nr_inactive"]
    row["file_pages"] = own["nr_file"]
    row["anonymous_pages"] = own["nr_anon"]
    row["kernel_pages"] = own["nr_kernel"]
    row["dirty_pages"] = zone.state["nr_dirty"]


def _ratio(part: float, whole: float) -> float:
    """part / whole; NaN where there was nothing to take a part of."""
    return part / whole if whole else float("nan")


def _served_ratio(attempts: float, failures: float) -> float:
    """Share of requests that were served; one refused may have been asked for during ageing."""
    return _ratio(max(attempts - failures, 0), attempts)


def measure(zone: Zone, samples: np.ndarray) -> dict[str, float]:
    """Metrics of the measured phase.

    samples  rows of dtype SAMPLE, measured phase only, at least one
    Ratios and shares lie in [0, 1] and are NaN where nothing was asked for; indices in [0, 1].
    """
    found: dict[str, float] = {}
    count = zone.count
    _by_caller(found, count)
    _by_order(found, count)
    _contiguity(found, samples)
    _reclaim(found, zone, count)
    _cures(found, zone, count)
    _users(found, zone.settings, count)
    return {name: float(value) for name, value in found.items()}


def _by_caller(found: dict[str, float], count: Counts) -> None:
    for caller in Caller:
        if caller == Caller.MIGRATION:
            continue
        name = caller.name.lower()
        attempts, failures = count["attempts"][caller], count["failures"][caller]
        found[f"{name}_attempts"] = attempts
        found[f"{name}_failures"] = failures
        found[f"{name}_success_ratio"] = _served_ratio(attempts, failures)
        # A request that even single pages would not have helped is no matter of contiguity.
        starved = count["starved"][caller]
        found[f"{name}_starved"] = starved
        found[f"{name}_contiguity_ratio"] = _served_ratio(attempts, max(failures - starved, 0))
    for caller in (Caller.USER, Caller.STACK, Caller.PAGE_TABLE, Caller.SLAB, Caller.HUGE):
        name = caller.name.lower()
        stalls = count["stalls"][caller]
        found[f"{name}_stalls"] = stalls
        found[f"{name}_stall_mean_ms"] = _ratio(count["stall_ns"][caller] / 1e6, stalls)
        found[f"{name}_stall_longest_ms"] = count["stall_longest_ns"][caller] / 1e6
        found[f"{name}_stall_rounds"] = count["stall_rounds"][caller]
        found[f"{name}_stall_reclaimed_pages"] = count["stall_reclaimed"][caller]


def _by_order(found: dict[str, float], count: Counts) -> None:
    for order in range(NR_ORDERS):
        attempts, failures = count["attempts_order"][order], count["failures_order"][order]
        found[f"order{order}_attempts"] = attempts
        found[f"order{order}_failures"] = failures
        found[f"order{order}_success_ratio"] = _served_ratio(attempts, failures)
        found[f"order{order}_blocks_formed"] = count["formed"][order]
        found[f"order{order}_blocks_split"] = count["split"][order]


def _contiguity(found: dict[str, float], samples: np.ndarray) -> None:
    nr_free = samples["nr_free"].astype(np.int64)
    present = nr_free > 0
    largest = np.where(present.any(axis=1), NR_ORDERS - 1 - present[:, ::-1].argmax(axis=1), -1)
    unusable = unusable_indices(nr_free) / 1000.0
    found["free_pages_mean"] = samples["free_pages"].mean()
    found["free_pages_end"] = samples["free_pages"][-1]
    found["largest_free_order_mean"] = largest.mean()
    found["largest_free_order_end"] = largest[-1]
    for order in range(NR_ORDERS):
        found[f"free_order{order}_blocks_mean"] = nr_free[:, order].mean()
        found[f"free_order{order}_blocks_end"] = nr_free[-1, order]
        found[f"order{order}_absent_share"] = (largest < order).mean()
        found[f"unusable_index_order{order}_mean"] = unusable[:, order].mean()
        found[f"extfrag_index_order{order}_mean"] = _extfrag_mean(nr_free, largest, order)


def _extfrag_mean(nr_free: np.ndarray, largest: np.ndarray, order: int) -> float:
    """Mean over the samples in which a request would have failed; NaN if there were none."""
    failing = nr_free[(largest < order) & (largest >= 0)]
    if failing.size == 0:
        return float("nan")
    pages = (failing << np.arange(NR_ORDERS)).sum(axis=1)
    blocks = failing.sum(axis=1)
    index = 1000 - (1000 + pages * 1000 // (1 << order)) // blocks
    return float(index.mean()) / 1000.0


def _reclaim(found: dict[str, float], zone: Zone, count: Counts) -> None:
    measured_ns = zone.settings.clock.measure_ns
    for who in Reclaimer:
        name = who.name.lower()
        found[f"{name}_scanned_pages"] = count["scanned"][who]
        found[f"{name}_reclaimed_pages"] = count["reclaimed"][who]
    found["reclaimed_pages"] = count["reclaimed"].sum()
    # Pages the LRU order freed for each order-3 block that came together, for whatever reason.
    found["reclaimed_pages_per_order3_block"] = _ratio(count["reclaimed"].sum(), count["formed"][3])
    found["slab_reclaimed_pages"] = count["slab_reclaimed"]
    found["deactivated_pages"] = count["deactivated"]
    found["activated_pages"] = count["activated"]
    found["written_pages"] = count["written"]
    found["swapped_out_pages"] = count["swapped_out"]
    found["kswapd_wakeups"] = count["wakeups"]
    found["kswapd_wakeups_refused"] = count["wakeups_refused"]
    found["blockless_requests"] = count["blockless"]
    found["blockless_kswapd_rests_ratio"] = _ratio(count["blockless_rests"], count["blockless"])
    found["blockless_above_low_asked"] = count["blockless_asked"]
    found["blockless_above_low_woken"] = count["blockless_woken"]
    found["blockless_above_low_woken_ratio"] = _ratio(
        count["blockless_woken"], count["blockless_asked"]
    )
    found["kswapd_busy_share"] = count["kswapd_ns"] / measured_ns
    found["oom_kills"] = count["oom"]
    found["defrag_runs"] = count["defrag_runs"]
    found["defrag_scanned_pages"] = count["defrag_scanned"]
    found["defrag_blocks"] = count["defrag_blocks"]
    found["defrag_evicted_pages"] = count["defrag_evicted"]
    found["defrag_migrated_pages"] = count["defrag_migrated"]
    found["defrag_moved_pages"] = count["defrag_evicted"] + count["defrag_migrated"]
    found["defrag_pages_per_block"] = _ratio(
        count["defrag_evicted"] + count["defrag_migrated"], count["defrag_blocks"]
    )
    found["defrag_written_pages"] = count["defrag_written"]
    found["defrag_busy_ms"] = count["defrag_ns"] / 1e6


def _cures(found: dict[str, float], zone: Zone, count: Counts) -> None:
    moved = count["defrag_evicted"] + count["defrag_migrated"] + count["compact_migrated"]
    found["moved_pages"] = moved
    # The external fragmentation events of mmtests: mm_page_alloc_extfrag below pageblock_order.
    found["stolen_blocks"] = count["stolen"]
    found["boosts"] = count["boosts"]
    found["recycled_buffers"] = count["recycled"]
    found["reserved_pages_end"] = zone.own["nr_reserved"]
    found["compact_stalls"] = count["compact_stalls"]
    found["compact_deferred"] = count["compact_deferred"]
    found["compact_skipped"] = count["compact_skipped"]
    found["compact_successes"] = count["compact_successes"]
    found["compact_failures"] = count["compact_failures"]
    found["compact_migrated_pages"] = count["compact_migrated"]
    found["compact_scanned_pages"] = count["compact_scanned"]
    found["compact_busy_ms"] = count["compact_ns"] / 1e6
    found["kcompactd_wakeups"] = count["kcompactd_wakeups"]
    found["kcompactd_busy_ms"] = count["kcompactd_ns"] / 1e6
    _unmovable(found, zone)


def _unmovable(found: dict[str, float], zone: Zone) -> None:
    """Where kernel pages lie at the end, and whole blocks of 2 MB that are free."""
    pages = zone.settings.memory.pages
    rows = zone.frame[:pages]
    starts = np.flatnonzero(rows["home"] == Home.KERNEL)
    sizes = np.int64(1) << rows["order"][starts]
    edges = np.zeros(pages + 1, np.int64)
    np.add.at(edges, starts, 1)
    np.add.at(edges, starts + sizes, -1)
    unmovable = edges.cumsum()[:pages] > 0
    blocks = pages >> _HUGE_ORDER
    touched = unmovable[: blocks << _HUGE_ORDER].reshape(-1, 1 << _HUGE_ORDER).any(axis=1)
    found["unmovable_share_end"] = unmovable.mean()
    found["unmovable_blocks_share_end"] = touched.mean() if blocks else float("nan")
    nr_free = zone.nr_free
    found["huge_free_blocks_end"] = nr_free[_HUGE_ORDER] + 2 * nr_free[_HUGE_ORDER + 1]


def _users(found: dict[str, float], settings: Settings, count: Counts) -> None:
    measured_ns = settings.clock.measure_ns
    found["touches"] = count["touches"]
    found["events"] = count["touches"] + count["events"]
    found["first_faults"] = count["first_faults"]
    found["minor_faults"] = count["minor_faults"]
    found["refaults"] = count["refaults"]
    found["refaults_after_defrag"] = count["refaults_after_defrag"]
    found["refault_ratio"] = _ratio(count["refaults"], count["touches"])
    # The load is open: what refaults would have cost is set beside the time that passed.
    found["time_lost_share"] = count["lost_ns"] / (count["lost_ns"] + measured_ns)
    found["forks"] = count["forks"]
    found["forks_refused"] = count["forks_refused"]
    found["exits"] = count["exits"]
    arrived = count["frames_received"] + count["frames_dropped"]
    to_send = count["frames_sent"] + count["frames_unsent"]
    found["frames_received"] = count["frames_received"]
    found["frames_dropped"] = count["frames_dropped"]
    found["frames_dropped_ratio"] = _ratio(count["frames_dropped"], arrived)
    found["frames_sent"] = count["frames_sent"]
    found["frames_unsent"] = count["frames_unsent"]
    found["frames_unsent_ratio"] = _ratio(count["frames_unsent"], to_send)
