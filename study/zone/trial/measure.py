"""What a trial measured: samples over time, and the metrics as metrics.py declares them."""

from __future__ import annotations

from typing import Any

import numpy as np

from study.zone.engine.enums import Home
from study.zone.settings import NR_ORDERS
from study.zone.trial.indices import HUGE_ORDER, huge_blocks, unusable_indices
from study.zone.trial.metrics import COLUMNS, Result
from study.zone.trial.zone import Zone

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
        ("dma_free_pages", "i4"),
    ]
)


def sample(zone: Zone, phase: int, row: np.void) -> None:
    """Write down the state of the zones as /proc would show it, into a row of dtype SAMPLE.

    All but what is DMA's by its name is of the first zone.
    """
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
    row["dma_free_pages"] = zone.dma["free"]


def measure(zone: Zone, samples: np.ndarray) -> dict[str, float]:
    """All metrics of the measured phase.

    Parameters
    ----------
    zone
        As the phase has left it.
    samples
        Rows of dtype SAMPLE, of the measured phase only, at least one.

    Returns
    -------
    dict[str, float]
        By name, in the order of the columns; those of tests that come afterwards are left out.
    """
    values = zone.count | _of_samples(samples) | _of_zone(zone)
    return {
        name: column.value(values)
        for name, column in COLUMNS.items()
        if not isinstance(column.metric, Result)
    }


def _of_samples(samples: np.ndarray) -> dict[str, Any]:
    """What changes from sample to sample, by name; of what there is for each order, (11, samples).

    extfrag_index is a mean already.
    """
    nr_free = samples["nr_free"].astype(np.int64)
    present = nr_free > 0
    largest = np.where(present.any(axis=1), NR_ORDERS - 1 - present[:, ::-1].argmax(axis=1), -1)
    return {
        "free_pages": samples["free_pages"],
        "dma_free_pages": samples["dma_free_pages"],
        "free_blocks": nr_free.T,
        "largest_free_order": largest,
        "absent": largest < np.arange(NR_ORDERS)[:, np.newaxis],
        "unusable_index": (unusable_indices(nr_free) / 1000.0).T,
        "extfrag_index": [_extfrag_mean(nr_free, largest, order) for order in range(NR_ORDERS)],
    }


def _extfrag_mean(nr_free: np.ndarray, largest: np.ndarray, order: int) -> float:
    """Mean over the samples in which a request would have failed; NaN if there were none."""
    failing = nr_free[(largest < order) & (largest >= 0)]
    if failing.size == 0:
        return float("nan")
    pages = (failing << np.arange(NR_ORDERS)).sum(axis=1)
    blocks = failing.sum(axis=1)
    index = 1000 - (1000 + pages * 1000 // (1 << order)) // blocks
    return float(index.mean()) / 1000.0


def _of_zone(zone: Zone) -> dict[str, Any]:
    """What is read off the zone as it stands, by name."""
    unmovable = _unmovable(zone)
    blocks = zone.pages >> HUGE_ORDER
    touched = unmovable[: blocks << HUGE_ORDER].reshape(-1, 1 << HUGE_ORDER).any(axis=1)
    return {
        "measure_ns": zone.settings.clock.measure_ns,
        "dma_reclaimed": zone.dma["count"]["reclaimed"],
        "nr_reserved": zone.own["nr_reserved"],
        "unmovable": unmovable.mean(),
        "unmovable_blocks": touched.mean() if blocks else float("nan"),
        "huge_free_blocks": huge_blocks(zone.nr_free),
    }


def _unmovable(zone: Zone) -> np.ndarray:
    """Which pages are the kernel's, a bool each."""
    rows = zone.frame[: zone.pages]
    starts = np.flatnonzero(rows["home"] == Home.KERNEL)
    sizes = np.int64(1) << rows["order"][starts]
    edges = np.zeros(zone.pages + 1, np.int64)
    np.add.at(edges, starts, 1)
    np.add.at(edges, starts + sizes, -1)
    unmovable: np.ndarray = edges.cumsum()[: zone.pages] > 0
    return unmovable
