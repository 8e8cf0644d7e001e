"""Results read in a terminal: what stands where, at any width, and which folder is meant."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from threading import Event

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

import study
from study.cli import main
from study.commands.ending import tables
from study.fanout.prepare import counting
from study.runs.signals import heeded_signals
from study.runs.watcher import Watcher
from study.terminal.blocks import in_blocks
from study.terminal.console import CleanConsole
from study.terminal.progress import Bar, Lines
from study.zone.engine.compile import compiled_so_far

SCENARIO = """\
name: many
question: Which ring?
replicates: 2
base:
  zone: { memory: 16MiB, reserved: 1MiB }
  user: { touch_rate: 2000/s }
  processes: { memory: 64KiB }
  nic: { rx_rate: 200/s, tx_rate: 100/s }
  clock: { ageing: 200ms, measure: 300ms, sample: 100ms }
axes:
  nic.ring: [8, 12, 16, 20, 24, 28]
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> study.Results:
    """A study with an axis of six levels, in results/many of its folder."""
    top = tmp_path_factory.mktemp("reading")
    (top / "many.yaml").write_text(SCENARIO)
    return study.run(top / "many.yaml", ray=False, out=top / "results/many")


def invoke(*arguments: object, width: int = 80) -> Result:
    return CliRunner(env={"COLUMNS": str(width)}).invoke(main, [str(each) for each in arguments])


@pytest.fixture(scope="module")
def wide(results: study.Results) -> str:
    """The summary in a terminal as wide as it needs."""
    return invoke("summary", results.path, width=1000).stdout


@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_metric_is_dropped_and_no_line_padded(results, wide, width):
    """An axis of many levels is told in blocks: each metric that a wide terminal shows is there."""

    def words(text: str) -> set[str]:
        return set(text.partition("Means over")[0].replace("\n", " ").split())

    shown = invoke("summary", results.path, width=width).stdout

    assert words(wide) <= words(shown) | {"─" * n for n in range(1000)}
    *lines, place = shown.splitlines()
    assert place == f"Results: {results.path}"
    assert max(map(len, lines)) <= width
    assert [line for line in shown.splitlines() if line != line.rstrip()] == []
    assert "..." not in shown
    assert "…" not in shown


def test_blocks_keep_figures_whole():
    """Whatever the width, each figure stands on one line, and each column once."""
    columns = [
        (f"column {n} of some", [f"{n}.{row}234 ±0.0056" for row in range(3)]) for n in "abcdefg"
    ]
    for width in range(24, 200, 7):
        console = Console(file=io.StringIO(), width=width)
        console.print(
            *in_blocks("t", ["one", "a longer label", "three"], columns, width=width), sep="\n"
        )
        text = console.file.getvalue()

        assert max(map(len, text.splitlines())) <= width
        for _, cells in columns:
            assert all(text.count(cell) == 1 for cell in cells)


def test_a_narrow_trade_off_is_told_in_blocks(results):
    """At 40 columns each figure that 80 show is there and whole, and each heading once."""
    broad, narrow = (
        invoke("tradeoff", results.path, "--all", width=n).stdout.partition(" cells, mean")[0]
        for n in (80, 40)
    )

    assert max(map(len, narrow.splitlines())) <= 40
    for name in ("served", "pages taken", "refaults", "resamples"):
        assert narrow.count(name) == 1
    figures = [text for text in re.split(r"\s{2,}|\n", broad) if "±" in text]
    assert len(figures) >= 12
    assert all(text in narrow for text in figures)


def test_the_answer_stands_last(results):
    """What a screen of 24 lines still shows is the answer and where the results are."""
    last = invoke("summary", results.path).stdout.splitlines()[-24:]
    answer = " ".join(results.answer.text.split())

    assert answer in " ".join(" ".join(last).split())
    assert last[-1] == f"Results: {results.path}"


def test_a_run_that_was_stopped_says_only_how_to_go_on(results, tmp_path, capsys):
    """After Ctrl-C no tables of half a study come before the line that is needed."""
    copy = Path(shutil.copytree(results.path, tmp_path / "half"))
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps(manifest | {"state": "interrupted"}))

    tables(study.read(copy), as_json=False, quiet=False, brief=True)

    assert capsys.readouterr().out.splitlines() == [
        "Stopped: 12 of 12 trials are kept, complete and readable.",
        f"Resume with: study resume {copy}",
        f"Results: {copy}",
    ]
    assert "Which ring?" in invoke("summary", copy).stdout


