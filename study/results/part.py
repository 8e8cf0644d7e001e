"""One part of a table: a Parquet file that is complete or absent, known by its digest.

Every page of it carries a checksum, which whoever reads it verifies.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from study.results.errors import ResultsError, reason
from study.results.files import open_regular, write_bytes_whole

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

WRITTEN_WITH: Final[dict[str, Any]] = {"compression": "zstd", "write_page_checksum": True}
"""How pyarrow writes a part."""

_IN_MEMORY_MOST = 32 * 1024 * 1024
"""A part of no more bytes is read into memory once, however often it is looked at."""
_STRETCH = 256 * 1024
"""Bytes of a larger one that are hashed together when one of them is read."""
_TAIL_BYTES = 8
"""The last of a Parquet file: the length of its footer, and its name."""
_FOOTER_BYTES_MOST = 32 * 1024 * 1024
_LISTED_MOST = 100_000
"""Columns or groups of rows that a footer may list."""

_REASON_LETTERS = 80

_OF_NO_PART = (
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EACCES, errno.EPERM),
    *(errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.ENOTCONN, errno.ENOSPC, errno.EROFS),
)


def part_bytes(table: pa.Table) -> memoryview:
    """Encode a table as a part, in memory.

    Parameters
    ----------
    table
        All rows of the part.

    Returns
    -------
    memoryview
        The bytes of the file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    stream = pa.BufferOutputStream()
    pq.write_table(table, stream, **WRITTEN_WITH)
    return memoryview(stream.getvalue())


def write_part(table: pa.Table, path: Path) -> str:
    """Write one Parquet file aside and rename it, so that it is complete or absent.

    Returns the digest of its bytes. Raises ResultsError when it cannot be written; what was there
    before stays. A part of a table is written by `write_parts()`, which notes the digest first.
    """
    content = part_bytes(table)
    write_bytes_whole(path, content)
    return digest_of_bytes(content)


def digest_of_bytes(content: bytes | memoryview) -> str:
    """The digest of a file that is in memory, 32 hex digits."""
    state = _state()
    state.update(content)
    return state.hexdigest()


def digest_of_file(path: Path) -> str:
    """The digest of a file's bytes, 32 hex digits, in little memory."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, _state).hexdigest()


def _state() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=16)


@dataclass(frozen=True)
class Hashed:
    """A file that was hashed, so that any stretch of it can be held against that later.

    digest  of all bytes, 32 hex digits
    stamp   what the file was like then; that it is the same says nothing of the bytes
    states  of the hash before each stretch, and after the last
    """

    digest: str
    stamp: tuple[int, ...]
    states: tuple[hashlib.blake2b, ...] = field(repr=False)

    @property
    def size(self) -> int:
        """Of the file, bytes."""
        return self.stamp[0]

    def read(self, file: IO[bytes], start: int, end: int) -> bytes:
        """Bytes from start to end, as they were when they were hashed.

        Raises OSError if they are others now.
        """
        first, last = start // _STRETCH, -(-end // _STRETCH)
        begins = first * _STRETCH
        content = _read_at(file, begins, min(last * _STRETCH, self.size) - begins)
        state = self.states[first].copy()
        state.update(content)
        if state.digest() != self.states[last].digest():
            raise OSError(errno.EINVAL, "its bytes changed while it was read")
        return content[start - begins : end - begins]


def hashed(file: IO[bytes]) -> Hashed:
    """Hash an open file, in little memory."""
    stamp = _stamp_of(file)
    state = _state()
    states = [state.copy()]
    for start in range(0, stamp[0], _STRETCH):
        state.update(_read_at(file, start, min(_STRETCH, stamp[0] - start)))
        states.append(state.copy())
    return Hashed(state.hexdigest(), stamp, tuple(states))


class _HashedFile(io.RawIOBase):
    """A file of which every byte that is read is one that was hashed."""

    def __init__(self, file: IO[bytes], known: Hashed) -> None:
        self._file, self._known, self._at = file, known, 0

    def read(self, size: int = -1, /) -> bytes:
        """So many bytes, fewer at the end."""
        whole = self._known.size
        end = whole if size < 0 else min(self._at + size, whole)
        content = self._known.read(self._file, self._at, end) if self._at < end else b""
        self._at += len(content)
        return content

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Where the next byte is read."""
        begins = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._known.size}
        self._at = begins[whence] + offset
        return self._at

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._at

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
        super().close()


