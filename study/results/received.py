"""Results that come home through a log: of which study they must be, and what they may not cost.

Whoever sends a log may be wrong, or somebody else. Its manifest is held against the study that was
sent before it takes the place of the one here, and the rows that were here before are kept aside
until all of them have come back as they were.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.results.errors import ResultsError, disk_errors
from study.results.expected import Key
from study.results.files import remove
from study.results.folder import (
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
from study.results.noted import problem_of
from study.results.part import check_part, of_the_part, read_part
from study.results.resume import adopt
from study.trust.extensions import only_naming

if TYPE_CHECKING:
    import pandas as pd

BEFORE = ".before"
"""What a folder held before a log was taken into it, laid out as a results folder."""

_DECISIVE = ("format", "fingerprint", "simulation", "seed", "replicates", "axes", "cells")
_WORDS = ("name", "question")


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
        self, fingerprint: str, manifest: Mapping[str, Any] | None = None, *, words: bool = False
    ) -> None:
        self._fingerprint = fingerprint
        self._known = None if manifest is None else _plain(manifest)
        self._words = words

    def check(self, content: bytes) -> None:
        """Hold the manifest that a log has sent against the study.

        Raises
        ------
        ResultsError
            It is damaged, or of something else; the text says of what.
        """
        found = _read(content)
        if self._known is None:
            if found.get("fingerprint") != self._fingerprint:
                raise ResultsError(
                    f"the job's log has results of something else: fingerprint "
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
            told = "\n".join(f"  {line}" for line in lines[:8])
            raise ResultsError(f"the job's log has results of something else:\n{told}")

    def _same_scenario(self, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
        if self._words:
            return bool(found.get("scenario") == wanted.get("scenario"))
        # Without what the study is called, asks and claims.
        one, other = (
            fingerprint_of(manifest["scenario"], manifest["simulation"])
            for manifest in (found, wanted)
        )
        return one == other


def _read(content: bytes) -> dict[str, Any]:
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
    return dict(found)


def _as_its_scenario_has_it(found: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest that a study with this scenario begins with."""
    with only_naming():
        study = study_of(found, "the job's log")
        return _plain(new_manifest(study, simulation=found["simulation"], command=()))


