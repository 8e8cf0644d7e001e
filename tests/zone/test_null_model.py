"""How many random pages must be freed before the first block appears, and what churn leaves.

The first is Linus Torvalds's simulation in the thread behind the article (5 September 2004). With a
share p of N pages freed independently, the chance that some order-k block is wholly free is
1 - (1 - p ** 2**k) ** (N / 2**k), so quantile q of the share freed at first success is
(1 - (1 - q) ** (2**k / N)) ** (1 / 2**k).
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from study.zone.mm.linux_2_6.buddy import free_block, take_block
from study.zone.settings import (
    NR_ORDERS,
    Clock,
    Memory,
    Nic,
    Probe,
    ProbeVictims,
    Processes,
    Settings,
    Slab,
    User,
)
from study.zone.simulate import simulate
from study.zone.trial.zone import Zone

TRIALS = 200
ALARM = 1e-4
"""Chance that one of these tests fails although the allocator is right, for a new seed."""


def full_zone(megabytes: int, order: int) -> Settings:
    """All pages in use and nothing happening; random ones are then freed."""
    pages = megabytes * 256
    return Settings(
        memory=Memory(
            pages=pages,
            lowmem_pages=pages,
            reserved_pages=0,
            percpu_lists=False,
            buddyinfo=(0,) * NR_ORDERS,
        ),
        user=User(working_set_pages=pages, touches_per_s=0.0, drifts_per_s=0.0, deletes_per_s=0.0),
        processes=Processes(forks_per_s=0.0, live_max=1),
        slab=Slab(initial_share=0.0, pages_per_s=0.0),
        nic=Nic(ring=0, rx_frames_per_s=0.0, tx_frames_per_s=0.0),
        clock=Clock(ageing_ns=0, measure_ns=1_000_000, sample_ns=1_000_000),
        probe=Probe(victims=ProbeVictims.RANDOM, order=order, blocks=1),
    )


def quantile(q: float, order: int, pages: int) -> float:
    """Pages freed at first success: the closed form."""
    share: float = (1 - (1 - q) ** (2**order / pages)) ** (1 / 2**order)
    return share * pages


@pytest.mark.parametrize("megabytes", [4, 16, 128])
def test_random_freeing_meets_the_closed_form(megabytes: int) -> None:
    """A tenth, half and nine tenths of the trials lie below the formula's quantiles.

    Binomial tests of the count below, orders 1 to 4, the false-alarm rate shared among them.
    """
    pages = megabytes * 256
    settings = full_zone(megabytes, order=4)
    trials = [simulate(settings, seed=megabytes, replicate=i).metrics for i in range(TRIALS)]
    for order, q in itertools.product((1, 2, 3, 4), (0.1, 0.5, 0.9)):
        freed = np.array([trial[f"probe_order{order}_freed_pages"] for trial in trials])
        # The k-th page makes the block: P(freed <= k) is the formula's at share k / N.
        at = np.floor(quantile(q, order, pages))
        expected = 1 - (1 - (at / pages) ** 2**order) ** (pages / 2**order)
        below = int((freed <= at).sum())
        assert stats.binomtest(below, TRIALS, expected).pvalue > ALARM / 12, (order, q)


def test_the_formula_is_that_of_the_table() -> None:
    """Half of the trials of a 1 GB zone have an order-3 block when 26.0 % of it is free."""
    assert round(100 * quantile(0.5, 3, 1 << 18) / (1 << 18), 1) == 26.0


def test_huge_blocks_do_not_come_back_under_churn() -> None:
    """LLFree's test: in a half-full zone, freeing and taking a random tenth wins back no 2 MB."""
    pages, random = 64 * 512, np.random.default_rng(7)
    memory = Memory(pages=pages, lowmem_pages=pages, reserved_pages=0, percpu_lists=False)
    zone = Zone(Settings(memory=memory), empty=True)
    for pfn in range(0, pages, 1 << (NR_ORDERS - 1)):
        free_block(zone.state, pfn, NR_ORDERS - 1)
    held = np.array([take_block(zone.state, 0) for _ in range(pages)])
    for pfn in random.permutation(held)[: pages // 2]:
        free_block(zone.state, int(pfn), 0)
    held = np.flatnonzero(~np.isin(np.arange(pages), free_pages(zone)))

    def huge() -> int:
        nr_free = zone.nr_free
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
    heads = np.flatnonzero(zone.frame["home"][: zone.pages] == 1)
    return np.concatenate([np.arange(p, p + (1 << int(zone.frame[p]["order"]))) for p in heads])
