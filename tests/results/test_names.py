r"""A results folder whose name is no UTF-8: \xff, as a file's name may have it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from study.results import ResultsError, read_series, read_trials, reopen
from study.results.errors import shell_word
from study.results.files import write_whole
from study.results.sorting import sort_table
from study.statistics import write_findings
from study.transport import open_folder

BAD = os.fsdecode(b"b\xff'd")
SHOWN = r"$'b\xff\x27d'"


def called(root: Path, place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What a command did in a terminal of UTF-8 letters, where nothing else may be written."""
    return subprocess.run(
        [sys.executable, *(() if arguments[0] == "-c" else ("-m", "study")), *arguments],
        env={**os.environ, "PYTHONPATH": str(root), "PYTHONIOENCODING": "utf-8:strict"},
        cwd=place, capture_output=True, text=True, check=False,
    )  # fmt: skip


ONE_BY_ONE = """
import json, os, sys
from study.cli import main
for command in json.loads(sys.argv[1]):
    try:
        main([os.fsdecode(bytes.fromhex(argument)) for argument in command])
    except SystemExit as ended:
        assert not ended.code, command
"""


def one_by_one(
    root: Path, place: Path, commands: list[tuple[str, ...]]
) -> subprocess.CompletedProcess[str]:
    """The same of several commands, in one process."""
    plain = json.dumps([[os.fsencode(argument).hex() for argument in c] for c in commands])
    return called(root, place, "-c", ONE_BY_ONE, plain)


def test_every_command_takes_any_name(root: Path, tmp_path: Path):
    """run, status, resume, report and plot work in such a folder, and so does its URL."""
    scenario = str(root / "tests/fanout/tiny.yaml")
    run = ("run", scenario, "replicates=1", "--no-ray", "--out", BAD)
    commands = [
        ("status", BAD),
        ("status", "--json", BAD),
        ("report", BAD),
        ("resume", BAD, "--no-ray"),
        ("plot", BAD, "success"),
        ("summary", BAD),
        ("compare", BAD, BAD),
        ("status", f"file://{tmp_path}/{BAD}"),
    ]
    for done in (called(root, tmp_path, *run), one_by_one(root, tmp_path, commands)):
        assert done.returncode == 0, done.stderr
        assert "No report" not in done.stdout
    assert [os.fsencode(path.name) for path in tmp_path.iterdir()] == [b"b\xff'd"]
    manifest = open_folder(tmp_path / BAD).manifest
    assert manifest["state"] == "complete"
    assert manifest["command"][-1] == BAD
    assert SHOWN in (tmp_path / BAD / "report.html").read_text().replace("&#39;", "'")
    page = json.loads((tmp_path / BAD / "manifest.json").read_text(encoding="utf-8"))
    assert page == manifest


def test_what_is_said_of_such_a_folder_can_be_pasted(root: Path, make_store, rows, tmp_path: Path):
    """How to go on is written as a shell reads it, not with a letter that nobody can type."""
    store = make_store(BAD)
    store.add(rows[:5])
    store.flush()
    done = called(root, tmp_path, "status", BAD)

    assert done.stdout.splitlines()[-1] == f"Resume with: study resume {SHOWN}"
    (tmp_path / BAD / "manifest.json").write_text("{")
    done = called(root, tmp_path, "status", BAD)
    assert done.returncode == 2
    assert r"b\udcff'd/manifest.json is damaged" in done.stderr


@pytest.mark.parametrize("bytes_at_once", [1 << 30, 500])
def test_tables_in_such_a_folder_are_sorted(make_store, rows, bytes_at_once: int):
    """Parts are read, sorted at once or in pieces, and read again."""
    store = make_store(BAD)
    for some in (rows[5:], rows[:5]):
        store.add(some)
        store.flush()
    for table in (store.folder.trials, store.folder.series):
        sort_table(store.folder, table, bytes_at_once=bytes_at_once)
    write_findings(store.folder)

    assert len(read_trials(store.folder)) == len(rows)
    assert len(read_series(store.folder)) == 4 * (len(rows) - 1)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("results/plain", "results/plain"),
        ("it's", "'it'\"'\"'s'"),
        (BAD, SHOWN),
        ("a\x1b[31m\n", r"$'a\x1b[31m\x0a'"),
        ("\u202egnp", r"$'\xe2\x80\xaegnp'"),
        ("\ud800", r"$'\xed\xa0\x80'"),
    ],
)
def test_a_shell_reads_it_back(text: str, word: str):
    """Whatever a name is, bash makes of the word the bytes that it has."""
    assert shell_word(text) == word
    said = subprocess.run(["bash", "-c", f"printf %s {word}"], capture_output=True, check=True)
    assert said.stdout == text.encode(errors="surrogatepass" if "\ud800" in text else
                                      "surrogateescape")  # fmt: skip


def test_a_manifest_keeps_a_command_that_is_no_text(make_store):
    """The command line comes back from the manifest letter by letter."""
    folder = make_store(BAD).folder
    folder.manifest["command"] = ["study", BAD, "\ud800", "\U0001f642", "\\udcff"]
    folder.save_manifest()

    assert open_folder(folder.path).manifest["command"] == folder.manifest["command"]
    assert reopen(folder.path, folder.manifest).manifest == folder.manifest


@pytest.mark.parametrize("key", ["name", "question", "cells", "axes", "scenario"])
def test_a_word_that_is_no_text_is_damage(make_store, key: str):
    """Elsewhere in a manifest half a letter is refused, before it can end a table or a page."""
    folder = make_store().folder
    manifest = dict(folder.manifest)
    half = "a\ud800"
    manifest[key] = {"cells": {half: {}}, "axes": [half], "scenario": {"x": half}}.get(key, half)
    write_whole(folder.path / "manifest.json", json.dumps(manifest))

    with pytest.raises(ResultsError, match=r"manifest.json is damaged: .*surrogates not allowed"):
        open_folder(folder.path)
