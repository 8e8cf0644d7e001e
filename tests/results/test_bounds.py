"""A part whose digest is right, and a manifest of the right shape, may still be none of a run's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import study
from study.fanout import Row
from study.report.figures.uptime import over_time
from study.results import ResultsError, Store, adopt, read_series, read_trials
from study.results.bounds.pages import _fields
from study.results.columns import series_schema
from study.results.expected import TRIALS_MOST
from study.results.manifest import misshapen, parsed
from study.results.model import CELLS_MOST
from study.results.noted import set_aside
from study.results.part import WRITTEN_WITH, digest_of_file, open_part, read_part
from study.results.read import series_batches
from study.results.status import status_of
from study.results.trials import TrialColumns
from study.scenario.matrix import MAX_CELLS
from study.scenario.unfold.study import MAX_TRIALS
from study.statistics.sensitivity import sensitivity
from study.transport import open_folder
from study.transport.storage import Storage
from study.zone.trial.measure import SAMPLE
from tests.by_night import sampled

FIRST = "part-000000.parquet"


@pytest.fixture
def begun(make_store: Callable[..., Store], simulated: list[Row]) -> Path:
    """A folder whose run was interrupted before it could sort its two parts."""
    store = make_store()
    for rows in (simulated[:5], simulated[5:]):
        store.add(rows)
        store.flush()
    edit(store.folder.path, state="interrupted")
    return store.folder.path


@pytest.fixture
def over(make_store: Callable[..., Store], simulated: list[Row]) -> Path:
    """A folder with one sorted part of each table."""
    store = make_store()
    store.add(simulated)
    store.close("complete")
    return store.folder.path


def edit(path: Path, **fields: object) -> None:
    """Change fields of a manifest."""
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**manifest, **fields}))


def note(path: Path) -> None:
    """Have the manifest name the parts that are there, as they are."""
    parts = sorted(path.glob("*/part-*"))
    edit(path, parts={f"{part.parent.name}/{part.name}": digest_of_file(part) for part in parts})


def exchange(part: Path, rows: pa.Table, **options: object) -> None:
    """Write a part anew, and its digest."""
    pq.write_table(rows, part, **{**WRITTEN_WITH, **options})
    note(part.parents[1])


def with_column(rows: pa.Table, name: str, values: object) -> pa.Table:
    """A table with another column of a name."""
    column = values if isinstance(values, pa.Array) else pa.array(values)
    return rows.set_column(rows.column_names.index(name), name, column)


def failing(rows: pa.Table, errors: list[str]) -> pa.Table:
    """Rows of trials that failed."""
    return with_column(with_column(rows, "status", ["failed"] * len(rows)), "error", errors)


def many(rows: pa.Table, number: int) -> pa.Table:
    """A table that has its first row so many times."""
    return rows.take(pa.array(np.zeros(number, np.int64)))


SWAPPED = """
import os, shutil, sys
import study
from study.results import ResultsError
import study.results.part
from study.results.read import read_series, series_batches
from study.results.trials import TrialColumns
from study.results.folder import open_local

path, in_memory = sys.argv[1:]
study.results.part._IN_MEMORY_MOST = int(in_memory)
part = f"{path}/trials/part-000000.parquet"
opens, at = 0, 0

def watch(event, arguments):
    global opens
    if event == "open" and str(arguments[0]) == part:
        opens += 1
        if opens == at:
            os.link(f"{path}/foreign", f"{path}/linked")
            os.replace(f"{path}/linked", part)

sys.addaudithook(watch)
for read in (lambda: study.read(path).trials["refaults"],
             lambda: TrialColumns(open_local(path))["refaults"]):
    for at in range(1, 9):
        shutil.copy(f"{path}/own", f"{path}/copied")
        os.replace(f"{path}/copied", part)
        opens = 0
        try:
            found = "foreign" if (read() == -1).any() else "own"
        except ResultsError:
            found = "refused"
        print(found)
