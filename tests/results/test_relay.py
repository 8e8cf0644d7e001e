"""Files through a job's log: what is read of it is a whole run of some rows, or nothing."""

import base64
import json
import os
import shutil
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.fanout import Limits, in_process
from study.results import ResultsError, Store, create_folder, read_series, read_trials
from study.results.manifest import fingerprint_of, new_manifest
from study.results.mirror import Mirror
from study.results.part import digest_of_bytes, part_bytes, read_part, write_part
from study.runs import Options, Watcher, resume_study, run_study
from study.scenario import Study, load
from study.transport.received import Awaited, keep_before, settle_received
from study.transport.relay import Receiver, Sender, sendable
from study.zone.engine.compile import digest
from tests.by_night import sampled

PARTS = ("trials/part-000000.parquet", "series/part-000000.parquet")
TABLES = (*PARTS, "summary.csv")
NONE = Awaited("0" * 32)
"""A study that no log is of."""


@pytest.fixture(scope="module")
def tiny(root: Path) -> Study:
    return load(root / "tests/fanout/tiny.yaml")


@pytest.fixture(scope="module")
def whole(tiny: Study, tmp_path_factory) -> dict[str, bytes]:
    """The tables of a run that was at home all the time."""
    path = tmp_path_factory.mktemp("whole") / "out"
    run_study(tiny, path, Options(ray=False))
    return {name: (path / name).read_bytes() for name in TABLES}


@pytest.fixture(scope="module")
def log(tiny: Study, tmp_path_factory) -> list[str]:
    """The log of a run in three parts, with lines of others in it."""
    top = tmp_path_factory.mktemp("there")
    with (top / "log").open("ab") as written:
        folder = create_folder(
            top / "out", new_manifest(tiny, simulation=digest(), command=("test",))
        )
        folder.mirror = Mirror(folder.path, Sender(written.fileno()), place="home")
        store = Store(folder)
        trials = list(tiny.trials())
        for first, last in ((0, 5), (5, 9), (9, 12)):
            for rows in in_process(trials[first:last]):
                store.add(rows)
            os.write(written.fileno(), f"{last}/12 trials\n".encode())
            store.flush()
        store.close("complete")
        folder.publish()
        Sender(written.fileno()).exit(0)
    return (top / "log").read_text().splitlines()


def take_all(receiver: Receiver, lines: list[str]) -> None:
    for line in lines:
        receiver.take(line)


def awaited(study: Study) -> Awaited:
    return Awaited(fingerprint_of(study.document, digest()))


def received(lines: list[str], home: Path, study: Study) -> Receiver:
    home.mkdir(exist_ok=True)
    keep_before(home)
    receiver = Receiver(home, awaited(study))
    take_all(receiver, lines)
    settle_received(home)
    return receiver


def test_all_of_a_log_is_all_of_the_run(log: list[str], tmp_path: Path, tiny: Study, whole):
    """What has come home is, byte for byte, what lies there; other lines are handed on."""
    receiver = Receiver(tmp_path, awaited(tiny))
    shown = [line for line in log if receiver.take(line) is not None]

    assert shown == ["5/12 trials", "9/12 trials", "12/12 trials"]
    assert receiver.status == 0
    assert {name: (tmp_path / name).read_bytes() for name in PARTS} == only_parts(whole)
    assert {p.name for p in tmp_path.iterdir()} == {"manifest.json", "trials", "series"}


def only_parts(tables: dict[str, bytes]) -> dict[str, bytes]:
    return {name: tables[name] for name in PARTS}


def test_a_log_that_breaks_off_anywhere_can_be_continued(
    log: list[str], tmp_path: Path, tiny: Study, whole
):
    """After every line in turn: rows and samples are read back, none twice, and the run goes on."""
    finished = []
    for end in range(1, len(log) + 1):
        home = tmp_path / str(end)
        status = received(log[:end], home, tiny).status
        if not (home / "manifest.json").exists():
            continue
        trials, series = read_trials(home), read_series(home)
        assert len(trials.drop_duplicates(["cell", "replicate"])) == len(trials)
        assert len(series.drop_duplicates()) == len(series)
        finished.append(len(trials))
        assert (status == 0) == (end == len(log))
        if end % 10 == 0:
            resume_study(home, Options(ray=False))
            assert {name: (home / name).read_bytes() for name in TABLES} == whole
    assert finished == sorted(finished)
    assert {5, 9, 12} <= set(finished)


