"""Do stopped studies tell the truth? 2,000 synthetic ones of each kind, for their intervals.

Each study looks after 20, 40, ..., 2,000 replicates and stops at the first look at which half of
its interval is as small as asked. The interval it then has must hold the truth in at least 93 % of
the studies. Were the rule exactly as good as its nominal 95 %, one kind would fall below 93 % by
chance with a probability of 3 in 100,000 (binomial); the seed is fixed, so that no run differs.

And 400 of each kind that stop when their claim is decided: at most 33 may be wrong, where 20 would
be 5 %. Were it exactly 5 %, more than 33 would come up in 2 of 1,000 such tests.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from study.scenario import Claim, Stopping
from study.statistics.intervals import mean_interval
from study.statistics.stopping import replicates_wanted, settled
from study.statistics.verdict import judge
from tests.statistics.conftest import trials_of

STUDIES, MOST = 2_000, 2_000
STOPPING = Stopping(20, MOST)
CONFIDENCE = 1 - 0.05 / len(STOPPING.looks())
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
        found = mean_interval(values[running, :look], confidence=CONFIDENCE, share=share)
        covered[running] = (found.low <= truth) & (truth <= found.high)
        running[running] = ~settled(found.half_width, found.sparse, half_width)

    assert FALSE_ALARM < 1e-4
    assert covered.mean() >= LEAST


def test_what_is_simulated_is_what_stops_a_study() -> None:
    """Study by study, replicates_wanted() stops at the look the simulation above stops at."""
    stopping = Stopping(20, 640, "rx_success_ratio", 0.12)
    confidence = 1 - 0.05 / len(stopping.looks())
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
            found = mean_interval(row[:look], confidence=confidence, share=True)
            expected[cell] = look
            if found.half_width <= 0.12:
                break
    assert counts == expected
    assert len(set(counts.values())) > 1


AT_THE_MARGIN: dict[str, Draw] = {
    # Differences whose true mean is 1.
    "normal": lambda chance, size: chance.normal(1, 1, size),
    "exponential": lambda chance, size: chance.exponential(1, size),
    "lognormal": lambda chance, size: np.exp(chance.standard_normal(size) - 0.5),
}


@pytest.mark.parametrize("kind", AT_THE_MARGIN)
def test_studies_that_stop_when_decided_are_seldom_wrong(kind: str) -> None:
    """The truth lies on the margin, so that any verdict is wrong; the study looks after 20, 40, 80
    and 160 replicates, and stops at the first verdict.
    """
    claim = Claim.from_plain(
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
    cells = {"a": {"nic.mtu": 9000}}
    looks = Stopping(20, 160).looks()
    values = AT_THE_MARGIN[kind](np.random.default_rng(8), (400, looks[-1]))
    wrong = 0
    for study in values:
        for look in looks:
            trials = trials_of(study[None, :], {"a": look}, metric="refaults")
            (found,) = judge([claim], trials, cells, alpha=0.05 / len(looks))
            if found.verdict != "undecided":
                wrong += 1
                break

    assert stats.binom.sf(33, 400, 0.05) < 0.004
    assert wrong <= 33
