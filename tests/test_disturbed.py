"""Runs that are disturbed again and again: killed, out of disk, given the parts of another study.

What `.ci/nightly` runs, by the names of these parts. Whatever happens to a run, it ends in words,
and the same command once more gives the tables of a run that nothing disturbed, byte for byte.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest

from study.fanout import in_process, prepare_simulation
from study.results import Store, create_folder
from study.results.manifest import new_manifest
from study.runs import Options, run_study
from study.scenario import Study, load
from study.zone.engine.cache import cache_root
from study.zone.engine.compile import digest

TABLES = ("trials/part-000000.parquet", "series/part-000000.parquet", "summary.csv")
PAGE = 4096


def kills() -> pytest.MarkDecorator:
    """Mark a test as belonging to this part of `.ci/nightly`; likewise below."""
    return pytest.mark.nightly(part="kills")


def full_disk() -> pytest.MarkDecorator:
    return pytest.mark.nightly(part="full-disk")


def swapped_parts() -> pytest.MarkDecorator:
    return pytest.mark.nightly(part="swapped-parts")


def command(root: Path, *arguments: object) -> dict[str, object]:
    """What subprocess needs to start `study` as a person would."""
    return {
        "args": [sys.executable, "-m", "study", *map(str, arguments)],
        "env": {
            **os.environ,
            "PYTHONPATH": str(root),
            "STUDY_CACHE_DIR": str(cache_root()),
        },
        "cwd": root,
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.PIPE,
        "text": True,
    }


def tables(path: Path) -> dict[str, bytes]:
    assert {p.name for p in (path / "trials").iterdir()} == {"part-000000.parquet"}
    assert {p.name for p in (path / "series").iterdir()} == {"part-000000.parquet"}
    return {name: (path / name).read_bytes() for name in TABLES}


def go_on(root: Path, out: Path, *overrides: str) -> dict[str, bytes]:
    """Run what is missing in a folder, as `study run` does but for the report; its tables."""
    prepare_simulation()
    run_study(load(root / "tests/fanout/tiny.yaml", overrides), out, Options(ray=False))
    return tables(out)


@pytest.fixture(scope="module")
def tiny(root: Path) -> tuple[object, ...]:
    """What runs the tiny study of twelve trials in one process."""
    return ("run", root / "tests/fanout/tiny.yaml", "--no-ray", "-q")


@pytest.fixture(scope="module")
def whole(root: Path, tmp_path_factory) -> dict[str, bytes]:
    """The tables of its run that nothing disturbed."""
    return go_on(root, tmp_path_factory.mktemp("whole") / "out")


def test_the_parts_of_the_nightly_run_are_those_of_the_tests(root: Path):
    """Each part that can be asked for has tests, and each nightly test belongs to one."""
    mark = re.compile(r"pytest\.mark\.nightly(?:\(part=\"([a-z-]+)\"\))?")
    files = (root / "tests").rglob("test_*.py")
    marked = {part for file in files for part in mark.findall(file.read_text())}
    nightly = str(root / ".ci/nightly")
    listed = subprocess.run([nightly, "--list"], capture_output=True, text=True, check=True).stdout
    other = subprocess.run(
        [nightly, "kills", "nothing"], capture_output=True, text=True, check=False
    )

    assert {line.split()[0] for line in listed.splitlines()} == marked
    assert other.returncode == 2
    assert other.stderr.startswith("nightly: no part nothing; there are: kills, ")


@kills()
@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_moment_again_and_again(root: Path, tmp_path: Path, seed: int):
    """However often a run is killed or asked to end, on Ray or without, it ends with all rows."""
    dice = random.Random(seed)
    broken, sound = tmp_path / "broken", tmp_path / "sound"
    longer = ("replicates=100", "clock.measure=5s")
    arguments = (root / "tests/fanout/tiny.yaml", *longer, "-q")
    before = 0
    for _ in range(12):
        way = dice.choice([("--no-ray",), ("--workers", 2)])
        with subprocess.Popen(**command(root, "run", *arguments, *way, "--out", broken)) as run:
            try:
                run.wait(dice.uniform(0.5, 15))
            except subprocess.TimeoutExpired:
                run.send_signal(dice.choice([signal.SIGKILL, signal.SIGTERM]))
            _, said = run.communicate(timeout=120)
        # A signal may come before the command has begun to heed it, or while Ray starts in its
        # process, whose handler writes a stack and aborts.
        ended = {0, 130, -signal.SIGKILL, -signal.SIGTERM}
        ended |= {-signal.SIGABRT} if "*** SIGTERM received" in said else set()
        assert run.returncode in ended, said
        if (broken / "manifest.json").exists():
            told = subprocess.run(
                [sys.executable, "-m", "study", "status", str(broken), "--json"],
                cwd=root, capture_output=True, text=True, check=True,
            )  # fmt: skip
            now = json.loads(told.stdout)["counts"]
            assert now["finished"] >= before
            assert now["failed"] == 0
            before = now["finished"]

    assert go_on(root, broken, *longer) == go_on(root, sound, *longer)
    assert not (broken / "damaged").exists()


KILLED_AT = """
import os, runpy, signal, sys

