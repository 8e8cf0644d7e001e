"""A results folder, read back as data frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.results.columns import series_table
from study.results.expected import FREE, FREE_AT_END, KEYS, Expected, NotOfTheStudy
from study.results.folder import SERIES, Folder
from study.results.noted import is_noted, name_of, parts_of
from study.results.part import open_part, read_part, reading
from study.results.sorting import in_order, joined
from study.results.storage import open_folder
from study.results.summary import summarise
from study.results.trials import TrialColumns, whole_table

if TYPE_CHECKING:
    import pandas as pd

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
    frame: pd.DataFrame = whole_table(_opened(folder)).to_pandas()
    return frame


def read_series(folder: Folder | Path | str) -> pd.DataFrame:
    """The samples, sorted by cell, replicate and time; empty if the study kept none."""
    opened = _opened(folder)
    if opened.mirror is not None:
        opened.mirror.bring(SERIES)
    expected = Expected.of(opened.manifest)
    tables = []
    for part in _series_parts(opened):
        with reading(f"{opened.place}/{name_of(part)}"):
            table = read_part(part)
            expected.check_series(table.schema)
            expected.check_keys(table)
            tables.append(table)
    with reading(f"{opened.place}/{opened.series.name}"):
        found = joined(tables) if tables else series_table([])
        frame: pd.DataFrame = in_order(found, opened.manifest["cells"]).to_pandas()
    return frame


def _series_parts(folder: Folder) -> list[Path]:
    """The parts of the series.

    Of a part without a digest the samples have to fit the rows: it has no seed that could be held
    against the study's.
    """
    parts = parts_of(folder, folder.series)
    unknown = [part for part in parts if not is_noted(folder, part)]
    names = [*KEYS, FREE]
    trials = TrialColumns(folder) if unknown else None
    for part in unknown:
        with reading(f"{folder.place}/{name_of(part)}"):
            file = open_part(part)
            if trials is None or FREE not in file.schema_arrow.names or FREE_AT_END not in trials:
                continue
            last = file.read(columns=names).to_pandas().drop_duplicates(list(KEYS), keep="last")
            both = last.merge(trials.finished(FREE_AT_END), on=list(KEYS))
            if (both[FREE] != both[FREE_AT_END]).any():
                raise NotOfTheStudy("its samples are of another run than the rows")
    return parts


def series_batches(folder: Folder) -> Iterator[pd.DataFrame]:
    """The samples some thousands at a time, as they lie on disk.

    Raises ResultsError if they cannot be read.
    """
    import pyarrow as pa

    if folder.mirror is not None:
        folder.mirror.bring(SERIES)
    expected = Expected.of(folder.manifest)
    for part in _series_parts(folder):
        place = f"{folder.place}/{name_of(part)}"
        with reading(place):
            file = open_part(part)
            expected.check_series(file.schema_arrow)
            batches = file.iter_batches(batch_size=_SAMPLES_AT_ONCE)
        while True:
            with reading(place):
                if (batch := next(batches, None)) is None:
                    break
                table = pa.Table.from_batches([batch]).replace_schema_metadata()
                expected.check_keys(table)
                frame: pd.DataFrame = table.to_pandas()
            yield frame


def read_summary(folder: Folder | Path | str) -> pd.DataFrame:
    """What summary.csv holds, from the trials as they are now."""
    opened = _opened(folder)
    return summarise(TrialColumns(opened), cells=opened.manifest["cells"])


def _opened(folder: Folder | Path | str) -> Folder:
    return folder if isinstance(folder, Folder) else open_folder(folder)
