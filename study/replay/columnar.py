"""Reading traces kept as columns in a numpy archive."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from study.replay.files import DAMAGED, ROWS_MAX, in_short, open_regular
from study.replay.trace import ReplayError, Trace

_COLUMNS = ("ev", "pfn", "order", "mt", "aux")
_HEADER_LETTERS_MAX = 1_000
"""numpy pads the header of a vector to 128 bytes."""
_READ_MOST = 1 << 20
"""Bytes read at once, an archive's table of contents included: that of ten members has 1 KB."""
_INFLATES_MOST = 1_032
"""Times that deflate can shrink anything, by its own format."""
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 1


def read_columnar(path: Path) -> Trace:
    """Read trace_NAME.npz: one row an event in the columns ev, pfn, order, mt and aux.

    Raises
    ------
    ReplayError
        If it is cut off, damaged, larger than any trace or something else.
    """
    at = read_vectors(path, _COLUMNS)
    return Trace(path, at["ev"], at["pfn"], at["order"], at["mt"], at["aux"])


def read_vectors(
    path: Path,
    names: Iterable[str],
    *,
    most: int = ROWS_MAX,
    kept: Callable[[np.ndarray], np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """Vectors of whole numbers of a numpy archive, as 64-bit numbers.

    What each member and its header declare is checked before any of them is read.

    Parameters
    ----------
    names
        Of the members wanted, without .npy; they must be of one length.
    most
        Numbers that a vector may have.
    kept
        What is kept of the numbers, a piece of them at a time: an array of bool of their length.
        Without it the numbers are.

    Raises
    ------
    ReplayError
        If one is not there, of another kind, longer than `most`, or damaged.
    """
    try:
        with open_regular(path) as raw, zipfile.ZipFile(_InPieces(raw)) as archive:
            vectors = [_declared(path, archive, name, most) for name in names]
            first = vectors[0]
            for vector in vectors:
                if vector.rows != first.rows:
                    raise ReplayError(
                        f"{path}: column {vector.name!r} has {vector.rows} rows where "
                        f"{first.name!r} has {first.rows}"
                    )
            return {vector.name: _read(archive, vector, kept) for vector in vectors}
    except (zipfile.BadZipFile, zipfile.LargeZipFile, *DAMAGED) as error:
        raise ReplayError(f"{path}: cut off or damaged ({in_short(error)})") from None


class _InPieces(io.RawIOBase):
    """A file of which nobody reads much at once, however much an archive says there is to read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= _READ_MOST:
            size = _READ_MOST + 1
        content = self._file.read(size)
        if len(content) > _READ_MOST:
            raise zipfile.BadZipFile("a table of contents that is too large")
        return content


@dataclass(frozen=True)
class _Vector:
    """A member of an archive as it declares itself; `start` bytes of header come first."""

    name: str
    rows: int
    dtype: np.dtype
    start: int


def _declared(path: Path, archive: zipfile.ZipFile, name: str, most: int) -> _Vector:
    """What a member is, read off its entry and its header alone."""
    try:
        member = archive.getinfo(f"{name}.npy")
    except KeyError:
        raise ReplayError(f"{path}: it has no column {name!r}") from None
    if member.flag_bits & _ENCRYPTED:
        raise ReplayError(f"{path}: column {name!r} is encrypted")
    if member.compress_type not in _METHODS:
        raise ReplayError(
            f"{path}: column {name!r} is compressed by method {member.compress_type}; "
            "numpy stores or deflates (savez_compressed)"
        )
    if member.file_size > _INFLATES_MOST * member.compress_size + _HEADER_LETTERS_MAX:
        raise ReplayError(f"{path}: column {name!r} declares more than deflate can hold")
    with archive.open(member) as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise ReplayError(f"{path}: column {name!r} is no vector of numpy (.npy, version 1.0)")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shape, _, dtype = np.lib.format.read_array_header_1_0(
                file, max_header_size=_HEADER_LETTERS_MAX
            )
        start = file.tell()
    if dtype.hasobject:
        raise ReplayError(f"{path}: cut off or damaged (column {name!r} is of Python objects)")
    if len(shape) != 1 or dtype.kind not in "iu":
        raise ReplayError(f"{path}: column {name!r} is no vector of whole numbers")
    rows = int(shape[0])
    if rows > most:
        raise ReplayError(f"{path}: column {name!r} has {rows:,} rows; at most {most:,} are read")
    if rows < 0 or member.file_size != start + rows * dtype.itemsize:
        raise ReplayError(
            f"{path}: column {name!r} declares {rows:,} rows and holds "
            f"{member.file_size - start:,} bytes"
        )
    return _Vector(name, rows, dtype, start)


_MAGIC = b"\x93NUMPY\x01\x00"


def _read(
    archive: zipfile.ZipFile, vector: _Vector, kept: Callable[[np.ndarray], np.ndarray] | None
) -> np.ndarray:
    """A member's numbers, a piece at a time."""
    numbers: np.ndarray = np.empty(vector.rows, np.int64 if kept is None else np.bool_)
    at_once = _READ_MOST // 8
    with archive.open(f"{vector.name}.npy") as file:
        file.read(vector.start)
        for first in range(0, vector.rows, at_once):
            rows = min(at_once, vector.rows - first)
            piece = file.read(rows * vector.dtype.itemsize)
            if len(piece) != rows * vector.dtype.itemsize:
                raise zipfile.BadZipFile(f"column {vector.name!r} ends early")
            found = np.frombuffer(piece, vector.dtype)
            numbers[first : first + rows] = found if kept is None else kept(found)
        # The end is where the checksum is looked at.
        file.read(1)
    return numbers
