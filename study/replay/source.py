"""Recordings of the kernel's own code, put to the zone operation by operation, and compared."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from study.replay.recording import MarksTable, Recording, read_recording
from study.replay.trace import ReplayError

NAPS = ("naps_direct", "naps_kswapd")
"""Fields that are counted apart: how often somebody waited for the disk."""
OPERATION = "operation"
"""Stands for a field where the zone cannot do what the kernel did."""
_ANSWER = "answer"


@dataclass(frozen=True)
class FirstDifference:
    """Where the zone first came out otherwise than the kernel.

    Parameters
    ----------
    row
        Of the operation, from 0 on.
    field
        What differed: `answer`, a counter, `free_lists`, `lru_lists`, `flags`; `operation` if the
        zone could not do what the kernel did.
    about
        The operation in words.
    kernel, ours
        The two values; of lists and flags their check sums.
    """

    row: int
    field: str
    about: str
    kernel: int
    ours: int


@dataclass(frozen=True)
class SourceReplay:
    """What came of one recording.

    Parameters
    ----------
    recording
        Path of the file.
    version
        Kernel; empty for a table of marks, which has several.
    operations
        In the recording; in a table of marks, zones.
    equal
        Operations after which answer, counters, lists and flags were the kernel's, waits apart.
    naps_equal
        Operations after which as many waits had been counted.
    first_difference
        None if there is none, in the waits neither.
    """

    recording: str
    version: str
    operations: int
    equal: int
    naps_equal: int
    first_difference: FirstDifference | None


def replay_source(path: Path) -> SourceReplay:
    """Put a recording of the kernel's own code to the zone and compare after each operation.

    Raises
    ------
    ReplayError
        If it cannot be read, or would take too long.
    """
    try:
        recording = read_recording(path)
        if isinstance(recording, MarksTable):
            return _compare_marks(recording)
        return _compare(recording)
    except MemoryError:
        raise ReplayError(f"{path}: there is not the memory for so many operations") from None


def as_json(result: SourceReplay) -> dict[str, Any]:
    """The object that `study replay --json` prints for a recording."""
    return asdict(result)


def _compare(recording: Recording) -> SourceReplay:
    from study.zone.trial import recorded

    zone = recorded.bare_zone(
        recording.version,
        recording.pages,
        recording.marks,
        swap=recording.swap,
        anon=recording.anon,
        mapped=recording.mapped,
    )
    zone.own["pcp_batch"] = recording.batch
    zone.own["total_memory"] = recording.total_memory
    n = len(recording.ops)
    code, a, b, c, answer = (np.ascontiguousarray(column) for column in recording.ops.T)
    answers = np.zeros(n, np.int64)
    states = np.zeros(n * len(recorded.FIELDS), np.int64)
    digests = np.zeros(n * len(recorded.DIGESTS), np.int64)
    spent = np.zeros(1, np.int64)
    done = recorded.carry_out(
        zone.state,
        code,
        a,
        b,
        c,
        recorded.crc_table(),
        np.full(recorded.SLEEPERS_MOST, recorded.NOBODY, np.int64),
        np.full(recording.pages, recorded.UNBOOTED, np.int64),
        answers,
        states,
        digests,
        spent,
    )
    if spent[0] > recorded.WORK_MOST:
        raise ReplayError(
            f"{recording.path}: to look at all its lists would take too long; give a part of it"
        )
    columns = [recorded.FIELDS.index(name) for name in recording.fields]
    named = {
        _ANSWER: (answer, answers),
        **dict(
            zip(
                recording.fields,
                zip(recording.states.T, states.reshape(n, -1)[:, columns].T, strict=True),
                strict=True,
            )
        ),
        **dict(
            zip(
                recorded.DIGESTS,
                zip(recording.digests.T, digests.reshape(n, -1).T, strict=True),
                strict=True,
            )
        ),
    }
    first = _first_difference(recording, named, done)
    alike = {name: kernel == ours for name, (kernel, ours) in named.items()}
    return SourceReplay(
        recording=str(recording.path),
        version=recording.version,
        operations=n,
        equal=_rows_alike(alike, [name for name in alike if name not in NAPS], done),
        naps_equal=_rows_alike(alike, [name for name in alike if name in NAPS], done),
        first_difference=first,
    )


def _rows_alike(alike: dict[str, np.ndarray], names: list[str], done: int) -> int:
    """Operations carried out after which all of these fields were alike."""
    right = np.ones(len(alike[_ANSWER]), bool)
    for name in names:
        right &= alike[name]
    return int(right[:done].sum())


def _first_difference(
    recording: Recording, named: dict[str, tuple[np.ndarray, np.ndarray]], done: int
) -> FirstDifference | None:
    row, field = done, OPERATION
    for name, (kernel, ours) in named.items():
        differs = np.flatnonzero(kernel[:done] != ours[:done])
        if differs.size and differs[0] < row:
            row, field = int(differs[0]), name
    if row == len(recording.ops):
        return None
    kernel, ours = named.get(field, (np.ones(row + 1), np.zeros(row + 1)))
    about = operation_in_words(recording.ops[row].tolist())
    return FirstDifference(row, field, about, int(kernel[row]), int(ours[row]))


def operation_in_words(operation: list[int]) -> str:
    """An operation of a recording, (code, a, b, c, answer), for people."""
    code, a, b, c, _ = operation
    return (
        f"boot of pages {a} to {b}",
        f"request of order {a}, flags {b:#x}",
        f"free of pfn {a}, order {b}{', cold' if c else ''}",
        f"{'write' if b else 'read'} of virtual page {a}",
        f"sleeper {a} goes on",
        f"delete of virtual page {a}",
        "run of kswapd",
        f"end of the write of pfn {a}",
        f"shrink_zone at priority {a}",
        f"refill_inactive_zone of {a} pages at priority {b}",
    )[code]


def _compare_marks(table: MarksTable) -> SourceReplay:
    from study.zone.trial import recorded

    versions = {int(name.replace(".", "")): name for name in recorded.VERSIONS}
    first: FirstDifference | None = None
    equal = 0
    for row, numbers in enumerate(table.rows.tolist()):
        kernel = dict(zip(table.columns, numbers, strict=True))
        version = versions.get(kernel.pop("version"))
        if version is None:
            known = ", ".join(versions.values())
            raise ReplayError(f"{table.path}: row {row} is of another kernel than {known}")
        pages, lowmem = kernel.pop("pages"), kernel.pop("lowmem_pages")
        ours = recorded.constants(version, pages, lowmem)
        unknown = kernel.keys() - ours.keys()
        if unknown:
            raise ReplayError(f"{table.path}: an unknown column {min(unknown)[:40]!r}")
        differs = [name for name in kernel if kernel[name] != ours[name]]
        equal += not differs
        if differs and first is None:
            about = f"boot of {pages} pages, {lowmem} of lowmem, {version}"
            first = FirstDifference(row, differs[0], about, kernel[differs[0]], ours[differs[0]])
    n = len(table.rows)
    return SourceReplay(str(table.path), "", n, equal, n, first)
