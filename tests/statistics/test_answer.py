"""What a study says in a few sentences: numbers are contrasts', and nothing is named by luck."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from study.statistics import Findings
from study.statistics.answer import answer_of
from study.statistics.contrasts import contrast_table, significant
from study.statistics.effects import main_effects, significant_levels
from study.statistics.words import share_with_interval
from tests.statistics.conftest import trials_of

SCENARIO = """
name: made-up
replicates: {n}
axes:
  kswapd.policy: [count-only, order-aware]
  reclaim.lumpy: [false, true]
"""


def metrics(serve: Callable[[Mapping[str, Any], float], float]) -> Callable[..., dict[str, float]]:
    """Metrics of a trial whose service a function of levels and chance gives."""

    def found(levels: Mapping[str, Any], replicate: int) -> dict[str, float]:
        # Chance is the replicate's and the cell's.
        chance = np.random.default_rng([replicate, *map(ord, "".join(map(str, levels.values())))])
        noise = float(chance.normal())
        return {
            "rx_success_ratio": min(serve(levels, noise), 1.0),
            "reclaimed_pages": 1000.0 + 10 * noise,
            "refaults": 100.0 + noise,
        }

    return found


def better_with_order_aware(levels: Mapping[str, Any], noise: float) -> float:
    return (0.95 if levels["kswapd.policy"] == "order-aware" else 0.80) + 0.005 * noise


@pytest.fixture
def studies(make_findings) -> Callable[..., Findings]:
    """Made-up findings by service and number of replicates."""

    def make(serve, *, n: int = 8, name: str = "out", text: str = SCENARIO) -> Findings:
        return make_findings(text.format(n=n), metrics(serve), name=name)

    return make


def test_the_policy_that_serves_more_is_named_with_its_cost(studies) -> None:
    """Its numbers are those of the tables."""
    findings = studies(better_with_order_aware)
    answer = findings.answer
    assert answer.kind == "difference known"
    assert answer.differences == (("kswapd.policy", "order-aware", "count-only"),)
    summary = main_effects(
        findings.columns,
        axis="kswapd.policy",
        metrics=["rx_success_ratio"],
        cells=findings.manifest["cells"],
    )[0]
    stock, aware = (f"{round(100 * one.mean, 1):g} % [" for one in summary)
    assert f"kswapd.policy order-aware serves {aware}" in answer.text
    assert f"count-only {stock}" in answer.text
    assert "reclaim.lumpy: no difference known" in answer.text

    table = findings.contrasts
    cost = table[
        (table["metric"] == "reclaimed_pages")
        & (table["axis"] == "kswapd.policy")
        & (table["kind"] == "axis")
    ].iloc[0]
    assert f"{cost['ratio']:.3g} [{cost['ratio_low']:.3g} to {cost['ratio_high']:.3g}] times" in (
        answer.text
    )


def test_what_is_held_is_a_sentence(make_findings) -> None:
    """It begins with a capital also if nothing is averaged over."""
    text = "name: one\nreplicates: 8\naxes: {kswapd.policy: [count-only, order-aware]}\n"
    answer = make_findings(text, metrics(better_with_order_aware)).answer
    assert answer.text.endswith(". Kernel 2.6.8 and the load of the scenario are held.")


def test_the_first_level_may_be_the_best(studies) -> None:
    """What serves less than the machine as it is, is told so."""
    findings = studies(lambda levels, noise: 1.7 - better_with_order_aware(levels, noise))
    assert findings.answer.differences == (("kswapd.policy", "count-only", "order-aware"),)


def test_a_load_that_refuses_nothing_tells_nothing_apart(studies) -> None:
    """It says what would press."""
    answer = studies(lambda *_: 1.0).answer
    assert answer.kind == "nothing refused"
    assert "all receive buffer requests were served in all 32 trials" in answer.text
    assert "nic.rx_rate" in answer.text


NAMED = """
name: named
replicates: {n}
base:
  requests: {{ dockerd: {{ order: 6, rate: 50/s }} }}
axes:
  kswapd.policy: [count-only, order-aware]
