"""What others have put into a folder, or changed in it, never becomes a row of its study."""

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import study
from study.fanout import in_process
from study.results import ResultsError, Store, adopt, create_folder, read_series, read_trials
from study.results.manifest import new_manifest
from study.results.part import WRITTEN_WITH, digest_of_file, read_part
from study.results.status import status_of
from study.results.trials import read_outcomes
from study.runs import Options, resume_study, run_study
from study.scenario import Study, load
from study.transport import open_folder
from study.zone.engine.compile import digest

TABLES = ("trials/part-000000.parquet", "series/part-000000.parquet", "summary.csv")


def tables(path: Path) -> dict[str, bytes]:
    assert [p.name for p in path.glob("*/part-*")] == ["part-000000.parquet"] * 2
    return {name: (path / name).read_bytes() for name in TABLES}


def half_done(path: Path, study_: Study) -> Path:
    """A folder in which parts of four, three and one trials were written, then nothing."""
    manifest = new_manifest(study_, simulation=digest(), command=())
    store = Store(create_folder(path, manifest))
    rows = [row for some in in_process(islice(study_.trials(), 8)) for row in some]
    for first, last in ((0, 4), (4, 7), (7, 8)):
        store.add(rows[first:last])
        store.flush()
    return path


@pytest.fixture(scope="module")
def whole(tiny: Study, tmp_path_factory) -> dict[str, bytes]:
    """The tables of a run that nothing disturbed."""
    path = tmp_path_factory.mktemp("whole") / "out"
    run_study(tiny, path, Options(ray=False))
    return tables(path)


@pytest.fixture(scope="module")
def pattern(tiny: Study, tmp_path_factory) -> Path:
    """A folder that is half done, to be copied."""
    return half_done(tmp_path_factory.mktemp("pattern") / "out", tiny)


@pytest.fixture(scope="module")
def other(root: Path, tmp_path_factory) -> Path:
    """The same of a study that differs in its seed alone."""
    path = tmp_path_factory.mktemp("other") / "out"
    return half_done(path, load(root / "tests/fanout/tiny.yaml", ["seed=8"]))


@pytest.fixture
def begun(pattern: Path, tmp_path: Path) -> Path:
    return shutil.copytree(pattern, tmp_path / "out")


def edit(path: Path, change: Callable[[dict], object]) -> None:
    """Change the manifest of a folder."""
    manifest = json.loads((path / "manifest.json").read_text())
    change(manifest)
    (path / "manifest.json").write_text(json.dumps(manifest))


def without_notes(path: Path) -> None:
    edit(path, lambda manifest: manifest.update(parts={}))


def as_before(path: Path, *, noted: bool = True) -> None:
    """Make a folder what one was before digests were noted first: no checksums of pages either."""
    parts = sorted(path.glob("*/part-*"))
    for part in parts:
        pq.write_table(pq.read_table(part, partitioning=None), part, compression="zstd")
    notes = {f"{part.parent.name}/{part.name}": digest_of_file(part) for part in parts}
    edit(path, lambda manifest: manifest.update(parts=notes if noted else {}))
    edit(path, lambda manifest: manifest.pop("noted_first", None))


def put(source: Path, number: int, target: Path, name: int, which=("trials", "series")) -> None:
    for table in which:
        shutil.copy(
            source / table / f"part-{number:06d}.parquet",
            target / table / f"part-{name:06d}.parquet",
        )


def aside(path: Path) -> set[str]:
    return {part.name for part in path.glob("damaged/*")}


@pytest.mark.parametrize("name", [1, 3, 9], ids=["for another", "as the next", "beside"])
def test_a_part_of_another_seed_is_never_a_row(begun: Path, other: Path, whole, name: int):
    """Rows of another seed are named by whoever reads the folder, and set aside by who goes on."""
    put(other, 1, begun, name)
    counted = status_of(begun)
    for read in (lambda: study.read(begun).trials, lambda: study.read(begun).summary,
                 lambda: study.read(begun).verdicts, lambda: read_series(begun)):  # fmt: skip
        with pytest.raises(ResultsError, match=f"part-00000{name}.parquet .*is not used"):
            read()

    assert counted["counts"]["finished"] == (5 if name == 1 else 8)
    assert [part.split(" ")[0] for part in counted["left_out"]] == [
        f"trials/part-00000{name}.parquet"
    ]
    assert resume_study(begun, Options(ray=False)).manifest["counts"]["finished"] == 12
    assert tables(begun) == whole
    assert aside(begun) == {f"{table}-part-00000{name}.parquet" for table in ("trials", "series")}
    assert status_of(begun)["left_out"] == []


