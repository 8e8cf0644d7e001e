"""A results folder: where it is, whether it may be used, and its manifest on disk.

DIR/manifest.json    what made it, how far it got
DIR/trials/          Parquet, one row a trial
DIR/series/          Parquet, one row a sample
DIR/summary.csv      per cell and metric
DIR/contrasts.csv    per metric and pair of levels or cells
DIR/verdicts.csv     per claim of the scenario
DIR/damaged/         parts that could not be read back
DIR/.lock            while a run writes
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from study.results.manifest import FORMAT, differences, misshapen, parsed
from study.results.mirror import Mirror

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
LOCK = ".lock"
_OURS = (TRIALS, SERIES, SUMMARY, CONTRASTS, VERDICTS, REPORT, ZONE_MAPS, DAMAGED, MANIFEST)
_NAME_LETTERS = 80


class ResultsError(Exception):
    """A results folder cannot be used as asked; the text says why and is meant for the user."""


class TakenOver(ResultsError):
    """Another run writes the folder now."""


@dataclass
class Folder:
    """A results folder and the manifest in it.

    mirror   carries it elsewhere, if this is the copy of a folder on another filesystem
    checked  parts that were held against their digests -> what their files were like
    """

    path: Path
    manifest: dict[str, Any] = field(repr=False)
    mirror: Mirror | None = field(default=None, repr=False, compare=False)
    checked: dict[str, tuple[Any, ...]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def place(self) -> str:
        """What people call it: its path, or the URL of which this is a copy."""
        return str(self.path) if self.mirror is None else self.mirror.place

    def publish(self) -> None:
        """Carry what has changed to where it belongs. Raises ResultsError if that cannot be."""
        if self.mirror is not None:
            from study.results.storage import telling

            with telling(self.place):
                self.mirror.carry()

    def is_being_written(self) -> bool:
        """Is a run at work in it, as far as can be told?"""
        if self.mirror is not None:
            return self.mirror.is_being_written()
        return is_being_written(self.path)

    def only_writer(self) -> AbstractContextManager[None]:
        """Keep every other run out."""
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
        """Remember the digest of a part; on disk with the next save_manifest()."""
        self.manifest.setdefault("parts", {})[f"{path.parent.name}/{path.name}"] = digest

    def digest_of(self, path: Path) -> str | None:
        """The digest of a part as it was written, None if it was never noted."""
        found: str | None = self.manifest.get("parts", {}).get(f"{path.parent.name}/{path.name}")
        return found

    def save_manifest(self) -> None:
        """Write the manifest; a reader sees the old one or the new one, never half of one."""
        text = json.dumps(self.manifest, indent=2, ensure_ascii=False) + "\n"
        write_whole(self.path / MANIFEST, text)


def default_path(name: str) -> Path:
    """A new folder below results/, named after the study and the time."""
    letters = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:_NAME_LETTERS] or "study"
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    first = Path("results") / f"{letters}-{stamp}"
    path, counter = first, 1
    while path.exists():
        counter += 1
        path = first.with_name(f"{first.name}-{counter}")
    return path


def create_folder(path: Path, manifest: dict[str, Any], *, force: bool = False) -> Folder:
    """Make a results folder with this manifest, or say why not.

    force  start over in a folder whose fingerprint is the same; any other stays untouched. Whoever
           does so is its only writer

    Raises ResultsError when something is there already or nothing can be written.
    """
    folder = Folder(path, manifest)
    if not 0 <= manifest["seed"] <= SEED_MAX:
        raise ResultsError(f"seed is {manifest['seed']}; the trials table holds 0 to 2^64 - 1")
    try:
        _make_room(path, manifest, force=force)
        # Made one by one: what is not there yet must not have been there a moment ago either.
        folder.trials.mkdir(parents=True)
        folder.series.mkdir()
        folder.save_manifest()
    except FileExistsError as fault:
        raise ResultsError(
            f"{fault.filename} is in the way of the results folder {path}"
        ) from fault
    except OSError as fault:
        raise ResultsError(
            f"cannot write the results folder {path}: {fault.strerror or fault}"
        ) from fault
    return folder


def remove_folder(folder: Folder) -> None:
    """Take away a results folder that holds no result yet; leave whatever is not ours."""
    for name in (*_OURS, LOCK):
        _remove(folder.path / name)
    try:
        folder.path.rmdir()
    except OSError:
        return


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Keep every other run out of a results folder; the lock ends with the process."""
    with _locked(path) as file:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        try:
            yield
        finally:
            (path / LOCK).unlink(missing_ok=True)


