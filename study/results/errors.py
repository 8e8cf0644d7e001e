"""What goes wrong with a results folder, in words that are meant for the user."""

from __future__ import annotations

import errno
import os
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager


class ResultsError(Exception):
    """A results folder cannot be used as asked; the text says why and is meant for the user."""


class TakenOver(ResultsError):
    """Another run writes the folder now."""


_HELD = re.compile(r"^/proc/self/fd/[0-9]+/")
_IN_THE_WAY = (errno.EEXIST, errno.EISDIR, errno.ENOTEMPTY)

_WAYS_ON = {
    errno.ENOSPC: "free some space and try again",
    errno.EDQUOT: "free some space of your quota and try again",
    errno.EFBIG: "raise the limit on the size of a file (ulimit -f) and try again",
    errno.ENOTDIR: "a folder in its path is a file; give another",
    errno.EROFS: "mount it for writing, or copy the folder to another disk",
    errno.EACCES: "it has to be yours, or its owner has to allow it",
    errno.EPERM: "it has to be yours, or its owner has to allow it",
    errno.EIO: "see whether the disk is sound, and copy the folder to another if not",
    errno.ENODEV: "see whether the disk is still there",
    errno.ENXIO: "see whether the disk is still there",
    errno.ENOTCONN: "see whether the disk is still there",
    errno.ESTALE: "see whether the disk is still there",
    errno.EMFILE: "raise the limit on open files (ulimit -n) and try again",
    errno.ENFILE: "end what keeps so many files open, and try again",
    errno.ENAMETOOLONG: "give a shorter name",
}


@contextmanager
def disk_errors(what: str, *also: type[Exception]) -> Iterator[None]:
    """Turn what a disk refuses into words that say what it was and the way on.

    Parameters
    ----------
    what
        What could not be done, and with which folder or file: `cannot write DIR`.
    *also
        Other exceptions to turn into words: those of a library that reads and writes there.

    Raises
    ------
    ResultsError
        In place of an OSError, or of one of `also`.
    """
    refused: tuple[type[Exception], ...] = (OSError, *also)
    try:
        yield
    except refused as error:
        raise ResultsError(f"{what}: {reason(error, named_in=what)}") from error


def reason(error: Exception, *, named_in: str = "") -> str:
    """Why a disk or a library refused, on one line, with the way on where there is one.

    Parameters
    ----------
    error
        What was raised.
    named_in
        Text before it: the file at which it happened is named if that does not name it.

    Returns
    -------
    str
        As `No space left on device; free some space and try again`.
    """
    lines = str(error).strip().splitlines()
    text = lines[0] if lines else type(error).__name__
    if not isinstance(error, OSError):
        return text
    # Of two names the second is the one that was to be made.
    name = error.filename2 or error.filename
    file = os.fsdecode(name) if isinstance(name, str | bytes) else ""
    # In a folder that is held by its descriptor: of that nobody else knows anything.
    file = _HELD.sub("", file)
    if error.errno in _IN_THE_WAY and file:
        return f"{file} is in the way; move it elsewhere and try again"
    text = error.strerror or text
    # A file is written aside, under a name that says nothing to people.
    if file and _final(file) not in named_in:
        text = f"{file}: {text}"
    way_on = _WAYS_ON.get(error.errno or 0)
    return f"{text}; {way_on}" if way_on else text


def _final(file: str) -> str:
    """Name of a file that is written aside as .NAME.new: its own."""
    folder, slash, name = file.rpartition("/")
    if name.startswith(".") and name.endswith(".new"):
        name = name[1:].removesuffix(".new")
    return f"{folder}{slash}{name}"


@contextmanager
def storage_errors(url: str) -> Iterator[None]:
    """Turn whatever a filesystem elsewhere raises into a ResultsError that names the place."""
    try:
        yield
    except (ResultsError, KeyboardInterrupt):
        raise
    except Exception as error:
        # Every filesystem raises its own; botocore's are no OSError.
        raise ResultsError(f"cannot use {url}: {reason(error, named_in=url)}") from error


def shell_word(text: str) -> str:
    r"""Text as a shell takes it, whatever is in it: 'a b', $'a\xff'.

    A file's name need not be text: bytes that are none, and letters that a terminal would obey
    instead of showing them, are written with a backslash.
    """
    if text.isprintable():
        return shlex.quote(text)
    shown = (
        chr(byte) if 0x20 <= byte < 0x7F and chr(byte) not in "'\\" else f"\\x{byte:02x}"
        for byte in _bytes_of(text)
    )
    return f"$'{''.join(shown)}'"


def _bytes_of(text: str) -> bytes:
    try:
        return os.fsencode(text)
    except UnicodeEncodeError:
        return text.encode(errors="surrogatepass")