place, last, done = sys.argv[1], int(sys.argv[2]), 0
CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "shutil.rmtree"}

def look(event, arguments):
    global done
    writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if writes or event in CHANGES or event == "fcntl.flock":
        about = place in str(arguments[0]) or event == "fcntl.flock"
        done += about
        if about and done == last:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(look)
sys.argv = ["study", *sys.argv[3:]]
runpy.run_module("study", run_name="__main__")
"""
"""A `study` that is killed just before the n-th time that it changes something below a place."""


@kills()
def test_killed_at_each_step_of_making_a_folder(root: Path, tiny, whole, tmp_path: Path):
    """Before whatever change to its folder a run dies, the same command afterwards runs it.

    The first thirty changes, among which the folder is made, one by one, then every fourth, until
    there are no more.
    """
    reached_the_end = False
    for step in count(1):
        if step > 30 and step % 4:
            continue
        out = tmp_path / f"killed-at-{step}"
        asked = command(root, *tiny, "--out", out)
        asked["args"] = [
            *(sys.executable, "-c", KILLED_AT, str(out), str(step)),
            *asked["args"][3:],
        ]
        killed = subprocess.run(**asked, check=False)
        if killed.returncode == 0:
            reached_the_end = True
            break
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert go_on(root, out) == whole, f"killed before change {step}"
        shutil.rmtree(out)

    assert reached_the_end
    assert step > 30


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[Path]:
    """A filesystem of so many bytes, in memory; only root may make one."""
    path.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {made.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


def fill(disk: Path, *, but: int) -> Path:
    """Fill a disk to the last byte, but for so many pages."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(PAGE))
        except OSError:
            pass
        file.truncate(max(0, file.tell() // PAGE - but) * PAGE)
    return filler


@full_disk()
@pytest.mark.parametrize("pages", [0, 1, 2, 3, 4, 6, 8, 12, 16, 32, 64])
def test_no_room_to_begin_or_to_end(root: Path, tiny, whole, tmp_path: Path, pages: int):
    """With so little room a run ends in words or in full; with more room the same command does."""
    with small_disk(tmp_path / "disk", "8m") as disk:
        out = disk / "out"
        filler = fill(disk, but=pages)
        short = subprocess.run(**command(root, *tiny, "--out", out), check=False)
        assert short.returncode == 2 if pages < 16 else short.returncode in (0, 2), short.stderr
        assert "Traceback" not in short.stderr
        assert all(line.startswith("study: ") for line in short.stderr.splitlines())
        if short.returncode:
            assert "No space left on device" in short.stderr
        filler.unlink()

        assert go_on(root, out) == whole


@full_disk()
@pytest.mark.parametrize("pages", [0, 1, 2, 4, 8, 16])
@pytest.mark.parametrize("verb", ["resume", "run"])
def test_no_room_to_go_on(
    root: Path, tiny, whole, tmp_path: Path, pages: int, verb: str, half: Half
):
    """Continued on a full disk a run ends in words, keeps what it has, and goes on later."""
    with small_disk(tmp_path / "disk", "8m") as disk:
        out = disk / "out"
        half.make(out)
        filler = fill(disk, but=pages)
        way = ("resume", out, "--no-ray", "-q") if verb == "resume" else (*tiny, "--out", out)
        short = subprocess.run(**command(root, *way), check=False)
        assert "Traceback" not in short.stderr
        assert short.returncode in ((2,) if pages < 4 else (0, 2)), short.stderr
        if short.returncode:
            assert "No space left on device" in short.stderr
            assert short.stderr.splitlines()[-1] == f"study: Resume with: study resume {out}"
        for reads in ("status", "summary"):
            told = subprocess.run(**command(root, reads, out), check=False)
            assert told.returncode == 0, told.stderr
        filler.unlink()

        assert go_on(root, out) == whole


@full_disk()
@pytest.mark.parametrize("seed", range(6))
def test_a_disk_that_fills_up_at_some_moment(root: Path, tmp_path: Path, seed: int):
    """Filled to the last byte while trials run, on Ray or without: words, and nothing is lost."""
    dice = random.Random(seed)
    longer = ("replicates=40", "clock.measure=5s")
    scenario = root / "tests/fanout/tiny.yaml"
    way = dice.choice([("--no-ray",), ("--workers", 2)])
    with small_disk(tmp_path / "disk", "16m") as disk:
        out, sound = disk / "out", tmp_path / "sound"
        with subprocess.Popen(**command(root, "run", scenario, *longer, *way, "--out", out)) as run:
            time.sleep(dice.uniform(0.5, 12))
            filler = fill(disk, but=dice.choice([0, 0, 1, 2]))
            _, said = run.communicate(timeout=300)
        assert run.returncode in (0, 2), said
        assert "Traceback" not in said
        filler.unlink()

        assert go_on(root, out, *longer) == go_on(root, sound, *longer)


class Half(NamedTuple):
    """A study, half done: some of its parts are written, and then nothing more."""

    study: Study
    cuts: tuple[int, ...]

    def make(self, out: Path) -> None:
        """Write its trials up to the last of the cuts into a folder, a part up to each."""
        store = Store(create_folder(out, new_manifest(self.study, simulation=digest(), command=())))
        trials = list(self.study.trials())
        for first, last in zip((0, *self.cuts), self.cuts, strict=False):
            for rows in in_process(trials[first:last]):
                store.add(rows)
            store.flush()


@pytest.fixture(scope="module")
def half(root: Path) -> Half:
    """Eight of twelve trials, in three parts."""
    prepare_simulation()
    return Half(load(root / "tests/fanout/tiny.yaml"), (4, 7, 8))


@pytest.fixture(scope="module")
def foreign(root: Path, tmp_path_factory) -> list[Path]:
    """Folders with parts that look alike: of other seeds, of more replicates, of fewer samples."""
    prepare_simulation()
    scenario = root / "tests/fanout/tiny.yaml"
    folders = []
    for override in ("seed=8", "seed=9", "replicates=7", "clock.sample=300ms", "nic.ring=8"):
        folders.append(tmp_path_factory.mktemp("foreign") / "out")
        Half(load(scenario, [override]), (2, 4, 7, 8, 12)).make(folders[-1])
    return folders


def swap(dice: random.Random, out: Path, foreign: list[Path]) -> str:
    """Do something to one part of a folder that moves, copies or exchanges whole parts."""
    table = dice.choice(["trials", "series"])
    mine = dice.choice(sorted((out / table).glob("part-*")))
    theirs = dice.choice(sorted((dice.choice(foreign) / table).glob("part-*")))
    other = sorted((out / ("series" if table == "trials" else "trials")).glob("part-*"))
    new = out / table / f"part-{dice.randrange(10, 999_999):06}.parquet"
    act = dice.choice(["replace", "add", "both tables", "twice", "exchange", "other table"])
    if act == "replace":
        shutil.copy(theirs, mine)
    elif act == "add":
        shutil.copy(theirs, new)
    elif act == "both tables":
        for each in ("trials", "series"):
            shutil.copy(theirs.parents[1] / each / theirs.name, out / each / new.name)
    elif act == "twice":
        shutil.copy(mine, new)
    elif act == "exchange":
        one, two = dice.choice(sorted((out / table).glob("part-*"))), mine
        content = one.read_bytes()
        one.write_bytes(two.read_bytes())
        two.write_bytes(content)
    else:
        shutil.copy(dice.choice(other), mine)
    return f"{act}: {mine.relative_to(out)}, {theirs}"


@swapped_parts()
@pytest.mark.parametrize("seed", range(60))
def test_parts_of_another_study_give_no_rows(
    root: Path, whole, half: Half, foreign: list[Path], tmp_path: Path, seed: int
):
    """However parts are swapped between studies, also where the manifest notes no digest of them,
    the study goes on to its own rows.
    """
    dice = random.Random(seed)
    out = tmp_path / "out"
    half.make(out)
    done = [swap(dice, out, foreign) for _ in range(dice.randint(1, 3))]
    if dice.random() < 0.5:
        manifest = json.loads((out / "manifest.json").read_text())
        parts = manifest["parts"]
        keep = dice.random() if dice.random() < 0.5 else 0
        manifest["parts"] = {name: it for name, it in parts.items() if dice.random() < keep}
        (out / "manifest.json").write_text(json.dumps(manifest))

    assert go_on(root, out) == whole, done
