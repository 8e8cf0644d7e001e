"""The README tells the truth: its commands load, its links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from study.scenario import ScenarioError, load, load_text


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
        overrides = [word for word in words if "=" in word]
        assert load(root / scenario, overrides).cells


def test_links_lead_to_files(root: Path) -> None:
    """Every relative link of the README is a file of the checkout."""
    links = [link for link in re.findall(r"\]\(([^)]+)\)", readme(root)) if "://" not in link]

    assert links
    for link in links:
        assert (root / link).is_file(), link


def test_the_messages_shown_are_the_ones_given(root: Path) -> None:
    """The two example faults come out word for word."""
    shown = re.findall(r"^    (scenarios/mine\.yaml:.*)$", readme(root), re.MULTILINE)
    text = "name: mine\n\nbase:\n  kernel: 2.6.8\n  zone:\n    memroy: 1GiB\n\naxes:\n"
    text += "  defrag.order: [11]\n"
    found = []
    for faulty in (text, text.replace("memroy", "memory")):
        with pytest.raises(ScenarioError) as caught:
            load_text(faulty, "scenarios/mine.yaml")
        found += str(caught.value).splitlines()

    assert shown == found
