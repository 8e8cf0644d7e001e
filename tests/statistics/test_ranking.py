"""The ranking of cures: what serves requests by name best, and at what cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

from study.cli import main
from study.scenario import ScenarioError, load_text
from study.statistics.effects import level_means
from study.statistics.ranking import (
    Count,
    Estimate,
    Ranked,
    Ranking,
    ranking_of,
    refuses_nothing,
    reproduced,
    told,
)

TRIALS = pd.DataFrame(
    {
        "cell": ["a", "b", "a", "b"],
        "replicate": [0, 0, 1, 1],
        "seed": [1, 2, 3, 4],
        "status": ["ok", "ok", "ok", "failed"],
        "error": ["", "", "", "boom"],
        "refaults": [10.0, 30.0, 20.0, 99.0],
    }
)
CELLS = {"a": {"cure": "own"}, "b": {"cure": "other"}}


@pytest.mark.quick
def test_means_are_by_level_and_replicate() -> None:
    """One value a replicate for each level; trials that failed are none."""
    means = dict(level_means(TRIALS, axis="cure", metrics=["refaults"], cells=CELLS))

    assert means["own"]["refaults"].tolist() == [10.0, 20.0]
    assert means["other"]["refaults"].tolist() == [30.0]


@pytest.mark.quick
def test_levels_are_told_best_first_with_what_they_set_and_cost() -> None:
    """What does not differ is 0 %, without a sign; the machine as it is has no costs."""
    nan = float("nan")
    best = Ranked(
        "marks", Estimate(1.0, 0.9, 1.0, 7), Estimate(0.5, nan, nan, 7), {"refaults": 0.998}
    )
    own = Ranked("own", Estimate(0.8, 0.7, 0.9, 7), Estimate(0.8, 0.7, 0.9, 7), {"refaults": 1.0})
    levels = {"own": {}, "marks": {"vm.min_free_kbytes": 2048}}
    manifest: Any = {"scenario": {"axes": {"cure": levels}}}

    one, other = told(Ranking("cure", "own", True, nan, [best, own]), manifest)

    assert (one.level, one.sets, one.costs) == ("marks", "vm.min_free_kbytes 2048", "0 % refaults")
    assert one.serves == "serves 100 % (in each of 7 replicates), at once 50 %"
    assert one.tied == "no difference to own known"
    assert other.tied == ""
    assert (other.is_first, other.sets, other.costs) == (True, "", "")
    assert other.serves == "serves 80 % [70, 90]"


@pytest.mark.quick
@pytest.mark.parametrize("axis", ["cre", "nic.ring"])
def test_only_an_axis_can_be_ranked(axis: str) -> None:
    """`ranking` names an axis of two levels or more; a slip is told with the nearest one."""
    text = f"ranking: {axis}\naxes: {{cure: {{own: {{}}, other: {{nic.ring: 8}}}}}}"
    with pytest.raises(ScenarioError) as refused:
        load_text(text, "x.yaml")

    [fault] = refused.value.faults
    assert f"ranking is {axis}, which is no axis" in fault.text


@pytest.mark.quick
def test_a_ranking_survives_being_written_down(tmp_path: Path) -> None:
    """The manifest keeps which axis is ranked."""
    text = "ranking: cure\naxes: {cure: {own: {}, other: {nic.ring: 8}}}"

    assert load_text(text, "x.yaml").document["ranking"] == "cure"
    assert load_text("seed: 1", str(tmp_path / "x.yaml")).document["ranking"] is None


RARE = """
name: rare
replicates: 10
ranking: policy
extends: [machine/i386-256mb]
base:
  requests: { driver: { order: 2, rate: 1/min } }
axes:
  policy: [policy/stock, policy/order-aware]
  nic.mtu: [1500, 9000]
