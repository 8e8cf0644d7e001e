"""The columns of the two tables: which there are, of what type, in what order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from study.fanout.metrics import Metrics
from study.results.errors import ResultsError
from study.zone.settings import NR_ORDERS

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from study.fanout import Row

BEFORE_AXES = ("cell",)
FREE_BLOCKS = "nr_free"
REPLICATES_MOST = 100_000_000
"""Whoever checks rows keeps a byte a replicate of each cell."""
_USES = ("free", "percpu", "active", "inactive", "file", "anonymous", "kernel", "dirty", "dma_free")
AFTER_AXES = ("replicate", "seed", "status", "error")


def axis_columns(axes: Iterable[str], cells: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Dotted axis key -> 'int', 'float', 'bool' or 'text': the narrowest that holds all levels.

    Cells added by `include` may bring keys that are no axis: they follow, as columns of their own.
    Raises ResultsError when a key is the name of another column.
    """
    keys = dict.fromkeys(axes)
    for levels in cells.values():
        keys.update(dict.fromkeys(levels))
    for key in keys:
        if key in BEFORE_AXES + AFTER_AXES:
            raise ResultsError(f"an axis cannot be called {key}: the trials table has that column")
    return {
        key: _kind([levels[key] for levels in cells.values() if levels.get(key) is not None])
        for key in keys
    }


def trials_schema(axes: Mapping[str, str], metrics: Sequence[str]) -> pa.Schema:
    """One row a trial: cell, the axes, replicate, seed, status, error, then the metrics."""
    import pyarrow as pa

    types = {"int": pa.int64(), "float": pa.float64(), "bool": pa.bool_(), "text": pa.string()}
    return pa.schema(
        [pa.field("cell", pa.string(), nullable=False)]
        + [pa.field(key, types[kind]) for key, kind in axes.items()]
        + [
            pa.field("replicate", pa.int64(), nullable=False),
            pa.field("seed", pa.uint64(), nullable=False),
            pa.field("status", pa.string(), nullable=False),
            pa.field("error", pa.string(), nullable=False),
        ]
        + [pa.field(name, pa.float64()) for name in metrics]
    )


def trials_table(rows: Sequence[Row], axes: Mapping[str, str], metrics: Sequence[str]) -> pa.Table:
    """Rows as one table. A failed row has nulls for metrics; NaN is kept as NaN."""
    import pyarrow as pa

    levels = {
        key: [level_as(kind, row.levels.get(key)) for row in rows] for key, kind in axes.items()
    }
    columns: dict[str, list[Any]] = {
        "cell": [row.cell for row in rows],
        **levels,
        "replicate": [row.replicate for row in rows],
        "seed": [row.seed for row in rows],
        "status": [row.status for row in rows],
        "error": [row.error for row in rows],
    }
    schema = trials_schema(axes, metrics)
    known = pa.Table.from_pydict(columns, schema=pa.schema(list(schema)[: len(columns)]))
    arrays = [*known.columns, *_measured(rows, metrics)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _measured(rows: Sequence[Row], metrics: Sequence[str]) -> list[pa.Array]:
    """One column a metric. A row that has none has nulls; NaN stays NaN."""
    import numpy as np
    import pyarrow as pa

    names = tuple(metrics)
    numbers = np.full((len(names), len(rows)), np.nan)
    missing = np.zeros((len(names), len(rows)), bool)
    for index, row in enumerate(rows):
        if isinstance(row.metrics, Metrics) and row.metrics.names == names:
            numbers[:, index] = row.metrics.numbers
        else:
            missing[:, index] = [name not in row.metrics for name in names]
            numbers[:, index] = [row.metrics.get(name, np.nan) for name in names]
    return [
        pa.array(column, mask=lacks if lacks.any() else None)
        for column, lacks in zip(numbers, missing, strict=True)
    ]


def series_schema() -> pa.Schema:
    """One row a sample: the trial, when it was taken, free blocks by order, pages by use.

    These are the fields of what a trial hands back (SAMPLE in study/zone/trial/measure.py), which
    is loaded with all machine code.
    """
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("cell", pa.string()),
            pa.field("replicate", pa.int64()),
            pa.field("time_ns", pa.int64()),
            pa.field("phase", pa.uint8()),
            *(pa.field(f"{FREE_BLOCKS}{order}", pa.int32()) for order in range(NR_ORDERS)),
            *(pa.field(f"{use}_pages", pa.int32()) for use in _USES),
        ]
    )


def series_table(rows: Sequence[Row]) -> pa.Table:
    """The samples of many rows as one table: cell, replicate, then the series' own columns.

    A vector column `name` of n numbers becomes name0 .. name(n-1).
    """
    import numpy as np
    import pyarrow as pa

    sampled = [row for row in rows if row.series is not None and len(row.series)]
    if not sampled:
        return pa.table({"cell": pa.array([], pa.string()), "replicate": pa.array([], pa.int64())})
    samples = np.concatenate([row.series for row in sampled if row.series is not None])
    lengths = [len(row.series) for row in sampled if row.series is not None]
    columns: dict[str, Any] = {
        "cell": np.repeat(np.array([row.cell for row in sampled], dtype=object), lengths),
        "replicate": np.repeat(np.array([row.replicate for row in sampled], np.int64), lengths),
    }
    for name in samples.dtype.names or ():
        columns.update(_flat(name, samples[name]))
    return pa.table(columns)


def _flat(name: str, values: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
    if values.ndim == 1:
        return {name: values}
    vectors = values.reshape(len(values), -1)
    return {f"{name}{index}": vectors[:, index] for index in range(vectors.shape[1])}


def _kind(levels: Sequence[Any]) -> str:
    if levels and all(isinstance(level, bool) for level in levels):
        return "bool"
    if any(isinstance(level, bool) or not isinstance(level, int | float) for level in levels):
        return "text"
    if all(isinstance(level, int) and abs(level) < 2**63 for level in levels):
        return "int"
    return "float"


def level_as(kind: str, level: Any) -> Any:
    """A level as a column of this kind holds it.

    Raises ValueError for a word in a column of numbers.
    """
    if level is None:
        return None
    if kind == "text":
        return level if isinstance(level, str) else str(level)
    return float(level) if kind == "float" else level
