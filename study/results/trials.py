"""The table of trials: whole, a column at a time, or what became of each trial."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from study.results.columns import trials_table
from study.results.expected import OUTCOMES, Expected
from study.results.folder import Folder
from study.results.noted import look_again, name_of, parts_of, problem_of
from study.results.part import of_the_part, open_part, reading
from study.results.sorting import in_order, is_in_order, joined

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


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


def whole_table(folder: Folder) -> pa.Table:
    """The trials table, in order; every row of it was held against the study.

    Raises ResultsError where a part cannot be read or has rows of another study.
    """
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
