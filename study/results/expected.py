"""What the tables of a study must hold: columns, cells, seed, levels, samples.

A part that is sound need not be of this study: it may come from a run with another seed, or with
more replicates. Rows that are read are held against the manifest; those that a run goes on from,
against the study in full.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from study.results.columns import AFTER_AXES, BEFORE_AXES, axis_columns, level_as, trials_schema

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from study.scenario import Study

REPLICATES_MOST = 100_000_000
"""Each cell takes a byte a replicate."""

KEYS = ("cell", "replicate")
OUTCOMES = (*BEFORE_AXES, *AFTER_AXES)
SAMPLED = (*KEYS, "time_ns", "phase")

FREE, FREE_AT_END = "free_pages", "free_pages_end"
"""A column of the samples, and the metric that is the last of them."""

_STATES = frozenset({"ok", "failed"})
_OTHER_COLUMNS = "it has other columns than this study's tables"
_EMPTY_FIELDS = "fields are empty that never are"

Key = tuple[str, int]
"""A trial: id of its cell, and its replicate."""


class NotOfTheStudy(ValueError):
    """Rows that no run of this study can have written; the text says why."""


@dataclass(frozen=True)
class Expected:
    """What holds for every row of a study.

    seed   of all its trials
    cells  id -> levels
    axes   column -> 'int', 'float', 'bool' or 'text'
    """

    seed: int
    cells: Mapping[str, Mapping[str, Any]]
    axes: Mapping[str, str]

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> Expected:
        """From a manifest. Raises ResultsError when an axis has the name of another column."""
        cells = manifest["cells"]
        return cls(manifest["seed"], cells, axis_columns(manifest["axes"], cells))

    def check_trials(self, schema: pa.Schema, *, axes_as_well: bool = True) -> None:
        """Hold columns against those of the trials table.

        axes_as_well  the types of the axis columns too, which change when levels are added

        Raises NotOfTheStudy.
        """
        import pyarrow as pa

        wanted = trials_schema(self.axes, metrics_of(schema.names))
        once = len(set(schema.names)) == len(schema.names)
        if not (once and set(schema.names) == set(wanted.names) and schema.names[0] == "cell"):
            raise NotOfTheStudy(_OTHER_COLUMNS)
        for field in schema:
            of_axis = field.name in self.axes and not axes_as_well
            is_plain = pa.types.is_primitive(field.type) or pa.types.is_string(field.type)
            if not (is_plain if of_axis else field.type == wanted.field(field.name).type):
                raise NotOfTheStudy(f"its column {field.name} holds {field.type}")

    def check_series(self, schema: pa.Schema) -> None:
        """Hold columns against those of samples. Raises NotOfTheStudy."""
        import pyarrow as pa

        kinds = {"cell": pa.string(), "replicate": pa.int64()}
        kinds |= {"time_ns": pa.int64(), "phase": pa.uint8()}
        names = schema.names
        if len(set(names)) < len(names) or tuple(names[:2]) != KEYS:
            raise NotOfTheStudy(_OTHER_COLUMNS)
        for field in schema:
            fits = field.type == kinds.get(field.name, field.type)
            if not (fits and (field.name == "cell" or pa.types.is_primitive(field.type))):
                raise NotOfTheStudy(f"its column {field.name} holds {field.type}")

    def check_keys(self, table: pa.Table) -> None:
        """Hold cells and replicates against the study. Raises NotOfTheStudy."""
        import pyarrow.compute as pc

        if any(table.column(name).null_count for name in KEYS):
            raise NotOfTheStudy(_EMPTY_FIELDS)
        strange = set(pc.unique(table.column("cell")).to_pylist()) - set(self.cells)
        if strange:
            raise NotOfTheStudy(f"cell {min(strange)[:40]} is none of this study")
        least, most = pc.min_max(table.column("replicate")).as_py().values()
        if len(table) and not 0 <= least <= most < REPLICATES_MOST:
            raise NotOfTheStudy(f"replicate {least if least < 0 else most} cannot be")

    def check_rows(self, table: pa.Table) -> None:
        """Hold rows of trials against the study.

        table  at least the columns OUTCOMES

        Raises NotOfTheStudy.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        self.check_keys(table)
        if any(table.column(name).null_count for name in OUTCOMES):
            raise NotOfTheStudy(_EMPTY_FIELDS)
        seeds = set(pc.unique(table.column("seed")).to_pylist()) - {self.seed}
        if seeds:
            raise NotOfTheStudy(f"its seed is {min(seeds)}, that of the study {self.seed}")
        status = table.column("status")
        if strange := set(pc.unique(status).to_pylist()) - _STATES:
            raise NotOfTheStudy(f"a trial's status is {min(strange)[:40]!r}")
        silent = pc.equal(table.column("error"), "")
        if not pc.all(pc.equal(pc.equal(status, pa.scalar("ok")), silent), min_count=0).as_py():
            raise NotOfTheStudy("a trial that did not fail has an error, or one that failed none")

    def check_once(self, table: pa.Table) -> None:
        """Have every trial once. Raises NotOfTheStudy."""
        keys = table.select(list(KEYS))
        if len(keys.group_by(list(KEYS)).aggregate([])) < len(keys):
            raise NotOfTheStudy("a trial is there twice")

    def restated(self, table: pa.Table) -> pa.Table:
        """The same rows as this study writes them: axis columns of other types, in another order.

        table  the trials table of a part with all or some of its metrics

        Raises NotOfTheStudy if levels are not those of the rows' cells.
        """
        import pyarrow as pa

        coded = table.column("cell").combine_chunks().dictionary_encode()
        if isinstance(coded, pa.ChunkedArray):
            coded = coded.unify_dictionaries().combine_chunks()
        levels = [self.cells[cell] for cell in coded.dictionary.to_pylist()]
        for name, kind in self.axes.items():
            there = table.column(name)
            try:
                held = _by_row(coded, levels, name, _kind_of(there.type), there.type)
            except (pa.ArrowException, ValueError, TypeError, OverflowError):
                held = None
            if held is None or not there.equals(held):
                raise NotOfTheStudy(f"{name} is not that of its cell")
            type_now = trials_schema({name: kind}, ()).field(name).type
            if there.type != type_now:
                stated = _by_row(coded, levels, name, kind, type_now)
                table = table.set_column(table.column_names.index(name), name, stated)
        order = [*BEFORE_AXES, *self.axes, *AFTER_AXES]
        metrics = [name for name in table.column_names if name not in order]
        return table.select([*(name for name in order if name in table.column_names), *metrics])


