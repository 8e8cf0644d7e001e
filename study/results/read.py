"""A results folder, read back as data frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.results.bounds import Bounds
from study.results.columns import series_table
from study.results.expected import (
    FREE,
    FREE_AT_END,
    KEYS,
    Expected,
    NotOfTheStudy,
    check_alike,
)
from study.results.folder import SERIES, Folder, opened
from study.results.noted import is_noted, name_of, opened_parts, read_parts
from study.results.part import Part, reading
from study.results.sorting import in_order, joined
from study.results.summary import summarise
from study.results.trials import TrialColumns, whole_table

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from study.results.model import Manifest

    More = Callable[[pd.DataFrame], Mapping[str, int]]
    """Trials so far (as read_trials gives them) -> cell id -> replicates wanted in all."""


_SAMPLES_AT_ONCE = 65_536


class Cells(dict[str, dict[str, Any]]):
    """Cell id -> levels by axis, in the order of the scenario.

    order  axis -> its levels in the order of the scenario, as text: which cell comes first does not
           tell it where cells are excluded
    """

    def __init__(self, manifest: Manifest) -> None:
        super().__init__(manifest["cells"])
        axes = manifest["scenario"].get("axes")
        listed = axes.items() if isinstance(axes, dict) else ()
        self.order = {
            axis: [*map(str, levels)] for axis, levels in listed if isinstance(levels, dict | list)
        }


@dataclass(frozen=True)
class Tables:
    """The tables of a study, each read when it is first asked for.

    folder   where they are
    cells    id -> levels by axis
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
    def manifest(self) -> Manifest:
        """What made it: scenario, versions, seed, state, counts."""
        return self.folder.manifest

    @cached_property
    def cells(self) -> Cells:
        """Cell id -> levels by axis."""
        return Cells(self.manifest)

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
    """The trials table.

    Parameters
    ----------
    folder
        An open one, or its path on this machine.

    Returns
    -------
    pandas.DataFrame
        One row a trial, sorted by cell (as the scenario lists them) and replicate: cell, one column
        per axis, replicate, seed, status, error, metrics.

    Raises
    ------
    ResultsError
        It is no results folder, or what is in it cannot be read.
    """
    frame: pd.DataFrame = whole_table(opened(folder)).to_pandas()
    return frame


def read_series(folder: Folder | Path | str) -> pd.DataFrame:
    """The samples of all trials.

    Parameters
    ----------
    folder
        An open one, or its path on this machine.

    Returns
    -------
    pandas.DataFrame
        One row a sample, sorted by cell, replicate and time; empty if the study kept none.

    Raises
    ------
    ResultsError
        It is no results folder, or what is in it cannot be read.
    """
    source = opened(folder)
    if source.mirror is not None:
        source.mirror.bring(SERIES)
    checks = _Checks(source)

    def read(path: Path, part: Part) -> pa.Table:
        checks.part(path, part)
        table = part.read()
        checks.samples(table)
        return table

    tables = read_parts(source, source.series, read)
    with reading(f"{source.place}/{source.series.name}"):
        found = joined(tables) if tables else series_table([])
        frame: pd.DataFrame = in_order(found, source.manifest["cells"]).to_pandas()
    return frame


class _Checks:
    """What samples are held against, part after part. All raise NotOfTheStudy."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._expected = Expected.of(folder.manifest)
        self._bounds = Bounds.of_series(folder.manifest)
        self._columns: list[pa.Schema] = []

    def part(self, path: Path, part: Part) -> None:
        """Hold a part against the study, before it is read."""
        self._expected.check_series(part.schema)
        check_alike(part.schema, self._columns)
        self._bounds.check(part)
        if not is_noted(self._folder, path):
            self._fit(part)

    def samples(self, table: pa.Table) -> None:
        """Hold samples against the study."""
        self._expected.check_samples(table)

    def _fit(self, part: Part) -> None:
        """Have the samples of a part without a digest fit the rows.

        It has no seed that could be held against the study's.
        """
        trials = TrialColumns(self._folder)
        if FREE not in part.schema.names or FREE_AT_END not in trials:
            return
        samples = part.read([*KEYS, FREE])
        self.samples(samples)
        last = samples.to_pandas().drop_duplicates(list(KEYS), keep="last")
        both = last.merge(trials.finished(FREE_AT_END), on=list(KEYS))
        if (both[FREE] != both[FREE_AT_END]).any():
            raise NotOfTheStudy("its samples are of another run than the rows")


def series_batches(folder: Folder) -> Iterator[pd.DataFrame]:
    """The samples some thousands at a time, as they lie on disk.

    Raises ResultsError if they cannot be read.
    """
    import pyarrow as pa

    if folder.mirror is not None:
        folder.mirror.bring(SERIES)
    checks = _Checks(folder)
    for path, part in opened_parts(folder, folder.series):
        place = f"{folder.place}/{name_of(path)}"
        with reading(place):
            checks.part(path, part)
            batches = part.file.iter_batches(batch_size=_SAMPLES_AT_ONCE)
        while True:
            with reading(place):
                if (batch := next(batches, None)) is None:
                    break
                table = pa.Table.from_batches([batch]).replace_schema_metadata()
                checks.samples(table)
                frame: pd.DataFrame = table.to_pandas()
            yield frame


def read_summary(folder: Folder | Path | str) -> pd.DataFrame:
    """What summary.csv holds, from the trials as they are now.

    Parameters
    ----------
    folder
        An open one, or its path on this machine.

    Returns
    -------
    pandas.DataFrame
        One row per cell and metric: n, mean, sd and the 95 % interval of the mean, in the metric's
        unit.

    Raises
    ------
    ResultsError
        It is no results folder, or what is in it cannot be read.
    """
    found = opened(folder)
    return summarise(TrialColumns(found), cells=found.manifest["cells"])
