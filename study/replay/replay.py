"""Feed one trace through our allocator, zone by zone, and compare."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from study.replay.columnar import read_columnar
from study.replay.ftrace import read_text
from study.replay.siblings import (
    NR_TYPES,
    TYPE_NAMES,
    ZONE_ENDS,
    FreeLists,
    Siblings,
    Snapshot,
    find_siblings,
)
from study.replay.trace import (
    FAILED_PFN,
    KNOWN_CODES,
    PAGEBLOCK_ORDER,
    Code,
    ReplayError,
    Trace,
    name_of,
)
from study.zone.settings import NR_ORDERS

PCP_ORDERS = frozenset({0, 1, 2, 3, PAGEBLOCK_ORDER})
"""Orders that the per-cpu lists keep: costly ones only if they are huge pages (5.13)."""
_PAGES_MAX = ZONE_ENDS[-1][1]
"""Frames up to 256 GB of memory; a pfn beyond is taken for damage."""
_STEALS_BY_CLAIM = (6, 10)
"""Since this release a steal leaves free pages where they are unless it claims the pageblock."""

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
"""Irregularities counted while feeding: name in the report -> name in study.zone.feed.Tally."""
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


@dataclass(frozen=True)
class _Span:
    """A zone's name and frames."""

    name: str
    start_pfn: int
    end_pfn: int


@dataclass(frozen=True)
class _Ops:
    """What the rows do, one entry an operation on the free lists or a page's user."""

    row: np.ndarray
    op: np.ndarray
    pfn: np.ndarray
    order: np.ndarray
    migratetype: np.ndarray
    aux: np.ndarray

    def take(self, which: np.ndarray) -> _Ops:
        return _Ops(
            self.row[which],
            self.op[which],
            self.pfn[which],
            self.order[which],
            self.migratetype[which],
            self.aux[which],
        )


def read_trace(path: Path) -> Trace:
    """Read a trace of any kind known here. Raises ReplayError if that cannot be done."""
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except IsADirectoryError:
        raise ReplayError(f"{path}: a folder; name the trace_*.npz files in it") from None
    except OSError as fault:
        raise ReplayError(f"{path}: {fault.strerror or fault}") from None
    if not start:
        raise ReplayError(f"{path}: the file is empty")
    if start.startswith(b"PK") or path.suffix == ".npz":
        return read_columnar(path)
    return read_text(path)


def replay(path: Path) -> Replay:
    """Feed a trace through the allocator and compare it with what was recorded beside it.

    Raises ReplayError if the trace, or a file beside it, cannot be used.
    """
    trace = read_trace(path)
    siblings = find_siblings(path.parent, name_of(path))
    result = Replay(trace=str(path), rows=trace.rows, snapshots=0)
    result.not_compared = _not_compared(siblings)
    oddities = dict.fromkeys((*READ, *TALLIED), 0) | trace.oddities
    oddities["lost_events"] += siblings.lost
    ops = _translate(trace, siblings, oddities)
    spans = _spans(ops, siblings)
    ops = _within(ops, spans, oddities)
    _compare(result, ops, spans, siblings, oddities, _claims_only(trace, siblings))
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
    ops = _translate(trace, siblings, oddities)
    spans = _spans(ops, siblings)
    ops = _within(ops, spans, oddities)
    ops = ops.take(ops.row < row)
    types = siblings.start.pageblock_types.copy()
    found: dict[str, Any] = {}
    for span in spans:
        fed = _ZoneFeed(span, ops, siblings, _claims_only(trace, siblings))
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


def _claims_only(trace: Trace, siblings: Siblings) -> bool:
    """Whether the kernel steals as 6.10 and later do: known by its name, else by its habits."""
    if siblings.release is not None:
        return siblings.release >= _STEALS_BY_CLAIM
    # Up to 6.9 a steal is followed at once by the request that it is for.
    which = (trace.code == Code.ZONE_LOCKED) | (trace.code == Code.EXTFRAG)
    code, order = trace.code[which], trace.order[which]
    steal = np.flatnonzero(code[:-1] == Code.EXTFRAG)
    followed = (code[steal + 1] == Code.ZONE_LOCKED) & (order[steal + 1] == order[steal])
    return bool(steal.size) and followed.mean() < 0.9


