"""The zone does what the kernel's own code was recorded to do, operation by operation."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from study.replay.recording import is_recording
from study.replay.source import replay_source
from study.replay.trace import ReplayError
from study.terminal.replay import source_verdict

FOLDER = Path(__file__).resolve().parent.parent / "data" / "oracle-2.6"
RECORDINGS = sorted(path.stem for path in FOLDER.glob("*.npz"))
VERSIONS = ("2.6.8", "2.6.9", "2.6.10", "2.6.11")


@pytest.fixture(scope="module")
def recording() -> Callable[[str], Path]:
    """Path of a recording by its name."""
    return lambda name: FOLDER / f"{name}.npz"


@pytest.fixture
def changed(tmp_path: Path) -> Callable[..., Path]:
    """Writes a recording anew with some of its arrays changed; None leaves one out."""

    def write(name: str, **arrays: object) -> Path:
        with np.load(FOLDER / f"{name}.npz") as file:
            content = {key: file[key] for key in file.files}
        for key, value in arrays.items():
            content[key] = value(content[key].copy()) if callable(value) else value  # type: ignore[assignment]
        path = tmp_path / f"{name}.npz"
        np.savez_compressed(path, **{k: v for k, v in content.items() if v is not None})
        return path

    return write


def put(*where: object, value: object) -> Callable[[np.ndarray], np.ndarray]:
    """Changes one place of an array."""

    def change(array: np.ndarray) -> np.ndarray:
        array[where] = value
        return array

    return change


def test_recordings_of_every_version_are_at_hand() -> None:
    """Thirty files; each version has its reclaim, its allocator or cases of its own."""
    assert len(RECORDINGS) == 30
    for version in VERSIONS:
        assert any(f"-{version}-" in name for name in RECORDINGS)


@pytest.mark.parametrize("name", RECORDINGS)
def test_the_zone_does_what_the_source_did(recording: Callable[[str], Path], name: str) -> None:
    """Answers, lists in order, flags and counters after every operation, and waits for the disk."""
    result = replay_source(recording(name))

    assert result.first_difference is None
    assert result.equal == result.naps_equal == result.operations > 10


@pytest.mark.parametrize(
    ("name", "version"),
    [
        # One file that tells a version from each other one; allocator files have no reclaim.
        ("reclaim-2.6.8-swap", "2.6.9"),
        ("reclaim-2.6.8-swap", "2.6.10"),
        ("reclaim-2.6.9-swap", "2.6.8"),
        ("reclaim-2.6.9-swap", "2.6.10"),
        ("reclaim-2.6.10-swap", "2.6.9"),
        ("reclaim-2.6.10-swap", "2.6.11"),
        ("reclaim-2.6.11-swap", "2.6.10"),
        ("allocator-2.6.8-1024", "2.6.9"),
        ("allocator-2.6.10-1024", "2.6.11"),
        ("case-2.6.8-noswap-anon", "2.6.9"),
        ("case-2.6.8-order-of-freed", "2.6.10"),
        ("case-2.6.10-order-of-freed", "2.6.9"),
        ("case-2.6.10-all-under-writeback", "2.6.11"),
        ("case-2.6.8-wish-while-awake", "2.6.11"),
    ],
)
def test_no_other_version_does_it(changed: Callable[..., Path], name: str, version: str) -> None:
    """The rules of another kernel come to another state sooner or later: nothing is passed over."""
    result = replay_source(changed(name, version=np.str_(version)))

    assert result.first_difference is not None
    assert result.equal < result.operations or result.naps_equal < result.operations


@pytest.mark.parametrize(
    ("name", "array", "place", "field"),
    [
        ("reclaim-2.6.11-swap", "ops", (700, 4), "answer"),
        ("reclaim-2.6.11-swap", "states", (701, 0), "free"),
        ("reclaim-2.6.9-swap", "states", (702, 7), "prev_priority"),
        ("reclaim-2.6.11-file", "states", (703, 14), "naps_direct"),
        ("reclaim-2.6.8-swap", "digests", (704, 0), "free_lists"),
        ("reclaim-2.6.8-swap", "digests", (705, 1), "lru_lists"),
        ("reclaim-2.6.8-swap", "digests", (706, 2), "flags"),
        ("marks", "rows", (20, 4), "low"),
    ],
)
def test_a_difference_is_found_where_it_is(
    changed: Callable[..., Path], name: str, array: str, place: tuple[int, int], field: str
) -> None:
    """One number of a recording changed: that row, that field, and no other."""

    def other(numbers: np.ndarray) -> np.ndarray:
        numbers[place] ^= 1
        return numbers

    result = replay_source(changed(name, **{array: other}))

    first = result.first_difference
    assert first is not None
    assert (first.row, first.field) == (place[0], field)
    assert first.kernel != first.ours
    wrong = (result.operations - result.equal, result.operations - result.naps_equal)
    assert wrong == ((0, 1) if field.startswith("naps") else (1, 0))


def test_what_the_zone_cannot_do_ends_the_comparison(changed: Callable[..., Path]) -> None:
    """A block freed that nobody has: the rows before count, the rest does not, in words."""

    def never_got(ops: np.ndarray) -> np.ndarray:
        row = int(np.flatnonzero(ops[:, 0] == 2)[3])
        ops[row, 2] = 10 if ops[row, 2] != 10 else 9
        ops[row, 1] = 0
        return ops

    result = replay_source(changed("allocator-2.6.8-1024", ops=never_got))

    first = result.first_difference
    assert first is not None
    assert (first.field, result.equal) == ("operation", first.row)
    assert "free of pfn 0, order 10" in "".join(source_verdict(result))
    assert "ours cannot" in "".join(source_verdict(result))


def test_a_run_of_kswapd_without_end_is_one_it_cannot_do(changed: Callable[..., Path]) -> None:
    """2.6.10 goes round for ever while all that is inactive is being written, and time stands."""
    with np.load(FOLDER / "case-2.6.10-all-under-writeback.npz") as file:
        ops, states, digests = file["ops"], file["states"], file["digests"]
    more = np.zeros((1, 5), ops.dtype)
    more[0, 0] = 6

    path = changed(
        "case-2.6.10-all-under-writeback",
        ops=np.concatenate([ops, more]),
        states=np.concatenate([states, states[-1:]]),
        digests=np.concatenate([digests, digests[-1:]]),
    )
    result = replay_source(path)

    assert result.equal == len(ops)
    assert result.first_difference is not None
    assert result.first_difference.row == len(ops)


def letters(number: int, order: str = "<", rows: int = 0) -> np.ndarray:
    """Text, or a vector of it, of numbers that may stand for no letter."""
    return np.full(rows or 1, number, f"{order}u4").view(f"{order}U1").reshape((rows,) * (rows > 0))


UNUSABLE = {
    "a kernel that is not recorded": ({"version": np.str_("2.6.12")}, "2.6.11"),
    "no version": ({"version": None}, "no column 'version'"),
    "a version that is a number": ({"version": np.int64(3)}, "no value of text"),
    "no pages": ({"pages": np.int64(0)}, "pages is 0"),
    "more pages than lowmem": ({"pages": np.int64(1 << 40)}, "pages is"),
    "two marks": ({"marks": np.array([1, 2])}, "min, low and high"),
    "marks that fall": ({"marks": np.array([3, 2, 1])}, "ascend"),
    "no batch": ({"batch": np.int64(0)}, "batch is 0"),
    "a share of nothing": ({"total_memory": np.int64(0)}, "total_memory is 0"),
    "kinds of other pages": ({"anon": np.zeros(3, bool)}, "without a kind"),
    "anonymous and unmapped": (
        {"anon": np.ones(1331, bool), "mapped": np.zeros(1331, bool)},
        "not mapped",
    ),
    "a kind that is a number": ({"anon": np.zeros(1331, np.int8)}, "vector of yes and no"),
    "operations of four": ({"ops": lambda ops: ops[:, :4]}, "five numbers"),
    "operations in a row": ({"ops": lambda ops: ops.reshape(-1)}, "no table of whole numbers"),
    "operations of fractions": ({"ops": lambda ops: ops * 0.5}, "no table of whole numbers"),
    "operations by columns": (
        {"ops": np.asfortranarray},
        "laid out otherwise",
    ),
    "objects": ({"ops": lambda ops: ops.astype(object)}, "Python objects"),
    "an unknown operation": ({"ops": put(9, 0, value=10)}, "unknown operation in row 9"),
    "a page past the end": ({"ops": put(2, slice(None), value=[2, 1024, 0, 0, 0])}, "in row 2"),
    "an order too large": ({"ops": put(2, slice(None), value=[1, 11, 32, -1, 0])}, "in row 2"),
    "a large order that wraps": ({"ops": put(2, slice(None), value=[2, 0, 64, 0, 0])}, "in row 2"),
    "a page before the first": ({"ops": put(2, slice(None), value=[7, -1, 0, 0, 0])}, "in row 2"),
    "a virtual page too far": ({"ops": put(2, slice(None), value=[3, 1331, 0, -1, 0])}, "in row 2"),
    "a priority of 13": ({"ops": put(2, slice(None), value=[8, 13, 0, 0, 0])}, "in row 2"),
    "a distress without end": ({"ops": put(2, slice(None), value=[9, 1, 64, 0, 0])}, "in row 2"),
    "a sleeper of no number": ({"ops": put(2, slice(None), value=[4, -1, 0, 0, 0])}, "in row 2"),
    "a boot past the end": ({"ops": put(0, 2, value=1025)}, "in row 0"),
    "a field nobody knows": ({"fields": put(0, value="frei")}, "no field 'frei'"),
    "a field twice": ({"fields": put(0, value="hot")}, "one name"),
    "states of fewer": ({"states": lambda states: states[:-1]}, "a state an operation"),
    "sums of fewer": ({"digests": lambda digests: digests[:-1]}, "three sums"),
    "no operation": (
        {
            **{name: (lambda rows: rows[:0]) for name in ("ops", "states", "digests")},
            **{name: (lambda rows: rows[:0]) for name in ("snap_at", "snap_lengths")},
            **{name: (lambda rows: rows[:0]) for name in ("snap_lists", "snap_flags")},
        },
        "no operation in it",
    ),
    "a kernel of no letters": ({"version": letters(0x110000)}, "stands for no letter"),
    "a kernel of negative letters": ({"version": letters(0xFFFFFFFF)}, "stands for no letter"),
    "a kernel of half letters": ({"version": letters(0xD800)}, "stands for no letter"),
    "a kernel of another order": ({"version": letters(0x110000, ">")}, "stands for no letter"),
    "fields of no letters": ({"fields": letters(0x7FFFFFFF, rows=16)}, "stands for no letter"),
    "a page beyond 32 bits": (
        {"snap_lists": lambda lists: lists.astype(np.int64) + (1 << 40)},
        "a page that is not there",
    ),
    "a page before all": ({"snap_lists": put(5, value=-1)}, "a page that is not there"),
    "flags beyond 8 bits": (
        {"snap_flags": lambda flags: flags.astype(np.int64) + 256},
        "flags of more than a byte",
    ),
    "a list changed": ({"snap_lists": put(5, value=7)}, "check sums"),
    "a flag changed": ({"snap_flags": put(5, value=7)}, "check sums"),
    "a snapshot too far": ({"snap_at": put(1, value=99_999)}, "of no operation in row 1"),
    "a snapshot too early": ({"snap_at": put(1, value=-1)}, "of no operation in row 1"),
    "lists without end": ({"snap_lengths": put(0, 0, value=1 << 29)}, "long list"),
    "lists of negative length": ({"snap_lengths": put(0, 0, value=-1)}, "long list"),
    "lists cut off": ({"snap_lists": lambda lists: lists[:-1]}, "as long as they say"),
    "flags cut off": ({"snap_flags": lambda flags: flags[:-1]}, "a flag an LRU page"),
}


@pytest.mark.parametrize("what", UNUSABLE)
def test_a_recording_that_cannot_be_is_refused_in_words(
    changed: Callable[..., Path], what: str
) -> None:
    """The file is named, and what of it is wrong; nothing is replayed."""
    arrays, words = UNUSABLE[what]
    path = changed("reclaim-2.6.8-swap", **arrays)  # type: ignore[arg-type]

    with pytest.raises(ReplayError) as refusal:
        replay_source(path)

    assert str(refusal.value).startswith(f"{path}: ")
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"rows": put(3, 0, value=2612)}, "row 3 is of another kernel"),
        ({"rows": put(3, 1, value=0)}, "no possible size in row 3"),
        ({"rows": put(3, 2, value=5)}, "no possible size in row 3"),
        ({"columns": put(3, value="mini")}, "unknown column 'mini'"),
        ({"columns": put(1, value="mini")}, "not named"),
        ({"columns": letters(0x110000, rows=12)}, "no letter"),
        ({"rows": lambda rows: rows[:0]}, "no zone in it"),
        ({"columns": put(3, value="low")}, "one name"),
        ({"columns": lambda columns: columns[:-1]}, "not as wide"),
    ],
)
def test_a_table_of_marks_that_cannot_be_is_refused(
    changed: Callable[..., Path], arrays: dict[str, object], words: str
) -> None:
    """Also where another kernel's marks, or zones of no size, are asked for."""
    with pytest.raises(ReplayError, match=words):
        replay_source(changed("marks", **arrays))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_file_cut_off_is_refused(
    recording: Callable[[str], Path], tmp_path: Path, share: float
) -> None:
    """Wherever it ends, one line says so."""
    content = recording("reclaim-2.6.9-swap").read_bytes()
    path = tmp_path / "cut.npz"
    path.write_bytes(content[: int(len(content) * share)])

    with pytest.raises(ReplayError, match="cut off or damaged"):
        replay_source(path)


