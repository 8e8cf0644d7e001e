"""The recorded loads that a scenario names: read once, and kept with what is resolved.

A file is read beside the file of the scenario that names it, or from here. A resolved scenario, as
manifests and jobs have it, holds the content itself under `recordings`, and reads no file.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from study.scenario.errors import shown
from study.zone.settings import Recorded

_NAME_LETTERS_MOST = 500


class _Ambiguous(Exception):
    """Which file is meant cannot be told, as the rest of a sentence."""


class Recordings:
    """Where recorded loads are found.

    Parameters
    ----------
    folder
        Where what no file of the scenario names is looked for; None where no file may be read.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._folders: dict[str, set[Path]] = {}
        self._packed: dict[str, tuple[str, str]] = {}
        self._found: dict[str, Recorded] = {}

    def keep(self, entries: Any) -> Iterator[tuple[int, str]]:
        """Take what a resolved scenario has under `recordings`; yields what is wrong with which."""
        for index, entry in enumerate(entries):
            keys = {"name", "digest", "packed"}
            if not isinstance(entry, dict) or set(entry) != keys:
                yield index, "a recording has the keys name, digest and packed"
            elif not all(isinstance(value, str) for value in entry.values()):
                yield index, "name, digest and packed of a recording are text"
            else:
                self._packed[entry["name"]] = (entry["digest"], entry["packed"])

    def named(self, traces: Iterable[tuple[str, Path]]) -> None:
        """Take from which folder's file each recorded load is named."""
        for name, folder in traces:
            self._folders.setdefault(name, set()).add(folder)

    def find(self, name: str) -> Recorded:
        """The load of a name.

        Raises
        ------
        ValueError
            It cannot be read.
        """
        from study.zone.demand import REQUESTS_MOST

        if name not in self._found:
            found = self._read(name)
            requests = found.nr_requests + sum(one.nr_requests for one in self._found.values())
            if requests > REQUESTS_MOST:
                raise ValueError(
                    f"is {shown(name)}, with which the recorded loads of this scenario have "
                    f"{requests:,} requests; at most {REQUESTS_MOST:,}"
                )
            self._found[name] = found
        return self._found[name]

    def _read(self, name: str) -> Recorded:
        from study.zone.demand import reopen

        if name in self._packed:
            digest, packed = self._packed[name]
            try:
                return reopen(base64.b64decode(packed, validate=True), digest)
            except (ValueError, binascii.Error) as error:
                raise ValueError(f"is {shown(name)}, whose recording {error}") from None
        if self._folder is None:
            raise ValueError(f"is {shown(name)}, of which nothing stands under recordings")
        from study.replay.demand import recorded_load
        from study.replay.trace import ReplayError

        try:
            return recorded_load(self._file(name, self._folder))
        except _Ambiguous as error:
            raise ValueError(f"is {shown(name)}, which {error}") from None
        except ReplayError as error:
            raise ValueError(f"is {shown(name)}: {error}") from None
        except (OSError, ValueError) as error:
            raise ValueError(f"is {shown(name)}, which cannot be read: {error}") from None

    def _file(self, name: str, folder: Path) -> Path:
        """Beside the file that names it, or from here; never one of two of that name."""
        beside = {
            found.resolve(): found
            for found in (each / name for each in sorted(self._folders.get(name, {folder})))
            if found.exists()
        }
        if len(beside) > 1:
            files = " and ".join(shown(os.path.relpath(file, folder)) for file in beside.values())
            raise _Ambiguous(f"names two files of the same name: {files}; rename one")
        return next(iter(beside.values()), Path(name))

    def plain(self, names: Iterable[str | None]) -> list[dict[str, str]]:
        """What a resolved scenario has to hold for these names."""
        found = [(name, self.find(name)) for name in sorted({name for name in names if name})]
        return [
            {
                "name": name,
                "digest": one.digest,
                "packed": base64.b64encode(one.packed).decode("ascii"),
            }
            for name, one in found
        ]


_AT_HAND: ContextVar[Recordings] = ContextVar("recordings", default=Recordings(None))  # noqa: B039


@contextmanager
def recordings_at_hand(folder: Path | None) -> Iterator[Recordings]:
    """Where recorded loads are looked for while a scenario is read."""
    recordings = Recordings(folder)
    token = _AT_HAND.set(recordings)
    try:
        yield recordings
    finally:
        _AT_HAND.reset(token)


def recording_named(name: Any) -> str | None:
    """The check of `load.trace`: a name of which there is a recording."""
    if name is None:
        return None
    if not isinstance(name, str) or not 0 < len(name) <= _NAME_LETTERS_MOST:
        raise ValueError(f"is {shown(name)}; it must be the name of a trace's file")
    _AT_HAND.get().find(name)
    return name


def recording_of(name: str | None) -> Recorded | None:
    """The recording of a name that was checked."""
    return None if name is None else _AT_HAND.get().find(name)
