"""Two studies side by side."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import stats

from study.cli import main
from study.results.errors import ResultsError
from study.statistics.compare import compare, text

SCENARIO = "replicates: 8\nseed: {seed}\naxes:\n  nic.mtu: {mtu}\n"


def study_of(
    make_findings: Any, name: str, gain: float, *, seed: int = 1, mtu: str = "[1500, 9000]"
):
    """Two metrics; `served` is `gain` per cent better than 100, give or take."""

    def metrics(levels: Any, replicate: int) -> dict[str, float]:
        common = np.random.default_rng([replicate, seed]).normal(0, 10)
        own = np.random.default_rng([replicate, levels["nic.mtu"], int(gain)]).normal(0, 0.2)
        return {"served": 100 + common + gain + own, "same": 3.0}

    return make_findings(SCENARIO.format(seed=seed, mtu=mtu), metrics, name=name)


def test_studies_of_one_seed_are_paired(make_findings) -> None:
    """A difference far below the spread of either study shows, and what is the same has no star."""
    first, second = (study_of(make_findings, name, gain) for name, gain in (("a", 0), ("b", 2)))
    found = compare(first, second)
    by_place = {(line.group, line.metric): line for line in found.lines}

    assert found.paired
    assert found.cells == 2
    line = by_place["all cells", "served"]
    assert line.difference == pytest.approx(2, abs=0.3)
    assert line.percent == pytest.approx(100 * line.difference / line.first)
    assert line.significant
    assert not by_place["all cells", "same"].significant
    assert by_place["all cells", "same"].note == "no replicate differs"
    assert {line.group for line in found.lines} == {"all cells", "nic.mtu 1500", "nic.mtu 9000"}


@pytest.mark.parametrize("seed", [1, 2], ids=["paired", "not paired"])
def test_a_cell_without_a_value_in_one_study_is_left_out_of_both(make_findings, seed: int) -> None:
    """Else a mean over some cells would be held against one over others."""

    def metrics(levels: Any, replicate: int, *, whole: bool) -> dict[str, float] | None:
        if levels["nic.mtu"] == 9000 and not whole:
            return None
        return {"served": (100.0 if levels["nic.mtu"] == 1500 else 500.0) + replicate}

    first, second = (
        make_findings(
            SCENARIO.format(seed=seed if whole else 1, mtu="[1500, 9000]"),
            lambda levels, replicate, whole=whole: metrics(levels, replicate, whole=whole),
            name=str(whole),
        )
        for whole in (True, False)
    )
    by_group = {line.group: line for line in compare(first, second).lines}

    assert by_group["all cells"].difference == 0
    assert by_group["all cells"].first == by_group["nic.mtu 1500"].first
    assert np.isnan(by_group["nic.mtu 9000"].first)


def test_studies_of_two_seeds_are_not_paired(make_findings) -> None:
    """Other seeds are other trials: Welch's test or Student's, whichever is less sure; and the text
    says so.
    """
    first = study_of(make_findings, "a", 0)
    second = study_of(make_findings, "b", 2, seed=2)
    found = compare(first, second, metrics=["served"])
    sides = [f.trials.groupby("replicate")["served"].mean() for f in (second, first)]

    assert not found.paired
    p = [stats.ttest_ind(*sides, equal_var=equal).pvalue for equal in (False, True)]
    assert found.lines[0].p == pytest.approx(max(p))
    assert "not paired" in text(found)


def test_a_side_that_hardly_spreads_by_chance_makes_no_difference_sure(make_findings) -> None:
    """Five replicates that happen to agree against forty that do not: only Welch's test is sure."""
    values = [0.36, 0.37, 0.36, 0.37, 0.37], np.random.default_rng(0).exponential(0.8, 40)
    first, second = (
        make_findings(
            f"replicates: {len(of)}\nseed: {seed}\naxes: {{ nic.mtu: [1500] }}\n",
            lambda _levels, replicate, of=of: {"stalls": of[replicate], "never": float("nan")},
            name=f"s{seed}",
        )
        for seed, of in enumerate(values)
    )
    (line,) = compare(first, second).lines

    assert stats.ttest_ind(*values, equal_var=False).pvalue < 0.01
    assert line.p > 0.05
    assert line.metric == "stalls"


