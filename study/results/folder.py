"""A results folder: where it is, whether it may be used, and its manifest on disk.

DIR/manifest.json    what made it, how far it got
DIR/trials/          Parquet, one row a trial
DIR/series/          Parquet, one row a sample
DIR/summary.csv      per cell and metric
DIR/contrasts.csv    per metric and pair of levels or cells
DIR/verdicts.csv     per claim of the scenario
DIR/damaged/         parts that could not be read back
DIR/.lock            while a run writes
DIR/.before/         what was there, while a job's log is taken in (received.py)
DIR/.new/            parts that are to take the place of others (mirror.py)
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from time import sleep
from typing import IO, TYPE_CHECKING, Any, cast

from study.results.errors import (
    ResultsError,
    TakenOver,
    disk_errors,
    reason,
    shell_word,
    storage_errors,
)
from study.results.files import (
    kind_of,
    make_folder,
    move_held,
    read_regular,
    remove,
    write_whole,
)
from study.results.manifest import FORMAT, differences, misshapen, parsed
from study.results.mirror import NEW, Mirror

if TYPE_CHECKING:
    from study.results.model import Manifest
    from study.results.part import Hashed

MANIFEST = "manifest.json"
TRIALS = "trials"
SERIES = "series"
SUMMARY = "summary.csv"
CONTRASTS = "contrasts.csv"
VERDICTS = "verdicts.csv"
REPORT = "report.html"
ZONE_MAPS = "zonemaps.npz"

SEED_MAX = 2**64 - 1

DAMAGED = "damaged"
REPLACED = ".replaced"
"""Where `force` moves an earlier run: removed once the new one has rows, else put back."""
_DROPPED = f"{REPLACED}.old"
"""REPLACED while it is removed: what is left half-way must not be put back."""
LOCK = ".lock"
BEFORE = ".before"
"""What a folder held before a log was taken into it, laid out as a results folder."""
_MADE = (TRIALS, SERIES, SUMMARY, CONTRASTS, VERDICTS, REPORT, ZONE_MAPS, MANIFEST)
_OURS = (
    *(f".{name}.{side}" for name in _MADE for side in ("new", "old")),
    _DROPPED,
    f"{BEFORE}.new",
    BEFORE,
    NEW,
    DAMAGED,
    *_MADE,
)
"""All names that runs give, in the order in which they are moved and removed. The manifest is last:
what holds one is a results folder, even when moving or removing was cut short."""
_BEFORE_MANIFEST = (LOCK, f".{MANIFEST}.new")
_LOCK_TRIES, _LOCK_AGAIN_S = 10, 0.02
_NAME_LETTERS = 80
_NOTE_BYTES = 1_000
_PROCESS = re.compile(r"process [0-9]+ on [\w.-]+")
"""In the note of a run that writes: by itself, or in that of a URL (storage.py)."""

MANIFEST_BYTES_MOST = 64 * 1024 * 1024
"""Ten thousand cells, the most there can be, with long levels take a tenth of that."""


@dataclass
class Folder:
    """A results folder and the manifest in it.

    Parameters
    ----------
    path
        The folder on this machine.
    manifest
        As manifest.json has it, or will with the next save_manifest().
    mirror
        Carries it elsewhere, if this is the copy of a folder on another filesystem.
    checked
        Parts that were compared with their digests, so that large ones are hashed once -> what was
        hashed.
    held
        File descriptor of the folder while this run is its only writer: its path may by then lead
        to another folder.
    """

    path: Path
    manifest: Manifest = field(repr=False)
    mirror: Mirror | None = field(default=None, repr=False, compare=False)
    checked: dict[str, Hashed] = field(default_factory=dict, repr=False, compare=False)
    held: int | None = field(default=None, repr=False, compare=False)

    @property
    def place(self) -> str:
        """What people call it: its path, or the URL of which this is a copy."""
        return str(self.path) if self.mirror is None else self.mirror.place

    def publish(self) -> None:
        """Copy what has changed to the other filesystem, if this is a copy.

        Raises
        ------
        ResultsError
            It cannot be written there.
        """
        if self.mirror is not None:
            with storage_errors(self.place):
                self.mirror.carry()

    def is_being_written(self) -> bool:
        """Is a run at work in it?

        Returns
        -------
        bool
            By its lock; of a folder on another filesystem by the note that a run keeps there.

        Raises
        ------
        ResultsError
            The other filesystem cannot be read.
        """
        if self.mirror is not None:
            return self.mirror.is_being_written()
        return is_being_written(self.path)

    def only_writer(self) -> AbstractContextManager[None]:
        """Keep every other run out.

        Returns
        -------
        contextmanager
            Holds the lock. Entering it raises ResultsError if another run writes the folder, or it
            cannot be written.
        """
        return only_writer(self.path) if self.mirror is None else self.mirror.only_writer()

    @property
    def trials(self) -> Path:
        """Folder of the table with one row a trial."""
        return self.path / TRIALS

    @property
    def series(self) -> Path:
        """Folder of the table with one row a sample."""
        return self.path / SERIES

    @property
    def summary(self) -> Path:
        """The CSV with one row per cell and metric."""
        return self.path / SUMMARY

    def note_part(self, path: Path, digest: str) -> None:
        """Remember the digest of a part; on disk with the next save_manifest().

        Parameters
        ----------
        path
            Of the part; only its table and its name count.
        digest
            Of its bytes.
        """
        self.manifest.setdefault("parts", {})[f"{path.parent.name}/{path.name}"] = digest

    def digest_of(self, path: Path) -> str | None:
        """The digest of a part as it was written.

        Parameters
        ----------
        path
            Of the part; only its table and its name count.

        Returns
        -------
        str or None
            None if it was never noted.
        """
        found: str | None = self.manifest.get("parts", {}).get(f"{path.parent.name}/{path.name}")
        return found

    def save_manifest(self) -> None:
        """Write the manifest; a reader sees the old one or the new one, never half of one.

        Raises
        ------
        TakenOver
            Another folder has this one's path by now.
        ResultsError
            It cannot be written.
        """
        if self.held is not None and not _is_named(self.held, self.path):
            raise TakenOver(
                f"{self.path} was moved or removed while this run wrote into it; this one stops"
            )
        text = json.dumps(self.manifest, indent=2, ensure_ascii=False) + "\n"
        write_whole(self.path / MANIFEST, text)


def _is_named(held: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(held), path.stat())
    except OSError:
        return False


def default_path(name: str) -> Path:
    """A new folder below results/, named after the study and the time; it is not made.

    Parameters
    ----------
    name
        Of the study. Other characters than ASCII letters, digits, dot, dash and underscore become
        dashes.

    Returns
    -------
    Path
        results/NAME-YYYYMMDD-HHMMSS in local time, with a number behind it if that exists.
    """
    letters = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:_NAME_LETTERS] or "study"
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    first = Path("results") / f"{letters}-{stamp}"
    path, counter = first, 1
    while path.exists():
        counter += 1
        path = first.with_name(f"{first.name}-{counter}")
    return path


def create_folder(path: Path, manifest: Manifest, *, force: bool = False) -> Folder:
    """Make a results folder with this manifest.

    Parameters
    ----------
    path
        Where nothing is yet, an empty folder, or with `force` an earlier run.
    manifest
        Of the run that is about to start.
    force
        Start over in a folder whose fingerprint is the same; any other stays untouched. The caller
        is its only writer. What was there stays in REPLACED until there are new rows.

    Returns
    -------
    Folder
        With both tables, which are empty.

    Raises
    ------
    ResultsError
        Something is there already, nothing can be written, or the seed does not fit in 64 bits.
    """
    folder = Folder(path, manifest)
    if not 0 <= manifest["seed"] <= SEED_MAX:
        raise ResultsError(f"seed is {manifest['seed']}; the trials table holds 0 to 2^64 - 1")
    with disk_errors(f"cannot write the results folder {path}"):
        _make_room(path, manifest, force=force)
        is_new = not path.exists()
        path.mkdir(parents=True, exist_ok=True)
        try:
            prepare_tables(path)
            folder.save_manifest()
        except BaseException:
            _remove_beginning(path)
            if is_new:
                remove_if_empty(path)
            raise
    return folder


def prepare_tables(path: Path) -> None:
    """See to it that a results folder has both its tables, as folders in which a run can write.

    Raises
    ------
    ResultsError
        One of them is a link or no folder, or cannot be made.
    """
    for name in (TRIALS, SERIES):
        settle_table(path / name)
        make_folder(path / name)


def check_room(path: Path) -> None:
    """Refuse a place at which no results folder can be made, and touch nothing.

    Raises
    ------
    ResultsError
        A file is there, or a folder that holds something else.
    """
    with disk_errors(f"cannot write the results folder {path}"):
        if path.is_symlink() and not path.exists():
            raise ResultsError(f"{path} is a symbolic link to what is not there")
        if path.exists() and not path.is_dir():
            raise ResultsError(f"{path} is a file; --out names a folder")
        if path.exists() and not _holds_manifest(path) and not is_blank(path):
            for table in (path / TRIALS, path / SERIES):
                if table.is_symlink():
                    make_folder(table)  # raises ResultsError, which names the link
            raise ResultsError(
                f"{path} is not empty and holds no results of this program; give another --out"
            )


def is_blank(path: Path) -> bool:
    """Is a folder empty, but for what a run leaves that ends before it has a manifest?

    Raises
    ------
    OSError
        It cannot be read, or is none.
    """
    with os.scandir(path) as entries:
        return all(_is_from_before_manifest(entry) for entry in entries)


def _is_from_before_manifest(entry: os.DirEntry[str]) -> bool:
    """Is it what a run makes before it writes its manifest: empty tables, the lock?"""
    if entry.name in (TRIALS, SERIES) and entry.is_dir(follow_symlinks=False):
        return not any(Path(entry.path).iterdir())
    if entry.name == REPLACED and entry.is_dir(follow_symlinks=False):
        return True  # who started over was stopped before there was a manifest
    return entry.name in _BEFORE_MANIFEST and entry.is_file(follow_symlinks=False)


def _holds_manifest(path: Path) -> bool:
    return os.path.lexists(path / MANIFEST)


def _remove_beginning(path: Path) -> None:
    """Remove what a run writes before its manifest; tables with anything in them stay."""
    if _holds_manifest(path):
        return
    with suppress(OSError):
        (path / f".{MANIFEST}.new").unlink(missing_ok=True)
    for table in (path / TRIALS, path / SERIES):
        remove_if_empty(table)


def remove_if_empty(path: Path) -> None:
    """Remove an empty folder; leave anything else."""
    with suppress(OSError):
        path.rmdir()


def remove_folder(folder: Folder) -> None:
    """Remove a results folder that holds no result yet; leave files that no run makes.

    What cannot be removed stays without a word: the caller has an error of its own to report.
    """
    for name in (*_OURS, LOCK):
        with suppress(OSError):
            remove(folder.path / name)
    remove_if_empty(folder.path)


def drop_replaced(path: Path) -> None:
    """Remove what a run has started over from, now that it has rows of its own."""
    if os.path.lexists(path / _DROPPED):
        _discard(path / _DROPPED)
    if os.path.lexists(path / REPLACED):
        with suppress(OSError):
            (path / REPLACED).rename(path / _DROPPED)
        _discard(path / _DROPPED)


def put_back_replaced(path: Path) -> bool:
    """Undo create_folder(force=True): move what lies in REPLACED to where it was.

    Parameters
    ----------
    path
        Of the results folder; the caller is its only writer.

    Returns
    -------
    bool
        Whether it was moved: not if nothing was kept, or another run has its manifest here.

    Raises
    ------
    OSError
        It cannot be moved.
    """
    aside = path / REPLACED
    if aside.is_symlink() or not aside.is_dir():
        return False
    is_whole = _holds_manifest(aside)
    if is_whole and _holds_manifest(path):
        return False
    for name in _OURS:
        if is_whole:
            remove(path / name)  # of a run that ended before its manifest
        if os.path.lexists(aside / name) and not os.path.lexists(path / name):
            (aside / name).rename(path / name)
    remove_if_empty(aside)
    return True


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Keep every other run out of a results folder; the lock ends with the process.

    Parameters
    ----------
    path
        An existing folder of this machine.

    Yields
    ------
    None
        While the lock is held.

    Raises
    ------
    ResultsError
        Another run writes it, or it cannot be written.
    """
    with locked(path) as file:
        # It is the lock that counts; who holds it is only said where there is room to write it.
        with suppress(OSError):
            file.write(this_process().encode())
        yield


