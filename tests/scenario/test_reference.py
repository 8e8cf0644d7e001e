"""docs/scenarios.md tells the truth."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from study.scenario import load_text
from study.scenario.check import known_keys
from study.scenario.machine import reference
from study.scenario.presets import KINDS
from study.scenario.schema import schema


def test_the_reference_names_every_key_kind_and_scenario(root: Path) -> None:
    """Keys of a scenario, kinds of presets and shipped files stand in docs/scenarios.md."""
    text = (root / "docs/scenarios.md").read_text()

    sections = text.partition("\n## Keys\n")[2].partition("\n## ")[0]
    named = set(re.findall(r"^\| `(\w+)` \|", sections, re.MULTILINE))
    assert named == set(schema()["properties"])
    assert re.findall(r"^\| `(\w+)/` \|", text, re.MULTILINE) == list(KINDS)
    linked = set(re.findall(r"\(\.\./scenarios/([\w-]+)\.yaml\)", text))
    assert linked <= {path.stem for path in (root / "scenarios").glob("*.yaml")}
    assert len(linked) >= 12
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert (root / "docs" / link).is_file(), link


def test_the_axes_of_the_reference_load(root: Path) -> None:
    """The YAML that shows every kind of axis is a scenario."""
    text = (root / "docs/scenarios.md").read_text()
    axes = next(
        b for b in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if b.startswith("axes:")
    )
    study = load_text(axes, "x.yaml", ["sampling.points=4"])

    assert list(study.axes) == ["stacks.size", "user.zipf", "card", "policy", "user.extent"]
    assert study.axes["policy"] == ("stock", "order-aware")


def test_the_page_of_settings_is_what_the_declarations_give(root: Path) -> None:
    """docs/settings.md is what docs/settings.py writes: every key, each with a sentence."""
    written = subprocess.run(
        [sys.executable, root / "docs/settings.py"], capture_output=True, text=True, check=True
    ).stdout

    assert (root / "docs/settings.md").read_text() == written
    rows = re.findall(r"^\| `([\w.]+)`\*? \| (.+?) \| .*\|$", written, re.MULTILINE)
    of_study = [key.name for key in reference.study_keys()]
    assert [key for key, _ in rows] == [*known_keys(), *of_study]
    assert all(len(about) > 5 for _, about in rows)