"""


@pytest.mark.parametrize("in_memory", [1 << 25, 0], ids=["small", "as if large"])
def test_what_is_read_is_what_was_hashed(over: Path, root: Path, in_memory: int):
    """A part that is replaced between any two looks at it gives its own rows, or none."""
    part = over / "trials" / FIRST
    rows = read_part(part)
    pq.write_table(with_column(rows, "refaults", [-1.0] * len(rows)), over / "foreign")
    (over / "own").write_bytes(part.read_bytes())
    done = subprocess.run(
        [sys.executable, "-c", SWAPPED, str(over), str(in_memory)],
        cwd=root, capture_output=True, text=True, check=True,
    )  # fmt: skip

    found = done.stdout.split()
    assert len(found) == 16
    assert set(found) == {"own", "refused"}


def test_a_part_changed_in_place_is_not_read(over: Path, monkeypatch: pytest.MonkeyPatch):
    """Other bytes of the same number, with the file's times put back, are seen by a reader."""
    part = over / "trials" / FIRST
    plain = {"compression": "none", "use_dictionary": False, "write_statistics": False}
    plain["write_page_checksum"] = False
    rows = read_part(part)
    lost = [None if value is None else -1.0 for value in rows.column("refaults").to_pylist()]
    exchange(part, with_column(rows, "refaults", lost), **plain)
    foreign = part.read_bytes()
    exchange(part, rows, **plain)
    assert part.stat().st_size == len(foreign)
    for most in (1 << 25, 0):
        monkeypatch.setattr("study.results.part._IN_MEMORY_MOST", most)
        exchange(part, rows, **plain)
        results = study.read(over)
        columns, before = results.columns, part.stat()
        own = results.trials["refaults"]
        with part.open("r+b") as file:
            file.write(foreign)
        os.utime(part, ns=(before.st_atime_ns, before.st_mtime_ns))

        with pytest.raises(ResultsError, match="other bytes than were written"):
            read_trials(results.folder)
        try:
            assert columns["refaults"].equals(own)
        except ResultsError as refusal:
            assert "its bytes changed while it was read" in str(refusal)  # noqa: PT017


def test_a_large_part_is_read_as_it_is(over: Path, monkeypatch: pytest.MonkeyPatch):
    """What is hashed stretch by stretch, and read from the middle, are the same rows."""
    before = study.read(over)
    trials, series = before.trials, before.series
    monkeypatch.setattr("study.results.part._IN_MEMORY_MOST", 0)
    monkeypatch.setattr("study.results.part._STRETCH", 1000)
    again = study.read(over)

    assert again.trials.equals(trials)
    assert again.series.equals(series)
    assert again.columns["refaults"].equals(trials["refaults"])
    assert sum(map(len, series_batches(again.folder))) == len(series)


def varint(number: int) -> bytes:
    """A positive number as Parquet's footers have it."""
    number *= 2
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def lie(part: Path, column: str) -> None:
    """Have the footer of a part say that a column unpacks to a hundred bytes."""
    metadata = pq.read_metadata(part)
    chunk = metadata.row_group(0).column(metadata.schema.to_arrow_schema().names.index(column))
    there = varint(chunk.total_uncompressed_size)
    small = bytearray(varint(100))
    small[-1] |= 128
    said = bytes([*small, *[128] * (len(there) - len(small) - 1), 0])
    content = part.read_bytes()
    assert content.count(there) >= 1
    part.write_bytes(content.replace(there, said))
    note(part.parents[1])
    [group] = [pq.read_metadata(part).row_group(0)]
    names = metadata.schema.to_arrow_schema().names
    assert group.column(names.index(column)).total_uncompressed_size == 100


@pytest.mark.parametrize("honest", [True, False])
def test_text_that_unpacks_to_much_is_not_unpacked(over: Path, honest: bool):
    """A part of some kilobytes that holds 64 MB of text is none, also if its footer denies it."""
    part = over / "trials" / FIRST
    rows = read_part(part).slice(0, 8)
    exchange(part, failing(rows, ["x" * (1 << 23)] * 8), use_dictionary=False)
    assert part.stat().st_size < 200_000
    if not honest:
        lie(part, "error")

    [left_out] = status_of(over)["left_out"]
    assert "unpacks to more than the rows of this study can take" in left_out
    for read in (read_trials, TrialColumns):
        with pytest.raises(ResultsError, match="unpacks to more"):
            read(open_folder(over))
    kept = adopt(open_folder(over))
    assert kept.done == frozenset()
    assert "unpacks to more" in kept.damaged[0]


