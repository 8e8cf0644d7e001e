"""A study from beginning to end: make the folder, fan out, store, summarise."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from study.fanout import FanoutError, Limits, Row, Session
    from study.results import Folder, Kept, ResultsError, Store
    from study.results.mirror import Mirror
    from study.results.read import More
    from study.scenario import Study, Trial
    from study.statistics import Findings


class Watcher:
    """Somebody who is told how the study gets on. This one keeps it to itself."""

    def phase(self, text: str) -> None:
        """Say what is being prepared or finished, in a few words."""

    def note(self, text: str) -> None:
        """Say something that is to stay on the screen."""

    def start(self, trials: int, *, cells: int, replicates: int, place: str, done: int) -> None:
        """Trials begin; `done` of them were run earlier."""

    def cluster(self, session: Session) -> None:
        """Trials run there: for the number of nodes and cores at work."""

    def total(self, trials: int) -> None:
        """There are more trials than were thought."""

    def advance(self, finished: int, failed: int) -> None:
        """So many trials more have finished, of them so many failed."""

    def close(self) -> None:
        """No more trials will finish."""


SILENT = Watcher()


def conduct(
    study: Study,
    *,
    out: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    address: str | None = None,
    ray: bool = True,
    batch: int | None = None,
    force: bool = False,
    extend: bool = False,
    limits: Limits | None = None,
    more: More | None = None,
    mirror: Mirror | None = None,
    watcher: Watcher = SILENT,
    command: Sequence[str] = (),
) -> Findings:
    """Run all trials of a study into a results folder and summarise them.

    A folder that holds part of this very study is continued: what it has is not run again.

    batch   trials per Ray task instead of a measured number
    limits  what a single trial may take
    more    asked between rounds for further replicates; None asks the scenario's stopping rule,
            if it has one
    mirror  carries the folder `out` elsewhere as it grows

    The other arguments are those of study.run(). The state in the manifest tells how it ended:
    'complete', 'failed' (some trials did) or 'interrupted' (SIGINT or SIGTERM came, or it could
    not go on; finished trials are kept). Raises ResultsError or FanoutError when the run cannot
    start or go on, and ValueError for arguments that contradict each other.
    """
    from study.fanout import FanoutError
    from study.results import ResultsError, Store, adopt
    from study.results.expected import REPLICATES_MOST
    from study.statistics import write_findings

    _check_arguments(workers=workers, address=address, ray=ray, force=force, extend=extend)
    started = monotonic()
    with _signals() as signals, ExitStack() as at_end:
        folder, is_new = at_end.enter_context(
            writing(study, out, command, force=force, extend=extend)
        )
        folder.mirror = folder.mirror or mirror
        at_end.callback(watcher.close)
        # Who asks for more may have asked for any number before.
        kept = adopt(folder, study, most=None if more is None else REPLICATES_MOST)
        for part in kept.damaged:
            watcher.note(f"set aside {folder.place}/{part}; its trials are run again")
        if kept.done:
            watcher.note(f"{len(kept.done)} trials are there already")
        elapsed_before = 0.0 if is_new else float(folder.manifest.get("elapsed_s") or 0.0)
        store = Store(folder, kept)
        more = more or _stopping_rule(study)
        run = _Run(study, store, kept, watcher=watcher, signals=signals, more=more)
        try:
            folder.manifest["state"] = "running"
            folder.save_manifest()
            folder.publish()
            run.rounds(workers=workers, address=address, ray=ray, batch=batch, limits=limits)
        except KeyboardInterrupt:
            signals.stopped = True
        except BaseException as fault:
            watcher.close()
            told = _give_up(store, started - elapsed_before, is_new=is_new)
            if told and isinstance(fault, ResultsError | FanoutError):
                raise _with_way_on(fault, told, folder) from fault
            raise
        watcher.close()
        watcher.phase("sorting and summarising")
        counts = folder.manifest["counts"]
        if counts["finished"] < counts["trials"] and signals.stopped:
            state = "interrupted"
        else:
            state = "failed" if counts["failed"] else "complete"
        elapsed = elapsed_before + monotonic() - started
        try:
            store.close(state, elapsed_s=elapsed, headline=_headline())
            findings = write_findings(folder)
        except ResultsError as fault:
            raise _with_way_on(fault, _KEPT, folder) from fault
        _publish_or_keep(folder)
        return findings


def resume(
    path: str | os.PathLike[str],
    *,
    workers: int | None = None,
    address: str | None = None,
    ray: bool = True,
    limits: Limits | None = None,
    extensions: Sequence[str] = (),
    watcher: Watcher = SILENT,
    command: Sequence[str] = (),
) -> Findings:
    """Continue the run of a results folder, from what its manifest says alone.

    extensions  that it may import: each `module:name`, or a module; its manifest allows none

    Raises ResultsError when the folder was made by another version of the simulation, or is none.
    """
    from study.results import open_folder, study_of

    study = study_of(open_folder(path).manifest, str(path), extensions=extensions)
    return conduct(
        study,
        out=path,
        workers=workers,
        address=address,
        ray=ray,
        limits=limits,
        watcher=watcher,
        command=command,
    )


@contextmanager
def writing(
    study: Study,
    out: str | os.PathLike[str] | None,
    command: Sequence[str],
    *,
    force: bool = False,
    extend: bool = False,
) -> Iterator[tuple[Folder, bool]]:
    """The folder to write a study into, kept from other runs, and whether it is a new one.

    Raises ResultsError when it holds something else, is being written, or cannot be written.
    """
    from study.results import MANIFEST, create_folder, default_path, only_writer, reopen
    from study.results.errors import disk_errors
    from study.results.folder import check_room, remove_if_empty
    from study.results.manifest import new_manifest
    from study.results.storage import is_url, mirror_of, naming
    from study.zone.engine.compile import digest

    # Rows depend on the code of extensions as they do on the simulation's.
    version = "+".join([digest(), *study.extensions()])
    manifest = new_manifest(study, simulation=version, command=command)

    def here(path: Path) -> tuple[Folder, bool]:
        if (path / MANIFEST).is_file() and not force:
            return reopen(path, manifest, extend=extend), False
        return create_folder(path, manifest, force=force), True

    cannot = f"cannot write the results folder {'below results/' if out is None else out}"
    with ExitStack() as held:
        if out is not None and is_url(out):
            mirror = mirror_of(os.fspath(out))
            with naming(mirror):
                folder, is_new = here(mirror.local)
            folder.mirror = mirror
            held.enter_context(folder.only_writer())
        else:
            with disk_errors(cannot):
                path = default_path(study.name) if out is None else Path(out)
                check_room(path)
                if not path.exists():
                    path.mkdir(parents=True, exist_ok=True)
                    # Unless it becomes a results folder; the lock in it is gone by then.
                    held.callback(remove_if_empty, path)
            # What is there may change until it is ours.
            held.enter_context(only_writer(path))
            with disk_errors(cannot):
                folder, is_new = here(path)
        yield folder, is_new


def _check_arguments(
    *, workers: int | None, address: str | None, ray: bool, force: bool, extend: bool
) -> None:
    if workers is not None and workers < 1:
        raise ValueError(f"workers is {workers}; it must be at least 1")
    if not ray and (workers is not None or address is not None):
        raise ValueError("ray=False runs the trials in this process: no workers, no address")
    if force and extend:
        raise ValueError("force starts over and extend goes on: give one of them")


class _Run:
    """The rounds of one run: what is missing is run, then somebody may ask for more."""

    def __init__(
        self,
        study: Study,
        store: Store,
        kept: Kept,
        *,
        watcher: Watcher,
        signals: _Signals,
        more: More | None,
    ) -> None:
        from study.results import Finished

        self._study = study
        self._store = store
        self._done = Finished(kept.done)
        self._wanted = {cell.id: study.replicates for cell in study.cells}
        self._watcher = watcher
        self._signals = signals
        self._more = more

    def rounds(
        self,
        *,
        workers: int | None,
        address: str | None,
        ray: bool,
        batch: int | None,
        limits: Limits | None,
    ) -> None:
        """Run what is missing, round after round, all on the same Ray."""
        from study.fanout import Limits, in_process, on_ray, open_session, prepare_simulation

        limits = limits or Limits()
        if not self._missing() and not self._ask():
            return
        if address is None:
            self._watcher.phase("preparing the simulation (compiled once per machine and version)")
            prepare_simulation()
            from study.zone.engine.cache import refused_places

            for line in refused_places():
                self._watcher.note(line)
        # From here on a signal must not break off what is under way: processes are being started.
        self._signals.gently = True

        def stop() -> bool:
            return self._signals.stopped

        if not ray:
            self._each_round(
                lambda trials, _: in_process(
                    trials, stop=stop, limits=limits, extensions=self._study.allowed
                )
            )
            return
        here = "the Ray of this machine" if address == "auto" else f"Ray at {address}"
        self._watcher.phase("starting Ray" if address is None else f"joining {here}")
        with open_session(address=address, workers=workers) as session:
            self._watcher.cluster(session)
            try:
                self._each_round(
                    lambda trials, total: on_ray(
                        trials,
                        session=session,
                        total=total,
                        batch=batch,
                        stop=stop,
                        limits=limits,
                        extensions=self._study.allowed,
                        note=self._watcher.note,
                    )
                )
            finally:
                self._watcher.close()  # it asks Ray for its nodes, which later is gone

    def _each_round(self, run: Callable[[Iterator[Trial], int], Iterator[list[Row]]]) -> None:
        from study.results import ResultsError

        trials = sum(self._wanted.values())
        self._watcher.start(
            trials,
            cells=len(self._study.cells),
            replicates=self._study.replicates,
            place=self._store.folder.place,
            done=self._done.count(self._wanted),
        )
        while True:
            try:
                for rows in run(self._trials(), self._missing()):
                    self._take(rows)
            except BaseException:
                # Whatever it is may end this process before long: first of all the rows.
                with suppress(ResultsError):
                    self._store.flush()
                raise
            if self._signals.stopped:
                # Nor may whoever stops a run wait for long.
                self._store.flush()
                return
            if not self._ask():
                return
            self._watcher.total(sum(self._wanted.values()))

    def _take(self, rows: list[Row]) -> None:
        """Store rows, of which there may be none, and tell the watcher."""
        trouble = self._store.trouble
        self._store.add(rows)
        for row in rows:
            self._done.add(row.cell, row.replicate)
        self._watcher.advance(len(rows), sum(row.status == "failed" for row in rows))
        if self._store.trouble != trouble:
            now = self._store.trouble
            self._watcher.note(f"{now}; tried again in a moment" if now else "that is over")

    def _missing(self) -> int:
        """How many trials are still to be run."""
        return sum(self._wanted.values()) - self._done.count(self._wanted)

    def _trials(self) -> Iterator[Trial]:
        """Trials still to be run, replicate by replicate."""
        return (
            trial
            for trial in self._study.trials(self._wanted)
            if (trial.cell.id, trial.replicate) not in self._done
        )

    def _ask(self) -> bool:
        """Whether more replicates are wanted, given what there is; notes how many."""
        if self._more is None:
            return False
        from study.results import read_trials

        self._store.flush(last=True)
        wider = self._more(read_trials(self._store.folder))
        self._wanted = {cell: max(n, wider.get(cell, n)) for cell, n in self._wanted.items()}
        self._store.folder.manifest["counts"]["trials"] = sum(self._wanted.values())
        return self._missing() > 0


def _stopping_rule(study: Study) -> More | None:
    """What a study's stopping rule makes of the rows so far; None if it has none."""
    stopping = study.stopping
    if stopping is None:
        return None
    from study.statistics import replicates_wanted

    cells = {cell.id: cell.levels for cell in study.cells}
    return lambda rows: replicates_wanted(stopping, rows, cells, study.claims)


