"""Differences between levels and between cells, paired by replicate."""

from __future__ import annotations

import io
import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from scipy import stats

from study.cli import main
from study.intervals import mean_interval
from study.results.errors import ResultsError
from study.statistics.contrasts import (
    ALL_EQUAL,
    ALL_ZERO,
    NO_PAIR,
    NO_RATIO,
    ONE_PAIR,
    contrast_table,
    holm,
    paired,
)
from study.statistics.effects import significant_levels
from study.statistics.headline import chosen_contrasts
from study.terminal.tables import contrast_parts, result_parts

pytestmark = pytest.mark.quick

# Student (1908), "The probable error of a mean": hours of sleep gained by ten patients.
DEXTRO = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
LAEVO = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])

FLOATS = st.floats(allow_nan=True, allow_infinity=True)


def test_the_paired_test_is_students_own() -> None:
    """Student's data on sleep give his t of 4.06 with 9 degrees of freedom, as R's t.test does;
    only their skew makes it surer of less on one side.
    """
    found = paired(LAEVO, DEXTRO)

    assert found["n"] == 10
    assert found["difference"] == pytest.approx(1.58)
    assert 0.00283 <= found["p"] < 0.02
    assert found["low"] == pytest.approx(0.7001142, abs=5e-7)
    assert found["high"] > 2.4598858
    even = DEXTRO + np.array([1.0, 2, 3, 4, 5, 5, 6, 7, 8, 9])
    assert paired(even, DEXTRO)["p"] == pytest.approx(stats.ttest_rel(even, DEXTRO).pvalue)


def test_the_effect_and_the_gain_of_pairing_are_as_defined() -> None:
    """Hedges' g is (1 - 3/(4 df - 1)) of Cohen's d; pairing divides the unpaired variance."""
    found = paired(LAEVO, DEXTRO)
    pooled = math.sqrt((LAEVO.var(ddof=1) + DEXTRO.var(ddof=1)) / 2)
    unpaired = LAEVO.var(ddof=1) + DEXTRO.var(ddof=1)

    assert found["effect"] == pytest.approx(1.58 / pooled * (1 - 3 / (4 * 18 - 1)))
    assert found["pairing"] == pytest.approx(unpaired / (LAEVO - DEXTRO).var(ddof=1))


def test_the_ratio_is_the_geometric_mean_of_paired_ratios() -> None:
    """Twice as much, give or take, is a ratio of 2 with the interval of the logarithms."""
    right = np.array([10.0, 20.0, 40.0, 80.0])
    left = right * np.array([1.9, 2.0, 2.1, 2.0])
    found = paired(left, right)
    logs = np.log(left / right)
    found_logs = mean_interval(logs)
    low, high = float(found_logs.low), float(found_logs.high)

    assert found["ratio"] == pytest.approx(stats.gmean(left / right))
    assert (found["ratio_low"], found["ratio_high"]) == pytest.approx(
        (math.exp(low), math.exp(high))
    )


def test_holms_correction_is_that_of_r() -> None:
    """p.adjust(c(0.01, 0.02, 0.03, 0.005), "holm") in R; what is no number stays none."""
    found = holm(np.array([0.01, np.nan, 0.02, 0.03, 0.005]))

    assert found[[0, 2, 3, 4]] == pytest.approx([0.03, 0.04, 0.04, 0.02])
    assert math.isnan(found[1])


@pytest.mark.parametrize(
    ("left", "right", "difference", "note"),
    [
        ([], [], None, NO_PAIR),
        ([2.0], [1.0], 1.0, ONE_PAIR),
        ([0.1] * 4, [0.1] * 4, 0.0, ALL_ZERO),
        ([1.1, 2.1, 3.1], [1.0, 2.0, 3.0], 0.1, ALL_EQUAL),
        ([1e308, -1e308], [-1e308, 1e308], None, "values too large"),
    ],
)
def test_numbers_that_degenerate_are_said_to(
    left: list[float], right: list[float], difference: float | None, note: str
) -> None:
    """One replicate, no spread, nothing at all: the note says so, and there is no p."""
    found = paired(np.array(left), np.array(right))

    assert note in found["note"]
    assert math.isnan(found["p"])
    if difference is not None:
        assert found["difference"] == pytest.approx(difference)