@pytest.mark.parametrize("seed", range(6))
def test_damaged_bytes_never_give_a_traceback(
    recording: Callable[[str], Path], tmp_path: Path, seed: int
) -> None:
    """A few bytes changed: refused in words, or replayed if the damage is where nobody looks."""
    random = np.random.default_rng(seed)
    content = bytearray(recording("case-2.6.8-short-inactive-list").read_bytes())
    for place in random.integers(len(content), size=4):
        content[place] = int(random.integers(256))
    path = tmp_path / "damaged.npz"
    path.write_bytes(bytes(content))

    done = subprocess.run(
        [sys.executable, "-m", "study", "replay", "--json", path],
        capture_output=True,
        text=True,
        check=False,
    )

    if done.returncode == 0:
        assert json.loads(done.stdout)["operations"] == 14
    else:
        assert done.returncode == 2
        assert done.stderr.startswith(f"study: {path}: ")
        assert len(done.stderr.splitlines()) == 1


def test_a_member_that_lies_of_its_size_is_refused(
    recording: Callable[[str], Path], tmp_path: Path
) -> None:
    """What a header declares is held against what the archive holds before anything is made."""
    path = tmp_path / "lies.npz"
    with zipfile.ZipFile(recording("reclaim-2.6.8-file")) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "states.npy":
                content = content.replace(b"(4010, 16)", b"(4010, 99)")
            new.writestr(name, content)

    with pytest.raises(ReplayError, match=r"declares 4,010 rows and holds"):
        replay_source(path)


