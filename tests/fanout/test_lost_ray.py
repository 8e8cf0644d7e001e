"""Ray, or its driver, is killed or stopped: words in seconds, rows kept, nothing left behind."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from study.fanout import prepare_simulation


@pytest.fixture(autouse=True, scope="module")
def compiled() -> None:
    prepare_simulation()


def command(root: Path, *arguments: object) -> dict[str, object]:
    """What subprocess needs to start `study` as a person would."""
    return {
        "args": [sys.executable, "-m", "study", *map(str, arguments)],
        "env": {**os.environ, "PYTHONPATH": str(root)},
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    }


def descendants(pid: int) -> dict[int, str]:
    """Every process that one has started, directly or not, and the program it runs."""
    parents, programs = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just ended
            number, _, rest = stat.read_text().partition(" (")
            programs[int(number)], _, fields = rest.rpartition(") ")
            parents[int(number)] = int(fields.split()[1])
    family = {pid}
    while new := {child for child, parent in parents.items() if parent in family} - family:
        family |= new
    return {member: programs[member] for member in family - {pid}}


def start_adopted(root: Path, *arguments: object) -> tuple[int, Path]:
    """Start `study` with init, or who stands in for it, as its parent, as nohup leaves it.

    Returns its process and the file into which it speaks.
    """
    said = Path(str(arguments[-1]) + ".said")
    started = command(root, *arguments)
    code = (
        "import subprocess, sys\n"
        "said = open(sys.argv[1], 'wb')\n"
        "options = {'stdout': said, 'stderr': said, 'start_new_session': True}\n"
        "print(subprocess.Popen(sys.argv[2:], **options).pid)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(said), *started["args"]],
        env=started["env"], capture_output=True, text=True, check=True,
    )  # fmt: skip
    return int(done.stdout), said


def is_running(pid: int) -> bool:
    """Whether a process has not ended, be it that nobody has taken notice of its end."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


def wait_until(happens: Callable[[], object], seconds: float) -> float:
    """How long it took until something was true; fails when it is not within so many seconds."""
    began = time.monotonic()
    while not happens():
        assert time.monotonic() - began < seconds
        time.sleep(0.02)
    return time.monotonic() - began


@pytest.mark.nightly(part="ray")
@pytest.mark.slow
def test_a_run_adopted_by_init_ends_in_words_when_its_ray_is_lost(root: Path, tmp_path: Path):
    """Under nohup or in a container Ray would end the driver without a word as its raylet dies."""
    out = tmp_path / "out"
    longer = ("replicates=5000", "clock.measure=3s", "--workers", 1, "--out", out)
    run, said = start_adopted(root, "run", root / "tests/fanout/tiny.yaml", *longer)
    wait_until(lambda: list((out / "trials").glob("part-*")), 120)
    family = descendants(run)
    [doomed] = [pid for pid, program in family.items() if program == "raylet"]
    os.kill(doomed, signal.SIGKILL)
    wait_until(lambda: not is_running(run), 120)
    state = json.loads(subprocess.run(**command(root, "status", out, "--json"), check=True).stdout)

    first, kept, hint = said.read_text().splitlines()[-3:]
    assert first.startswith("study: Ray cannot go on: LocalRayletDiedError: ")
    assert kept == f"study: {state['counts']['finished']} of 20000 trials are kept"
    assert hint == f"study: Resume with: study resume {out}"
    assert state["state"] == "interrupted"
    assert [pid for pid in family if is_running(pid)] == []


@pytest.mark.nightly(part="ray")
@pytest.mark.slow
def test_nothing_of_ray_outlives_a_killed_driver(root: Path, tmp_path: Path):
    """Ray's agents, which hold the token, end with the driver; `status` says how to go on."""
    out = tmp_path / "out"
    longer = ("replicates=5000", "clock.measure=3s", "--workers", 1, "--out", out)
    run = subprocess.Popen(**command(root, "run", root / "tests/fanout/tiny.yaml", *longer))
    with run:
        wait_until(lambda: list((out / "trials").glob("part-*")), 120)
        family = descendants(run.pid)
        run.kill()
    took = wait_until(lambda: not [pid for pid in family if is_running(pid)], 60)
    told = subprocess.run(**command(root, "status", out), check=True).stdout.splitlines()

    assert {"gcs_server", "raylet"} < set(family.values())
    assert sum(program.startswith("ray::") for program in family.values()) >= 3
    assert took < 10
    assert told[0] == "tiny: stopped"
    assert told[-1] == f"Resume with: study resume {out}"


@pytest.mark.nightly(part="ray")
@pytest.mark.slow
def test_a_head_that_stops_is_noticed_and_may_go_on(root: Path, tmp_path: Path):
    """That Ray's head is silent is said within ten seconds, and so is that it is there again."""
    out = tmp_path / "out"
    longer = ("replicates=5000", "clock.measure=3s", "--workers", 1, "--out", out)
    with subprocess.Popen(**command(root, "run", root / "tests/fanout/tiny.yaml", *longer)) as run:
        wait_until(lambda: list((out / "trials").glob("part-*")), 120)
        [head] = [pid for pid, what in descendants(run.pid).items() if what == "gcs_server"]
        lines = iter(run.stderr)
        os.kill(head, signal.SIGSTOP)
        stopped = time.monotonic()
        silent = next(line for line in lines if "head does not" in line)
        took = time.monotonic() - stopped
        os.kill(head, signal.SIGCONT)
        again = next(line for line in lines if "head answers" in line)
        os.kill(head, signal.SIGSTOP)
        rest = list(lines)
        run.wait(timeout=120)

    assert re.fullmatch(r"Ray's head does not answer; trying until \d\d:\d\d:\d\d\n", silent)
    assert took < 10
    assert again == "Ray's head answers again\n"
    assert run.returncode == 1
    assert rest[-3] == "study: Ray is lost: its head has been silent for 30 s\n"
    assert rest[-1] == f"study: Resume with: study resume {out}\n"


@pytest.mark.nightly(part="ray")
def test_a_ray_that_does_not_start_in_time_is_one_line(root: Path, tmp_path: Path):
    """On a machine that is too busy Ray gives up after half a minute: words, and no folder."""
    out = tmp_path / "out"
    arguments = ("run", root / "tests/fanout/tiny.yaml", "--out", out)
    with subprocess.Popen(**command(root, *arguments)) as run:
        wait_until(lambda: "gcs_server" in descendants(run.pid).values(), 60)
        wait_until(lambda: "raylet" in descendants(run.pid).values(), 60)
        [slow] = [pid for pid, what in descendants(run.pid).items() if what == "raylet"]
        os.kill(slow, signal.SIGSTOP)
        family = descendants(run.pid)
        _, said = run.communicate(timeout=180)

    assert run.returncode == 1
    assert said.splitlines()[-1].startswith("study: a local Ray did not start (")
    assert said.splitlines()[-1].endswith("); --no-ray runs the study without it")
    assert "Traceback" not in said
    # What is killed may be there for a moment longer on a busy machine.
    wait_until(lambda: not any(is_running(pid) for pid in family), 20)
