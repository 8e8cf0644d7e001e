"""The library of scenarios: each says what it asks, and each runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from study.runs import Options, run_study
from study.scenario.load import unfold
from tests.by_night import sampled

SCENARIOS = sorted((Path(__file__).parents[1] / "scenarios").glob("*.yaml"))

TINY: dict[str, Any] = {
    "zone.memory": "24MiB",
    "zone.lowmem": "40MiB",
    "zone.reserved": "1MiB",
    "user.touch_rate": "2000/s",
    "processes.memory": "32KiB",
    "processes.most": 64,
    "nic.ring": 16,
    "clock.ageing": "300ms",
    "clock.measure": "600ms",
    "clock.sample": "300ms",
}
CUT = {
    "article": ["defrag.mode=off", "nic.transmit=linear"],
    "article-uneven": ["defrag.mode=off", "nic.transmit=linear"],
    "block-price": ["probe.blocks=2"],
    "history-orders": ["kernel=[2.6.8, 2.6.24, '5.9']"],
    "jumbo-frames": ["nic.ring=[8, 16]"],
    "long-uptime": ["clock.ageing=[300ms, 600ms]"],
    "memory-size": ["machine=[i386-64mb, i386-128mb]"],
    "null-model": ["zone.memory=[4MiB, 8MiB]"],
    "sensitivity": ["sampling.points=4"],
    "watermarks": ["min_free=[stock, 2x, 4x]"],
}
"""Axes that no small machine can have whole."""


DAILY = [path for path in SCENARIOS if path.stem in ("article", "cures", "sensitivity", "smoke")]


@pytest.mark.parametrize("path", sampled(SCENARIOS, keep=DAILY), ids=lambda path: path.stem)
def test_every_scenario_runs_at_a_tiny_size(path: Path, tmp_path: Path) -> None:
    """Extended by a file that makes its machines small, it runs to the end, claims and all."""
    unfolded = unfold(path)
    taken = {*unfolded.study.axes}
    taken |= {k for levels in unfolded.named.values() for told in levels.values() for k in told}
    base = {key: value for key, value in TINY.items() if key not in taken}
    tiny = tmp_path / "tiny.yaml"
    tiny.write_text(yaml.safe_dump({"extends": str(path), "replicates": 2, "base": base}))
    study = unfold(tiny, CUT.get(path.stem, ())).study

    findings = run_study(study, tmp_path / "out", Options(ray=False))

    assert findings.manifest["state"] == "complete"
    assert len(findings.trials) == 2 * len(study.cells)
    assert (findings.trials["status"] == "ok").all()
    if path.stem not in CUT:
        assert len(findings.judged()) == len(unfolded.study.claims)


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_every_scenario_says_what_it_asks(path: Path) -> None:
    """The comment at the top has the question, what varies, what to look for, how long it takes."""
    head = path.read_text().partition("\n\n")[0]
    comment = path.read_text().partition("\nname:")[0]

    assert head.count("?") >= 1
    assert "What to look for" in comment or path.stem == "smoke"
    assert any(word in comment for word in ("minute", "seconds"))
    assert all(len(line) <= 120 for line in path.read_text().splitlines())


def test_the_reasons_given_can_be_judged_on_the_articles_study() -> None:
    """docs/article-why.yaml has the axes of scenarios/article.yaml, and each claim its cells."""
    root = Path(__file__).parents[1]
    study = unfold(root / "scenarios/article.yaml").study
    why = unfold(root / "docs/article-why.yaml").study
    cells = {cell.id: cell.levels for cell in study.cells}

    assert why.axes == study.axes
    assert len(why.claims) > 10
    assert all(claim.comparisons(cells) for claim in why.claims)


def test_the_documentation_lists_every_scenario(root: Path) -> None:
    """docs/scenarios.md has each with its question and how many trials it runs."""
    text = (root / "docs/scenarios.md").read_text()
    rows = {
        f"| [{path.stem}](../scenarios/{path.name}) | {study.question} | {len(study):,} |"
        for path in SCENARIOS
        for study in [unfold(path).study]
    }

    assert {line for line in text.splitlines() if "](../scenarios/" in line and "|" in line} == rows
