"""Reading what somebody else has recorded: regular files only, and never more than a bound.

Nothing here trusts a file to say how large it is once unpacked. Every reader has a limit, and what
is declared is held against it before anything is read.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import stat
import struct
import tokenize
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from study.replay.trace import ReplayError

ROWS_MAX = 10_000_000
"""Rows of a trace, and lines of a text: six times the largest recording at hand, and at some 300
bytes a row what a machine of 4 GB can hold."""
LINE_BYTES_MAX = 16_384
"""The kernel prints an event into a buffer of two pages (trace_seq, 8 KB)."""
JSON_BYTES_MAX = 32 << 20
"""Of snapshots or free lists, unpacked; the largest recording at hand has 0.4 MB."""
DIGITS_MAX = 20
"""Of a whole number: 2^64 has 20."""

_PACKED_MOST = 200
"""How many times larger text may become by unpacking: traces become 12 to 18 times larger."""
_UNPACKED_FREELY = 4 << 20
_PIECE_BYTES = 1 << 20

DAMAGED = (
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    OverflowError,
    RecursionError,
    RuntimeError,
    SyntaxError,
    ValueError,
    struct.error,
    tokenize.TokenError,  # numpy reads headers of its first version as Python does
    zlib.error,
)
"""What the readers of gzip, zip, numpy's format and JSON raise for files that are not sound."""


def in_short(error: BaseException) -> str:
    """The first line of what went wrong, of bounded length."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = str(error).splitlines()
    text = lines[0][:100] if lines else type(error).__name__
    return f"no {text}" if isinstance(error, KeyError) else text


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading, without waiting for whoever may write into a pipe.

    Raises
    ------
    ReplayError
        If it cannot be opened, or is a folder, a pipe or a device.
    """
    try:
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    except IsADirectoryError:
        raise ReplayError(f"{path}: a folder; name the trace_*.npz files in it") from None
    except (OSError, ValueError) as error:
        raise ReplayError(f"{path}: {in_short(error)}") from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise ReplayError(f"{path}: no regular file")
    return file


@contextmanager
def unpacked(path: Path) -> Iterator[BinaryIO]:
    """A file for reading, unpacked if it is compressed with gzip.

    Raises
    ------
    ReplayError
        If it cannot be opened, or what is read of it is cut off or damaged.
    """
    with open_regular(path) as raw:
        try:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if not packed:
                yield raw
                return
            with gzip.GzipFile(fileobj=raw) as file:
                yield file  # type: ignore[misc] # GzipFile has what is used of BinaryIO
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ReplayError(f"{path}: cut off or damaged ({in_short(error)})") from None
        except OSError as error:
            raise ReplayError(f"{path}: {in_short(error)}") from None


def pieces_of(path: Path) -> Iterator[bytes]:
    """The content of a file in pieces, unpacked.

    Raises
    ------
    ReplayError
        If it cannot be read to its end, or unpacking it makes far more of it than of any trace.
    """
    size = 0
    with unpacked(path) as file:
        packed = isinstance(file, gzip.GzipFile)
        most = max(_UNPACKED_FREELY, _PACKED_MOST * path.stat().st_size)
        while piece := file.read(_PIECE_BYTES):
            size += len(piece)
            if packed and size > most:
                raise ReplayError(
                    f"{path}: unpacks to over {most / 1e6:,.0f} MB, {_PACKED_MOST} times its size; "
                    "no trace is packed so well"
                )
            yield piece


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines of a text file without their ends, unpacked if it is compressed with gzip.

    Raises
    ------
    ReplayError
        If it cannot be read to its end, or has a line too long or more lines than are read.
    """
    rest = b""
    count = 0
    for piece in pieces_of(path):
        lines = (rest + piece).split(b"\n")
        count += len(lines) - 1
        if max(map(len, lines)) > LINE_BYTES_MAX:
            raise ReplayError(
                f"{path}: a line of over {LINE_BYTES_MAX:,} bytes, which no kernel prints"
            )
        if count > ROWS_MAX:
            raise ReplayError(f"{path}: over {ROWS_MAX:,} lines; give a part of it")
        rest = lines.pop()
        yield from lines
    if rest:
        yield rest


def read_json(path: Path) -> Any:
    """The content of a JSON file compressed with gzip, or not.

    Numbers are finite, and whole ones have no more digits than 64 bits need.

    Raises
    ------
    ReplayError
        If it is larger than such files are, damaged, or no JSON.
    """
    text = io.BytesIO()
    with unpacked(path) as file:
        while piece := file.read(_PIECE_BYTES):
            text.write(piece)
            if text.tell() > JSON_BYTES_MAX:
                raise ReplayError(f"{path}: unpacks to over {JSON_BYTES_MAX >> 20} MiB")
    try:
        return json.loads(
            text.getvalue().decode(), parse_int=_whole_number, parse_constant=_no_constant
        )
    except (ValueError, RecursionError) as error:
        raise ReplayError(f"{path}: cut off or damaged ({in_short(error)})") from None


def _whole_number(digits: str) -> int:
    if len(digits) > DIGITS_MAX:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _no_constant(word: str) -> float:
    raise ValueError(f"{word} is no number")
