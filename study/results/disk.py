"""How much room results take on disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from study.results.columns import axis_columns, series_table, trials_table
from study.results.part import part_bytes

if TYPE_CHECKING:
    import pyarrow as pa

    from study.fanout import Row


def bytes_per_trial(rows: Sequence[Row], *, share: float = 1.0) -> float:
    """Bytes of Parquet that a trial leaves, from rows that are at hand.

    share  part of the samples that the rows have
    """
    axes = axis_columns([], {row.cell: row.levels for row in rows})
    trials = trials_table(rows, axes, list(rows[0].metrics))
    return (_written(trials) + _written(series_table(rows)) / share) / len(rows)


def _written(table: pa.Table) -> int:
    """Bytes of a table as the store writes it, without what a file takes however small it is."""
    return _file(table) - _file(table.slice(0, 0))


def _file(table: pa.Table) -> int:
    return part_bytes(table).nbytes
