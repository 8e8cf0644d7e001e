"""Files through a job's log: what is read of it is a whole run of some rows, or nothing."""

import os
from hashlib import blake2b
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.fanout import in_process
from study.results import ResultsError, Store, create_folder, read_series, read_trials
from study.results.manifest import new_manifest
from study.results.mirror import Mirror
from study.results.relay import Receiver, Sender, settle_received
from study.runs import Options, resume_study, run_study
from study.scenario import Study, load
from study.zone.engine.compile import digest

TABLES = ("trials/part-000000.parquet", "series/part-000000.parquet", "summary.csv")


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


def received(lines: list[str], home: Path) -> Receiver:
    home.mkdir()
    receiver = Receiver(home)
    take_all(receiver, lines)
    settle_received(home)
    return receiver


def test_all_of_a_log_is_all_of_the_run(log: list[str], tmp_path: Path, whole):
    """What has come home is, byte for byte, what lies there; other lines are handed on."""
    receiver = Receiver(tmp_path)
    shown = [line for line in log if receiver.take(line) is not None]

    assert shown == ["5/12 trials", "9/12 trials", "12/12 trials"]
    assert receiver.status == 0
    assert {name: (tmp_path / name).read_bytes() for name in TABLES} == whole
    assert {p.name for p in tmp_path.iterdir()} == {
        "manifest.json",
        "summary.csv",
        "trials",
        "series",
    }


def test_a_log_that_breaks_off_anywhere_can_be_continued(log: list[str], tmp_path: Path, whole):
    """After every line in turn: rows and samples are read back, none twice, and the run goes on."""
    finished = []
    for end in range(1, len(log) + 1):
        home = tmp_path / str(end)
        status = received(log[:end], home).status
        if not (home / "manifest.json").exists():
            continue
        trials, series = read_trials(home), read_series(home)
        assert len(trials.drop_duplicates(["cell", "replicate"])) == len(trials)
        assert len(series.drop_duplicates()) == len(series)
        finished.append(len(trials))
        assert (status == 0) == (end == len(log))
        if end % 5 == 0:
            resume_study(home, Options(ray=False))
            assert {name: (home / name).read_bytes() for name in TABLES} == whole
    assert finished == sorted(finished)
    assert {5, 9, 12} <= set(finished)


@given(content=st.binary(max_size=200_000), flip=st.integers(0))
def test_what_arrives_is_what_was_sent_or_nothing(content: bytes, flip: int, tmp_path_factory):
    """Any bytes pass; if a letter of the lines is another, the file is refused and not written."""
    top = tmp_path_factory.mktemp("any")
    (top / "source").write_bytes(content)
    with (top / "log").open("ab") as log:
        Sender(log.fileno()).put("zonemaps.npz", top / "source")
    lines = (top / "log").read_text().splitlines()
    assert max(map(len, lines)) < 70_000
    receiver = Receiver(top)
    assert [receiver.take(line) for line in lines] == [None] * len(lines)
    assert (top / "zonemaps.npz").read_bytes() == content

    (top / "zonemaps.npz").unlink()
    data = [number for number, line in enumerate(lines) if " data " in line]
    if data:
        number = data[flip % len(data)]
        at = len("study-results data ") + flip % (len(lines[number]) - 22)
        other = "A" if lines[number][at] != "A" else "B"
        lines[number] = lines[number][:at] + other + lines[number][at + 1 :]
        with pytest.raises(ResultsError, match="damaged"):
            take_all(receiver, lines)
        assert not (top / "zonemaps.npz").exists()


@pytest.mark.parametrize(
    "name",
    ["../x.json", "/etc/x.json", "trials/../../x.json", "trials/part-1.parquet", ".lock", "a/b.csv",
     "manifest.json/x", "report.html\x00", ".new/manifest.json", "x.py"],
)  # fmt: skip
def test_a_log_names_no_other_files(tmp_path: Path, name: str):
    """Only files of a results folder are taken, whatever a log says."""
    for words in (f"put {name} 0 0", f"remove {name}", f"move {name} manifest.json"):
        with pytest.raises(ResultsError, match="names a file of no results folder"):
            Receiver(tmp_path).take(f"study-results {words}")
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
    receiver = Receiver(tmp_path)
    with pytest.raises(ResultsError) as error:
        take_all(receiver, [f"study-results {words}" for words in said])

    assert str(error.value).isprintable()
    assert len(str(error.value)) < 200 + len(str(tmp_path))
    assert receiver.status is None
    assert not list(tmp_path.iterdir())


def test_what_is_in_the_way_of_a_file_is_told(tmp_path: Path):
    """A folder that cannot take what comes is named with the reason."""
    (tmp_path / "trials").write_text("")
    (tmp_path / "summary.csv").mkdir()
    empty = blake2b(b"", digest_size=16).hexdigest()
    for name in ("trials/part-000000.parquet", "summary.csv"):
        put = f"study-results put {name} 0 {empty}"
        with pytest.raises(ResultsError, match=r"cannot|where a folder has to be"):
            take_all(Receiver(tmp_path), [put, f"study-results end {name}"])
    with pytest.raises(ResultsError, match=r"cannot be done in .*: remove summary.csv: Is a dir"):
        Receiver(tmp_path).take("study-results remove summary.csv")


def test_a_log_without_files_brings_none():
    """Where the job writes its results elsewhere, its log says how it ended and nothing more."""
    receiver = Receiver(None)
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
        mirror.carry()
    assert (tmp_path / "log").read_text() == "study-results remove verdicts.csv\n"
