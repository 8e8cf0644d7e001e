"""Intervals of means that do not trust the spread they have seen too much."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from study.intervals import mean_interval, mean_tests

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (81, 263, 0.2527, 0.3676),
        (15, 148, 0.0578, 0.1617),
        (0, 20, 0.0, 0.1684),
        (1, 29, 0.0009, 0.1776),
    ],
)
def test_zeros_and_ones_get_the_exact_interval(
    successes: int, n: int, low: float, high: float
) -> None:
    """Newcombe (1998, Statistics in Medicine 17:857), table I, method 5: Clopper and Pearson."""
    found = mean_interval(np.array([1.0] * successes + [0.0] * (n - successes)), share=True)

    assert (float(found.low), float(found.high)) == pytest.approx((low, high), abs=5e-5)


def test_where_values_lie_evenly_the_interval_is_students() -> None:
    """Far from the ends, without a usual value and without skew, nothing is added to Student's
    t.
    """
    values = np.array([3.0, 4.5, 5.0, 5.5, 7.0])
    found = mean_interval(values)

    expected = stats.t.interval(0.95, 4, values.mean(), stats.sem(values))
    assert (float(found.low), float(found.high)) == pytest.approx(expected)


def test_three_equal_results_do_not_end_a_study() -> None:
    """Three trials that served all leave room for a rate of 30 %, where Student sees no doubt."""
    found = mean_interval(np.array([1.0, 1.0, 1.0]), share=True)

    assert float(found.low) == pytest.approx(0.2924, abs=5e-5)
    assert float(found.half_width) > 0.7


def test_rare_outliers_widen_the_interval() -> None:
    """One trial in twenty that differs may be one in four: the interval allows for it."""
    values = np.array([0.0] * 19 + [100.0])
    found = mean_interval(values)

    assert float(found.high) >= 100 * 0.2487
    assert bool(found.sparse)
    assert bool(found.few)


def test_the_skew_is_scipys() -> None:
    """The third moment is worked out here for its time alone: it is scipy's, free of bias."""
    values = np.random.default_rng(3).exponential(1, (4, 12))
    found = mean_interval(values)

    assert found.skew == pytest.approx(stats.skew(values, axis=-1, bias=False))
    assert found.skewed.tolist() == (found.skew**2 > 1.2).tolist()


@given(st.lists(st.floats(-1e3, 1e3), min_size=5, max_size=30), st.floats(-1e3, 1e3))
def test_the_interval_is_the_test_turned_round(values: list[float], point: float) -> None:
    """A mean outside the 95 % interval is refused at 2.5 % on that side, one inside is not.

    Of values that are mostly one and the same the interval is wider than the test.
    """
    numbers = np.array(values)
    found = mean_interval(numbers)
    usual = np.sort(numbers)[len(numbers) // 2]
    assume(2 * (numbers != usual).sum() > len(numbers) and np.ptp(numbers) > 1e-6)
    near = 1e-9 * (1 + np.abs(numbers).max())
    assume(min(abs(point - found.low), abs(point - found.high)) > near)
    larger, smaller = mean_tests(numbers - point)

    assert bool(larger <= 0.025) == bool(point < found.low)
    assert bool(smaller <= 0.025) == bool(point > found.high)


@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=30),
    st.booleans(),
)
def test_an_interval_holds_its_mean(values: list[float], share: bool) -> None:
    """Whatever the values, low <= mean <= high, and a share stays in [0, 1]."""
    found = mean_interval(np.array(values), share=share)

    assert found.low <= found.mean + 1e-12
    assert found.mean <= found.high + 1e-12
    if share:
        assert found.low >= 0
        assert found.high <= 1


@pytest.mark.parametrize("tiny", [1e-300, 1e-310, 5e-324])
def test_a_share_of_next_to_nothing_has_an_interval(tiny: float) -> None:
    """As one of nothing has."""
    found = mean_interval(np.full(6, tiny), share=True)
    none = mean_interval(np.zeros(6), share=True)
    assert 0 <= found.low <= tiny
    assert found.high == pytest.approx(float(none.high), abs=0.5)


@given(
    st.lists(st.sampled_from([-2.0, -1.0, 0.0, 0.0, 0.0, 0.5, 1.0, 3.0]), min_size=2, max_size=14)
)
def test_the_interval_of_the_opposite_is_the_opposite(values: list[float]) -> None:
    """`a more than b` and `b less than a` say the same, also where half of all replicates tie."""
    numbers = np.array(values)
    found, opposite = mean_interval(numbers), mean_interval(-numbers)

    assert (opposite.low, opposite.high) == pytest.approx((-found.high, -found.low))
    for name in ("equal", "sparse", "few", "skewed"):
        assert getattr(found, name) == getattr(opposite, name), name
