"""The parts of a table made one, in the order of the scenario, in little memory however large."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.results.files import (
    create_file,
    held_folder,
    remove,
    write_bytes_whole,
    written_aside,
)
from study.results.folder import Folder, replace_table
from study.results.noted import (
    forget,
    is_noted,
    opened_parts,
    parts_of,
    problem_of,
    read_parts,
    set_aside,
    sorted_aside,
)
from study.results.part import (
    WRITTEN_WITH,
    digest_of_bytes,
    digest_of_file,
    open_part,
    part_bytes,
    reading,
)

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

BYTES_AT_ONCE = 64 * 1024 * 1024
"""A table of more bytes, in memory, is sorted in pieces of so many."""

_NUMBER_BYTES = 8

_MOST_PIECES = 200
"""Each is an open file for a while."""

NAME = "part-000000.parquet"
"""Always the same: a run that was continued leaves the same file as one that was not."""


def sort_table(folder: Folder, table: Path, *, bytes_at_once: int = BYTES_AT_ONCE) -> None:
    """Make one part of many, in the order of the scenario: same study, same file.

    table  folder.trials or folder.series
    """
    aside = sorted_aside(table)
    cells = folder.manifest["cells"]
    _set_strangers_aside(folder, table)
    with ExitStack() as at_end:
        try:
            with reading(table, what="sort"):
                parts = parts_of(folder, table)
                if not parts:
                    return
                remove(aside)
                held = at_end.enter_context(held_folder(aside))
                pieces = min(_MOST_PIECES, -(-_bytes_of(parts) // bytes_at_once))
                if pieces <= 1:
                    tables = read_parts(folder, table, lambda _, part: part.read())
                    content = part_bytes(in_order(joined(tables), cells))
                    write_bytes_whole(held / NAME, content, named=aside / NAME)
                    digest = digest_of_bytes(content)
                else:
                    digest = _sort_in_pieces(folder, table, held, pieces, bytes_at_once)
            # A crash may leave the old parts or the new one: until it is over both are noted.
            folder.note_part(aside / NAME, digest)
            folder.save_manifest()
        except BaseException:
            # What there is of it would keep room from a disk that is full.
            shutil.rmtree(aside, ignore_errors=True)
            raise
        replace_table(table, aside, held)
    for part in (*parts, aside / NAME):
        forget(folder, part)
    folder.note_part(table / NAME, digest)
    folder.save_manifest()


def joined(tables: Iterable[pa.Table]) -> pa.Table:
    """Parts as one table. Trials that failed before any succeeded have no metrics: nulls."""
    import pyarrow as pa

    return pa.concat_tables(list(tables), promote_options="default")


def _set_strangers_aside(folder: Folder, table: Path) -> None:
    """Take away what somebody has put beside the parts while they were written."""
    with reading(table, what="sort"):
        for part in sorted(table.glob("part-*.parquet")):
            if not is_noted(folder, part) and problem_of(folder, part) is not None:
                set_aside(folder, part)


def in_order(table: pa.Table, cells: Mapping[str, Any]) -> pa.Table:
    """Rows by cell, as the scenario lists them, then by replicate; otherwise as they are."""
    return table.take(_order(table, cells))


def is_in_order(table: pa.Table, cells: Mapping[str, Any]) -> bool:
    """Whether in_order() would leave a table as it is."""
    import numpy as np

    return bool((np.diff(_order(table, cells)) == 1).all())


def _order(table: pa.Table, cells: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    import numpy as np

    rank = {cell: index for index, cell in enumerate(cells)}
    coded = table.column("cell").combine_chunks().dictionary_encode()
    ranks = np.array([rank.get(cell.as_py(), len(rank)) for cell in coded.dictionary], np.int64)
    by_cell = ranks[coded.indices.to_numpy()] if len(ranks) else np.empty(0, np.int64)
    # lexsort is stable: samples of one trial keep their order in time.
    return np.lexsort((table.column("replicate").to_numpy(), by_cell))


def _sort_in_pieces(
    folder: Folder, table: Path, held: Path, pieces: int, bytes_at_once: int
) -> str:
    """Write all rows to files, one per piece of the sorted table; sort each. Returns a digest.

    held  the folder for them
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    cells = folder.manifest["cells"]
    found = read_parts(
        folder, table, lambda _, part: (part.schema, part.read(["cell", "replicate"]))
    )
    keys = joined(rows for _, rows in found)
    order = _order(keys, cells)
    piece_of = np.empty(len(order), np.int16)
    piece_of[order] = np.arange(len(order)) * pieces // len(order)
    piece_paths = [held / f".piece-{piece}" for piece in range(pieces)]
    schema = pa.unify_schemas([of_part.remove_metadata() for of_part, _ in found])
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    most = max(1, bytes_at_once // (_NUMBER_BYTES * len(schema)))
    with ExitStack() as opened:
        # Files rather than their names, of which Arrow takes none that is not UTF-8.
        files = [opened.enter_context(create_file(path)) for path in piece_paths]
        writers = [
            opened.enter_context(pa.ipc.new_stream(file, schema, options=options)) for file in files
        ]
        for rows, pieces_of_rows in _with(_batches(folder, table, schema, most), piece_of):
            for piece in np.unique(pieces_of_rows):
                writers[piece].write_table(rows.filter(pieces_of_rows == piece))
    with (
        written_aside(held / NAME) as file,
        pq.ParquetWriter(file, schema, **WRITTEN_WITH) as whole,
    ):
        for path in piece_paths:
            with path.open("rb") as piece_file, pa.ipc.open_stream(piece_file) as stream:
                whole.write_table(in_order(stream.read_all(), cells))
            path.unlink()
    return digest_of_file(held / NAME)


def _batches(folder: Folder, table: Path, schema: pa.Schema, most: int) -> Iterator[pa.Table]:
    """All rows as they lie on disk, about so many at a time: each piece gets few, large shares."""
    import pyarrow as pa

    waiting: list[pa.Table] = []
    for _, part in opened_parts(folder, table):
        # A part may itself be the whole of an earlier run.
        for batch in part.file.iter_batches(batch_size=most):
            rows = pa.Table.from_batches([batch]).replace_schema_metadata()
            waiting.append(joined([schema.empty_table(), rows]).cast(schema))
            if sum(map(len, waiting)) >= most:
                yield pa.concat_tables(waiting).combine_chunks()
                waiting = []
    if waiting:
        yield pa.concat_tables(waiting).combine_chunks()


def _with(
    tables: Iterable[pa.Table], of_rows: np.ndarray[Any, Any]
) -> Iterator[tuple[pa.Table, np.ndarray[Any, Any]]]:
    """Each table with its share of an array that has an element for every row of all of them."""
    start = 0
    for rows in tables:
        yield rows, of_rows[start : start + len(rows)]
        start += len(rows)


def _bytes_of(parts: Sequence[Path]) -> int:
    """Of all columns once they are in memory: on disk equal numbers take next to nothing."""
    found = [open_part(part).file.metadata for part in parts]
    return sum(_NUMBER_BYTES * part.num_rows * part.num_columns for part in found)
