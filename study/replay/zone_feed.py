"""One zone of a recorded machine, fed with the rows that concern it."""

from __future__ import annotations

import numpy as np

from study.replay.operations import Recording, Span
from study.replay.siblings import NR_TYPES, FreeLists, Siblings, Snapshot
from study.replay.trace import PAGEBLOCK_ORDER
from study.zone.settings import NR_ORDERS


class ZoneFeed:
    """A zone between its recorded start and the end of its rows.

    tally         counts by study.zone.trial.feed.Tally
    nr_free       free blocks at each snapshot, (snapshots, 11)
    moved_during  at each snapshot, whether blocks moved until its indices had been read
    lists_at_end  (order, migratetype) -> pfns in list order, of lists that hold any
    """

    def __init__(self, span: Span, recording: Recording, siblings: Siblings) -> None:
        from study.zone.trial import feed

        self._feed = feed
        self._siblings = siblings
        self.zone = feed.BareZone(
            span.start_pfn, span.end_pfn, PAGEBLOCK_ORDER, claims_only=recording.claims_only
        )
        self._base = self.zone.base
        ops = recording.ops
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
        self._find_captures()
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

    def _find_captures(self) -> None:
        ops = self._ops
        self._wanted = np.full(len(ops.row), -1, np.int64)
        columns = [np.ascontiguousarray(c) for c in (ops.op, ops.pfn - self._base, ops.order)]
        last = np.zeros(len(self.zone.frame), np.int64)
        self._feed.find_captures(self.zone.state, *columns, last, self._wanted)

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
                self._wanted,
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
        # The types that were read at the start may end before the zone begins.
        rows = max(min(len(here), len(types) - first), 0)
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
