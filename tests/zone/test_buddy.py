"""The compiled buddy allocator against the obvious one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from study.zone.mm.linux_2_6.buddy import free_block, take_block
from study.zone.mm.linux_2_6.percpu import batch_pages, free_page, take_page
from study.zone.settings import Memory, Settings
from study.zone.trial.verify import verify
from study.zone.trial.zone import Zone
from tests.zone.reference import ORDERS, Buddy, PerCpu


def empty_zone(pages: int, percpu: bool = False) -> Zone:
    memory = Memory(pages=pages, lowmem_pages=pages, reserved_pages=0, percpu_lists=percpu)
    return Zone(Settings(memory=memory), empty=True)


def free_lists(zone: Zone) -> list[list[int]]:
    """The free lists as the zone has them, first block first."""
    head = int(zone.own["head"])
    lists = []
    for order in range(ORDERS):
        blocks, pfn = [], int(zone.frame[head + order]["next"])
        while pfn != head + order:
            blocks.append(pfn)
            pfn = int(zone.frame[pfn]["next"])
        lists.append(blocks)
    return lists


def filled(pages: int) -> tuple[Zone, Buddy]:
    """A zone and its model with every page freed in ascending order."""
    zone, model = empty_zone(pages), Buddy(pages)
    for pfn in range(pages):
        free_block(zone.state, pfn, 0)
        model.give(pfn, 0)
    return zone, model


@settings(max_examples=60)
@given(
    pages=st.sampled_from([1, 2, 3, 7, 64, 1000, 1024, 1025, 2048]),
    steps=st.lists(
        st.tuples(st.booleans(), st.integers(0, 10), st.integers(0, 10_000)), max_size=120
    ),
)
def test_the_same_operations_leave_the_same_lists(
    pages: int, steps: list[tuple[bool, int, int]]
) -> None:
    """Every request gets the model's pfn, and the ordered free lists agree after every step."""
    zone, model = filled(pages)
    held: list[tuple[int, int]] = []
    for take, order, pick in steps:
        if take or not held:
            pfn = take_block(zone.state, order)
            assert pfn == model.take(order)
            if pfn >= 0:
                held.append((pfn, order))
        else:
            pfn, held_order = held.pop(pick % len(held))
            free_block(zone.state, pfn, held_order)
            model.give(pfn, held_order)
        assert free_lists(zone) == model.free
        assert zone.free == model.free_pages
        assert list(zone.nr_free) == [len(blocks) for blocks in model.free]


@settings(max_examples=20)
@given(
    steps=st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 10_000)), max_size=300)
)
def test_the_percpu_lists_refill_and_drain_as_the_model_does(
    steps: list[tuple[bool, bool, int]],
) -> None:
    """Order-0 pages by way of the hot and cold lists come and go as in the model."""
    pages = 8192
    zone = empty_zone(pages, percpu=True)
    model = PerCpu(Buddy(pages), batch_pages(pages))
    for pfn in range(pages):
        free_page(zone.state, pfn, False)
        model.give(pfn, False)
    held: list[int] = []
    for take, cold, pick in steps:
        if take or not held:
            pfn = take_page(zone.state, cold)
            assert pfn == model.take(cold)
            held.append(pfn)
        else:
            pfn = held.pop(pick % len(held))
            free_page(zone.state, pfn, cold)
            model.give(pfn, cold)
        assert (zone.own["nr_hot"], zone.own["nr_cold"]) == (
            len(model.lists[False]),
            len(model.lists[True]),
        )
    assert free_lists(zone) == model.buddy.free


@pytest.mark.parametrize("cold", [False, True])
def test_a_full_percpu_list_sheds_its_oldest_batch(cold: bool) -> None:
    """Hot holds six batches and cold two; forty frees leave the model's lists at every step."""
    pages = 8192
    zone = empty_zone(pages, percpu=True)
    model = PerCpu(Buddy(pages), batch_pages(pages))
    for pfn in range(pages):
        free_block(zone.state, pfn, 0)
        model.buddy.give(pfn, 0)
    held = [take_block(zone.state, 0) for _ in range(40)]
    assert held == [model.buddy.take(0) for _ in range(40)]
    for pfn in held:
        free_page(zone.state, pfn, cold)
        model.give(pfn, cold)
        assert zone.own["nr_cold" if cold else "nr_hot"] == len(model.lists[cold])
        assert free_lists(zone) == model.buddy.free


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_pages_freed_in_any_order_make_maximal_blocks(seed: int) -> None:
    """Freeing all of 4096 pages one by one leaves four blocks of order 10 and nothing else."""
    zone = empty_zone(4096)
    for pfn in np.random.default_rng(seed).permutation(4096):
        free_block(zone.state, int(pfn), 0)

    assert list(zone.nr_free) == [0] * 10 + [4]
    verify(zone)


def test_single_pages_come_out_of_a_block_in_ascending_order() -> None:
    """One order-10 block serves 1024 order-0 requests as 0, 1, 2, ... 1023."""
    zone, _ = filled(1024)

    assert [take_block(zone.state, 0) for _ in range(1024)] == list(range(1024))
    assert take_block(zone.state, 0) == -1


def test_the_first_requests_after_boot_come_from_the_top(
    quiet: Callable[..., Settings],
) -> None:
    """Boot frees upward and lists are LIFO: the highest 4 MB are served first, ascending."""
    zone = Zone(
        quiet(
            4096, memory=Memory(pages=4096, lowmem_pages=4096, reserved_pages=0, percpu_lists=False)
        )
    )

    assert free_lists(zone)[10] == [3072, 2048, 1024, 0]
    assert [take_block(zone.state, 0) for _ in range(3)] == [3072, 3073, 3074]


@pytest.mark.parametrize(("megabytes", "batch"), [(880, 16), (64, 4), (16, 1), (1, 1), (4096, 16)])
def test_percpu_batches_are_the_kernels(megabytes: int, batch: int) -> None:
    """A quarter of a thousandth of the zone, at most 16 pages, at least 1."""
    assert batch_pages(megabytes * 256) == batch
