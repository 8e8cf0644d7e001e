"""The parts of a table made one, in the order of the scenario, in little memory however large."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.results.folder import Folder, replace_table
from study.results.part import digest_of_file, finish_part, write_part

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
    parts = sorted(table.glob("part-*.parquet"))
    if not parts:
        return
    aside = table.with_name(f".{table.name}.new")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    pieces = min(_MOST_PIECES, -(-_bytes_of(parts) // bytes_at_once))
    cells = folder.manifest["cells"]
    if pieces <= 1:
        import pyarrow.parquet as pq

        digest = write_part(in_order(pq.read_table(table, partitioning=None), cells), aside / NAME)
    else:
        digest = _sort_in_pieces(parts, aside, cells, pieces, bytes_at_once)
    noted = folder.manifest.setdefault("parts", {})
    for part in parts:
        noted.pop(f"{table.name}/{part.name}", None)
    # A crash between the exchange and the note must not leave the digest of another file.
    folder.save_manifest()
    replace_table(table, aside)
    folder.note_part(table / NAME, digest)


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
    parts: Sequence[Path], aside: Path, cells: Mapping[str, Any], pieces: int, bytes_at_once: int
) -> str:
    """Deal all rows to files, one a piece of the sorted table; then sort each. Returns a digest."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    keys = pa.concat_tables(pq.read_table(part, columns=["cell", "replicate"]) for part in parts)
    order = _order(keys, cells)
    piece_of = np.empty(len(order), np.int16)
    piece_of[order] = np.arange(len(order)) * pieces // len(order)
    dealt = [aside / f".piece-{piece}" for piece in range(pieces)]
    schema = pq.read_schema(parts[0]).remove_metadata()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    writers = [pa.ipc.new_stream(str(file), schema, options=options) for file in dealt]
    most = max(1, bytes_at_once // (_NUMBER_BYTES * len(schema)))
    for rows, pieces_of_rows in _with(_batches(parts, most), piece_of):
        for piece in np.unique(pieces_of_rows):
            writers[piece].write_table(rows.filter(pieces_of_rows == piece).cast(schema))
    for writer in writers:
        writer.close()
    unfinished = aside / f".{NAME}.new"
    with pq.ParquetWriter(unfinished, schema, compression="zstd") as whole:
        for file in dealt:
            with pa.ipc.open_stream(str(file)) as stream:
                whole.write_table(in_order(stream.read_all(), cells))
            file.unlink()
    finish_part(unfinished, aside / NAME)
    return digest_of_file(aside / NAME)


def _batches(parts: Sequence[Path], most: int) -> Iterator[pa.Table]:
    """All rows as they lie on disk, about so many at a time: each piece gets few, large shares."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    waiting: list[pa.RecordBatch] = []
    for part in parts:
        # A part may itself be the whole of an earlier run.
        for batch in pq.ParquetFile(part).iter_batches(batch_size=most):
            waiting.append(batch)
            if sum(map(len, waiting)) >= most:
                yield pa.Table.from_batches(waiting).combine_chunks()
                waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting).combine_chunks()


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
    import pyarrow.parquet as pq

    told = map(pq.read_metadata, parts)
    return sum(_NUMBER_BYTES * part.num_rows * part.num_columns for part in told)