def _locked(path: Path) -> TextIO:
    """The lock of a folder, held."""
    while True:
        try:
            file = (path / LOCK).open("a+", encoding="utf-8")
        except OSError as fault:
            raise ResultsError(f"cannot write into {path}: {fault.strerror or fault}") from fault
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise ResultsError(f"{path} is being written by {_writer(path)}") from None
        except OSError:
            # A filesystem without locks: nothing is lost but this protection.
            return file
        with suppress(OSError):
            # Whoever ended in between has taken the file away, and a third may have a new one.
            if os.path.samestat(os.fstat(file.fileno()), (path / LOCK).stat()):
                return file
        file.close()


def is_being_written(path: Path) -> bool:
    """Is a run at work in this folder, as far as this machine can tell?"""
    try:
        with (path / LOCK).open("r", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def open_folder(path: str | os.PathLike[str]) -> Folder:
    """Open an existing results folder for reading.

    path  or the URL of one on a filesystem of fsspec: then a copy here is opened, without series,
          which read_series() fetches

    Raises ResultsError when it is none, or was written by a newer version.
    """
    if "://" in os.fspath(path):
        from study.results.storage import open_copy

        return open_copy(os.fspath(path))
    folder = Path(path)
    try:
        manifest = parsed((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        reason = "there is no manifest.json in it" if folder.is_dir() else "it does not exist"
        raise ResultsError(f"{folder} is not a results folder: {reason}") from None
    except OSError as fault:
        raise ResultsError(f"cannot read {folder / MANIFEST}: {fault.strerror or fault}") from fault
    except ValueError as fault:
        raise ResultsError(f"{folder / MANIFEST} is damaged: {fault}") from fault
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
    return Folder(folder, manifest)


def replace_table(table: Path, replacement: Path) -> None:
    """Put one folder of parts in the place of another. settle_table() heals a crash half-way."""
    old = _set_aside(table)
    table.rename(old)
    replacement.rename(table)
    shutil.rmtree(old)


def settle_table(table: Path) -> None:
    """Finish or take back a replace_table() that was cut short."""
    old = _set_aside(table)
    if not old.exists():
        return
    try:
        if table.exists():
            shutil.rmtree(old)
        else:
            old.rename(table)
    except OSError as fault:
        raise ResultsError(f"cannot repair {table}: {fault.strerror or fault}") from fault


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that it is complete or absent, also after a power cut."""
    write_bytes_whole(path, text.encode())


def write_bytes_whole(path: Path, content: bytes | memoryview) -> None:
    """Write a file so that it is complete or absent, also after a power cut.

    Raises ResultsError when it cannot be written; what was there before stays.
    """
    aside = path.with_name(f".{path.name}.new")
    try:
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as fault:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        raise ResultsError(f"cannot write {path}: {fault.strerror or fault}") from fault


def _writer(path: Path) -> str:
    try:
        told = (path / LOCK).read_text(encoding="utf-8")[:200]
    except OSError:
        told = ""
    return f"another run ({told})" if told else "another run"


def _set_aside(table: Path) -> Path:
    return table.with_name(f".{table.name}.old")


def _make_room(path: Path, manifest: dict[str, Any], *, force: bool) -> None:
    if not path.exists():
        return
    if not path.is_dir():
        raise ResultsError(f"{path} is a file; --out names a folder")
    if not (path / MANIFEST).exists():
        if any(path.iterdir()):
            raise ResultsError(f"{path} is not empty and holds no results of this program")
        return
    found = open_folder(path).manifest
    if found.get("fingerprint") != manifest["fingerprint"]:
        told = "\n".join(f"  {line}" for line in differences(found, manifest)[:8])
        raise ResultsError(f"{path} holds results of something else; give another --out:\n{told}")
    if not force:
        raise ResultsError(f"{path} already holds results of this very study")
    for name in _OURS:
        _remove(path / name)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
