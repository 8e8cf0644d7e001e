"""What a terminal would obey never reaches it, wherever in a folder, a trace or a log it stands."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

import study
from study.cli import main
from study.results.part import digest_of_file
from study.terminal.console import CleanConsole
from study.terminal.guard import guarded
from tests.by_night import sampled

HOSTILE = (
    "\x1b]0;owned\x07\x1b[2J\x1b]8;;file:///x\x1b\\link\x9b31m\x9d\u202eevil\u2066\u200b"
    "\u2028\x08\x7f[link=file:///x]see[/link] :smile:"
)
"""OSC, BEL, CSI, C1, bidi, no width, a line separator, backspace, and what rich would obey."""
FOLDER_COMMANDS = (
    ("status",),
    ("summary",),
    ("summary", "--json"),
    ("contrasts",),
    ("contrasts", "--cells"),
    ("verdicts",),
    ("tradeoff",),
    ("tradeoff", "--all"),
    ("tradeoff", "--csv"),
    ("sensitivity",),
    ("report",),
    ("plot", "forest", "success"),
)
SCENARIO = """\
name: plain
question: Is it?
replicates: 3
base:
  zone: { memory: 16MiB, reserved: 1MiB }
  user: { touch_rate: 2000/s }
  processes: { memory: 64KiB }
  nic: { ring: 16, rx_rate: 200/s, tx_rate: 100/s }
  clock: { ageing: 1s, measure: 1s, sample: 250ms }
axes:
  kswapd.policy: [count-only, order-aware]
  card:
    LEVEL: { nic.receive: linear }
    other: { nic.receive: page-array }
claims:
  - id: served
    says: SAYS it is.
    metric: rx_success_ratio
    side: { card: LEVEL }
    against: { card: other }
    expect: more
    matters: 0.01
"""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a small study."""
    top = tmp_path_factory.mktemp("sound")
    (top / "plain.yaml").write_text(SCENARIO)
    return study.run(top / "plain.yaml", ray=False, out=top / "out").path


