"""What the tables of a study must hold: columns, cells, seed, levels, samples.

A part that is sound need not be of this study: it may come from a run with another seed, or with
more replicates. Rows that are read are held against the manifest; those that a run goes on from,
against the study in full.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from study.fanout.trial import ERROR_LETTERS
from study.results.columns import (
    AFTER_AXES,
    BEFORE_AXES,
    FREE_BLOCKS,
    REPLICATES_MOST,
    axis_columns,
    level_as,
    series_schema,
    trials_schema,
)

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from study.results.model import Manifest
    from study.results.part import Part
    from study.scenario import Study

TRIALS_MOST = 10_000_000
"""As the reader of scenarios has it, which takes half a second to load."""

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


def nuisance_of(manifest: Manifest) -> list[str]:
    """Axes of a study whose combinations of levels have a load each."""
    raw = manifest.get("scenario", {}).get("nuisance") or []
    return [axis for axis in raw if isinstance(axis, str)] if isinstance(raw, list) else []


def replicates_most(manifest: Manifest) -> int:
    """Replicates that a cell may have at most, be it by a stopping rule."""
    replicates = manifest["scenario"].get("replicates")
    most = replicates.get("max", TRIALS_MOST) if isinstance(replicates, Mapping) else replicates
    return max(manifest["replicates"], most if type(most) is int else 0)


@dataclass(frozen=True)
class Expected:
    """What holds for every row of a study.

    seed   of the study
    seeds  cell -> seed of its trials
    cells  id -> levels
    axes   column -> 'int', 'float', 'bool' or 'text'
    """

    seed: int
    cells: Mapping[str, Mapping[str, Any]]
    axes: Mapping[str, str]
    seeds: Mapping[str, int]

    @classmethod
    def of(cls, manifest: Manifest) -> Expected:
        """From a manifest. Raises ResultsError when an axis has the name of another column."""
        from study.scenario.trial import seed_of  # what only reads figures needs no pydantic

        cells = manifest["cells"]
        nuisance = nuisance_of(manifest)
        seeds = {
            cell: seed_of(manifest["seed"], nuisance, levels) for cell, levels in cells.items()
        }
        return cls(manifest["seed"], cells, axis_columns(manifest["axes"], cells), seeds)

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

        kinds = {field.name: field.type for field in series_schema()}
        names = schema.names
        if len(set(names)) < len(names) or tuple(names[:2]) != KEYS:
            raise NotOfTheStudy(_OTHER_COLUMNS)
        for field in schema:
            # Another version may have written other columns, never other kinds of the same.
            is_number = pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
            if field.type != kinds.get(field.name) and (field.name in kinds or not is_number):
                raise NotOfTheStudy(f"its column {field.name} holds {field.type}")
        orders = {name for name in kinds if name.startswith(FREE_BLOCKS)}
        if len(names) > len(KEYS) and not (
            set(SAMPLED) <= set(names) and orders.intersection(names) in (set(), orders)
        ):
            raise NotOfTheStudy(_OTHER_COLUMNS)

    def check_samples(self, table: pa.Table) -> None:
        """Hold samples, some or all columns, against the study. Raises NotOfTheStudy."""
        self.check_keys(table)
        if any(column.null_count for column in table.columns):
            raise NotOfTheStudy(_EMPTY_FIELDS)

    def check_keys(self, table: pa.Table) -> None:
        """Hold cells and replicates against the study. Raises NotOfTheStudy."""
        import pyarrow.compute as pc

        if any(table.column(name).null_count for name in KEYS):
            raise NotOfTheStudy(_EMPTY_FIELDS)
        _check_text(table)
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
        seeds = set(pc.unique(table.column("seed")).to_pylist()) - {*self.seeds.values()}
        if seeds:
            raise NotOfTheStudy(f"its seed is {min(seeds)}, that of the study {self.seed}")
        if len({*self.seeds.values()}) > 1:
            pairs = table.select(["cell", "seed"]).group_by(["cell", "seed"]).aggregate([])
            for cell, seed in zip(
                *(pairs.column(n).to_pylist() for n in ("cell", "seed")), strict=True
            ):
                if self.seeds[cell] != seed:
                    raise NotOfTheStudy(
                        f"cell {cell} has the seed {seed}, which is that of another load"
                    )
        status = table.column("status")
        if strange := set(pc.unique(status).to_pylist()) - _STATES:
            raise NotOfTheStudy(f"a trial's status is {min(strange)[:40]!r}")
        longest = pc.max(pc.utf8_length(table.column("error"))).as_py() or 0
        if longest > ERROR_LETTERS:
            raise NotOfTheStudy(f"a trial's error has {longest:,} letters")
        silent = pc.equal(table.column("error"), "")
        if not pc.all(pc.equal(pc.equal(status, pa.scalar("ok")), silent), min_count=0).as_py():
            raise NotOfTheStudy("a trial that did not fail has an error, or one that failed none")

    def check_once(self, table: pa.Table) -> None:
        """Have every trial once. Raises NotOfTheStudy."""
        keys = table.select(list(KEYS))
        if len(keys.group_by(list(KEYS)).aggregate([])) < len(keys):
            raise NotOfTheStudy("a trial is there twice")

    def check_levels(self, table: pa.Table) -> None:
        """Hold the axis columns that are there against the levels of the rows' cells.

        Raises NotOfTheStudy.
        """
        coded, levels = self._coded(table)
        for name in self.axes:
            if name in table.column_names:
                _check_level(table.column(name), coded, levels, name)

    def _coded(self, table: pa.Table) -> tuple[pa.DictionaryArray, list[Mapping[str, Any]]]:
        """The cell of each row as a number, and the levels of the cells by that number."""
        import pyarrow as pa

        coded = table.column("cell").combine_chunks().dictionary_encode()
        if isinstance(coded, pa.ChunkedArray):
            coded = coded.unify_dictionaries().combine_chunks()
        return coded, [self.cells[cell] for cell in coded.dictionary.to_pylist()]

    def restated(self, table: pa.Table) -> pa.Table:
        """The same rows as this study writes them: axis columns of other types, in another order.

        table  the trials table of a part with all or some of its metrics

        Raises NotOfTheStudy if levels are not those of the rows' cells.
        """
        coded, levels = self._coded(table)
        for name, kind in self.axes.items():
            there = table.column(name)
            _check_level(there, coded, levels, name)
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

    def trials_in(self, part: Part) -> Iterator[tuple[list[Key], list[int] | None]]:
        """The trials of a part of the series, some at a time, as they lie.

        Yields their keys, and the free pages in the last sample of each, if that is a column.
        Raises NotOfTheStudy if they are not sampled when those of this study are.
        """
        import pyarrow as pa

        names = [name for name in (*SAMPLED, FREE) if name in part.schema.names]
        left: pa.Table | None = None
        groups = part.file.num_row_groups
        for group in range(groups):
            rows = part.file.read_row_group(group, columns=names)
            rows = rows if left is None else pa.concat_tables([left, rows])
            left = None
            bounds = _trials_at(rows)
            if group + 1 < groups:
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


def check_alike(schema: pa.Schema, others: list[pa.Schema]) -> None:
    """Hold the columns of a part against those of the parts before it, to which it is added.

    A part has fewer if no trial of it has succeeded: neither metrics nor samples.

    Raises NotOfTheStudy.
    """
    schema = schema.remove_metadata()
    if others and not schema.equals(others[0]):
        fewer, more = sorted((schema, others[0]), key=len)
        known = (*KEYS, *AFTER_AXES)
        if fewer.names != more.names[: len(fewer)] or fewer.names[-1] not in known:
            raise NotOfTheStudy("its columns are not those of the parts before it")
        if any(field.type != more.field(field.name).type for field in fewer):
            raise NotOfTheStudy("its columns hold other than those of the parts before it")
        others[0] = more
    elif not others:
        others.append(schema)


def _check_text(table: pa.Table) -> None:
    """Have all text be text. Raises NotOfTheStudy."""
    import pyarrow as pa

    for name in table.column_names:
        column = table.column(name)
        if pa.types.is_string(column.type):
            try:
                column.validate(full=True)
            except pa.ArrowInvalid:
                raise NotOfTheStudy(f"its column {name} holds bytes that are no text") from None


def _check_level(
    there: pa.ChunkedArray,
    coded: pa.DictionaryArray,
    levels: Collection[Mapping[str, Any]],
    name: str,
) -> None:
    import pyarrow as pa

    try:
        held = _by_row(coded, levels, name, _kind_of(there.type), there.type)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        held = None
    if held is None or not there.equals(held):
        raise NotOfTheStudy(f"{name} is not that of its cell")


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
