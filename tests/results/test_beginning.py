"""A run that ends in its first moments leaves a folder that the next run takes."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from study.results import ResultsError
from study.runs import writing
from study.scenario import Study
from study.transport import open_folder

# Begins a study again and again. The n-th time the n-th thing that it asks of the disk below the
# folder goes wrong: the process is killed before it, or the disk refuses it, once or from then on.
# Printed is how the process ended, what it left, what a reader says, and what the next run made.
BEGIN = """
import errno, json, os, shutil, signal, sys
from pathlib import Path
from study.runs import resume_study, writing
from study.results import ResultsError
from study.transport import open_folder
from study.scenario import load

scenario, out, way = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
force = way.endswith("over")
study = load(scenario)
asked = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.listdir",
         "os.scandir", "fcntl.flock")

def go_wrong(at, way):
    left = [at]
    def hook(event, arguments):
        if event not in asked:
            return
        below = isinstance(arguments[0], (str, Path)) and str(arguments[0]).startswith(str(out))
        if not below and event != "fcntl.flock":
            return
        left[0] -= 1
        once = way in ("EIO", "ENOSPC")
        if left[0] == 0 or left[0] < 0 and not once:
            if way.startswith("kill"):
                os.kill(os.getpid(), signal.SIGKILL)
            number = getattr(errno, way.split()[0])
            raise OSError(number, os.strerror(number), str(arguments[0]))
    sys.addaudithook(hook)
    return left

def begin(at):
    left = go_wrong(at, way)
    try:
        with writing(study, out, (), force=force):
            pass
    except ResultsError as error:
        print(error, file=sys.stderr)
        os._exit(3 if str(error).count("\\n") < 3 else 4)
    except BaseException:
        import traceback
        traceback.print_exc()
        os._exit(1)
    os._exit(0 if left[0] <= 0 else 10)

ended = []
for at in range(1, 200):
    if force:
        with writing(study, out, ()):
            pass
    if not (child := os.fork()):
        begin(at)
    status = os.waitpid(child, 0)[1]
    code = -signal.SIGKILL if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)
    left = sorted(str(p.relative_to(out)) for p in out.rglob("*")) if out.exists() else None
    said = []
    try:
        open_folder(out)
    except ResultsError as error:
        said.append(str(error))
    try:
        with writing(study, out, ()) as (folder, _):
            begun = sorted(p.name for p in out.iterdir())
    except Exception as error:
        begun = [f"{type(error).__name__}: {error}"]
    ended.append([code, left, said, begun])
    shutil.rmtree(out)
    if code == 10:
        break
print(json.dumps(ended))
"""


def begin(root: Path, out: Path, way: str) -> list[tuple[int, list[str] | None, list[str], list]]:
    """How each beginning ended that something went wrong in, and what came after."""
    done = subprocess.run(
        [sys.executable, "-c", BEGIN, root / "tests/fanout/tiny.yaml", out, way],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    ended = [tuple(each) for each in json.loads(done.stdout)]
    assert ended[-1][0] == 10
    assert len(ended) > 8
    return ended[:-1]


BY_NIGHT = [
    pytest.param(way, marks=pytest.mark.nightly(part="kills"))
    for way in ("ENOSPC", "kill, starting over", "EIO", "EIO on", "ENOSPC on", "EROFS on")
]


@pytest.mark.parametrize("way", ["kill", *BY_NIGHT])
def test_whatever_ends_a_beginning_the_next_run_begins(root: Path, tmp_path: Path, way: str):
    """Killed before, or refused at, each thing it asks of the disk: no traceback, no dead end."""
    out = tmp_path / "out"
    ended = begin(root, out, way)

    for code, left, said, begun in ended:
        assert code in ((-9,) if way.startswith("kill") else (0, 3)), (code, left)
        # What was there before one starts over stays until there are rows, here or aside.
        names = [name for name in begun if not (way.endswith("over") and name == ".replaced")]
        assert names == [".lock", "manifest.json", "series", "trials"], (left, begun)
        if left is not None and "manifest.json" not in left:
            assert len(said) == 1
            assert said[0].startswith(f"{out} is not a results folder: there is no manifest.json")
            assert said[0].endswith(f"is started again with: study run SCENARIO --out {out}")
    assert {code for code, *_ in ended} & {-9, 3}


def test_a_beginning_that_is_refused_leaves_nothing(root: Path, tmp_path: Path):
    """Where the disk has room for names but not for bytes, what was made is taken away again."""
    out = tmp_path / "out"
    ended = begin(root, out, "ENOSPC")

    assert {tuple(left or ()) for code, left, *_ in ended if code == 3} == {()}


def fill(filler: Path) -> None:
    """Write until there is no byte left."""
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"x" * 4096):
            pass


def test_a_disk_without_a_free_byte(root: Path, tiny: Study, small_disk: Path):
    """On a disk that is full to the last byte a run is refused with a word, and begins later."""
    out = small_disk / "new"
    filler = small_disk / "filler"
    fill(filler)
    command = [sys.executable, "-m", "study", "run", "tests/fanout/tiny.yaml", "--out", str(out)]
    done = subprocess.run(
        [*command, "--no-ray"], cwd=root, env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "No space left on device; free some space and try again" in done.stderr
    assert not out.exists()
    out.mkdir()
    with pytest.raises(ResultsError, match="No space left on device"), writing(tiny, out, ()):
        pass
    filler.unlink()
    with writing(tiny, out, ()):
        pass
    assert open_folder(out).manifest["name"] == "tiny"


def test_what_is_not_ours_is_no_beginning(tmp_path: Path, tiny: Study):
    """A folder with a file in a table, or links in the place of tables, is left as it is."""
    with_file, with_link, elsewhere = (tmp_path / name for name in ("file", "link", "elsewhere"))
    (with_file / "trials").mkdir(parents=True)
    (with_file / "trials/notes.txt").write_text("mine")
    elsewhere.mkdir()
    with_link.mkdir()
    (with_link / "trials").symlink_to(elsewhere)

    with pytest.raises(ResultsError, match="is not empty"), writing(tiny, with_file, ()):
        pass
    with (
        pytest.raises(ResultsError, match="trials is a symbolic link"),
        writing(tiny, with_link, ()),
    ):
        pass
    assert [path.name for path in with_link.iterdir()] == ["trials"]
    assert not list(elsewhere.iterdir())
    assert (with_file / "trials/notes.txt").read_text() == "mine"


def test_a_place_that_is_a_link(tmp_path: Path, tiny: Study):
    """The folder itself may be a link to one on another disk; one to nowhere is said to be so."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk")
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere")

    with writing(tiny, tmp_path / "out", ()):
        pass
    assert (tmp_path / "disk/manifest.json").is_file()
    with (
        pytest.raises(ResultsError, match="lost is a symbolic link to what is not there"),
        writing(tiny, tmp_path / "lost", ()),
    ):
        pass
    with (
        pytest.raises(ResultsError, match="File name too long; give a shorter name"),
        writing(tiny, tmp_path / ("x" * 300), ()),
    ):
        pass
