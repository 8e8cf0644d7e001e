"""Which folder may become a results folder, and which may not."""

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from study.results import ResultsError, create_folder, default_path, fingerprint_of, reopen
from study.results.files import held_folder
from study.results.folder import drop_replaced, replace_table, settle_table
from study.results.manifest import new_manifest
from study.runs import Options, Watcher, resume_study, run_study
from study.scenario import Study, load
from study.transport import open_folder


@pytest.fixture
def manifest(tiny: Study):
    return new_manifest(tiny, simulation="0" * 16, command=())


def test_another_study_is_never_overwritten(root: Path, tmp_path: Path, manifest):
    """A folder with other settings is refused, with --force too, and stays as it was."""
    path = tmp_path / "out"
    create_folder(path, manifest)
    before = (path / "manifest.json").read_bytes()
    other = new_manifest(
        load(root / "tests/fanout/tiny.yaml", ["seed=8"]), simulation="0" * 16, command=()
    )

    for force in (False, True):
        with pytest.raises(ResultsError, match=r"of another study.*\n  seed: 7 there, 8 now"):
            create_folder(path, other, force=force)
    assert (path / "manifest.json").read_bytes() == before


def test_another_simulation_is_never_overwritten(tmp_path: Path, tiny: Study, manifest):
    """The same scenario under another version of the simulation counts as another study."""
    create_folder(tmp_path / "out", manifest)
    newer = new_manifest(tiny, simulation="1" * 16, command=())

    with pytest.raises(ResultsError, match=r"version of the simulation: 0{16} there, 1{16} now"):
        create_folder(tmp_path / "out", newer, force=True)


def test_the_same_study_is_started_over_only_when_asked(tmp_path: Path, manifest):
    """A folder of this very study needs --force, which clears its tables."""
    folder = create_folder(tmp_path / "out", manifest)
    (folder.trials / "part-000000.parquet").write_bytes(b"old")

    with pytest.raises(ResultsError, match="results of this very study"):
        create_folder(tmp_path / "out", manifest)
    again = create_folder(tmp_path / "out", manifest, force=True)
    assert not list(again.trials.iterdir())


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, manifest):
    """A folder with files that are not ours, or a file, is no place for results."""
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")

    with pytest.raises(ResultsError, match="not empty and holds no results"):
        create_folder(tmp_path / "notes", manifest, force=True)
    with pytest.raises(ResultsError, match="is a file; --out names a folder"):
        create_folder(tmp_path / "file", manifest, force=True)
    with pytest.raises(ResultsError, match="cannot write the results folder"):
        create_folder(tmp_path / "file" / "below", manifest)


def test_an_empty_folder_will_do(tmp_path: Path, manifest):
    """A folder that exists and is empty becomes the results folder."""
    assert open_folder(create_folder(tmp_path, manifest).path).manifest == manifest


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "there is no manifest.json in it"),
        ("{", "is damaged"),
        ("[]", "is not a manifest of this program"),
        ('{"format": 99}', "has format 99; this version reads up to 1"),
    ],
)
def test_what_is_no_results_folder_says_so(tmp_path: Path, text, why):
    """Reading a folder without a usable manifest fails with the reason."""
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)

    with pytest.raises(ResultsError, match=why):
        open_folder(tmp_path)


STRANGE = [None, True, -1, "x", "\x1b[31m\n", [], ["a"], {}, {"a": 1}]


@pytest.mark.parametrize(
    "key",
    [
        *("format", "name", "question", "state", "fingerprint", "simulation", "seed", "replicates"),
        *("counts", "failures", "headline", "axes", "cells", "scenario", "parts"),
        *("elapsed_s", "trial_seconds", "sampled"),
    ],
)
def test_a_manifest_that_was_edited_is_no_surprise(tmp_path: Path, tiny: Study, key: str):
    """Whatever stands under a key, or if it is gone, a reader works or says in words what is wrong.

    No other exception comes out, from the status, from the tables or from going on.
    """
    from rich.console import Console

    from study.results.status import status_of
    from study.statistics import read_findings
    from study.statistics.outline import outline
    from study.terminal.tables import result_parts

    sound = new_manifest(tiny, simulation="s", command=()) | {"state": "complete"}
    create_folder(tmp_path / "out", sound)
    edited = [{name: value for name, value in sound.items() if name != key}]
    edited += [sound | {key: value} for value in STRANGE]
    if isinstance(sound.get(key), dict):
        edited += [
            sound | {key: sound[key] | {inner: value}} for inner in sound[key] for value in STRANGE
        ]
    told = []
    for manifest in edited:
        (tmp_path / "out/manifest.json").write_text(json.dumps(manifest))
        try:
            status_of(tmp_path / "out")
            reopen(tmp_path / "out", sound)
            findings = read_findings(tmp_path / "out")
            outline(findings)
            Console(file=io.StringIO()).print(*result_parts(findings))
        except ResultsError as fault:
            told.append(str(fault))

    assert told
    assert all(f"{tmp_path}/out" in text for text in told)