def _headline() -> tuple[tuple[str, str], ...]:
    from study.zone.trial.metrics import HEADLINE

    return tuple(HEADLINE)


def _publish_or_keep(folder: Folder) -> None:
    """Carry the end of a run to where it belongs, or say where it can be found."""
    from study.results import ResultsError

    try:
        folder.publish()
    except ResultsError as fault:
        if folder.mirror is not None:
            folder.mirror.keep()
        raise ResultsError(f"{fault}\nthe results are kept in {folder.path}") from fault


_KEPT = "what was written before is kept"


def _with_way_on(
    fault: ResultsError | FanoutError, kept: str, folder: Folder
) -> ResultsError | FanoutError:
    """The same fault, with what is kept and how to go on."""
    from study.results.errors import shell_word

    hint = f"Resume with: study resume {shell_word(folder.place)}"
    return type(fault)(f"{fault}\n{kept}\n{hint}")


def _give_up(store: Store, started: float, *, is_new: bool) -> str:
    """Keep what there is when the run breaks, and say what that is; nothing if there is nothing.

    The fault that broke it matters more than one of ours.
    """
    from study.results import ResultsError
    from study.results.folder import remove_folder

    counts = store.folder.manifest["counts"]
    try:
        if is_new and not counts["finished"]:
            remove_folder(store.folder)
            store.folder.publish()
            return ""
        store.close("interrupted", elapsed_s=monotonic() - started, headline=_headline())
        _publish_or_keep(store.folder)
    except (ResultsError, OSError):
        return _KEPT
    return f"{counts['finished']} of {counts['trials']} trials are kept"


@dataclass
class _Signals:
    """Whether SIGINT or SIGTERM came. While gently is False the first one interrupts at once."""

    stopped: bool = False
    gently: bool = False


@contextmanager
def _signals() -> Iterator[_Signals]:
    signals = _Signals()

    def handle(_number: int, _frame: FrameType | None) -> None:
        again = signals.stopped
        signals.stopped = True
        if again or not signals.gently:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
