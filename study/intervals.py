"""Intervals and tests for means of few trials: the one place that every interval comes from.

summary.csv, contrasts.csv, the tables of axes, plots and verdicts all ask here. Student's t is
right for differences that lie evenly about their mean. Two things it does not see:

Skew. Its interval of ten exponential values holds their mean in 90 % of cases, of lognormal ones in
84 %. Hall (1992, Journal of the Royal Statistical Society B 54:221) takes the third moment out of
t by a cubic that keeps the order; the inverse of the cubic gives the interval. Few values show
less skew than there is, so that theirs is multiplied by 1 + 8.5 / n (Hazen 1930, Flood Flows).
Whichever of Student's and Hall's goes farther is taken, on each side.

What has not been seen yet. Twenty trials that all served every request have no spread, and an
interval of no width would end a study whose true rate is 97 %. So:

- A share (a metric that lies in [0, 1] whatever happens) of which at least half of the values are
  one and the same, or which is skewed and near 0 or 1, gets the exact interval of a proportion
  (Clopper and Pearson 1934) with the effective number of trials of Korn and Graubard (1998, Survey
  Methodology 24): n times p (1 - p) over the variance seen, at most n squared. Zeros and ones are
  the plain exact interval. Where the interval above goes farther, that one is taken.
- Another metric of which at least half of the values are one and the same has its interval widened
  by the trials that may differ unseen (exact again), each as far as the farthest one seen.

What may still be too short is marked: `skewed`, and `few` where fewer than five values differ from
the usual one. tests/statistics/test_coverage.py holds all this against synthetic studies of each
kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

CONFIDENCE = 0.95
DIFFERING_LEAST = 10
"""Trials that must differ from the usual value before their size can be judged."""
DIFFERING_FEW = 5
"""Trials that must differ from the usual value before an interval goes unmarked."""
_HAZEN = 8.5
_NEAR = 3.0
"""Standard deviations from 0 or 1 within which a skewed share is near its end."""


@dataclass(frozen=True)
class MeanInterval:
    """A mean with its bounds; arrays of equal shape.

    equal   all values are the same, so that there is no spread to learn from
    sparse  no share, and nearly all values are the same
    skew    third standardised moment of the values, free of bias for normal ones; 0 without spread
    skewed  its square is over a tenth of the number of values: the interval may be too short
    few     no share, and fewer than five values differ from the usual one: likewise
    """

    mean: Array
    low: Array
    high: Array
    equal: Array
    sparse: Array
    skew: Array
    skewed: Array
    few: Array

    @property
    def half_width(self) -> Array:
        """The larger of the two distances from the mean to its bounds."""
        found: Array = np.maximum(self.high - self.mean, self.mean - self.low)
        return found

    @property
    def marked(self) -> Array:
        """Whether the interval may hold its mean less often than it says."""
        found: Array = self.skewed | self.few
        return found


@np.errstate(all="ignore")
def mean_interval(
    values: Array, *, confidence: float = CONFIDENCE, share: bool = False
) -> MeanInterval:
    """Interval for the mean over the last axis.

    Parameters
    ----------
    values
        At least two finite values along the last axis.
    confidence
        Chance that the interval holds the mean.
    share
        The metric lies in [0, 1] whatever happens.

    Returns
    -------
    MeanInterval
        Arrays of the shape of `values` without its last axis.
    """
    n = values.shape[-1]
    lowest, highest = values.min(axis=-1), values.max(axis=-1)
    equal = lowest == highest
    # The sum of equal numbers, divided, need not be that number.
    mean = np.where(equal, lowest, values.mean(axis=-1))
    variance = np.where(equal, 0.0, values.var(axis=-1, ddof=1))
    raw = _raw_skew(values, equal)
    low, high = _by_moments(mean, np.sqrt(variance), raw, n, confidence)
    # Either median: half of the values may be one and the same, and the other half not.
    ordered = np.sort(values, axis=-1)
    lower, upper = ordered[..., (n - 1) // 2], ordered[..., n // 2]
    medians = [upper] if np.array_equal(lower, upper) else [lower, upper]
    usuals = [_usual(values, median) for median in medians]
    differing = np.min([below + above for _, below, above in usuals], axis=0)
    mostly_equal = _mostly_equal(differing, n)
    skew = raw * np.sqrt(n * (n - 1)) / max(n - 2, 1)
    skewed = skew**2 > n / 10
    if share:
        near = np.minimum(mean, 1 - mean) < _NEAR * np.sqrt(variance)
        exact = mostly_equal | (skewed & near)
        none = np.zeros_like(equal)
        if not exact.any():
            return MeanInterval(
                mean, low.clip(0, 1), high.clip(0, 1), equal, none, skew, skewed, none
            )
        exact_low, exact_high = _share_bounds(mean, variance, n, confidence)
        binary = ((values == 0) | (values == 1)).all(axis=-1)
        low = np.where(exact, np.minimum(low, exact_low), low)
        high = np.where(exact, np.maximum(high, exact_high), high)
        low = np.clip(np.where(binary, exact_low, low), 0.0, 1.0)
        high = np.clip(np.where(binary, exact_high, high), 0.0, 1.0)
        return MeanInterval(mean, low, high, equal, none, skew, skewed & ~exact, none)
    if mostly_equal.any():
        for usual, below, above in usuals:
            widened = _mostly_equal(below + above, n)
            unseen_below = _proportion(below, n, confidence)[1] - below / n
            unseen_above = _proportion(above, n, confidence)[1] - above / n
            wide_low = mean - unseen_below * (usual - lowest)
            wide_high = mean + unseen_above * (highest - usual)
            low = np.where(widened, np.minimum(low, wide_low), low)
            high = np.where(widened, np.maximum(high, wide_high), high)
    few = (mostly_equal & (differing < DIFFERING_FEW)) | (
        (values == 0).sum(axis=-1) > n - min(n, DIFFERING_FEW)
    )
    return MeanInterval(
        mean,
        low,
        high,
        equal,
        mostly_equal & (differing < DIFFERING_LEAST),
        skew,
        skewed,
        few,
    )


def _usual(values: Array, usual: Array) -> tuple[Array, Array, Array]:
    """A value, and how many lie below and above it."""
    below = (values < usual[..., None]).sum(axis=-1)
    above = (values > usual[..., None]).sum(axis=-1)
    return usual, below, above


def _mostly_equal(differing: Array, n: int) -> Array:
    # One value is no usual one.
    found: Array = (2 * differing <= n) & (differing <= n - 2)
    return found


@np.errstate(all="ignore")
def mean_tests(values: Array) -> tuple[Array, Array]:
    """One-sided tests of the mean against 0, those that mean_interval() turns round.

    Parameters
    ----------
    values
        At least two finite values along the last axis, not all of them equal.

    Returns
    -------
    tuple of Array
        P that the mean is no larger than 0, and that it is no smaller: Student's, or that of Hall's
        transformed t where it is larger.
    """
    from scipy import special

    n = values.shape[-1]
    t = values.mean(axis=-1) / (values.std(axis=-1, ddof=1) / np.sqrt(n))
    transformed = _hall(t, _raw_skew(values, np.ptp(values, axis=-1) == 0) * (1 + _HAZEN / n), n)
    # The distribution function of t alone: scipy.stats.t asks more than it computes.
    larger = np.maximum(special.stdtr(n - 1, -t), special.stdtr(n - 1, -transformed))
    smaller = np.maximum(special.stdtr(n - 1, t), special.stdtr(n - 1, transformed))
    return np.asarray(larger), np.asarray(smaller)


def mean_test(values: Array) -> Array:
    """P that the mean is 0, two-sided, by mean_tests().

    Parameters
    ----------
    values
        As mean_tests() takes them.
    """
    found: Array = np.minimum(2 * np.minimum(*mean_tests(values)), 1.0)
    return found


def _raw_skew(values: Array, equal: Array) -> Array:
    """Third moment over the deviation cubed, as scipy.stats.skew, which takes ten times as long
    for the few values of one contrast.
    """
    off = values - values.mean(axis=-1, keepdims=True)
    found = (off**3).mean(axis=-1) / (off**2).mean(axis=-1) ** 1.5
    return np.where(equal | ~np.isfinite(found), 0.0, found)


def _hall(t: Array, skew: Array, n: int) -> Array:
    """Hall's transformed t: the cubic in u = t / sqrt(n)."""
    root = np.sqrt(n)
    u = t / root
    found: Array = root * (u + skew * u**2 / 3 + skew**2 * u**3 / 27 + skew / (6 * n))
    return found