def test_recordings_are_known_by_what_they_hold(
    recording: Callable[[str], Path], excerpts: Path
) -> None:
    """Neither name nor place: traces are no recordings, recordings no traces."""
    assert is_recording(recording("marks"))
    assert is_recording(recording("case-2.6.8-mapped-ratio"))
    assert not any(is_recording(path) for path in excerpts.glob("*.npz"))
    assert not is_recording(FOLDER / "README.md")


def test_the_command_prints_an_object_a_recording(
    recording: Callable[[str], Path], changed: Callable[..., Path]
) -> None:
    """operations, equal, naps_equal and first_difference; exit status 2 only for the unreadable."""
    wrong = changed("reclaim-2.6.8-file", states=put(50, 0, value=1))
    paths = [recording("marks"), recording("case-2.6.9-wish-while-awake"), wrong]

    done = subprocess.run(
        [sys.executable, "-m", "study", "replay", "--json", *map(str, paths)],
        capture_output=True,
        text=True,
        check=True,
    )

    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["recording"] for one in found] == list(map(str, paths))
    assert [one["operations"] for one in found] == [512, 963, 4010]
    assert [one["equal"] for one in found] == [512, 963, 4009]
    assert [one["naps_equal"] for one in found] == [512, 963, 4010]
    assert [one["first_difference"] is None for one in found] == [True, True, False]
    assert found[2]["first_difference"]["row"] == 50
    assert found[2]["first_difference"]["field"] == "free"


def test_the_command_says_in_words_what_came_of_it(
    recording: Callable[[str], Path], changed: Callable[..., Path], tmp_path: Path
) -> None:
    """A line a file, a second one where it differs first; a file that cannot be read is told."""
    wrong = changed("reclaim-2.6.8-file", states=put(50, 0, value=1))
    absent = tmp_path / "absent.npz"

    done = subprocess.run(
        [sys.executable, "-m", "study", "replay", recording("marks"), wrong, absent],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    lines = done.stdout.splitlines()
    assert lines[0] == "marks.npz: all 512 zones equal"
    assert lines[1] == "reclaim-2.6.8-file.npz: 4,009 of 4,010 operations equal"
    assert lines[2].startswith("  first difference: operation 50 (")
    assert "free: the kernel 1, ours " in lines[2]
    assert done.stderr.splitlines() == [f"study: {absent}: No such file or directory"]
