"""Reading recordings of the kernel's own code: operations, and the state after each.

tests/data/oracle-2.6/README.md has the format. Nothing of a recording is believed before it is held
against bounds, against each other and, for the lists that it shows, against its own check sums.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from study.replay.columnar import Wanted, members_of, read_arrays
from study.replay.trace import ReplayError

OPERATIONS_MAX = 1_000_000
"""Twice the longest walk that the source was recorded at; their states take some 200 MB."""
PAGES_MAX = 1 << 20
"""Of a zone: 4 GiB, a good deal more than lowmem ever is on i386."""
MARKS_MAX = 100_000
"""Zones in a table of marks."""
_LISTED_MAX = 64_000_000
_NAMES_MAX = 64
_SMALL_MAX = 1 << 30
_GFP_MAX = 0xFFFF
_ORDER_MAX = 10
_PRIORITY_MAX = 12

_SCALARS = {
    "version": Wanted(0, 1, "U"),
    "pages": Wanted(0, 1),
    "reserved": Wanted(0, 1),
    "swap": Wanted(0, 1, "b"),
    "batch": Wanted(0, 1),
    "total_memory": Wanted(0, 1),
}
_ARRAYS = {
    "marks": Wanted(1, 3),
    "anon": Wanted(1, PAGES_MAX, "b"),
    "mapped": Wanted(1, PAGES_MAX, "b"),
    "ops": Wanted(2, 5 * OPERATIONS_MAX),
    "fields": Wanted(1, _NAMES_MAX, "U"),
    "states": Wanted(2, _NAMES_MAX * OPERATIONS_MAX),
    "digests": Wanted(2, 3 * OPERATIONS_MAX),
    "snap_at": Wanted(1, OPERATIONS_MAX),
    "snap_lengths": Wanted(2, 15 * OPERATIONS_MAX),
    "snap_lists": Wanted(1, _LISTED_MAX),
    "snap_flags": Wanted(1, _LISTED_MAX),
}
_TABLE = {"columns": Wanted(1, _NAMES_MAX, "U"), "rows": Wanted(2, _NAMES_MAX * MARKS_MAX)}


@dataclass(frozen=True)
class Recording:
    """One stream of operations and what came of them.

    version, pages, swap, marks, batch, total_memory  of the zone; marks are (min, low, high)
    anon, mapped  kinds of the virtual pages
    ops           (n, 5): code, a, b, c, answer
    states        (n, fields) by `fields`
    digests       (n, 3)
    """

    path: Path
    version: str
    pages: int
    swap: bool
    marks: tuple[int, int, int]
    batch: int
    total_memory: int
    anon: np.ndarray
    mapped: np.ndarray
    ops: np.ndarray
    fields: tuple[str, ...]
    states: np.ndarray
    digests: np.ndarray


@dataclass(frozen=True)
class MarksTable:
    """What boot computed for zones of many sizes: `rows` (zones, columns) by `columns`."""

    path: Path
    columns: tuple[str, ...]
    rows: np.ndarray


def is_recording(path: Path) -> bool:
    """Is this a recording of the kernel's own code, and not a trace of a machine?

    What cannot be read is neither; whoever reads it says why.
    """
    try:
        return not members_of(path).isdisjoint({"ops", "rows"})
    except ReplayError:
        return False


def read_recording(path: Path) -> Recording | MarksTable:
    """Read a stream of operations, or the table of marks.

    Raises
    ------
    ReplayError
        If it is cut off, damaged, beyond all bounds, or contradicts itself.
    """
    if "ops" not in members_of(path):
        return _read_marks(path)
    at = read_arrays(path, _SCALARS | _ARRAYS)
    check = _Check(path)
    check.that(at["marks"].shape == (3,), "marks are not min, low and high")
    recording = Recording(
        path=path,
        version=check.version(str(at["version"])),
        pages=check.between("pages", at["pages"], 1, PAGES_MAX),
        swap=bool(at["swap"]),
        marks=tuple(check.between("marks", mark, 0, _SMALL_MAX) for mark in at["marks"]),  # type: ignore[arg-type]
        batch=check.between("batch", at["batch"], 1, PAGES_MAX),
        total_memory=check.between("total_memory", at["total_memory"], 1, _SMALL_MAX),
        anon=at["anon"],
        mapped=at["mapped"],
        ops=at["ops"],
        fields=tuple(map(str, at["fields"])),
        states=at["states"],
        digests=at["digests"],
    )
    check.between("reserved", at["reserved"], 0, recording.pages)
    _check_shapes(check, recording)
    _check_operations(check, recording)
    _check_snapshots(check, recording, at)
    return recording


def _read_marks(path: Path) -> MarksTable:
    at = read_arrays(path, _TABLE)
    columns = tuple(map(str, at["columns"]))
    check = _Check(path)
    check.that(len(at["rows"]) > 0, "no zone in it")
    check.that(at["rows"].shape[1] == len(columns), "rows are not as wide as their columns")
    check.that({"version", "pages", "lowmem_pages"} <= set(columns), "the zones are not named")
    check.that(len(set(columns)) == len(columns), "two columns have one name")
    pages = at["rows"][:, columns.index("pages")]
    lowmem = at["rows"][:, columns.index("lowmem_pages")]
    right = (pages >= 1) & (lowmem >= pages) & (lowmem <= _SMALL_MAX)
    check.rows(right, "a zone of no possible size")
    return MarksTable(path, columns, at["rows"])


class _Check:
    """Refuses what cannot be, in the name of a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def that(self, right: bool, problem: str) -> None:
        if not right:
            raise ReplayError(f"{self.path}: no recording as expected ({problem})")

    def between(self, name: str, value: np.ndarray, least: int, most: int) -> int:
        number = int(value)
        self.that(least <= number <= most, f"{name} is {number}, not {least} to {most}")
        return number

    def rows(self, right: np.ndarray, problem: str) -> None:
        """`right` has an entry a row."""
        if not right.all():
            self.that(False, f"{problem} in row {int(np.argmin(right)):,}")

    def version(self, name: str) -> str:
        from study.zone.trial.recorded import VERSIONS

        self.known(name, VERSIONS, "kernel")
        return name

    def known(self, name: str, allowed: Iterable[str], what: str) -> None:
        names = list(allowed)
        if name not in names:
            near = get_close_matches(name, names, 1)
            mean = f"; the nearest is {near[0]}" if near else ""
            self.that(False, f"no {what} {name[:40]!r}, there are {', '.join(names)}{mean}")


