"""A results folder, carried through a job's log.

A job on somebody's cluster has its log, which whoever submitted it can follow from its first line
at any time; nothing else that a job makes can be fetched through the job server. So a file goes
into the log as lines of base64 between two that name it, with its digest. Files come in the order
in which a Mirror puts them: whoever has read the log up to any point, has a whole run of some rows.

The log is not trusted to name files: only the rows of a results folder and its manifest are taken,
and of the study that was sent. What is drawn from rows, tables and a page, is drawn at home.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

from study.results.errors import ResultsError
from study.results.files import held_place, write_bytes_whole
from study.results.folder import MANIFEST_BYTES_MOST
from study.results.mirror import MANIFEST, NEW, is_of_a_folder, is_of_the_rows, is_part
from study.scenario.errors import shown
from study.transport.received import Awaited

_MARK = "study-results"
_LINE_BYTES = 48 * 1024
"""Of a file in a line: the job server hands on whole lines."""

FILE_BYTES_MAX = 1 << 31
"""Of one file: a folder of more than some hundred megabytes is better written by the head."""
_SIZE = re.compile(r"[0-9]{1,10}")
_DIGEST = re.compile(r"[0-9a-f]{32}")
_STATUS = re.compile(r"[0-9]{1,3}")
_STATUS_MAX = 255


class Sender:
    """Writes rows into a log, as a Mirror asks for. Takes the descriptor of the log."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def put(self, name: str, source: Path) -> None:
        """Write a file into the log, line by line."""
        if not is_of_the_rows(name):
            return
        content = source.read_bytes()
        self._line("put", name, str(len(content)), _digest(content))
        for start in range(0, len(content), _LINE_BYTES):
            self._line("data", base64.b64encode(content[start : start + _LINE_BYTES]).decode())
        self._line("end", name)

    def move(self, name: str, target: str) -> None:
        """Say that a file has another name now."""
        self._line("move", name, target)

    def remove(self, name: str) -> None:
        """Say that a file is gone."""
        if is_of_the_rows(name):
            self._line("remove", name)

    def exit(self, status: int) -> None:
        """Say how it ended; nothing comes after."""
        self._line("exit", str(status))

    def _line(self, *words: str) -> None:
        left = memoryview(" ".join((_MARK, *words)).encode() + b"\n")
        # One write a line: what others write into the log comes before or after.
        while left:
            left = left[os.write(self._descriptor, left) :]