def _translate(trace: Trace, siblings: Siblings, oddities: dict[str, int]) -> _Ops:
    """What each row does to the lists, by the rules of the kernel that wrote it."""
    from study.zone.feed import Op

    code, order = trace.code, trace.order
    failed = (code == Code.ALLOC) & (trace.pfn == FAILED_PFN)
    refused = (code == Code.ISOLATE) & (trace.aux == 0)
    known = np.isin(code, list(KNOWN_CODES))
    oddities["failed_allocations"] += int(failed.sum())
    oddities["refused_isolations"] += int(refused.sum())
    oddities["unknown_events"] += int((~known).sum())
    by_pcp = np.isin(order, list(PCP_ORDERS))
    freed_at_once = (code == Code.FREE_ONE) & ~by_pcp
    claims_only = _claims_only(trace, siblings)
    # Without the probe that tells of types, a steal tells whether it took the pageblock over.
    owned = (code == Code.EXTFRAG) & (trace.aux >> 16 & 1 == 1) & ~(code == Code.SET_TYPE).any()
    owned_twice = owned & (trace.aux & 0xFF > PAGEBLOCK_ORDER)
    steps = [
        (Op.RETYPE, owned),
        (Op.RETYPE, owned_twice),
        (Op.REQUEST, code == Code.ZONE_LOCKED),
        (Op.STOLEN if claims_only else Op.FALLBACK, code == Code.EXTFRAG),
        (Op.ENTER, (code == Code.PCPU_DRAIN) | (code == Code.FREE_ONE)),
        (Op.ISOLATE, (code == Code.ISOLATE) & ~refused),
        (Op.RETYPE, code == Code.SET_TYPE),
        (Op.ALLOCATED, (code == Code.ALLOC) & ~failed),
        (Op.FREED, code == Code.FREE),
    ]
    if not freed_at_once.any():
        # Large blocks go past the per-cpu lists; only newer kernels say so by free_one_page.
        steps.append((Op.ENTER, (code == Code.FREE) & ~by_pcp))
    rows = [np.flatnonzero(which) for _, which in steps]
    row = np.concatenate(rows)
    op = np.repeat([int(step) for step, _ in steps], [len(r) for r in rows])
    # Of one row, the free comes before the block enters the lists.
    by_row = np.argsort(row, kind="stable")
    pfn = trace.pfn[row]
    pfn[len(rows[0]) : len(rows[0]) + len(rows[1])] += 1 << PAGEBLOCK_ORDER
    row, op, pfn = row[by_row], op[by_row], pfn[by_row]
    migratetype = trace.migratetype[row]
    told = trace.code[row] == Code.PCPU_DRAIN
    if not claims_only:
        told |= trace.code[row] == Code.FREE_ONE
    migratetype = np.where((op == Op.ENTER) & ~told, -1, migratetype)
    order = np.where(op == Op.RETYPE, 0, trace.order[row])
    aux = np.where(trace.code[row] == Code.EXTFRAG, trace.aux[row] & 0xFF, trace.aux[row])
    ops = _Ops(row, op, pfn, order, migratetype, aux)
    return _in_range(ops, oddities)


def _in_range(ops: _Ops, oddities: dict[str, int]) -> _Ops:
    """Leave out rows that no kernel writes."""
    from study.zone.feed import Op

    typed = np.isin(ops.op, [Op.REQUEST, Op.FALLBACK, Op.STOLEN, Op.RETYPE])
    good = (ops.order >= 0) & (ops.order < NR_ORDERS) & (ops.pfn >= 0) & (ops.pfn < _PAGES_MAX)
    good &= (ops.migratetype < NR_TYPES) & ((ops.migratetype >= 0) | ~typed)
    shift = np.clip(ops.order, 0, NR_ORDERS)
    good &= ops.pfn & ((np.int64(1) << shift) - 1) == 0
    oddities["rows_out_of_range"] += len(np.unique(ops.row[~good]))
    return ops.take(good)


