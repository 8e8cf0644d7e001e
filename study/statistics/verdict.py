"""Verdicts: what the finished trials say of each claim.

The smallest difference that matters, m, divides the differences there can be into three parts:
below -m, from -m to m, above m. A claim is decided when the 95 % interval of its difference lies
in one part and the test for that part is significant after Holm's correction over all claims:

    more, less   one-sided paired test against m or -m (intervals.py: Student's, or Hall's for skew)
    same         two one-sided tests, TOST (Schuirmann 1987)

Each test is one-sided at 2.5 %, so that a claim is decided wrongly at most once in twenty, wherever
the truth lies. A claim against several sides is supported if it is against each of them (the
intersection-union test, which needs no correction); one about a share of a gain needs the gain as
well, by the same rule. A margin in per cent is tested as a difference of sums, never by dividing
means.

Few replicates whose differences are skewed decide nothing unless the margin is far from all of
them: no test of their mean keeps its error rate. What is the same in (nearly) all replicates has no
spread to test with, and a rare large exception, which these replicates need not show, would move
the mean. Then

    shares         lie between 0 and 1, and are tested exactly: so few trials that differ would be
                   seen in at most 2.5 % of studies if enough of all differed to reach the margin
    other metrics  have no such bound. If all replicates agree, the verdict is `always seen` or
                   `never seen`, with the exact bound for the share of replicates that may differ;
                   it is about replicates, not about the mean, and takes no part in Holm's 5 %.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, floor, isfinite, log10
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from study.intervals import (
    CONFIDENCE,
    DIFFERING_LEAST,
    differing_share,
    mean_interval,
    mean_tests,
    rare_share_test,
)
from study.scenario.claims.comparison import Claim, Comparison, words
from study.statistics.contrasts import holm
from study.statistics.looks import spent_at
from study.statistics.measured import Measured
from study.statistics.pairing import pairing_factor
from study.zone.trial.metrics import is_share

if TYPE_CHECKING:
    import pandas as pd

    from study.intervals import Array, MeanInterval
    from study.results.trials import TrialColumns

Word = Literal[
    "supported", "contradicted", "equivalent", "always seen", "never seen", "undecided", "not asked"
]
Part = Literal["less", "same", "more"]
TESTED: tuple[Word, ...] = ("supported", "contradicted", "equivalent", "undecided")
"""Verdicts that rest on a test; Holm's correction divides the 5 % among their claims."""

REPLICATES_LEAST = 5
"""Fewer replicates decide nothing: their spread is a guess."""
POWER = 0.8
"""Chance to be decided after the replicates that an undecided claim is said to need."""
REPLICATES_MOST = 100_000
NEEDED_CONFIDENCE = 0.8
"""Of the range of replicates that an undecided claim is said to need."""
FUTILE = 0.1
"""Chance to be decided below which a claim is given up."""
_NONCENTRAL_MOST = 100
"""Replicates, and deviations, up to which the noncentral t distribution is not normal enough."""
_ROUNDING = 1e-12
"""As a share of the numbers subtracted: a smaller difference counts as none."""
FAR = 3.0
"""Ranges of all differences that the margin must be away to decide when they are skewed."""

ALL_AGREE = (
    "in all {n} replicates: "
    "with {confidence:.4g} % confidence fewer than {share:.{digits}f} % differ"
)
MOSTLY_AGREE = "most replicates agree: too few differ to judge"
TOO_NEAR = "the difference is about as large as the one that matters; no number of trials decides"
TOO_LARGE = "values too large for a spread"
TOO_SKEWED = "too skewed ({skew:.1f}) for {n} replicates"
NO_VALUE = "no replicate has a value on both sides"
NOT_PAIRED = "each side met a load of its own: not paired"
NO_GAIN = "there is no gain to share"
OPEN_GAIN = "it is open whether there is a gain to share"
_PARTS: tuple[Part, ...] = ("less", "same", "more")