def test_a_long_word_does_not_stand_in_every_row(over: Path):
    """One word of a megabyte that ten thousand rows share is not written out for each."""
    part = over / "trials" / FIRST
    rows = many(read_part(part), 10_000)
    word = pa.DictionaryArray.from_arrays(pa.array(np.zeros(10_000, np.int32)), ["x" * (1 << 20)])
    failed = with_column(rows, "status", ["failed"] * 10_000)
    exchange(part, failed.set_column(rows.column_names.index("error"), "error", word),
             store_schema=False)  # fmt: skip
    assert open_part(part).schema.field("error").type == pa.string()

    assert "its column error has a word of 1,048,576 bytes" in status_of(over)["left_out"][0]


@pytest.mark.parametrize("table", ["trials", "series"])
def test_more_rows_than_a_study_can_have_are_not_read(over: Path, table: str):
    """A part of two hundred thousand rows is none of a study of twelve trials."""
    part = over / table / FIRST
    exchange(part, many(read_part(part), 200_000))

    if table == "trials":
        assert "it has 200,000 rows, the study at most 12" in status_of(over)["left_out"][0]
        reads: tuple = (read_trials, TrialColumns)
    else:
        reads = (read_series, lambda folder: list(series_batches(folder)))
    for read in reads:
        with pytest.raises(ResultsError, match="it has 200,000 rows, the study at most"):
            read(open_folder(over))
    assert "it has 200,000 rows" in adopt(open_folder(over)).damaged[0]


def test_an_error_is_a_line(over: Path):
    """A row whose error is longer than any that is written is none."""
    part = over / "trials" / FIRST
    exchange(part, failing(read_part(part), ["é" * 501] * 12))

    assert "a trial's error has 501 letters" in status_of(over)["left_out"][0]


def test_headers_of_pages_are_read_as_parquet_has_them(over: Path):
    """What stands before each page adds up to what the footer of a sound part says."""
    for part in (over / "trials" / FIRST, over / "series" / FIRST):
        opened = open_part(part)
        group = opened.file.metadata.row_group(0)
        for number in range(opened.file.metadata.num_columns):
            chunk = group.column(number)
            at = min(chunk.dictionary_page_offset or chunk.data_page_offset, chunk.data_page_offset)
            ends, unpacked = at + chunk.total_compressed_size, 0
            while at < ends:
                header, length = _fields(opened.peek(at, 4096), 0, 0)
                unpacked += length + header[2]
                at += length + header[3]
            assert (at, unpacked) == (ends, chunk.total_uncompressed_size)


LARGE = {
    "empty lists": '"more": [' + "[]," * 19_000_000 + "[]]",
    "a word": '"more": "' + "x" * 30_000_000 + "\U0001f600" + '"',
    "cells": '"cells": {' + ",".join(f'"{i}": {{}}' for i in range(400_000)) + "}",
    "cells of all kinds": '"cells": {' + ",".join(f'"{i}": []' for i in range(9_000)) + "}",
    "levels": '"cells": {"a": {' + ",".join(f'"{i}": []' for i in range(400_000)) + "}}",
    "parts": '"parts": {' + ",".join(f'"{i}": "x"' for i in range(400_000)) + "}",
}
MEASURED = """
import resource, sys
from study.results.errors import ResultsError
from study.results.folder import open_local
import study.results.model
before = resource.getrusage(resource.RUSAGE_SELF)
try:
    open_local(sys.argv[1])
except ResultsError as error:
    print(len(str(error)) < 400 and "is damaged" in str(error))
after = resource.getrusage(resource.RUSAGE_SELF)
print(after.ru_utime - before.ru_utime, after.ru_maxrss - before.ru_maxrss)
"""