def test_the_text_fits_a_mail(make_findings) -> None:
    """Plain ASCII, at most 80 columns, a star where it differs, value and per cent on each line."""
    first, second = (study_of(make_findings, name, gain) for name, gain in (("a", 0), ("b", 2)))
    result = CliRunner().invoke(main, ["compare", str(first.path), str(second.path)])

    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert result.output.isascii()
    body = lines[lines.index("all cells") :]
    assert any(line.startswith("  served ") and line.endswith("%*") for line in body)
    assert any("in ( ): not told apart" in line for line in body)
    assert any(line.startswith("  same ") and line.endswith("0.00%)") for line in body)
    assert all(len(line) <= 80 for line in body)


def test_cells_are_matched_by_their_levels(make_findings) -> None:
    """What only one study has is left out; nothing in common is an error, and so is no metric."""
    first = study_of(make_findings, "a", 0)
    second = study_of(make_findings, "b", 2, mtu="[9000, 4000]")
    other = study_of(make_findings, "c", 2, mtu="[4000]")
    runner = CliRunner()
    done = runner.invoke(main, ["compare", "--cells", "--json", str(first.path), str(second.path)])

    assert {line["group"] for line in json.loads(done.output)} == {"all cells", "nic.mtu=9000"}
    with pytest.raises(ResultsError, match="no cell with the same levels"):
        compare(first, other)
    refused = runner.invoke(main, ["compare", "--metric", "x", str(first.path), str(second.path)])
    assert refused.exit_code == 2
    assert "x is no metric of both studies" in refused.output
    with pytest.raises(ResultsError, match="did you mean served"):
        compare(first, second, metrics=["serverd"])


NAMED = """
replicates: 8
axes: {{ nic.mtu: [1500, 9000] }}
requests: {{ {requests} }}
claims:
  - {{ id: one, says: It serves more., metric: requests.wifi.served, side: {{ nic.mtu: 9000 }},
      against: {{ nic.mtu: 1500 }}, expect: more, matters: 0.01 }}
"""
DOCKERD = "dockerd: { order: 6, rate: 1/s }, "
WIFI = "wifi: { order: 1, rate: 9/s }"


def test_requests_are_called_by_their_names_everywhere(make_findings) -> None:
    """In verdicts, contrasts and comparisons; and one is itself though its number is another."""

    def one(levels: Any, replicate: int) -> dict[str, float]:
        served = levels["nic.mtu"] / 10_000 + replicate / 1000
        return {"request1_served_ratio": 0.5, "request2_served_ratio": served}

    def two(levels: Any, replicate: int) -> dict[str, float]:
        return {"request1_served_ratio": one(levels, replicate)["request2_served_ratio"]}

    first = make_findings(NAMED.format(requests=DOCKERD + WIFI), one, name="a")
    second = make_findings(NAMED.format(requests=WIFI), two, name="b")

    def printed(*command: str) -> str:
        return CliRunner().invoke(main, [*command]).output

    assert "requests of wifi: served: 0.9" in printed("verdicts", str(first.path))
    asked = ("--metric", "requests.wifi.served")
    assert "requests of wifi" in printed("contrasts", str(first.path), *asked)
    alike = printed("compare", str(first.path), str(second.path), *asked)
    assert re.search(r"requests\.wifi\.served_ratio +0\.5\d+ +0\.5\d+ \( +0\.00%\)", alike)
    told = printed(
        "compare", str(first.path), str(second.path), "--metric", "requests.dockerd.served"
    )
    assert "no metric of both studies" in told
    assert "did you mean dockerd?" in printed(
        "contrasts", str(first.path), "--metric", "requests.dokerd.served"
    )
