"""Verdicts: what the finished trials say of each claim.

The smallest difference that matters, m, cuts the line in three: below -m, from -m to m, above m.
A claim is decided when the 95 % interval of its difference lies in one part and the test for that
part holds after Holm's correction over all claims:

    more, less   one-sided paired t test against m or -m
    same         two one-sided tests, TOST (Schuirmann 1987)

Both allow for skewed differences (Hall 1992), which a t test of few replicates takes for evidence.
Each test is one-sided at 2.5 %, so that a claim is decided wrongly at most once in twenty, wherever
the truth lies. A claim against several sides is supported if it is against each of them (the
intersection-union test, which needs no correction). A margin in per cent is tested as a difference
of sums, never by dividing means. Where every replicate says the same there is no spread to test
with; then p is the chance of so many alike if as many as DIFFERING_MOST of all replicates differed.
"""

from __future__ import annotations

import warnings
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, log
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from study.scenario.claims import Claim, Comparison, words
from study.statistics.contrasts import holm
from study.statistics.intervals import CONFIDENCE, differing_share, mean_interval
from study.statistics.measured import Measured

if TYPE_CHECKING:
    import pandas as pd

    from study.results.trials import TrialColumns
    from study.statistics.intervals import Array, MeanInterval

Word = Literal["supported", "contradicted", "equivalent", "undecided", "not asked"]
Part = Literal["less", "same", "more"]

REPLICATES_LEAST = 5
"""Fewer replicates decide nothing: their spread is a guess."""
POWER = 0.8
"""Chance to be decided after the replicates that an undecided claim is said to need."""
REPLICATES_MOST = 100_000
DIFFERING_MOST = 0.15
"""Trials that all agree decide once fewer than this share can differ."""

ALL_AGREE = (
    "the same in all {n} replicates: "
    "with {confidence:.4g} % confidence fewer than {share:.0f} % differ"
)
MOSTLY_AGREE = "most replicates agree: too few differ to judge"
TOO_NEAR = "the difference is about as large as the one that matters; no number of trials decides"
TOO_LARGE = "values too large for a spread"
NO_VALUE = "no replicate has a value on both sides"
_PARTS: tuple[Part, ...] = ("less", "same", "more")