@dataclass(frozen=True)
class Verdict:
    """What the finished trials say of one claim.

    id, says      of the claim
    verdict       the word: supported, contradicted, undecided, ...
    expect        the part that the claim expects: more, less or same
    metric        its name, or the sum of several
    n             replicates with a value on both sides
    against       the comparison that decided: the least favourable, if there are several
    estimate      mean difference over the replicates, in the metric's unit
    low, high     its interval
    confidence    of that interval: 0.95, or more where a rule looks several times
    side, other   means of both sides (other: of what is compared with, or the number)
    share         how much of `other` the side had to reach, counted from the baseline if any
    baseline      the cells that both sides are counted from, in words; '' if none
    margin        the smallest difference that matters, in the metric's unit
    skew          of the differences; beyond 1 either way the 5 % of a wrong verdict is a rough
                  figure
    p, p_holm     of the verdict's own test; p_holm allows for other claims and for other looks
    more          further replicates that would decide it, if undecided, with the other claims as
                  they are: the lower end of an 80 % range, to one digit; None: no number would
    more_most     the upper end; None: perhaps no number would
    minutes       what `more` would take in the cells of this claim, at the speed of the run; None
                  if that is not known
    minutes_most  what `more_most` would take
    pairing       how many times fewer replicates it takes to compare within them; NaN against a
                  number, and where not asked for
    pairing_low   lower end of its 95 % interval
    pairing_high  upper end
    stood         'before' if the claim was in the manifest before the first row, 'after' if it came
                  later or from another file; '' if the folder does not say
    hopeless      undecided, with less than one chance in ten to be decided at the largest number of
                  replicates that the study may have
    note          why there is nothing to test, or no number to give
    """

    id: str
    says: str
    verdict: Word
    expect: Part
    metric: str
    against: str
    n: int
    side: float
    other: float
    share: float
    baseline: str
    estimate: float
    low: float
    high: float
    confidence: float
    margin: float
    skew: float
    p: float
    p_holm: float
    more: int | None
    more_most: int | None
    minutes: float | None
    minutes_most: float | None
    pairing: float
    pairing_low: float
    pairing_high: float
    stood: str
    hopeless: bool
    note: str

    def __str__(self) -> str:
        return f"{self.verdict}: {self.says}"

    @property
    def has_cells(self) -> bool:
        """Whether the study has the cells of this claim; an override may have taken them away."""
        return self.verdict != "not asked" or self.n > 0


@dataclass(frozen=True)
class _Decision:
    """What the differences, one a replicate, say of their mean and a margin.

    p         for each part (less, same, more), two-sided; NaN for what is not tested
    inside    the part that the interval lies in
    interval  of the mean
    note      why there is no test, or no decision
    seen      the part that every replicate lies in, where there is no test
    alike     they are (nearly) all the same
    """

    p: Mapping[Part, float]
    inside: Part | None
    interval: tuple[float, float]
    note: str = ""
    seen: Part | None = None
    alike: bool = False


@dataclass(frozen=True)
class _Outcome:
    """What one comparison of a claim shows.

    spent         share of alpha that a look after so many replicates may use (looks.py)
    values        of the side in each replicate
    gap, margins  the difference in each replicate, and the smallest that matters there
    limits        the least and the largest that a difference can be
    cells         how many cells it needs
    """

    against: str
    n: int
    side: float
    other: float
    estimate: float
    margin: float
    skew: float
    spent: float
    decision: _Decision
    values: Array
    gap: Array
    margins: Array
    limits: tuple[float, float]
    cells: int

    @property
    def inside(self) -> Part | None:
        return self.decision.inside

    @property
    def seen(self) -> Part | None:
        return self.decision.seen


