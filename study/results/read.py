"""A results folder, read back as data frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.results.columns import axis_columns, series_table, trials_table
from study.results.folder import SERIES, Folder, ResultsError, open_folder
from study.results.sorting import in_order

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    More = Callable[[pd.DataFrame], Mapping[str, int]]
    """Trials so far (as read_trials gives them) -> cell id -> replicates wanted in all."""


@dataclass(frozen=True)
class Results:
    """The results of a study.

    trials   one row a trial: cell, one column per axis, replicate, seed, status, error, metrics
    summary  one row per cell and metric: n, mean, sd, 95 % interval
    series   one row per sample of every trial
    """

    folder: Folder

    @property
    def path(self) -> Path:
        """Where it all lies; a copy of it, if that is no path of this machine."""
        return self.folder.path

    @property
    def place(self) -> str:
        """What people call the folder: its path or URL."""
        return self.folder.place

    @property
    def manifest(self) -> dict[str, Any]:
        """What made it: scenario, versions, seed, state, counts."""
        return self.folder.manifest

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row a trial, by cell (as the scenario lists them) and replicate."""
        return read_trials(self.folder)

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row per cell and metric."""
        return read_summary(self.folder)

    @cached_property
    def series(self) -> pd.DataFrame:
        """One row per sample, by cell, replicate and time."""
        return read_series(self.folder)

    def __repr__(self) -> str:
        counts = self.manifest["counts"]
        return (
            f"<Results of {self.manifest['name']!r} in {self.place}: {self.manifest['state']}, "
            f"{counts['finished']} of {counts['trials']} trials, {counts['failed']} failed>"
        )


def read_trials(folder: Folder | Path | str) -> pd.DataFrame:
    """The trials table, sorted by cell and replicate. Raises ResultsError if it cannot be read."""
    opened = _opened(folder)
    axes = axis_columns(opened.manifest["axes"], opened.manifest["cells"])
    return _read(opened, opened.trials, empty=trials_table([], axes, []))


class TrialColumns:
    """The trials table a column at a time, for tables that are larger than memory is.

    folder  that of a run that has ended: one part, already in order
    """

    def __init__(self, folder: Folder) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        axes = axis_columns(folder.manifest["axes"], folder.manifest["cells"])
        parts = sorted(folder.trials.glob("part-*.parquet"))
        if len(parts) > 1:
            raise ValueError(f"{folder.trials} has not been made one part")
        try:
            self._file = pq.ParquetFile(parts[0]) if parts else None
        except (OSError, pa.ArrowException) as fault:
            raise ResultsError(f"cannot read {folder.trials}: {fault}") from fault
        self._empty = trials_table([], axes, [])
        self.columns: list[str] = (
            self._file.schema_arrow.names if self._file else self._empty.column_names
        )

    def __getitem__(self, name: str) -> pd.Series[Any]:
        """One column, by the order of the scenario."""
        table = self._file.read(columns=[name]) if self._file else self._empty
        column = table.column(name)
        # A million names of a few hundred cells.
        if name == "cell":
            column = column.dictionary_encode()
        found: pd.Series[Any] = column.to_pandas()
        return found


def read_series(folder: Folder | Path | str) -> pd.DataFrame:
    """The samples, sorted by cell, replicate and time; empty if the study kept none."""
    opened = _opened(folder)
    if opened.mirror is not None:
        opened.mirror.bring(SERIES)
    return _read(opened, opened.series, empty=series_table([]))


def read_summary(folder: Folder | Path | str) -> pd.DataFrame:
    """What summary.csv holds, from the trials as they are now."""
    from study.results.summary import summarise

    opened = _opened(folder)
    return summarise(read_trials(opened), cells=opened.manifest["cells"])


def _opened(folder: Folder | Path | str) -> Folder:
    return folder if isinstance(folder, Folder) else open_folder(folder)


def _read(folder: Folder, table: Path, *, empty: pa.Table) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        there = any(table.glob("part-*.parquet"))
        parts = pq.read_table(table, partitioning=None) if there else empty
    except (OSError, pa.ArrowException) as fault:
        raise ResultsError(f"cannot read {table}: {fault}") from fault
    frame: pd.DataFrame = in_order(parts, folder.manifest["cells"]).to_pandas()
    return frame