def _by_moments(
    mean: Array, spread: Array, raw_skew: Array, n: int, confidence: float
) -> tuple[Array, Array]:
    """Student's interval or Hall's, whichever goes farther on each side."""
    from scipy import special

    quantile = float(special.stdtrit(n - 1, 0.5 + confidence / 2))
    root = np.sqrt(n)
    skew = raw_skew * (1 + _HAZEN / n)
    # Next to no skew the inverse of the cubic is a difference of nearly equal numbers over it.
    some = np.abs(skew) > 1e-5
    divisor = np.where(some, skew, 1.0)
    ends = []
    for t in (quantile, -quantile):
        inverse = 3 / divisor * (np.cbrt(1 + divisor * (t / root - divisor / (6 * n))) - 1)
        ends.append(mean - spread * np.where(some, inverse, t / root))
    reach = quantile * spread / root
    return np.minimum(ends[0], mean - reach), np.maximum(ends[1], mean + reach)


def _share_bounds(mean: Array, variance: Array, n: int, confidence: float) -> tuple[Array, Array]:
    """Clopper and Pearson's interval with Korn and Graubard's effective number of trials."""
    most = mean * (1 - mean)
    design = np.divide(variance, most, out=np.ones_like(mean), where=most > 0)
    effective = n / np.clip(design, 1 / n, 1.0)
    return _proportion(mean * effective, effective, confidence)


def _proportion(count: Array, n: Array | int, confidence: float) -> tuple[Array, Array]:
    from statsmodels.stats.proportion import proportion_confint

    # The beta function overflows for counts that are next to nothing.
    count = np.where(count < np.finfo(float).tiny, 0.0, count)
    low, high = proportion_confint(count, n, alpha=1 - confidence, method="beta")
    return np.asarray(low), np.asarray(high)


def differing_share(n: int, *, confidence: float = CONFIDENCE) -> float:
    """Largest share of trials that may differ when all n agree (exact, one-sided)."""
    return float(_proportion(np.asarray(0), n, 2 * confidence - 1)[1])


def rare_share_test(count: int, n: int, share: float) -> float:
    """P of so few trials out of n that differ, if `share` of all trials did (exact, one-sided)."""
    from scipy import stats

    return float(stats.binom.cdf(count, n, share))