@dataclass(frozen=True)
class Verdict:
    """One claim, and what came out.

    against       the comparison it hung on: the least favourable, if there are several
    estimate      mean difference over the replicates; low and high its 95 % interval
    side, other   means of both sides (other: of what is compared with, or the number)
    share         how much of `other` the side had to reach, counted from the baseline if any
    baseline      the cells that both sides are counted from, in words; '' if none
    margin        the smallest difference that matters, in the metric's unit
    p, p_holm     of the verdict's own test
    more          replicates that would probably decide it beside the other claims, if undecided;
                  None: no number would
    minutes       what they would take, at the pace of the run; None if that is not known
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
    margin: float
    p: float
    p_holm: float
    more: int | None
    minutes: float | None
    note: str

    def __str__(self) -> str:
        return f"{self.verdict}: {self.says}"


@dataclass(frozen=True)
class _Look:
    """What one comparison shows: a p-value for each part of the line, and where the interval is.

    gap, margins  the difference in each replicate, and the smallest that matters there
    """

    against: str
    n: int
    side: float
    other: float
    estimate: float
    low: float
    high: float
    margin: float
    p: Mapping[Part, float]
    inside: Part | None
    note: str
    gap: Array
    margins: Array


@np.errstate(all="ignore")
def judge(
    claims: Iterable[Claim],
    trials: pd.DataFrame | TrialColumns,
    cells: Mapping[str, Mapping[str, Any]],
    *,
    alpha: float = 1 - CONFIDENCE,
    seconds: float | None = None,
) -> list[Verdict]:
    """A verdict on each claim.

    trials   as read_trials() gives it, or by column
    alpha    chance of any wrong verdict; smaller when the study looks more than once
    seconds  wall time that one more replicate of all cells takes
    """
    measured = Measured(trials, cells)
    claims = list(claims)
    looked = [_look_at(claim, measured, alpha) for claim in claims]
    singles = [_single(claim, looks) for claim, looks in zip(claims, looked, strict=True)]
    corrected = holm(np.array([verdict.p for verdict, _ in singles], np.float64))
    found = [
        (_beside_others(verdict, float(p_holm), alpha), look)
        for (verdict, look), p_holm in zip(singles, corrected, strict=True)
    ]
    # Holm leaves those that are open to share what is left of alpha, now and when more is known.
    open_ = sum(verdict.verdict == "undecided" for verdict, _ in found)
    return [
        _with_need(verdict, look, alpha / open_, seconds)
        if verdict.verdict == "undecided"
        else verdict
        for verdict, look in found
    ]


def _look_at(claim: Claim, measured: Measured, alpha: float) -> list[_Look] | str:
    try:
        comparisons = claim.comparisons(measured.cells)
    except ValueError as reason:
        return str(reason)
    total = measured.total(claim.metric)
    return [_compare(claim, comparison, measured, total, alpha) for comparison in comparisons]


def _compare(
    claim: Claim, comparison: Comparison, measured: Measured, total: Array, alpha: float
) -> _Look:
    side = measured.over(total, comparison.side)
    other = measured.over(total, comparison.scale)
    gap = side - measured.over(total, comparison.reference) - comparison.constant
    if not comparison.scale:
        other = np.full_like(gap, comparison.constant)
    whole = np.isfinite(gap) & np.isfinite(other)
    side, other, gap = side[whole], other[whole], gap[whole]
    n = len(gap)
    nan = float("nan")
    if n == 0:
        none: dict[Part, float] = dict.fromkeys(_PARTS, nan)
        empty = (comparison.against, 0, nan, nan, nan, nan, nan, nan)
        return _Look(*empty, none, None, NO_VALUE, gap, gap)
    # A margin in per cent is a sum over cells too, so it varies with the replicate.
    sign = -1.0 if claim.relative and other.mean() < 0 else 1.0
    margins = claim.matters * (sign * other if claim.relative else np.ones(n))
    p, inside, interval, note = _decide(gap, margins, alpha)
    return _Look(
        against=comparison.against,
        n=n,
        side=float(side.mean()),
        other=float(other.mean()),
        estimate=float(gap.mean()),
        low=interval[0],
        high=interval[1],
        margin=float(margins.mean()),
        p=p,
        inside=inside,
        note=note,
        gap=gap,
        margins=margins,
    )


def _decide(
    gap: Array, margins: Array, alpha: float
) -> tuple[dict[Part, float], Part | None, tuple[float, float], str]:
    """p-values of the three parts, the part that the interval lies in, the interval, a note."""
    n = len(gap)
    nothing: dict[Part, float] = {"less": 1.0, "same": 1.0, "more": 1.0}
    alike = (1 - DIFFERING_MOST) ** n
    middle = float(gap.mean())
    if n < 2:
        return nothing, None, (float("nan"), float("nan")), ""
    rounding = 1e-12 * max(float(np.abs(gap).max()), 1e-300)
    if np.ptp(gap) <= rounding:
        share = differing_share(n, confidence=1 - alpha)
        part = _part(middle, float(margins.mean()))
        text = ALL_AGREE.format(n=n, confidence=100 * (1 - alpha), share=100 * share)
        if alike > alpha:
            return nothing, None, (middle, middle), text
        return nothing | {part: alike}, part, (middle, middle), text
    upper = mean_interval(gap - margins, confidence=1 - alpha)
    lower = mean_interval(gap + margins, confidence=1 - alpha)
    plain = mean_interval(gap, confidence=1 - alpha)
    bounds = float(plain.low), float(plain.high)
    if not np.isfinite([middle, *bounds, float(upper.low), float(lower.high)]).all():
        return nothing, None, (float("nan"), float("nan")), TOO_LARGE
    p = _tests(gap, margins)
    inside = _inside(upper, lower) if n >= REPLICATES_LEAST else None
    if not bool(plain.sparse):
        return p, inside, bounds, ""
    # A few that differ make nothing surer than none would.
    p = {part: max(found, alike) for part, found in p.items()}
    return (p, inside, bounds, "") if alike <= alpha else (p, None, bounds, MOSTLY_AGREE)


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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        upper, lower = gap - margins, gap + margins
        found = {
            "less": _one_sided(lower, "smaller"),
            "same": max(_one_sided(upper, "smaller"), _one_sided(lower, "larger")),
            "more": _one_sided(upper, "larger"),
        }
    return {part: min(1.0, 2 * found[part]) for part in _PARTS}


def _one_sided(values: Array, alternative: Literal["larger", "smaller"]) -> float:
    """P that the mean is 0: Student's, or that of Hall's transformed t where it is larger.

    Student's test errs four times as often as it says when a dozen values are as skewed as an
    exponential. Hall (1992, Journal of the Royal Statistical Society B 54:221) takes the third
    moment out of t, by a cubic that keeps the order.
    """
    from scipy import stats
    from statsmodels.stats.weightstats import DescrStatsW

    n = len(values)
    t, p, df = DescrStatsW(values).ttest_mean(0, alternative=alternative)
    root, skew = np.sqrt(n), float(stats.skew(values))
    u = t / root
    transformed = root * (u + skew * u**2 / 3 + skew**2 * u**3 / 27 + skew / (6 * n))
    tail = stats.t.sf if alternative == "larger" else stats.t.cdf
    return max(float(p), float(tail(transformed, df)))


def _needed(gap: Array, margins: Array, alpha: float) -> int | None:
    """Replicates after which this would probably be decided; None if no number would do."""
    from statsmodels.stats.power import TTestPower

    if len(gap) < 2:
        return REPLICATES_LEAST
    alike = ceil(log(alpha) / log(1 - DIFFERING_MOST))
    if np.ptp(gap) == 0:
        return alike
    upper, lower = gap - margins, gap + margins
    spreads = [(edge.mean(), edge.std(ddof=1)) for edge in (upper, lower)]
    sizes = [abs(float(mean / spread)) if spread else np.inf for mean, spread in spreads]
    if not np.isfinite(gap).all() or not np.isfinite(min(sizes)):
        return alike
    # Between the margins both tests must come out, outside them the one for the nearer margin.
    between = upper.mean() < 0 < lower.mean()
    sizes = sizes if between else [min(sizes)]
    least = alike if bool(mean_interval(gap).sparse) else REPLICATES_LEAST

    def power(n: int) -> float:
        one_by_one = [
            float(TTestPower().power(size, n, alpha / 2, alternative="larger")) for size in sizes
        ]
        return sum(one_by_one) - (len(sizes) - 1)

    if not power(REPLICATES_MOST) >= POWER:
        return None
    return max(bisect_left(range(REPLICATES_MOST + 1), POWER, lo=2, key=power), least)


def _single(claim: Claim, looks: list[_Look] | str) -> tuple[Verdict, _Look]:
    """The claim before Holm (p of the part that fits best, over all its comparisons), and the
    comparison it hangs on.
    """
    nan = float("nan")
    metric = " + ".join(
        name if factor == 1 else f"{factor:g} {name}"
        for name, factor in _positive_first(claim.metric)
    ).replace("+ -", "- ")
    if isinstance(looks, str):
        nothing: dict[Part, float] = dict.fromkeys(_PARTS, nan)
        empty = np.empty(0)
        look = _Look("", 0, nan, nan, nan, nan, nan, nan, nothing, None, looks, empty, empty)
        return _verdict(claim, "not asked", metric, look, nan), look
    look, part = _over_all(claim.expect, looks)
    word: Word = "undecided" if part is None else _word(claim.expect, part)
    p = look.p[part] if part is not None else min(look.p.values())
    if part is not None and part == claim.expect:
        p = max(other.p[part] for other in looks)
    elif len(looks) > 1:
        p = min(1.0, p * len(looks))
    return _verdict(claim, word, metric, look, p), look


def _positive_first(metric: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(metric.items(), key=lambda item: item[1] < 0)


def _verdict(claim: Claim, word: Word, metric: str, look: _Look, p: float) -> Verdict:
    return Verdict(
        id=claim.id,
        says=claim.says,
        verdict=word,
        expect=claim.expect,
        metric=metric,
        against=look.against,
        n=look.n,
        side=look.side,
        other=look.other,
        share=claim.share,
        baseline=words(claim.baseline) if claim.baseline else "",
        estimate=look.estimate,
        low=look.low,
        high=look.high,
        margin=look.margin,
        p=p,
        p_holm=float("nan"),
        more=None,
        minutes=None,
        note=look.note,
    )


def _over_all(expect: Part, looks: Sequence[_Look]) -> tuple[_Look, Part | None]:
    """The comparison a claim hangs on, and the part of the line it is in, if that is decided."""
    failing = [look for look in looks if look.inside not in (expect, None)]
    open_ = [look for look in looks if look.inside is None]
    towards = -1.0 if expect == "less" else 1.0

    def favourable(look: _Look) -> float:
        if np.isnan(look.estimate):
            return -np.inf
        return -abs(look.estimate) if expect == "same" else towards * look.estimate

    if failing:
        worst = min(failing, key=favourable)
        return worst, worst.inside
    if open_:
        return min(open_, key=favourable), None
    return min(looks, key=favourable), expect


def _word(expect: Part, part: Part) -> Word:
    if part == expect:
        return "supported"
    return "equivalent" if part == "same" else "contradicted"


def _beside_others(verdict: Verdict, p_holm: float, alpha: float) -> Verdict:
    """The verdict after Holm: what decides one claim may not do beside the others."""
    word = verdict.verdict
    if word in ("supported", "contradicted", "equivalent") and not p_holm <= alpha:
        word = "undecided"
    return replace(verdict, verdict=word, p_holm=p_holm)


def _with_need(verdict: Verdict, look: _Look, alpha: float, seconds: float | None) -> Verdict:
    """An undecided claim with what it would take to decide it."""
    if look.note in (NO_VALUE, TOO_LARGE):
        return verdict
    needed = _needed(look.gap, look.margins, alpha)
    if needed is None:
        return replace(verdict, note=verdict.note or TOO_NEAR)
    # Power knows nothing of skew, and fewer than a quarter more seldom change a verdict.
    more = max(needed - verdict.n, ceil(verdict.n / 4) if np.ptp(look.gap) else 1)
    minutes = None if seconds is None else more * seconds / 60
    return replace(verdict, more=more, minutes=minutes)


def verdict_table(verdicts: Iterable[Verdict]) -> pd.DataFrame:
    """One row a claim; the columns are the fields of Verdict."""
    import pandas as pd

    names = list(Verdict.__dataclass_fields__)
    return pd.DataFrame([vars(verdict) for verdict in verdicts], columns=names).astype(
        {"more": "Int64"}
    )
