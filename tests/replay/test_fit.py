"""A synthetic load fitted to a trace: its parameters, how near it comes, and that it runs."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from study.fanout.trial import run_trial
from study.replay.demand import Demand
from study.replay.fit import FILES, PROGRAMS, SLAB, fit
from study.scenario import load, load_text
from study.scenario.write import yaml_text
from study.zone.demand import Use
from study.zone.gfp import gfp_of
from tests.replay.test_demand import EVENTS, ftrace

KERNEL = gfp_of(frozenset({"WAIT", "FS", "IO"}))
ATOMIC = gfp_of(frozenset({"HIGH"}))
MOVABLE = gfp_of(frozenset({"WAIT", "FS", "IO", "MOVABLE"}))
RECLAIMABLE = gfp_of(frozenset({"WAIT", "FS", "IO", "RECLAIMABLE"}))
LENGTH_S = 40.0


def stream(
    dice: np.random.Generator, rate: float, burst: float, median_ms: float, sigma: float, use: int,
    order: int, gfp: int, *, together: bool = False
) -> np.ndarray:  # fmt: skip
    """Requests of one source: at, hold, order, flags, use."""
    bursts = dice.poisson(rate / burst * LENGTH_S)
    sizes = dice.geometric(1 / burst, bursts)
    at = np.repeat(np.sort(dice.uniform(0, LENGTH_S * 1e6, bursts)), sizes)
    lives = dice.lognormal(math.log(1e3 * median_ms), sigma, bursts if together else len(at))
    hold = np.repeat(lives, sizes) if together else lives
    rest = [np.full(len(at), value) for value in (order, gfp, use)]
    return np.stack([at, hold, *rest]).astype(np.int64)


@pytest.fixture(scope="module")
def demand() -> Demand:
    """Forty seconds of sources whose laws are known."""
    dice = np.random.default_rng(7)
    parts = [
        stream(dice, 500, 1, 1, 0.1, int(Use.FILE | Use.RECLAIMED), 0, MOVABLE),
        stream(dice, 800, 40, 250, 1.0, int(Use.ANON), 0, MOVABLE, together=True),
        stream(dice, 300, 1, 20, 1.5, 0, 0, KERNEL),
        stream(dice, 100, 1, 20, 1.5, 0, 0, RECLAIMABLE),
        stream(dice, 200, 8, 30, 0.8, 0, 3, ATOMIC),
        stream(dice, 20, 1, 2_000, 0.5, 0, 6, KERNEL),
    ]
    at, hold, order, gfp, use = np.concatenate(parts, 1)[:, np.argsort(np.concatenate(parts, 1)[0])]
    whole = np.ones(len(at), bool)
    return Demand(at, hold, order, gfp, use, whole, whole, int(LENGTH_S * 1e6), Counter())


def study(*arguments: object, fails: int = 0) -> subprocess.CompletedProcess[str]:
    made = subprocess.run(
        [sys.executable, "-m", "study", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == fails, made.stderr
    return made


def number(text: object) -> float:
    """Of a setting with a unit."""
    return float(str(text).rstrip("%/misnpage "))


def test_the_laws_of_the_sources_are_found(demand: Demand) -> None:
    """Rates, orders, hold times and bursts come out as the requests were drawn."""
    base = fit(demand).base

    forks = number(base["processes"]["fork_rate"])
    pages = number(base["processes"]["memory"])
    assert forks * pages == pytest.approx(800, rel=0.15)
    assert pages == pytest.approx(40, rel=0.15)
    assert number(base["processes"]["lifetime"]) == pytest.approx(250, rel=0.2)
    assert base["processes"]["lifetime_sigma"] == pytest.approx(1.0, abs=0.15)
    assert number(base["slab"]["rate"]) == pytest.approx(400, rel=0.05)
    assert number(base["slab"]["lifetime"]) == pytest.approx(20, rel=0.1)
    assert number(base["slab"]["reclaimable"]) == pytest.approx(25, rel=0.1)
    assert number(base["user"]["touch_rate"]) * 7 / 8 == pytest.approx(500, rel=0.05)
    frames, large = base["requests"]["order3-atomic"], base["requests"]["order6-kernel"]
    assert (frames["order"], large["order"]) == (3, 6)
    assert number(frames["rate"]) == pytest.approx(200, rel=0.15)
    assert frames["burst"] == pytest.approx(8, rel=0.2)
    assert number(frames["hold"]) == pytest.approx(30, rel=0.1)
    assert frames["hold_sigma"] == pytest.approx(0.8, rel=0.1)
    assert large["burst"] < 1.2
    assert number(large["hold"]) == pytest.approx(2_000, rel=0.1)


def test_how_near_it_comes_is_said_of_both_halves(demand: Demand) -> None:
    """The fit has the rate, hold times and bursts of either half, where both are of one law."""
    found = fit(demand)

    assert [part.name for part in found.parts] == [
        FILES, PROGRAMS, SLAB, "order3-atomic", "order6-kernel",
    ]  # fmt: skip
    assert found.left_out == 0
    for part in found.parts:
        for half in (part.first, part.second):
            assert part.fit.rate == pytest.approx(half.rate, rel=0.25), part.name
            if half.holds_ms is not None and part.fit.holds_ms is not None:
                assert part.fit.holds_ms[1] == pytest.approx(half.holds_ms[1], rel=0.25)
    frames = found.parts[3]
    assert frames.first.spread[0] == pytest.approx(15, rel=0.25)
    assert frames.fit.spread[0] == pytest.approx(frames.second.spread[0], rel=0.3)
    assert sum(first for first, _, _ in found.orders.values()) == pytest.approx(1)
    assert found.orders[3][0] == pytest.approx(found.orders[3][1], rel=0.1)


def test_what_changes_in_the_second_half_is_seen(demand: Demand) -> None:
    """A second half that asks twice as often is told apart from a fit of the first."""
    late = demand.at_us >= demand.length_us // 2
    twice = np.sort(np.concatenate([np.arange(len(late)), np.flatnonzero(late)]))
    changed = demand.take(twice, demand.length_us)

    for part in fit(changed).parts:
        assert part.second.rate > 1.5 * part.fit.rate


def test_the_zone_asks_as_the_fit_says(demand: Demand, tmp_path: Path) -> None:
    """The scenario runs, and each of its sources asks as often as it was said to."""
    found = fit(demand)
    path = tmp_path / "fitted.yaml"
    base = found.base | {
        "zone": {"memory": "256MiB"},
        "clock": {"ageing": "1s", "measure": "30s"},
    }
    path.write_text(json.dumps({"base": base}))
    metrics = run_trial(next(load(path).trials())).metrics

    rates = {part.name: part.fit.rate * 30 for part in found.parts}
    assert metrics["request1_attempts"] == pytest.approx(rates["order3-atomic"], rel=0.2)
    assert metrics["request2_attempts"] == pytest.approx(rates["order6-kernel"], rel=0.2)
    assert metrics["slab_attempts"] == pytest.approx(rates[SLAB], rel=0.1)
    assert metrics["user_attempts"] == pytest.approx(rates[FILES] + rates[PROGRAMS], rel=0.2)


def test_too_little_is_refused(tmp_path: Path) -> None:
    """A trace of one request has no halves; nothing is written."""
    trace = tmp_path / "trace_one.txt"
    trace.write_text(ftrace(*EVENTS[0]))
    made = study("replay", trace, "--load", tmp_path / "out.yaml", fails=2)

    assert "too little to fit" in made.stderr
    assert not (tmp_path / "out.yaml").exists()


def test_many_in_a_moment_are_drawn_for_no_longer_than_tells() -> None:
    """A million requests a second would be 120 million draws."""
    length = 10_000
    rows = np.arange(length)
    kinds = np.zeros(length, np.int64)
    found = fit(
        Demand(
            rows, kinds + 50, kinds, kinds, kinds, kinds == 0, kinds == 0, length, Counter()
        )
    )  # fmt: skip
    (slab,) = found.parts
    assert slab.fit.rate == pytest.approx(slab.first.rate, rel=0.01)


def test_a_rare_request_has_a_rate_that_is_read() -> None:
    """One in days is no `0.000/min`."""
    ones, days = np.ones(2, np.int64), 2 * 86_400_000_000
    at = np.array([1, days - 1])
    base = fit(
        Demand(at, 50 * ones, 0 * ones, 0 * ones, 0 * ones, ones > 0, ones > 0, days, Counter())
    ).base
    study = load_text(yaml_text({"base": base}), "fitted.yaml")
    assert study.cells[0].settings.slab.pages_per_s == pytest.approx(1 / 86_400, rel=1e-5)


def test_the_command_writes_a_scenario_and_tells_how_near_it_comes(tmp_path: Path) -> None:
    """One command: a file that loads, and a table of trace, fit and the half left out."""
    trace, out = tmp_path / "trace_few.txt", tmp_path / "out.yaml"
    trace.write_text("".join(ftrace(*event) for event in EVENTS))
    made = study("replay", trace, "--load", out)

    assert "first half" in made.stdout
    assert "second half" in made.stdout
    assert "order3-atomic" in made.stdout
    assert "not fitted: bursts of single kernel pages" in " ".join(made.stdout.split())
    assert load(out).cells[0].settings.requests[0].name == "order3-atomic"
    again = study("replay", trace, "--load", out, fails=2)
    assert "is there already" in again.stderr


def test_one_trace_at_a_time(tmp_path: Path) -> None:
    """Two traces make no one load."""
    made = study("replay", "a.txt", "b.txt", "--load", tmp_path / "out.yaml", fails=2)

    assert "--load takes one trace" in made.stderr


def test_files_that_are_read_in_bursts_are_touched_at_the_rates_of_the_first_half(
    tmp_path: Path,
) -> None:
    """Both spreads are those of the trace, in the fit's figures and in the zone's own requests."""
    dice = np.random.default_rng(3)
    use = int(Use.FILE | Use.RECLAIMED)
    at, hold, order, gfp, uses = stream(dice, 400, 60, 1, 0.1, use, 0, MOVABLE)
    whole = np.ones(len(at), bool)
    demand = Demand(at, hold, order, gfp, uses, whole, whole, int(LENGTH_S * 1e6), Counter())
    found = fit(demand)
    [part] = found.parts
    profile = found.base["user"]["touch_profile"]

    assert 10 < len(profile) <= 1_000
    assert sum(number(str(lasts).rstrip("m")) for lasts, _ in profile) == pytest.approx(20_000)
    assert part.fit.rate == pytest.approx(part.first.rate, rel=0.05)
    for fitted, told in zip(part.fit.spread, part.first.spread, strict=True):
        # Pieces of 20 ms, for 20 s, halve what comes in 10 ms.
        assert 0.4 * told < fitted < 1.2 * told
    path = tmp_path / "fitted.yaml"
    base = found.base | {
        "zone": {"memory": "128MiB"},
        "clock": {"ageing": "0s", "measure": "20s"},
    }
    path.write_text(json.dumps({"base": base}))
    metrics = run_trial(next(load(path).trials())).metrics

    assert metrics["user_attempts"] == pytest.approx(part.first.rate * 20, rel=0.1)


def test_files_that_are_read_evenly_have_no_profile(demand: Demand) -> None:
    """A Poisson stream has no bursts."""
    assert "touch_profile" not in fit(demand).base["user"]
