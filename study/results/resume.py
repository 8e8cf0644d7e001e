"""What earlier runs left in a folder: read back whole, checked, and kept or set aside."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from study.results.bounds import Bounds
from study.results.columns import AFTER_AXES, BEFORE_AXES, series_schema
from study.results.errors import ResultsError, disk_errors
from study.results.expected import (
    FREE_AT_END,
    Expected,
    Key,
    NotOfTheStudy,
    Samples,
    metrics_of,
)
from study.results.files import held_folder, remove
from study.results.folder import DAMAGED, Folder, open_local, prepare_tables
from study.results.manifest import continued, differences, extended, study_of
from study.results.noted import (
    PART,
    forget,
    free_number,
    is_noted,
    name_of,
    numbered,
    open_noted,
    set_aside,
    write_parts,
)
from study.results.part import Part, of_the_part, reading
from study.zone.trial.metrics import METRICS

if TYPE_CHECKING:
    import pyarrow as pa

    from study.results.model import Manifest
    from study.scenario import Study

_DIFFERENCES_SHOWN = 8
_SAMPLES_AT_ONCE = 65_536
_NUMBER_MOST = 10**11
"""Parts are numbered with at most twelve digits."""


@dataclass(frozen=True)
class Kept:
    """What a folder holds already.

    Parameters
    ----------
    done
        Trials (cell id, replicate) that need not be run again.
    failed
        How many of them failed.
    next_part
        Number of the next part to write.
    metrics
        Names of the metrics; None while no trial has succeeded.
    damaged
        Names of parts that could not be read and now lie in DIR/damaged, each with the reason.
    """

    done: frozenset[Key] = frozenset()
    failed: int = 0
    next_part: int = 0
    metrics: tuple[str, ...] | None = None
    damaged: tuple[str, ...] = ()


def reopen(path: Path, manifest: Manifest, *, extend: bool = False) -> Folder:
    """The folder of an earlier run of this very study, to be continued.

    Parameters
    ----------
    path
        Of the folder; the caller is its only writer.
    manifest
        Of the run that is about to start.
    extend
        Take one with fewer replicates or cells as well, which becomes the larger one.

    Returns
    -------
    Folder
        With the manifest of the earlier run, brought up to date; adopt() reads its rows.

    Raises
    ------
    ResultsError
        It holds no results, or those of another study or simulation; the text says what differs.
    """
    folder = open_local(path)
    found = folder.manifest
    if found["fingerprint"] == manifest["fingerprint"]:
        prepare_tables(path)
        return Folder(path, continued(found, manifest))
    if extend:
        merged, obstacles = extended(found, manifest)
        if merged is not None:
            prepare_tables(path)
            wider = Folder(path, merged)
            wider.save_manifest()
            return wider
        raise ResultsError(f"{path} cannot be extended to this study:\n{_listed(obstacles)}")
    lines = _listed(differences(found, manifest))
    if found["simulation"] != manifest["simulation"]:
        raise ResultsError(
            f"{path} holds results of another version of the simulation, which alone can continue "
            f"them; `study run` with another --out starts anew:\n{lines}"
        )
    hint = "give another --out"
    if extended(found, manifest)[0] is not None:
        hint += ", or --extend to add what is new to it"
    raise ResultsError(f"{path} holds results of another study; {hint}:\n{lines}")


def adopt(folder: Folder, study: Study | None = None, *, most: int | None = None) -> Kept:
    """Read back every part, keep what is whole and of this study, and set aside what is not.

    A trial counts as done if its row is one that this study can have written and, unless it failed,
    its samples are there, all from one part. Of any other nothing is left in the tables, and it
    will be run again.

    Parameters
    ----------
    folder
        The caller is its only writer.
    study
        What the folder is to hold; None takes it from the manifest.
    most
        Replicates that a cell may have at most; None takes what the study says. Rows beyond lie in
        DIR/damaged afterwards.

    Returns
    -------
    Kept
        What need not be run again.

    Raises
    ------
    ResultsError
        The scenario in the manifest cannot be read, or something cannot be written.
    """
    import pyarrow as pa

    study = study or study_of(folder.manifest["scenario"], str(folder.path))
    # Before anything is taken away: a table may be a link to that of another folder.
    prepare_tables(folder.path)
    with disk_errors(f"cannot continue {folder.path}", pa.ArrowException, MemoryError):
        for table in (folder.trials, folder.series):
            with held_folder(table) as held:
                for leftover in held.glob(".part-*.new"):
                    remove(leftover)
        survey = Survey(folder, study, most)
        return _Consolidation(survey).run()


@dataclass
class Held:
    """A part of which some rows at least are of this study.

    part      the file
    keys      its trials; those of a series without repetition
    wanted    which of them stay
    restate   whether its columns are of other types than the study's now
    too_many  whether it has replicates beyond those of the study
    """

    part: Path
    keys: list[Key]
    wanted: list[bool]
    restate: bool = False
    too_many: bool = False


class Survey:
    """One going through of all parts, which changes nothing.

    done   trials that need not be run again
    twice  trials of which there is another row, or other samples, than those that count
    """

    def __init__(self, folder: Folder, study: Study | None = None, most: int | None = None) -> None:
        """As adopt() has it; raises what it raises."""
        study = study or study_of(folder.manifest["scenario"], str(folder.path))
        if most is None:
            most = study.replicates if study.stopping is None else study.stopping.most
        self.folder = folder
        self.most = most
        self.expected = Expected.of(folder.manifest)
        self.twice: set[Key] = set()
        self.refused: list[tuple[Path, str]] = []
        self.failed: dict[Key, bool] = {}
        self.metrics: tuple[str, ...] | None = None
        self.as_read: dict[Path, str] = {}
        self._samples = Samples.of(study)
        self._free_at_end: dict[Key, float] = {}
        self._bounds = Bounds.of_trials(folder.manifest)
        self._sampling = Bounds.of_series(folder.manifest)
        self.trials = [held for part in self._parts(folder.trials) if (held := self._trials(part))]
        sampled: set[Key] = set()
        self.series = [
            held for part in self._parts(folder.series) if (held := self._series(part, sampled))
        ]
        self.done = frozenset(
            key for key, failed in self.failed.items() if failed or key in sampled
        )
        for held in self.trials:
            held.wanted = [
                keep and key in self.done for key, keep in zip(held.keys, held.wanted, strict=True)
            ]

    def _parts(self, table: Path) -> list[Path]:
        return sorted(table.glob("part-*.parquet"))

    def opened(self, path: Path) -> Part:
        """A part, open; it has to have the same bytes as when it was opened before."""
        part = open_noted(self.folder, path)
        if part.digest is None or self.as_read.setdefault(path, part.digest) != part.digest:
            raise ResultsError(f"{path} was changed while it was read")
        return part

    def _trials(self, part: Path) -> Held | None:
        """A part of the trials table, unless it is to be set aside."""
        try:
            return self._read_trials(part)
        except Exception as error:  # noqa: BLE001 - pyarrow raises what it likes
            self.refused.append((part, of_the_part(error)))
        return None

    def _read_trials(self, part: Path) -> Held:
        expected = self.expected
        file = self.opened(part)
        expected.check_trials(file.schema, axes_as_well=False)
        self._bounds.check(file)
        metrics = metrics_of(file.schema.names)
        ours = [*BEFORE_AXES, *expected.axes, *AFTER_AXES]
        table = file.read([*ours, *({FREE_AT_END} & {*metrics})])
        # Bytes that were noted may yet be of no use: that is seen here, and not as it is sorted.
        for _ in file.file.iter_batches(batch_size=_SAMPLES_AT_ONCE):
            pass
        expected.check_rows(table)
        expected.check_once(table)
        restated = expected.restated(table)
        failed = [status == "failed" for status in table.column("status").to_pylist()]
        if (metrics or not all(failed)) and set(metrics) != set(METRICS):
            raise NotOfTheStudy("its metrics are not those of the simulation")
        if not all(failed):
            self.metrics = self.metrics or metrics
        held = Held(part, _keys(table), [])
        held.restate = (restated.schema.names, restated.schema.types) != (
            table.schema.names,
            table.schema.types,
        )
        for key, fails in zip(held.keys, failed, strict=True):
            within = key[1] < self.most
            held.too_many |= not within
            held.wanted.append(within and key not in self.failed)
            if held.wanted[-1]:
                self.failed[key] = fails
            elif within:
                self.twice.add(key)
        if FREE_AT_END in metrics and not self.folder.manifest.get("noted_first"):
            ends = table.column(FREE_AT_END).to_pylist()
            self._free_at_end |= {
                key: end
                for key, end, keep in zip(held.keys, ends, held.wanted, strict=True)
                if keep and end is not None
            }
        return held

    def _series(self, part: Path, sampled: set[Key]) -> Held | None:
        """A part of the series, unless it is to be set aside; adds the trials it has samples of."""
        try:
            keys = self._read_series(part)
        except Exception as error:  # noqa: BLE001 - pyarrow raises what it likes
            self.refused.append((part, of_the_part(error)))
            return None
        wanted = [self.failed.get(key) is False and key not in sampled for key in keys]
        self.twice.update(sampled.intersection(keys))
        sampled.update(key for key, keep in zip(keys, wanted, strict=True) if keep)
        return Held(part, keys, wanted)

    def _read_series(self, part: Path) -> list[Key]:
        import pyarrow as pa

        file = self.opened(part)
        self.expected.check_series(file.schema)
        if not file.file.metadata.num_rows:
            return []
        # What goes on is of the version that began: the fingerprint says so.
        if not file.schema.remove_metadata().equals(series_schema()):
            raise NotOfTheStudy("it has other columns than the series of this study")
        self._sampling.check(file)
        for batch in file.file.iter_batches(batch_size=_SAMPLES_AT_ONCE):
            self.expected.check_samples(pa.Table.from_batches([batch]))
        unknown = not is_noted(self.folder, part)
        keys: list[Key] = []
        for some, free in self._samples.trials_in(file):
            keys += some
            # Without a digest, samples show whose they are by the row of their trial.
            if unknown and any(
                self._free_at_end.get(key, end) != end
                for key, end in zip(some, free or (), strict=False)
            ):
                raise NotOfTheStudy("its samples are of another run than the rows")
        if len(set(keys)) < len(keys):
            raise NotOfTheStudy("samples of a trial are there twice")
        return keys


class _Consolidation:
    """Keeps the whole parts that a survey found, and sets aside the others."""

    def __init__(self, survey: Survey) -> None:
        self._survey, self._folder = survey, survey.folder
        self._damaged: list[str] = []
        self._kept: dict[str, str] = {}
        numbers = [int(match[1]) for name in self._numbered() if (match := PART.search(name))]
        # A number that no run reaches was put there by hand, and would leave none after it.
        self._next = 1 + max((number for number in numbers if number < _NUMBER_MOST), default=-1)

    def run(self) -> Kept:
        survey = self._survey
        for part, why in survey.refused:
            self._set_aside(part, why)
        for held in (*survey.trials, *survey.series):
            self._settle(held)
        self._note_what_is_there()
        return Kept(
            done=survey.done,
            failed=sum(survey.failed[key] for key in survey.done),
            next_part=self._next,
            metrics=survey.metrics,
            damaged=tuple(self._damaged),
        )

    def _numbered(self) -> list[str]:
        """Names of all files that may be called after a part."""
        folder = self._folder
        tables = (folder.trials, folder.series, folder.path / DAMAGED)
        return [path.name for table in tables for path in table.glob("*part-*.parquet")]

    def _set_aside(self, part: Path, why: str) -> None:
        set_aside(self._folder, part)
        self._damaged.append(f"{name_of(part)} ({why})")

    def _settle(self, held: Held) -> None:
        """Leave of a part what is wanted of it, in the types of the study now.

        What takes its place is another part: a run that dies here leaves both, and no doubt which
        bytes each must have.
        """
        part = held.part
        if held.keys and all(held.wanted) and not held.restate:
            self._kept[name_of(part)] = self._survey.as_read[part]
            return
        with reading(part):
            table = self._survey.opened(part).read()
            if part.parent == self._folder.trials:
                kept = self._survey.expected.restated(_those(held.wanted, table))
            else:
                stay = {key for key, keep in zip(held.keys, held.wanted, strict=True) if keep}
                kept = _those([key in stay for key in _keys(table)], table)
        if len(kept):
            self._next = free_number(self._folder, self._next)
            place = part.with_name(numbered(self._next))
            write_parts(self._folder, {place: kept})
            self._kept[name_of(place)] = self._folder.digest_of(place) or ""
            self._next += 1
        if held.too_many:
            self._set_aside(part, f"replicates beyond the {self._survey.most} of the study")
        else:
            with held_folder(part.parent) as table_held:
                (table_held / part.name).unlink()
            forget(self._folder, part)

    def _note_what_is_there(self) -> None:
        """Have the digests of the parts that were read, as they were then, and of no others."""
        folder = self._folder
        folder.manifest["parts"] = self._kept
        folder.manifest["noted_first"] = True
        folder.checked.clear()
        folder.save_manifest()


def _those(wanted: list[bool], table: pa.Table) -> pa.Table:
    """The rows that are wanted; of a part without rows none."""
    return table.filter(wanted) if wanted else table.slice(0, 0)


def _keys(table: pa.Table) -> list[Key]:
    cells = table.column("cell").to_pylist()
    return list(zip(cells, table.column("replicate").to_pylist(), strict=True))


def _listed(lines: list[str]) -> str:
    more = len(lines) - _DIFFERENCES_SHOWN
    shown = [f"  {line}" for line in lines[:_DIFFERENCES_SHOWN]]
    return "\n".join([*shown, f"  and {more} more"] if more > 0 else shown)
