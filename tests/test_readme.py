"""The README tells the truth: its commands load, its links lead somewhere."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from study.scenario import load


def readme(root: Path) -> str:
    return (root / "README.md").read_text()


def test_every_command_names_a_scenario_and_settings_that_exist(root: Path) -> None:
    """Each `study run` line loads with its overrides."""
    lines = re.findall(
        r"^    (?:study|python3 bootstrap\.py) (?:run|submit) (.*)$", readme(root), re.MULTILINE
    )

    assert len(lines) >= 5
    for line in lines:
        scenario, *words = shlex.split(line)
        if scenario == "mine.yaml":  # see test_the_story_can_be_followed
            continue
        overrides = [word for word in words if "=" in word]
        assert load(root / scenario, overrides).cells


def test_links_lead_to_files(root: Path) -> None:
    """Every relative link of the README is a file of the checkout."""
    links = [link for link in re.findall(r"\]\(([^)]+)\)", readme(root)) if "://" not in link]

    assert links
    for link in links:
        assert (root / link.partition("#")[0]).is_file(), link


@pytest.fixture
def mine(root: Path, tmp_path: Path) -> Path:
    """The scenario of the README's story, as a reader would first write it."""
    [text] = re.findall(r"```yaml\n(# yaml-language-server.*?)```", readme(root), re.DOTALL)
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return path


def study(mine: Path, root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command in the folder of the story's scenario."""
    return subprocess.run(
        [sys.executable, "-m", "study", *words],
        cwd=mine.parent, env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_story_can_be_followed(root: Path, mine: Path) -> None:
    """Its faults are told as shown; put right, it is planned and run, and the override refused."""
    shown = re.findall(r"^    (study: .*)$", readme(root), re.MULTILINE)
    faulty = study(mine, root, "plan", "mine.yaml")
    assert faulty.returncode == 2
    mine.write_text(
        mine.read_text().replace("rx_ordr", "rx_order").replace("e1000-900", "e1000-9000")
    )
    asleep = study(mine, root, "run", "mine.yaml", "nic.ring=64")
    assert (faulty.stderr + asleep.stderr).splitlines() == shown

    short = ("clock.ageing=1s", "clock.measure=1s", "zone.memory=32MiB")
    planned = study(mine, root, "plan", "mine.yaml", *short, "--cores", "64")
    assert planned.returncode == 0, planned.stderr
    shown_cells = re.findall(r"^    [0-9a-f]{8}  (.*)$", readme(root), re.MULTILINE)
    planned_cells = re.findall(r"^[0-9a-f]{8}  (.*)$", planned.stdout, re.MULTILINE)
    assert [c.split() for c in planned_cells] == [c.split() for c in shown_cells]
    done = study(mine, root, "run", "mine.yaml", *short, "replicates=2", "--no-ray")
    assert done.returncode == 0, done.stderr
    assert "card  (2 matched cells each)" in done.stdout


def test_the_report_of_the_first_screen_is_answered_as_shown(root: Path, tmp_path: Path) -> None:
    """The reason stands in the README word for word, and the scenario ranks the cures shown."""
    shown = readme(root).partition("## Paste your dmesg")[2].partition("## What is studied")[0]
    report = root / "tests/data/kernel-reports/2.6.17-jumbo.txt"
    why = study(tmp_path / "x", root, "why", str(report)).stdout
    made = study(tmp_path / "x", root, "scenario", "from", str(report)).stdout
    block = shown.partition("study why dmesg.txt")[2].partition("\nThat is")[0]
    lines = [line[4:] for line in block.splitlines() if line.strip() and line != "    ..."]
    ranked = re.findall(r"^      ([a-z][\w-]+)(?: \(|: serves)", shown, re.MULTILINE)

    assert lines
    assert [line for line in lines if line not in why.splitlines()] == []
    (tmp_path / "mine.yaml").write_text(made)
    axis = load(tmp_path / "mine.yaml").axes["cure"]
    assert set(ranked) == set(axis)
    for value in re.findall(r"vm.min_free_kbytes (\d+)\)", shown):
        assert f"vm.min_free_kbytes: {value}" in made