@settings(max_examples=40)
@given(st.lists(st.lists(FLOATS, min_size=4, max_size=4), max_size=5))
def test_whatever_the_numbers_a_missing_one_has_its_reason(rows: list[list[float]]) -> None:
    """Any metrics give one row a pair, and a field that is not a number comes with a note."""
    cells = {f"c{i}": {"a": i % 2, "b": i // 2} for i in range(4)}
    trials = frame(cells, rows)

    table = contrast_table(trials, cells=cells, axes=["a", "b"], headline=["m"])

    assert len(table) == 2 + 4
    numbers = table.drop(columns=["p_holm"]).select_dtypes("number")
    missing = ~np.isfinite(numbers.to_numpy()).all(axis=1)
    assert (table.loc[missing, "note"] != "").all()
    ordered = table.dropna(subset=["low", "high"])
    assert (ordered["low"] <= ordered["high"]).all()


def frame(cells: dict[str, dict[str, int]], rows: list[list[float]]) -> pd.DataFrame:
    """A trials table of one metric, m: a list of values per replicate."""
    found = [
        (cell, *levels.values(), replicate, 1, "ok", "", values[index])
        for replicate, values in enumerate(rows)
        for index, (cell, levels) in enumerate(cells.items())
    ]
    names = ["cell", "a", "b", "replicate", "seed", "status", "error", "m"]
    return pd.DataFrame(found, columns=names).astype({"m": float})


def test_cells_that_never_have_a_value_are_left_out_with_their_partner() -> None:
    """A ratio that has no denominator under one level of another axis does not empty the rest."""
    cells = {f"c{i}": {"a": i % 2, "b": i // 2} for i in range(4)}
    rows = [[1.0 + r, 2.0 + r, math.nan, 9.0 + r] for r in (0.0, 0.5, 0.7)]
    table = contrast_table(frame(cells, rows), cells=cells, axes=["a"], headline=["m"])

    first = table[table["kind"] == "axis"].iloc[0]
    assert (first["n"], first["cells"]) == (3, 1)
    assert first["difference"] == pytest.approx(1.0)


def test_two_replicates_that_agree_mark_nothing() -> None:
    """Counts of the same rate on both sides differ by as much in both of two replicates in one
    study of ten: no mark, where fewer than six replicates say so. Five that differ by the same are
    chance in one of sixteen pairs of levels.
    """
    cells = {"c0": {"a": 0, "b": 0}, "c1": {"a": 1, "b": 0}}
    chance = np.random.default_rng(0)
    marked = 0
    for _ in range(60):
        trials = frame(cells, chance.poisson(1, (2, 2)).astype(float).tolist())
        marked += len(significant_levels(trials, cells=cells, axes=["a"], metrics=["m"]))

    assert marked == 0
    found = [
        significant_levels(
            frame(cells, [[1.0, 2.0]] * replicates), cells=cells, axes=["a"], metrics=["m"]
        )
        for replicates in (5, 6)
    ]
    assert found == [{}, {("m", "a", 1): 1.0}]


def test_a_mean_over_cells_tells_what_it_hides() -> None:
    """Cells that cannot react, and cells that point both ways, are counted beside the mean."""
    cells = {f"c{i}": {"a": i % 2, "b": i // 2} for i in range(8)}
    chance = np.random.default_rng(0)
    gaps = np.array([0.0, 5.0, -3.0, 0.0])
    rows = []
    for _ in range(10):
        base = np.array([1.0, *chance.normal(50, 5, 3)])
        moved = base + gaps + np.array([0.0, *chance.normal(0, 0.5, 3)])
        rows.append(np.stack([base, moved], axis=1).ravel().tolist())
    table = contrast_table(frame(cells, rows), cells=cells, axes=["a"], headline=["m"])
    row = table[table["kind"] == "axis"].iloc[0]

    assert (row["cells"], row["constant"], row["up"], row["down"]) == (4, 1, 1, 1)
    assert (row["least"], row["most"]) == pytest.approx((-3, 5), abs=0.7)
    assert row["reacting"] == pytest.approx(row["difference"] * 4 / 3)


def test_the_axis_table_says_so_below(make_findings, capsys) -> None:
    """In the terminal: pairs of cells that never differ, and those that point both ways."""
    chance = np.random.default_rng(1)

    def metrics(levels: Any, _replicate: int) -> dict[str, float]:
        aware = levels["kswapd.policy"] == "order-aware"
        asks = levels["nic.receive"] == "linear"
        noise = chance.normal(0, 0.001)
        ways = 12 if asks else -12
        return {
            "rx_success_ratio": 0.8 + 0.1 * aware + noise if asks else 1.0,
            "refaults": 100.0 + ways * aware + chance.normal(),
        }

    findings = make_findings(
        "replicates: 8\naxes:\n  kswapd.policy: [count-only, order-aware]\n"
        "  nic.receive: [linear, page-array]\n",
        metrics,
    )
    console = Console(width=80, force_terminal=False)
    capsys.readouterr()
    for part in result_parts(findings):
        console.print(part)
    text = " ".join(capsys.readouterr().out.split())

    assert "order-aware: 1 of 2 pairs of cells never differ in anything; +0.1 in the others" in text
    assert "refaults, order-aware: above in 1 of 2 pairs of cells and below in 1, from -" in text


def test_the_file_holds_what_the_frame_does(make_findings) -> None:
    """contrasts.csv, read by plain pandas, is Results.contrasts; levels and cells are in it."""
    chance = np.random.default_rng(1)
    findings = make_findings(
        "replicates: 6\naxes: { nic.mtu: [1500, 9000], kswapd.policy: [count-only, order-aware] }",
        lambda levels, replicate: (
            {"m": 1.0 + replicate + (levels["nic.mtu"] == 9000)} | {"noise": chance.normal()}
        ),
    )
    held = findings.contrasts

    assert set(held["kind"]) == {"axis", "cell"}
    csv = pd.read_csv(findings.path / "contrasts.csv")
    assert len(csv) == len(held) == 2 * (2 + 4)
    for name in ("difference", "p", "p_holm", "effect", "pairing"):
        np.testing.assert_allclose(csv[name], held[name].astype(float), rtol=1e-12)
    mtu = held[(held["axis"] == "nic.mtu") & (held["metric"] == "m")]
    assert mtu["difference"].tolist() == pytest.approx([1.0] * 3)
    assert (mtu["note"] == ALL_EQUAL).all()


def test_a_study_with_nothing_to_compare_says_so(make_findings) -> None:
    """One cell has no levels to set against each other: a sentence, not an empty table."""
    findings = make_findings("replicates: 3\n", lambda *_: {"rx_success_ratio": 1.0})
    chosen = chosen_contrasts(findings, metrics=(), axes=(), each_cell=False)
    (told,) = contrast_parts(findings, chosen, each_cell=False)

    assert str(told).startswith("Nothing to compare")


def test_contrasts_fit_a_terminal(make_findings, capsys) -> None:
    """`study contrasts` keeps within 80 columns and refuses a metric that is none; its JSON has
    the same rows.
    """
    chance = np.random.default_rng(1)
    findings = make_findings(
        "replicates: 6\naxes:\n  nic.mtu: [1500, 9000]\n",
        lambda _levels, _replicate: {"rx_success_ratio": chance.random(), "frames_dropped": 0.0},
    )
    console = Console(width=80, force_terminal=False)
    chosen = chosen_contrasts(findings, metrics=(), axes=(), each_cell=False)
    for part in contrast_parts(findings, chosen, each_cell=False):
        console.print(part)

    text = capsys.readouterr().out
    assert "nic.mtu: 9000 less 1500  (1 matched cell)" in text
    assert f"{ALL_ZERO}; {NO_RATIO}: frames_dropped" in text
    assert all(len(line) <= 80 for line in text.splitlines())
    with pytest.raises(ResultsError, match="did you mean rx_success_ratio"):
        chosen_contrasts(findings, metrics=["rx_sucess_ratio"], axes=(), each_cell=False)
    told = CliRunner().invoke(main, ["contrasts", "--json", str(findings.path)])
    rows = json.loads(told.output)
    assert [row["difference"] for row in rows] == pytest.approx(list(chosen["difference"]))
    for name, rows_of in (("contrasts", chosen), ("verdicts", findings.judged())):
        as_csv = CliRunner().invoke(main, [name, "--csv", str(findings.path)])
        assert as_csv.exit_code == 0
        assert len(pd.read_csv(io.StringIO(as_csv.output))) == len(rows_of)
