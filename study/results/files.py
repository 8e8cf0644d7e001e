"""Files in a results folder, which may have come from somebody else.

Nothing is written through a symbolic link, nothing is waited for, and nothing is read without end:
whoever opens or makes a file in such a folder does it here.
"""

from __future__ import annotations

import errno
import io
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from study.results.errors import ResultsError, disk_errors

_COPIED_BYTES = 1 << 20

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def kind_of(mode: int) -> str:
    """What has this mode (st_mode), in words."""
    return _KINDS.get(stat.S_IFMT(mode), "a file")


def open_regular(path: Path) -> io.BufferedReader:
    """Open a file for reading, if it is one, or a link to one.

    A pipe would keep us waiting for somebody to write into it, a device might never end.

    Raises
    ------
    OSError
        It cannot be opened, or is something else; strerror says what.
    """
    # Asked before it is opened: to open some devices does something.
    _check_regular(path.stat().st_mode, path)
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY), "rb")
    try:
        _check_regular(os.fstat(file.fileno()).st_mode, path)
    except BaseException:
        file.close()
        raise
    return file


def read_regular(path: Path, *, most: int) -> bytes:
    """The bytes of a file.

    Parameters
    ----------
    path
        Of a file, or of a link to one.
    most
        Bytes that it may have.

    Raises
    ------
    OSError
        It cannot be read, is no file, or is larger.
    """
    with open_regular(path) as file:
        # What the kernel makes up has no size, and may have nothing to give for now: None.
        content = file.read(most + 1) or b""
    if len(content) > most:
        raise OSError(errno.EINVAL, f"it is larger than {most:,} bytes", str(path))
    return content


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that it is complete or absent, also after a power cut.

    What is no letter (a byte of a name that is no UTF-8) is written with a backslash, which JSON
    reads back as it was.

    Raises
    ------
    ResultsError
        It cannot be written; what was there before stays.
    """
    write_bytes_whole(path, text.encode(errors="backslashreplace"))


def write_bytes_whole(
    path: Path, content: bytes | memoryview, *, named: Path | None = None
) -> None:
    """Write a file so that it is complete or absent, also after a power cut.

    A link of that name is replaced; what it points to stays as it is.

    Parameters
    ----------
    path
        Of the file.
    content
        What is to stand in it.
    named
        What people know it as, if that is another.

    Raises
    ------
    ResultsError
        It cannot be written; what was there before stays.
    """
    with disk_errors(f"cannot write {named or path}"), written_aside(path) as file:
        file.write(content)


@contextmanager
def written_aside(path: Path) -> Iterator[IO[bytes]]:
    """A file to write into, that has its name once all of it is safe on disk.

    Parameters
    ----------
    path
        Of the file; a link of that name is replaced.

    Yields
    ------
    IO
        Of the file, under another name beside it.

    Raises
    ------
    OSError
        It cannot be written; what was there before stays, as when the caller raises anything.
    """
    aside = path.with_name(f".{path.name}.new")
    aside.unlink(missing_ok=True)
    try:
        with create_file(aside) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        raise


def create_file(path: Path) -> IO[bytes]:
    """Make a file that is not there yet, for writing.

    Raises
    ------
    OSError
        It cannot be made, or something of that name is there, if only a link to nowhere.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    return os.fdopen(os.open(path, flags, 0o666), "wb")


def make_folder(path: Path, *, named: Path | None = None) -> None:
    """See to it that there is a folder of this name, and no link to one.

    Parameters
    ----------
    path
        Of the folder.
    named
        What people know it as, if that is another.

    Raises
    ------
    ResultsError
        Something else has the name, or it cannot be made.
    """
    named = named or path
    with disk_errors(f"cannot write {named}"):
        try:
            path.mkdir()
        except FileExistsError:
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                raise ResultsError(
                    f"{named} is a symbolic link, and nothing is written through one; put what it "
                    "points to in its place, or move the whole folder to where there is room"
                ) from None
            if not stat.S_ISDIR(mode):
                raise ResultsError(
                    f"{named} is {kind_of(mode)}, where a folder has to be; move it elsewhere"
                ) from None


@contextmanager
def held_folder(path: Path, *, named: Path | None = None) -> Iterator[Path]:
    """A folder, and no link, by a descriptor: another that takes its name meanwhile is not meant.

    Who can write beside it could have it be a link to somebody else's folder between two looks.

    Parameters
    ----------
    path
        Of the folder; it is made if it is not there.
    named
        What people know it as, if that is another.

    Yields
    ------
    Path
        Of the folder while it is held, whatever its name leads to by then.

    Raises
    ------
    ResultsError
        Something else has the name.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    with disk_errors(f"cannot write {named or path}"):
        make_folder(path, named=named)
        held = os.open(path, flags)
    try:
        yield Path(f"/proc/self/fd/{held}")
    finally:
        os.close(held)


@contextmanager
def held_place(folder: Path, name: str) -> Iterator[Path]:
    """Where a file is to lie, in folders that are made, are no links, and are held.

    Parameters
    ----------
    folder
        Which may be a link, and need not be there.
    name
        Of the file, below it, with slashes.

    Yields
    ------
    Path
        Of the file, while the folders are held.

    Raises
    ------
    ResultsError
        Something else has the name of one of the folders.
    """
    with disk_errors(f"cannot write {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
    place = named = folder
    with ExitStack() as held:
        for part in Path(name).parent.parts:
            named = named / part
            place = held.enter_context(held_folder(place / part, named=named))
        yield place / Path(name).name


def move_held(held: Path, path: Path, target: Path) -> None:
    """Give a folder that is held another name, unless its own leads to something else by now.

    Parameters
    ----------
    held
        As held_folder() has it.
    path
        The name that it was made under.
    target
        A name that is free.

    Raises
    ------
    OSError
        Something else has its name; or it cannot be moved.
    """
    _check_held(held, path, path)
    path.rename(target)
    try:
        # Between the look and the move there was a moment.
        _check_held(held, target, path)
    except OSError:
        target.rename(path)
        raise


def _check_held(held: Path, path: Path, named: Path) -> None:
    if not os.path.samestat(held.stat(), path.lstat()):
        raise OSError(errno.EINVAL, "somebody has put something else in its place", str(named))


def copy_whole(source: Path, path: Path) -> None:
    """Have a file of these bytes that is complete or absent, also after a power cut.

    Parameters
    ----------
    source
        A file, or a link to one.
    path
        Of the copy, in a folder that is held; a link of that name is replaced.

    Raises
    ------
    OSError
        One cannot be read or the other written; what was there before stays.
    """
    with open_regular(source) as original, written_aside(path) as copy:
        shutil.copyfileobj(original, copy, _COPIED_BYTES)


def remove(path: Path) -> None:
    """Have nothing of this name: a folder goes with all in it, a link without what it points to.

    Raises
    ------
    OSError
        It cannot be removed.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _check_regular(mode: int, path: Path) -> None:
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, f"it is {kind_of(mode)} and no file", str(path))
