"""Axes that are ranges."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from study.scenario import ScenarioError, load, load_text

RANGES = """
seed: 3
axes:
  user.zipf: { uniform: [0.5, 1] }
  nic.rx_hold: { log_uniform: [1ms, 100ms] }
  user.extent: { integers: [4, 8] }
  kswapd.policy: [count-only, order-aware]
sampling: { design: saltelli, points: 4 }
"""


def test_ranges_are_drawn_together_and_crossed_with_lists() -> None:
    """Saltelli's design of three ranges: 4 x 5 points, each under both policies, within bounds."""
    study = load_text(RANGES, "x.yaml")
    holds = [cell.settings.nic.rx_hold_ns for cell in study.cells]

    # Points of whole numbers may coincide, and are then run once.
    assert 30 < len(study.cells) <= 4 * 5 * 2
    assert all(0.5 <= cell.levels["user.zipf"] <= 1 for cell in study.cells)
    assert {cell.levels["user.extent"] for cell in study.cells} <= {4, 5, 6, 7, 8}
    assert min(holds) >= 1_000_000
    assert max(holds) <= 100_000_000
    # Half of a logarithmic range lies below its geometric middle.
    assert sum(hold < 10_000_000 for hold in holds) in range(8, 33)
    assert all(cell.levels["nic.rx_hold"].endswith("ms") for cell in study.cells)


def test_the_same_seed_draws_the_same_points() -> None:
    """Points hang on the seed and on nothing else; overrides may change design and number."""
    ids = [[cell.id for cell in load_text(RANGES, "x.yaml").cells] for _ in range(2)]
    other = load_text(RANGES, "x.yaml", ["seed=4"])
    fewer = load_text(RANGES, "x.yaml", ["sampling.design=latin-hypercube", "sampling.points=7"])
    one = load_text(RANGES, "x.yaml", ["user.zipf=0.9", "nic.rx_hold=5ms", "user.extent=4"])

    assert ids[0] == ids[1] != [cell.id for cell in other.cells]
    assert len(fewer.cells) == 14
    assert len(one.cells) == 2


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("uniform: [0.5, 1]", "unifrom: [0.5, 1]", "did you mean uniform?"),
        ("uniform: [0.5, 1]", "uniform: [1, 0.5]", "user.zipf goes from 1 to 0.5; low comes first"),
        ("uniform: [0.5, 1]", "uniform: 3", "user.zipf has uniform 3; it takes two ends"),
        ("[1ms, 100ms]", "[1ms, 1s]", "nic.rx_hold has ends in ms and s; use one"),
        (
            "[1ms, 100ms]",
            "[0ms, 9ms]",
            "nic.rx_hold is log_uniform from 0ms; it must begin above 0",
        ),
        ("[4, 8]", "[4, 8.5]", "user.extent has integers [4, 8.5]; both ends must be whole"),
        ("[1ms, 100ms]", "[1pages, 9pages]", "a time is given in"),
        ("points: 4", "points: 3", "sampling.points is 3; it must be at least 4"),
        ("design: saltelli", "design: grid", "design is grid; allowed are saltelli"),
        ("points: 4", "points: 4, number: 3", "number is not a key of sampling"),
        ("points: 4", "points: 4096", "cells; at most 10,000"),
        (
            "user.extent: { integers: [4, 8] }",
            "nic.ring: { uniform: [16, 20] }",
            "it must be a whole number; draw whole ones with {integers: [16, 20]}",
        ),
        (
            "user.extent: { integers: [4, 8] }",
            "nic.ring: { log_uniform: [16, 64] }",
            "it must be a whole number; draw whole ones with {integers: [16, 64]}",
        ),
        (
            "user.extent: { integers: [4, 8] }",
            "zone.memory: { uniform: [512MiB, 513MiB] }",
            "no whole number of 4 KiB pages; draw whole ones with {integers: [512MiB, 513MiB]}",
        ),
    ],
)
def test_what_is_wrong_with_a_range_is_said(old: str, new: str, fault: str) -> None:
    """Like every fault: before any work, with its place."""
    with pytest.raises(ScenarioError) as caught:
        load_text(RANGES.replace(old, new, 1), "x.yaml")

    assert fault in str(caught.value)
    assert all(fault.line for fault in caught.value.faults)


def test_sampling_without_a_range_is_refused() -> None:
    """A key that has no effect is an error."""
    with pytest.raises(ScenarioError, match="no axis is a range"):
        load_text("sampling: { points: 8 }", "x.yaml")


def test_nothing_heavy_is_loaded_for_a_scenario_without_ranges(root: Path) -> None:
    """SciPy and numpy come with the first range, not with the package."""
    script = (
        "import sys, study.scenario as s; s.load('scenarios/article.yaml'); "
        "assert not {'numpy', 'scipy', 'statsmodels'} & set(sys.modules); "
        "s.load('scenarios/sensitivity.yaml'); assert 'scipy' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], cwd=root, check=True)


def test_the_shipped_study_of_sensitivity_is_sound(root: Path) -> None:
    """scenarios/sensitivity.yaml has points x (ranges + 2) cells, less those that coincide."""
    few = load(root / "scenarios/sensitivity.yaml", ["sampling.points=16"])

    assert len(few.axes) == 9
    assert 165 < len(few.cells) <= 16 * (9 + 2)
