"""Axes that are ranges, and the indices drawn from them."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from study.cli import main
from study.results.errors import ResultsError
from study.statistics.sensitivity import (
    FEW_POINTS,
    NO_SURROGATE,
    NO_TOTAL,
    NO_VARIANCE,
    sensitivity,
)

SCENARIO = """
replicates: {replicates}
axes:
  user.zipf: {{ uniform: [0, 1] }}
  user.anonymous: {{ uniform: [0, 1] }}
  user.mapped: {{ uniform: [0, 1] }}
sampling: {{ design: {design}, points: {points} }}
"""
A, B = 7.0, 0.1
AXES = ["user.zipf", "user.anonymous", "user.mapped"]


def ishigami(levels: Any, replicate: int) -> dict[str, float]:
    """Ishigami and Homma (1990), with the same noise in every cell of a replicate."""
    x = [math.pi * (2 * levels[f"user.{name}"] - 1) for name in ("zipf", "anonymous", "mapped")]
    value = math.sin(x[0]) + A * math.sin(x[1]) ** 2 + B * x[2] ** 4 * math.sin(x[0])
    noise = np.random.default_rng(replicate).normal(0, 10)
    return {"y": value + noise, "constant": 1.0}


def test_the_indices_are_those_of_ishigamis_function(make_findings) -> None:
    """Known in closed form (a = 7, b = 0.1): first 0.3139, 0.4424, 0; total 0.5576, 0.4424, 0.2437.

    512 points; the seed is fixed, and noise that all cells share leaves no trace.
    """
    findings = make_findings(SCENARIO.format(replicates=2, design="saltelli", points=512), ishigami)
    table = sensitivity(findings, "y").set_index("axis").loc[AXES]

    assert len(findings.manifest["cells"]) == 512 * 5
    assert table["first"].tolist() == pytest.approx([0.3139, 0.4424, 0.0], abs=0.05)
    assert table["total"].tolist() == pytest.approx([0.5576, 0.4424, 0.2437], abs=0.05)
    assert (table["total_low"] <= [0.5576, 0.4424, 0.2437]).all()
    assert (table["total_high"] >= [0.5576, 0.4424, 0.2437]).all()
    assert findings.contrasts.empty


G_FACTORS = (0.0, 1.0, 9.0)


def sobols_g(levels: Any, _replicate: int) -> dict[str, float]:
    """Sobol's g-function of three, a = 0, 1, 9: totals 0.787, 0.242, 0.0107 (Saltelli 2010)."""
    x = [levels[f"user.{name}"] for name in ("zipf", "anonymous", "mapped")]
    terms = [(abs(4 * v - 2) + a) / (1 + a) for v, a in zip(x, G_FACTORS, strict=True)]
    return {"y": math.prod(terms)}


@pytest.mark.parametrize("design", ["saltelli", "latin-hypercube", "sobol"])
def test_a_surrogate_gives_total_indices_for_any_design(make_findings, design: str) -> None:
    """From 320 points: totals within 0.06 of what is known in closed form, with the share of
    variance that is predicted at points left out.
    """
    variances = [1 / 3 / (1 + a) ** 2 for a in G_FACTORS]
    whole = math.prod(1 + v for v in variances) - 1
    totals = [v * (whole + 1) / (1 + v) / whole for v in variances]
    points = 64 if design == "saltelli" else 320
    findings = make_findings(SCENARIO.format(replicates=1, design=design, points=points), sobols_g)
    table = sensitivity(findings, "y").set_index("axis").loc[AXES]

    assert table["r2"].iloc[0] > 0.85
    assert table["total_surrogate"].tolist() == pytest.approx(totals, abs=0.06)


def test_noise_has_no_surrogate(make_findings) -> None:
    """What no range explains is predicted by none: no index is given, and a note says so."""
    chance = np.random.default_rng(0)
    findings = make_findings(
        SCENARIO.format(replicates=1, design="latin-hypercube", points=64),
        lambda *_: {"y": chance.normal()},
    )
    table = sensitivity(findings, "y")

    assert table["total_surrogate"].isna().all()
    assert table["note"].str.contains(NO_SURROGATE).all()


def test_latin_hypercube_has_first_order_indices_only(make_findings) -> None:
    """Each part of a range is as full as the others; total indices come from the surrogate
    alone.
    """
    findings = make_findings(
        SCENARIO.format(replicates=1, design="latin-hypercube", points=300), ishigami
    )
    table = sensitivity(findings, "y").set_index("axis").loc[AXES]
    levels = findings.trials["user.zipf"]

    assert np.histogram(levels, bins=30, range=(0, 1))[0].tolist() == [10] * 30
    assert table["first"].tolist() == pytest.approx([0.3139, 0.4424, 0.0], abs=0.12)
    assert table["total"].isna().all()
    assert table["note"].str.contains(NO_TOTAL).all()


def test_the_command_shows_the_largest_first(make_findings) -> None:
    """`study sensitivity` gives a table in 80 columns or CSV, and refuses a study of lists."""
    findings = make_findings(SCENARIO.format(replicates=1, design="saltelli", points=64), ishigami)
    plain = make_findings("axes: { nic.mtu: [1500, 9000] }", lambda *_: {"y": 1.0}, name="plain")
    runner = CliRunner()
    shown = runner.invoke(main, ["sensitivity", str(findings.path)])
    csv = runner.invoke(main, ["sensitivity", "--csv", "--metric", "constant", str(findings.path)])
    refused = runner.invoke(main, ["sensitivity", "--metric", "y", str(plain.path)])

    assert shown.exit_code == 0
    assert shown.output.index("user.zipf") < shown.output.index("user.mapped")
    assert all(len(line) <= 80 for line in shown.output.splitlines())
    assert csv.output.count(NO_VARIANCE) == 3
    assert FEW_POINTS in " ".join(shown.output.split())
    told = runner.invoke(main, ["sensitivity", "--json", "--metric", "y", str(findings.path)])
    assert {row["axis"] for row in json.loads(told.output)} == set(AXES)
    assert refused.exit_code == 2
    assert "no axis is a range" in refused.output
    silent = runner.invoke(main, ["sensitivity", str(plain.path)])
    assert (silent.exit_code, silent.output.count("no axis is a range")) == (2, 1)
    with pytest.raises(ResultsError, match="did you mean constant"):
        sensitivity(findings, "constnt")
