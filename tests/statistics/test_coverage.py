"""Do stopped studies tell the truth? 2,000 synthetic ones of each kind, for their intervals.

Each study looks after 20, 40, ..., 2,000 replicates and stops at the first look at which half of
its interval is as small as asked. The interval it then has must hold the truth in at least 93 % of
the studies. Were the rule exactly as good as its nominal 95 %, one kind would fall below 93 % by
chance with a probability of 3 in 100,000 (binomial); the seed is fixed, so that no run differs.

And 200 of each kind that stop when their claim is decided: at most 19 may be wrong, where 10 would
be 5 %. Were it exactly 5 %, more than 19 would come up in 4 of 1,000 such tests.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from study.intervals import mean_interval
from study.scenario import Stopping
from study.scenario.claims.keys import claim_from_plain
from study.statistics.looks import spent_at
from study.statistics.stopping import replicates_wanted, settled
from study.statistics.verdict import judge
from tests.by_night import sampled
from tests.statistics.conftest import trials_of

STUDIES, MOST = 2_000, 2_000
STOPPING = Stopping(20, MOST)
NOMINAL, LEAST = 0.95, 0.93
FALSE_ALARM = stats.binom.cdf(int(LEAST * STUDIES) - 1, STUDIES, NOMINAL)

Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]


def rate(p: float) -> Draw:
    return lambda chance, size: (chance.random(size) < p).astype(float)


def spread(p: float) -> Draw:
    """Shares within a trial: beta with a mean of p, as skewed as a few requests make it."""
    return lambda chance, size: chance.beta(10 * p, 10 * (1 - p), size)


def rare(chance: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Nineteen trials in twenty lose nothing."""
    return chance.poisson(0.05, size) * chance.exponential(100, size)


KINDS: dict[str, tuple[Draw, float, float, bool]] = {
    # how a trial is drawn, its true mean, half of the interval asked for, is it a share
    "rate 0.5": (rate(0.5), 0.5, 0.05, True),
    "rate 0.9": (rate(0.9), 0.9, 0.05, True),
    "rate 0.97": (rate(0.97), 0.97, 0.05, True),
    "rate 0.99": (rate(0.99), 0.99, 0.05, True),
    "shares around 0.9": (spread(0.9), 0.9, 0.02, True),
    "shares around 0.97": (spread(0.97), 0.97, 0.01, True),
    "shares around 0.99": (spread(0.99), 0.99, 0.005, True),
    "exponential": (lambda chance, size: chance.exponential(1, size), 1.0, 0.1, False),
    "lognormal": (
        lambda chance, size: np.exp(chance.standard_normal(size)),
        np.exp(0.5),
        0.2,
        False,
    ),
    "rare losses": (rare, 5.0, 5.0, False),
}


@pytest.mark.parametrize("kind", KINDS)
def test_stopped_studies_cover_the_truth(kind: str) -> None:
    """At least 93 % of stopped studies have the truth in their interval."""
    draw, truth, half_width, share = KINDS[kind]
    values = draw(np.random.default_rng(5), (STUDIES, MOST))
    running = np.ones(STUDIES, bool)
    covered = np.zeros(STUDIES, bool)
    for look in STOPPING.looks():
        confidence = 1 - 0.05 * spent_at(look, STOPPING.looks())
        found = mean_interval(values[running, :look], confidence=confidence, share=share)
        covered[running] = (found.low <= truth) & (truth <= found.high)
        running[running] = ~settled(found, half_width)

    assert FALSE_ALARM < 1e-4
    assert covered.mean() >= LEAST


def test_what_is_simulated_is_what_stops_a_study() -> None:
    """Study by study, replicates_wanted() stops at the look the simulation above stops at."""
    stopping = Stopping(20, 640, "rx_success_ratio", 0.12)
    values = np.random.default_rng(2).random((12, 640)) < np.linspace(0.3, 1, 12)[:, None]
    cells = {f"c{index}": {} for index in range(12)}
    counts = dict.fromkeys(cells, 0)
    while True:
        wanted = replicates_wanted(stopping, trials_of(values * 1.0, counts), cells)
        if not wanted:
            break
        assert all(wanted[cell] > counts[cell] for cell in wanted)
        counts |= wanted

    expected = {}
    for cell, row in zip(cells, values * 1.0, strict=True):
        for look in stopping.looks():
            confidence = 1 - 0.05 * spent_at(look, stopping.looks())
            found = mean_interval(row[:look], confidence=confidence, share=True)
            expected[cell] = look
            if settled(found, 0.12):
                break
    assert counts == expected
    assert len(set(counts.values())) > 1


