"""What comparing within replicates is worth: how many times fewer of them a difference needs.

The variance that the difference of two independent sides would have, over that of the paired one.
Its interval is a bootstrap over replicates (SciPy), both sides of a replicate drawn together.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from study.intervals import CONFIDENCE

if TYPE_CHECKING:
    from study.intervals import Array

RESAMPLES = 1_000
REPLICATES_LEAST = 5


@np.errstate(all="ignore")
def pairing_factor(left: Array, right: Array) -> tuple[float, float, float]:
    """The factor and its 95 % interval.

    Parameters
    ----------
    left, right
        One value a replicate, in the same order.

    Returns
    -------
    tuple of float
        Factor, low, high; NaN where a side or the difference has no spread, or there are fewer than
        five replicates.
    """
    from scipy import stats

    nan = float("nan")
    spreads = [float(np.ptp(values)) if len(values) else 0.0 for values in (left, right)]
    if len(left) < REPLICATES_LEAST or min(spreads) == 0 or np.ptp(left - right) == 0:
        return nan, nan, nan

    # A power of two changes no digit, and squares stay within the range of numbers.
    exponent = int(np.frexp(np.abs([left, right]).max())[1])
    left, right = np.ldexp(left, -exponent), np.ldexp(right, -exponent)

    def factor(one: Array, other: Array, axis: int = -1) -> Array:
        apart = one.var(axis=axis, ddof=1) + other.var(axis=axis, ddof=1)
        found: Array = apart / (one - other).var(axis=axis, ddof=1)
        return found

    with warnings.catch_warnings():
        # A draw of one replicate over and over has no variance; it is left out below.
        warnings.simplefilter("ignore")
        drawn = stats.bootstrap(
            (left, right),
            factor,
            paired=True,
            vectorized=True,
            n_resamples=RESAMPLES,
            method="percentile",
            rng=np.random.default_rng(0),
        ).bootstrap_distribution
    tail = (1 - CONFIDENCE) / 2
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return nan, nan, nan
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return float(factor(left, right)), float(low), float(high)
