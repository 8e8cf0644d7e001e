"""plan, show, presets, schema and completion, as a person uses them before a run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from study.fanout.calibrate import BESIDE_BYTES

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def study(root: Path, tmp_path: Path) -> Run:
    """Run `python -m study ARGUMENTS` in an empty folder of 80 columns."""

    def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "study", *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(root), "COLUMNS": "80", **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_a_plan_shows_cells_settings_and_needs(study: Run, root: Path, tmp_path: Path) -> None:
    """Counts, levels and what is not a default with its place; time, memory and disk from trials
    run now; as text and as JSON; and nothing is written.
    """
    tiny = root / "tests/fanout/tiny.yaml"
    shown = study("plan", tiny, "--calibrate", 1, "--cores", 64)
    told = study("plan", tiny, "--calibrate", 1, "--cores", 64, "--json")

    assert shown.returncode == told.returncode == 0, shown.stderr + told.stderr
    assert "4 cells x 3 replicates = 12 trials" in shown.stdout
    assert re.search(r"^nic\.mtu +1500, 9000$", shown.stdout, re.MULTILINE)
    assert re.search(r"^zone\.memory +16MiB +\S+$", shown.stdout, re.MULTILINE)
    assert all(len(line) <= 80 for line in shown.stdout.splitlines())
    assert "\x1b" not in shown.stdout
    plan = json.loads(told.stdout)
    needs = plan["estimate"]
    assert (plan["trials"], len(plan["cells"])) == (12, 4)
    assert [run["cores"] for run in needs["runs"]] == [needs["cores_here"], 64]
    assert 0 < needs["measured"]["trial_s"] < 60
    assert 0 <= needs["measured"]["found"]["rx_success_ratio"] <= 1
    assert re.search(r"running about \d+ pilots for about \d+ s", shown.stderr)
    assert "receive buffer requests served " in " ".join(shown.stdout.split())
    assert needs["disk_bytes"][0] > 100
    assert needs["memory_bytes_per_core"] > needs["zone_bytes"] > 16 * 256
    beside = {
        run["memory_bytes"] - min(run["cores"], plan["trials"]) * needs["memory_bytes_per_core"]
        for run in needs["runs"]
    }
    assert beside == {BESIDE_BYTES}
    assert list(tmp_path.iterdir()) == []


def test_pilots_tell_how_requests_by_name_fared(study: Run, root: Path, tmp_path: Path) -> None:
    """What a study is about stands in what its pilots found, by the name that the file gives."""
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        f"extends: {root / 'tests/fanout/tiny.yaml'}\n"
        "base: {requests: {dockerd: {order: 3, flags: GFP_KERNEL, rate: 50/s, hold: 100ms}}}\n"
    )
    shown = study("plan", mine, "--calibrate", 1)

    assert shown.returncode == 0, shown.stderr
    assert "requests of dockerd: got their block " in " ".join(shown.stdout.split())


def test_a_plan_of_long_trials_is_drawn_out_from_their_beginning(root: Path) -> None:
    """When whole trials would exceed the budget, parts of them are run, and the times scaled."""
    from study.fanout.calibrate import calibrate
    from study.scenario import load

    long = load(root / "tests/fanout/tiny.yaml", ["clock.measure=60s", "clock.sample=10s"])
    said: list[str] = []
    # The machine of a test run has other things to do: the quickest of three tries each.
    found, real = (
        min((calibrate(long, **how) for _ in range(3)), key=lambda one: one.mean_s()[0])
        for how in ({"budget_s": 0.001, "say": said.append}, {"budget_s": 600})
    )

    assert (found.share, real.share) == (0.15, 1.0)
    assert len(found.trial_s) == 4
    assert said[-1].startswith("running about 4 pilots, the first 15 % of each, for about ")
    # Were it not drawn out it would be a seventh.
    assert real.mean_s()[0] / 3 < found.mean_s()[0] < real.mean_s()[0] * 3


def test_one_cell_is_shown_with_the_origin_of_each_value(study: Run, root: Path) -> None:
    """All settings of the cell, and where each comes from; the first digits of the id will do."""
    smoke = root / "scenarios/smoke.yaml"
    plan = json.loads(study("plan", smoke, "--calibrate", 0, "--json").stdout)
    cell = plan["cells"][0]
    told = study("show", smoke, "nic.mtu=4000", "--cell", "", "--json")
    assert told.returncode == 2
    # Wide enough for the path of any checkout.
    shown = study("show", smoke, "--cell", cell["id"][:6], COLUMNS="250")
    told = json.loads(study("show", smoke, "--cell", cell["id"], "--json").stdout)

    assert shown.returncode == 0, shown.stderr
    assert re.search(r"^zone\.memory +64MiB +\S+smoke\.yaml", shown.stdout, re.MULTILINE)
    assert re.search(r"^nic\.mtu +9000 +default$", shown.stdout, re.MULTILINE)
    assert "a block of order 3 (32KiB)" in shown.stdout
    assert told["levels"] == cell["levels"]
    assert told["settings"]["zone.memory"]["value"] == 16_384
    assert told["settings"]["kswapd.policy"]["through"] == "axis kswapd.policy"


def test_an_unknown_cell_is_answered_with_those_there_are(study: Run, root: Path) -> None:
    """Exit status 2, and the ids with their levels; likewise when none is chosen."""
    for arguments in (("--cell", "zzz"), ()):
        done = study("show", root / "scenarios/smoke.yaml", *arguments)
        assert done.returncode == 2
        assert "kswapd.policy order-aware, nic.receive page-array" in done.stderr
        assert done.stdout == ""


def test_presets_are_listed_with_their_sources(study: Run) -> None:
    """All, those of a kind, one; as JSON; an unknown one with the nearest name."""
    everything, kind = study("presets").stdout, study("presets", "nic").stdout
    one = study("presets", "nic/tg3-9000").stdout
    told = json.loads(study("presets", "--json").stdout)
    unknown = study("presets", "nic/tg3-900")

    assert all(name in everything for name in told)
    assert "source: drivers/net/tg3.c" in one
    assert "nic.mtu: 9000" in one
    assert "machine/" not in kind
    assert all(entry["source"] for entry in told.values())
    assert unknown.returncode == 2
    assert unknown.stderr == ("study: there is no preset nic/tg3-900; did you mean nic/tg3-9000?\n")


def test_the_schema_is_printed(study: Run, root: Path) -> None:
    """`study schema` prints what lies beside the shipped scenarios."""
    assert study("schema").stdout == (root / "scenarios/schema.json").read_text()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_are_told_how_to_complete(study: Run, shell: str) -> None:
    """The script for each shell comes out, and keys of settings are completed."""
    assert "_STUDY_COMPLETE" in study("completion", shell).stdout
    asked = {
        "_STUDY_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": "study plan x.yaml nic.m",
        "COMP_CWORD": "3" if shell != "fish" else "nic.m",
    }
    script = "from study.cli import main; main(prog_name='study')"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "nic.mtu=" in done.stdout


def test_colours_are_for_terminals(root: Path) -> None:
    """On a terminal there are colours; with NO_COLOR there are none, even there."""
    import pty

    def seen(**changes: str) -> bytes:
        # No fork of this process: its threads may hold locks that the child would wait for.
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "study", "presets", "nic/tg3-9000"],
            env={**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(root), **changes},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        found = b""
        try:
            while chunk := os.read(ours, 4096):
                found += chunk
        except OSError:
            pass  # the terminal is closed when the process ends
        os.close(ours)
        assert process.wait() == 0
        return found

    colour = rb"\x1b\[[0-9;]*3[0-7]m|\x1b\[[0-9;]*2m|\x1b\[1m"
    assert re.search(colour, seen())
    assert not re.search(rb"\x1b\[[0-9;]*3[0-7]m", seen(NO_COLOR="1"))


def test_help_tells_the_exit_statuses(study: Run) -> None:
    """0, 1, 2 and 130 stand in `study --help`."""
    text = study("--help").stdout

    for status in ("0  done", "1  a trial failed", "2  the command", "130  stopped"):
        assert status in text