@pytest.mark.parametrize("which", sampled(LARGE, every=3))
def test_a_manifest_that_is_absurd_takes_little(over: Path, root: Path, which: str):
    """One that is larger than any study's is refused in seconds and half a gigabyte."""
    manifest = over / "manifest.json"
    key = LARGE[which].split(":")[0].strip('"')
    found = json.loads(manifest.read_text())
    found.pop(key, None)
    manifest.write_text(f"{json.dumps(found)[:-1]}, {LARGE[which]}}}")
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(over)],
        cwd=root, capture_output=True, text=True, check=True,
    )  # fmt: skip

    refused, seconds, kilobytes = done.stdout.split()
    assert refused == "True"
    assert float(seconds) < 10
    assert int(kilobytes) < 500_000


def test_the_manifest_of_the_largest_study_is_read(over: Path):
    """Ten thousand cells of thirty keys with long levels, and many parts, are within the bounds."""
    manifest = json.loads((over / "manifest.json").read_text())
    keys = [f"zone.a_rather_long_key_{key}" for key in range(30)]
    manifest["axes"] = keys
    manifest["cells"] = {f"cell-{n}": dict.fromkeys(keys, "x" * 60) for n in range(MAX_CELLS)}
    manifest["counts"]["cells"] = MAX_CELLS
    manifest["failures"] = []
    manifest["parts"] = {f"trials/part-{n:06d}.parquet": "0" * 32 for n in range(100_000)}

    assert misshapen(parsed(json.dumps(manifest, indent=2))) is None
    assert (CELLS_MOST, TRIALS_MOST) == (MAX_CELLS, MAX_TRIALS)


def no_text(rows: int) -> pa.Array:
    """A column of text whose bytes are no UTF-8."""
    _, offsets, content = pa.array([b"\xff\xfe"] * rows, pa.binary()).buffers()
    return pa.Array.from_buffers(pa.string(), rows, [None, offsets, content])


@pytest.mark.parametrize("column", ["error", "status", "cell", "kswapd.policy"])
def test_bytes_that_are_no_text_end_in_words(over: Path, column: str):
    """Such a part is left out, said to be none, and set aside by who goes on."""
    part = over / "trials" / FIRST
    rows = failing(read_part(part), ["why"] * 12)
    exchange(part, with_column(rows, column, no_text(12)))

    if column != "kswapd.policy":
        assert "holds bytes that are no text" in status_of(over)["left_out"][0]
    for read in (read_trials, TrialColumns):
        with pytest.raises(ResultsError, match=r"no text|is not that of its cell"):
            read(open_folder(over))
    assert [part.split(" ")[0] for part in adopt(open_folder(over)).damaged] == [f"trials/{FIRST}"]


def to_double(rows: pa.Table) -> pa.Table:
    return with_column(rows, "nr_free5", rows.column("nr_free5").combine_chunks().cast("float64"))


OTHER_SERIES: dict[str, Callable[[pa.Table], pa.Table]] = {
    "doubles": to_double,
    "yes or no": lambda rows: with_column(rows, "nr_free5", [True] * len(rows)),
    "missing": lambda rows: rows.drop_columns(["nr_free5"]),
    "empty fields": lambda rows: with_column(rows, "nr_free5", pa.nulls(len(rows), pa.int32())),
    "words more": lambda rows: rows.append_column("more", pa.array(["x"] * len(rows))),
    "a column more": lambda rows: rows.append_column("more", rows.column("nr_free5")),
    "no rows": lambda rows: to_double(rows).slice(0, 0),
    "no uses": lambda rows: rows.drop_columns(["free_pages"]),
}


@pytest.mark.parametrize("which", OTHER_SERIES)
def test_samples_are_of_the_columns_that_are_written(begun: Path, which: str):
    """A part of the series of other columns or types is not read, and its trials are run again."""
    part = begun / "series" / FIRST
    exchange(part, OTHER_SERIES[which](read_part(part)))

    for read in (read_series, lambda folder: list(series_batches(folder))):
        with pytest.raises(ResultsError, match="series/part-00000"):
            read(open_folder(begun))
    with pytest.raises(ResultsError):
        over_time(study.read(begun))
    kept = adopt(open_folder(begun))
    assert len(kept.done) == 7
    assert all(read_part(left).schema.equals(series_schema()) for left in begun.glob("series/p*"))