AT_THE_MARGIN: dict[str, Draw] = {
    # Differences whose true mean is 1.
    "normal": lambda chance, size: chance.normal(1, 1, size),
    "exponential": lambda chance, size: chance.exponential(1, size),
    "minus exponential": lambda chance, size: 2 - chance.exponential(1, size),
    "lognormal": lambda chance, size: np.exp(chance.standard_normal(size) - 0.5),
}
ONE = claim_from_plain(
    {
        "id": "one",
        "says": "It does.",
        "metric": "refaults",
        "side": {"nic.mtu": 9000},
        "against": 0,
        "expect": "more",
        "matters": 1,
    }
)
CELLS = {"a": {"nic.mtu": 9000}}


@pytest.mark.parametrize("kind", sampled(AT_THE_MARGIN, every=2))
def test_studies_that_stop_when_decided_are_seldom_wrong(kind: str) -> None:
    """The truth lies on the margin, so that any verdict is wrong; the study looks after 20, 40, 80
    and 160 replicates, and stops at the first verdict.
    """
    looks = Stopping(20, 160).looks()
    values = AT_THE_MARGIN[kind](np.random.default_rng(8), (200, looks[-1]))
    wrong = 0
    for study in values:
        for look in looks:
            trials = trials_of(study[None, :], {"a": look}, metric="refaults")
            (found,) = judge([ONE], trials, CELLS, looks=looks)
            if found.verdict != "undecided":
                wrong += 1
                break

    assert stats.binom.sf(19, 200, 0.05) < 0.004
    assert wrong <= 19


def stopped_at(gaps: np.ndarray, stopping: Stopping) -> tuple[int, bool]:
    """(replicates, whether it was decided) of a study that goes on until its claim is."""
    count = stopping.least
    while True:
        trials = trials_of(gaps[None, :], {"a": count}, metric="refaults")
        wanted = replicates_wanted(stopping, trials, CELLS, [ONE])
        if not wanted:
            (found,) = judge([ONE], trials, CELLS, looks=stopping.looks())
            return count, found.verdict != "undecided"
        count = wanted["a"]


def test_a_hopeless_claim_is_given_up_and_a_hopeful_one_is_not() -> None:
    """On the margin a quarter of the trials is saved; half a deviation beyond it none of the
    verdicts is lost but a few in a hundred.

    60 studies each, of up to 160 replicates. Without giving up a study on its margin ends at 160
    in 97 % of cases. The mean of 60 is 120 with a standard error of 5: above 136 once in 1,000.
    """
    stopping = Stopping(20, 160)
    chance = np.random.default_rng(4)
    on_margin = [stopped_at(chance.normal(1, 1, 160), stopping) for _ in range(60)]
    beyond = [stopped_at(chance.normal(1.5, 1, 160), stopping) for _ in range(60)]

    assert np.mean([count for count, _ in on_margin]) < 136
    assert np.mean([decided for _, decided in beyond]) > 0.95


def test_alpha_is_spent_to_the_last_and_most_of_it_there() -> None:
    """The looks share 5 % between them; the last one of four works at 3.2 % instead of 1.25 %."""
    looks = Stopping(20, 160).looks()
    spent = [spent_at(n, looks) for n in looks]

    assert sum(spent) == pytest.approx(1)
    assert spent == sorted(spent)
    assert spent[-1] > 0.6
    assert [spent_at(n, ()) for n in (1, 99)] == [1, 1]
    assert spent_at(10, looks) == spent_at(20, looks)


def zeros(share: float) -> Draw:
    """Exponential values of which this share is 0."""
    return lambda chance, size: (chance.random(size) >= share) * chance.exponential(1, size)


TABLE: dict[str, tuple[Draw, float, bool]] = {
    # How a value is drawn, its true mean, is it a share.
    "normal": (lambda chance, size: chance.normal(0, 1, size), 0, False),
    "t3": (lambda chance, size: chance.standard_t(3, size), 0, False),
    "Poisson 3": (lambda chance, size: chance.poisson(3, size) * 1.0, 3, False),
    "gamma 4": (lambda chance, size: chance.gamma(4, 1, size), 4, False),
    "exponential": (lambda chance, size: chance.exponential(1, size), 1, False),
    "lognormal 1": (lambda chance, size: np.exp(chance.normal(0, 1, size)), np.exp(0.5), False),
    "lognormal 1.5": (
        lambda chance, size: np.exp(chance.normal(0, 1.5, size)),
        np.exp(1.125),
        False,
    ),
    "Pareto 2.2": (lambda chance, size: chance.pareto(2.2, size) + 1, 2.2 / 1.2, False),
    "Poisson 0.3": (lambda chance, size: chance.poisson(0.3, size) * 1.0, 0.3, False),
    "80 % zeros": (zeros(0.8), 0.2, False),
    "95 % zeros": (zeros(0.95), 0.05, False),
    "rate 0.9": (rate(0.9), 0.9, True),
    "rate 0.99": (rate(0.99), 0.99, True),
    "share 0.9": (lambda chance, size: chance.beta(9, 1, size), 0.9, True),
    "share 0.99": (lambda chance, size: chance.beta(9.9, 0.1, size), 0.99, True),
    "share 0.999": (lambda chance, size: chance.beta(299.7, 0.3, size), 0.999, True),
    "share 0.96, close": (lambda chance, size: chance.beta(960, 40, size), 0.96, True),
    "1 in 20 loses a fifth": (
        lambda chance, size: 1 - 0.2 * (chance.random(size) < 0.05),
        0.99,
        True,
    ),
}
WORST = {("lognormal 1.5", 5): 0.90, ("Pareto 2.2", 5): 0.91}
"""Five values do not show how skewed these are: they are often unmarked, and too short."""