"""
RANKED = ("served_ratio", "at_once_ratio")
COSTS = ("refaults", "reclaimed_pages", "moved_pages", "free_pages_mean")


def requests(attempts: int, ratio: float) -> dict[str, float]:
    """Metrics of a trial in which so many requests were made, and that share of them served."""
    share = ratio if attempts else float("nan")
    return {
        "request1_attempts": float(attempts),
        **{f"request1_{what}": share for what in RANKED},
        "request1_first_refused": float(share < 1) if attempts else float("nan"),
        **dict.fromkeys(COSTS, 1.0),
    }


def test_replicates_in_which_a_cell_asked_for_nothing_count_by_the_others(make_findings) -> None:
    """Every request was served; that one cell made none makes none of them refused."""

    def found(levels: dict[str, Any], replicate: int) -> dict[str, float]:
        second = levels["policy"] == "order-aware"
        attempts = 0 if levels["nic.mtu"] == 1500 and replicate % 2 else 2
        return requests(attempts, 1.0 if second else 0.5)

    ranking = ranking_of(make_findings(RARE, found))
    assert ranking is not None
    assert {one.level: one.served.mean for one in ranking.levels} == {
        "order-aware": 1.0,
        "stock": 0.5,
    }


@pytest.mark.parametrize("asked", [True, False], ids=["failed", "asked nothing"])
def test_without_a_value_at_the_first_level_nothing_is_ranked(make_findings, asked: bool) -> None:
    """No other level is told as the machine as it is, and nothing is said to be served at once."""

    def found(levels: dict[str, Any], _replicate: int) -> dict[str, float] | None:
        if levels["policy"] == "stock":
            return None if asked else requests(0, 1.0)
        return requests(2, 0.5)

    ranking = ranking_of(make_findings(RARE, found))
    assert ranking is not None
    assert ranking.refuses is None
    assert refuses_nothing(ranking).startswith("No ranking: at policy stock no trial")


@pytest.mark.parametrize("level", ["stock", "order-aware"])
def test_levels_are_ranked_where_all_of_them_finished(make_findings, level: str) -> None:
    """The other card would make another ranking; of it nothing is known at one of the levels."""

    def found(levels: dict[str, Any], _replicate: int) -> dict[str, float] | None:
        if levels["policy"] == level and levels["nic.mtu"] == 9000:
            return None
        served = 0.9 if levels["policy"] == "order-aware" else 0.5
        return requests(20, served if levels["nic.mtu"] == 1500 else 0.1)

    ranking = ranking_of(make_findings(RARE, found))
    assert ranking is not None
    assert ranking.refuses
    assert {one.level: one.served.mean for one in ranking.levels} == {
        "order-aware": 0.9,
        "stock": 0.5,
    }


def test_levels_of_different_settings_are_not_ranked(make_findings) -> None:
    """What serves more here is the card, and it is not said of the policy."""
    text = RARE + (
        "exclude:\n"
        "  - { policy: stock, nic.mtu: 9000 }\n"
        "  - { policy: order-aware, nic.mtu: 1500 }\n"
    )
    ranking = ranking_of(
        make_findings(text, lambda levels, _: requests(20, 0.5 if levels["nic.mtu"] < 9000 else 1))
    )
    assert ranking is not None
    assert (ranking.refuses, ranking.levels) == (None, [])
    assert refuses_nothing(ranking).startswith("No ranking: there is no setting")


MOMENTS = """
ranking: cure
replicates: 10
base:
  requests: { apache: { order: 3, rate: 100/s, first: 0s } }
axes:
  cure:
    own: {}
    marks: { vm.min_free_kbytes: 8192 }
    dropped: { actions: [{ at: 1ms, do: drop_caches }] }
    pages: { requests.apache.order: 0 }
"""


@pytest.mark.parametrize("seldom", [True, False])
def test_what_a_ranking_rests_on_is_said(make_findings, seldom: bool) -> None:
    """How many requests were refused; whether it is the first ones alone; what is no difference."""
    refused = 2 if seldom else 200

    def found(levels: dict[str, Any], replicate: int) -> dict[str, float]:
        at = {"own": refused + replicate % 2, "marks": refused + replicate % 2, "dropped": 1,
              "pages": 0}  # fmt: skip
        row = requests(1000, 1 - at[levels["cure"]] / 1000)
        return row | {"request1_first_refused": float(levels["cure"] != "pages")}

    results = make_findings(MOMENTS, found)
    ranking = ranking_of(results)
    assert ranking is not None
    assert ranking.refused is not None
    mean = refused + 0.5
    assert ranking.refused == Count(pytest.approx(mean), refused, refused + 1, 1000, 10)
    by_level = {one.level: one for one in told(ranking, results.manifest)}
    assert by_level["marks"].tied == "no difference to own known"
    assert by_level["pages"].tied == by_level["own"].tied == ""
    assert by_level["dropped"].sets == "drop_caches at 1ms"
    note = reproduced(ranking, results.manifest)
    assert f"({refused} to {refused + 1} in 10 replicates)" in note
    assert ("soon serves nearly all by itself" in note) == seldom
    assert "dropped: done after the first request" in note
    assert "marks: done" not in note


OTHERS = """
base:
  requests: { apache: { order: 1, rate: 1/s }, driver: { order: 2, rate: 1/min } }
axes:
  policy: [policy/stock, policy/order-aware]
claims:
  - id: more
    says: The driver is served more.
    metric: requests.NAME.served
    side: { policy: order-aware }
    against: { policy: stock }
    expect: more
    matters: 0.01
"""


def test_claims_of_another_file_go_by_the_names_of_requests(make_findings, tmp_path: Path) -> None:
    """There the driver is the second by name, here the first; what is not here is refused."""
    findings = make_findings(RARE, lambda levels, _: requests(2, levels["policy"] != "stock"))
    file = tmp_path / "others.yaml"
    file.write_text(OTHERS.replace("NAME", "driver"))
    done = CliRunner().invoke(main, ["verdicts", str(findings.path), str(file), "--json"])
    [verdict] = json.loads(done.output)
    assert (verdict["verdict"], verdict["estimate"]) == ("supported", 1.0)

    file.write_text(OTHERS.replace("NAME", "apache"))
    refused = CliRunner().invoke(main, ["verdicts", str(findings.path), str(file)])
    assert refused.exit_code == 2
    assert "no request of the study is called apache" in " ".join(refused.output.split())