@given(content=st.binary(max_size=200_000), flip=st.integers(0))
def test_what_arrives_is_what_was_sent_or_nothing(content: bytes, flip: int, tmp_path_factory):
    """Any bytes pass; if a letter of the lines is another, the file is refused and not written."""
    top = tmp_path_factory.mktemp("any")
    (top / "source").write_bytes(content)
    part = "trials/part-000000.parquet"
    with (top / "log").open("ab") as log:
        Sender(log.fileno()).put(part, top / "source")
    lines = (top / "log").read_text().splitlines()
    assert max(map(len, lines)) < 70_000
    receiver = Receiver(top, NONE)
    assert [receiver.take(line) for line in lines] == [None] * len(lines)
    assert (top / part).read_bytes() == content

    (top / part).unlink()
    data = [number for number, line in enumerate(lines) if " data " in line]
    if data:
        number = data[flip % len(data)]
        at = len("study-results data ") + flip % (len(lines[number]) - 22)
        other = "A" if lines[number][at] != "A" else "B"
        lines[number] = lines[number][:at] + other + lines[number][at + 1 :]
        with pytest.raises(ResultsError, match="damaged"):
            take_all(receiver, lines)
        assert not (top / part).exists()


@pytest.mark.parametrize(
    "name",
    ["../x.json", "/etc/x.json", "trials/../../x.json", "trials/part-1.parquet", ".lock", "a/b.csv",
     "manifest.json/x", "report.html\x00", ".new/manifest.json", "x.py", "config.json",
     "package.json", "index.html", "data.csv", "weights.npz", "damaged/x-part-000000.parquet"],
)  # fmt: skip
def test_a_log_names_no_other_files(tmp_path: Path, name: str):
    """Only files of a results folder are taken, whatever a log says."""
    for words in (f"put {name} 0 0", f"remove {name}", f"move {name} manifest.json"):
        with pytest.raises(ResultsError, match="names a file of no results folder"):
            Receiver(tmp_path, NONE).take(f"study-results {words}")
    assert not list(tmp_path.iterdir())


PUT = f"put summary.csv 3 {'0' * 32}"


@pytest.mark.parametrize(
    "said",
    [
        ["move trials/part-000001.parquet trials/part-000000.parquet"],
        ["exit \N{SUPERSCRIPT TWO}"],
        ["exit " + "1" * 5_000],
        ["exit 256"],
        ["exit -1"],
        ["exit 0x1"],
        ["exit 1 2"],
        ["exit"],
        ["data AAAA"],
        ["end summary.csv"],
        [PUT, "data AAAA", "data AAAA"],
        [PUT, "data AA", "end summary.csv"],
        [PUT, "data \N{GREEK SMALL LETTER ALPHA}AAA"],
        [PUT, "data AAAA", "end manifest.json"],
        [PUT, "end summary.csv"],
        [PUT, "data AAAA", "end summary.csv", "end summary.csv"],
        [f"put summary.csv {2**31 + 1} {'0' * 32}"],
        [f"put summary.csv {'9' * 5_000} {'0' * 32}"],
        [f"put summary.csv \N{ARABIC-INDIC DIGIT ONE} {'0' * 32}"],
        ["put summary.csv 3 " + "z" * 32],
        ["put summary.csv 3"],
        [f"put trials/part-{'0' * 300}.parquet 3 {'0' * 32}"],
        ["put trials/part-\N{ARABIC-INDIC DIGIT ONE}00000.parquet 3 " + "0" * 32],
        [f"put {'a' * 300}.json 3 {'0' * 32}"],
        ["move trials/part-000001.parquet"],
        ["\x1b[2J"],
        [""],
        ["put " * 100_000],
    ],
    ids=lambda said: said[-1][:20],
)
def test_a_log_that_was_tampered_with_ends_in_words(tmp_path: Path, said: list[str]):
    """What no sender says is refused in one line without control characters; nothing is written."""
    receiver = Receiver(tmp_path, NONE)
    with pytest.raises(ResultsError) as error:
        take_all(receiver, [f"study-results {words}" for words in said])

    assert str(error.value).isprintable()
    assert len(str(error.value)) < 200 + len(str(tmp_path))
    assert receiver.status is None
    assert not list(tmp_path.iterdir())