@np.errstate(all="ignore")
def judge(
    claims: Iterable[Claim],
    trials: pd.DataFrame | TrialColumns,
    cells: Mapping[str, Mapping[str, Any]],
    *,
    alpha: float = 1 - CONFIDENCE,
    looks: Sequence[int] = (),
    most: int | None = None,
    seconds: float | None = None,
    nuisance: Sequence[str] = (),
    pairing: bool = False,
) -> list[Verdict]:
    """A verdict on each claim.

    Parameters
    ----------
    claims
        What is to be judged.
    trials
        As read_trials() gives it, or by column.
    cells
        Id -> levels.
    alpha
        Chance of any wrong verdict, over all claims and looks.
    looks
        Numbers of replicates after which the study looks whether it is done; none for a single
        look.
    most
        Replicates that the study may have at most; then claims may be hopeless.
    seconds
        Wall time that one more trial takes.
    nuisance
        Axes whose combinations of levels have a load each: what compares them is not paired.
    pairing
        Work out as well how many replicates are saved by comparing within them, which takes some
        time.

    Returns
    -------
    list of Verdict
        In the order of the claims; 'not asked' where the study lacks the cells.
    """
    measured = Measured(trials, cells)
    claims = list(claims)
    nuisance = [axis for axis in nuisance if any(axis in levels for levels in cells.values())]
    shown = [_outcomes(claim, measured, alpha, looks) for claim in claims]
    singles = [_single(claim, found, alpha) for claim, found in zip(claims, shown, strict=True)]
    corrected = holm(np.array([p for _, _, p in singles], np.float64))
    found = [
        (_after_holm(verdict, float(p_holm), alpha), outcome)
        for (verdict, outcome, _), p_holm in zip(singles, corrected, strict=True)
    ]
    # In Holm's procedure the claims that are still open divide alpha among them.
    open_ = sum(verdict.verdict == "undecided" for verdict, _ in found)
    if pairing:
        found = [(_with_pairing(verdict, outcome), outcome) for verdict, outcome in found]
    judged = []
    for verdict, outcome in found:
        if verdict.verdict == "undecided" and most is not None:
            last = alpha / open_ * spent_at(most, looks)
            judged.append(replace(verdict, hopeless=_is_hopeless(outcome, most, last)))
        elif verdict.verdict == "undecided":
            judged.append(_with_need(verdict, outcome, alpha / open_, seconds))
        else:
            judged.append(verdict)
    return [
        replace(verdict, note="; ".join(filter(None, [verdict.note, NOT_PAIRED])))
        if verdict.n and _compares(claim, measured.cells, nuisance)
        else verdict
        for claim, verdict in zip(claims, judged, strict=True)
    ]


def _compares(
    claim: Claim, cells: Mapping[str, Mapping[str, Any]], nuisance: Sequence[str]
) -> bool:
    """Does a claim compare cells that met different loads?

    Its differences are then those of two independent loads, replicate by replicate: the same tests
    hold, and are as much less sure as pairing would have made them.
    """
    if not nuisance or not isinstance(claim.against, tuple):
        return False

    def loads(weights: Mapping[str, float]) -> dict[tuple[Any, ...], float]:
        found: dict[tuple[Any, ...], float] = {}
        for cell, weight in weights.items():
            key = tuple(cells[cell].get(axis) for axis in nuisance)
            found[key] = round(found.get(key, 0.0) + weight, 9)
        return found

    return any(
        loads(comparison.side) != loads(comparison.other) for comparison in claim.comparisons(cells)
    )


def _outcomes(
    claim: Claim, measured: Measured, alpha: float, looks: Sequence[int]
) -> list[_Outcome] | str:
    """What each comparison of a claim shows, or why the study cannot make them."""
    try:
        comparisons = claim.comparisons(measured.cells)
    except ValueError as reason:
        return str(reason)
    total = measured.total(claim.metric)
    return [
        _compare(claim, comparison, measured, total, alpha, looks) for comparison in comparisons
    ]


def _compare(
    claim: Claim,
    comparison: Comparison,
    measured: Measured,
    total: Array,
    alpha: float,
    looks: Sequence[int],
) -> _Outcome:
    side = measured.over(total, comparison.side)
    gap = side - measured.over(total, comparison.reference) - comparison.constant
    other = measured.over(total, comparison.other)
    scale = measured.over(total, comparison.scale) + comparison.scale_constant
    if not comparison.other:
        other = np.full_like(gap, comparison.number)
    whole = np.isfinite(gap) & np.isfinite(other) & np.isfinite(scale)
    side, other, gap, scale = side[whole], other[whole], gap[whole], scale[whole]
    # Sums of the same numbers in another order are no difference.
    size = np.maximum(np.abs(side), np.abs(side - gap))
    gap = np.where(np.abs(gap) <= _ROUNDING * size, 0.0, gap)
    n = len(gap)
    nan = float("nan")
    limits = _limits(claim, comparison)
    if n == 0:
        none = _Decision(dict.fromkeys(_PARTS, nan), None, (nan, nan), NO_VALUE)
        numbers = (nan, nan, nan, nan, nan, 1.0)
        return _Outcome(
            comparison.against, 0, *numbers, none, gap, gap, gap, limits, len(comparison.cells)
        )
    # A margin in per cent is a sum over cells too, so it varies with the replicate.
    sign = -1.0 if claim.relative and scale.mean() < 0 else 1.0
    margins = claim.matters * (sign * scale if claim.relative else np.ones(n))
    spent = spent_at(n, looks)
    decision = _decide(gap, margins, alpha * spent, limits, size=float(size.max()))
    if claim.baseline is not None and claim.share != 1:
        decision = _with_gain(claim, decision, scale, margins, alpha * spent)
    return _Outcome(
        against=comparison.against,
        n=n,
        side=float(side.mean()),
        other=float(other.mean()),
        estimate=float(gap.mean()),
        margin=float(margins.mean()),
        skew=float(mean_interval(gap).skew) if n > 2 else 0.0,
        spent=spent,
        decision=decision,
        values=side,
        gap=gap,
        margins=margins,
        limits=limits,
        cells=len(comparison.cells),
    )


