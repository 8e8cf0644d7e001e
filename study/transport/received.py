"""Results that come home through a log: of which study they must be, and what they may not cost.

Whoever sends a log may be wrong, or somebody else. Its manifest is held against the study that was
sent before it takes the place of the one here, and the rows that were here before are kept aside
until all of them have come back as they were.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from hashlib import blake2b
from itertools import groupby, repeat
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from study.results.bounds import file_bytes_most
from study.results.errors import ResultsError, disk_errors
from study.results.expected import Key
from study.results.files import copy_whole, held_folder, move_held, remove
from study.results.folder import (
    BEFORE,
    MANIFEST,
    MANIFEST_BYTES_MOST,
    SERIES,
    TRIALS,
    Folder,
    open_local,
    prepare_tables,
    remove_if_empty,
)
from study.results.manifest import (
    differences,
    fingerprint_of,
    misshapen,
    new_manifest,
    parsed,
    study_of,
)
from study.results.mirror import NEW
from study.results.part import check_part, reading
from study.results.resume import Survey, adopt
from study.trust.extensions import only_naming

if TYPE_CHECKING:
    import pyarrow as pa

    from study.results.model import Manifest

_DECISIVE = ("format", "fingerprint", "simulation", "seed", "replicates", "axes", "cells")
_WORDS = ("name", "question")
_OF_FAILED = ("cell", "error", "replicate", "seed", "status")
_ROWS_AT_ONCE, _SAMPLES_AT_ONCE = 4_096, 65_536


class RowsLost(ResultsError):
    """A log would have cost finished trials; all is as it was before it."""


class Awaited:
    """The study that a log must be of.

    Parameters
    ----------
    fingerprint
        As was noted when it was sent.
    manifest
        Of the folder here, if there is one: then all that decides rows must be as it has it.
    words
        Name, question and claims as well.
    """

    def __init__(
        self, fingerprint: str, manifest: Manifest | None = None, *, words: bool = False
    ) -> None:
        self._fingerprint = fingerprint
        self._known = None if manifest is None else _plain(manifest)
        self._words = words

    def check(self, content: bytes) -> None:
        """Hold the manifest that a log has sent against the study.

        Raises
        ------
        ResultsError
            It is damaged, or of another study; the text says how they differ.
        """
        found = _read(content)
        if self._known is None:
            if found.get("fingerprint") != self._fingerprint:
                raise ResultsError(
                    f"the job's log has results of another study: fingerprint "
                    f"{found['fingerprint'][:40]}, not {self._fingerprint[:40]}"
                )
            self._known = _as_its_scenario_has_it(found)
        wanted = self._known
        names = (*_DECISIVE, *(_WORDS if self._words else ()))
        same = all(found.get(name) == wanted.get(name) for name in names)
        if not (same and self._same_scenario(found, wanted)):
            lines = differences(found, wanted) or [
                f"{name}: not that of its study"
                for name in names
                if found.get(name) != wanted.get(name)
            ]
            listed = "\n".join(f"  {line}" for line in lines[:8])
            raise ResultsError(f"the job's log has results of another study:\n{listed}")

    def part_bytes_most(self, table: str) -> int | None:
        """Bytes of the largest part of a table, "trials" or "series"; None while nobody knows."""
        return None if self._known is None else file_bytes_most(self._known, table)

    def _same_scenario(self, found: Manifest, wanted: Manifest) -> bool:
        if self._words:
            return bool(found.get("scenario") == wanted.get("scenario"))
        if not _can_be_opened(found["scenario"].get("recordings", [])):
            return False
        # Without what the study is called, asks and claims.
        one, other = (
            fingerprint_of(manifest["scenario"], manifest["simulation"])
            for manifest in (found, wanted)
        )
        return one == other


def _can_be_opened(recordings: Any) -> bool:
    """Does a scenario hold its recorded loads, each with the digest it names?"""
    from study.scenario.machine.recordings import Recordings

    kept = Recordings(None)
    if not isinstance(recordings, list) or any(kept.keep(recordings)):
        return False
    try:
        for one in recordings:
            kept.find(one["name"])
    except ValueError:
        return False
    return True


def _read(content: bytes) -> Manifest:
    cannot = "the job's log has a manifest that is none"
    if len(content) > MANIFEST_BYTES_MOST:
        raise ResultsError(f"{cannot}: it is larger than {MANIFEST_BYTES_MOST:,} bytes")
    try:
        found = parsed(content.decode())
    except ValueError as error:
        raise ResultsError(f"{cannot}: {error}") from None
    wrong = misshapen(found) if isinstance(found, dict) else "it is no mapping"
    if wrong is not None:
        raise ResultsError(f"{cannot}: {wrong}")
    return cast("Manifest", found)


def _as_its_scenario_has_it(found: Manifest) -> Manifest:
    """The manifest that a study with this scenario begins with."""
    with only_naming():
        study = study_of(found["scenario"], "the job's log")
        return _plain(new_manifest(study, simulation=found["simulation"], command=()))


def _plain(manifest: Manifest) -> Manifest:
    """As it is read back from a file."""
    return cast("Manifest", json.loads(json.dumps(manifest, default=str)))


def keep_before(path: Path) -> str:
    """Lay aside what a folder holds, until what a log brings has taken its place.

    What cannot be gone on from is set aside first, as a run that goes on would do.

    Parameters
    ----------
    path
        Of a results folder, or of one that is to become one. The caller is its only writer.

    Returns
    -------
    str
        As settle_left() has it.

    Raises
    ------
    ResultsError
        The disk refuses, or the folder is damaged.
    """
    said = settle_left(path)
    if not (path / MANIFEST).is_file():
        return said
    with only_naming():
        kept = adopt(open_local(path))
    if not kept.done:
        return said
    with disk_errors(f"cannot write {path / BEFORE}"):
        aside = path / f"{BEFORE}.new"
        remove(aside)
        with held_folder(aside) as held:
            _copy(path, held)
            remove(path / BEFORE)
            move_held(held, aside, path / BEFORE)
    return said


def settle_left(path: Path) -> str:
    """Finish what whoever took a log in has left half done, having been killed.

    Parameters
    ----------
    path
        Of a results folder, or of one that is to become one. The caller is its only writer.

    Returns
    -------
    str
        What there is to say of that; nothing if all was done.

    Raises
    ------
    ResultsError
        The disk refuses, or what was there before is damaged.
    """
    if not any(os.path.lexists(path / name) for name in (BEFORE, NEW)):
        return ""
    try:
        settle_received(path)
    except RowsLost as fault:
        return str(fault)
    return f"what a job's log had brought into {path} before it broke off is in its place"


def settle_received(path: Path) -> None:
    """Finish what a log that ended early left half done, as the manifest that came last has it.

    A part that waits in .new/ takes its place if the manifest names it; one that the manifest does
    not name, has either been replaced or is of rows that are to be run again. If rows that were
    there before are not all there as they were, everything is as it was before the log.

    Raises
    ------
    RowsLost
        That was so.
    ResultsError
        The disk refuses.
    """
    if (path / MANIFEST).is_file():
        _settle(path)
    else:
        _clear(path)
    if lost := _finish(path):
        raise RowsLost(
            f"the job's log takes away or changes {lost:,} finished trials that were in {path} "
            "before; all is there as it was"
        )


def _clear(path: Path) -> None:
    """Have no part of a log whose manifest never came, or was of another study."""
    with disk_errors(f"cannot write {path}"):
        if not (path / NEW).is_symlink():
            remove(path / NEW)
        for table in (path / TRIALS, path / SERIES):
            if table.is_dir() and not table.is_symlink():
                _remove_parts(table)
                remove_if_empty(table)


def _settle(path: Path) -> None:
    opened = open_local(path)
    with disk_errors(f"cannot write {path}"):
        prepare_tables(path)
        for table in (opened.trials, opened.series):
            aside = path / NEW / table.name
            # Through a link the parts of another folder would be taken away from there.
            if aside.parent.is_symlink() or aside.is_symlink():
                continue
            if not aside.is_dir():
                continue
            with (
                held_folder(path / NEW) as new,
                held_folder(new / table.name, named=aside) as waiting,
                held_folder(table) as held,
            ):
                for part in sorted(waiting.glob("part-*.parquet")):
                    digest = opened.digest_of(table / part.name) or "none"
                    if check_part(part, digest) is None and not part.is_symlink():
                        part.replace(held / part.name)
        remove(path / NEW)
        for table in (opened.trials, opened.series):
            noted = {part.name for part in table.glob("*") if opened.digest_of(part) is not None}
            _remove_parts(table, but=noted)


def _remove_parts(table: Path, *, but: Collection[str] = ()) -> None:
    with held_folder(table) as held:
        for part in held.glob("part-*.parquet"):
            if part.name not in but:
                remove(part)


def _finish(path: Path) -> int:
    """Let go of what was laid aside, or put it back if something of it is lost.

    Returns how many trials were lost or changed.
    """
    aside = path / BEFORE
    manifest = aside / MANIFEST
    if any(name.is_symlink() for name in (aside, manifest)) or not manifest.is_file():
        return 0
    with only_naming():
        with reading(aside):
            before = _rows_of(open_local(aside))
        after: dict[Key, bytes] = {}
        # Whatever a log has brought that cannot be read: what was there before is put back.
        with suppress(Exception):
            after = _rows_of(open_local(path))
    lost = sum(after.get(key) != row for key, row in before.items())
    with disk_errors(f"cannot write {path}"):
        if lost:
            prepare_tables(path)
            for table in (TRIALS, SERIES):
                _remove_parts(path / table)
            _copy(aside, path)
            remove(path / NEW)
        remove(aside)
    return lost


def _copy(source: Path, target: Path) -> None:
    """Have the tables of one folder in another as well, and then its manifest.

    Of what lies there only parts with the bytes that were noted: any other may be, or be a link to,
    somebody's file, which would then be in the results.
    """
    folder = open_local(source)
    for table in (folder.trials, folder.series):
        with held_folder(target / table.name) as held:
            for part in table.glob("part-*.parquet"):
                if check_part(part, folder.digest_of(part) or "none") is None:
                    copy_whole(part, held / part.name)
    copy_whole(source / MANIFEST, target / MANIFEST)


def _rows_of(folder: Folder) -> dict[Key, bytes]:
    """Trials that a run would go on from -> what stands for row and samples, to the last bit.

    A trial that is there twice is left out: which of its rows counts should not be a question.
    """
    found = Survey(folder)
    axes = {key for levels in folder.manifest["cells"].values() for key in levels}
    rows: dict[Key, bytes] = {}
    for held in found.trials:
        part = found.opened(held.part)
        names = sorted(set(part.schema.names) - axes)
        for batch in part.file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=names):
            for key, status, row, of_failed in zip(
                _keys(batch),
                batch.column("status").to_pylist(),
                _packed(batch, names),
                _packed(batch, _OF_FAILED),
                strict=True,
            ):
                # A part of failed rows may lack the metrics, which are empty then elsewhere.
                rows[key] = _digest(of_failed if status == "failed" else row)
    sampled: dict[Key, bytes] = {}
    for held in found.series:
        part = found.opened(held.part)
        names = sorted(part.schema.names)
        samples = (
            sample
            for batch in part.file.iter_batches(batch_size=_SAMPLES_AT_ONCE, columns=names)
            for sample in zip(_keys(batch), _packed(batch, names), strict=True)
        )
        # Those of a trial lie together: the survey has seen to it.
        for key, several in groupby(samples, key=itemgetter(0)):
            sampled[key] = _digest(b"".join(sample for _, sample in several))
    return {
        key: rows[key] + (b"" if found.failed[key] else sampled[key])
        for key in found.done - found.twice
    }


def _keys(batch: pa.RecordBatch) -> list[Key]:
    return list(
        zip(batch.column("cell").to_pylist(), batch.column("replicate").to_pylist(), strict=True)
    )


def _packed(batch: pa.RecordBatch, names: Sequence[str]) -> list[bytes]:
    """Each row as bytes: the names and types of its columns, its numbers, its words."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = [(name, batch.column(name)) for name in names]
    begins = _digest(repr([(name, str(column.type)) for name, column in columns]).encode())
    words = [column.to_pylist() for _, column in columns if pa.types.is_string(column.type)]
    numbers = [column for _, column in columns if not pa.types.is_string(column.type)]
    pieces = [np.empty((len(batch), 0), np.uint8)]
    for column in numbers:
        filled = pc.fill_null(column, False if pa.types.is_boolean(column.type) else 0)
        for each in (filled, pc.is_null(column)):
            values = np.ascontiguousarray(each.to_numpy(zero_copy_only=False))
            pieces.append(values.view(np.uint8).reshape(len(batch), values.itemsize))
    rows = np.hstack(pieces)
    texts = zip(*words, strict=True) if words else repeat((), len(batch))
    return [
        begins + row.tobytes() + repr(text).encode() for row, text in zip(rows, texts, strict=True)
    ]


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=16).digest()
