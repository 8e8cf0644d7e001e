"""How many random pages must be freed before the first block appears, and what churn leaves.

The first is Linus Torvalds's simulation in the thread behind the article (5 September 2004). With a
share p of N pages freed independently, the chance that some order-k block is wholly free is
1 - (1 - p ** 2**k) ** (N / 2**k), so quantile q of the share freed at first success is
(1 - (1 - q) ** (2**k / N)) ** (1 / 2**k).
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from study.zone.buddy import free_block, take_block
from study.zone.settings import NR_ORDERS, Memory, Settings
from study.zone.zone import Zone

TRIALS = 200
ALARM = 1e-4
"""Chance that one of these tests fails although the allocator is right, for a new seed."""


def empty_zone(pages: int) -> Zone:
    memory = Memory(pages=pages, lowmem_pages=pages, reserved_pages=0, percpu_lists=False)
    return Zone(Settings(memory=memory), empty=True)


def freed_until_block(pages: int, order: int, random: np.random.Generator) -> int:
    """Free single pages in random order until a block of the order is free; how many it took."""
    zone = empty_zone(pages)
    for freed, pfn in enumerate(random.permutation(pages), start=1):
        free_block(zone.state, int(pfn), 0)
        if zone.state["nr_free"][order:].any():
            return freed
    raise AssertionError("all pages are free and no block formed")


@pytest.mark.parametrize("megabytes", [4, 16])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_random_freeing_meets_the_closed_form(megabytes: int, order: int) -> None:
    """A tenth, half and nine tenths of the trials lie below the formula's quantiles.

    Binomial tests, the false-alarm rate shared among the three; a page is allowed for rounding.
    """
    pages = megabytes * 256
    random = np.random.default_rng([megabytes, order])
    freed = np.array([freed_until_block(pages, order, random) for _ in range(TRIALS)])
    for q in (0.1, 0.5, 0.9):
        share = (1 - (1 - q) ** (2**order / pages)) ** (1 / 2**order)
        below = int((freed <= np.ceil(share * pages)).sum())
        assert stats.binomtest(below, TRIALS, q).pvalue > ALARM / 3, (q, share * pages)


def test_huge_blocks_do_not_come_back_under_churn() -> None:
    """LLFree's test: in a half-full zone, freeing and taking a random tenth wins back no 2 MB."""
    pages, random = 64 * 512, np.random.default_rng(7)
    zone = empty_zone(pages)
    for pfn in range(0, pages, 1 << (NR_ORDERS - 1)):
        free_block(zone.state, pfn, NR_ORDERS - 1)
    held = np.array([take_block(zone.state, 0) for _ in range(pages)])
    for pfn in random.permutation(held)[: pages // 2]:
        free_block(zone.state, int(pfn), 0)
    held = np.flatnonzero(~np.isin(np.arange(pages), free_pages(zone)))

    def huge() -> int:
        nr_free = zone.state["nr_free"]
        return int(nr_free[9] + 2 * nr_free[10])

    before = huge()
    for _ in range(20):
        held = random.permutation(held)
        out, kept = held[: len(held) // 10], held[len(held) // 10 :]
        for pfn in out:
            free_block(zone.state, int(pfn), 0)
        held = np.append(kept, [take_block(zone.state, 0) for _ in out])

    assert huge() <= before + 1


def free_pages(zone: Zone) -> np.ndarray:
    """Every pfn inside a free block."""
    heads = np.flatnonzero(zone.frame["home"][: zone.state["pages"]] == 1)
    return np.concatenate([np.arange(p, p + (1 << int(zone.frame[p]["order"]))) for p in heads])
