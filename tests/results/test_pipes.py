"""What is no file, where a file of a results folder has to be, keeps no command waiting."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from study.results import Store, read_series, read_trials
from study.statistics import write_findings
from tests.by_night import sampled

# Puts every kind of thing in the place of one file, has every command look at it, and prints how
# each ended, after how many seconds, and what it said.
LOOK = """
import json, os, shutil, socket, stat, sys, time
from pathlib import Path
from click.testing import CliRunner
from study.cli import main
from study.results import ResultsError, Store, adopt, only_writer, reopen
from study.statistics import write_findings
from study.transport import open_folder

sound, work, wanted = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])

def a_socket(path):
    # Its name is longer than an address may be.
    os.chdir(path.parent)
    socket.socket(socket.AF_UNIX).bind(path.name)
    os.chdir("/")

KINDS = {
    "pipe": os.mkfifo,
    "socket": a_socket,
    "folder": lambda path: (path.mkdir(), (path / "x").touch()),
    "text": lambda path: path.write_text("x"),
    "zero": lambda path: path.symlink_to("/dev/zero"),
    "link to pipe": lambda path: (os.mkfifo(path.parent.parent / "p"),
                                  path.symlink_to(path.parent.parent / "p")),
    "loop": lambda path: path.symlink_to(path),
}

def go_on(path):
    with only_writer(path):
        found = open_folder(path)
        continued = reopen(path, found.manifest)
        store = Store(continued, adopt(continued))
        store.close("failed")
        write_findings(continued)

def called(*words):
    result = CliRunner().invoke(main, words)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    if result.exit_code:
        raise ResultsError(result.stderr.removeprefix("study: ").rstrip())

def by_url(path):
    called("status", f"file://{path}")

COMMANDS = {
    "status": lambda path: called("status", str(path)),
    "report": lambda path: called("report", str(path)),
    "go on": go_on,
    "by url": by_url,
}
for name, kind, command in wanted:
    shutil.rmtree(work, ignore_errors=True)
    folder = work / "out"
    shutil.copytree(sound, folder)
    if kind != "sound":
        shutil.rmtree(folder / name) if (folder / name).is_dir() else (
            (folder / name).unlink(missing_ok=True))
        KINDS[kind](folder / name)
    began, how, said = time.monotonic(), "done", ""
    try:
        COMMANDS[command](folder)
    except ResultsError as error:
        how, said = "refused", str(error)
    except BaseException as error:
        how, said = "raised", f"{type(error).__name__}: {error}"
    print(json.dumps([name, kind, command, how, time.monotonic() - began, said]), flush=True)
"""

KINDS = ("pipe", "socket", "folder", "text", "zero", "link to pipe", "loop")
NAMES = [
    *("series/part-000000.parquet", "trials", "series", "damaged", "zonemaps.npz"),
    *("summary.csv", "report.html"),
    *(".manifest.json.new", ".summary.csv.new", ".trials.new", ".series.old"),
]


@pytest.fixture
def sound(make_store: Callable[..., Store], simulated) -> Path:
    """The results of a run that has ended."""
    store = make_store()
    store.add(simulated)
    store.close("failed")
    write_findings(store.folder)
    return store.folder.path


def small_memory() -> None:
    """Let the process that is about to start have 3 GB, and no more."""
    resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))


def look(root: Path, sound: Path, work: Path, wanted: list[tuple[str, str, str]]) -> list[list]:
    """[name, kind, command, how it ended, seconds, what was said] for each that is wanted."""
    done = subprocess.run(
        [sys.executable, "-c", LOOK, sound, work, json.dumps(wanted)],
        env={**os.environ, "PYTHONPATH": str(root), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False, timeout=300, preexec_fn=small_memory,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    ended = [json.loads(line) for line in done.stdout.splitlines()]
    usual = {command: seconds for _, kind, command, _, seconds, _ in ended if kind == "sound"}
    for name, kind, command, how, seconds, said in ended:
        assert how != "raised", (name, kind, command, said)
        assert len(said.splitlines()) <= 1, (name, kind, command, said)
        # A second is what it may take; the machine may be busy with other tests.
        assert seconds < 5 * usual[command] + 5, (name, kind, command)
        assert how == "done" or f"{work}/out" in said, (name, kind, command, said)
    return ended


@pytest.mark.parametrize(
    "name", sampled(["manifest.json", ".lock", "trials/part-000000.parquet"], every=3)
)
def test_whatever_stands_in_a_files_place_is_said(root: Path, sound: Path, tmp_path: Path, name):
    """Pipe, socket, folder, device, loop or text: a line that names it, at once, or no harm."""
    commands = ("status", "go on", "by url")
    wanted = [(name, kind, command) for kind in ("sound", *KINDS) for command in commands]
    ended = look(root, sound, tmp_path / "work", wanted)

    refused = {(kind, command) for _, kind, command, how, *_ in ended if how == "refused"}
    if name == "manifest.json":
        assert refused == {(kind, command) for kind in KINDS for command in commands}
    elif name == ".lock":
        assert {kind for kind, command in refused if command == "go on"} == {*KINDS} - {"text"}
        assert not {command for _, command in refused} & {"status"}
    else:
        assert not {command for _, command in refused} & {"go on", "status"}


@pytest.mark.parametrize("step", sampled([3, 1], every=2))
def test_nothing_in_a_folder_keeps_a_command_waiting(
    root: Path, sound: Path, tmp_path: Path, step: int
):
    """A pipe or an endless device in the place of anything is said or replaced, at once."""
    wanted = [
        (name, kind, command)
        for name in dict.fromkeys(["trials", "summary.csv", *NAMES[::step]])
        for kind, command in (("pipe", "status"), ("pipe", "go on"), ("zero", "status"))
    ]
    pictures = [(name, "pipe", "report") for name in ("zonemaps.npz", "report.html", "series")]
    whole = [("summary.csv", "sound", command) for command in ("status", "go on", "report")]
    ended = look(root, sound, tmp_path / "work", [*whole, *wanted, *pictures])

    refused = {(name, kind, command) for name, kind, command, how, *_ in ended if how == "refused"}
    assert {("trials", "pipe", command) for command in ("status", "go on")} <= refused
    assert ("summary.csv", "pipe", "go on") not in refused


def test_what_is_no_part_is_not_opened(sound: Path):
    """What lies beside the parts of a table and has no name of a part is left alone."""
    samples = len(read_series(sound))
    os.mkfifo(sound / "trials/x.parquet")
    (sound / "series/notes.txt").write_text("x")

    assert len(read_trials(sound)) == 12
    assert len(read_series(sound)) == samples
    assert (sound / "series/notes.txt").read_text() == "x"