def _limits(claim: Claim, comparison: Comparison) -> tuple[float, float]:
    """The least and the largest that the difference can be: shares lie between 0 and 1."""
    if not all(map(is_share, claim.metric)):
        return -np.inf, np.inf
    weights = dict(comparison.side)
    for cell, weight in comparison.reference.items():
        weights[cell] = weights.get(cell, 0.0) - weight
    parts = [weight * factor for weight in weights.values() for factor in claim.metric.values()]
    least = sum(part for part in parts if part < 0) - comparison.constant
    return least, sum(part for part in parts if part > 0) - comparison.constant


def _with_gain(
    claim: Claim, decision: _Decision, gain: Array, margins: Array, alpha: float
) -> _Decision:
    """The decision on a share of a gain, given that there must be a gain to share.

    Who expects more counts it upwards. Who expects less may mean less of what something costs, or
    more of what it saves.
    """
    free = (-np.inf, np.inf)
    found = _decide(gain, np.abs(margins), alpha, free)
    part = found.inside or found.seen
    wanted: tuple[Part, ...] = ("more",) if claim.expect == "more" else ("more", "less")
    if part is None:
        note = decision.note or found.note or OPEN_GAIN
        return replace(decision, inside=None, seen=None, note=note)
    if part not in wanted:
        return replace(decision, inside=None, seen=None, note=NO_GAIN)
    if found.inside is None:
        return decision
    p: dict[Part, float] = {name: max(p, found.p[part]) for name, p in decision.p.items()}
    return replace(decision, p=p)


def _decide(
    gap: Array, margins: Array, alpha: float, limits: tuple[float, float], *, size: float = 0.0
) -> _Decision:
    """What the differences say, at a chance of error of alpha.

    size  of the numbers whose differences they are, as far as it is known
    """
    n = len(gap)
    nothing: dict[Part, float] = dict.fromkeys(_PARTS, 1.0)
    nan = float("nan")
    if n < 2:
        return _Decision(nothing, None, (nan, nan))
    if np.ptp(gap) <= _ROUNDING * max(size, float(np.abs(gap).max()), 1e-300):
        return _alike(np.full(n, gap[0]), margins, alpha, limits)
    plain = mean_interval(gap, confidence=1 - alpha)
    upper = mean_interval(gap - margins, confidence=1 - alpha)
    lower = mean_interval(gap + margins, confidence=1 - alpha)
    bounds = float(plain.low), float(plain.high)
    if not np.isfinite([*bounds, float(upper.low), float(lower.high)]).all():
        return _Decision(nothing, None, (nan, nan), TOO_LARGE)
    if bool(plain.sparse):
        return _alike(gap, margins, alpha, limits)
    inside = _inside(upper, lower) if n >= REPLICATES_LEAST else None
    note = ""
    if inside is not None and bool(plain.skewed):
        nearest = min(abs(float(upper.mean)), abs(float(lower.mean)))
        if nearest < FAR * float(np.ptp(gap)):
            inside, note = None, TOO_SKEWED.format(skew=float(plain.skew), n=n)
    return _Decision(_tests(gap, margins), inside, bounds, note)


