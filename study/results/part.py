"""One part of a table: a Parquet file that is complete or absent, known by its digest.

Every page of it carries a checksum, which whoever reads it verifies.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from study.results.errors import ResultsError, disk_errors, reason
from study.results.files import open_regular, write_bytes_whole

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

WRITTEN_WITH: Final[dict[str, Any]] = {"compression": "zstd", "write_page_checksum": True}
"""How pyarrow writes a part."""

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


def open_part(path: Path, **options: Any) -> pq.ParquetFile:
    """Open a part; whatever is read from it is held against the checksums of its pages.

    Parameters
    ----------
    path
        The file.
    **options
        Of pyarrow.parquet.ParquetFile.

    Raises
    ------
    OSError
        It cannot be opened, or is a pipe or the like.
    pyarrow.ArrowException
        It is no Parquet file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with open_regular(path) as file:
        # By its descriptor: Arrow takes no name that is not UTF-8, and would wait for a pipe.
        source = pa.OSFile(f"/proc/self/fd/{file.fileno()}")
    return pq.ParquetFile(source, page_checksum_verification=True, **options)


def read_part(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Read a part, all of it or some columns, without what others may have noted beside them."""
    return open_part(path).read(columns=columns).replace_schema_metadata()


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
