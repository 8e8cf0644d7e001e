"""Folders below the temporary one that go with their process, also if that is killed.

Whoever is killed cleans nothing up. So a folder holds a locked file, whose lock ends with the
process, and the next one that needs such a folder removes those that nobody locks any more.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from study.trust.folders import new_folder, temporary_root

_MARK = ".in-use"
_PREFIX = "study-"

_RAY = "r"

_LONGEST = 107 - len(
    "/study-12345678/r/session_2026-11-27_00-44-44_123456_1234567/sockets/plasma_store"
)
"""Of the folder that holds it, in letters. Ray puts Unix sockets below its temporary folder, and
their paths end at 107 (unix(7))."""


class Scratch:
    """A new folder that nobody else can enter.

    path  where it is, with a short name
    ray   for the files of a Ray: it opens its own folder to everybody (0777), so that one has to
          lie in another that stays shut
    """

    def __init__(self) -> None:
        """Raises OSError if there is no room for it."""
        _sweep(temporary_root(_LONGEST))
        self.path = new_folder(_PREFIX, longest=_LONGEST)
        self.ray = self.path / _RAY
        self._mark = _locked(self.path)

    def keep(self) -> None:
        """Leave it where it is, for good."""
        (self.path / _MARK).unlink(missing_ok=True)
        if self._mark is not None:
            self._mark.close()

    def remove(self) -> None:
        """Take it away, with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._mark is not None:
            self._mark.close()


def _locked(folder: Path) -> TextIO | None:
    """Mark a folder as ours; None where a filesystem has no locks, and nothing is swept."""
    file = (folder / f"{_MARK}.new").open("w", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    # Under its name it has never been without its lock.
    Path(file.name).rename(folder / _MARK)
    return file


def _sweep(root: Path) -> None:
    """Remove the folders of processes that have ended without doing so."""
    for folder in root.glob(f"{_PREFIX}*"):
        # Whoever removes a folder at this moment, or owns it, is left to it.
        with suppress(OSError):
            state = folder.lstat()
            if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.geteuid():
                continue
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            with os.fdopen(os.open(folder / _MARK, flags)) as mark:
                fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