class Receiver:
    """Reads a log line by line and puts the rows in it into a folder.

    status  how the sender ended, None while it has not said so

    Parameters
    ----------
    folder
        To put them into; None takes no file.
    awaited
        The study that they must be of.
    """

    def __init__(self, folder: Path | None, awaited: Awaited | None) -> None:
        if folder is not None and awaited is None:
            raise ValueError("no file is taken without knowing of which study")
        self.status: int | None = None
        self._folder = folder
        self._awaited = awaited
        self._name: str | None = None
        self._digest = ""
        self._left = 0
        self._content = bytearray()

    def take(self, line: str) -> str | None:
        """Take one line of the log; returns it if it is for people to read.

        Raises
        ------
        ResultsError
            For a line that says what no sender does, a file that arrives damaged, is larger than
            was said or is not one of a results folder, for a manifest of another study, and for
            what cannot be written here.
        """
        mark, _, rest = line.rstrip("\r\n").partition(" ")
        if mark != _MARK:
            return line
        words = rest.split(" ", 4)
        if words[0] == "exit":
            self.status = _status(words)
            return None
        if self._folder is None:
            raise ResultsError(f"the job's log has a file, and none is expected: {_said(words)}")
        try:
            self._take(self._folder, words)
        except OSError as error:
            raise ResultsError(
                f"what the job's log says cannot be done in {self._folder}: {_said(words)}: "
                f"{error.strerror or error}"
            ) from error
        return None

    def _take(self, folder: Path, words: list[str]) -> None:
        match words:
            case ["put", name, size, digest] if _SIZE.fullmatch(size) and _DIGEST.fullmatch(digest):
                self._begin(_checked(name), int(size), digest)
            case ["data", text] if self._name is not None:
                self._add(self._name, _decoded(text))
            case ["end", name] if name == self._name:
                self._store(folder, name)
            case ["move", name, target] if name == f"{NEW}/{target}" and is_part(target):
                # Asked before a folder is made for what is not there.
                (folder / _checked(name)).lstat()
                with held_place(folder, name) as source, held_place(folder, target) as place:
                    source.replace(place)
                _prune(folder / NEW)
            case ["remove", name]:
                if not is_of_the_rows(_checked(name)):
                    return
                if os.path.lexists(folder / _checked(name)):
                    with held_place(folder, name) as place:
                        place.unlink(missing_ok=True)
            case ["put" | "move", name, *others]:
                _checked(name)
                _checked(others[-1] if words[0] == "move" and others else name)
                raise ResultsError(f"the job's log has a line that means nothing: {_said(words)}")
            case _:
                raise ResultsError(f"the job's log has a line that means nothing: {_said(words)}")

    def _begin(self, name: str, size: int, digest: str) -> None:
        most = self._most(name)
        if size > most:
            raise ResultsError(
                f"{name} is of {size:,} bytes in the job's log; at most {most:,} are taken"
            )
        self._name, self._left, self._digest = name, size, digest
        self._content = bytearray()

    def _most(self, name: str) -> int:
        """Bytes that a file may have."""
        table = name.removeprefix(f"{NEW}/").partition("/")[0]
        if not is_part(name.removeprefix(f"{NEW}/")):
            return MANIFEST_BYTES_MOST
        of_study = self._awaited.part_bytes_most(table) if self._awaited is not None else None
        return min(FILE_BYTES_MAX, of_study or FILE_BYTES_MAX)

    def _add(self, name: str, content: bytes) -> None:
        self._left -= len(content)
        if self._left < 0:
            self._name, self._content = None, bytearray()
            raise ResultsError(f"{name} is larger in the job's log than was said: it is damaged")
        self._content += content

    def _store(self, folder: Path, name: str) -> None:
        content = bytes(self._content)
        self._name, self._content = None, bytearray()
        if self._left or _digest(content) != self._digest:
            raise ResultsError(f"{name} came damaged through the job's log")
        if not is_of_the_rows(name):
            return
        if name == MANIFEST and self._awaited is not None:
            self._awaited.check(content)
        with held_place(folder, name) as place:
            write_bytes_whole(place, content, named=folder / name)


def sendable(folder: Path) -> Iterator[str]:
    """Names of the files in a folder from which a run can be continued; a link is none."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if (
            path.is_file()
            and not path.is_symlink()
            and is_of_the_rows(name)
            and not name.startswith(NEW)
        ):
            yield name


def _prune(aside: Path) -> None:
    """Take away a folder of folders if no file is left in it."""
    if aside.is_dir() and not any(path.is_file() for path in aside.rglob("*")):
        shutil.rmtree(aside)


def _said(words: list[str]) -> str:
    return shown(" ".join(words))


def _status(words: list[str]) -> int:
    """The exit status of a line that says how the sender ended."""
    if len(words) != 2 or not _STATUS.fullmatch(words[1]) or int(words[1]) > _STATUS_MAX:
        raise ResultsError(f"the job's log has a line that means nothing: {_said(words)}")
    return int(words[1])


def _checked(name: str) -> str:
    if not is_of_a_folder(name):
        raise ResultsError(f"the job's log names a file of no results folder: {shown(name)}")
    return name


def _decoded(text: str) -> bytes:
    try:
        # Letters outside of ASCII are a ValueError of their own.
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ResultsError(f"the job's log is damaged: {shown(str(error))}") from error


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()
