"""What earlier runs left in a folder: read back whole, checked, and kept or set aside."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.results.columns import AFTER_AXES, axis_columns, trials_schema
from study.results.errors import ResultsError, disk_errors
from study.results.files import make_folder, remove
from study.results.folder import DAMAGED, Folder, open_folder, prepare_tables
from study.results.manifest import continued, differences, extended
from study.results.part import check_part, column_names, read_part, write_part

if TYPE_CHECKING:
    import pyarrow as pa


_PART = re.compile(r"part-(\d{6,})\.parquet")
_DIFFERENCES_SHOWN = 8

_OF_A_TRIAL = ("cell", "replicate", "status", "error")
_OF_A_SAMPLE = ("cell", "replicate")

_REPLICATES_MOST = 100_000_000
"""Each cell takes a byte a replicate."""

Key = tuple[str, int]
"""A trial: id of its cell, and its replicate."""


@dataclass(frozen=True)
class Kept:
    """What a folder holds already.

    done       trials that need not be run again
    failed     how many of them failed
    next_part  number of the next part to write
    metrics    names of the metrics, None while no trial has succeeded
    damaged    names of parts that could not be read, and now lie in DIR/damaged
    """

    done: frozenset[Key] = frozenset()
    failed: int = 0
    next_part: int = 0
    metrics: tuple[str, ...] | None = None
    damaged: tuple[str, ...] = ()


def reopen(path: Path, manifest: dict[str, Any], *, extend: bool = False) -> Folder:
    """The folder of an earlier run of this very study, to be continued.

    extend  also of one with fewer replicates or cells, which becomes the larger one

    The caller is its only writer. Raises ResultsError that says what differs.
    """
    folder = open_folder(path)
    found = folder.manifest
    if found["fingerprint"] == manifest["fingerprint"]:
        prepare_tables(path)
        return Folder(path, continued(found, manifest))
    if extend:
        merged, obstacles = extended(found, manifest)
        if merged is not None:
            prepare_tables(path)
            wider = Folder(path, merged)
            _restate_axes(wider)
            wider.save_manifest()
            return wider
        raise ResultsError(f"{path} cannot be extended to this study:\n{_listed(obstacles)}")
    hint = "give another --out"
    if extended(found, manifest)[0] is not None:
        hint += ", or --extend to add what is new to it"
    told = _listed(differences(found, manifest))
    raise ResultsError(f"{path} holds results of something else; {hint}:\n{told}")


def adopt(folder: Folder) -> Kept:
    """Read back every part, keep what is whole, and set aside what is not.

    A trial counts as done if its row can be read and, unless it failed, its series too; of any
    other, half-written or damaged, nothing is left in the tables, and it will be run again.
    """
    import pyarrow as pa

    with disk_errors(f"cannot continue {folder.path}", pa.ArrowException):
        return _adopted(folder)


def _adopted(folder: Folder) -> Kept:
    for leftover in (*folder.trials.glob(".part-*.new"), *folder.series.glob(".part-*.new")):
        remove(leftover)
    damaged: list[str] = []
    sampled = _sampled(folder, damaged)
    done: set[Key] = set()
    failed = 0
    metrics: tuple[str, ...] | None = None
    for part in _parts(folder.trials):
        table = _read_or_set_aside(folder, part, damaged, _OF_A_TRIAL)
        if table is None:
            continue
        keys, status = _keys(table), table.column("status").to_pylist()
        wanted: list[bool] = []
        for key, state in zip(keys, status, strict=True):
            whole = state == "failed" or key in sampled or not folder.manifest.get("sampled")
            wanted.append(whole and key not in done)
            if wanted[-1]:
                done.add(key)
                failed += state == "failed"
        if not all(wanted):
            folder.note_part(part, write_part(read_part(part).filter(wanted), part))
        if "ok" in status:
            metrics = _metrics_of(part)
    _drop_orphans(folder, done)
    folder.save_manifest()
    numbers = [int(m[1]) for p in _all_parts(folder) if (m := _PART.fullmatch(p.name))]
    return Kept(
        done=frozenset(done),
        failed=failed,
        next_part=max(numbers, default=-1) + 1,
        metrics=metrics,
        damaged=tuple(damaged),
    )


def _parts(table: Path) -> list[Path]:
    return sorted(p for p in table.glob("part-*.parquet") if _PART.fullmatch(p.name))


def _all_parts(folder: Folder) -> list[Path]:
    aside = folder.path / DAMAGED
    put_aside = [p.with_name(p.name.partition("-")[2]) for p in aside.glob("*-part-*.parquet")]
    return [*_parts(folder.trials), *_parts(folder.series), *put_aside]


def _keys(table: pa.Table) -> list[Key]:
    cells = table.column("cell").to_pylist()
    return list(zip(cells, table.column("replicate").to_pylist(), strict=True))


def _sampled(folder: Folder, damaged: list[str]) -> set[Key]:
    """Trials that have a series in a part that can be read."""
    found: set[Key] = set()
    for part in _parts(folder.series):
        table = _read_or_set_aside(folder, part, damaged, _OF_A_SAMPLE)
        if table is not None:
            found.update(_keys(table.group_by(["cell", "replicate"]).aggregate([])))
    return found


def _drop_orphans(folder: Folder, done: set[Key]) -> None:
    """Take samples of trials that are to be run again out of the series."""
    for part in _parts(folder.series):
        table = read_part(part)
        keys = _keys(table.group_by(["cell", "replicate"]).aggregate([]))
        if not done.issuperset(keys):
            rows = table.filter([key in done for key in _keys(table)])
            folder.note_part(part, write_part(rows, part))


def _read_or_set_aside(
    folder: Folder, part: Path, damaged: list[str], columns: Sequence[str]
) -> pa.Table | None:
    """Some columns of a part, or None if it is damaged or has nothing to do with this study."""
    reason = check_part(part, folder.digest_of(part))
    if reason is None:
        if set(columns) <= set(column_names(part)):
            table = read_part(part, list(columns))
            if _is_of(table, folder.manifest["cells"]):
                return table
        reason = "no table of this study"
    name = f"{part.parent.name}/{part.name}"
    aside = folder.path / DAMAGED
    make_folder(aside)
    part.replace(aside / f"{part.parent.name}-{part.name}")
    damaged.append(f"{name} ({reason})")
    return None


def _is_of(table: pa.Table, cells: Collection[str]) -> bool:
    """Whether its rows can be those of trials of these cells."""
    import pyarrow as pa
    import pyarrow.compute as pc

    cell, replicate = table.column("cell"), table.column("replicate")
    if not (pa.types.is_string(cell.type) and pa.types.is_int64(replicate.type)):
        return False
    if cell.null_count or replicate.null_count or not set(pc.unique(cell).to_pylist()) <= {*cells}:
        return False
    least, most = pc.min_max(replicate).as_py().values() if len(table) else (0, 0)
    return least >= 0 and most < _REPLICATES_MOST


def _metrics_of(part: Path) -> tuple[str, ...]:
    names = column_names(part)
    return tuple(names[names.index(AFTER_AXES[-1]) + 1 :])


def _restate_axes(folder: Folder) -> None:
    """Give the axis columns of every part the type that they have with the new levels."""
    import pyarrow as pa

    cells = folder.manifest["cells"]
    axes = axis_columns(folder.manifest["axes"], cells)
    for part in _parts(folder.trials):
        if check_part(part, folder.digest_of(part)) is not None:
            continue
        if not {*_OF_A_TRIAL, *AFTER_AXES} <= set(column_names(part)):
            continue
        table = read_part(part)
        if not _is_of(table, cells):
            continue
        wanted = trials_schema(axes, _metrics_of(part))
        columns = []
        for field in wanted:
            column = table.column(field.name)
            text = pa.types.is_string(field.type) and not pa.types.is_string(column.type)
            if text and field.name in axes:
                levels = [cells[cell].get(field.name) for cell in table.column("cell").to_pylist()]
                column = pa.array([None if v is None else str(v) for v in levels], pa.string())
            columns.append(column.cast(field.type))
        folder.note_part(part, write_part(pa.table(columns, schema=wanted), part))


def _listed(lines: list[str]) -> str:
    more = len(lines) - _DIFFERENCES_SHOWN
    shown = [f"  {line}" for line in lines[:_DIFFERENCES_SHOWN]]
    return "\n".join([*shown, f"  and {more} more"] if more > 0 else shown)
