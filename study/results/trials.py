"""The table of trials: whole, a column at a time, or what became of each trial."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.results.bounds import Bounds
from study.results.columns import BEFORE_AXES, trials_table
from study.results.expected import OUTCOMES, Expected, check_alike
from study.results.folder import Folder
from study.results.noted import (
    GONE,
    gone_from,
    look_again,
    name_of,
    parts_of,
    problem_of,
    read_parts,
)
from study.results.part import Part, of_the_part, open_part, reading
from study.results.sorting import in_order, is_in_order, joined

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


_VALUES_AT_ONCE = 2_000_000
"""So many are read at once, which takes 16 MB, and for each of 250 columns a millisecond less."""


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
    expected, bounds = Expected.of(folder.manifest), Bounds.of_trials(folder.manifest)
    tables: list[pa.Table] = []
    left_out: list[str] = []
    with reading(f"{folder.place}/{folder.trials.name}"):
        for part in sorted(folder.trials.glob("part-*.parquet")):
            why = problem_of(folder, part)
            try:
                if why is None:
                    file = open_part(part)
                    expected.check_trials(file.schema, axes_as_well=False)
                    bounds.check(file, OUTCOMES)
                    rows = file.read(OUTCOMES)
                    expected.check_rows(rows)
                    tables.append(rows)
            except Exception as error:  # noqa: BLE001 - pyarrow raises what it likes
                why = of_the_part(error)
            if why is not None:
                left_out.append(f"{name_of(part)} ({why})")
        # Samples at a URL are fetched by who asks for them.
        for table in (folder.trials, *([folder.series] if folder.mirror is None else [])):
            left_out += [f"{name} ({GONE})" for name in gone_from(folder, table)]
    return tables, left_out


def whole_table(folder: Folder) -> pa.Table:
    """The trials table, in order; every row of it was held against the study.

    Raises ResultsError where a part cannot be read or has rows of another study.
    """
    expected, bounds = Expected.of(folder.manifest), Bounds.of_trials(folder.manifest)
    columns: list[pa.Schema] = []

    def read(_: Path, part: Part) -> pa.Table:
        expected.check_trials(part.schema)
        check_alike(part.schema, columns)
        bounds.check(part)
        table = part.read()
        expected.check_rows(table)
        expected.check_levels(table)
        return table

    tables = read_parts(folder, folder.trials, read)
    with reading(f"{folder.place}/{folder.trials.name}"):
        found = joined(tables) if tables else trials_table([], expected.axes, [])
        expected.check_once(found)
        return in_order(found, folder.manifest["cells"])


def _in_order(folder: Folder, part: Part) -> Part | None:
    """A part that is the whole table, as it is to be; None if it is not in order, or so small that
    the table is better read at once.

    Raises NotOfTheStudy.
    """
    if part.file.metadata.num_rows * len(part.schema) <= _VALUES_AT_ONCE:
        return None
    expected = Expected.of(folder.manifest)
    expected.check_trials(part.schema)
    Bounds.of_trials(folder.manifest).check(part)
    keys = part.read(OUTCOMES)
    expected.check_rows(keys)
    expected.check_once(keys)
    for axis in expected.axes:
        expected.check_levels(part.read([*BEFORE_AXES, axis]))
    return part if is_in_order(keys, folder.manifest["cells"]) else None


class TrialColumns:
    """The trials table a column at a time, by cell and replicate, as read_trials() has them.

    A run that has ended left one part, already in order: however large it is, no more than the
    columns asked for is in memory. Of any other run, and where it is small, the table is held as it
    was when opened.

    columns  their names
    """

    def __init__(self, folder: Folder) -> None:
        if len(parts_of(folder, folder.trials)) == 1:
            # Open, it stays readable when another process puts a new part in its place.
            ordered = read_parts(folder, folder.trials, lambda _, part: _in_order(folder, part))
            if len(ordered) == 1 and (part := ordered[0]) is not None:
                self.columns: list[str] = part.schema.names
                self._column: Callable[[str], pa.ChunkedArray] = lambda name: part.read(
                    [name]
                ).column(name)
                return
        table = whole_table(folder)
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
