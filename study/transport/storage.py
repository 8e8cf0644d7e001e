"""A results folder on any filesystem that fsspec knows: s3://bucket/path, gs://, memory:// ...

The run works on a copy here, in a folder of its own below the temporary one, and carries it there
(see mirror.py). Reading fetches such a copy. Neither needs more of the filesystem than that a file
is put, got, listed and removed.

Two writers are kept apart by a note, .lock, that the writer renews twice a minute. Object stores
have no lock that ends with its process, so this holds less: who finds a note younger than two
minutes is refused, unless the process it names ran on this machine and has ended; who starts in
the same second as another, may not see it, but looks once more before the first trial; and who is
pushed aside notices with the next note at the latest, and stops. Where the place is a folder of
this machine, the note stands in the file that other writers of the folder lock, and it is locked.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import IO, Any

from study.fanout.scratch import Scratch
from study.results.bounds import file_bytes_most
from study.results.errors import ResultsError, TakenOver, shell_word, storage_errors
from study.results.files import (
    copy_whole,
    held_place,
    make_folder,
    open_regular,
)
from study.results.folder import (
    BEFORE,
    LOCK,
    MANIFEST,
    MANIFEST_BYTES_MOST,
    SERIES,
    TRIALS,
    Folder,
    is_being_written,
    locked,
    open_local,
    this_process,
)
from study.results.manifest import misshapen, parsed
from study.results.mirror import NEW, Mirror, is_drawn, is_of_a_folder, is_part
from study.results.part import digest_of_file
from study.trust.folders import temporary_root

_RENEW_S = 30.0
_STALE = timedelta(minutes=2)
_BYTES_MOST = {MANIFEST: MANIFEST_BYTES_MOST, LOCK: 1 << 16}
_OTHER_BYTES_MOST = 1 << 31
"""Of a file that is no part; parts are as large as the manifest's digests have them."""
_PIECE_BYTES = 1 << 20
_TRIES = 3
"""A run that ends while it is read replaces its parts; then the reader starts over."""