@pytest.mark.parametrize("which", ["yes or no", "missing", "doubles"])
def test_no_figure_is_drawn_of_other_samples(over: Path, which: str):
    """Where all samples are of other columns than were ever written, a figure says so."""
    part = over / "series" / FIRST
    exchange(part, OTHER_SERIES[which](read_part(part)))

    with pytest.raises(ResultsError, match=r"nr_free5|other columns"):
        over_time(study.read(over))


def test_samples_of_an_earlier_version_are_read(begun: Path):
    """Fewer columns, and columns of other names, are read if all parts have them."""
    for part in begun.glob("series/part-*"):
        rows = read_part(part).drop_columns(["dirty_pages", "free_pages"])
        exchange(
            part, rows.rename_columns([n.replace("anonymous", "anon") for n in rows.column_names])
        )

    assert "anon_pages" in read_series(begun)
    assert len(read_series(begun)) == 11 * 6


def test_the_columns_of_samples_are_those_of_the_simulation():
    """What is declared here is what a trial hands back."""
    flat = []
    for name in SAMPLE.names or ():
        kind, count = SAMPLE[name].base, int(np.prod(SAMPLE[name].shape))
        names = [name] if SAMPLE[name].shape == () else [f"{name}{n}" for n in range(count)]
        flat += [(each, pa.from_numpy_dtype(kind)) for each in names]

    assert flat == [(field.name, field.type) for field in series_schema()][2:]


def test_metrics_of_the_parts_are_the_same(begun: Path):
    """A part with a metric less than the others is not joined to them."""
    part = begun / "trials" / FIRST
    exchange(part, read_part(part).drop_columns(["refaults"]))

    with pytest.raises(ResultsError, match="columns are not those of the parts before it"):
        read_trials(begun)


@pytest.mark.parametrize("table", ["trials", "series"])
def test_a_part_that_is_gone_is_missed(begun: Path, table: str):
    """What the manifest names and is not there is said, and its trials are run again."""
    (begun / table / FIRST).unlink()
    read = read_trials if table == "trials" else read_series

    assert status_of(begun)["left_out"] == [f"{table}/{FIRST} (it is not there)"]
    with pytest.raises(ResultsError, match=f"{table}/{FIRST} is not used: it is not there; a run"):
        read(open_folder(begun))
    assert len(adopt(open_folder(begun)).done) == 7
    assert status_of(begun)["left_out"] == []


def test_the_part_that_is_being_written_is_not_missed(begun: Path):
    """Its digest is noted before it has its name: the newest is waited for, no other."""
    edit(begun, state="running")
    for table in ("trials", "series"):
        (begun / table / "part-000001.parquet").unlink()

    assert len(read_trials(begun)) == 5
    assert len(read_series(begun)) == 5 * 6
    assert status_of(begun)["left_out"] == []
    (begun / "trials" / FIRST).unlink()
    with pytest.raises(ResultsError, match="it is not there"):
        read_trials(begun)


def test_parts_that_were_sorted_into_one_are_not_missed(over: Path):
    """A run that dies when the sorted part has its place leaves a table that is read."""
    sorted_part = over / "trials" / FIRST
    manifest = json.loads((over / "manifest.json").read_text())
    digest = manifest["parts"].pop(f"trials/{FIRST}")
    named = {f"trials/part-{number:06d}.parquet": "0" * 32 for number in range(3)}
    edit(over, parts={**manifest["parts"], **named, f".trials.new/{FIRST}": digest})

    assert sorted_part.exists()
    assert len(read_trials(over)) == 12
    assert status_of(over)["left_out"] == []


