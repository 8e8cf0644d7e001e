"""What comparing within replicates is worth: how many times fewer of them a difference needs.

The variance that the difference of two independent sides would have, over that of the paired one.
Its interval is a bootstrap over replicates (SciPy), both sides of a replicate drawn together.
"""

from __future__ import annotations

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

    def factor(one: Array, other: Array, axis: int = -1) -> Array:
        apart = one.var(axis=axis, ddof=1) + other.var(axis=axis, ddof=1)
        found: Array = apart / (one - other).var(axis=axis, ddof=1)
        return found

    interval = stats.bootstrap(
        (left, right),
        factor,
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(factor(left, right)), float(interval.low), float(interval.high)