def _alike(gap: Array, margins: Array, alpha: float, limits: tuple[float, float]) -> _Decision:
    """As _decide(), for differences of which (nearly) all are one and the same number."""
    n = len(gap)
    nothing: dict[Part, float] = dict.fromkeys(_PARTS, 1.0)
    plain = mean_interval(gap, confidence=1 - alpha)
    bounds = float(plain.low), float(plain.high)
    if n < REPLICATES_LEAST:
        return _Decision(nothing, None, bounds, alike=True)
    if all(map(isfinite, limits)) and np.ptp(margins) == 0:
        p = _exact_tests(gap, float(margins[0]), limits)
        part = min(p, key=p.__getitem__)
        if p[part] <= alpha:
            return _Decision(p, part, _exact_bounds(gap, alpha, limits), alike=True)
    parts = {_part(float(g), float(m)) for g, m in zip(gap, margins, strict=True)}
    if len(parts) > 1:
        return _Decision(nothing, None, bounds, MOSTLY_AGREE, alike=True)
    share = 100 * differing_share(n, confidence=1 - alpha)
    note = ALL_AGREE.format(
        n=n, confidence=100 * (1 - alpha), share=share, digits=0 if share >= 2 else 1
    )
    nan: dict[Part, float] = dict.fromkeys(_PARTS, float("nan"))
    return _Decision(nan, None, bounds, note, seen=parts.pop(), alike=True)