@dataclass(frozen=True)
class Part:
    """A part that is open.

    file    as pyarrow reads it
    source  what it is read from
    digest  of the bytes that are read from it, None if nobody asked for it
    hashed  the same for a part that is too large to be in memory, None for any other
    peek    some bytes of it: offset and number
    """

    file: pq.ParquetFile
    source: pa.NativeFile
    digest: str | None
    hashed: Hashed | None = field(repr=False)
    peek: Callable[[int, int], bytes] = field(repr=False)

    @property
    def schema(self) -> pa.Schema:
        """Its columns."""
        return self.file.schema_arrow

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All of it or some columns, without what others may have noted beside them."""
        names = None if columns is None else list(columns)
        return self.file.read(columns=names).replace_schema_metadata()


def open_part(path: Path) -> Part:
    """Open a part; whatever is read from it is held against the checksums of its pages.

    Raises
    ------
    OSError
        It cannot be opened, or is a pipe or the like.
    pyarrow.ArrowException
        It is no Parquet file.
    """
    import pyarrow as pa

    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        # By its descriptor: Arrow takes no name that is not UTF-8, and would wait for a pipe.
        source = pa.OSFile(f"/proc/self/fd/{file.fileno()}")

    def peek(offset: int, number: int) -> bytes:
        found: bytes = source.read_at(min(number, size - offset), offset)
        return found

    return Part(_parquet(source, peek, size), source, None, None, peek)


class OtherBytes(ValueError):
    """A part has not the bytes that it was written with."""


def open_hashed(path: Path, wanted: Collection[str], known: Hashed | None = None) -> Part:
    """Open a part and hash it: whatever is read from it are the bytes that were hashed.

    A small one is taken into memory, hashed and read there. A large one stays where it is; what is
    read of it is hashed once more, stretch by stretch.

    Parameters
    ----------
    path
        The file.
    wanted
        Digests of which it must have one, before anything of it is looked at; any, if there is
        none.
    known
        What was found when it was opened before. It spares hashing a large one as a whole.

    Raises
    ------
    OtherBytes
        It has another digest.
    OSError
        It cannot be opened, or is a pipe or the like; or, when it is read, it has been changed.
    pyarrow.ArrowException
        It is no Parquet file.
    """
    import pyarrow as pa

    file = open_regular(path)
    try:
        size = os.fstat(file.fileno()).st_size
        if size <= _IN_MEMORY_MOST:
            with file:
                content = _read_at(file, 0, size)
            view = memoryview(content)

            def cut(offset: int, number: int) -> bytes:
                return bytes(view[offset : offset + number])

            digest = _one_of(wanted, digest_of_bytes(content))
            held = pa.BufferReader(content)
            return Part(_parquet(held, cut, len(content)), held, digest, None, cut)
        if known is None or known.stamp != _stamp_of(file):
            known = hashed(file)
        digest = _one_of(wanted, known.digest)

        def peek(offset: int, number: int) -> bytes:
            return _read_at(file, offset, number)

        source = pa.PythonFile(_HashedFile(file, known), mode="r")
        whole = _parquet(source, peek, known.size)
        return Part(whole, source, digest, known, peek)
    except BaseException:
        file.close()
        raise


def _one_of(wanted: Collection[str], digest: str) -> str:
    if wanted and digest not in wanted:
        raise OtherBytes("other bytes than were written")
    return digest


def _parquet(source: pa.NativeFile, peek: Callable[[int, int], bytes], size: int) -> pq.ParquetFile:
    import pyarrow.parquet as pq

    tail = peek(max(size - _TAIL_BYTES, 0), _TAIL_BYTES)
    if int.from_bytes(tail[:4], "little") > _FOOTER_BYTES_MOST:
        raise OSError(errno.EINVAL, "its footer is larger than any that was written")
    return pq.ParquetFile(
        source,
        page_checksum_verification=True,
        # All of a large part would be in memory otherwise.
        pre_buffer=False,
        thrift_container_size_limit=_LISTED_MOST,
    )


def _read_at(file: IO[bytes], start: int, number: int) -> bytes:
    """So many bytes from there, fewer at the end."""
    content = os.pread(file.fileno(), number, start)
    while 0 < len(content) < number:
        # The kernel gives at most 2 GB at a time.
        more = os.pread(file.fileno(), number - len(content), start + len(content))
        if not more:
            break
        content += more
    return content


def _stamp_of(file: IO[bytes]) -> tuple[int, ...]:
    state = os.fstat(file.fileno())
    return (state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_dev, state.st_ino)


def read_part(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Read a part, all of it or some columns, without what others may have noted beside them."""
    return open_part(path).read(columns)


@contextmanager
def reading(place: object, *, what: str = "read") -> Iterator[None]:
    """Turn whatever a file that is no sound Parquet raises into a ResultsError.

    Parameters
    ----------
    place
        What to call it.
    what
        Cannot be done with it then.
    """
    try:
        yield
    except ResultsError:
        raise
    except Exception as error:
        # OSError and ArrowException, but UnicodeDecodeError, OverflowError or MemoryError as well.
        cannot = f"cannot {what} {place}"
        raise ResultsError(f"{cannot}: {reason(error, named_in=cannot)}") from error


def of_the_part(error: Exception) -> str:
    """What an error says of the part that was read, in a few words.

    Raises
    ------
    OSError, MemoryError
        The error itself, if it is what a disk or a limit refuses: the part may be sound.
    """
    if isinstance(error, MemoryError) or getattr(error, "errno", None) in _OF_NO_PART:
        raise error
    return reason(error)[:_REASON_LETTERS]


def check_part(path: Path, digest: str | None) -> str | None:
    """Why a part cannot be read whole, in a few words; None if it can.

    digest  of its bytes, None for a part that was written when nobody could note it any more

    Raises OSError when it cannot even be opened, for a reason that is not the part's.
    """
    try:
        if digest is not None:
            return None if digest_of_file(path) == digest else "other bytes than were written"
        read_part(path)
    except Exception as error:  # noqa: BLE001 - a damaged file makes pyarrow raise what it likes
        return of_the_part(error)
    return None
