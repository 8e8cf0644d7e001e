"""A manifest of any shape is read, or ends in words: whatever stands in it, at whatever depth."""

import copy
import io
import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

import study
from study.report.page import render
from study.results import ResultsError
from study.results.manifest import misshapen, new_manifest
from study.results.model import Manifest
from study.results.part import digest_of_file, read_part
from study.results.status import status_of
from study.runs import Options, resume_study, run_study
from study.scenario import load
from study.statistics import read_findings
from study.statistics.outline import outline
from study.terminal.tables import result_parts
from study.transport import open_folder


def nested(depth: int) -> Any:
    value: Any = {}
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


ODD: dict[str, Any] = {
    "null": None,
    "true": True,
    "nothing that is a number": float("nan"),
    "infinity": 1e400,
    "less than nothing": -1,
    "zero": 0,
    "a half": 0.5,
    "a million": 10**6,
    "seventy bits": 2**70,
    "no word": "",
    "a word": "x",
    "control characters": "\x1b[31m\n",
    "half a letter": "\ud800",
    "no list": [],
    "a list of words": ["a"],
    "a list of numbers": [1],
    "a list of lists": [[]],
    "nobody": {},
    "somebody": {"a": 1},
    "somebody without a name": {"": None},
    "a pit": nested(55),
    "a deep pit": nested(200),
}


@pytest.fixture(scope="module")
def sound(root: Path, tmp_path_factory) -> Path:
    """The folder of a small run that is over."""
    path = tmp_path_factory.mktemp("sound") / "out"
    run_study(load(root / "tests/fanout/tiny.yaml", ["replicates=1"]), path, Options(ray=False))
    return path