def test_what_is_in_the_way_of_a_file_is_told(tmp_path: Path):
    """A folder that cannot take what comes is named with the reason."""
    (tmp_path / "trials").write_text("")
    there = "series/part-000000.parquet"
    (tmp_path / there).mkdir(parents=True)
    empty = blake2b(b"", digest_size=16).hexdigest()
    for name in ("trials/part-000000.parquet", there):
        put = f"study-results put {name} 0 {empty}"
        with pytest.raises(ResultsError, match=r"cannot|where a folder has to be"):
            take_all(Receiver(tmp_path, NONE), [put, f"study-results end {name}"])
    with pytest.raises(ResultsError, match=r"cannot be done in .*: remove series/.*: Is a dir"):
        Receiver(tmp_path, NONE).take(f"study-results remove {there}")


@pytest.mark.quick
def test_a_log_without_files_brings_none():
    """Where the job writes its results elsewhere, its log says how it ended and nothing more."""
    receiver = Receiver(None, None)
    assert receiver.take("12/12 trials") == "12/12 trials"
    with pytest.raises(ResultsError, match="none is expected"):
        receiver.take(f"study-results {PUT}")
    assert receiver.take("study-results exit 3") is None
    assert receiver.status == 3


def test_a_run_that_was_sent_along_is_not_sent_back(tiny: Study, tmp_path: Path):
    """Files that the other side has already, and that do not change, stay out of the log."""
    run_study(tiny, tmp_path / "out", Options(ray=False))
    there = [
        p.relative_to(tmp_path / "out").as_posix()
        for p in (tmp_path / "out").rglob("*")
        if p.is_file()
    ]
    with (tmp_path / "log").open("ab") as log:
        mirror = Mirror(tmp_path / "out", Sender(log.fileno()), place="home", carried=there)
        mirror.carry()
        assert not log.tell()
        (tmp_path / "out" / "verdicts.csv").unlink()
        (tmp_path / "out" / "contrasts.csv").write_text("")
        (tmp_path / "out" / PARTS[0]).unlink()
        mirror.carry()
    assert (tmp_path / "log").read_text() == f"study-results remove {PARTS[0]}\n"


def put(name: str, content: bytes) -> list[str]:
    """The lines of a file, as anybody can write them."""
    lines = [f"put {name} {len(content)} {blake2b(content, digest_size=16).hexdigest()}"]
    pieces = (content[start : start + 40_000] for start in range(0, len(content), 40_000))
    lines += [f"data {base64.b64encode(piece).decode()}" for piece in pieces]
    return [f"study-results {line}" for line in (*lines, f"end {name}")]


def sent(folder: Path, **changed: object) -> list[str]:
    """The log of a job that sends a whole folder, whose manifest says other things."""
    manifest = json.loads((folder / "manifest.json").read_text()) | changed
    lines = [line for name in PARTS for line in put(name, (folder / name).read_bytes())]
    return [*lines, *put("manifest.json", json.dumps(manifest).encode())]


@pytest.fixture(scope="module")
def other(root: Path, tmp_path_factory) -> Path:
    """The folder of a study that differs in its seed alone."""
    path = tmp_path_factory.mktemp("other") / "out"
    run_study(load(root / "tests/fanout/tiny.yaml", ["seed=8"]), path, Options(ray=False))
    return path


