"""Intervals of means that do not trust the spread they have seen too much."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from study.statistics.intervals import CONFIDENCE, differing_share, mean_interval
from study.statistics.verdict import DIFFERING_MOST

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


def test_where_values_spread_the_interval_is_students() -> None:
    """Far from the ends, and without a usual value, nothing is added to Student's t."""
    values = np.array([3.0, 4.5, 5.0, 7.25, 1.0])
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

    assert float(found.high) == pytest.approx(100 * 0.2487, abs=0.05)
    assert bool(found.sparse)


def test_nineteen_alike_decide() -> None:
    """The number of equal replicates that decide a claim is the one the exact interval asks for."""
    assert differing_share(19) <= DIFFERING_MOST < differing_share(18)
    assert (1 - DIFFERING_MOST) ** 19 <= 1 - CONFIDENCE < (1 - DIFFERING_MOST) ** 18


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
