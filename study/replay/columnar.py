"""Reading traces kept as columns in a numpy archive."""

from __future__ import annotations

import io
import math
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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

    def same_length(found: Sequence[Declared]) -> None:
        first = found[0]
        for vector in found:
            if vector.rows != first.rows:
                raise ReplayError(
                    f"{path}: column {vector.name!r} has {vector.rows} rows where "
                    f"{first.name!r} has {first.rows}"
                )

    return read_arrays(path, {name: Wanted(1, most) for name in names}, same_length, kept)


@dataclass(frozen=True)
class Wanted:
    """What a member of an archive is to be.

    Parameters
    ----------
    dimensions
        0 for a single value, 1 for a vector, 2 for a table.
    most
        Numbers that it may have.
    of
        numpy's letters for the kinds of its numbers; "iu" are whole ones.
    """

    dimensions: int
    most: int
    of: str = "iu"

    @property
    def words(self) -> str:
        """As an error calls it."""
        shape = ("value", "vector", "table")[self.dimensions]
        return f"{shape} of {_KINDS[self.of]}"


_KINDS = {"iu": "whole numbers", "b": "yes and no", "U": "text"}
_LETTERS_MAX = 64


def members_of(path: Path) -> set[str]:
    """Names of the arrays of a numpy archive, without .npy.

    Raises
    ------
    ReplayError
        If it is no archive.
    """
    with _opened(path) as archive:
        return {name.removesuffix(".npy") for name in archive.namelist()}


def read_arrays(
    path: Path,
    wanted: Mapping[str, Wanted],
    check: Callable[[Sequence[Declared]], None] = lambda _: None,
    kept: Callable[[np.ndarray], np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """Arrays of a numpy archive; whole numbers as 64-bit ones.

    What each member and its header declare is checked before any of them is read.

    Parameters
    ----------
    wanted
        What each member is to be, by its name without .npy.
    check
        Called with what all members declare before one is read.
    kept
        See read_vectors.

    Raises
    ------
    ReplayError
        If one is not there, of another kind, larger than wanted, or damaged.
    """
    with _opened(path) as archive:
        found = [_declared(path, archive, name, what) for name, what in wanted.items()]
        check(found)
        return {member.name: _read(archive, member, kept) for member in found}


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with open_regular(path) as raw, zipfile.ZipFile(_InPieces(raw)) as archive:
            yield archive
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
class Declared:
    """A member of an archive as it declares itself; `start` bytes of header come first."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    start: int

    @property
    def rows(self) -> int:
        """Of a vector or a table."""
        return self.shape[0] if self.shape else 1

    @property
    def numbers(self) -> int:
        """In all."""
        return math.prod(self.shape)


def _entry(path: Path, archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """A member's entry in the table of contents, if numpy could have written it."""
    try:
        entry = archive.getinfo(f"{name}.npy")
    except KeyError:
        raise ReplayError(f"{path}: it has no column {name!r}") from None
    if entry.flag_bits & _ENCRYPTED:
        raise ReplayError(f"{path}: column {name!r} is encrypted")
    if entry.compress_type not in _METHODS:
        raise ReplayError(
            f"{path}: column {name!r} is compressed by method {entry.compress_type}; "
            "numpy stores or deflates (savez_compressed)"
        )
    if entry.file_size > _INFLATES_MOST * entry.compress_size + _HEADER_LETTERS_MAX:
        raise ReplayError(f"{path}: column {name!r} declares more than deflate can hold")
    return entry


def _declared(path: Path, archive: zipfile.ZipFile, name: str, wanted: Wanted) -> Declared:
    """What a member is, read off its entry and its header alone."""
    entry = _entry(path, archive, name)
    with archive.open(entry) as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise ReplayError(f"{path}: column {name!r} is no array of numpy (.npy, version 1.0)")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shape, by_columns, dtype = np.lib.format.read_array_header_1_0(
                file, max_header_size=_HEADER_LETTERS_MAX
            )
        start = file.tell()
    if dtype.hasobject:
        raise ReplayError(f"{path}: cut off or damaged (column {name!r} is of Python objects)")
    if len(shape) != wanted.dimensions or dtype.kind not in wanted.of:
        raise ReplayError(f"{path}: column {name!r} is no {wanted.words}")
    if (by_columns and len(shape) > 1) or dtype.itemsize > 4 * _LETTERS_MAX:
        raise ReplayError(f"{path}: column {name!r} is laid out otherwise than recordings are")
    member = Declared(name, tuple(int(size) for size in shape), dtype, start)
    rows = member.rows
    if member.numbers > wanted.most:
        raise ReplayError(
            f"{path}: column {name!r} has {rows:,} rows; at most "
            f"{wanted.most * rows // max(member.numbers, 1):,} are read"
        )
    if min(member.shape, default=0) < 0 or (
        entry.file_size != start + member.numbers * dtype.itemsize
    ):
        raise ReplayError(
            f"{path}: column {name!r} declares {rows:,} rows and holds "
            f"{entry.file_size - start:,} bytes"
        )
    return member


def _check_letters(text: np.ndarray) -> None:
    """Of numbers that stand for no letter, Python makes no text."""
    letters = text.view(np.dtype("u4").newbyteorder(text.dtype.byteorder))
    wrong = (letters > sys.maxunicode) | ((letters >= 0xD800) & (letters < 0xE000))
    if wrong.any():
        raise ValueError("a number that stands for no letter")


_MAGIC = b"\x93NUMPY\x01\x00"


def _read(
    archive: zipfile.ZipFile, member: Declared, kept: Callable[[np.ndarray], np.ndarray] | None
) -> np.ndarray:
    """A member's numbers, a piece at a time."""
    kind = np.dtype(np.int64) if member.dtype.kind in "iu" else member.dtype
    numbers: np.ndarray = np.empty(member.numbers, kind if kept is None else np.bool_)
    size = member.dtype.itemsize
    at_once = max(_READ_MOST // max(size, 1), 1)
    with archive.open(f"{member.name}.npy") as file:
        file.read(member.start)
        for first in range(0, member.numbers, at_once):
            rows = min(at_once, member.numbers - first)
            piece = file.read(rows * size)
            if len(piece) != rows * size:
                raise zipfile.BadZipFile(f"column {member.name!r} ends early")
            found = np.frombuffer(piece, member.dtype)
            if found.dtype.kind == "U":
                _check_letters(found)
            numbers[first : first + rows] = found if kept is None else kept(found)
        # The end is where the checksum is looked at.
        file.read(1)
    return numbers.reshape(member.shape)
