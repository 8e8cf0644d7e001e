"""One part of a table: a Parquet file that is complete or absent, known by its digest."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from study.results.errors import disk_errors
from study.results.files import open_regular, write_bytes_whole

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


_OF_NO_PART = (
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EACCES, errno.EPERM),
    *(errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.ENOTCONN, errno.ENOSPC, errno.EROFS),
)
"""What a disk or a limit refuses says nothing of the part: it may be sound."""


def write_part(table: pa.Table, path: Path) -> str:
    """Write one Parquet file aside and rename it, so that it is complete or absent.

    Returns the digest of its bytes. Raises ResultsError when it cannot be written; what was there
    before stays.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    stream = pa.BufferOutputStream()
    pq.write_table(table, stream, compression="zstd")
    write_bytes_whole(path, memoryview(stream.getvalue()))
    return digest_of_file(path)


def finish_part(aside: Path, path: Path) -> None:
    """Give a part that was written aside its name, once it is safe on disk."""
    with disk_errors(f"cannot write {path}"):
        try:
            with aside.open("rb") as file:
                os.fsync(file.fileno())
            aside.replace(path)
        except OSError:
            with suppress(OSError):
                aside.unlink(missing_ok=True)
            raise


def digest_of_file(path: Path) -> str:
    """The digest of a file's bytes, 32 hex digits, in little memory."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, _state).hexdigest()


def _state() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=16)


def open_part(path: Path) -> pq.ParquetFile:
    """Open a part for reading.

    Raises
    ------
    OSError
        It cannot be opened, or is a pipe or the like.
    pa.ArrowException
        It is no Parquet file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with open_regular(path) as file:
        # By its descriptor: Arrow takes no name that is not UTF-8, and would wait for a pipe.
        source = pa.OSFile(f"/proc/self/fd/{file.fileno()}")
    return pq.ParquetFile(source)


def read_part(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Read a part, all of it or some columns. Raises as open_part() does."""
    return open_part(path).read(columns=columns)


def read_parts(parts: Iterable[Path], columns: list[str] | None = None) -> pa.Table:
    """Read some parts, at least one, as one table. Raises as open_part() does."""
    import pyarrow as pa

    tables = [read_part(part, columns) for part in parts]
    return pa.concat_tables(tables, promote_options="permissive")


def column_names(path: Path) -> list[str]:
    """What the columns of a part are called. Raises as open_part() does."""
    names: list[str] = open_part(path).schema_arrow.names
    return names


def check_part(path: Path, digest: str | None) -> str | None:
    """Why a part cannot be read whole, in a few words; None if it can.

    digest  of its bytes, None for a part that was written when nobody could note it any more

    Raises OSError when it cannot even be opened, for a reason that is not the part's.
    """
    import pyarrow as pa

    try:
        if digest is not None:
            return None if digest_of_file(path) == digest else "other bytes than were written"
        read_part(path)
    except (OSError, pa.ArrowException) as fault:
        if isinstance(fault, OSError) and fault.errno in _OF_NO_PART:
            raise
        return str(fault).splitlines()[0][:80] if str(fault) else type(fault).__name__
    return None