"""


def test_who_is_refused_is_told_though_the_card_is_served(make_findings) -> None:
    """The card's requests are all served; those by name are not, where there were any."""

    def found(levels: Mapping[str, Any], replicate: int) -> dict[str, float]:
        served = 0.9 if levels["kswapd.policy"] == "order-aware" else 0.1
        return {
            "rx_success_ratio": 1.0,
            "request1_served_ratio": np.nan if replicate == 0 else served + replicate / 1000,
        }

    answer = make_findings(NAMED.format(n=8), found).answer
    assert answer.kind == "difference known"
    assert answer.differences == (("kswapd.policy", "order-aware", "count-only"),)
    assert "of requests of dockerd" in answer.text
    assert answer.text.endswith("Of 14 of 16 trials that asked for any.")


def test_all_served_of_the_few_that_asked_says_how_few(studies) -> None:
    """A ratio has a value where somebody asked."""
    answer = studies(lambda _, noise: 1.0 if noise > 0 else np.nan).answer
    assert answer.kind == "nothing refused"
    assert " of 32 trials that asked for any" in answer.text


THREE = """
name: three
replicates: 20
axes:
  kswapd.policy: [count-only, order-aware]
  watermarks.min: {levels}
"""
MANY = [20 + 2 * step for step in range(13)]


def test_a_difference_is_told_though_a_noisier_level_has_the_highest_mean(make_findings) -> None:
    """The highest mean by chance hides nothing that is known of others."""

    def found(levels: Mapping[str, Any], replicate: int) -> dict[str, float]:
        level = levels["watermarks.min"]
        mean, noise, bit = {20: (0.5, 0.001, 0), 24: (0.52, 0.001, 1), 28: (0.525, 0.1, 2)}[level]
        own = 1 if replicate >> bit & 1 else -1
        return {"rx_success_ratio": mean + noise * own, "refaults": 1.0}

    text = THREE.format(levels="[20, 24, 28]").replace(
        "  kswapd.policy: [count-only, order-aware]\n", ""
    )
    answer = make_findings(text, found).answer
    assert answer.differences == (("watermarks.min", 24, 20),)
    assert "As good, as far as is known: 28." in answer.text


def test_what_was_not_tested_is_not_said_to_make_no_difference(make_findings) -> None:
    """An axis of 13 levels that moves service by a half, beside a policy that moves nothing."""

    def found(levels: Mapping[str, Any], replicate: int) -> dict[str, float]:
        return {"rx_success_ratio": levels["watermarks.min"] / 50 + replicate / 1000}

    answer = make_findings(THREE.format(levels=MANY), found).answer
    assert answer.kind == "no difference known"
    assert "kswapd.policy makes no difference" in answer.text
    assert "watermarks.min: not compared level by level" in answer.text


def test_a_level_whose_trials_failed_is_told_apart_from_no_difference(make_findings) -> None:
    """Two levels are alike; of the third nothing is known."""

    def found(levels: Mapping[str, Any], replicate: int) -> dict[str, float] | None:
        if levels["watermarks.min"] == 24:
            return None
        return {"rx_success_ratio": 0.5 + replicate / 1000}

    text = THREE.format(levels="[20, 24, 28]").replace(
        "  kswapd.policy: [count-only, order-aware]\n", ""
    )
    answer = make_findings(text, found).answer
    assert answer.kind == "no difference known"
    assert "Nothing is known of watermarks.min 24" in answer.text


def test_a_cell_that_failed_does_not_speak_for_its_level(make_findings) -> None:
    """The stock policy has no value where all is served: it is compared where both have one."""

    def found(levels: Mapping[str, Any], replicate: int) -> dict[str, float] | None:
        stock = levels["kswapd.policy"] == "count-only"
        if stock and levels["watermarks.min"] == 28:
            return None
        served = (0.4 if levels["watermarks.min"] == 20 else 0.9) + (0.0 if stock else 0.01)
        return {"rx_success_ratio": served + replicate / 1000, "refaults": 1.0 + replicate}

    findings = make_findings(THREE.format(levels="[20, 28]"), found)
    assert "order-aware serves 42 %" in findings.answer.text
    assert "count-only 41 %" in findings.answer.text
    effects, _ = main_effects(
        findings.columns,
        axis="kswapd.policy",
        metrics=["rx_success_ratio"],
        cells=findings.manifest["cells"],
    )
    assert effects[1].difference == pytest.approx(0.01)