def test_a_part_that_comes_meanwhile_is_not_noted(begun: Path):
    """Of what lies in a table, only parts that were read and held are noted by who goes on."""
    foreign = begun / "trials" / "part-000007.parquet"
    foreign.write_bytes((begun / "trials" / FIRST).read_bytes())
    folder = open_folder(begun)
    adopt(folder)

    assert not foreign.exists()
    assert set(folder.manifest["parts"]) == {
        f"{part.parent.name}/{part.name}" for part in begun.glob("[ts]*/part-*")
    }


def test_ranges_that_fit_no_cell_end_in_words(over: Path):
    """Of a scenario whose ranges draw no level of any cell, no sensitivity is told."""
    scenario = json.loads((over / "manifest.json").read_text())["scenario"]
    axes = {"nic.mtu": {"uniform": [1, 2]}, "kswapd.policy": ["count-only", "order-aware"]}
    edit(over, scenario={**scenario, "axes": axes})

    with pytest.raises(ResultsError, match="no cell has the levels that are drawn from its ranges"):
        sensitivity(study.read(over), "refaults")


def test_levels_are_those_of_the_rows(over: Path):
    """Where the manifest alone has the levels of its cells exchanged, no table is shown."""
    manifest = json.loads((over / "manifest.json").read_text())
    ids = list(manifest["cells"])
    swapped = dict(zip(ids, [manifest["cells"][cell] for cell in reversed(ids)], strict=True))
    edit(over, cells=swapped)

    for read in (read_trials, TrialColumns):
        with pytest.raises(ResultsError, match="is not that of its cell"):
            read(open_folder(over))


def test_a_manifest_at_a_url_is_counted_too(over: Path, tmp_path: Path):
    """What is fetched is read within the same bounds."""
    text = (over / "manifest.json").read_text().rstrip()
    (over / "manifest.json").write_text(f'{text[:-1]}, "more": [{"0," * 2_000_000}0]}}')
    copy = tmp_path / "copy"
    copy.mkdir()

    assert not any("part-" in name for name in Storage(f"file://{over}").fetch(copy))


def test_a_part_whose_last_page_is_damaged_is_set_aside_when_a_run_goes_on(begun: Path):
    """Bytes that the manifest names may be of no use: it is seen before the run, not at its end."""
    part = begun / "trials" / FIRST
    chunk = pq.read_metadata(part).row_group(0).column(pq.read_metadata(part).num_columns - 1)
    content = bytearray(part.read_bytes())
    content[chunk.data_page_offset + chunk.total_compressed_size - 1] ^= 1
    part.write_bytes(bytes(content))
    note(begun)
    kept = adopt(open_folder(begun))

    assert len(kept.done) == 7
    [damaged] = [name for name in kept.damaged if name.startswith("trials/")]
    assert damaged.startswith(f"trials/{FIRST} (")
    assert (begun / "damaged" / f"trials-{FIRST}").exists()


def test_a_part_that_says_it_has_terabytes_is_not_hashed(over: Path):
    """A file of nothing but a size would keep its reader for hours."""
    manifest = json.loads((over / "manifest.json").read_text())
    edit(over, parts={**manifest["parts"], "series/part-000001.parquet": "0" * 32})
    with (over / "series/part-000001.parquet").open("wb") as file:
        file.truncate(1 << 42)

    with pytest.raises(ResultsError, match="larger than all rows of this study"):
        read_series(open_folder(over))


def test_a_table_that_becomes_a_link_under_a_run_is_not_written_through(
    begun: Path, simulated: list[Row], tmp_path: Path
):
    """Who can write in the folder cannot have a run write, or move, files anywhere else."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / FIRST).write_bytes(b"precious")
    folder = open_folder(begun)
    kept = adopt(folder)
    store = Store(folder, kept)
    (begun / "trials").rename(begun / "moved")
    (begun / "trials").symlink_to(theirs)
    with pytest.raises(ResultsError, match="is a symbolic link"):
        set_aside(folder, begun / "trials" / FIRST)
    store.add(simulated[:1])
    with pytest.raises(ResultsError, match="is a symbolic link"):
        store.flush()
    with pytest.raises(ResultsError):
        store.close("complete")

    assert [path.name for path in theirs.iterdir()] == [FIRST]
    assert (theirs / FIRST).read_bytes() == b"precious"