def metrics_of(columns: Sequence[str]) -> tuple[str, ...]:
    """Names of the metrics among the columns of a trials table; none if it is none."""
    if AFTER_AXES[-1] not in columns:
        return ()
    return tuple(columns[list(columns).index(AFTER_AXES[-1]) + 1 :])


@dataclass(frozen=True)
class Samples:
    """When the trials of each cell are sampled.

    of_cell  id -> index of its schedule
    times    of each schedule, ns
    phases   of each schedule: 0 ageing, 1 measured
    """

    of_cell: Mapping[str, int]
    times: tuple[np.ndarray[Any, Any], ...]
    phases: tuple[np.ndarray[Any, Any], ...]

    @classmethod
    def of(cls, study: Study) -> Samples:
        """From the clocks of a study's cells."""
        import numpy as np

        from study.zone.trial.schedule import AGEING, phases, sample_times

        clocks = {cell.id: cell.settings.clock for cell in study.cells}
        index = {clock: number for number, clock in enumerate(dict.fromkeys(clocks.values()))}
        times, of_phase = [], []
        for clock in index:
            # The first is of the zone as it came up.
            taken, during = [np.zeros(1, np.int64)], [np.full(1, AGEING)]
            for phase, start, end in phases(clock):
                taken.append(sample_times(start, end, clock.sample_ns))
                during.append(np.full(len(taken[-1]), phase))
            times.append(np.concatenate(taken))
            of_phase.append(np.concatenate(during))
        return cls(
            {cell: index[clock] for cell, clock in clocks.items()}, tuple(times), tuple(of_phase)
        )

    def trials_in(self, part: pq.ParquetFile) -> Iterator[tuple[list[Key], list[int] | None]]:
        """The trials of a part of the series, some at a time, as they lie.

        Yields their keys, and the free pages in the last sample of each, if that is a column.
        Raises NotOfTheStudy if they are not sampled when those of this study are.
        """
        import pyarrow as pa

        names = [name for name in (*SAMPLED, FREE) if name in part.schema_arrow.names]
        left: pa.Table | None = None
        for group in range(part.num_row_groups):
            rows = part.read_row_group(group, columns=names)
            rows = rows if left is None else pa.concat_tables([left, rows])
            left = None
            bounds = _trials_at(rows)
            if group + 1 < part.num_row_groups:
                # The last trial may go on in the next group.
                begins = int(bounds[-2]) if len(bounds) > 1 else 0
                left, rows, bounds = rows.slice(begins), rows.slice(0, begins), bounds[:-1]
            if len(rows):
                yield self._whole(rows, bounds)

    def _whole(
        self, rows: pa.Table, bounds: np.ndarray[Any, Any]
    ) -> tuple[list[Key], list[int] | None]:
        import numpy as np

        first, last, lengths = bounds[:-1], bounds[1:] - 1, np.diff(bounds)
        cells = rows.column("cell").take(first).to_pylist()
        keys = list(zip(cells, rows.column("replicate").take(first).to_pylist(), strict=True))
        times, phases = rows.column("time_ns").to_numpy(), rows.column("phase").to_numpy()
        schedule = np.array([self.of_cell[cell] for cell in cells], np.int64)
        for number, (wanted, phase) in enumerate(zip(self.times, self.phases, strict=True)):
            chosen = schedule == number
            if (wrong := chosen & (lengths != len(wanted))).any():
                cell, replicate = keys[int(wrong.argmax())]
                found = int(lengths[wrong.argmax()])
                raise NotOfTheStudy(
                    f"replicate {replicate} of {cell} has {found} samples, not {len(wanted)}"
                )
            at = first[chosen][:, np.newaxis] + np.arange(len(wanted))
            if not ((times[at] == wanted).all() and (phases[at] == phase).all()):
                raise NotOfTheStudy("samples are of other times than this study takes them")
        if FREE not in rows.schema.names:
            return keys, None
        return keys, rows.column(FREE).take(last).to_pylist()


def _trials_at(rows: pa.Table) -> np.ndarray[Any, Any]:
    """Where each trial's samples begin, and where the last ones end."""
    import numpy as np

    if not len(rows):
        return np.zeros(1, np.int64)
    cells = rows.column("cell").combine_chunks().dictionary_encode().indices.to_numpy()
    replicates = rows.column("replicate").to_numpy()
    changes = (np.diff(cells) != 0) | (np.diff(replicates) != 0)
    return np.concatenate([[0], np.flatnonzero(changes) + 1, [len(rows)]])


def _by_row(
    coded: pa.DictionaryArray, levels: Collection[Mapping[str, Any]], name: str, kind: str, of: Any
) -> pa.ChunkedArray:
    import pyarrow as pa

    by_cell = pa.array([level_as(kind, held.get(name)) for held in levels], of)
    return pa.chunked_array([by_cell.take(coded.indices)])


def _kind_of(column: pa.DataType) -> str:
    import pyarrow as pa

    if pa.types.is_boolean(column):
        return "bool"
    if pa.types.is_string(column):
        return "text"
    return "float" if pa.types.is_floating(column) else "int"