EXCLUDED = """
name: excluded
replicates: 20
axes:
  watermarks.min: [20, 24, 28]
  nic.mtu: [1500, 3000, 9000]
exclude:
  - {watermarks.min: 28, nic.mtu: 3000}
  - {watermarks.min: 28, nic.mtu: 9000}
"""


def test_levels_are_compared_over_the_settings_that_both_have(make_findings) -> None:
    """The third level was run where the first serves most, and elsewhere the second does by far."""

    def found(levels: Mapping[str, Any], replicate: int) -> dict[str, float]:
        level = levels["watermarks.min"]
        if levels["nic.mtu"] == 1500:
            served = {20: 0.7, 24: 0.6, 28: 0.5}[level]
        else:
            served = {20: 0.3, 24: 0.9}[level]
        return {"rx_success_ratio": served + (replicate * level % 7) / 1000, "refaults": 1.0}

    answer = make_findings(EXCLUDED, found).answer
    mine = next(one for one in answer.differences if one[0] == "watermarks.min")
    assert mine == ("watermarks.min", 24, 20)
    assert "24 serves 80.29 %" in answer.text
    assert "20 43.6" in answer.text


def test_levels_are_in_the_order_of_the_scenario_though_its_first_cell_is_excluded(
    make_findings,
) -> None:
    """Marks, contrasts and the ranking hold the others against the first level that it lists."""
    text = EXCLUDED[: EXCLUDED.index("exclude:")] + (
        "exclude:\n  - {watermarks.min: 20, nic.mtu: 1500}\n"
    )

    def found(levels: Mapping[str, Any], replicate: int) -> dict[str, float]:
        return {"rx_success_ratio": 0.5 + levels["nic.mtu"] / 1e5 + replicate / 1000}

    findings = make_findings(text, found)
    assert next(iter(findings.cells.values()))["nic.mtu"] == 3000
    metrics = ["rx_success_ratio"]
    effects, matched = main_effects(
        findings.columns, axis="nic.mtu", metrics=metrics, cells=findings.cells
    )
    assert ([one.level for one in effects], matched) == ([1500, 3000, 9000], 2)
    pairs = findings.contrasts.query("axis == 'nic.mtu' and kind == 'axis'")
    assert [*zip(pairs["level"], pairs["against"], strict=True)] == [
        (3000, 1500), (9000, 1500), (9000, 3000),
    ]  # fmt: skip


def test_levels_with_values_under_no_common_setting_have_no_marks(make_findings) -> None:
    """Each was run everywhere, but trials of two of them finished under different settings only."""

    def found(levels: Mapping[str, Any], replicate: int) -> dict[str, float] | None:
        finished = {20: [1500], 24: [9000], 28: [1500, 3000, 9000]}[levels["watermarks.min"]]
        if levels["nic.mtu"] not in finished:
            return None
        return {"rx_success_ratio": levels["nic.mtu"] / 1e4 + replicate / 1000}

    findings = make_findings(EXCLUDED[: EXCLUDED.index("exclude:")], found)
    asked = {"metrics": ["rx_success_ratio"], "cells": findings.cells}
    effects, matched = main_effects(findings.columns, axis="watermarks.min", **asked)
    assert matched == 3
    assert all(effect.over_cells is None for effect in effects)
    marks = significant_levels(findings.columns, axes=["watermarks.min"], **asked)
    assert marks == {}


def test_levels_without_a_setting_in_common_are_said_not_to_be_compared(make_findings) -> None:
    """The third is like the first wherever both were run; the second was run elsewhere."""
    text = EXCLUDED[: EXCLUDED.index("exclude:")] + (
        "exclude:\n"
        "  - {watermarks.min: 20, nic.mtu: 9000}\n"
        "  - {watermarks.min: 28, nic.mtu: 9000}\n"
        "  - {watermarks.min: 24, nic.mtu: 1500}\n"
        "  - {watermarks.min: 24, nic.mtu: 3000}\n"
    )

    def found(levels: Mapping[str, Any], replicate: int) -> dict[str, float]:
        served = 0.8 if levels["watermarks.min"] == 24 else 0.5
        return {"rx_success_ratio": served + replicate / 1000}

    text = make_findings(text, found).answer.text
    assert "watermarks.min 24" in text.replace("known of ", "")
    assert "Nothing is known of watermarks.min 24" in text


