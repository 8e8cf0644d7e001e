"""Marks, the order test, and who may go how far below."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.zone.engine.enums import Gfp
from study.zone.engine.record import MACHINE
from study.zone.marks import marks_of
from study.zone.mm.linux_2_6.watermark import (
    after_failed_reclaim_ok,
    after_reclaim_ok,
    balanced,
    first_pass_ok,
    kswapd_needed,
    second_pass_ok,
    watermark_ok,
)
from study.zone.settings import AllocationPath, KswapdPolicy, Marks
from study.zone.trial.indices import extfrag_index, unusable_index, unusable_indices
from tests.zone import reference

pytestmark = pytest.mark.quick

ARTICLE = [258, 9, 5, 0, 1, 2, 0, 1, 1, 0, 0]


def record(nr_free: list[int], marks: tuple[int, int, int] = (234, 468, 702), **fields: int):
    """A bare record with free blocks and marks."""
    z = np.zeros(1, MACHINE)[0]
    z["zone"]["nr_free"] = nr_free
    z["zone"]["free"] = sum(n << order for order, n in enumerate(nr_free))
    z["zone"]["min"], z["zone"]["low"], z["zone"]["high"] = marks
    for name, value in fields.items():
        z[name] = value
    return z


@pytest.mark.parametrize(
    ("ram_mb", "old", "new", "dma_old", "dma_new"),
    [
        (64, (48, 96, 144), (192, 240, 288), (16, 32, 48), (64, 80, 96)),
        (128, (78, 156, 234), (316, 395, 474), (11, 22, 33), (45, 56, 67)),
        (256, (120, 240, 360), (480, 600, 720), (8, 16, 24), (32, 40, 48)),
        (512, (175, 350, 525), (701, 876, 1051), (5, 10, 15), (22, 27, 33)),
        (896, (234, 468, 702), (939, 1173, 1408), (4, 8, 12), (17, 21, 25)),
    ],
)
def test_marks_of_an_i386_machine(
    ram_mb: int,
    old: tuple[int, ...],
    new: tuple[int, ...],
    dma_old: tuple[int, ...],
    dma_new: tuple[int, ...],
) -> None:
    """min, low, high of DMA and Normal, by the formulas of 2.6.8 and of 2.6.10."""
    lowmem, dma = ram_mb * 256, 4096

    assert marks_of(Marks.V2_6_8, lowmem - dma, lowmem) == old
    assert marks_of(Marks.V2_6_10, lowmem - dma, lowmem) == new
    assert marks_of(Marks.V2_6_8, dma, lowmem) == dma_old
    assert marks_of(Marks.V2_6_10, dma, lowmem) == dma_new


@given(lowmem=st.integers(1, 1 << 24), share=st.floats(0.01, 1.0), new=st.booleans())
def test_marks_follow_the_formula_for_any_size(lowmem: int, share: float, new: bool) -> None:
    """marks_of agrees with the formula written a second time."""
    present = max(1, int(lowmem * share))

    assert marks_of(Marks(int(new)), present, lowmem) == reference.marks(lowmem, present, new)


@given(
    nr_free=st.lists(st.integers(0, 60), min_size=11, max_size=11),
    order=st.integers(0, 10),
    mark=st.integers(0, 2000),
    high=st.booleans(),
    harder=st.booleans(),
)
def test_the_order_test_has_its_closed_form(
    nr_free: list[int], order: int, mark: int, high: bool, harder: bool
) -> None:
    """Taking smaller blocks off and halving the mark is the same as bounding each U(j)."""
    z = record(nr_free)

    assert watermark_ok(z, order, mark, high, harder) == reference.order_test(
        nr_free, order, mark, high, harder
    )


@pytest.mark.parametrize(
    ("mark", "high", "harder", "largest"),
    [
        (702, False, False, 5),
        (468, False, False, 7),
        (234, True, True, 8),
        (939, False, False, -1),
        (939, True, True, 7),
    ],
)
def test_the_articles_buddyinfo_passes_up_to(
    mark: int, high: bool, harder: bool, largest: int
) -> None:
    """On the article's machine even the order-aware kswapd rests for orders up to 5."""
    z = record(ARTICLE)

    assert [watermark_ok(z, order, mark, high, harder) for order in range(11)] == [
        order <= largest for order in range(11)
    ]


@pytest.mark.parametrize(
    ("path", "test", "wait", "high", "least"),
    [
        # 2.6.8: pages_low is the reserve; only __GFP_HIGH gets a quarter of it; min is not asked.
        (AllocationPath.V2_6_8, "first", True, False, 468 + 1),
        (AllocationPath.V2_6_8, "first", False, True, 468 + 1),
        (AllocationPath.V2_6_8, "second", True, False, 468 + 1),
        (AllocationPath.V2_6_8, "second", False, True, 468 - 117 + 1),
        (AllocationPath.V2_6_8, "after", True, False, 468 + 1),
        # 2.6.9: pass 2 goes to min; HIGH halves it, not waiting takes off a quarter of that.
        (AllocationPath.V2_6_9, "first", True, False, 468 + 1),
        (AllocationPath.V2_6_9, "second", True, False, 234 + 1),
        (AllocationPath.V2_6_9, "second", False, True, 117 - 29 + 1),
        (AllocationPath.V2_6_9, "after", True, False, 234 + 1),
        # 2.6.11: the same marks by the order test, which is strict.
        (AllocationPath.V2_6_11, "first", True, False, 468 + 1),
        (AllocationPath.V2_6_11, "second", True, False, 234 + 1),
        (AllocationPath.V2_6_11, "second", False, True, 234 - 117 - 29 + 1),
        (AllocationPath.V2_6_11, "after", True, False, 234 + 1),
    ],
)
def test_who_may_dip_how_far(
    path: AllocationPath, test: str, wait: bool, high: bool, least: int
) -> None:
    """An order-0 request passes with exactly so many free pages and not with one fewer."""

    def passes(free: int) -> bool:
        z = record([free] + [0] * 10, allocation=int(path))
        if test == "first":
            return bool(first_pass_ok(z, 0, wait))
        if test == "second":
            return bool(second_pass_ok(z, 0, wait, high))
        return bool(after_reclaim_ok(z, 0, high))

    assert passes(least)
    assert not passes(least - 1)


