"""Feed one trace through our allocator, zone by zone, and compare."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from study.replay.columnar import read_columnar
from study.replay.contents import Contents, contents_of
from study.replay.files import in_short, open_regular
from study.replay.ftrace import read_text
from study.replay.operations import Recording, operations
from study.replay.siblings import TYPE_NAMES, Siblings, Snapshot, find_siblings
from study.replay.trace import ReplayError, Trace, name_of
from study.replay.zone_feed import ZoneFeed
from study.zone.settings import NR_ORDERS

TALLIED = {
    "blocks_left_not_free": "LEFT_NOT_FREE",
    "blocks_entered_twice": "ENTERED_TWICE",
    "blocks_isolated_in_part": "ISOLATED_NOT_WHOLE",
    "blocks_captured_by_compaction": "CAPTURED",
    "frees_of_pages_allocated_before_start": "FREED_BEFORE_START",
    "frees_of_pages_allocated_untraced": "FREED_UNTRACED",
    "frees_in_parts": "FREED_IN_PARTS",
    "allocations_of_pages_in_use": "ALLOCATED_TWICE",
    "fallbacks_different": "FALLBACK_DIFFERS",
}
"""Irregularities counted while feeding: name in the report -> name in zone.trial.feed.Tally."""
READ = (
    "lost_events",
    "failed_allocations",
    "refused_isolations",
    "unknown_events",
    "unreadable_lines",
    "unplaced_pages",
    "rows_cut_off",
    "rows_out_of_range",
)
"""Irregularities seen while reading."""


@dataclass(frozen=True)
class Difference:
    """One zone of one snapshot that came out otherwise than the kernel showed it."""

    snapshot: int
    zone: str
    kernel: list[int]
    ours: list[int]


@dataclass
class Replay:
    """What came of one trace; None stands for: not compared."""

    trace: str
    rows: int
    snapshots: int
    snapshots_exact: int | None = None
    zone_requests: int = 0
    pfn_exact: int | None = None
    free_running: bool | None = None
    first_miss: int | None = None
    """Requests served alike before the first that was not."""
    indices: int = 0
    """Printed extfrag and unusable indices of zones in which nothing moved while they were read."""
    indices_exact: int | None = None
    lists: int = 0
    """Free lists with a block in them, in the kernel or here, when the trace ended."""
    lists_exact: int | None = None
    irregularities: dict[str, int] = field(default_factory=dict)
    not_compared: list[str] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    contents: Contents = field(default_factory=Contents)


def read_trace(path: Path) -> Trace:
    """Read a trace of any kind known here. Raises ReplayError if that cannot be done."""
    with open_regular(path) as file:
        try:
            start = file.read(4)
        except OSError as error:
            raise ReplayError(f"{path}: {in_short(error)}") from None
    if not start:
        raise ReplayError(f"{path}: the file is empty")
    if start.startswith(b"PK") or path.suffix == ".npz":
        return read_columnar(path)
    return read_text(path)


def replay(path: Path) -> Replay:
    """Feed a trace through the allocator and compare it with what was recorded beside it.

    Raises ReplayError if the trace, or a file beside it, cannot be used, or memory is too small.
    """
    try:
        return _replay(path)
    except MemoryError:
        raise ReplayError(f"{path}: there is not the memory for so many rows or frames") from None


def _replay(path: Path) -> Replay:
    trace = read_trace(path)
    siblings = find_siblings(path.parent, name_of(path))
    result = Replay(trace=str(path), rows=trace.rows, snapshots=0)
    result.contents = contents_of(path, trace)
    result.not_compared = _not_compared(siblings)
    oddities = dict.fromkeys((*READ, *TALLIED), 0) | trace.oddities
    oddities["lost_events"] += siblings.lost
    _compare(result, operations(trace, siblings, oddities), siblings, oddities)
    result.irregularities = oddities
    return result


def lists_after(path: Path, row: int) -> dict[str, Any]:
    """Our free lists after so many rows of a trace, laid out as a freelists_NAME_0.json.gz.

    Raises ReplayError if the trace cannot be used or nothing is known of its start.
    """
    trace = read_trace(path)
    siblings = find_siblings(path.parent, name_of(path))
    if siblings.start is None:
        raise ReplayError(f"{path}: what was free at its start is not known")
    oddities: dict[str, int] = dict.fromkeys((*READ, *TALLIED), 0)
    recording = operations(trace, siblings, oddities)
    recording = replace(recording, ops=recording.ops.take(recording.ops.row < row))
    types = siblings.start.pageblock_types.copy()
    found: dict[str, Any] = {}
    for span in recording.spans:
        fed = ZoneFeed(span, recording, siblings)
        fed.run([])
        lists: dict[str, dict[str, list[int]]] = {str(o): {} for o in range(NR_ORDERS)}
        for (order, migratetype), pfns in fed.lists_at_end.items():
            lists[str(order)][TYPE_NAMES[migratetype]] = pfns.tolist()
        found[span.name] = {
            "free_list": lists,
            "start_pfn": span.start_pfn,
            "spanned": span.end_pfn - span.start_pfn,
        }
        fed.read_types(types)
    return {**found, "pageblock_mt": types.tolist(), "migratetypes": list(TYPE_NAMES)}


def _not_compared(siblings: Siblings) -> list[str]:
    lines = []
    absent = " and ".join(siblings.missing)
    if siblings.start is None:
        lines.append("counts and placement: what was free at the start is not known")
    else:
        if not siblings.start.ordered:
            lines.append("placement: the order of the free lists at the start is not known")
        if siblings.snapshots is None:
            lines.append("counts: no snapshots")
    if siblings.end is None:
        lines.append("the lists at the end: none recorded")
    return [*lines, f"{absent}: not found"] if absent else lines


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _compare(
    result: Replay, recording: Recording, siblings: Siblings, oddities: dict[str, int]
) -> None:
    from study.zone.trial.feed import Tally

    shots = _comparable_snapshots(result, siblings)
    comparable = siblings.start is not None
    ordered = siblings.start is not None and siblings.start.ordered
    exact = np.ones(len(shots), bool)
    tally = np.zeros(len(Tally), np.int64)
    first_misses = []
    for span in recording.spans:
        fed = ZoneFeed(span, recording, siblings)
        fed.run(shots)
        tally += fed.tally
        if fed.tally[Tally.FIRST_MISS] >= 0:
            first_misses.append(int(fed.tally[Tally.FIRST_MISS]))
        if comparable:
            _compare_counts(result, span.name, shots, fed, exact)
            _compare_indices(result, span.name, shots, fed)
        if ordered:
            _compare_lists(result, span.name, siblings, fed)
    for name, member in TALLIED.items():
        oddities[name] += int(tally[Tally[member]])
    result.zone_requests = int(tally[Tally.REQUESTS])
    if comparable and siblings.snapshots is not None:
        result.snapshots_exact = int(exact.sum())
    if ordered:
        result.pfn_exact = int(tally[Tally.PFN_EXACT])
        if result.zone_requests:
            result.free_running = result.pfn_exact == result.zone_requests
        result.first_miss = min(first_misses, default=None)
    else:
        oddities["fallbacks_different"] = 0


def _comparable_snapshots(result: Replay, siblings: Siblings) -> list[Snapshot]:
    """The snapshots between the lists of the start and the end of the trace."""
    shots = siblings.snapshots or []
    early = sum(shot.row < siblings.start_row for shot in shots)
    late = sum(shot.row > result.rows for shot in shots)
    if early and siblings.start is not None:
        result.not_compared.append(f"{_plural(early, 'snapshot')} before the start was recorded")
    if late:
        result.not_compared.append(f"{_plural(late, 'snapshot')} after the end of the trace")
    shots = [shot for shot in shots if siblings.start_row <= shot.row <= result.rows]
    result.snapshots = len(shots)
    return shots


def _compare_counts(
    result: Replay, zone: str, shots: list[Snapshot], fed: ZoneFeed, exact: np.ndarray
) -> None:
    for i, shot in enumerate(shots):
        kernel = shot.nr_free.get(zone)
        if kernel is not None and not np.array_equal(kernel, fed.nr_free[i]):
            exact[i] = False
            result.differences.append(Difference(i, zone, kernel.tolist(), fed.nr_free[i].tolist()))


def _compare_indices(result: Replay, zone: str, shots: list[Snapshot], fed: ZoneFeed) -> None:
    """The printed indices against ours, where the zone stood still while they were read."""
    from study.zone.trial.indices import extfrag_index, unusable_index

    for i, shot in enumerate(shots):
        if fed.moved_during[i]:
            continue
        counts = fed.nr_free[i].tolist()
        for printed, index in ((shot.extfrag, extfrag_index), (shot.unusable, unusable_index)):
            if zone not in printed:
                continue
            ours = [index(counts, order) for order in range(NR_ORDERS)]
            result.indices += NR_ORDERS
            result.indices_exact = (result.indices_exact or 0) + int(
                (printed[zone] == np.array(ours)).sum()
            )


def _compare_lists(result: Replay, zone: str, siblings: Siblings, fed: ZoneFeed) -> None:
    end = siblings.end
    if end is None or zone not in end.zones or (siblings.end_row or 0) > result.rows:
        return
    kernel = {key: pfns for key, pfns in end.zones[zone].lists.items() if len(pfns)}
    ours = fed.lists_at_end
    result.lists += len(kernel.keys() | ours.keys())
    alike = sum(key in ours and np.array_equal(pfns, ours[key]) for key, pfns in kernel.items())
    result.lists_exact = (result.lists_exact or 0) + alike


def as_json(result: Replay) -> dict[str, Any]:
    """The object that `study replay --json` prints for a trace."""
    told = asdict(result)
    told["contents"] = result.contents.plain()
    return told