def test_a_level_that_leaves_it_to_the_kernel_is_called_null(make_findings) -> None:
    """It is compared like any other, and other levels keep their numbers."""
    text = "name: n\nreplicates: 8\naxes: {vm.min_free_kbytes: [null, 1000, 2000]}\n"

    def found(levels: Mapping[str, Any], replicate: int) -> dict[str, float]:
        more = (levels["vm.min_free_kbytes"] or 0) / 10_000
        return {"rx_success_ratio": 0.5 + more + replicate / 1000, "refaults": 1.0 + replicate}

    findings = make_findings(text, found)
    assert "vm.min_free_kbytes 2000 serves" in findings.answer.text
    assert ", null 50." in findings.answer.text
    table = findings.contrasts
    of_axis = table[(table["metric"] == "rx_success_ratio") & (table["kind"] == "axis")]
    assert list(zip(of_axis["level"], of_axis["against"], strict=True)) == [
        (1000, None),
        (2000, None),
        (2000, 1000),
    ]


def test_costs_of_cells_that_are_measured_for_other_times_are_those_of_a_minute(
    make_findings,
) -> None:
    """Twice the pages in ten times the time are no higher cost."""
    text = "name: n\nreplicates: 8\naxes: {clock.measure: [1min, 10min]}\n"

    def found(levels: Mapping[str, Any], replicate: int) -> dict[str, float]:
        long = levels["clock.measure"] == "10min"
        return {
            "rx_success_ratio": (0.7 if long else 0.5) + replicate / 1000,
            "reclaimed_pages": 2_000.0 if long else 1_000.0,
            "moved_pages": 0.0,
            "refaults": 20.0 if long else 10.0,
        }

    findings = make_findings(text, found)
    table = findings.tradeoff.set_index("clock.measure")
    assert table["pages_taken"].to_dict() == {"1min": 1_000.0, "10min": 200.0}
    assert table["front"].to_dict() == {"1min": False, "10min": True}
    assert "pages reclaimed" not in findings.answer.text


def test_what_is_open_says_how_many_replicates_would_tell(studies) -> None:
    """As a range, with the time that they take at the pace of the run."""
    answer = studies(
        lambda levels, noise: 0.8 + 0.002 * (levels["reclaim.lumpy"] is True) + 0.01 * noise
    ).answer
    assert answer.kind == "no difference known"
    assert answer.text.startswith("Undecided: after 8 replicates no policy is known to serve more")
    assert "more replicates" in answer.text


def test_few_replicates_tell_nothing(studies) -> None:
    """Four agree by chance too often."""
    answer = studies(better_with_order_aware, n=4).answer
    assert answer.text == "Undecided: fewer than 5 replicates decide nothing."


def test_policies_that_change_nothing_are_not_undecided(studies) -> None:
    """The same in every replicate: no number of them would tell more."""
    assert str(studies(lambda _levels, _noise: 0.9).answer) == (
        "kswapd.policy and reclaim.lumpy make no difference to the receive buffer requests "
        "served in any of 8 replicates."
    )


def test_very_many_policies_are_left_to_claims(make_findings) -> None:
    """Not that replicates are too few: each of 13 against each is what no table has."""
    cures = [f"    p{n}: {{ defrag: {{ mode: rmap-evict, budget: {64 + n} }} }}" for n in range(13)]
    text = "\n".join(["name: made-up", "replicates: 8", "axes:", "  cure:", *cures])
    answer = make_findings(text, metrics(lambda _, noise: 0.9 + 0.005 * noise)).answer

    assert answer.kind == "no difference known"
    assert "more than 12 levels" in answer.text


def test_one_machine_has_nothing_to_be_compared_with(studies) -> None:
    """Its share is told."""
    answer = studies(lambda *_: 0.5, text="name: one\nreplicates: {n}\n", name="one").answer
    assert answer.kind == "nothing to compare"
    assert (
        answer.text == "50 % of receive buffer requests are served, and no policies are compared."
    )


