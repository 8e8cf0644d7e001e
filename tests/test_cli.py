"""The command `study`, as a person starts it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

import study
from study.cli import ended_as_by_ctrl_c
from study.runs import SILENT
from study.runs.signals import heeded_signals


@pytest.fixture
def start(root: Path, tmp_path: Path):
    """Run `python -m study ARGUMENTS` in an empty folder; the finished process."""

    def run(*arguments: object, **environment: str | None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(arguments),
            cwd=tmp_path,
            env=surroundings(root, environment),
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def command(arguments: Sequence[object]) -> list[str]:
    return [sys.executable, "-m", "study", *map(str, arguments)]


def surroundings(root: Path, changes: dict[str, str | None]) -> dict[str, str]:
    wanted = {**os.environ, "PYTHONPATH": str(root), "COLUMNS": "80", **changes}
    return {name: value for name, value in wanted.items() if value is not None}


@pytest.fixture(scope="session")
def tiny(root: Path) -> Path:
    return root / "tests/fanout/tiny.yaml"


@pytest.mark.slow
def test_a_run_on_ray_and_one_without_are_equal(start, tiny, tmp_path):
    """`study run` leaves the same tables on two workers and without Ray; a Ray address left over
    in the environment and a missing HOME do not matter.
    """
    ways = {"two": ("--workers", 2), "none": ("--no-ray",)}
    for name, way in ways.items():
        done = start(
            *("run", tiny, "--out", name, *way),
            HOME=None,
            RAY_ADDRESS="127.0.0.1:1",
            STUDY_CACHE_DIR=str(study_cache()),
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == f"Results: {name}"
        assert "12/12 trials" in done.stderr
        assert "Does the order-aware kswapd help jumbo frames?" in done.stdout
        assert "Traceback" not in done.stderr
        assert "ray" not in done.stderr.replace("starting Ray", "").lower()

    for table in ("trials/part-000000.parquet", "series/part-000000.parquet", "summary.csv"):
        first, *others = [(tmp_path / name / table).read_bytes() for name in ways]
        assert all(other == first for other in others), table
    trials = pd.read_parquet(tmp_path / "two" / "trials")
    assert len(trials) == 12
    assert set(trials["status"]) == {"ok"}
    assert json.loads((tmp_path / "two/manifest.json").read_text())["state"] == "complete"


def study_cache() -> Path:
    """Where this process keeps machine code: without HOME the folder would be another."""
    from study.zone.engine.cache import cache_root

    return cache_root()


def test_a_failed_trial_fails_the_run(start, root, tmp_path):
    """A run in which trials fail ends with 1, says which and why, and keeps the others."""
    done = start("run", root / "tests/fanout/failing.yaml", "--out", "out", "--no-ray")

    assert done.returncode == 1
    assert "2 of 4 trials failed:" in done.stdout
    assert "replicate 0:" in done.stdout
    assert "ValueError: the free blocks of memory.buddyinfo do not fit" in done.stdout
    assert "Traceback" not in done.stderr
    assert pd.read_parquet(tmp_path / "out/trials")["status"].value_counts().to_dict() == {
        "ok": 2,
        "failed": 2,
    }
    assert json.loads((tmp_path / "out/manifest.json").read_text())["state"] == "failed"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "way"),
    [
        (signal.SIGINT, ()),
        pytest.param(signal.SIGTERM, (), marks=pytest.mark.nightly(part="ray")),
        pytest.param(signal.SIGINT, ("--no-ray",), marks=pytest.mark.nightly(part="cases")),
    ],
    ids=["SIGINT", "SIGTERM", "SIGINT without Ray"],
)
def test_a_signal_leaves_a_readable_folder(root, tiny, tmp_path, number, way):
    """Stopped half-way, the run ends with 130, says what is kept, and what it kept is whole."""
    out = tmp_path / "out"
    process = subprocess.Popen(
        command(("run", tiny, "replicates=20000", "--out", out, *way)),
        env=surroundings(root, {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # As in a terminal, where Ctrl-C reaches every process of the group.
        start_new_session=True,
    )
    # A part on disk: trials have finished, many more have not.
    deadline = time.monotonic() + 240
    while not list(out.glob("trials/part-*.parquet")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.killpg(process.pid, number)
    said, noise = process.communicate(timeout=60)

    assert process.returncode == 130, noise
    assert "Traceback" not in noise
    kept = int(re.search(r"Stopped: (\d+) of 80000 trials are kept", said)[1])
    results = study.read(out)
    assert results.manifest["state"] == "interrupted"
    assert len(pd.read_parquet(out / "trials")) == kept == len(results.trials)
    assert 0 < kept < 80_000
    assert results.manifest["counts"]["finished"] == kept
    per_trial = results.series.groupby(["cell", "replicate"]).size()
    assert len(per_trial) == kept
    assert per_trial.nunique() == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "nowhere.yaml"), r"study: nowhere\.yaml: no such file"),
        (("run", "{tiny}", "nonsense"), r"study: .*nonsense"),
        (("run", "{tiny}", "zone.memry=1MiB"), r"study: .*memry.*memory"),
        (("run", "{tiny}", "zone.memory=1parsec"), r"study: .*1parsec"),
        (("run", "{tiny}", "--out", "{tiny}"), r"study: .* is a file; --out names a folder"),
        (("run", "{tiny}", "--out", "{tiny}/x"), r"study: cannot write the results folder"),
        (("run", "{tiny}", "--out", "/proc/x"), r"study: cannot write the results folder /proc/x"),
        (("summary", "nowhere"), r"study: nowhere is not a results folder: it does not exist"),
    ],
)
def test_bad_input_is_one_line(start, tiny, arguments, said):
    """What cannot be used as given ends with 2 and one line that says what it was."""
    done = start(*(argument.format(tiny=tiny) for argument in arguments))

    assert done.returncode == 2, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, lines
    assert re.match(said, lines[0]), lines[0]
    assert done.stdout == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("run",),
        ("fly",),
        ("run", "{tiny}", "--workers", "0"),
        ("run", "{tiny}", "--no-ray", "--workers", "2"),
        ("run", "{tiny}", "--no-ray", "--address", "127.0.0.1:1"),
        ("run", "{tiny}", "--no-such-option"),
    ],
)
def test_a_wrong_command_shows_the_usage(start, tiny, arguments):
    """A command that makes no sense ends with 2, the usage, and no traceback."""
    done = start(*(argument.format(tiny=tiny) for argument in arguments))

    assert done.returncode == 2
    assert done.stderr.startswith("Usage: study")
    assert "Error: " in done.stderr
    assert "Traceback" not in done.stderr


def test_nobody_at_the_address(start, tiny, tmp_path):
    """A cluster that cannot be reached ends with 1, one line, and no folder."""
    done = start("run", tiny, "-q", "--address", "127.0.0.1:1", "--out", "out")

    assert done.returncode == 1
    assert re.fullmatch(r"study: no Ray to join at 127\.0\.0\.1:1: .*\n", done.stderr)
    assert not (tmp_path / "out").exists()


def test_a_folder_is_of_one_study(start, tiny, tmp_path):
    """The same study again finds nothing to do; another is refused with what differs; --extend
    adds to it and --force starts over.
    """
    arguments = ("run", tiny, "replicates=1", "--no-ray", "--out", "out")
    assert start(*arguments).returncode == 0
    before = (tmp_path / "out/trials/part-000000.parquet").read_bytes()

    again = start(*arguments)
    assert again.returncode == 0
    assert "4 trials are there already" in again.stderr
    assert (tmp_path / "out/trials/part-000000.parquet").read_bytes() == before

    other = start(*arguments, "seed=8", "nic.ring=17")
    assert other.returncode == 2
    assert "study: out holds results of another study; give another --out:" in other.stderr
    assert "study:   seed: 7 there, 8 now" in other.stderr
    assert "study:   base.nic.ring: 16 there, 17 now" in other.stderr
    more = start("run", tiny, "replicates=2", "--no-ray", "--out", "out")
    assert more.returncode == 2
    assert "--extend to add what is new" in more.stderr
    assert start("run", tiny, "replicates=2", "--no-ray", "--out", "out", "--extend").stdout
    assert len(pd.read_parquet(tmp_path / "out/trials")) == 8
    assert start("run", tiny, "replicates=2", "--no-ray", "--out", "out", "--force").returncode == 0


@pytest.mark.quick
def test_quiet_json_and_the_default_folder(start, tiny):
    """--json prints one object, -q nothing else; without --out the folder is named after the
    study; `study summary` shows the same again.
    """
    done = start("run", tiny, "replicates=2", "--no-ray", "-q", "--json")
    assert done.returncode == 0
    assert done.stderr == ""

    said = json.loads(done.stdout)
    assert re.fullmatch(r"results/tiny-\d{8}-\d{6}", said["path"])
    assert said["counts"] == {"cells": 4, "trials": 8, "finished": 8, "failed": 0}
    assert {effect["axis"] for effect in said["effects"]} == {"kswapd.policy", "nic.mtu"}
    again = start("summary", said["path"], "--json")
    assert json.loads(again.stdout) == said
    tables = start("summary", said["path"])
    assert tables.stdout.splitlines()[-1] == f"Results: {said['path']}"
    assert all(len(line.rstrip()) <= 80 for line in tables.stdout.splitlines())
    assert "\x1b" not in tables.stdout


@pytest.mark.quick
def test_help_is_instant_and_light(root):
    """Help needs none of the heavy libraries."""
    script = (
        "import sys, study, study.cli\n"
        "heavy = {'ray', 'numba', 'numpy', 'pandas', 'pyarrow', 'scipy', 'pydantic', 'rich'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


@pytest.mark.quick
def test_version_and_help(start):
    """--version names the program and its version; --help names the commands."""
    said = r"study \S+\nsimulation [0-9a-f]{16}\nkernels 2\.6\.8, .*, 5\.9\n"
    assert re.fullmatch(said, start("--version").stdout)
    shown = start("--help")
    assert shown.returncode == 0
    assert shown.stdout.startswith("Usage: study [OPTIONS] COMMAND")
    assert "run " in shown.stdout
    assert "summary " in shown.stdout


def test_the_installed_command_is_the_module(start):
    """`study` on the path and `python -m study` are the same program."""
    script = Path(sys.executable).with_name("study")
    if not script.exists():
        pytest.skip("the package is not installed here")
    done = subprocess.run([script, "run", "--help"], capture_output=True, text=True, check=True)

    assert done.stdout == start("run", "--help").stdout


def test_with_nohup_a_terminal_that_goes_ends_nothing():
    """SIGHUP that a command was started to ignore stays ignored, by the command and by a run."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ended_as_by_ctrl_c(), heeded_signals(SILENT.stopping):
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        # These tests may have been started with nohup themselves.
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        with ended_as_by_ctrl_c(), heeded_signals(SILENT.stopping) as signals:
            signals.gently = True
            signal.raise_signal(signal.SIGHUP)
            assert signals.stopped
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)
