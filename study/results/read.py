"""A results folder, read back as data frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.results.columns import series_table, trials_table
from study.results.expected import FREE, FREE_AT_END, KEYS, OUTCOMES, Expected, NotOfTheStudy
from study.results.folder import SERIES, Folder, open_folder
from study.results.noted import is_noted, look_again, name_of, parts_of, problem_of
from study.results.part import of_the_part, open_part, read_part, reading
from study.results.sorting import in_order, is_in_order, joined

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


def read_outcomes(folder: Folder) -> tuple[pd.DataFrame, list[str]]:
    """Cell, replicate, seed, status and error of all trials: little, however many metrics.

    Parameters
    ----------
    folder
        Of a run that may be at work. The bytes of its parts are not held against their digests:
        that would take as long as to read them all.

    Returns
    -------
    tuple[pandas.DataFrame, list[str]]
        A row a trial, as they lie; and the parts that are left out, each with the reason.
    """
    tables, left_out = _outcomes(folder)
    # What a run has written since the folder was opened is not left out, it is new.
    if left_out and look_again(folder):
        tables, left_out = _outcomes(folder)
    found = joined(tables) if tables else trials_table([], {}, [])
    frame: pd.DataFrame = found.to_pandas()
    return frame.drop_duplicates(["cell", "replicate"]), left_out


def _outcomes(folder: Folder) -> tuple[list[pa.Table], list[str]]:
    expected = Expected.of(folder.manifest)
    tables: list[pa.Table] = []
    left_out: list[str] = []
    with reading(f"{folder.place}/{folder.trials.name}"):
        for part in sorted(folder.trials.glob("part-*.parquet")):
            why = problem_of(folder, part, bytes_too=False)
            try:
                if why is None:
                    file = open_part(part)
                    expected.check_trials(file.schema_arrow, axes_as_well=False)
                    rows = file.read(columns=list(OUTCOMES)).replace_schema_metadata()
                    expected.check_rows(rows)
                    tables.append(rows)
            except Exception as error:  # noqa: BLE001 - pyarrow raises what it likes
                why = of_the_part(error)
            if why is not None:
                left_out.append(f"{name_of(part)} ({why})")
    return tables, left_out


def _whole(folder: Folder) -> pa.Table:
    """The trials table; every row of it is of this study."""
    expected = Expected.of(folder.manifest)
    tables = []
    for part in parts_of(folder, folder.trials):
        with reading(f"{folder.place}/{name_of(part)}"):
            file = open_part(part)
            expected.check_trials(file.schema_arrow)
            table = file.read().replace_schema_metadata()
            expected.check_rows(table)
            tables.append(table)
    with reading(f"{folder.place}/{folder.trials.name}"):
        found = joined(tables) if tables else trials_table([], expected.axes, [])
        expected.check_once(found)
        return in_order(found, folder.manifest["cells"])


class TrialColumns:
    """The trials table a column at a time, by cell and replicate, as read_trials() has them.

    A run that has ended left one part, already in order: however large it is, no more than the
    columns asked for is in memory. Of any other run the table is held as it was when opened.

    columns  their names
    """

    def __init__(self, folder: Folder) -> None:
        parts = parts_of(folder, folder.trials)
        if len(parts) == 1:
            with reading(f"{folder.place}/{name_of(parts[0])}"):
                # Open, it stays readable when another process puts a new part in its place.
                file = open_part(parts[0])
                expected = Expected.of(folder.manifest)
                expected.check_trials(file.schema_arrow)
                keys = file.read(columns=list(OUTCOMES)).replace_schema_metadata()
                expected.check_rows(keys)
                expected.check_once(keys)
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
        with reading(f"column {name}"):
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
    from study.results.summary import summarise

    opened = _opened(folder)
    return summarise(TrialColumns(opened), cells=opened.manifest["cells"])


def _opened(folder: Folder | Path | str) -> Folder:
    return folder if isinstance(folder, Folder) else open_folder(folder)