def _spans(ops: _Ops, siblings: Siblings) -> list[_Span]:
    """The zones and where they lie."""
    lists = siblings.start or siblings.end
    if lists is not None:
        spans = [_Span(name, z.start_pfn, z.end_pfn) for name, z in lists.zones.items()]
        return sorted(spans, key=lambda span: span.start_pfn)
    last = int((ops.pfn + (1 << ops.order)).max()) if len(ops.pfn) else 1
    spans, start = [], 0
    for name, end in ZONE_ENDS:
        if last > start:
            spans.append(_Span(name, start, min(end, last)))
        start = end
    return spans


def _within(ops: _Ops, spans: list[_Span], oddities: dict[str, int]) -> _Ops:
    """Leave out blocks that lie in no zone."""
    inside = np.zeros(len(ops.pfn), bool)
    for span in spans:
        inside |= (ops.pfn >= span.start_pfn) & (ops.pfn + (1 << ops.order) <= span.end_pfn)
    # A pageblock's first frame may lie before a zone that begins inside it.
    from study.zone.feed import Op

    inside |= ops.op == Op.RETYPE
    oddities["rows_out_of_range"] += len(np.unique(ops.row[~inside]))
    return ops.take(inside)


def _compare(
    result: Replay,
    ops: _Ops,
    spans: list[_Span],
    siblings: Siblings,
    oddities: dict[str, int],
    claims_only: bool,
) -> None:
    from study.zone.feed import Tally

    shots = _comparable_snapshots(result, siblings)
    comparable = siblings.start is not None
    ordered = siblings.start is not None and siblings.start.ordered
    exact = np.ones(len(shots), bool)
    tally = np.zeros(len(Tally), np.int64)
    first_misses = []
    for span in spans:
        fed = _ZoneFeed(span, ops, siblings, claims_only)
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
    result: Replay, zone: str, shots: list[Snapshot], fed: _ZoneFeed, exact: np.ndarray
) -> None:
    for i, shot in enumerate(shots):
        kernel = shot.nr_free.get(zone)
        if kernel is not None and not np.array_equal(kernel, fed.nr_free[i]):
            exact[i] = False
            result.differences.append(Difference(i, zone, kernel.tolist(), fed.nr_free[i].tolist()))


def _compare_indices(result: Replay, zone: str, shots: list[Snapshot], fed: _ZoneFeed) -> None:
    """The printed indices against ours, where the zone stood still while they were read."""
    from study.zone.indices import extfrag_index, unusable_index

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


def _compare_lists(result: Replay, zone: str, siblings: Siblings, fed: _ZoneFeed) -> None:
    end = siblings.end
    if end is None or zone not in end.zones or (siblings.end_row or 0) > result.rows:
        return
    kernel = {key: pfns for key, pfns in end.zones[zone].lists.items() if len(pfns)}
    ours = fed.lists_at_end
    result.lists += len(kernel.keys() | ours.keys())
    alike = sum(key in ours and np.array_equal(pfns, ours[key]) for key, pfns in kernel.items())
    result.lists_exact = (result.lists_exact or 0) + alike


