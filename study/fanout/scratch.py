"""Folders below the temporary one that go with their process, also if that is killed.

Whoever is killed cleans nothing up. So a folder holds a locked file, whose lock ends with the
process, and the next one that needs such a folder removes those that nobody locks any more.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TextIO

_MARK = ".in-use"
_PREFIX = "study-"

_LONGEST = 40
"""Ray puts Unix sockets below its temporary folder, and their paths end at 107 letters."""


class Scratch:
    """A new folder that nobody else can enter.

    path  where it is, with a short name
    """

    def __init__(self) -> None:
        """Raises OSError if there is no room for it."""
        root = tempfile.gettempdir()
        short = root if len(root) <= _LONGEST else "/tmp"  # noqa: S108 - mkdtemp's name is new
        _sweep(Path(short))
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=short))
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
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            with (folder / _MARK).open("r", encoding="utf-8") as mark:
                fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