def test_the_newest_folder_is_meant_where_none_is_named(results, monkeypatch):
    """DIR left out is the newest in results/, and standard error says which."""
    top = results.path.parents[1]
    monkeypatch.chdir(top)
    older = Path(shutil.copytree(results.path, top / "results/older"))
    os.utime(older / "manifest.json", (1, 1))
    (top / "results/link").symlink_to(older)

    for words in (["summary"], ["status"], ["contrasts"], ["verdicts"], ["plot", "success"]):
        done = invoke(*words)
        assert (done.exit_code, done.stderr) == (0, "DIR is results/many, the newest one\n")
        # The others take the folder by the same way.
        if words == ["status"]:
            assert done.stdout == invoke("status", "results/many").stdout
    judged = invoke("verdicts", "many.yaml")
    assert "no claims" in judged.stdout
    assert "it holds some, the newest is results/many" in invoke("summary", "results").stderr
    monkeypatch.chdir(top / "results")
    assert invoke("summary").exit_code == 2
    assert "there is none in results/ here" in invoke("summary").stderr


def test_output_that_nobody_takes_ends_the_command_in_a_line(results):
    """A full disk is a line and status 1; a reader who has gone is no fault, and no word."""
    command = [sys.executable, "-m", "study", "summary", str(results.path)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "study: cannot write the output: No space left on device\n"

    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


class Noting(Watcher):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def note(self, text: str) -> None:
        """Keep it."""
        self.told.append(text)


@pytest.mark.parametrize(
    ("until", "told"),
    [
        (
            "{ metric: user_attempts, half_width: 0.001 }",
            [
                "until: user_attempts not known to ±0.001: 2 of 2 cells go on to 10 replicates",
                "until: user_attempts not known to ±0.001: 2 of 2 cells go on to 12 replicates",
                "until: max 12 replicates reached, user_attempts not known to ±0.001",
            ],
        ),
    ],
)
def test_what_until_adds_is_told_with_the_reason(tmp_path, until, told):
    """More replicates are never added, nor given up, without a word."""
    from study.runs import Options, run_study

    text = SCENARIO.replace("[8, 12, 16, 20, 24, 28]", "[8, 12]")
    text = text.replace("replicates: 2", f"replicates: {{ min: 5, max: 12, until: {until} }}")
    (tmp_path / "until.yaml").write_text(text)
    watcher = Noting()
    run_study(
        study.load(tmp_path / "until.yaml"), tmp_path / "out", Options(ray=False), watcher=watcher
    )

    assert watcher.told == told


def test_a_phase_that_takes_long_says_how_far_it_is(monkeypatch):
    """A log has a line every ten seconds while the simulation is compiled, with count and time."""
    now = [0.0]
    monkeypatch.setattr("study.terminal.progress.monotonic", lambda: now[0])
    file = io.StringIO()
    watcher = Lines(Console(file=file))
    watcher.phase("preparing the simulation (compiled once per machine and version)")
    for count in range(0, 300, 10):
        now[0] += 1.0
        watcher.step(f"{count} of 321 functions compiled")

    assert file.getvalue().splitlines() == [
        "preparing the simulation (compiled once per machine and version)",
        "preparing the simulation: 90 of 321 functions compiled, 0:10",
        "preparing the simulation: 190 of 321 functions compiled, 0:20",
        "preparing the simulation: 290 of 321 functions compiled, 0:30",
    ]


def test_compiling_is_counted(results):
    """Whoever waits is told how many functions have machine code, of how many."""
    heard, said = Event(), []

    def told(text: str) -> None:
        said.append(text)
        heard.set()

    assert results.manifest["state"] == "complete"
    with counting(told):
        assert heard.wait(60)
    done, there = compiled_so_far()
    assert said[0] == f"{done} of {there} functions compiled"
    assert 0 < done <= there


def test_a_run_that_is_asked_to_end_says_so(tmp_path):
    """The spinner and the bar say it at their next redraw, and the signal's handler writes
    nothing, as what it interrupts may be writing.
    """
    file = io.StringIO()
    watcher = Bar(CleanConsole(file=file, force_terminal=True, width=80))
    watcher.phase("starting Ray")
    before = file.getvalue()
    with heeded_signals(watcher.stopping) as signals:
        signals.gently = True
        signal.raise_signal(signal.SIGINT)
        assert file.getvalue() == before
        watcher.close()
        assert "starting Ray  stopping (Ctrl-C again: at once)" in file.getvalue()

        watcher.start(10, cells=2, replicates=5, place=str(tmp_path), done=0)
        watcher.advance(1, 0)
        watcher.close()
    last = file.getvalue().rpartition("1/10 trials")[2]
    assert "stopping (Ctrl-C again: at once)" in last