def spoil(value: object) -> object:
    """The words that are free in a manifest, each with what a terminal would obey."""
    if isinstance(value, dict):
        return {spoil(key): spoil(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [spoil(inner) for inner in value]
    if isinstance(value, str):
        return value.replace("LEVEL", f"LEVEL{HOSTILE}").replace("SAYS", f"SAYS{HOSTILE}")
    return value


@pytest.fixture
def hostile(sound: Path, tmp_path: Path) -> Path:
    """The same folder, with controls wherever there is text."""
    path = tmp_path / "hostile"
    shutil.copytree(sound, path)
    manifest = spoil(json.loads((path / "manifest.json").read_text()))
    assert isinstance(manifest, dict)
    manifest["name"] = f"name{HOSTILE}\nstudy: all is well"
    manifest["question"] = f"question{HOSTILE}"
    manifest["headline"] = [[name, f"{label}{HOSTILE}"] for name, label in manifest["headline"]]
    cell = next(iter(manifest["cells"]))
    manifest["counts"]["failed"] = 1
    manifest["failures"] = [{"cell": cell, "replicate": 0, "error": f"error{HOSTILE}"}]
    (path / ".lock").write_text(f"process{HOSTILE}")
    for part in (path / "trials").glob("*.parquet"):
        table = pq.read_table(part)
        index = table.schema.get_field_index("card")
        cards = table.column("card").cast(pa.string()).to_pylist()
        again = pa.array([str(spoil(card)) for card in cards])
        field = table.schema.field("card")
        column = again.cast(pa.string()).cast(field.type)
        spoilt = table.set_column(index, field, column)
        pq.write_table(spoilt, part, write_page_checksum=True)
    manifest["parts"] = {
        f"{part.parent.name}/{part.name}": digest_of_file(part)
        for part in path.glob("*/part-*.parquet")
    }
    (path / "manifest.json").write_text(json.dumps(manifest))
    return path


def assert_clean(text: str) -> None:
    """No character that Unicode does not call printable, but for line ends and tabs."""
    wrong = sorted({c for c in text if not c.isprintable() and c not in "\n\t"})
    assert not wrong, [f"U+{ord(c):04X}" for c in wrong]


def invoke(*arguments: object) -> Result:
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert isinstance(done.exception, SystemExit | None), done.exception
    assert_clean(done.stdout)
    assert_clean(done.stderr)
    return done


@pytest.mark.parametrize("words", FOLDER_COMMANDS, ids=" ".join)
def test_no_text_of_a_folder_moves_the_terminal(hostile: Path, words: tuple[str, ...]):
    """Every command that shows a folder shows its text as text."""
    command, *more = words

    done = invoke(command, hostile, *more)

    assert done.exit_code == 0 or command == "sensitivity", done.output


def test_what_is_shown_is_still_there(hostile: Path):
    """The letters around the controls are shown, also those that rich would take for markup."""
    assert "name?]0;owned??[2J" in invoke("status", hostile).stdout
    assert "study: all is well" not in invoke("status", hostile).stdout.splitlines()
    shown = " ".join(invoke("verdicts", hostile).stdout.split())
    assert "[link=file:///x]see[/link] :smile:" in shown


def test_two_folders_side_by_side(hostile: Path, sound: Path):
    """`study compare` too, with cells by name."""
    assert invoke("compare", hostile, sound).exit_code == 0
    invoke("compare", hostile, hostile, "--cells")


def test_a_folder_that_is_refused_is_so_in_clean_words(hostile: Path, tmp_path: Path):
    """Resume holds the folder against its scenario; names of files and damage are told."""
    invoke("resume", hostile, "--no-ray")
    for name in (f"x{HOSTILE}".replace("/", ""), os.fsdecode(b"bad\xff")):
        for command in ("status", "resume", "replay", "plan"):
            assert invoke(command, tmp_path / name).exit_code == 2
    (hostile / "manifest.json").write_text(json.dumps({HOSTILE: HOSTILE}))
    assert invoke("status", hostile).exit_code == 2


def test_a_trace_is_shown_as_text(root: Path, tmp_path: Path):
    """The name of a trace, and what stands in a file beside it."""
    excerpts = root / "tests" / "data" / "kernel-traces"
    name = f"trace_x{HOSTILE}.npz".replace("/", "")
    shutil.copy(excerpts / "trace_net.npz", tmp_path / name)

    assert "trace_x?]0;owned??[2J" in invoke("replay", tmp_path / name).stdout


def test_a_scenario_is_shown_as_text(tmp_path: Path):
    """Its question in the plan, and its faults."""
    (tmp_path / "x.yaml").write_text(json.dumps({"question": HOSTILE, HOSTILE: 1}))
    assert invoke("plan", tmp_path / "x.yaml").exit_code == 2
    (tmp_path / "x.yaml").write_text(json.dumps({"question": f"why{HOSTILE}"}))
    assert "why?]0;owned" in invoke("plan", tmp_path / "x.yaml").output


def test_a_new_command_cannot_forget_it():
    """Whatever a command prints with, what reaches the streams is clean."""

    @main.command(name="forgetful")
    def forgetful() -> None:
        click.echo(HOSTILE)
        click.secho(HOSTILE, err=True, fg="red")
        sys.stdout.write(HOSTILE)
        sys.stderr.writelines([HOSTILE, "\ud800"])
        raise click.UsageError(HOSTILE)

    try:
        assert invoke("forgetful").exit_code == 2
    finally:
        del main.commands["forgetful"]


@pytest.mark.quick
def test_the_guard_leaves_the_streams_as_they_were():
    """It goes with the command, is put up once, and hands on everything but writing."""
    before = sys.stdout, sys.stderr
    with guarded():
        inner = sys.stdout
        assert inner is not before[0]
        assert inner.isatty() == before[0].isatty()
        with guarded():
            assert sys.stdout is inner
        assert sys.stdout is inner
    assert (sys.stdout, sys.stderr) == before


def test_a_locale_of_ascii_gets_question_marks(hostile: Path, root: Path):
    """What the stream cannot hold is replaced; no table is lost for it."""
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [sys.executable, "-m", "study", "summary", str(hostile)],
        env=environment, capture_output=True, check=False, text=True,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()
    assert_clean(done.stdout)


def test_colours_are_ours(hostile: Path, root: Path):
    """On a real terminal words are coloured, and nothing else is done to it."""
    shown = on_terminal(root, "summary", str(hostile)) + on_terminal(root, "status", str(hostile))

    assert "\x1b[1m" in shown
    assert_clean(re.sub(r"\x1b\[[0-9;]*m", "", shown).replace("\r\n", "\n"))


def on_terminal(root: Path, *arguments: str) -> str:
    """What `study` writes to a terminal."""
    environment = {**os.environ, "PYTHONPATH": str(root), "TERM": "xterm", "COLUMNS": "80"}
    environment.pop("NO_COLOR", None)
    child, terminal = pty.fork()
    if child == 0:
        os.execve(  # noqa: S606 - the program tested
            sys.executable, [sys.executable, "-m", "study", *arguments], environment
        )
    said = b""
    while True:
        try:
            piece = os.read(terminal, 65_536)
        except OSError:
            break
        if not piece:
            break
        said += piece
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, said
    return said.decode()


@pytest.mark.quick
def test_a_bar_may_move_the_cursor_and_its_text_may_not():
    """Rich's own controls pass; those in a text do not."""
    from rich.progress import Progress, TextColumn
    from rich.text import Text

    console = CleanConsole(file=io.StringIO(), force_terminal=True, markup=False, width=200)
    with Progress(TextColumn("{task.fields[line]}", markup=False), console=console) as progress:
        progress.add_task("", line=HOSTILE)
        console.print(Text(HOSTILE, style="red"), HOSTILE)
    written = console.file.getvalue()

    assert "\x1b[?25l" in written
    for control in ("\x1b[2J", "\x1b]", "\x07", "\x9b", "\u202e"):
        assert control not in written


@pytest.mark.parametrize("columns", ["99999999", "999999999999999999999", "\u00b2", "0", "-3", "x"])
def test_a_width_that_no_terminal_has_is_not_taken(columns: str, monkeypatch: pytest.MonkeyPatch):
    """COLUMNS of any text gives a table of 80 letters a line, at once and without a traceback."""
    monkeypatch.setenv("COLUMNS", columns)
    done = CliRunner().invoke(main, ["presets"])

    assert done.exit_code == 0
    assert max(map(len, done.output.splitlines())) <= 80


def test_a_date_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch):
    """Numpy reads SOURCE_DATE_EPOCH as it is imported; what is no number ends in a line before."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "\x1bx")
    done = CliRunner().invoke(main, ["presets"])

    assert done.exit_code == 2
    assert done.stderr == "study: SOURCE_DATE_EPOCH is '\\x1bx'; seconds since 1970, or unset\n"


@pytest.mark.parametrize(
    "closed", sampled([">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"], keep=["<&- >&- 2>&-"])
)
def test_what_a_closed_stream_would_have_shown_goes_nowhere(root, tmp_path, closed):
    """Nor does it land in a file that has got the descriptor."""
    command = f"{shlex.quote(sys.executable)} -m study run tests/fanout/tiny.yaml --no-ray --out"
    out = tmp_path / "out"
    done = subprocess.run(
        ["/bin/sh", "-c", f"exec {command} {shlex.quote(str(out))} {closed}"], cwd=root, check=False
    )
    assert done.returncode == 0
    assert study.read(out).manifest["state"] == "complete"
