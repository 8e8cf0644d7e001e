"""One part of a table: a Parquet file that is complete or absent, known by its digest."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from study.results.folder import ResultsError, write_bytes_whole

if TYPE_CHECKING:
    import pyarrow as pa


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
    try:
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as fault:
        aside.unlink(missing_ok=True)
        raise ResultsError(f"cannot write {path}: {fault.strerror or fault}") from fault


def digest_of_file(path: Path) -> str:
    """The digest of a file's bytes, 32 hex digits, in little memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, _state).hexdigest()


def _state() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=16)


def read_part(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Read a part, all of it or some columns."""
    import pyarrow.parquet as pq

    return pq.ParquetFile(path).read(columns=columns)


def column_names(path: Path) -> list[str]:
    """What the columns of a part are called."""
    import pyarrow.parquet as pq

    names: list[str] = pq.read_schema(path).names
    return names


def check_part(path: Path, digest: str | None) -> str | None:
    """Why a part cannot be read whole, in a few words; None if it can.

    digest  of its bytes, None for a part that was written when nobody could note it any more
    """
    import pyarrow as pa

    try:
        if digest is not None:
            return None if digest_of_file(path) == digest else "other bytes than were written"
        read_part(path)
    except (OSError, pa.ArrowException) as fault:
        return str(fault).splitlines()[0][:80] if str(fault) else type(fault).__name__
    return None