@pytest.mark.parametrize("before", [False, True], ids=["of now", "of before"])
def test_a_folder_exchanged_for_another_gives_no_row(begun: Path, other: Path, whole, before: bool):
    """With all parts of another seed, and a manifest that names none, every trial is run again."""
    for number in range(3):
        put(other, number, begun, number)
    if before:
        as_before(begun, noted=False)
    without_notes(begun)

    with pytest.raises(ResultsError, match="its seed is 8" if before else "does not name it"):
        _ = study.read(begun).trials
    with pytest.raises(ResultsError):
        read_series(begun)
    assert adopt(open_folder(begun)).done == frozenset()
    resume_study(begun, Options(ray=False))
    assert tables(begun) == whole


def test_samples_of_another_seed_are_not_taken_for_its_own(begun: Path, other: Path, whole):
    """In a folder of before, samples without a digest have to fit the rows of their trials."""
    put(other, 2, begun, 2, ["series"])
    as_before(begun)
    edit(
        begun, lambda m: [m["parts"].pop(f"{t}/part-000002.parquet") for t in ("trials", "series")]
    )

    with pytest.raises(ResultsError, match="samples are of another run than the rows"):
        read_series(begun)
    assert len(adopt(open_folder(begun)).done) == 7
    resume_study(begun, Options(ray=False))
    assert tables(begun) == whole


@pytest.mark.parametrize("noted", ["all", "but the last", "none"])
def test_a_folder_of_before_is_read_and_continued(begun: Path, whole, noted: str):
    """Written by a version that noted digests afterwards, and killed before: everything counts."""
    as_before(begun, noted=noted != "none")
    if noted == "but the last":
        edit(begun, lambda m: [m["parts"].pop(name) for name in list(m["parts"]) if "02" in name])
    results = study.read(begun)

    assert len(results.trials) == 8
    assert len(results.series) == 8 * 6
    assert status_of(begun)["counts"]["finished"] == 8
    assert len(adopt(open_folder(begun)).done) == 8
    again = json.loads((begun / "manifest.json").read_text())
    assert again["noted_first"] is True
    assert len(again["parts"]) == 6
    resume_study(begun, Options(ray=False))
    assert tables(begun) == whole
    assert not aside(begun)


Change = Callable[[pa.Table], pa.Table]


def changed(column: str, value: object, rows: slice = slice(None)) -> Change:
    """A table with other values in some rows of a column."""

    def change(table: pa.Table) -> pa.Table:
        number = table.schema.get_field_index(column)
        values = table.column(column).to_pylist()
        for row in range(*rows.indices(len(values))):
            values[row] = value(values[row]) if callable(value) else value
        field = table.schema.field(column)
        return table.set_column(number, field, pa.array(values, field.type))

    return change


def renamed(column: str, name: str) -> Change:
    return lambda table: table.rename_columns(
        [name if found == column else found for found in table.column_names]
    )


def retyped(column: str, kind: pa.DataType) -> Change:
    return lambda table: table.set_column(
        table.schema.get_field_index(column), column, table.column(column).cast(kind)
    )


FIRST = slice(0, 1)
UNFIT = {
    "another seed": ("trials", changed("seed", 8, FIRST), "its seed is 8, that of the study 7"),
    "a cell of nobody": ("trials", changed("cell", "nobody", FIRST), "cell nobody is none"),
    "a replicate below": ("trials", changed("replicate", -1, FIRST), "replicate -1 cannot be"),
    "another level": ("trials", changed("nic.mtu", 576, FIRST), "nic.mtu is not that of its cell"),
    "another word": ("trials", changed("kswapd.policy", "x", FIRST), "kswapd.policy is not that"),
    "no status": ("trials", changed("status", "fine", FIRST), "a trial's status is 'fine'"),
    "an error": ("trials", changed("error", "why", FIRST), "that did not fail has an error"),
    "a failure": ("trials", changed("status", "failed", FIRST), "or one that failed none"),
    "another metric": ("trials", renamed("refaults", "faults"), "its metrics are not those"),
    "a metric less": ("trials", lambda t: t.drop_columns(["refaults"]), "its metrics are not"),
    "words as metric": ("trials", retyped("refaults", pa.string()), "refaults holds string"),
    "seeds as words": ("trials", retyped("seed", pa.string()), "its column seed holds string"),
    "a column twice": ("trials", renamed("refaults", "touches"), "other columns"),
    "rows twice": ("trials", lambda t: pa.concat_tables([t, t]), "a trial is there twice"),
    "a sample less": ("series", lambda t: t.slice(0, len(t) - 1), "has 5 samples, not 6"),
    "a sample more": ("series", lambda t: pa.concat_tables([t, t.slice(len(t) - 1)]), "has 7 sam"),
    "other times": ("series", changed("time_ns", lambda ns: ns + 1, slice(2, 3)), "of other times"),
    "other phases": ("series", changed("phase", 0), "of other times"),
    "samples twice": ("series", lambda t: pa.concat_tables([t, t]), "are there twice"),
    "samples of nobody": ("series", changed("cell", "nobody"), "cell nobody is none"),
    "no times": ("series", lambda t: t.drop_columns(["time_ns"]), "other columns"),
    "times as numbers": ("series", retyped("time_ns", pa.float64()), "time_ns holds double"),
    "a use twice": ("series", renamed("file_pages", "dirty_pages"), "other columns"),
}  # fmt: skip