def test_a_missing_folder_says_so(tmp_path: Path):
    """Reading a folder that is not there fails with the reason."""
    with pytest.raises(ResultsError, match="it does not exist"):
        open_folder(tmp_path / "nowhere")


def test_the_fingerprint_follows_what_decides_the_rows(tiny: Study):
    """Settings, seed and simulation change the fingerprint; the order of keys and words do not."""
    document = json.loads(json.dumps(tiny.document))
    same = {key: document[key] for key in reversed(document)} | {"question": "Why?", "name": "x"}
    one = fingerprint_of(document, "a")

    assert fingerprint_of(same, "a") == one
    assert fingerprint_of(document, "b") != one
    assert fingerprint_of(document | {"seed": 8}, "a") != one
    document["base"]["nic"]["ring"] = 17
    assert fingerprint_of(document, "a") != one


def test_a_name_cannot_leave_the_results(monkeypatch, tmp_path: Path):
    """Whatever a study is called, its default folder lies directly below results/."""
    monkeypatch.chdir(tmp_path)
    for name in ("../../etc", "/etc/passwd", "..", "a b\n", "", "x" * 500):
        path = default_path(name)
        assert path.parent == Path("results")
        assert path.name not in {"", ".", ".."}
        assert len(path.name) < 120
    first = default_path("a")
    first.mkdir(parents=True)
    assert default_path("a") != first


@pytest.mark.parametrize("crash", ["before", "between", "after"])
def test_a_replaced_table_survives_a_crash(tmp_path: Path, crash):
    """Cut short at any point, the exchange of a table's parts leaves the old or the new ones."""
    table, old, new = tmp_path / "trials", tmp_path / ".trials.old", tmp_path / ".trials.new"
    for folder, text in ((table, "old"), (new, "new")):
        folder.mkdir()
        (folder / "part").write_text(text)
    if crash != "before":
        table.rename(old)
    if crash == "after":
        new.rename(table)

    settle_table(table)

    assert (table / "part").read_text() == ("new" if crash == "after" else "old")
    assert not old.exists()
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    (new / "part").write_text("newer")
    with held_folder(new) as held:
        replace_table(table, new, held)
    assert (table / "part").read_text() == "newer"
    assert not old.exists()


def test_a_seed_too_large_for_the_table(tmp_path: Path, manifest):
    """A seed that the trials table cannot hold is refused before any work."""
    manifest["seed"] = 2**64

    with pytest.raises(ResultsError, match="seed is 18446744073709551616"):
        create_folder(tmp_path / "out", manifest)
    assert not (tmp_path / "out").exists()


def test_what_was_started_over_from_may_be_half_removed(tmp_path: Path, manifest):
    """A run that is killed while it drops what it replaced can be started over again."""
    out = tmp_path / "out"
    folder = create_folder(out, manifest)
    (folder.trials / "part-000000.parquet").write_bytes(b"old")
    folder = create_folder(out, manifest, force=True)
    (folder.trials / "part-000000.parquet").write_bytes(b"new")
    assert (out / ".replaced/trials/part-000000.parquet").read_bytes() == b"old"
    killed = """import os, shutil, sys
from pathlib import Path
from study.results.folder import drop_replaced
os.unlink = os.rmdir = lambda *_, **__: os._exit(9)
drop_replaced(Path(sys.argv[1]))
"""
    ended = subprocess.run([sys.executable, "-c", killed, out], check=False)
    assert ended.returncode == 9

    again = create_folder(out, manifest, force=True)
    assert not list(again.trials.iterdir())
    assert (out / ".replaced/trials/part-000000.parquet").read_bytes() == b"new"
    (out / ".replaced.old/left").mkdir(parents=True)
    drop_replaced(out)
    assert not list(out.glob(".replaced*"))


class Moving(Watcher):
    """Moves the results folder away once the first rows are in, and puts something else there."""

    def __init__(self, out: Path) -> None:
        self.out = out

    def advance(self, _finished: int, _failed: int) -> None:
        """Called with each batch of rows."""
        if not self.out.with_name("elsewhere").exists():
            self.out.rename(self.out.with_name("elsewhere"))
            self.out.mkdir()
            (self.out / "manifest.json").write_text("another run's")


def test_a_folder_that_is_moved_while_it_is_written(tmp_path: Path, tiny: Study):
    """A run writes nothing into a folder that has taken the name of its own."""
    out = tmp_path / "out"
    with pytest.raises(ResultsError, match="was moved or removed while this run wrote into it"):
        run_study(tiny, out, Options(ray=False), watcher=Moving(out))

    assert [path.name for path in out.iterdir()] == ["manifest.json"]
    assert (out / "manifest.json").read_text() == "another run's"
    assert resume_study(tmp_path / "elsewhere", Options(ray=False)).manifest["state"] == "complete"
