"""Reading traces kept as columns in a numpy archive."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from study.replay.trace import ReplayError, Trace

_COLUMNS = {"ev": "code", "pfn": "pfn", "order": "order", "mt": "migratetype", "aux": "aux"}


def read_columnar(path: Path) -> Trace:
    """Read trace_NAME.npz: one row an event in the columns ev, pfn, order, mt and aux.

    Raises ReplayError if it is cut off, damaged or something else.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            missing = [name for name in _COLUMNS if name not in archive.files]
            if missing:
                raise ReplayError(f"{path}: no trace: it has no column {missing[0]!r}")
            columns = {ours: archive[name] for name, ours in _COLUMNS.items()}
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OSError) as fault:
        raise ReplayError(f"{path}: cut off or damaged ({_short(fault)})") from None
    first = columns["code"]
    for name, ours in _COLUMNS.items():
        column = columns[ours]
        if column.ndim != 1 or column.dtype.kind not in "iu":
            raise ReplayError(f"{path}: column {name!r} is no vector of whole numbers")
        if len(column) != len(first):
            raise ReplayError(
                f"{path}: column {name!r} has {len(column)} rows where 'ev' has {len(first)}"
            )
    return Trace(path=path, **{ours: c.astype(np.int64) for ours, c in columns.items()})


def _short(fault: Exception) -> str:
    text = str(fault).splitlines()
    return text[0][:100] if text else type(fault).__name__