@pytest.mark.parametrize("which", UNFIT)
def test_what_does_not_fit_is_set_aside_and_run_again(begun: Path, whole, which: str):
    """A part whose digest is right, but whose rows cannot be this study's, is no part of it."""
    table, change, why = UNFIT[which]
    part = begun / table / "part-000000.parquet"
    pq.write_table(change(read_part(part)), part, **WRITTEN_WITH)
    edit(begun, lambda m: m["parts"].update({f"{table}/{part.name}": digest_of_file(part)}))
    for read in (lambda: study.read(begun).trials, lambda: read_series(begun)):
        # Whether rows are read whose digest is right, hangs on what is wrong with them.
        with suppress(ResultsError):
            read()
    kept = adopt(open_folder(begun))

    assert len(kept.done) == 4
    assert [why in told for told in kept.damaged] == [True], kept.damaged
    assert not part.exists()
    # What is left is the same whatever was wrong: a table each is run to its end.
    if which in ("another seed", "a sample less"):
        assert resume_study(begun, Options(ray=False)).manifest["counts"]["finished"] == 12
        assert tables(begun) == whole


def test_replicates_beyond_those_wanted_are_no_rows(root: Path, begun: Path, tmp_path: Path, whole):
    """Rows of replicates that nobody asked for lie in DIR/damaged; the others are kept."""
    larger = tmp_path / "larger"
    run_study(load(root / "tests/fanout/tiny.yaml", ["replicates=5"]), larger, Options(ray=False))
    put(larger, 0, begun, 9)
    names = [f"{table}/part-000009.parquet" for table in ("trials", "series")]
    edit(begun, lambda m: m["parts"].update({n: digest_of_file(begun / n) for n in names}))
    kept = adopt(open_folder(begun))

    assert len(kept.done) == 12
    assert max(replicate for _, replicate in kept.done) == 2
    assert "replicates beyond the 3 of the study" in kept.damaged[0]
    resume_study(begun, Options(ray=False))
    assert tables(begun) == whole


def test_samples_of_a_trial_come_from_one_part(begun: Path, whole):
    """A part of the series that is there twice, both noted, is read once."""
    put(begun, 0, begun, 9, ["series"])
    edit(begun, lambda m: m["parts"].update(
        {"series/part-000009.parquet": m["parts"]["series/part-000000.parquet"]}
    ))  # fmt: skip
    kept = adopt(open_folder(begun))

    assert len(kept.done) == 8
    assert sum(len(read_part(part)) for part in (begun / "series").iterdir()) == 8 * 6
    resume_study(begun, Options(ray=False))
    assert tables(begun) == whole