class Storage:
    """A folder on a filesystem of fsspec, and how to reach it."""

    def __init__(self, url: str) -> None:
        """Raises ResultsError when there is no such filesystem, or it cannot be reached."""
        from fsspec.implementations.local import LocalFileSystem

        self._fs, self._root = _opened(url)
        self._is_local = isinstance(self._fs, LocalFileSystem)
        self.url = url.rstrip("/")
        self._token = uuid.uuid4().hex
        self._taken_by: str | None = None
        self._manifest: bytes | None = None
        self._locked: IO[bytes] | None = None

    def put(self, name: str, source: Path) -> None:
        """Make the file there what this one is."""
        if self._taken_by is not None:
            raise TakenOver(
                f"{self.url} was taken over by another run ({self._taken_by}); this one stops"
            )
        if self._is_local:
            with held_place(Path(self._root), name) as place:
                copy_whole(source, place)
            return
        self._fs.put_file(str(source), self._place_for(name))

    def move(self, name: str, target: str) -> None:
        """Copy a file there to another name, then remove it under the first."""
        self._check_file(name)
        if self._is_local:
            root = Path(self._root)
            with held_place(root, name) as source, held_place(root, target) as place:
                source.replace(place)
            return
        self._fs.cp_file(self._at(name), self._place_for(target))
        self._fs.rm_file(self._at(name))

    def remove(self, name: str) -> None:
        """Have no such file there."""
        if not self._fs.exists(self._at(name)):
            return
        if self._is_local:
            with held_place(Path(self._root), name) as place:
                place.unlink(missing_ok=True)
            return
        self._fs.rm_file(self._at(name))

    def fetch(self, local: Path, *, without: Iterable[str] = ()) -> list[str]:
        """Copy what is there into an empty folder here; returns the names of the files.

        without  tables to leave out

        Parts are those that the manifest names. Nothing is fetched where there is nothing yet.
        Raises ResultsError for a place with files but without a manifest.
        """
        for attempt in range(_TRIES):
            listed = self._listed()
            self._manifest = self._read(MANIFEST)
            if self._manifest is None:
                if listed:
                    raise ResultsError(
                        f"{self.url} is not empty and holds no results of this program"
                    )
                return []
            fetched = self._fetch(local, listed, set(without))
            if attempt + 1 == _TRIES or self._read(MANIFEST) == self._manifest:
                return fetched
            for name in fetched:
                (local / name).unlink(missing_ok=True)
        raise AssertionError("the last try returns")

    def _fetch(self, local: Path, listed: set[str], without: set[str]) -> list[str]:
        self._get(MANIFEST, local / MANIFEST)
        fetched = [MANIFEST]
        for name in sorted(listed - {MANIFEST}):
            if name.startswith(f"{NEW}/") or name.split("/")[0] in without:
                continue
            # What is not of a results folder stays where it is, of whatever kind and size; and what
            # others have drawn from the rows is drawn from them here.
            if is_of_a_folder(name) and not is_part(name) and not is_drawn(name):
                self._get(name, local / name)
                fetched.append(name)
        for table in {TRIALS, SERIES} - without:
            fetched += self._fetch_table(local, listed, table)
        return fetched

    def fetch_table(self, local: Path, table: str) -> list[str]:
        """Copy the parts of one table that the manifest here names; returns those that are there.

        One that is only on its way to its place is copied too, and has still to be put there.
        """
        with storage_errors(self.url):
            return self._fetch_table(local, self._listed(), table)

    def _fetch_table(self, local: Path, listed: set[str], table: str) -> list[str]:
        fetched = []
        for name, digest in _digests(local / MANIFEST).items():
            if not is_part(name) or not name.startswith(f"{table}/"):
                continue
            if name in listed:
                self._get(name, local / name)
                if digest == _digest(local / name):
                    fetched.append(name)
                    continue
            if f"{NEW}/{name}" in listed:
                self._get(f"{NEW}/{name}", local / name)
            elif name in listed:
                fetched.append(name)
        return fetched

    def strays(self) -> list[str]:
        """Files that should have been removed: parts on their way to a place they have reached."""
        return [name for name in self._listed() if name.startswith(f"{NEW}/")]

    @contextmanager
    def only_writer(self) -> Iterator[None]:
        """Keep other runs out, as far as a note can; see the top of this module."""
        with ExitStack() as held:
            with storage_errors(self.url):
                self._take_lock(held)
            over = threading.Event()
            renewing = threading.Thread(target=self._keep_renewing, args=(over,), daemon=True)
            renewing.start()
            try:
                yield
            finally:
                over.set()
                renewing.join()
                with storage_errors(self.url):
                    if (found := self._note()) is not None and found["token"] == self._token:
                        self._release()

    def _take_lock(self, held: ExitStack) -> None:
        note = self._note()
        if note is not None and _is_held(note):
            raise ResultsError(
                f"{self.url} is being written by another run ({note['who']}, last seen "
                f"{note['seen']}); if it has died, try again {_STALE.seconds // 60} minutes "
                "after that"
            )
        if self._is_local:
            Path(self._root).mkdir(parents=True, exist_ok=True)
            self._locked = held.enter_context(locked(Path(self._root)))
            if os.path.lexists(Path(self._root) / BEFORE):
                raise ResultsError(
                    f"{self.url} is in the middle of a job's log; settle that by its path first: "
                    f"study resume {shell_word(self._root)}"
                )
        self._renew()
        if (found := self._note()) is None or found["token"] != self._token:
            raise ResultsError(f"{self.url} is being written by another run, begun this moment")
        if self._read(MANIFEST) != self._manifest:
            self._release()
            raise ResultsError(f"{self.url} was written by another run this moment; try again")

    def _release(self) -> None:
        # A file that is locked goes with the lock: the next of that name may be another's.
        if self._locked is None:
            self.remove(LOCK)

    def is_being_written(self) -> bool:
        """Is a run at work there, by its note or its lock?"""
        if self._is_local and is_being_written(Path(self._root)):
            return True
        with storage_errors(self.url):
            note = self._note()
            return note is not None and _is_held(note)

    def _keep_renewing(self, over: threading.Event) -> None:
        while not over.wait(_RENEW_S):
            try:
                note = self._note()
                if note is not None and note["token"] != self._token:
                    self._taken_by = note["who"]
                    return
                self._renew()
            except Exception:  # noqa: BLE001, S112 - away for a moment; put() will tell
                continue

    def _renew(self) -> None:
        note = {
            "token": self._token,
            "who": this_process(),
            "pid": os.getpid(),
            "pid_namespace": _pid_namespace(),
            "seen": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        content = json.dumps(note).encode()
        if self._locked is not None:
            # In one piece, and as long as the one before it.
            os.pwrite(self._locked.fileno(), content, 0)
        else:
            self._fs.pipe_file(self._place_for(LOCK), content)

    def _note(self) -> dict[str, Any] | None:
        content = self._read(LOCK)
        try:
            note = json.loads(content) if content is not None else None
        except (ValueError, RecursionError):
            return None
        return note if isinstance(note, dict) and {"token", "who", "seen"} <= note.keys() else None

    def _read(self, name: str) -> bytes | None:
        """The bytes of a file, None if there is none."""
        self._fs.invalidate_cache()
        try:
            self._check_file(name)
            with self._fs.open(self._at(name), "rb") as file:
                return b"".join(self._pieces(name, file))
        except FileNotFoundError:
            return None

    def _listed(self) -> set[str]:
        self._fs.invalidate_cache()
        if self._is_local:
            for table in (TRIALS, SERIES):
                # It would be listed as a file, and its parts not at all.
                if (path := Path(self._at(table))).is_symlink():
                    make_folder(path)
        found = self._fs.find(self._root)
        names = {str(PurePosixPath(path).relative_to(self._root)) for path in found}
        return {name for name in names if name != LOCK and ".." not in name.split("/")}

    def _get(self, name: str, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._check_file(name)
            with self._fs.open(self._at(name), "rb") as file, target.open("wb") as copy:
                copy.writelines(self._pieces(name, file))
        except FileNotFoundError:
            target.unlink(missing_ok=True)

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _place_for(self, name: str) -> str:
        """Where a file is to be put; the folder it lies in is there then."""
        target = self._at(name)
        # Where there are real folders they are made; where there are none this does nothing.
        self._fs.makedirs(target.rpartition("/")[0], exist_ok=True)
        return target

    def _pieces(self, name: str, file: Any) -> Iterator[bytes]:
        """What stands in a file there, of which it need not be known how much it is.

        Raises ResultsError for more than any run writes.
        """
        most = _BYTES_MOST.get(name, _OTHER_BYTES_MOST)
        size = self._fs.info(self._at(name)).get("size")
        if size is not None and is_part(name.removeprefix(f"{NEW}/")):
            most = min(size, shutil.disk_usage(temporary_root()).free, self._part_bytes_most(name))
        left = most
        while left >= 0 and (piece := file.read(min(_PIECE_BYTES, left + 1))):
            left -= len(piece)
            if left >= 0:
                yield piece
        if left < 0:
            raise ResultsError(
                f"{self.url}/{name} has more than {most:,} bytes: more than any run writes, "
                "or than there is room for here"
            )

    def _part_bytes_most(self, name: str) -> int:
        """Bytes of the largest part that the manifest there admits; any if that makes no sense."""
        with suppress(ValueError, TypeError, AttributeError):
            manifest = parsed((self._manifest or b"").decode())
            if misshapen(manifest) is None:
                return file_bytes_most(manifest, name.removeprefix(f"{NEW}/").partition("/")[0])
        return _OTHER_BYTES_MOST

    def _check_file(self, name: str) -> None:
        """Raise OSError for what would keep a reader waiting: a pipe on this machine, a device."""
        if self._is_local:
            open_regular(Path(self._at(name))).close()


def is_url(path: str | os.PathLike[str]) -> bool:
    """Is this a place on a filesystem of fsspec, and no path of this machine?"""
    return "://" in os.fspath(path)


def mirror_of(url: str, *, without: Iterable[str] = ()) -> Mirror:
    """A copy here of what is there, that carries back what is changed.

    The copy goes when nobody holds the mirror any more. Raises ResultsError.
    """
    storage = Storage(url)
    with storage_errors(url):
        scratch = Scratch()
        try:
            # A folder of its own in there: all of it is results.
            local = scratch.path / "copy"
            local.mkdir()
            fetched = storage.fetch(local, without=without)
            mirror = Mirror(local, storage, place=storage.url, carried=fetched)
            mirror.note_carried(storage.strays())
        except BaseException:
            scratch.remove()
            raise
    mirror.lend(scratch)
    return mirror


def open_folder(path: str | os.PathLike[str]) -> Folder:
    """Open an existing results folder for reading.

    Parameters
    ----------
    path
        Of this machine, or the URL of a folder on a filesystem of fsspec: then a copy here is
        opened, without series, which read_series() fetches.

    Returns
    -------
    Folder
        With its manifest, which was checked; the tables are not read yet.

    Raises
    ------
    ResultsError
        It is none, cannot be reached, or was written by a newer version.
    """
    place = os.fspath(path)
    return open_copy(place) if "://" in place else open_local(place)


def open_copy(url: str) -> Folder:
    """Open a results folder elsewhere for reading; the samples stay there until they are asked for.

    Raises ResultsError when it is none.
    """
    mirror = mirror_of(url, without=[SERIES])
    with naming(mirror):
        folder = open_local(mirror.local)
    folder.mirror = mirror
    return folder


@contextmanager
def naming(mirror: Mirror) -> Iterator[None]:
    """Have faults name the place that people know and not its copy here."""
    try:
        yield
    except ResultsError as fault:
        raise type(fault)(str(fault).replace(str(mirror.local), mirror.place)) from fault


def _opened(url: str) -> tuple[Any, str]:
    import fsspec

    *chain, last = url.split("::")
    if chain and (last.startswith(("file:", "local:")) or "://" not in last):
        # What stands before a folder of this machine knows nothing of its locks and links.
        raise ResultsError(f"{url} leads to a folder of this machine; give its path")
    scheme, _, rest = url.partition("://")
    if scheme in ("file", "local") and not rest.startswith("/"):
        raise ResultsError(f"{url} names another machine or no whole path; write file:///path")
    with storage_errors(url):
        try:
            fs, root = fsspec.core.url_to_fs(url)
        except ImportError as fault:
            raise ResultsError(f"cannot use {url}: {fault}") from fault
    root = root.rstrip("/")
    if not root.strip("/"):
        raise ResultsError(f"{url} names no folder; it has the form s3://bucket/folder")
    return fs, root


def _is_held(note: dict[str, Any]) -> bool:
    here = _pid_namespace()
    is_of_here = here is not None and note.get("pid_namespace") == here
    if is_of_here and not Path(f"/proc/{note.get('pid')}").exists():
        return False
    try:
        # What is to come tells of a wrong clock, and not of a run that is at work.
        return abs(datetime.now(UTC) - datetime.fromisoformat(note["seen"])) < _STALE
    except (TypeError, ValueError, OverflowError):
        return False


def _pid_namespace() -> str | None:
    """Among which processes a pid is one here: of this boot, as this container numbers them.

    None where the kernel does not tell; two containers may well have one host name.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return None


def _digests(manifest: Path) -> dict[str, str]:
    """Name -> digest of the parts that a manifest names; none if it cannot be read."""
    try:
        parts = parsed(manifest.read_text(encoding="utf-8")).get("parts", {}).items()
    except (OSError, ValueError, AttributeError, RecursionError):
        return {}
    return {str(name): str(digest) for name, digest in parts if ".." not in str(name)}


def _digest(file: Path) -> str | None:
    """Of what was fetched; None if nothing was."""
    return digest_of_file(file) if file.exists() else None