def coverage(kind: str, n: int, studies: int, seed: int) -> tuple[float, float, float]:
    """Shares of studies whose interval holds the mean; that do or are marked; that are marked."""
    draw, truth, share = TABLE[kind]
    found = mean_interval(draw(np.random.default_rng(seed), (studies, n)), share=share)
    holds = (found.low <= truth) & (truth <= found.high)
    return float(holds.mean()), float((holds | found.marked).mean()), float(found.marked.mean())


@pytest.mark.parametrize("n", [5, 10, 20, 40])
@pytest.mark.parametrize("kind", TABLE)
def test_no_interval_is_short_without_a_mark(kind: str, n: int) -> None:
    """Of 4,000 studies at least 93 % hold the mean in their 95 % interval, or are marked.

    Of shares all do without a mark. Were a kind at 94 %, less than 92.5 % would come up in 5 of
    100,000 such tests; seeds are fixed. (Student's: 84 % of lognormal values at n = 10, 10 % of
    rates of 0.99.)
    """
    holds, told, _ = coverage(kind, n, 4_000, seed=n)

    assert stats.binom.cdf(int(0.925 * 4_000), 4_000, 0.94) < 1e-4
    assert told >= WORST.get((kind, n), 0.925)
    if TABLE[kind][2]:
        assert holds >= 0.925
    elif kind in ("normal", "t3", "Poisson 3", "gamma 4"):
        assert holds >= 0.925
        assert holds <= 0.98


@pytest.mark.nightly(part="rates")
@pytest.mark.parametrize("n", [5, 10, 20, 40])
@pytest.mark.parametrize("kind", TABLE)
def test_the_whole_table_of_coverage(kind: str, n: int) -> None:
    """The same with 20,000 studies, to the nominal 93 %."""
    holds, told, marked = coverage(kind, n, 20_000, seed=100 + n)

    assert told >= WORST.get((kind, n), 0.93), f"holds {holds:.1%}, marked {marked:.1%}"
    assert holds >= 0.93 or not TABLE[kind][2]


def family(draw: Draw, mean: float, n: int, studies: int, seed: int) -> float:
    """Share of studies of 22 claims on their margins, independent, with any verdict: all are
    wrong.
    """
    claims = [
        claim_from_plain(ONE.plain() | {"id": f"c{i}", "side": {"nic.mtu": i}}) for i in range(22)
    ]
    cells = {f"c{i}": {"nic.mtu": i} for i in range(22)}
    chance = np.random.default_rng(seed)
    wrong = 0
    for _ in range(studies):
        values = draw(chance, (22, n)) - mean + 1
        found = judge(claims, trials_of(values, dict.fromkeys(cells, n), metric="refaults"), cells)
        wrong += any(one.verdict in ("supported", "contradicted", "equivalent") for one in found)
    return wrong / studies


@pytest.mark.parametrize(("kind", "mean"), [("normal", 0.0), ("gamma 4", 4.0)])
def test_a_family_of_claims_keeps_to_its_five_per_cent(kind: str, mean: float) -> None:
    """22 claims of twenty replicates, none more skewed than 1: of 100 studies at most 11 say
    anything.

    With 5 % more than 11 come up in 5 of 1,000 such tests; the seed is fixed.
    """
    assert stats.binom.sf(11, 100, 0.05) < 0.005
    assert family(TABLE[kind][0], mean, 20, 100, seed=2) <= 11 / 100


FAMILIES = {
    # Skew -> any wrong verdict at n = 10, 20, 40, at most: 5 %, and what the skew adds to it.
    "normal": (0.0, (0.055, 0.055, 0.055)),
    "gamma 4": (4.0, (0.075, 0.065, 0.055)),
    "exponential": (1.0, (0.14, 0.08, 0.06)),
    "lognormal 1": (float(np.exp(0.5)), (0.29, 0.16, 0.125)),
}


@pytest.mark.nightly(part="rates")
@pytest.mark.parametrize("kind", FAMILIES)
def test_the_whole_table_of_families(kind: str) -> None:
    """Any wrong verdict of 22 on their margins, 2,000 studies each: what the footnote's 'while
    differences are not skewed' is worth.
    """
    mean, bounds = FAMILIES[kind]
    for n, most in zip((10, 20, 40), bounds, strict=True):
        found = family(TABLE[kind][0], mean, n, 2_000, seed=n)
        assert found <= most, f"n = {n}"
