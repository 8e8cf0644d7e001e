"""A disk that fails while a run ends: words, no traceback, and not a row lost."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from study.results import (
    ResultsError,
    Store,
    adopt,
    create_folder,
    only_writer,
    read_trials,
    reopen,
)
from study.results.errors import disk_errors
from study.statistics import write_findings
from study.transport import open_folder

# Continues and ends a run again and again. The n-th time the n-th thing that it asks of the disk
# below the folder is refused, once or from then on. Printed is what was said of it, and what the
# folder holds after the next run, which nothing disturbs; nothing if a part was set aside.
END = """
import errno, hashlib, json, os, shutil, sys, traceback
from pathlib import Path
from study.results import ResultsError, Store, adopt, only_writer, reopen
from study.transport import open_folder

sound, out, refusal = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
asked = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.listdir",
         "os.scandir")
left = [0]
name, _, on = refusal.partition(" ")
number = getattr(errno, name)

def hook(event, arguments):
    if event in asked and left[0] and str(arguments[0]).startswith((str(out), "/proc/self/fd/")):
        if left[0] > 1:
            left[0] -= 1
            return
        left[0] = 1 if on else 0
        raise OSError(number, os.strerror(number), str(arguments[0]))

sys.addaudithook(hook)

def end(path):
    with only_writer(path):
        folder = reopen(path, open_folder(path).manifest)
        store = Store(folder, adopt(folder))
        store.close("failed")

def tables(path):
    return {name: hashlib.sha256((path / name).read_bytes()).hexdigest() for name in (
        "trials/part-000000.parquet", "series/part-000000.parquet", "summary.csv")}

for at in range(int(sys.argv[4]), 400, int(sys.argv[5])):
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(sound, out)
    left[0] = at + 1
    said = None
    try:
        end(out)
    except ResultsError as error:
        said = str(error)
    except BaseException:
        said = traceback.format_exc()
    over, left[0] = left[0] > 1, 0
    end(out)
    aside = (out / "damaged").exists()
    print(json.dumps([at, said, None if aside else tables(out)]), flush=True)
    if over:
        break
"""


@pytest.fixture
def begun(make_store: Callable[..., Store], simulated) -> Path:
    """A run whose rows lie in three parts, and that never ended."""
    store = make_store("begun")
    for some in (simulated[:5], simulated[5:7], simulated[7:]):
        store.add(some)
        store.flush()
    return store.folder.path


# By night every place; what is refused for good ends much the same whatever it is, so that each
# tries a third of the places.
BY_NIGHT = [
    pytest.param(*given, marks=pytest.mark.nightly(part="full-disk"))
    for given in (("EIO", 1, 1), ("ENOSPC on", 1, 3), ("EROFS on", 2, 3), ("EMFILE on", 3, 3))
]


@pytest.mark.parametrize(
    ("refusal", "first", "step"), [("EIO", 1, 25), ("ENOSPC on", 3, 25), *BY_NIGHT]
)
def test_a_disk_that_refuses_anything_costs_no_row(
    root: Path, begun: Path, refusal: str, first: int, step: int
):
    """Whatever is refused at the end of a run, it is said in words, and the next run ends it."""
    done = subprocess.run(
        [
            *(sys.executable, "-c", END, begun, begun.with_name("out")),
            *(refusal, str(first), str(step)),
        ],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True, text=True, check=False, timeout=550,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    ended = [json.loads(line) for line in done.stdout.splitlines()]

    assert len(ended) > 60 // step
    whole = ended[-1][2]
    for at, said, tables in ended:
        assert "Traceback" not in (said or ""), (at, said)
        assert len((said or "").splitlines()) <= 1, (at, said)
        # A part that cannot be read where it lies is damaged, and is kept as such.
        assert tables == whole or (tables is None and refusal == "EIO" and said is None), (at, said)
    assert ended[-1][1] is None
    assert sum(said is not None for _, said, _ in ended) > 40 // step


def fill(filler: Path) -> None:
    """Write until there is no byte left."""
    with filler.open("wb", buffering=0) as file, disk_errors("full"):
        while file.write(b"x" * 4096):
            pass


def test_a_full_disk_keeps_what_it_has(begun: Path, simulated, small_disk: Path):
    """With no byte left a run can neither go on nor end; with room again nothing is missing."""
    out, filler = small_disk / "out", small_disk / "filler"
    shutil.copytree(begun, out)
    parts = {p: p.read_bytes() for p in out.glob("*/part-*")}
    with pytest.raises(ResultsError, match="full: No space left"):
        fill(filler)

    with pytest.raises(ResultsError, match="No space left on device; free some space"):
        go_on(out)
    assert {p: p.read_bytes() for p in out.glob("*/part-*")} == parts
    filler.unlink()
    folder = go_on(out)
    assert len(read_trials(folder.path)) == len(simulated)


def go_on(path: Path):
    """Continue a run to its end."""
    with only_writer(path):
        folder = reopen(path, open_folder(path).manifest)
        Store(folder, adopt(folder)).close("failed")
        write_findings(folder)
    return folder


def test_a_disk_that_fills_up_under_a_run(make_store, simulated, small_disk: Path):
    """Rows that come when the disk is full are refused with a word; those before them stay."""
    made = make_store("elsewhere").folder
    store = Store(create_folder(small_disk / "out", made.manifest))
    store.add(simulated[:7])
    store.flush()
    with pytest.raises(ResultsError, match="full: No space left"):
        fill(small_disk / "filler")
    store.add(simulated[7:])

    for _ in range(2):
        with pytest.raises(ResultsError, match="No space left on device"):
            store.close("interrupted")
    assert len(read_trials(small_disk / "out")) == 7
    (small_disk / "filler").unlink()
    store.close("complete")
    assert len(read_trials(small_disk / "out")) == len(simulated)


def test_a_disk_that_turns_read_only(root: Path, begun: Path, small_disk: Path):
    """A run on a disk that can no longer be written is refused; whoever only reads is served."""
    out = small_disk / "out"
    shutil.copytree(begun, out)
    (out / ".trials.old").mkdir()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert len(read_trials(out)) == 12
    done = subprocess.run(
        [sys.executable, "-m", "study", "report", out], cwd=root, check=False,
        env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, text=True,
    )  # fmt: skip
    with pytest.raises(ResultsError, match="Read-only file system; mount it for writing"):
        go_on(out)
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)

    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        f"study: cannot write {out}/report.html: Read-only file system; mount it for writing, or "
        "copy the folder to another disk"
    )
    assert len(read_trials(go_on(out).path)) == 12


@pytest.mark.parametrize("name", ["damaged", ".trials.new", "trials/.part-000007.parquet.new"])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_in_the_way_is_said_or_put_away(begun: Path, name: str, kind: str):
    """Something of another kind where a run has to write ends in a word or is replaced."""
    (begun / "trials/part-000000.parquet").write_bytes(b"damaged")
    if kind == "file":
        (begun / name).write_text("x")
    else:
        (begun / name).mkdir()
        (begun / name / "x").touch()

    if (name, kind) == ("damaged", "file"):
        with pytest.raises(ResultsError, match="damaged is a file, where a folder has to be; move"):
            go_on(begun)
        assert (begun / "trials/part-000000.parquet").read_bytes() == b"damaged"
        (begun / name).unlink()
    assert len(read_trials(go_on(begun).path)) == 7