def _differing(gap: Array) -> tuple[float, int, int]:
    """The usual difference (the median), and how many lie below and above it."""
    usual = float(np.sort(gap)[len(gap) // 2])
    return usual, int((gap < usual).sum()), int((gap > usual).sum())


def _reach(gap: Array, margin: float, limits: tuple[float, float]) -> dict[str, float]:
    """For each margin, from above and from below: the share of trials that must differ from the
    usual one, by as much as `limits` allow, for the mean to reach it; 0 where the usual difference
    is beyond it already.
    """
    usual, _, _ = _differing(gap)
    least, most = limits

    def share(distance: float, farthest: float) -> float:
        return 0.0 if distance <= 0 else 1.0 if farthest <= distance else distance / farthest

    return {
        "down to margin": share(usual - margin, usual - least),
        "down to -margin": share(usual + margin, usual - least),
        "up to margin": share(margin - usual, most - usual),
        "up to -margin": share(-margin - usual, most - usual),
    }


def _exact_tests(gap: Array, margin: float, limits: tuple[float, float]) -> dict[Part, float]:
    """As _tests(), for bounded differences: P of so few trials that differ, if enough did."""
    n = len(gap)
    _, below, above = _differing(gap)
    reach = _reach(gap, margin, limits)
    found: dict[Part, float] = {
        "less": rare_share_test(above, n, reach["up to -margin"]),
        "same": max(
            rare_share_test(above, n, reach["up to margin"]),
            rare_share_test(below, n, reach["down to -margin"]),
        ),
        "more": rare_share_test(below, n, reach["down to margin"]),
    }
    return {part: min(1.0, 2 * p) for part, p in found.items()}


def _exact_bounds(gap: Array, alpha: float, limits: tuple[float, float]) -> tuple[float, float]:
    """An interval of the mean of bounded differences: as many trials as may lie below the usual
    one (Clopper and Pearson), each at the least there can be; the same above.
    """
    from statsmodels.stats.proportion import proportion_confint

    usual, below, above = _differing(gap)
    down, up = (
        float(proportion_confint(count, len(gap), alpha=alpha, method="beta")[1])
        for count in (below, above)
    )
    return usual - down * (usual - limits[0]), usual + up * (limits[1] - usual)


def _inside(upper: MeanInterval, lower: MeanInterval) -> Part | None:
    """The part of the line an interval lies in, by its distance from the margin above and below."""
    if float(upper.low) > 0:
        return "more"
    if float(lower.high) < 0:
        return "less"
    return "same" if float(lower.low) > 0 and float(upper.high) < 0 else None


def _part(middle: float, margin: float) -> Part:
    if abs(middle) <= margin:
        return "same"
    return "more" if middle > 0 else "less"


def _tests(gap: Array, margins: Array) -> dict[Part, float]:
    """Two-sided p-values: for `more`, that the difference is no larger than the margin, and so on.

    Each is twice a one-sided one, so that the parts together keep to alpha.
    """
    above, below_upper = mean_tests(gap - margins)
    above_lower, below = mean_tests(gap + margins)
    found: dict[Part, float] = {
        "less": float(below),
        "same": max(float(below_upper), float(above_lower)),
        "more": float(above),
    }
    return {part: min(1.0, 2 * found[part]) for part in _PARTS}


def _needed(outcome: _Outcome, alpha: float) -> tuple[int, int | None] | None:
    """Replicates after which this would probably be decided: an 80 % range of how many.

    None if no number would do; None as its upper end if perhaps no number would.
    """
    gap, margins, n = outcome.gap, outcome.margins, outcome.n
    if n < REPLICATES_LEAST:
        return REPLICATES_LEAST, None
    if outcome.decision.alike:
        return _needed_if_alike(outcome, alpha)
    upper, lower = gap - margins, gap + margins
    if not np.isfinite(gap).all():
        return None
    sizes = [float(edge.mean() / spread) for edge in (upper, lower) if (spread := edge.std(ddof=1))]
    if len(sizes) < 2 or not np.isfinite(sizes).all():
        return None
    # Between the margins both tests must be significant, outside them that for the nearer margin.
    between = sizes[0] < 0 < sizes[1]
    sizes = [-sizes[0], sizes[1]] if between else [min(abs(size) for size in sizes)]
    bounds = [size_bounds(size, n) for size in sizes]
    least = replicates_for([high for _, high in bounds], alpha)
    if least is None:
        return None
    return least, replicates_for([low for low, _ in bounds], alpha)


def _is_hopeless(outcome: _Outcome, most: int, alpha: float) -> bool:
    """Has it less than one chance in ten to be decided with `most` replicates at this alpha?"""
    from scipy import stats

    n = outcome.n
    if not REPLICATES_LEAST <= n < most:
        return False
    if outcome.decision.alike:
        least, _ = _needed_if_alike(outcome, alpha)
        return least > most
    edges = outcome.gap - outcome.margins, outcome.gap + outcome.margins
    # Predictive power: z is how many standard errors the mean lies above each margin. After `most`
    # replicates it is expected at z * sqrt(most / n), with a variance of most / n - 1 from the
    # replicates to come and from the true mean, which is not known.
    now = [float(edge.mean() / edge.std(ddof=1) * np.sqrt(n)) for edge in edges]
    if not np.isfinite(now).all():
        return False
    further = np.sqrt(most / n)
    spread = np.sqrt(most / n - 1)
    needed = float(stats.t.isf(alpha / 2, most - 1))
    above, below = (z * further for z in now)
    chance = stats.norm.sf((needed - above) / spread) + stats.norm.cdf((-needed - below) / spread)
    chance += max(
        0.0, stats.norm.cdf((-needed - above) / spread) - stats.norm.cdf((needed - below) / spread)
    )
    return bool(chance < FUTILE)


def _needed_if_alike(outcome: _Outcome, alpha: float) -> tuple[int, int | None]:
    """As _needed(), where (nearly) all replicates agree."""
    _, below, above = _differing(outcome.gap)
    differing = below + above
    if not all(map(isfinite, outcome.limits)) or np.ptp(outcome.margins):
        more = ceil(outcome.n * DIFFERING_LEAST / max(differing, 1))
        return more, None
    shares = [
        s for s in _reach(outcome.gap, float(outcome.margins[0]), outcome.limits).values() if s > 0
    ]
    share = min(shares, default=0.0)

    def decided(n: int) -> bool:
        return share > 0 and 2 * rare_share_test(differing, n, share) <= alpha

    if not decided(REPLICATES_MOST):
        return outcome.n, None
    least = bisect_left(range(REPLICATES_MOST + 1), True, lo=outcome.n, key=decided)
    return least, None if differing else least


def size_bounds(size: float, n: int) -> tuple[float, float]:
    """An 80 % interval of a standardised difference, from the noncentral t distribution.

    Parameters
    ----------
    size
        Mean over standard deviation, as n replicates have it.
    n
        Replicates.

    Returns
    -------
    tuple of float
        Its lower and upper end.
    """
    from scipy import special, stats

    tail = (1 - NEEDED_CONFIDENCE) / 2
    if n > _NONCENTRAL_MOST or abs(size) * np.sqrt(n) > _NONCENTRAL_MOST:
        reach = float(stats.norm.isf(tail) * np.sqrt(1 / n + size**2 / (2 * n)))
        return size - reach, size + reach
    ends = special.nctdtrinc(n - 1, np.array([1 - tail, tail]), size * np.sqrt(n)) / np.sqrt(n)
    return float(ends[0]), float(ends[1])


def replicates_for(sizes: Sequence[float], alpha: float) -> int | None:
    """Replicates after which the tests of all these differences are probably significant.

    Parameters
    ----------
    sizes
        The differences, each divided by its standard deviation; positive in the tested direction.
    alpha
        Of a two-sided test.

    Returns
    -------
    int or None
        For a power of POWER; None if no number up to REPLICATES_MOST would do.
    """
    from scipy import special

    if min(sizes) <= 0:
        return None

    def power(n: int) -> float:
        # As statsmodels' TTestPower, which takes a hundred times as long.
        needed = special.stdtrit(n - 1, 1 - alpha / 2)
        shift = np.array(sizes) * np.sqrt(n)
        if n > _NONCENTRAL_MOST:
            each = special.ndtr(shift - needed)
        else:
            each = 1 - special.nctdtr(n - 1, shift, needed)
        return float(each.sum()) - (len(sizes) - 1)

    if not power(REPLICATES_MOST) >= POWER:
        return None
    found = bisect_left(range(REPLICATES_MOST + 1), POWER, lo=2, key=power)
    return max(found, REPLICATES_LEAST)


def _single(
    claim: Claim, outcomes: list[_Outcome] | str, alpha: float
) -> tuple[Verdict, _Outcome, float]:
    """The verdict on a claim by itself, the comparison that decides, and the p that enters Holm's
    correction: of the part that fits best, over all its comparisons, divided by the share of alpha
    of this look.
    """
    nan = float("nan")
    metric = " + ".join(
        name if factor == 1 else f"{factor:g} {name}"
        for name, factor in _positive_first(claim.metric)
    ).replace("+ -", "- ")
    if isinstance(outcomes, str):
        nothing = _Decision(dict.fromkeys(_PARTS, nan), None, (nan, nan), outcomes)
        empty = np.empty(0)
        numbers = (nan, nan, nan, nan, nan, 1.0)
        outcome = _Outcome("", 0, *numbers, nothing, empty, empty, empty, (nan, nan), 0)
        return _verdict(claim, "not asked", metric, outcome, nan, alpha), outcome, nan
    without = next((outcome for outcome in outcomes if outcome.decision.note == NO_GAIN), None)
    if without is not None:
        return _verdict(claim, "not asked", metric, without, nan, alpha), without, nan
    outcome, word = _over_all(claim.expect, outcomes)
    if word in ("always seen", "never seen"):
        return _verdict(claim, word, metric, outcome, nan, alpha), outcome, nan
    part = outcome.inside
    p = outcome.decision.p[part] if part is not None else min(outcome.decision.p.values())
    tested = [other for other in outcomes if other.seen is None]
    if part is not None and part == claim.expect:
        p = max(other.decision.p[part] for other in tested)
    elif len(outcomes) > 1:
        p = min(1.0, p * len(outcomes))
    spent = min(other.spent for other in tested)
    return _verdict(claim, word, metric, outcome, p, alpha), outcome, min(1.0, p / spent)


def _positive_first(metric: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(metric.items(), key=lambda item: item[1] < 0)


def _verdict(
    claim: Claim, word: Word, metric: str, outcome: _Outcome, p: float, alpha: float
) -> Verdict:
    return Verdict(
        id=claim.id,
        says=claim.says,
        verdict=word,
        expect=claim.expect,
        metric=metric,
        against=outcome.against,
        n=outcome.n,
        side=outcome.side,
        other=outcome.other,
        share=claim.share,
        baseline=words(claim.baseline) if claim.baseline else "",
        estimate=outcome.estimate,
        low=outcome.decision.interval[0],
        high=outcome.decision.interval[1],
        confidence=1 - alpha * outcome.spent,
        margin=outcome.margin,
        skew=outcome.skew,
        p=p,
        p_holm=float("nan"),
        more=None,
        more_most=None,
        minutes=None,
        minutes_most=None,
        pairing=float("nan"),
        pairing_low=float("nan"),
        pairing_high=float("nan"),
        stood="",
        hopeless=False,
        note=outcome.decision.note,
    )


def _over_all(expect: Part, outcomes: Sequence[_Outcome]) -> tuple[_Outcome, Word]:
    """The comparison that decides a claim, and the verdict: as the least favourable one has it."""
    towards = -1.0 if expect == "less" else 1.0

    def favourable(outcome: _Outcome) -> float:
        if np.isnan(outcome.estimate):
            return -np.inf
        return -abs(outcome.estimate) if expect == "same" else towards * outcome.estimate

    def worst(found: Sequence[_Outcome]) -> _Outcome:
        return min(found, key=favourable)

    if failing := [outcome for outcome in outcomes if outcome.inside not in (expect, None)]:
        outcome = worst(failing)
        return outcome, "equivalent" if outcome.inside == "same" else "contradicted"
    if failing := [outcome for outcome in outcomes if outcome.seen not in (expect, None)]:
        return worst(failing), "never seen"
    if open_ := [
        outcome for outcome in outcomes if outcome.inside is None and outcome.seen is None
    ]:
        return worst(open_), "undecided"
    if seen := [outcome for outcome in outcomes if outcome.seen is not None]:
        return worst(seen), "always seen"
    return worst(outcomes), "supported"


def _after_holm(verdict: Verdict, p_holm: float, alpha: float) -> Verdict:
    """The verdict after Holm's adjustment, which may leave open what was decided by itself."""
    word = verdict.verdict
    if word in ("supported", "contradicted", "equivalent") and not p_holm <= alpha:
        word = "undecided"
    return replace(verdict, verdict=word, p_holm=p_holm)


def _with_pairing(verdict: Verdict, outcome: _Outcome) -> Verdict:
    """The verdict with what pairing is worth, between cells."""
    factor, low, high = pairing_factor(outcome.values, outcome.values - outcome.gap)
    return replace(verdict, pairing=factor, pairing_low=low, pairing_high=high)


def _with_need(verdict: Verdict, outcome: _Outcome, alpha: float, seconds: float | None) -> Verdict:
    """An undecided claim with what it would take to decide it."""
    if outcome.n == 0 or outcome.decision.note in (TOO_LARGE, OPEN_GAIN):
        return verdict
    needed = _needed(outcome, alpha * outcome.spent)
    if needed is None:
        return replace(verdict, note=verdict.note or TOO_NEAR)

    least, most = more_than(verdict.n, *needed)
    minutes = None if seconds is None else outcome.cells * seconds / 60
    return replace(
        verdict,
        more=least,
        more_most=most,
        minutes=None if minutes is None else least * minutes,
        minutes_most=None if minutes is None or most is None else most * minutes,
    )


def more_than(n: int, least: int, most: int | None) -> tuple[int, int | None]:
    """How many replicates to add to n for a total of `least` to `most`, each to one digit.

    Parameters
    ----------
    n
        Replicates there are.
    least, most
        Replicates wanted in all; most is None if perhaps no number would do.

    Returns
    -------
    tuple
        Rounded down and up, and at least a quarter of n; the second is None where `most` is.
    """

    # Power knows nothing of skew, and fewer than a quarter more seldom change a verdict.
    def further(wanted: int) -> int:
        return max(wanted - n, ceil(n / 4))

    return _one_digit(further(least), floor), most and _one_digit(further(most), ceil)


def _one_digit(n: int, rounded: Callable[[float], int]) -> int:
    """A number to one significant digit: 17 as 10 (floor) or 20 (ceil)."""
    size = int(10 ** floor(log10(n)))
    return rounded(n / size) * size


def verdict_table(verdicts: Iterable[Verdict]) -> pd.DataFrame:
    """The verdicts as a table.

    Parameters
    ----------
    verdicts
        As judge() gives them.

    Returns
    -------
    pandas.DataFrame
        One row a claim; the columns are the fields of Verdict.
    """
    import pandas as pd

    names = list(Verdict.__dataclass_fields__)
    return pd.DataFrame([vars(verdict) for verdict in verdicts], columns=names).astype(
        {"more": "Int64", "more_most": "Int64"}
    )
