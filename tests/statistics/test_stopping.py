"""When a study has enough replicates."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import study
from study.runs import Options, Watcher, resume_study, run_study
from study.scenario import Stopping, load
from study.scenario.claims.keys import claim_from_plain
from study.statistics import replicates_wanted
from tests.by_night import sampled
from tests.statistics.conftest import trials_of

CELLS: dict[str, dict[str, Any]] = {"a": {"nic.mtu": 1500}, "b": {"nic.mtu": 9000}}
SHARE = Stopping(20, 80, "rx_success_ratio", 0.1)


def rows(a: int, b: int, *, second: float = 0.0, metric: str = "rx_success_ratio") -> pd.DataFrame:
    """Replicates of cell a, all 0.5, and of cell b, which are 0 and 1 by turns, plus `second`."""
    values = np.stack([np.full(100, 0.5), np.arange(100) % 2 + second])
    return trials_of(values, {"a": a, "b": b}, metric=metric)


@pytest.mark.parametrize(
    ("a", "b", "wanted"),
    [
        (0, 0, {"a": 20, "b": 20}),
        (20, 7, {"b": 20}),
        (20, 20, {"b": 40}),
        (20, 25, {"b": 40}),
        (20, 40, {"b": 80}),
        (20, 80, {}),
        (80, 80, {}),
    ],
)
def test_each_cell_goes_on_to_its_next_look(a: int, b: int, wanted: dict[str, int]) -> None:
    """A cell that is known stops, the other doubles until the largest number; nobody looks between
    looks.
    """
    assert replicates_wanted(SHARE, rows(a, b), CELLS) == wanted


def test_a_difference_is_known_when_its_own_interval_is_small() -> None:
    """With an axis the paired difference counts: noise that both cells share asks for nothing."""
    noise = np.random.default_rng(0).normal(50, 20, 100)
    values = np.stack([noise, noise + np.random.default_rng(1).normal(3, 0.1, 100)])
    trials = trials_of(values, {"a": 20, "b": 20}, metric="refaults")

    assert replicates_wanted(Stopping(20, 80, "refaults", 1.0, "nic.mtu"), trials, CELLS) == {}
    assert replicates_wanted(Stopping(20, 80, "refaults", 1.0), trials, CELLS) == {"a": 40, "b": 40}


def test_undecided_claims_ask_for_their_cells() -> None:
    """Until claims: the cells of what is decided stop, those of what is not go on."""
    plain = {
        "id": "one",
        "says": "Something.",
        "metric": "refaults",
        "side": {"nic.mtu": 9000},
        "expect": "more",
        "matters": 1,
    }
    chance = np.random.default_rng(0)
    values = np.stack([chance.normal(0, 1, 100), chance.normal(2, 3, 100)])
    trials = trials_of(values, {"a": 20, "b": 20}, metric="refaults")
    open_, decided = (
        claim_from_plain(plain | {"id": name, "against": number})
        for name, number in (("open", 0.5), ("decided", -50))
    )

    assert replicates_wanted(Stopping(20, 80), trials, CELLS, [open_, decided]) == {"b": 40}
    assert replicates_wanted(Stopping(20, 80), trials, CELLS, [decided]) == {}


def test_every_difference_of_a_long_axis_has_to_be_known() -> None:
    """Also of an axis whose levels no table sets against each other."""
    noise = np.random.default_rng(0).normal(0, 1, (13, 100))
    cells = {f"c{level}": {"nic.ring": level} for level in range(13)}
    trials = trials_of(noise, dict.fromkeys(cells, 20), metric="refaults")
    stopping = Stopping(20, 80, "refaults", 0.1, "nic.ring")

    assert replicates_wanted(stopping, trials, cells) == dict.fromkeys(cells, 40)


@pytest.mark.parametrize("seed", sampled(range(20), every=4))
def test_a_round_that_was_broken_off_changes_nothing(seed: int) -> None:
    """Whatever of a round is there already: what is wanted next is what was wanted."""
    chance = np.random.default_rng(seed)
    values = chance.normal(size=(3, 320)) + np.array([[0.0], [0.35], [0.1]])
    cells: dict[str, dict[str, Any]] = {name: {"nic.ring": name} for name in "abc"}
    claims = [
        claim_from_plain(
            {
                "id": f"{one}{other}",
                "says": "Something.",
                "metric": "refaults",
                "side": {"nic.ring": one},
                "against": {"nic.ring": other},
                "expect": "more",
                "matters": 0,
            }
        )
        for one, other in ("ba", "ca")
    ]

    def run(broken: bool) -> dict[str, int]:
        counts = dict.fromkeys(cells, 0)
        while wanted := replicates_wanted(
            Stopping(20, 320), trials_of(values, counts, metric="refaults"), cells, claims
        ):
            goal = counts | wanted
            counts = {
                cell: int(chance.integers(counts[cell], goal[cell] + 1)) if broken else goal[cell]
                for cell in cells
            }
        return counts

    assert run(broken=True) == run(broken=False)


@pytest.mark.parametrize("value", [0.0, float("nan")])
def test_what_never_changes_does_not_run_for_ever(value: float) -> None:
    """A count that is 0 in every trial is known once few trials can differ; a metric without any
    value at once.
    """
    stopping = Stopping(20, 2_000, "frames_dropped", 0.5)
    counts = {"a": 20, "b": 20}
    values = np.full((2, 2_000), value)
    while wanted := replicates_wanted(
        stopping, trials_of(values, counts, metric="frames_dropped"), CELLS
    ):
        counts |= wanted

    assert counts["a"] == counts["b"] == (160 if value == 0 else 20)


def test_failed_trials_count_as_run() -> None:
    """A cell whose trials fail is not tried again and again."""
    trials = rows(20, 20)
    trials["status"] = "failed"

    assert replicates_wanted(SHARE, trials, CELLS) == {}


SCENARIO = """
name: adaptive
replicates: { min: 5, max: 20, until: { metric: rx_success_ratio, half_width: 0.2 } }
base:
  zone: { memory: 32MiB, reserved: 2MiB }
  user: { touch_rate: 5000/s }
  processes: { memory: 128KiB }
  nic: { ring: 32, rx_rate: 500/s, tx_rate: 250/s }
  clock: { ageing: 1s, measure: 1s, sample: 250ms }
