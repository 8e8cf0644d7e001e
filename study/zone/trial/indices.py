"""How fragmented the free memory of a zone is: the kernel's two indices, to the last digit.

mm/vmstat.c, 2.6.36: fragmentation_index and unusable_free_index, in thousandths, integer
arithmetic as there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from study.zone.settings import NR_ORDERS

HUGE_ORDER = 9
"""2 MB: a huge page of x86-64, whatever the zone's pageblocks are."""


def _free_blocks_pages_suitable(nr_free: Sequence[int], order: int) -> tuple[int, int, int]:
    counts = [int(n) for n in nr_free]
    blocks = sum(counts)
    pages = sum(n << o for o, n in enumerate(counts))
    suitable = sum(n << (o - order) for o, n in enumerate(counts) if o >= order)
    return blocks, pages, suitable


def unusable_index(nr_free: Sequence[int], order: int) -> int:
    """Thousandths of the free memory that no request of this order can use; 1000 if none is free.

    nr_free  free blocks per order, 11 numbers
    """
    _, pages, suitable = _free_blocks_pages_suitable(nr_free, order)
    if pages == 0:
        return 1000
    return (pages - (suitable << order)) * 1000 // pages


def extfrag_index(nr_free: Sequence[int], order: int) -> int:
    """Why a request of this order would fail: toward 0 lack of memory, toward 1000 fragmentation.

    -1000 if it would not fail; 0 if nothing at all is free.
    """
    blocks, pages, suitable = _free_blocks_pages_suitable(nr_free, order)
    if blocks == 0:
        return 0
    if suitable:
        return -1000
    return 1000 - (1000 + pages * 1000 // (1 << order)) // blocks


def unusable_indices(nr_free: np.ndarray) -> np.ndarray:
    """unusable_index of many samples at once: (samples, 11) counts -> (samples, 11) thousandths."""
    orders = np.arange(NR_ORDERS)
    pages_in = nr_free.astype(np.int64) << orders
    pages = pages_in.sum(axis=1, keepdims=True)
    # Pages in blocks of at least each order: a sum from the right.
    usable = pages_in[:, ::-1].cumsum(axis=1)[:, ::-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        index = (pages - usable) * 1000 // np.maximum(pages, 1)
    return np.where(pages == 0, 1000, index)


def huge_blocks(nr_free: np.ndarray) -> int:
    """Free blocks of 2 MB, those within larger ones included.

    Parameters
    ----------
    nr_free
        Free blocks of each order, 11 numbers.
    """
    return sum(int(nr_free[o]) << (o - HUGE_ORDER) for o in range(HUGE_ORDER, NR_ORDERS))
