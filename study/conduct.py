"""A study from beginning to end: make the folder, fan out, store, summarise."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from study.fanout import Row
    from study.results import Folder, Store
    from study.scenario import Study, Trial
    from study.statistics import Findings


class Watcher(Protocol):
    """Somebody who is told how the study gets on."""

    def phase(self, text: str) -> None:
        """Say what is being prepared or finished, in a few words."""

    def start(self, trials: int, *, cells: int, replicates: int, path: Path) -> None:
        """Trials begin."""

    def advance(self, finished: int, failed: int) -> None:
        """So many trials more have finished, of them so many failed."""

    def close(self) -> None:
        """No more trials will finish."""


class _Silent:
    def phase(self, text: str) -> None:
        pass

    def start(self, trials: int, *, cells: int, replicates: int, path: Path) -> None:
        pass

    def advance(self, finished: int, failed: int) -> None:
        pass

    def close(self) -> None:
        pass


SILENT: Watcher = _Silent()


def conduct(
    study: Study,
    *,
    out: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    address: str | None = None,
    ray: bool = True,
    batch: int | None = None,
    force: bool = False,
    watcher: Watcher = SILENT,
    command: Sequence[str] = (),
) -> Findings:
    """Run all trials of a study into a results folder and summarise them.

    batch  trials per Ray task instead of a measured number

    The other arguments are those of study.run(). The state in the manifest tells how it ended:
    'complete', 'failed' (some trials did) or 'interrupted' (SIGINT or SIGTERM came; finished
    trials are kept). Raises ResultsError or FanoutError when the run cannot start or go on.
    """
    from study.results import Store
    from study.statistics import write_findings

    started = monotonic()
    folder = _new_folder(study, out, command, force=force)
    store = Store(folder)
    with _signals() as signals, ExitStack() as at_end:
        at_end.callback(watcher.close)
        try:
            for rows in _rows(
                study,
                store,
                workers=workers,
                address=address,
                ray=ray,
                batch=batch,
                watcher=watcher,
                signals=signals,
            ):
                store.add(rows)
                watcher.advance(len(rows), sum(row.status == "failed" for row in rows))
        except KeyboardInterrupt:
            signals.stopped = True
        except BaseException:
            _give_up(store, started)
            raise
        watcher.close()
        watcher.phase("sorting and summarising")
        counts = folder.manifest["counts"]
        if counts["finished"] < counts["trials"] and signals.stopped:
            state = "interrupted"
        else:
            state = "failed" if counts["failed"] else "complete"
        store.close(state, elapsed_s=monotonic() - started, headline=_headline())
        return write_findings(folder)


def _new_folder(
    study: Study, out: str | os.PathLike[str] | None, command: Sequence[str], *, force: bool
) -> Folder:
    from study.results import create_folder, default_path
    from study.results.manifest import new_manifest
    from study.zone.compile import digest

    path = default_path(study.name) if out is None else Path(out)
    manifest = new_manifest(study, simulation=digest(), command=command)
    return create_folder(path, manifest, force=force)


def _rows(
    study: Study,
    store: Store,
    *,
    workers: int | None,
    address: str | None,
    ray: bool,
    batch: int | None,
    watcher: Watcher,
    signals: _Signals,
) -> Iterator[list[Row]]:
    """Batches of finished rows, from wherever the trials run."""
    from study.fanout import in_process, on_ray, open_session, prepare_simulation

    rounds = _rounds(study, store, watcher, stop=lambda: signals.stopped)

    if address is None:
        watcher.phase("preparing the simulation (compiled once per machine and version)")
        prepare_simulation()
    # From here on a signal must not break off what is under way: processes are being started.
    signals.gently = True
    if not ray:
        for trials, _ in rounds:
            yield from in_process(trials, stop=lambda: signals.stopped)
        return
    watcher.phase("starting Ray" if address is None else f"joining Ray at {address}")
    with open_session(address=address, workers=workers) as session:
        for trials, total in rounds:
            yield from on_ray(
                trials,
                session=session,
                total=total,
                batch=batch,
                stop=lambda: signals.stopped,
            )
            watcher.close()


def _rounds(
    study: Study, store: Store, watcher: Watcher, *, stop: Callable[[], bool]
) -> Iterator[tuple[Iterable[Trial], int]]:
    """Trials to run, and how many: the study's own, then what its stopping rule asks for.

    The rule looks at the rows on disk, so that a look is the same whoever takes it.
    """
    cells, path = {cell.id: cell for cell in study.cells}, store.folder.path
    total = len(study)
    watcher.start(total, cells=len(cells), replicates=study.replicates, path=path)
    yield study.trials(), total
    while study.stopping is not None and not stop():
        from study.results import read_trials
        from study.scenario import Trial
        from study.statistics import replicates_wanted

        watcher.phase("looking whether that is enough")
        store.flush()
        rows = read_trials(store.folder)
        if rows.empty:
            # No trial has succeeded: more of them would not either.
            return
        wanted = replicates_wanted(
            study.stopping, rows, store.folder.manifest["cells"], study.claims
        )
        if not wanted:
            return
        have = rows["cell"].value_counts().to_dict()
        more = [
            Trial(cells[cell], replicate, study.seed)
            for replicate in range(max(wanted.values()))
            for cell in wanted
            if have[cell] <= replicate < wanted[cell]
        ]
        store.folder.manifest["counts"]["trials"] += len(more)
        most = max(wanted.values())
        watcher.start(len(more), cells=len(wanted), replicates=most, path=path)
        yield more, len(more)


def _headline() -> tuple[tuple[str, str], ...]:
    from study.zone.simulate import HEADLINE

    return tuple(HEADLINE)


def _give_up(store: Store, started: float) -> None:
    """Keep what there is when the run breaks; the fault that broke it matters more than ours."""
    from study.results import ResultsError
    from study.results.folder import remove_folder

    try:
        if store.folder.manifest["counts"]["finished"]:
            store.close("failed", elapsed_s=monotonic() - started)
        else:
            remove_folder(store.folder)
    except (ResultsError, OSError):
        return


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