def flipped(parts: list[Path], seed: int, count: int) -> Iterator[tuple[Path, bytes]]:
    """Parts with one bit the other way, each as often."""
    dice = random.Random(seed)
    for number in range(count):
        part = parts[number % len(parts)]
        content = bytearray(part.read_bytes())
        bit = dice.randrange(8 * len(content))
        content[bit // 8] ^= 1 << bit % 8
        yield part, bytes(content)


def lines(table: Path) -> set[str]:
    """Every row of a table, as text: NaN is not equal to itself."""
    return {repr(row) for part in table.iterdir() for row in read_part(part).to_pylist()}


@pytest.mark.parametrize("noted", [True, False])
def test_a_flipped_bit_is_seen_or_does_nothing(pattern: Path, tmp_path: Path, noted: bool):
    """One bit of any part, noted or not: what is kept afterwards are the rows that were written."""
    sound = {table: lines(pattern / table) for table in ("trials", "series")}
    for part, content in flipped(sorted(pattern.glob("*/part-*")), 1, 30):
        path = shutil.copytree(pattern, tmp_path / "out")
        (path / part.relative_to(pattern)).write_bytes(content)
        if not noted:
            without_notes(path)
        kept = adopt(open_folder(path))

        assert kept.damaged
        assert len(kept.done) < 8
        for table, rows in sound.items():
            assert lines(path / table) <= rows
        shutil.rmtree(path)


def test_pages_carry_checksums_that_are_read(begun: Path):
    """A bit of a page is seen by whoever reads it, also by who does not ask for a digest."""
    part = begun / "trials/part-000000.parquet"
    content = part.read_bytes()
    schema = pq.read_schema(part)
    column = pq.read_metadata(part).row_group(0).column(schema.get_field_index("seed"))
    end = column.dictionary_page_offset + column.total_compressed_size
    broken = bytearray(content)
    broken[end - 1] ^= 1
    part.write_bytes(broken)

    with pytest.raises(OSError, match="CRC"):
        read_part(part, ["seed"])
    with pytest.raises(OSError, match="CRC"):
        pq.ParquetFile(part, page_checksum_verification=True).read()
    found = status_of(begun)
    assert found["counts"]["finished"] == 4
    assert "CRC" in found["left_out"][0]


WATCHED = """
import json, os, sys
from pathlib import Path
out, scenario, most = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
from study.runs import Options, run_study
from study.results.part import digest_of_file
from study.scenario import load
renames, unnoted = 0, []
def watch(event, arguments):
    global renames
    if event != "os.rename":
        return
    source, target = map(Path, map(os.fsdecode, arguments[:2]))
    if out not in target.parents:
        return
    if renames == most:
        os._exit(9)
    renames += 1
    tables = (out / "trials", out / "series")
    if target in tables and source.name.endswith(".new"):
        parts = [(part, f"{source.name}/{part.name}") for part in source.iterdir()]
    elif target.parent in tables:
        parts = [(source, f"{target.parent.name}/{target.name}")]
    else:
        return
    noted = json.loads((out / "manifest.json").read_text())["parts"]
    unnoted.extend(name for part, name in parts if noted.get(name) != digest_of_file(part))
sys.addaudithook(watch)
run_study(load(scenario), out, Options(ray=False))
print(json.dumps({"renames": renames, "unnoted": unnoted}))
"""


def watched(root: Path, out: Path, most: int) -> subprocess.CompletedProcess[str]:
    """Run the study in a process that ends, as if killed, before its nth rename in the folder."""
    scenario = str(root / "tests/fanout/tiny.yaml")
    return subprocess.run(
        [sys.executable, "-c", WATCHED, str(out), scenario, str(most)],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_every_part_is_noted_before_it_has_its_name(root: Path, tmp_path: Path):
    """At each rename that makes a part appear, the manifest on disk has the digest of its bytes."""
    done = watched(root, tmp_path / "out", -1)

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["unnoted"] == []
    assert found["renames"] > 8


@pytest.fixture(scope="module")
def renames(root: Path, tmp_path_factory) -> int:
    """How many renames a run makes in its folder."""
    done = watched(root, tmp_path_factory.mktemp("counted") / "out", -1)
    found: int = json.loads(done.stdout.splitlines()[-1])["renames"]
    return found


# In the midst of sorting; the other places by night.
AT = [
    pytest.param(at, marks=() if at == 9 else pytest.mark.nightly(part="kills"))
    for at in range(2, 16)
]


@pytest.mark.slow
@pytest.mark.parametrize("before_the_end", AT)
def test_a_run_killed_while_it_sorts_leaves_noted_parts(
    root: Path, tmp_path: Path, whole, renames: int, before_the_end: int
):
    """Whichever rename of its last ones a run dies before, what is there is noted, and read."""
    out = tmp_path / "out"
    done = watched(root, out, renames - before_the_end)

    assert done.returncode == 9, done.stderr
    assert status_of(out)["left_out"] == []
    assert len(study.read(out).trials) == status_of(out)["counts"]["finished"]
    kept = adopt(open_folder(out))
    assert len(kept.done) == len(study.read(out).trials)
    assert kept.damaged == ()
    resume_study(out, Options(ray=False))
    assert tables(out) == whole


def test_what_is_put_in_while_a_run_is_at_work_is_not_sorted_in(begun: Path, other: Path, tiny):
    """A part that appears between the parts of a run is no part of the table that it leaves."""
    folder = open_folder(begun)
    store = Store(folder, adopt(folder))
    put(other, 0, begun, 8)
    store.close("interrupted")

    assert len(study.read(begun).trials) == 8
    assert set(study.read(begun).trials["seed"]) == {tiny.seed}
    assert aside(begun) == {"trials-part-000008.parquet", "series-part-000008.parquet"}
    assert np.isfinite(study.read(begun).trials["free_pages_end"]).all()


def test_what_a_run_writes_meanwhile_is_not_foreign(begun: Path, tiny: Study):
    """Who has opened a folder reads and counts the parts that a run has added since."""
    reader = open_folder(begun)
    folder = open_folder(begun)
    store = Store(folder, adopt(folder))
    store.add([row for some in in_process(islice(tiny.trials(), 8, 10)) for row in some])
    store.flush()
    counted, left_out = read_outcomes(reader)

    assert (len(counted), left_out) == (10, [])
    reader = open_folder(begun)
    store.close("interrupted")
    assert len(read_trials(reader)) == 10
    assert len(read_series(reader)) == 10 * 6