def _plain(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """As it is read back from a file."""
    plain: dict[str, Any] = json.loads(json.dumps(dict(manifest), default=str))
    return plain


def keep_before(path: Path) -> None:
    """Lay aside what a folder holds, until what a log brings has taken its place.

    What cannot be gone on from is set aside first, as a run that goes on would do.

    Parameters
    ----------
    path
        Of a results folder, or of one that is to become one. The caller is its only writer.

    Raises
    ------
    ResultsError
        The disk refuses, or the folder is damaged.
    """
    _finish(path)
    if not (path / MANIFEST).is_file():
        return
    with only_naming():
        kept = adopt(open_local(path))
    if not kept.done:
        return
    with disk_errors(f"cannot write {path / BEFORE}"):
        aside = path / f"{BEFORE}.new"
        remove(aside)
        _copy(path, aside)
        remove(path / BEFORE)
        aside.rename(path / BEFORE)


def settle_received(path: Path) -> None:
    """Finish what a log that ended early left half done, as the manifest that came last has it.

    A part that waits in .new/ takes its place if the manifest names it; one that the manifest does
    not name, has either been replaced or is of rows that are to be run again. If rows that were
    there before are not all there as they were, everything is as it was before the log.

    Raises
    ------
    ResultsError
        That was so; or the disk refuses.
    """
    if (path / MANIFEST).is_file():
        _settle(path)
    else:
        _clear(path)
    if lost := _finish(path):
        raise ResultsError(
            f"the job's log takes away or changes {lost:,} finished trials that were in {path} "
            "before; all is there as it was"
        )


def _clear(path: Path) -> None:
    """Have no part of a log whose manifest never came, or was of something else."""
    with disk_errors(f"cannot write {path}"):
        if not (path / NEW).is_symlink():
            remove(path / NEW)
        for table in (path / TRIALS, path / SERIES):
            if table.is_dir() and not table.is_symlink():
                for part in table.glob("part-*.parquet"):
                    remove(part)
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
            for part in sorted(aside.glob("part-*.parquet")):
                target = table / part.name
                whole = check_part(part, opened.digest_of(target) or "none") is None
                if whole and not part.is_symlink():
                    part.replace(target)
        remove(path / NEW)
        for table in (opened.trials, opened.series):
            for part in table.glob("part-*.parquet"):
                if opened.digest_of(part) is None:
                    remove(part)


def _finish(path: Path) -> int:
    """Let go of what was laid aside, or put it back if something of it is lost.

    Returns how many trials were lost or changed.
    """
    aside = path / BEFORE
    if aside.is_symlink() or not (aside / MANIFEST).is_file():
        return 0
    before = _rows_of(open_local(aside))
    after: dict[Key, int] = {}
    with suppress(ResultsError):
        after = _rows_of(open_local(path))
    lost = sum(after.get(key) != row for key, row in before.items())
    with disk_errors(f"cannot write {path}"):
        if lost:
            prepare_tables(path)
            for table in (TRIALS, SERIES):
                for part in (path / table).glob("part-*.parquet"):
                    remove(part)
            _copy(aside, path)
            remove(path / NEW)
        remove(aside)
    return lost


def _copy(source: Path, target: Path) -> None:
    """Have the tables of one folder in another as well, and then its manifest."""
    for table in (TRIALS, SERIES):
        (target / table).mkdir(parents=True, exist_ok=True)
        for part in (source / table).glob("part-*.parquet"):
            shutil.copyfile(part, target / table / part.name)
    fresh = target / f".{MANIFEST}.new"
    remove(fresh)
    shutil.copyfile(source / MANIFEST, fresh)
    fresh.replace(target / MANIFEST)


def _rows_of(folder: Folder) -> dict[Key, int]:
    """Trials that need not be run again -> a number that stands for row and samples."""
    rows: dict[Key, int] = {}
    failed: set[Key] = set()
    axes = {key for levels in folder.manifest["cells"].values() for key in levels}
    for frame in _frames(folder, folder.trials, without=axes):
        # A part of failed rows may lack the metrics, which are empty then where they are not.
        fails = frame["status"] == "failed"
        failed |= set(_keys(frame[fails]))
        rows |= dict(zip(_keys(frame), _numbers(frame), strict=True))
        told = frame.loc[fails, ["seed", "error"]]
        rows |= dict(zip(_keys(frame[fails]), _numbers(told), strict=True))
    sampled: dict[Key, int] = {}
    for frame in _frames(folder, folder.series):
        for key, number in zip(_keys(frame), _numbers(frame), strict=True):
            sampled[key] = sampled.get(key, 0) + number
    whole = failed | sampled.keys()
    return {key: row + sampled.get(key, 0) for key, row in rows.items() if key in whole}


def _frames(
    folder: Folder, table: Path, *, without: Collection[str] = ()
) -> Iterator[pd.DataFrame]:
    """The sound parts of a table."""
    for part in sorted(table.glob("part-*.parquet")):
        if problem_of(folder, part) is not None:
            continue
        try:
            table_read = read_part(part)
            names = sorted(set(table_read.column_names) - set(without))
            frame: pd.DataFrame = table_read.select(names).to_pandas()
        except Exception as error:  # noqa: BLE001 - pyarrow raises what it likes
            of_the_part(error)
            continue
        yield frame


def _keys(frame: pd.DataFrame) -> list[Key]:
    return list(zip(frame["cell"].tolist(), frame["replicate"].tolist(), strict=True))


def _numbers(frame: pd.DataFrame) -> list[int]:
    import pandas as pd

    found: list[int] = pd.util.hash_pandas_object(frame, index=False).tolist()
    return found
