"""What a command's --help shows, and what the shell completes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from study.cli import main
from study.results.folder import create_folder
from study.results.manifest import new_manifest
from study.scenario import load
from study.scenario.load import load_text

COMMANDS = [name for name, command in main.commands.items() if not command.hidden]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_ends_with_examples_that_can_be_typed(name: str) -> None:
    """Within 80 columns; each is a command line that is understood as it stands."""
    told = CliRunner().invoke(main, [name, "--help"], terminal_width=80).output
    _, _, shown = told.partition("Example")
    lines = [line.strip() for line in shown.splitlines()[1:] if line.strip()]

    assert lines
    assert all(len(line) <= 80 for line in told.splitlines())
    for line in lines:
        typed = re.search(rf"study {name}( [^\s|>)]+)*", line)
        assert typed, line
        _, _, *words = shlex.split(typed[0])
        if words:
            main.commands[name].make_context(name, words).close()


def completed(*words: str) -> list[str]:
    """What is offered for the last of these words."""
    *before, begun = words
    found = ShellComplete(main, {}, "study", "_STUDY_COMPLETE").get_completions(before, begun)
    return [item.value for item in found]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run", "x.yaml", "--workers", "0"], "0 is not in the range 1 or more"),
        (["explain", "--pages", "9999"], "9999 is not in the range 64 to 1,024"),
    ],
)
def test_bounds_are_told_in_words(words: list[str], says: str) -> None:
    """Help and errors say what a number may be, without an x that stands for nothing."""
    told = CliRunner(env={"COLUMNS": "200"}).invoke(main, [words[0], "--help"]).output

    assert says.partition("range ")[2] in told
    assert not re.search(r"\bx[<>]|[<>]=?x\b", told)
    assert says in CliRunner().invoke(main, words).output


def test_what_a_scenario_has_is_completed(root: Path) -> None:
    """Its axes before all other keys, their levels also as bash cuts the words, its cells."""
    smoke = str(root / "scenarios/smoke.yaml")
    cells = [cell.id for cell in load(smoke).cells]

    assert completed("run", smoke, "")[:2] == ["kswapd.policy=", "nic.receive="]
    assert completed("run", smoke, "nic.receive=p") == ["nic.receive=page-array"]
    assert completed("plan", smoke, "nic.receive", "p") == ["page-array"]
    assert completed("show", smoke, "--cell", "") == cells
    assert completed("run", "missing.yaml", "nic.ri") == ["nic.ring="]


def test_what_results_have_is_completed(tmp_path: Path) -> None:
    """Metrics, and the axes of the folder; nothing for a folder that has none."""
    folder = tmp_path / "out"
    study = load_text("name: one\naxes: {nic.mtu: [1500, 9000]}\n", "x.yaml")
    create_folder(folder, new_manifest(study, simulation="0", command=[]))

    assert completed("contrasts", str(folder), "--metric", "refaults_a") == [
        "refaults_after_defrag"
    ]
    assert completed("contrasts", str(folder), "--axis", "") == ["nic.mtu"]
    assert completed("contrasts", str(tmp_path), "--axis", "") == []
