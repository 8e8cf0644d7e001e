"""How large the parts of a study can be: a file of a few kilobytes may unpack to many gigabytes.

A part is held against this before anything of it is unpacked. The rows are those of the study; what
they take follows from their types and from the words that they can hold. The footer of a part says
what its pages unpack to, but that is only said: what Parquet goes by stands before each page, and
is added up here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from study.fanout.trial import ERROR_LETTERS
from study.results.bounds.pages import pages_of
from study.results.expected import TRIALS_MOST, NotOfTheStudy, replicates_most

if TYPE_CHECKING:
    import pyarrow as pa

    from study.results.model import Manifest
    from study.results.part import Part

_ROWS_MORE, _SAMPLES_MORE = 10_000, 100_000
"""A part may have rows that are no longer wanted; so many do no harm."""
_TIMES = 4
"""A table that a run replaces is looked at again."""
_SAMPLES_MOST = 1_000_100
"""Of a trial: no scenario may ask for more than a million, and some fall on the ends of phases."""
_METRICS_MOST = 10_000
_VALUE_BYTES = 12
"""Beside a value itself: its length, its place in a dictionary, whether it is there at all."""
_COLUMNS_MOST = {"trials": 500, "series": 100}
"""Some 250 and 40 there are, whichever version wrote them."""
_FOOTER_BYTES = 16 << 20
_CHUNK_BYTES = 64 * 1024
"""Beside the values of a column: what describes its pages."""
_TOO_LARGE = "it unpacks to more than the rows of this study can take"
_BATCH_ROWS = 65_536


@dataclass
class Bounds:
    """What the parts of one table can take.

    rows     in all
    letters  column of text -> bytes of its longest word
    more     rows beyond that a part may have
    seen     rows of the parts that were looked at
    """

    rows: int
    letters: Mapping[str, int]
    more: int = _ROWS_MORE
    seen: int = 0

    @classmethod
    def of_trials(cls, manifest: Manifest) -> Bounds:
        """For the rows of trials."""
        cells = manifest["cells"]
        longest = {"cell": _longest(cells), "status": 6, "error": 4 * ERROR_LETTERS}
        for levels in cells.values():
            for key, level in levels.items():
                longest[key] = max(longest.get(key, 0), _longest([str(level)]))
        return cls(_trials_most(manifest), longest)

    @classmethod
    def of_series(cls, manifest: Manifest) -> Bounds:
        """For the samples."""
        rows = _trials_most(manifest) * _samples_most(manifest)
        return cls(rows, {"cell": _longest(manifest["cells"])}, _SAMPLES_MORE)

    def _count(self, rows: int) -> None:
        most = self.rows + self.more
        if rows > most:
            raise NotOfTheStudy(f"it has {rows:,} rows, the study at most {self.rows:,}")
        self.seen += rows
        if self.seen > _TIMES * most:
            raise NotOfTheStudy(f"with it there are {self.seen:,} rows, of {self.rows:,} at most")

    def check(self, part: Part, columns: Iterable[str] | None = None) -> None:
        """Hold a part against what it can take, before anything of it is unpacked.

        columns  those that will be read, whose types were looked at; None for all

        Raises NotOfTheStudy.
        """
        metadata = part.file.metadata
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        if min((group.num_rows for group in groups), default=0) < 0:
            raise NotOfTheStudy("it has fewer rows than none")
        self._count(sum(group.num_rows for group in groups))
        if metadata.num_columns != len(part.schema.names) or metadata.num_columns > _METRICS_MOST:
            raise NotOfTheStudy("it has other columns than this study's tables")
        chosen = set(part.schema.names if columns is None else columns)
        for number, field in enumerate(part.schema):
            if field.name not in chosen:
                continue
            width = self._width(field)
            for group in groups:
                _check_chunk(part, group.column(number), group.num_rows, width)
            if field.name in self.letters:
                self._check_words(part, field.name)

    def _width(self, field: pa.Field) -> int:
        """Bytes of the largest value of a column."""
        import pyarrow as pa

        if pa.types.is_string(field.type):
            return self.letters.get(field.name, 0)
        return max(1, int(field.type.bit_width) // 8)

    def _check_words(self, part: Part, name: str) -> None:
        """Hold the words of a column against the longest that there can be.

        One word of a dictionary may stand in every row: they are looked at before they do.
        """
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        if not pa.types.is_string(part.schema.field(name).type):
            return
        found = pq.ParquetFile(
            part.source,
            metadata=part.file.metadata,
            read_dictionary=[name],
            page_checksum_verification=True,
            pre_buffer=False,
        )
        for batch in found.iter_batches(batch_size=_BATCH_ROWS, columns=[name]):
            words = batch.column(0)
            words = words.dictionary if pa.types.is_dictionary(words.type) else words
            longest = pc.max(pc.binary_length(words)).as_py() or 0
            if longest > self.letters[name]:
                raise NotOfTheStudy(f"its column {name} has a word of {longest:,} bytes")


def _check_chunk(part: Part, chunk: Any, rows: int, width: int) -> None:
    """Hold the pages of one column, of one group of rows, against what so many values can take."""
    most = rows * (width + _VALUE_BYTES) + _CHUNK_BYTES
    if chunk.num_values != rows or chunk.total_uncompressed_size > most:
        raise NotOfTheStudy(_TOO_LARGE)
    if not rows:
        # Parquet looks at no page then, and its footer need not say where one would be.
        return
    begins = chunk.data_page_offset
    if chunk.has_dictionary_page and 0 < chunk.dictionary_page_offset < begins:
        begins = chunk.dictionary_page_offset
    unpacked = 0
    for size, values in pages_of(part, begins, begins + chunk.total_compressed_size):
        unpacked += size
        if unpacked > most or not 0 <= values <= rows:
            raise NotOfTheStudy(_TOO_LARGE)


def file_bytes_most(manifest: Manifest, table: str) -> int:
    """Bytes of the largest part that a run can have written, with room to spare.

    Parameters
    ----------
    manifest
        Of the folder.
    table
        "trials" or "series"
    """
    bounds = Bounds.of_trials(manifest) if table == "trials" else Bounds.of_series(manifest)
    row = sum(bounds.letters.values()) + _COLUMNS_MOST[table] * (8 + _VALUE_BYTES)
    return (bounds.rows + bounds.more) * row + _FOOTER_BYTES


def _trials_most(manifest: Manifest) -> int:
    """How many trials a study can have."""
    return min(len(manifest["cells"]) * replicates_most(manifest), TRIALS_MOST)


def _samples_most(manifest: Manifest) -> int:
    """How many samples a trial can have: by its clock, unless that varies or makes no sense."""
    from study.scenario.units import nanoseconds_from

    scenario = manifest["scenario"]
    varied = [scenario.get(key) for key in ("axes", "include", "exclude")]
    if "clock" in json.dumps(varied) or any("clock" in key for key in manifest["axes"]):
        return _SAMPLES_MOST
    try:
        clock = scenario["base"]["clock"]
        whole = nanoseconds_from(clock["ageing"]) + nanoseconds_from(clock["measure"])
        # One as the zone came up, and each phase ends with one.
        return int(min(whole // nanoseconds_from(clock["sample"]) + 3, _SAMPLES_MOST))
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return _SAMPLES_MOST


def _longest(words: Iterable[str]) -> int:
    return max((len(word.encode(errors="replace")) for word in words), default=0)