def this_process() -> str:
    """What people know this process by."""
    return f"process {os.getpid()} on {socket.gethostname()}"


@contextmanager
def locked(path: Path) -> Iterator[IO[bytes]]:
    """Hold the lock of a results folder: its file, emptied, for a note of who holds it.

    Raises what only_writer() raises.
    """
    with _locked(path) as file:
        with suppress(OSError):
            file.truncate(0)
        try:
            yield file
        finally:
            # On a disk that fails the file stays, and stops no later run: nothing locks it then.
            with suppress(OSError):
                (path / LOCK).unlink(missing_ok=True)


def _locked(path: Path) -> IO[bytes]:
    """The file of a folder's lock, locked; without a lock on a filesystem that has none."""
    tries = _LOCK_TRIES
    while True:
        with disk_errors(f"cannot write into {path}"):
            file = _opened_lock(path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            # is_being_written() holds it for a moment, too.
            tries -= 1
            if tries:
                sleep(_LOCK_AGAIN_S)
                continue
            raise ResultsError(f"{path} is being written by {_writer(path)}") from None
        except OSError:
            # A filesystem without locks: nothing is lost but this protection.
            return file
        with suppress(OSError):
            # Whoever ended in between has taken the file away, and a third may have a new one.
            if os.path.samestat(os.fstat(file.fileno()), (path / LOCK).lstat()):
                return file
        file.close()


def _opened_lock(path: Path, flags: int) -> IO[bytes]:
    """The file that runs lock, opened without a buffer.

    Raises ResultsError if it is a link or anything else that no run has made, OSError if it cannot
    be opened.
    """
    lock = path / LOCK
    with suppress(FileNotFoundError):
        _check_lock(lock.lstat(), lock)
    descriptor = os.open(lock, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    file = os.fdopen(descriptor, "rb" if flags & os.O_ACCMODE == os.O_RDONLY else "r+b", 0)
    try:
        _check_lock(os.fstat(descriptor), lock)
    except BaseException:
        file.close()
        raise
    return file


def _check_lock(state: os.stat_result, lock: Path) -> None:
    if not stat.S_ISREG(state.st_mode):
        raise ResultsError(
            f"{lock} is {kind_of(state.st_mode)} and not the lock of a run; remove it"
        )
    if state.st_nlink > 1:
        raise ResultsError(f"{lock} is a file that has another name too; remove it")


def is_being_written(path: Path) -> bool:
    """Is a run at work in this folder?

    Parameters
    ----------
    path
        Of this machine.

    Returns
    -------
    bool
        False too if its lock cannot be read, or another machine holds it on a filesystem without
        locks.
    """
    try:
        with _opened_lock(path, os.O_RDONLY) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (OSError, ResultsError):
        return False
    return False


def opened(folder: Folder | str | os.PathLike[str]) -> Folder:
    """The same if it is an open one, or that of a path of this machine.

    Raises ResultsError as open_local() does.
    """
    if isinstance(folder, Folder):
        return folder
    if "://" in os.fspath(folder):
        raise ResultsError(f"{folder} is a URL: study.transport.open_folder() opens it")
    return open_local(folder)


def open_local(path: str | os.PathLike[str]) -> Folder:
    """Open an existing results folder of this machine for reading.

    Parameters
    ----------
    path
        Of the folder.

    Returns
    -------
    Folder
        With its manifest, which was checked; the tables are not read yet.

    Raises
    ------
    ResultsError
        It is none, or was written by a newer version.
    """
    folder = Path(path)
    manifest = _read_manifest(folder)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("format"), int):
        raise ResultsError(f"{folder / MANIFEST} is not a manifest of this program")
    if manifest["format"] > FORMAT:
        raise ResultsError(
            f"{folder} has format {manifest['format']}; this version reads up to {FORMAT}"
        )
    if (wrong := misshapen(manifest)) is not None:
        raise ResultsError(f"{folder / MANIFEST} is damaged: {wrong}")
    if not is_being_written(folder):
        settle_table(folder / TRIALS)
        settle_table(folder / SERIES)
    for table in (folder / TRIALS, folder / SERIES):
        _check_table(table)
    return Folder(folder, cast("Manifest", manifest))


def _read_manifest(folder: Path) -> Any:
    path = folder / MANIFEST
    with disk_errors(f"cannot read {path}"):
        try:
            content = read_regular(path, most=MANIFEST_BYTES_MOST)
        except FileNotFoundError:
            raise ResultsError(f"{folder} is not a results folder: {_why_none(folder)}") from None
    try:
        return parsed(content.decode())
    except ValueError as error:
        raise ResultsError(f"{path} is damaged: {reason(error)}") from error


def _why_none(folder: Path) -> str:
    if not folder.is_dir():
        return "it does not exist"
    if is_blank(folder):
        return (
            "there is no manifest.json in it, nor any row; a run that ended so early is started "
            f"again with: study run SCENARIO --out {shell_word(str(folder))}"
        )
    if found := newest_in(folder):
        return f"it holds some, the newest is {found}"
    return "there is no manifest.json in it"


def newest_in(path: str | os.PathLike[str]) -> Path | None:
    """The results folder directly below a folder whose manifest was written last; None if none.

    Links are passed over: what they lead to lies elsewhere.
    """
    found = []
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                with suppress(OSError):
                    manifest = Path(entry.path) / MANIFEST
                    if entry.is_dir(follow_symlinks=False):
                        found.append((manifest.lstat().st_mtime_ns, entry.path))
    except OSError:
        return None
    return Path(max(found)[1]) if found else None


def _check_table(table: Path) -> None:
    """Refuse what is there and is no folder; a missing table is one without rows."""
    with disk_errors(f"cannot read {table}"):
        if table.is_symlink() and not table.exists():
            where = table.readlink()
            raise ResultsError(f"{table} is a symbolic link to {where}, which is not there")
        if table.exists() and not table.is_dir():
            raise ResultsError(f"{table} is {kind_of(table.stat().st_mode)} and no folder of parts")


def replace_table(table: Path, replacement: Path, held: Path) -> None:
    """Put one folder of parts in the place of another. settle_table() heals a crash half-way.

    held  the replacement, as held_folder() has it

    Raises
    ------
    ResultsError
        The disk refuses, or the replacement is another folder by now; the parts that were there
        stay.
    """
    old = _set_aside(table)
    with disk_errors(f"cannot write {table}"):
        remove(old)
        table.rename(old)
        try:
            move_held(held, replacement, table)
        except OSError:
            with suppress(OSError):
                old.rename(table)
            raise
    _discard(old)


def settle_table(table: Path) -> None:
    """Finish or take back a replace_table() that was cut short.

    Raises
    ------
    ResultsError
        The disk refuses what has to be done before the table can be read.
    """
    old = _set_aside(table)
    with disk_errors(f"cannot repair {table}"):
        if not os.path.lexists(old):
            return
        if not os.path.lexists(table):
            old.rename(table)
        elif table.is_dir() and not table.is_symlink():
            _discard(old)


def _discard(old: Path) -> None:
    """Remove what has been replaced; what cannot be removed does no harm."""
    with suppress(OSError):
        remove(old)


def _writer(path: Path) -> str:
    """Who holds the lock of a folder, for a message: what its note says, if it can be read."""
    who = None
    with suppress(OSError):
        who = _PROCESS.search(read_regular(path / LOCK, most=_NOTE_BYTES).decode(errors="replace"))
    return "another run" if who is None else f"another run ({who[0]})"


def _set_aside(table: Path) -> Path:
    """Where replace_table() keeps the parts that were there until the others are in place."""
    return table.with_name(f".{table.name}.old")


def _make_room(path: Path, manifest: Manifest, *, force: bool) -> None:
    """Check that a run may begin here; with `force` move an earlier one to REPLACED.

    Raises ResultsError as create_folder() does.
    """
    check_room(path)
    if not path.exists() or not _holds_manifest(path):
        return
    found = open_local(path).manifest
    if found.get("fingerprint") != manifest["fingerprint"]:
        lines = "\n".join(f"  {line}" for line in differences(found, manifest)[:8])
        raise ResultsError(f"{path} holds results of another study; give another --out:\n{lines}")
    if not force:
        raise ResultsError(f"{path} already holds results of this very study")
    aside = path / REPLACED
    make_folder(aside)
    # A whole earlier run lies there already, if the one that replaced it never had a row: that one,
    # which is here now, is removed, and the earlier one is kept.
    is_whole = _holds_manifest(aside)
    for name in _OURS:
        if is_whole:
            remove(path / name)
        elif os.path.lexists(path / name):
            (path / name).rename(aside / name)
