"""Parts and their digests: each stands in the manifest on disk before the part has its name.

So a run that dies at any moment leaves no part that is not noted, and a part that is not noted is
none of this folder: somebody has put it there. It is never read, and set aside when a run goes on.

Folders begun before this was so (`noted_first` is not in their manifest) may hold parts of a run
that died before it could note them. Those are the next part after the noted ones, or all parts of a
table that was being sorted; they are read, and a run that goes on holds each row against the study.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.results.errors import ResultsError, shell_word
from study.results.files import make_folder, open_regular, write_bytes_whole
from study.results.folder import DAMAGED, Folder, open_local
from study.results.part import (
    digest_of_bytes,
    digest_of_file,
    of_the_part,
    part_bytes,
    reading,
)

if TYPE_CHECKING:
    import pyarrow as pa

PART = re.compile(r"part-(\d{6,12})\.parquet")

_TRIES = 3
"""A run that ends while it is read replaces its parts; then the reader looks again."""


def name_of(part: Path) -> str:
    """What a part is called in the manifest: its table, a slash and its file."""
    return f"{part.parent.name}/{part.name}"


def sorted_aside(table: Path) -> Path:
    """Where the parts of a table are made one, before they take its place."""
    return table.with_name(f".{table.name}.new")


def write_parts(folder: Folder, tables: Mapping[Path, pa.Table]) -> None:
    """Write parts, the digests of all of them first.

    Parameters
    ----------
    folder
        Its manifest is saved, and then names the parts.
    tables
        Path of a part that is not there yet -> its rows; written in this order.

    Raises
    ------
    ResultsError
        Something cannot be written. What is written whole stays.
    """
    content = {path: part_bytes(table) for path, table in tables.items()}
    for path, written in content.items():
        folder.note_part(path, digest_of_bytes(written))
    folder.save_manifest()
    for path, written in content.items():
        write_bytes_whole(path, written)


def problem_of(folder: Folder, part: Path, *, bytes_too: bool = True) -> str | None:
    """Say why a part is not one that this folder's runs wrote.

    Parameters
    ----------
    folder
        Whose manifest is asked.
    part
        A file of one of its tables.
    bytes_too
        Also hold its bytes against its digest, once for each Folder that is open.

    Returns
    -------
    str | None
        The reason in a few words, None if there is none.

    Raises
    ------
    OSError
        It cannot be opened for a reason that says nothing of the part.
    """
    if PART.fullmatch(part.name) is None:
        return "no part has such a name"
    try:
        with open_regular(part) as file:
            found = os.fstat(file.fileno())
        wanted = _digests(folder, part)
        if not wanted:
            return None if _may_be_unnoted(folder, part) else "the manifest does not name it"
        stamp = (found.st_mtime_ns, found.st_size, found.st_ino, *sorted(wanted))
        if bytes_too and folder.checked.get(name_of(part)) != stamp:
            if digest_of_file(part) not in wanted:
                return "other bytes than were written"
            folder.checked[name_of(part)] = stamp
    except OSError as error:
        return of_the_part(error)
    return None


def parts_of(folder: Folder, table: Path) -> list[Path]:
    """The parts of a table, after each was held against the manifest.

    Parameters
    ----------
    folder
        As it was opened; if a run has noted more since, that is taken over.
    table
        folder.trials or folder.series

    Raises
    ------
    ResultsError
        One of them is not as this folder's runs wrote it.
    """
    wrong: list[tuple[Path, str]] = []
    for _ in range(_TRIES):
        with reading(f"{folder.place}/{table.name}"):
            parts = sorted(table.glob("part-*.parquet"))
            wrong = [(part, why) for part in parts if (why := problem_of(folder, part)) is not None]
        if not wrong:
            return parts
        if not look_again(folder):
            break
    part, why = wrong[0]
    others = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
    raise ResultsError(
        f"{folder.place}/{name_of(part)}{others} is not used: {why}; a run that goes on sets it "
        f"aside and runs its trials again: study resume {shell_word(folder.place)}"
    )


def set_aside(folder: Folder, part: Path) -> None:
    """Move a part to DIR/damaged, for whoever wants to look.

    Raises ResultsError or OSError if that cannot be.
    """
    aside = folder.path / DAMAGED
    make_folder(aside)
    part.replace(aside / f"{part.parent.name}-{part.name}")


def forget(folder: Folder, part: Path) -> None:
    """Have no digest of a part any more."""
    folder.manifest.get("parts", {}).pop(name_of(part), None)
    folder.checked.pop(name_of(part), None)


def digest_now(folder: Folder, part: Path) -> str:
    """The digest of a part that has no problem, read anew only where the manifest leaves a doubt.

    Raises OSError.
    """
    noted = _digests(folder, part)
    return noted.pop() if len(noted) == 1 else digest_of_file(part)


def is_noted(folder: Folder, part: Path) -> bool:
    """Whether the manifest has a digest for a part."""
    return bool(_digests(folder, part))


def look_again(folder: Folder) -> bool:
    """Take over what a run has noted since the folder was opened; whether there is anything."""
    if folder.mirror is not None:
        return False
    try:
        now = open_local(folder.path).manifest
    except ResultsError:
        return False
    seen: dict[str, Any] = {name: now[name] for name in ("parts", "noted_first") if name in now}
    if all(folder.manifest.get(name) == value for name, value in seen.items()):
        return False
    folder.manifest.update(seen)
    return True


def _digests(folder: Folder, part: Path) -> set[str]:
    """Those that a part may have: its own, or that of the sorted part that takes its place."""
    found = (folder.digest_of(part), folder.digest_of(sorted_aside(part.parent) / part.name))
    return {digest for digest in found if digest is not None}


def _may_be_unnoted(folder: Folder, part: Path) -> bool:
    """Whether an earlier version could leave this part before it was noted."""
    if folder.manifest.get("noted_first"):
        return False
    noted = [name.split("/") for name in folder.manifest.get("parts", {})]
    if not any(table == part.parent.name for table, _ in noted):
        return True
    numbers = [int(match[1]) for _, name in noted if (match := PART.fullmatch(name))]
    match = PART.fullmatch(part.name)
    return match is not None and int(match[1]) == max(numbers, default=-1) + 1
