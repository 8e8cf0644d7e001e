"""Temporary folders go with their process, however it ends."""

import subprocess
import sys
from pathlib import Path

import pytest

from study.fanout.scratch import Scratch

pytestmark = pytest.mark.quick

MAKES_ONE = "from study.fanout.scratch import Scratch; import os; s = Scratch(); print(s.path)"


@pytest.fixture
def temporary(monkeypatch) -> Path:
    """A temporary folder of our own, with a name that is short enough."""
    import tempfile

    folder = tempfile.mkdtemp(prefix="t-", dir="/tmp")
    monkeypatch.setenv("TMPDIR", folder)
    monkeypatch.setattr(tempfile, "tempdir", folder)
    return Path(folder)


def made_by(root: Path, then: str) -> Path:
    """The folder that another process has made, which then did this and ended."""
    done = subprocess.run(
        [sys.executable, "-c", f"{MAKES_ONE}; {then}"],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return Path(done.stdout.splitlines()[0])


def test_the_next_one_removes_what_a_killed_process_left(root: Path, temporary: Path):
    """A folder of a process that was killed goes when the next is made; one in use stays."""
    left = made_by(root, "print(flush=True); os.kill(os.getpid(), 9)")
    (left / "session").mkdir()
    assert left.parent == temporary
    first = Scratch()
    assert not left.exists()
    second = Scratch()

    assert first.path.is_dir()
    assert first.path.stat().st_mode & 0o077 == 0
    first.remove()
    second.remove()
    assert not list(temporary.iterdir())
    temporary.rmdir()


def test_it_lies_where_nobody_else_can_put_another_in_its_place(attacker, monkeypatch):
    """A TMPDIR in which others can rename what is ours is passed over."""
    import tempfile

    open_to_all = Path(tempfile.mkdtemp(prefix="t-", dir="/tmp"))
    open_to_all.chmod(0o777)
    monkeypatch.setattr(tempfile, "tempdir", str(open_to_all))
    scratch = Scratch()
    try:
        (scratch.path / "ours").touch()
        moved = attacker('mv "$1" "$1".mine && mkdir "$1"', scratch.path)

        assert moved.returncode != 0
        assert (scratch.path / "ours").is_file()
    finally:
        scratch.remove()
        subprocess.run(["rm", "-r", open_to_all], check=True)


def test_what_is_kept_or_of_somebody_else_is_left_alone(root: Path, temporary: Path):
    """A folder that was kept on purpose stays, and so does one that is not one of these."""
    kept = made_by(root, "s.keep(); print(flush=True); os.kill(os.getpid(), 9)")
    (temporary / "study-notes").mkdir()
    (temporary / "study-link").symlink_to(kept)
    Scratch().remove()

    assert {path.name for path in temporary.iterdir()} == {kept.name, "study-notes", "study-link"}
    assert not list(kept.iterdir())
    subprocess.run(["rm", "-r", temporary], check=True)