axes:
  nic.receive: [linear, page-array]
"""


def test_a_run_goes_on_until_its_rule_is_met(tmp_path: Path) -> None:
    """Cells end with different numbers of replicates, and their rows are those of a fixed run."""
    scenario = tmp_path / "adaptive.yaml"
    scenario.write_text(SCENARIO)
    results = study.run(scenario, out=tmp_path / "out", ray=False)
    again = study.run(scenario, out=tmp_path / "out", ray=False)
    fixed = study.run(scenario, "replicates=20", out=tmp_path / "fixed", ray=False)

    counts = results.trials.groupby("cell", sort=False).size()
    assert results.manifest["state"] == "complete"
    assert results.manifest["counts"]["trials"] == counts.sum() == len(results.trials)
    assert counts.max() > 5
    pd.testing.assert_frame_equal(again.trials, results.trials, check_exact=True)
    assert (
        replicates_wanted(
            Stopping.from_plain(results.manifest["scenario"]["replicates"]),
            results.trials,
            results.manifest["cells"],
        )
        == {}
    )
    same = fixed.trials.merge(results.trials[["cell", "replicate"]], on=["cell", "replicate"])
    pd.testing.assert_frame_equal(results.trials, same, check_exact=True)


class StopsAfter(Watcher):
    """Somebody who presses Ctrl-C once so many trials have finished."""

    def __init__(self, trials: int) -> None:
        self.left = trials

    def advance(self, finished: int, _failed: int) -> None:
        """Called with each batch of rows."""
        self.left -= finished
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)


def test_a_run_is_not_complete_until_its_rule_was_asked(tmp_path: Path) -> None:
    """Stopped on the last trial of a round it is interrupted, and goes on to the same end."""
    scenario = tmp_path / "adaptive.yaml"
    scenario.write_text(SCENARIO)
    whole = run_study(load(scenario), tmp_path / "whole", Options(ray=False))
    stopped = run_study(
        load(scenario), tmp_path / "out", Options(ray=False), watcher=StopsAfter(10)
    )
    assert stopped.manifest["state"] == "interrupted"
    assert len(stopped.trials) == 10

    resumed = resume_study(tmp_path / "out", Options(ray=False))
    assert resumed.manifest["state"] == "complete"
    pd.testing.assert_frame_equal(resumed.trials, whole.trials, check_exact=True)


def test_a_rule_that_is_asked_is_not_broken_off(tmp_path: Path) -> None:
    """Ctrl-C while a finished run asks its rule: it is heard afterwards."""
    scenario = tmp_path / "adaptive.yaml"
    scenario.write_text(SCENARIO.replace("max: 20", "max: 5"))
    run_study(load(scenario), tmp_path / "out", Options(ray=False))
    asked = []

    def more(rows: pd.DataFrame) -> dict[str, int]:
        signal.raise_signal(signal.SIGINT)
        asked.append(len(rows))
        return dict.fromkeys(rows["cell"], 6)

    again = run_study(load(scenario), tmp_path / "out", Options(ray=False), more=more)
    assert asked == [10]
    assert again.manifest["state"] == "interrupted"
    assert len(again.trials) == 10