def state(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_manifest_of_another_study_is_not_taken(tiny: Study, other: Path, tmp_path: Path):
    """Neither into an empty folder nor over rows, whatever fingerprint it shows; in words."""
    home = tmp_path / "home"
    run_study(tiny, home, Options(ray=False))
    ours = json.loads((home / "manifest.json").read_text())
    before = state(home)
    theirs = json.loads((other / "manifest.json").read_text())
    forgeries: list[dict[str, object]] = [
        {},
        {"fingerprint": ours["fingerprint"]},
        {"fingerprint": ours["fingerprint"], "scenario": ours["scenario"]},
        {"fingerprint": ours["fingerprint"], "seed": 7},
    ]
    for changed in forgeries:
        for place, wanted in (
            (tmp_path / "new", Awaited(ours["fingerprint"])),
            (home, Awaited(ours["fingerprint"], ours)),
        ):
            place.mkdir(exist_ok=True)
            keep_before(place)
            with pytest.raises(ResultsError, match="log has results of another study"):
                take_all(Receiver(place, wanted), sent(other, **changed))
            with suppress(ResultsError):
                settle_received(place)
        assert state(home) == before
        assert state(tmp_path / "new") == {}
    assert theirs["seed"] == 8


@pytest.mark.parametrize(
    "changed",
    [{"name": "other"}, {"question": "Another?"}, {"cells": {"x": {}}}, {"seed": 9}, {"axes": []},
     {"replicates": 9}, {"simulation": "0"}, {"parts": 3}, {"counts": None}],
    ids=str,
)  # fmt: skip
def test_what_was_sent_is_what_comes_back(tiny: Study, tmp_path: Path, changed):
    """Nothing of what decides a study or says what it asks may be another in what comes home."""
    home = tmp_path / "home"
    create_folder(home, new_manifest(tiny, simulation=digest(), command=()))
    ours = json.loads((home / "manifest.json").read_text())
    wanted = Awaited(ours["fingerprint"], ours, words=True)
    wanted.check(json.dumps(ours | {"state": "failed"}).encode())
    with pytest.raises(ResultsError, match=r"another study|manifest that is none"):
        wanted.check(json.dumps(ours | changed).encode())
    for content in (b"", b"{", b"[]", b"\xff", b'{"format": 1}', b"[" * 100_000):
        with pytest.raises(ResultsError, match="manifest that is none"):
            wanted.check(content)


def half(tiny: Study, home: Path) -> dict[str, bytes]:
    """A folder with eight of twelve trials, and what is in it."""
    store = Store(create_folder(home, new_manifest(tiny, simulation=digest(), command=())))
    for rows in in_process(list(tiny.trials())[:8]):
        store.add(rows)
    store.flush()
    # Gone through once, as by every run: the manifest then names the parts in their order.
    keep_before(home)
    settle_received(home)
    return state(home)


@pytest.mark.parametrize("way", ["removed", "replaced by fewer", "all gone", "other numbers"])
def test_rows_that_were_there_before_are_not_lost_to_a_log(tiny: Study, tmp_path: Path, way: str):
    """A log that takes finished trials away, or changes their rows, leaves all as it was."""
    home, there = tmp_path / "home", tmp_path / "there"
    before = half(tiny, home)
    store = Store(create_folder(there, new_manifest(tiny, simulation=digest(), command=())))
    for rows in in_process(
        list(tiny.trials())[:5] if way == "replaced by fewer" else tiny.trials()
    ):
        store.add(rows)
    store.close("complete")
    if way == "other numbers":
        part = there / PARTS[0]
        table = read_part(part)
        at = table.column_names.index("touches")
        table = table.set_column(at, "touches", pc.add(table.column(at), 1.0))
        note = json.loads((there / "manifest.json").read_text())
        note["parts"][PARTS[0]] = write_part(table, part)
        (there / "manifest.json").write_text(json.dumps(note))
    log = sent(there)
    if way in ("removed", "all gone"):
        log = [f"study-results remove {name}" for name in PARTS]
        log += ["study-results remove manifest.json"] * (way == "all gone")
    with pytest.raises(ResultsError, match=rf"{3 if way == 'replaced by fewer' else 8} finished"):
        received(log, home, tiny)

    assert state(home) == before


def test_what_a_log_has_drawn_is_not_taken(tiny: Study, tmp_path: Path, log: list[str]):
    """Tables and the page are drawn from the rows at home: a log's own are passed over."""
    drawn = ("summary.csv", "contrasts.csv", "verdicts.csv", "report.html", "zonemaps.npz")
    forged = [line for name in drawn for line in put(name, b"=1\n<script>")]
    received([*log, *forged], tmp_path / "home", tiny)
    assert {p.name for p in (tmp_path / "home").iterdir()} == {"manifest.json", "trials", "series"}
    (tmp_path / "home/summary.csv").write_text("ours")
    received([*log, *forged, "study-results remove summary.csv"], tmp_path / "home", tiny)
    assert (tmp_path / "home/summary.csv").read_text() == "ours"


def test_a_run_that_was_sent_along_is_continued_there(tiny: Study, tmp_path: Path, whole):
    """What the job replaces of what was sent comes back in the same rows, and more of them."""
    home = tmp_path / "home"
    lines = sent_along(tiny, home)
    for end in (len(lines) // 2, len(lines)):
        received(lines[:end], home, tiny)
        assert len(read_trials(home)) >= 8
    assert {name: (home / name).read_bytes() for name in PARTS} == only_parts(whole)
    assert {p.name for p in home.iterdir()} == {"manifest.json", "trials", "series"}


def sent_along(tiny: Study, home: Path) -> list[str]:
    """Make a folder of eight trials; returns the log of a job that goes on from them."""
    there = home.with_name("there")
    before = half(tiny, home)
    names = list(sendable(home))
    for name in names:
        (there / name).parent.mkdir(parents=True, exist_ok=True)
        (there / name).write_bytes(before[name])
    with home.with_name("log").open("ab") as log:
        mirror = Mirror(there, Sender(log.fileno()), place="home", carried=names)
        run_study(tiny, there, Options(ray=False), mirror=mirror)
    return home.with_name("log").read_text().splitlines()


class Notes(Watcher):
    """Has what a run says."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        """Keep it."""
        self.said.append(text)


@pytest.mark.parametrize("step", sampled([9, 4], every=2))
def test_a_run_here_goes_on_from_what_a_killed_follower_left(
    tiny: Study, tmp_path: Path, whole, step: int
):
    """Wherever it was killed, no trial is run again that was there before or has come whole."""
    lines = sent_along(tiny, tmp_path / "home")
    told = set()
    for end in [*range(0, len(lines), step), len(lines)]:
        home = Path(shutil.copytree(tmp_path / "home", tmp_path / f"{end}"))
        keep_before(home)
        take_all(Receiver(home, awaited(tiny)), lines[:end])
        notes = Notes()
        resume_study(home, Options(ray=False), watcher=notes)

        assert notes.said[0] == (
            f"what a job's log had brought into {home} before it broke off is in its place"
        )
        told.add(notes.said[1])
        assert {name: (home / name).read_bytes() for name in TABLES} == whole
        assert not {".before", ".new"} & {path.name for path in home.iterdir()}
    assert told == {"8 trials are there already", "12 trials are there already"}


def test_what_was_started_over_is_not_put_back(tiny: Study, tmp_path: Path, whole):
    """Rows of before --force, kept by a follower that was killed, never take the place of new."""
    home = tmp_path / "home"
    run_study(tiny, home, Options(ray=False, limits=Limits(time_s=1e-6)))
    keep_before(home)
    assert (home / ".before/trials").is_dir()
    run_study(tiny, home, Options(ray=False, force=True))
    assert not (home / ".before").exists()
    assert keep_before(home) == ""
    settle_received(home)

    assert {name: (home / name).read_bytes() for name in TABLES} == whole


def test_what_is_put_back_is_told(tiny: Study, tmp_path: Path):
    """Whoever goes on after a log that took rows away hears that those of before are there."""
    home = tmp_path / "home"
    half(tiny, home)
    keep_before(home)
    take_all(Receiver(home, awaited(tiny)), [f"study-results remove {name}" for name in PARTS])
    notes = Notes()
    resume_study(home, Options(ray=False), watcher=notes)

    assert notes.said[0].startswith("the job's log takes away or changes 8 finished trials")
    assert notes.said[1] == "8 trials are there already"


def log_of(home: Path, parts: dict[str, pa.Table | bytes]) -> list[str]:
    """A log with these parts in the place of the first ones, and a manifest that names them."""
    manifest = json.loads((home / "manifest.json").read_text())
    lines, digests = [], {}
    for name, held in parts.items():
        content = held if isinstance(held, bytes) else bytes(part_bytes(held))
        lines += put(name, content)
        digests[name] = digest_of_bytes(content)
    lines += [f"study-results remove {name}" for name in PARTS if name not in parts]
    return [*lines, *put("manifest.json", json.dumps(manifest | {"parts": digests}).encode())]


def with_numbers(table: pa.Table, name: str, values: list[float]) -> pa.Table:
    column = pa.array(values, table.schema.field(name).type)
    return table.set_column(table.column_names.index(name), name, column)


def test_a_row_that_is_there_twice_stands_for_none(tiny: Study, tmp_path: Path):
    """Neither rows nor samples come home twice, others in a part before those that were there."""
    home = tmp_path / "home"
    before = half(tiny, home)
    rows, samples = (read_part(home / name) for name in PARTS)
    forged = with_numbers(rows, "rx_success_ratio", [0.999] * len(rows))
    later = with_numbers(samples, "nr_free9", [7] * len(samples))
    both: list[dict[str, pa.Table | bytes]] = [
        {"trials/part-000001.parquet": forged, "trials/part-000002.parquet": rows,
         "series/part-000001.parquet": samples},
        {"trials/part-000001.parquet": rows,
         "series/part-000001.parquet": later, "series/part-000002.parquet": samples},
    ]  # fmt: skip
    for parts in both:
        with pytest.raises(ResultsError, match="changes 8 finished trials"):
            received(log_of(home, parts), home, tiny)
        assert state(home) == before


def test_a_row_with_the_same_sum_is_another(tiny: Study, tmp_path: Path):
    """Two numbers of a row cannot be chosen so that what it is known by stays."""
    home = tmp_path / "home"
    before = half(tiny, home)
    rows, samples = (read_part(home / name) for name in PARTS)
    axes = {key for cell in tiny.cells for key in cell.levels}
    frame = rows.select(sorted(set(rows.column_names) - axes)).to_pandas()
    one, other = "reclaimed_pages", frame.columns[frame.columns.get_loc("reclaimed_pages") + 1]
    forged = with_same_sum(frame.iloc[:1], one, other)
    assert pd.util.hash_pandas_object(forged, index=False).tolist() == (
        pd.util.hash_pandas_object(frame.iloc[:1], index=False).tolist()
    )
    changed = rows
    for name in (one, other):
        values = [float(forged[name].iloc[0]), *frame[name].tolist()[1:]]
        changed = with_numbers(changed, name, values)
    with pytest.raises(ResultsError, match="changes 1 finished trials"):
        received(log_of(home, {PARTS[0]: changed, PARTS[1]: samples}), home, tiny)
    assert state(home) == before


WORD = (1 << 64) - 1


def with_same_sum(row: pd.DataFrame, one: str, other: str) -> pd.DataFrame:
    """A row with two other numbers and the same hash of pandas, which has no secret."""

    def hashed(name: str, value: object) -> int:
        dtype = object if isinstance(row[name].iloc[0], str) else row[name].dtype
        return int(pd.util.hash_array(np.array([value], dtype))[0])

    def shifted_back(value: int, by: int) -> int:
        found = value
        for _ in range(64 // by + 1):
            found = value ^ (found >> by)
        return found & WORD

    def number_of(value: int) -> float:
        """The number that has this hash: what is multiplied can be divided."""
        value = shifted_back(value, 31) * pow(0x94D049BB133111EB, -1, 1 << 64) & WORD
        value = shifted_back(value, 27) * pow(0xBF58476D1CE4E5B9, -1, 1 << 64) & WORD
        return float(np.uint64(shifted_back(value, 30)).view(np.float64))

    names = list(row.columns)
    total, factor = 0x345678, 1_000_003
    for place, name in enumerate(names[: names.index(one)]):
        total = (total ^ hashed(name, row[name].iloc[0])) * factor & WORD
        factor += 82_520 + 2 * (len(names) - place)
    kept = (total ^ hashed(one, row[one].iloc[0])) * factor & WORD
    for step in range(10_000):
        first = 1 + step * 1e-6
        now = (total ^ hashed(one, first)) * factor & WORD
        second = number_of(hashed(other, row[other].iloc[0]) ^ kept ^ now)
        if 0 < abs(second) < 1_000:
            return row.assign(**{one: first, other: second})
    raise AssertionError("of every ten numbers one will do")


def test_what_cannot_be_read_of_a_log_costs_no_row(tiny: Study, tmp_path: Path):
    """Parts without columns, or of too much, in the place of sound ones: all is as it was."""
    home = tmp_path / "home"
    before = half(tiny, home)
    rows, samples = (read_part(home / name) for name in PARTS)
    cell = tiny.cells[0].id
    odd: list[pa.Table | bytes] = [
        pa.table({"cell": [cell], "replicate": [0], "status": ["ok"]}),
        pa.table({"cell": [cell], "replicate": [0]}),
        pa.table({"replicate": [[1]]}),
        rows.drop_columns(["replicate"]),
        with_numbers(rows, "rx_success_ratio", [0.5] * len(rows)).drop_columns(["error"]),
        b"PAR1",
    ]
    for table in odd:
        for parts in ({PARTS[0]: table, PARTS[1]: samples}, {PARTS[0]: rows, PARTS[1]: table}):
            with pytest.raises(ResultsError, match="8 finished trials"):
                received(log_of(home, parts), home, tiny)
            assert state(home) == before


def test_what_a_log_brings_is_not_unpacked_without_end(tiny: Study, tmp_path: Path):
    """A part of a few kilobytes that unpacks to a gigabyte is never unpacked."""
    home = tmp_path / "home"
    half(tiny, home)
    rows, samples = (read_part(home / name) for name in PARTS)
    words = pa.DictionaryArray.from_arrays(np.zeros(300_000, np.int32), ["x" * 4_096])
    bomb = pa.table({"cell": words, "replicate": np.zeros(300_000, np.int64)})
    pq.write_table(bomb.append_column("status", words), tmp_path / "bomb", compression="zstd")
    parts = {
        PARTS[0]: rows,
        PARTS[1]: samples,
        "trials/part-000001.parquet": (tmp_path / "bomb").read_bytes(),
    }
    del bomb, words
    log = log_of(home, parts)
    most = pa.default_memory_pool().max_memory()
    received(log, home, tiny)

    assert pa.default_memory_pool().max_memory() - most < 100 << 20


def test_a_part_larger_than_its_study_is_not_taken(tiny: Study, tmp_path: Path):
    """Nor is one kept of which the manifest here says that there cannot be so much."""
    home = tmp_path / "home"
    half(tiny, home)
    ours = json.loads((home / "manifest.json").read_text())
    receiver = Receiver(home, Awaited(ours["fingerprint"], ours))
    for name in (PARTS[0], f".new/{PARTS[0]}"):
        with pytest.raises(ResultsError, match="bytes in the job's log; at most"):
            receiver.take(f"study-results put {name} {2**31 - 1} {'0' * 32}")


@pytest.mark.parametrize(
    "held", [None, 1, "a", [1], [{}], [{"name": "x", "digest": "", "packed": 1}]]
)
def test_recorded_loads_of_another_shape_end_in_words(held: object, tiny: Study):
    """A log whose scenario has what is no recording under the name is of another study."""
    manifest = new_manifest(tiny, simulation=digest(), command=())
    changed = {**manifest, "scenario": {**manifest["scenario"], "recordings": held}}

    for known in (None, manifest):
        with pytest.raises(ResultsError, match="the job's log"):
            Awaited(manifest["fingerprint"], known).check(json.dumps(changed).encode())