def _check_shapes(check: _Check, recording: Recording) -> None:
    from study.zone.trial.recorded import DIGESTS, FIELDS

    n = len(recording.ops)
    check.that(n > 0, "no operation in it")
    check.that(recording.ops.shape[1] == 5, "an operation is not five numbers")
    for name in recording.fields:
        check.known(name, FIELDS, "field")
    check.that(len(set(recording.fields)) == len(recording.fields), "two fields have one name")
    check.that(recording.states.shape == (n, len(recording.fields)), "not a state an operation")
    check.that(recording.digests.shape == (n, len(DIGESTS)), "not three sums an operation")
    check.that(len(recording.anon) == len(recording.mapped), "virtual pages without a kind")
    check.that(bool(recording.mapped[recording.anon].all()), "an anonymous page that is not mapped")
    low, mid, high = recording.marks
    check.that(low <= mid <= high, "the marks do not ascend")


def _check_operations(check: _Check, recording: Recording) -> None:
    """Numbers that no operation of its kind can have; whether a zone can do it is seen later."""
    from study.zone.trial.recorded import SLEEPERS_MOST, Op

    code, a, b, c, _ = recording.ops.T
    pages, virtual = recording.pages, len(recording.anon)
    check.rows(np.isin(code, list(Op)), "an unknown operation")
    named = (c >= -1) & (c < SLEEPERS_MOST)
    order = (b >= 0) & (b <= _ORDER_MAX)
    block = order & (a >= 0) & (a + (1 << np.where(order, b, 0)) <= pages)
    right = {
        Op.BOOT: (a >= 0) & (a <= b) & (b <= pages),
        Op.REQUEST: (a >= 0) & (a <= _ORDER_MAX) & (b >= 0) & (b <= _GFP_MAX) & named,
        Op.FREE: block & (c >= 0) & (c <= 1),
        Op.TOUCH: (a >= 0) & (a < virtual) & (b >= 0) & (b <= 1) & named,
        Op.RESUME: (a >= 0) & (a < SLEEPERS_MOST),
        Op.DELETE: (a >= 0) & (a < virtual),
        Op.WRITE_ENDS: (a >= 0) & (a < pages),
        Op.SHRINK_ZONE: (a >= 0) & (a <= _PRIORITY_MAX),
        Op.REFILL_INACTIVE: (a >= 0) & (a <= _SMALL_MAX) & (b >= 0) & (b <= _PRIORITY_MAX),
    }
    for op, fits in right.items():
        check.rows((code != op) | fits, f"{op.name.lower().replace('_', ' ')} of what is not there")


def _check_snapshots(check: _Check, recording: Recording, at: dict[str, np.ndarray]) -> None:
    """The lists that are written out must be those whose sums are given."""
    from study.zone.trial.recorded import NR_LISTS

    rows, lengths, lists, flags = (
        at[name] for name in ("snap_at", "snap_lengths", "snap_lists", "snap_flags")
    )
    n = len(recording.ops)
    check.that(lengths.shape == (len(rows), NR_LISTS), "not fifteen lists a snapshot")
    check.rows((rows >= 0) & (rows < n), "a snapshot of no operation")
    check.that(bool((lengths >= 0).all() and (lengths <= recording.pages).all()), "a long list")
    of_lru = lengths[:, NR_LISTS - 2 :]
    check.that(int(lengths.sum()) == len(lists), "lists that are not as long as they say")
    check.that(int(of_lru.sum()) == len(flags), "not a flag an LRU page")
    check.that(bool(((lists >= 0) & (lists < recording.pages)).all()), "a page that is not there")
    check.that(bool(((flags >= 0) & (flags < 1 << 8)).all()), "flags of more than a byte")
    ends = np.cumsum(lengths.reshape(-1))
    flag_ends = np.cumsum(of_lru.sum(axis=1))
    pfns = lists.astype("<i4")
    bits = flags.astype(np.uint8).tobytes()
    for shot, row in enumerate(rows.tolist()):
        sums = [0, 0, zlib.crc32(bits[flag_ends[shot] - of_lru[shot].sum() : flag_ends[shot]])]
        for which in range(NR_LISTS):
            end = ends[shot * NR_LISTS + which]
            part = pfns[end - lengths[shot, which] : end].tobytes() + b"\xff\xff\xff\xff"
            lru = which >= NR_LISTS - 2
            sums[lru] = zlib.crc32(part, sums[lru])
        check.that(
            sums == recording.digests[row].tolist(),
            f"the lists after operation {row:,} are not those of its check sums",
        )