@pytest.mark.parametrize(
    ("path", "test", "order", "wait", "least"),
    [
        # The pages of the block come on top; who cannot sleep may also go by high (2.6.8).
        (AllocationPath.V2_6_8, "first", 3, True, 468 + 8),
        (AllocationPath.V2_6_8, "first", 9, True, 468 + 512),
        (AllocationPath.V2_6_8, "first", 9, False, 702),
        (AllocationPath.V2_6_8, "second", 9, True, 468 + 512),
        (AllocationPath.V2_6_8, "second", 3, False, 468 - 117 + 8),
        (AllocationPath.V2_6_8, "second", 9, False, 702),
        (AllocationPath.V2_6_8, "after", 9, True, 468 + 512),
        (AllocationPath.V2_6_9, "first", 9, False, 468 + 512),
        (AllocationPath.V2_6_9, "second", 9, False, 117 - 29 + 512),
        (AllocationPath.V2_6_9, "after", 9, True, 234 + 512),
    ],
)
def test_a_block_counts_on_top_of_the_marks(
    path: AllocationPath, test: str, order: int, wait: bool, least: int
) -> None:
    """Before the order test only the number of free pages matters, whatever they form."""

    def passes(free: int) -> bool:
        z = record([free] + [0] * 10, allocation=int(path))
        if test == "first":
            return bool(first_pass_ok(z, order, wait))
        if test == "second":
            return bool(second_pass_ok(z, order, wait, not wait))
        return bool(after_reclaim_ok(z, order, False))

    assert passes(least)
    assert not passes(least - 1)


@pytest.mark.parametrize("path", [AllocationPath.V2_6_8, AllocationPath.V2_6_9])
def test_reclaim_in_vain_is_tested_at_high_from_2_6_11_on(path: AllocationPath) -> None:
    """Before, who reclaimed in vain is tested as who did not; then only free memory helps."""

    def passes(path: AllocationPath, free: int) -> bool:
        z = record([free] + [0] * 10, allocation=int(path))
        return bool(after_failed_reclaim_ok(z, 0, False))

    assert passes(AllocationPath.V2_6_11, 702 + 1)
    assert not passes(AllocationPath.V2_6_11, 702)
    least = 468 + 1 if path == AllocationPath.V2_6_8 else 234 + 1
    assert passes(path, least)
    assert not passes(path, least - 1)


def test_with_later_marks_an_atomic_request_may_use_three_eighths_of_min() -> None:
    """1 GB, 2.6.10 marks: GFP_ATOMIC of order 0 needs 353 free pages."""
    marks = (939, 1173, 1408)

    for free, passes in ((353, True), (352, False)):
        z = record([free] + [0] * 10, marks, allocation=int(AllocationPath.V2_6_9))
        assert second_pass_ok(z, 0, False, True) == passes


def test_the_2_6_8_kswapd_is_not_woken_while_pages_are_free_in_small_pieces() -> None:
    """Free above low and no order-3 block: the order-blind test finds nothing to do."""
    z = record([600] + [0] * 10)

    assert not kswapd_needed(z, 3)
    z["kswapd_policy"] = KswapdPolicy.ORDER_AWARE
    assert kswapd_needed(z, 3)
    assert not balanced(z, 3)


@pytest.mark.parametrize(
    ("nr_free", "order", "expected"),
    [
        ([1000], 3, 874),
        ([500, 100, 20], 3, 842),
        ([10], 3, 775),
        ([7], 3, 733),
        ([1], 9, -1),
        ([0], 3, 0),
        ([0, 0, 0, 1], 3, -1000),
    ],
)
def test_external_fragmentation_index(nr_free: list[int], order: int, expected: int) -> None:
    """Known values of fragmentation_index, in thousandths."""
    assert extfrag_index(nr_free + [0] * (11 - len(nr_free)), order) == expected


def test_unusable_index_of_the_article() -> None:
    """339, 363, 389, 389 thousandths for orders 1 to 4; 1000 for 9 and 10; 1000 if nothing free."""
    assert [unusable_index(ARTICLE, order) for order in (1, 2, 3, 4, 9, 10)] == [
        339,
        363,
        389,
        389,
        1000,
        1000,
    ]
    assert unusable_index([0] * 11, 0) == 1000
    assert list(unusable_indices(np.array([ARTICLE]))[0]) == [
        unusable_index(ARTICLE, order) for order in range(11)
    ]


@pytest.mark.parametrize("gfp", [Gfp.ATOMIC, Gfp.KERNEL])
def test_request_flags_are_the_kernels(gfp: Gfp) -> None:
    """mode:0x20 and mode:0xd0 of the failure logs."""
    assert {Gfp.ATOMIC: 0x20, Gfp.KERNEL: 0xD0}[gfp] == int(gfp)
