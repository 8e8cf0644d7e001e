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
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from study.results.bounds import file_bytes_most
from study.results.errors import ResultsError, shell_word
from study.results.files import held_folder, open_regular, read_regular, write_bytes_whole
from study.results.folder import DAMAGED, Folder, open_local
from study.results.part import (
    OtherBytes,
    Part,
    digest_of_bytes,
    digest_of_file,
    of_the_part,
    open_hashed,
    part_bytes,
    reading,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from study.results.model import Manifest

Found = TypeVar("Found")

PART = re.compile(r"part-(\d{6,12})\.parquet")

GONE = "it is not there"

_SOON_HASHED = 64 << 20
"""Bytes that are hashed in a third of a second: of so few nothing is asked first."""
_TRIES = 3
"""A run that ends while it is read replaces its parts; then the reader looks again."""


class NotOfTheFolder(ValueError):
    """A part that no run of this folder has written; the text says why."""


class PartRefused(ResultsError):
    """A part of a table is not used, so that neither is the table."""


def name_of(part: Path) -> str:
    """What a part is called in the manifest: its table, a slash and its file."""
    return f"{part.parent.name}/{part.name}"


def sorted_aside(table: Path) -> Path:
    """Where the parts of a table are made one, before they take its place."""
    return table.with_name(f".{table.name}.new")


def free_number(folder: Folder, least: int) -> int:
    """The first number from this on of which neither table has a part, or anything else."""
    tables = (folder.trials, folder.series)
    return next(
        number
        for number in count(least)
        if not any(os.path.lexists(table / numbered(number)) for table in tables)
    )


def numbered(number: int) -> str:
    """File name of the part with this number."""
    return f"part-{number:06d}.parquet"


def write_parts(folder: Folder, tables: Mapping[Path, pa.Table]) -> None:
    """Write parts, the digests of all of them first.

    Parameters
    ----------
    folder
        Its manifest is saved, and then names the parts.
    tables
        Path of a part -> its rows; written in this order. One that is there already with these
        very bytes is left: a write that was broken off is done again.

    Raises
    ------
    ResultsError
        Something cannot be written, or something else is there already. What is written whole
        stays.
    """
    content = {path: part_bytes(table) for path, table in tables.items()}
    missing = {path: written for path, written in content.items() if not _is_there(path, written)}
    for path in missing:
        # Rows would be lost that the manifest counts.
        if os.path.lexists(path):
            raise ResultsError(f"{path} is in the way; move it elsewhere and try again")
    for path, written in content.items():
        folder.note_part(path, digest_of_bytes(written))
    folder.save_manifest()
    for path, written in missing.items():
        with held_folder(path.parent) as held:
            write_bytes_whole(held / path.name, written, named=path)


def _is_there(path: Path, content: bytes | memoryview) -> bool:
    try:
        return digest_of_bytes(read_regular(path, most=len(content))) == digest_of_bytes(content)
    except OSError:
        return False


def problem_of(folder: Folder, part: Path) -> str | None:
    """Say why a part cannot be one that this folder's runs wrote, whatever its bytes are.

    Parameters
    ----------
    folder
        Whose manifest is asked.
    part
        A file of one of its tables.

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
        open_regular(part).close()
    except OSError as error:
        return of_the_part(error)
    if not is_noted(folder, part) and not _may_be_unnoted(folder, part):
        return "the manifest does not name it"
    return None


def open_noted(folder: Folder, part: Path) -> Part:
    """Open a part that this folder's runs wrote: what is read from it are the bytes they wrote.

    Parameters
    ----------
    folder
        Whose manifest is asked.
    part
        A file of one of its tables.

    Returns
    -------
    Part
        With the digest of its bytes.

    Raises
    ------
    NotOfTheFolder
        It is none.
    OSError, pyarrow.ArrowException
        It cannot be read.
    """
    if (why := problem_of(folder, part)) is not None:
        raise NotOfTheFolder(why)
    # To hash what is no part may take hours: a file may say that it has terabytes, and hold none.
    size = part.stat().st_size
    if size > _SOON_HASHED and size > file_bytes_most(folder.manifest, part.parent.name):
        raise NotOfTheFolder("it is larger than all rows of this study")
    try:
        found = open_hashed(part, _digests(folder, part), folder.checked.get(name_of(part)))
    except OtherBytes as error:
        raise NotOfTheFolder(str(error)) from None
    if found.hashed is not None:
        folder.checked[name_of(part)] = found.hashed
    return found


def parts_of(folder: Folder, table: Path) -> list[Path]:
    """The parts of a table, after their names were held against the manifest.

    Parameters
    ----------
    folder
        As it was opened; if a run has noted more since, that is taken over.
    table
        folder.trials or folder.series

    Raises
    ------
    ResultsError
        One of them is none that this folder's runs wrote, or one that they wrote is gone.
    """
    wrong: list[tuple[str, str]] = []
    for _ in range(_TRIES):
        with reading(f"{folder.place}/{table.name}"):
            parts = sorted(table.glob("part-*.parquet"))
            found = [(name_of(part), problem_of(folder, part)) for part in parts]
            wrong = [(name, why) for name, why in found if why is not None]
            wrong += [(name, GONE) for name in gone_from(folder, table)]
        if not wrong:
            return parts
        if not look_again(folder):
            break
    (name, why), others = wrong[0], len(wrong) - 1
    raise _refusal(folder, f"{name} (and {others} more)" if others else name, why)


def opened_parts(folder: Folder, table: Path) -> Iterator[tuple[Path, Part]]:
    """The parts of a table, one open after the other.

    Raises
    ------
    ResultsError
        As parts_of() does, or when the bytes of one are not those that were written.
    """
    for path in parts_of(folder, table):
        with reading(f"{folder.place}/{name_of(path)}"):
            try:
                part = open_noted(folder, path)
            except FileNotFoundError:
                raise _refusal(folder, name_of(path), GONE) from None
            except NotOfTheFolder as error:
                raise _refusal(folder, name_of(path), str(error)) from None
        yield path, part


def read_parts(folder: Folder, table: Path, read: Callable[[Path, Part], Found]) -> list[Found]:
    """What is read from the parts of a table; all of it anew if a run replaces them meanwhile.

    Parameters
    ----------
    folder, table
        As for parts_of().
    read
        Takes the path of a part and the part.

    Raises
    ------
    ResultsError
        A part is not as this folder's runs wrote it, or read() finds something wrong with it.
    """
    for _ in range(_TRIES):
        found = []
        try:
            for path, part in opened_parts(folder, table):
                with reading(f"{folder.place}/{name_of(path)}"):
                    found.append(read(path, part))
        except PartRefused as refusal:
            last = refusal
        else:
            return found
        if not look_again(folder):
            break
    raise last


def gone_from(folder: Folder, table: Path) -> list[str]:
    """Names of the parts of a table that the manifest has, and that are not there.

    Those that a sorted part has replaced are not missed, nor is the newest while a run writes, or
    when one has been killed: its digest is noted before it has its name.

    Raises
    ------
    OSError
        The table cannot be read.
    """
    noted = folder.manifest.get("parts", {})
    names = [name for name in noted if name.startswith(f"{table.name}/")]
    gone = [name for name in names if not (folder.path / name).exists()]
    if not gone:
        return []
    for name in noted:
        sorted_part = table / name.rpartition("/")[2]
        if (
            name.startswith(f"{sorted_aside(table).name}/")
            and sorted_part.exists()
            and digest_of_file(sorted_part) == noted[name]
        ):
            return []
    if folder.manifest["state"] == "running":
        newest = max(map(_number_of, noted))
        gone = [name for name in gone if _number_of(name) != newest]
    return sorted(gone)


def _number_of(name: str) -> int:
    match = PART.search(name)
    return int(match[1]) if match else -1


def _refusal(folder: Folder, name: str, why: str) -> PartRefused:
    does = "runs" if why == GONE else "sets it aside and runs"
    return PartRefused(
        f"{folder.place}/{name} is not used: {why}; a run that goes on {does} its trials again: "
        f"study resume {shell_word(folder.place)}"
    )


def set_aside(folder: Folder, part: Path) -> None:
    """Move a part to DIR/damaged, for whoever wants to look.

    Raises ResultsError or OSError if that cannot be.
    """
    aside = folder.path / DAMAGED
    with held_folder(part.parent) as table, held_folder(aside) as place:
        numbers = chain([max(_number_of(part.name), 0)], count())
        names = (f"{part.parent.name}-part-{number:06d}.parquet" for number in numbers)
        # What was set aside before stays: it may be the only copy of somebody's rows.
        free = next(name for name in names if not os.path.lexists(place / name))
        (table / part.name).replace(place / free)


def forget(folder: Folder, part: Path) -> None:
    """Have no digest of a part any more."""
    folder.manifest.get("parts", {}).pop(name_of(part), None)
    folder.checked.pop(name_of(part), None)


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
    seen = {name: value for name, value in now.items() if name in {"parts", "noted_first"}}
    if all(folder.manifest.get(name) == value for name, value in seen.items()):
        return False
    folder.manifest.update(cast("Manifest", seen))
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
