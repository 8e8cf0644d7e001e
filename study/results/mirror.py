"""A results folder that grows here and is carried elsewhere, file by file, as it grows.

Elsewhere a file can be put or removed as a whole, and no more is asked for: no rename, no lock, no
append. A part is carried before the manifest that names it, with its digest, so that the manifest
elsewhere never promises what is not there; a part that the manifest does not name, or whose bytes
are others, is none. A part that takes the place of another goes to .new/ first, and there it is
looked for until it has arrived at its own place.
"""

from __future__ import annotations

import os
import re
import weakref
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from study.fanout.scratch import Scratch

MANIFEST = "manifest.json"
NEW = ".new"
"""Where the successor of a part lies until it has replaced it."""

_NAME = re.compile(
    r"(?:(?:\.new/)?(?:trials|series)/part-[0-9]{6,12}\.parquet"
    r"|damaged/(?:trials|series)-part-[0-9]{6,12}\.parquet"
    r"|manifest\.json|(?:summary|contrasts|verdicts)\.csv|report\.html|zonemaps\.npz)"
)
"""Files of a results folder, as they are called here and elsewhere."""

DRAWN = ("summary.csv", "contrasts.csv", "verdicts.csv", "report.html")

Stamp = tuple[int, int, int]


def is_of_a_folder(name: str) -> bool:
    """Whether a file of this name, relative to a results folder, belongs to one."""
    return _NAME.fullmatch(name) is not None


def is_of_the_rows(name: str) -> bool:
    """Whether a file is one from which all the others of a results folder are made."""
    return is_of_a_folder(name) and (name == MANIFEST or is_part(name.removeprefix(f"{NEW}/")))


def is_drawn(name: str) -> bool:
    """Whether a file is made from the rows in no time, and says nothing that they do not."""
    return name in DRAWN


class Carrier(Protocol):
    """Takes files to another place. Names are relative to the folder, with slashes."""

    def put(self, name: str, source: Path) -> None:
        """Make the file there what this one is; another of that name is replaced."""

    def move(self, name: str, target: str) -> None:
        """Rename a file there, which may mean to copy and remove it; replaces the target."""

    def remove(self, name: str) -> None:
        """Have no such file there."""


class Mirror:
    """Carries what has changed in a folder since the last time.

    place    how people name the other place
    carried  names of files that are there already, as they are here
    """

    def __init__(
        self, local: Path, carrier: Carrier, *, place: str, carried: Iterable[str] = ()
    ) -> None:
        self.local = local
        self.place = place
        self._carrier = carrier
        self._carried: dict[str, Stamp] = {}
        self._scratch: Scratch | None = None
        self._at_end: weakref.finalize[..., Mirror] | None = None
        self.note_carried(carried)

    def lend(self, scratch: Scratch) -> None:
        """The folder here lies in this one, which goes when nobody holds the mirror any more."""
        self._scratch = scratch
        self._at_end = weakref.finalize(self, scratch.remove)

    def keep(self) -> None:
        """Leave the folder here where it is, also when this process ends."""
        if self._scratch is not None and self._at_end is not None:
            self._at_end.detach()
            self._scratch.keep()

    def note_carried(self, names: Iterable[str]) -> None:
        """These files are there already."""
        self._carried.update({name: _stamp(self.local / name) for name in names})

    def carry(self) -> None:
        """Put what is new, in an order in which the other place is whole at every moment."""
        here = {name: _stamp(self.local / name) for name in _files(self.local)}
        changed = [name for name, stamp in here.items() if self._carried.get(name) != stamp]
        parts = [name for name in changed if is_part(name)]
        replaced = [name for name in parts if name in self._carried]
        for name in parts:
            self._carrier.put(f"{NEW}/{name}" if name in replaced else name, self.local / name)
        if MANIFEST in changed:
            self._carrier.put(MANIFEST, self.local / MANIFEST)
        for name in replaced:
            self._carrier.move(f"{NEW}/{name}", name)
        for name in changed:
            if name != MANIFEST and not is_part(name):
                self._carrier.put(name, self.local / name)
        gone = self._carried.keys() - here.keys()
        # What was drawn may be there without ever having been here; with the rest gone it goes too.
        for name in gone | (set(DRAWN) if MANIFEST in gone else set()):
            self._carrier.remove(name)
        self._carried = here

    def bring(self, table: str) -> None:
        """Have a table here that was left out when the rest was fetched."""
        fetch = getattr(self._carrier, "fetch_table", None)
        if fetch is not None and not any((self.local / table).glob("part-*")):
            self.note_carried(fetch(self.local, table))

    def only_writer(self) -> AbstractContextManager[None]:
        """Keep other writers out, if the other place can."""
        lock = getattr(self._carrier, "only_writer", None)
        return nullcontext() if lock is None else lock()

    def is_being_written(self) -> bool:
        """Is a run at work there, as far as can be told?"""
        ask = getattr(self._carrier, "is_being_written", None)
        return bool(ask is not None and ask())


def is_part(name: str) -> bool:
    """Is this file a part of a table?"""
    table, _, file = name.partition("/")
    return table in ("trials", "series") and file.startswith("part-")


def _files(local: Path) -> Iterable[str]:
    """Names of all files in a folder, but hidden ones."""
    for folder, folders, files in os.walk(local):
        folders[:] = [name for name in folders if not name.startswith(".")]
        here = Path(folder).relative_to(local)
        for name in files:
            if not name.startswith("."):
                yield (here / name).as_posix()


def _stamp(path: Path) -> Stamp:
    """Changes whenever the file does: each is written aside and renamed."""
    try:
        state = path.stat()
    except FileNotFoundError:
        return (0, 0, 0)
    return (state.st_mtime_ns, state.st_size, state.st_ino)