@pytest.fixture
def folder(sound: Path) -> Iterator[Path]:
    """The same, to be spoilt: afterwards it is as it was."""
    before = {path: path.read_bytes() for path in sound.rglob("*") if path.is_file()}
    yield sound
    for path, content in before.items():
        path.write_bytes(content)
    for path in sound.rglob("*"):
        if path.is_file() and path not in before:
            path.unlink()


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value in plain values, key by key."""
    yield at
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*at, key))


def replaced(manifest: Any, at: tuple[Any, ...], value: Any) -> Any:
    if not at:
        return value
    edited = copy.deepcopy(manifest)
    inner = edited
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = value
    return edited


def show(path: Path) -> None:
    findings = read_findings(path)
    outline(findings)
    Console(file=io.StringIO()).print(*result_parts(findings))


def read_all(path: Path) -> None:
    results = study.read(path)
    for name in ("trials", "summary", "series", "verdicts", "contrasts", "tradeoff"):
        getattr(results, name)


WAYS: dict[str, Callable[[Path], object]] = {
    "status": status_of,
    "summary": show,
    "read": read_all,
    "resume": lambda path: resume_study(path, Options(ray=False)),
}


def try_all(path: Path, manifest: Any, ways: dict[str, Callable[[Path], object]]) -> list[str]:
    """Go every way with this manifest; in what words it ended. Nothing else may come out."""
    words = []
    for way in ways.values():
        (path / "manifest.json").write_text(json.dumps(manifest))
        try:
            way(path)
        except ResultsError as error:
            words.append(str(error))
    assert all(str(path) in text for text in words)
    return words


KEYS = sorted(Manifest.__annotations__)


@pytest.mark.parametrize("key", [*KEYS, "the whole"])
def test_whatever_stands_anywhere_ends_in_words(folder: Path, key: str):
    """One value of any depth is something else: status, tables, reading and going on cope."""
    manifest = json.loads((folder / "manifest.json").read_text()) | {"extended_from": ["0" * 32]}
    here = [at for at in places(manifest) if at[:1] == (() if key == "the whole" else (key,))]
    deeper = [(at, odd) for at in here[1:] for odd in ODD]
    chosen = [(here[0], odd) for odd in ODD]
    chosen += random.Random(1).sample(deeper, min(15, len(deeper)))
    ways = {name: WAYS[name] for name in ("status", "summary")}

    assert any(try_all(folder, replaced(manifest, at, ODD[odd]), ways) for at, odd in chosen)


BY_NIGHT = pytest.mark.nightly(part="manifests")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "edits"), [(4, 8), *(pytest.param(seed, 120, marks=BY_NIGHT) for seed in range(4))]
)
def test_whatever_stands_anywhere_is_no_surprise_to_any_command(
    folder: Path, seed: int, edits: int
):
    """The same with values drawn from all of a manifest, for going on and for reading as well."""
    manifest = json.loads((folder / "manifest.json").read_text())
    every = [(at, odd) for at in places(manifest) for odd in ODD]

    for at, odd in random.Random(seed).sample(every, edits):
        try_all(folder, replaced(manifest, at, ODD[odd]), WAYS)


CLOCK = ("scenario", "base", "clock")


@pytest.mark.parametrize(
    ("at", "odd"),
    [
        (("command",), "a list of numbers"),
        ((*CLOCK, "measure"), "infinity"),
        *(
            pytest.param(at, odd, marks=BY_NIGHT)
            for at, odd in (
                (("scenario",), "nobody"),
                (("cells",), "nobody"),
                (("command",), "a word"),
                (("created",), "zero"),
                (("elapsed_s",), "nothing that is a number"),
                (("counts", "trials"), "seventy bits"),
                (CLOCK, "null"),
                ((*CLOCK, "ageing"), "nobody"),
                (("scenario", "axes"), "a list of words"),
                (("scenario", "axes", "nic.mtu"), "somebody"),
                (("scenario", "replicates"), "somebody"),
                (("axes", 0), "a word"),
                (("versions",), "a list of lists"),
            )
        ),
    ],
)
def test_a_report_of_an_edited_manifest_is_made_or_refused(folder: Path, at, odd: str):
    """What the page takes from a manifest may be anything: there is a page, or words."""
    manifest = json.loads((folder / "manifest.json").read_text())

    try_all(
        folder,
        replaced(manifest, at, ODD[odd]),
        {"report": lambda path: render(read_findings(path)), **WAYS},
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" * 200_000, "it is nested too deeply"),
        ('{"format": 1, "a": ' + "[" * 900 + "]" * 900 + "}", "it is nested too deeply"),
        ('{"format": 1, "a": NaN}', "a number in it is nan"),
        ('{"format": 1, "a": 1e999}', "a number in it is inf"),
        ('{"format": 1, "a": ' + "9" * 5_000 + "}", "is damaged: Exceeds the limit"),
        ('{"format": 1, "a": 99999999999999999999999}', "a number in it has 77 bits"),
        ('{"format": 1, "a": "\\ud800"}', "a word in it is no text"),
        ('{"format": 1}', "it has no name"),
        ("\x00", "is damaged"),
    ],
    ids=["a pit", "a long pit", "no number", "no end", "digits", "bits", "half", "little", "nul"],
)
def test_a_manifest_that_is_none_takes_one_line(root: Path, tmp_path: Path, text: str, why: str):
    """The command says in one line what is wrong, and nothing else."""
    (tmp_path / "manifest.json").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "study", "status", str(tmp_path)],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith(f"study: {tmp_path}/manifest.json is damaged: ")
    assert why in done.stderr


def test_a_manifest_of_today_has_every_field(root: Path, sound: Path):
    """What a run writes is what the model says, field by field, but for what extending adds."""
    new = new_manifest(load(root / "tests/fanout/tiny.yaml"), simulation="s", command=["study"])
    over = json.loads((sound / "manifest.json").read_text())

    assert set(new) | {"elapsed_s", "extended_from"} == set(Manifest.__annotations__)
    assert set(over) | {"extended_from"} == set(Manifest.__annotations__)
    assert over["counts"]["finished"] == 4
    assert misshapen(over) is None


def strange(table: pa.Table) -> dict[str, pa.Table]:
    """Tables of other columns, or of columns of other types."""
    names = table.column_names
    number = names.index("replicate")
    return {
        "a column twice": table.append_column("replicate", table.column("replicate")),
        "words for numbers": table.set_column(
            number, "replicate", table.column("replicate").cast(pa.string())
        ),
        "numbers for words": table.set_column(0, "cell", table.column("replicate")),
        "lists": table.set_column(number, "replicate", pa.array([[1]] * len(table))),
        "empty fields": table.set_column(0, "cell", pa.array([None] * len(table), pa.string())),
        "no rows": table.slice(0, 0).select(["replicate"]),
    }


@pytest.mark.parametrize("table", ["trials", "series"])
def test_parts_of_other_columns_end_in_words(folder: Path, table: str):
    """Even if the manifest names it, a part of other columns is read nowhere, and said to be so."""
    part = folder / table / "part-000000.parquet"
    for foreign in strange(read_part(part)).values():
        pq.write_table(foreign, part)
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["parts"][f"{table}/{part.name}"] = digest_of_file(part)
        (folder / "manifest.json").write_text(json.dumps(manifest))
        results = study.read(folder)
        with pytest.raises(ResultsError, match=f"{table}/part-000000.parquet") as refusal:
            _ = results.trials if table == "trials" else results.series

        assert "\n" not in str(refusal.value)
        assert len(status_of(folder)["left_out"]) == (table == "trials")
    assert open_folder(folder).manifest["state"] == "complete"