def named_by_luck(studies: int) -> int:
    """Of so many studies whose policies are all alike, how many name one."""
    chance = np.random.default_rng(20)
    cells = {
        f"{one}{two}": {"kswapd.policy": one, "nic.receive": two}
        for one in ("count-only", "order-aware", "off")
        for two in ("linear", "page-array")
    }
    named = 0
    for _ in range(studies):
        load = chance.normal(size=10)
        rows = [
            (cell, *levels.values(), replicate, 1, "ok", "", share, pages)
            for cell, levels in cells.items()
            for replicate, share, pages in zip(
                range(10),
                0.8 + 0.02 * (load + chance.normal(size=10)),
                1000 + 50 * (load + chance.normal(size=10)),
                strict=True,
            )
        ]
        columns = ["cell", *next(iter(cells.values())), "replicate", "seed", "status", "error"]
        trials = pd.DataFrame(rows, columns=[*columns, "rx_success_ratio", "reclaimed_pages"])
        table = contrast_table(
            trials,
            cells=cells,
            axes=["kswapd.policy", "nic.receive"],
            headline=["rx_success_ratio", "reclaimed_pages"],
        )
        named += bool(answer_of_rows(trials, cells, table).differences)
    return named


def answer_of_rows(trials: pd.DataFrame, cells: Mapping[str, Any], table: pd.DataFrame):
    """The answer of rows that lie in no folder."""
    manifest = {
        "axes": ["kswapd.policy", "nic.receive"],
        "cells": cells,
        "scenario": {"base": {"kernel": "2.6.8", "clock": {"measure": "60s"}}, "axes": {}},
    }
    rows = SimpleNamespace(manifest=manifest, columns=Columns(trials), cells=cells)
    return answer_of(rows, contrasts=table, verdicts=(), looks=(), seconds=None)


@pytest.mark.nightly(part="rates")
def test_shares_of_two_requests_rarely_tell_equal_levels_apart() -> None:
    """Twelve levels, five replicates: without a difference 11 of 100 studies told one, as two
    levels often differ by the same in all five. Of 200 more than 19 are chance in one of a hundred.
    """
    cells = {f"c{i}": {"a": i} for i in range(12)}
    chance = np.random.default_rng(7)
    told = 0
    for _ in range(200):
        shares = chance.binomial(2, 0.5, (12, 5)) / 2
        trials = trials_of(shares, dict.fromkeys(cells, 5), metric="m")
        trials.insert(1, "a", trials["cell"].map(lambda cell: cells[cell]["a"]))
        table = contrast_table(trials, cells=cells, axes=["a"], headline=["m"], metrics=["m"])
        told += bool(significant(table[table["kind"] == "axis"]).any())

    assert told <= 19


class Columns:
    """What TrialColumns is to a folder, to a frame."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame, self.columns = frame, list(frame.columns)

    def __contains__(self, name: str) -> bool:
        return name in self.frame

    def __getitem__(self, name: str) -> pd.Series:
        return self.frame[name]

    def finished(self, *names: str) -> pd.DataFrame:
        """Cell, replicate and some metrics."""
        return self.frame[["cell", "replicate", *names]]


def test_of_studies_without_a_difference_few_name_one() -> None:
    """5 % at most; of 60 studies more than 8 would do so by chance once in 300 times."""
    assert named_by_luck(60) <= 8


@pytest.mark.nightly(part="rates")
def test_of_2_000_studies_without_a_difference_few_name_one() -> None:
    """5 %, and two standard errors: 120 of 2,000."""
    assert named_by_luck(2_000) <= 120


@pytest.mark.quick
@pytest.mark.parametrize(
    ("estimate", "said"),
    [
        ((0.999867, 0.9635, 1.0), "99.99 % [96.35 to 100]"),
        ((1.0, 0.692, 1.0), "100 % (in each of 10 replicates)"),
        ((0.0, 0.0, 0.308), "0 % (in each of 10 replicates)"),
        ((0.99991, 0.99987, 0.99993), "99.991 % [99.987 to 99.993]"),
        ((1e-6, 0.0, 0.1), "0.0001 % [0 to 10]"),
        ((0.825, float("nan"), float("nan")), "82.5 %"),
    ],
)
def test_a_share_has_the_decimals_that_are_known(
    estimate: tuple[float, float, float], said: str
) -> None:
    """And never reads as all or nothing while somebody was refused, or served."""
    assert share_with_interval(*estimate, n=10) == said