class _ZoneFeed:
    """One zone, fed with the rows that concern it."""

    def __init__(self, span: _Span, ops: _Ops, siblings: Siblings, claims_only: bool) -> None:
        from study.zone import feed

        self._feed = feed
        self._siblings = siblings
        self.zone = feed.BareZone(
            span.start_pfn, span.end_pfn, PAGEBLOCK_ORDER, claims_only=claims_only
        )
        self._base = self.zone.base
        inside = (ops.pfn >= self._base) & (ops.pfn < span.end_pfn)
        self._ops = ops.take(inside & (ops.row >= siblings.start_row))
        self.tally = np.zeros(len(feed.Tally), np.int64)
        self.tally[feed.Tally.FIRST_MISS] = -1
        self.users = np.zeros(len(self.zone.frame), np.int64)
        self.nr_free = np.zeros((0, NR_ORDERS), np.int64)
        self.moved_during = np.zeros(0, bool)
        self.lists_at_end: dict[tuple[int, int], np.ndarray] = {}
        self._fill(span.name, siblings.start)

    def _fill(self, name: str, start: FreeLists | None) -> None:
        z = self.zone.state
        if start is None or name not in start.zones:
            return
        for (order, migratetype), pfns in start.zones[name].lists.items():
            self._feed.fill_list(z, order, migratetype, pfns - self._base)
        types = start.pageblock_types[self._base >> PAGEBLOCK_ORDER :]
        self._feed.set_types(z, np.ascontiguousarray(types))
        self._feed.note_free_at_start(z, self.users)

    def run(self, shots: list[Snapshot]) -> None:
        """Feed all rows; keep the counts at each snapshot and the lists at the end."""
        rows = self._ops.row
        stops = np.searchsorted(rows, np.array([shot.row for shot in shots], np.int64))
        settled = np.searchsorted(rows, np.array([shot.settled for shot in shots], np.int64))
        self.nr_free = np.zeros((len(shots), NR_ORDERS), np.int64)
        self.moved_during = self._moves(stops, settled)
        end = len(rows)
        if self._siblings.end_row is not None:
            end = int(np.searchsorted(rows, self._siblings.end_row))
        early = int(np.searchsorted(stops, end, side="right"))
        self._part(0, end, stops[:early], 0)
        self._read_lists()
        self._part(end, len(rows), stops[early:], early)

    def _moves(self, stops: np.ndarray, settled: np.ndarray) -> np.ndarray:
        """Whether blocks left or entered the zone's lists between two places in the rows."""
        op = self._feed.Op
        moving = np.isin(self._ops.op, [op.REQUEST, op.STOLEN, op.ENTER, op.ISOLATE])
        before = np.concatenate([[0], np.cumsum(moving)])
        return np.asarray(before[settled] != before[stops])

    def _part(self, first: int, last: int, stops: np.ndarray, shot: int) -> None:
        columns = [
            np.ascontiguousarray(column[first:last])
            for column in (
                self._ops.op,
                self._ops.pfn - self._base,
                self._ops.order,
                self._ops.migratetype,
                self._ops.aux,
            )
        ]
        counts = np.zeros(len(stops) * NR_ORDERS, np.int64)
        self._feed.feed(
            self.zone.state,
            *columns,
            np.ascontiguousarray(stops - first),
            counts,
            self.users,
            self.tally,
            self._siblings.start is not None,
        )
        self.nr_free[shot : shot + len(stops)] = counts.reshape(-1, NR_ORDERS)

    def read_types(self, types: np.ndarray) -> None:
        """Enter the zone's pageblock types into those of all memory."""
        first = self._base >> PAGEBLOCK_ORDER
        here = self.zone.pageblock["migratetype"]
        rows = min(len(here), len(types) - first)
        types[first : first + rows] = here[:rows]

    def _read_lists(self) -> None:
        z = self.zone.state
        for order in range(NR_ORDERS):
            for migratetype in range(NR_TYPES):
                length = self._feed.read_list(z, order, migratetype, np.zeros(0, np.int64))
                pfns = np.zeros(length, np.int64)
                self._feed.read_list(z, order, migratetype, pfns)
                if length:
                    self.lists_at_end[order, migratetype] = pfns + self._base


def as_json(result: Replay) -> dict[str, Any]:
    """The object that `study replay --json` prints for a trace."""
    from dataclasses import asdict

    return asdict(result)
