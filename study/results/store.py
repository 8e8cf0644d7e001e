"""Rows to disk, as they come: parts that are complete or absent, tables that end up sorted."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, cast

from study.results.columns import axis_columns, series_table, trials_table
from study.results.errors import ResultsError, TakenOver
from study.results.folder import Folder, drop_replaced
from study.results.manifest import now
from study.results.noted import free_number, numbered, write_parts
from study.results.resume import Kept
from study.results.sorting import sort_table

if TYPE_CHECKING:
    import pyarrow as pa

    from study.fanout import Row
    from study.results.model import Ended, Failure

_FLUSH_ROWS = 5_000
"""A row with two hundred metrics takes some 15 KB while it waits."""
_FLUSH_BYTES = 64 * 1024 * 1024
_FLUSH_S = (1.0, 10.0)
"""The first part is written soon, so that a run that ends early has something to go on from;
from then on time between parts doubles up to this."""
_FAILURES_LISTED = 20


class Store:
    """Writes one study's rows into its folder.

    Rows may come in any order; each part is written under another name and then renamed. Memory
    holds the rows since the last flush and no more.

    Parameters
    ----------
    folder
        The caller is its only writer.
    kept
        What the folder holds already, from adopt(); None for a new folder.
    """

    def __init__(self, folder: Folder, kept: Kept | None = None) -> None:
        kept = kept or Kept()
        self.folder = folder
        counts = folder.manifest["counts"]
        counts["finished"], counts["failed"] = len(kept.done), kept.failed
        self._axes = axis_columns(folder.manifest["axes"], folder.manifest["cells"])
        self._metrics = None if kept.metrics is None else list(kept.metrics)
        self._rows: list[Row] = []
        self._bytes = 0
        self._batch: dict[Path, pa.Table] | None = None
        """Path -> table of parts that are being written. A signal may interrupt that at any point;
        the next flush then writes those that are missing, and no row twice."""
        self._next = kept.next_part
        self._has_trials_part = bool(kept.done)
        self._has_series_part = len(kept.done) > kept.failed
        self._flushed_at = self._began_at = monotonic()
        self._elapsed_before = float(folder.manifest.get("elapsed_s") or 0.0)
        self._flush_s = _FLUSH_S[0]
        self.trouble = ""
        """Why the last flush could not be copied to the other filesystem; the next tries again."""

    def add(self, rows: Iterable[Row]) -> None:
        """Take rows in; write them out when enough have gathered or time has passed.

        Parameters
        ----------
        rows
            Of this study, each once. With none, earlier rows are written if their time has come.

        Raises
        ------
        ResultsError
            They cannot be written.
        """
        counts = self.folder.manifest["counts"]
        for row in rows:
            self._rows.append(row)
            if row.series is not None:
                self._bytes += row.series.nbytes
                self.folder.manifest["sampled"] = True
            self.folder.manifest["trial_seconds"] += row.elapsed_s
            counts["finished"] += 1
            if row.status == "failed":
                counts["failed"] += 1
            elif self._metrics is None:
                self._metrics = list(row.metrics)
        if (
            len(self._rows) >= _FLUSH_ROWS
            or self._bytes >= _FLUSH_BYTES
            or ((self._rows or self.trouble) and monotonic() - self._flushed_at >= self._flush_s)
        ):
            self.flush()
            self._flush_s = min(2 * self._flush_s, _FLUSH_S[1])

    def flush(self, *, last: bool = False) -> None:
        """Write what has gathered as one part of each table, and the counts so far.

        Until a trial has succeeded nobody knows the metrics, and every part must have the same
        columns: failed rows wait for that, or for the last flush.

        Parameters
        ----------
        last
            Write failed rows too if no trial has succeeded, and an empty table if there is no row.

        Raises
        ------
        TakenOver
            Another run writes the folder by now.
        ResultsError
            They cannot be written on this machine. What cannot be copied to another filesystem is
            only noted in `trouble`.
        """
        self._flushed_at = monotonic()
        elapsed_s = self._elapsed_before + monotonic() - self._began_at
        self.folder.manifest["elapsed_s"] = round(elapsed_s, 3)
        if self._batch is not None:
            self._write(self._batch)
        if self._is_ready(last=last):
            parts = self._parts_of_rows(last=last)
            # One statement, so that no signal leaves the rows both in the batch and waiting.
            self._batch, self._rows, self._bytes = parts, [], 0
            self._write(parts)
        else:
            self.folder.save_manifest()
        try:
            self.folder.publish()
            self.trouble = ""
        except TakenOver:
            raise
        except ResultsError as fault:
            self.trouble = str(fault)

    def _is_ready(self, *, last: bool) -> bool:
        """Is there anything to write as parts now: rows, or at the end an empty table?"""
        if self._rows:
            return last or self._metrics is not None
        return last and not self._has_trials_part

    def _parts_of_rows(self, *, last: bool) -> dict[Path, pa.Table]:
        self._next = free_number(self.folder, self._next)
        name = numbered(self._next)
        parts: dict[Path, pa.Table] = {}
        series = series_table(self._rows)
        if len(series) or (last and not self._has_series_part):
            parts[self.folder.series / name] = series
        parts[self.folder.trials / name] = trials_table(self._rows, self._axes, self._metrics or [])
        return parts

    def _write(self, batch: dict[Path, pa.Table]) -> None:
        write_parts(self.folder, batch)
        if any(len(table) for table in batch.values()):
            drop_replaced(self.folder.path)
        self._has_trials_part = True
        self._has_series_part |= len(batch) > 1
        self._batch = None

    def close(
        self,
        state: Ended,
        *,
        elapsed_s: float | None = None,
        headline: Iterable[tuple[str, str]] = (),
    ) -> None:
        """End the run: write the rest, sort the tables, summarise, and record the state.

        Parameters
        ----------
        state
            How the run ended.
        elapsed_s
            Wall time of all runs in seconds; None counts it from when this store was made, on top
            of what the manifest has of earlier runs.
        headline
            (metric, label) of what a terminal shows first.

        Raises
        ------
        ResultsError
            There are fewer rows than trials that finished, or more: somebody has put other parts
            there. Or the disk refuses.
        """
        import pandas as pd

        from study.results.summary import write_summary
        from study.results.trials import TrialColumns

        self.flush(last=True)
        sort_table(self.folder, self.folder.trials)
        sort_table(self.folder, self.folder.series)
        write_summary(self.folder)
        trials = TrialColumns(self.folder)
        status, finished = trials["status"], self.folder.manifest["counts"]["finished"]
        if len(status) != finished:
            raise ResultsError(
                f"{self.folder.place} has rows of {len(status):,} trials, and {finished:,} finished"
            )
        failed = (status == "failed").to_numpy().nonzero()[0][:_FAILURES_LISTED]
        columns = {name: trials[name].iloc[failed] for name in ("cell", "replicate", "error")}
        self.folder.manifest["failures"] = cast(
            "list[Failure]", pd.DataFrame(columns).to_dict("records")
        )
        self.folder.manifest["headline"] = [list(pair) for pair in headline]
        self.folder.manifest["state"] = state
        self.folder.manifest["finished"] = now()
        if elapsed_s is not None:
            self.folder.manifest["elapsed_s"] = round(elapsed_s, 3)
        self.folder.save_manifest()
