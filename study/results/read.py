"""A results folder, read back as data frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.results.columns import AFTER_AXES, BEFORE_AXES, axis_columns, series_table, trials_table
from study.results.errors import disk_errors
from study.results.folder import SERIES, TRIALS, Folder, open_folder
from study.results.part import open_part, read_parts
from study.results.sorting import in_order, is_in_order

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    More = Callable[[pd.DataFrame], Mapping[str, int]]
    """Trials so far (as read_trials gives them) -> cell id -> replicates wanted in all."""


_SAMPLES_AT_ONCE = 65_536


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
    def columns(self) -> TrialColumns:
        """The same a column at a time: what tables and figures are made from."""
        return TrialColumns(self.folder)

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
    frame: pd.DataFrame = _whole(_opened(folder)).to_pandas()
    return frame


def read_outcomes(folder: Folder) -> pd.DataFrame:
    """Cell, replicate, status and error of all trials, as they lie: little, however many metrics.

    Raises ResultsError if they cannot be read.
    """
    names = [*BEFORE_AXES, *AFTER_AXES]
    empty = trials_table([], {}, [])
    frame: pd.DataFrame = _read(folder, folder.trials, empty=empty, columns=names).to_pandas()
    return frame


def _whole(folder: Folder) -> pa.Table:
    axes = axis_columns(folder.manifest["axes"], folder.manifest["cells"])
    return _read(folder, folder.trials, empty=trials_table([], axes, []))


class TrialColumns:
    """The trials table a column at a time, by cell and replicate, as read_trials() has them.

    A run that has ended left one part, already in order: however large it is, no more than the
    columns asked for is in memory. Of any other run the table is held as it was when opened.

    columns  their names
    """

    def __init__(self, folder: Folder) -> None:
        import pyarrow as pa

        with disk_errors(f"cannot read {folder.place}/{TRIALS}", pa.ArrowException):
            parts = list(folder.trials.glob("part-*.parquet"))
            if len(parts) == 1:
                # Open, it stays readable when another process puts a new part in its place.
                file = open_part(parts[0])
                keys = file.read(columns=["cell", "replicate"])
                if is_in_order(keys, folder.manifest["cells"]):
                    self.columns: list[str] = file.schema_arrow.names
                    self._column: Callable[[str], pa.ChunkedArray] = lambda name: file.read(
                        columns=[name]
                    ).column(name)
                    return
        table = _whole(folder)
        self._column = table.column
        self.columns = table.column_names

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def __getitem__(self, name: str) -> pd.Series[Any]:
        """One column. Raises ResultsError if it cannot be read."""
        import pyarrow as pa

        with disk_errors(f"cannot read {name}", pa.ArrowException):
            column = self._column(name)
        # A million names of a few hundred cells.
        if name == "cell":
            column = column.dictionary_encode()
        found: pd.Series[Any] = column.to_pandas()
        return found.rename(name)

    def finished(self, *names: str) -> pd.DataFrame:
        """Cell, replicate and the columns named, of the trials that did not fail."""
        import pandas as pd

        kept = (self["status"] == "ok").to_numpy()
        wanted = dict.fromkeys(("cell", "replicate", *names))
        return pd.DataFrame({name: self[name][kept] for name in wanted})


def read_series(folder: Folder | Path | str) -> pd.DataFrame:
    """The samples, sorted by cell, replicate and time; empty if the study kept none."""
    opened = _opened(folder)
    if opened.mirror is not None:
        opened.mirror.bring(SERIES)
    frame: pd.DataFrame = _read(opened, opened.series, empty=series_table([])).to_pandas()
    return frame


def series_batches(folder: Folder) -> Iterator[pd.DataFrame]:
    """The samples some thousands at a time, as they lie on disk.

    Raises ResultsError if they cannot be read.
    """
    import pyarrow as pa

    if folder.mirror is not None:
        folder.mirror.bring(SERIES)
    for part in sorted(folder.series.glob("part-*.parquet")):
        with disk_errors(f"cannot read {folder.place}/{SERIES}/{part.name}", pa.ArrowException):
            batches = open_part(part).iter_batches(batch_size=_SAMPLES_AT_ONCE)
        while True:
            with disk_errors(f"cannot read {folder.place}/{SERIES}/{part.name}", pa.ArrowException):
                batch = next(batches, None)
            if batch is None:
                break
            yield pa.Table.from_batches([batch]).to_pandas()


def read_summary(folder: Folder | Path | str) -> pd.DataFrame:
    """What summary.csv holds, from the trials as they are now."""
    from study.results.summary import summarise

    opened = _opened(folder)
    return summarise(TrialColumns(opened), cells=opened.manifest["cells"])


def _opened(folder: Folder | Path | str) -> Folder:
    return folder if isinstance(folder, Folder) else open_folder(folder)


def _read(
    folder: Folder, table: Path, *, empty: pa.Table, columns: list[str] | None = None
) -> pa.Table:
    import pyarrow as pa

    with disk_errors(f"cannot read {folder.place}/{table.name}", pa.ArrowException):
        parts = sorted(table.glob("part-*.parquet"))
        rows = read_parts(parts, columns) if parts else empty
    return in_order(rows, folder.manifest["cells"])
