"""The rounds of one run: what is missing is run, then more replicates may be wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from study.runs.options import Options
from study.runs.signals import Signals
from study.runs.watcher import Watcher

if TYPE_CHECKING:
    from study.fanout import Row
    from study.results import Kept, Store
    from study.results.read import More
    from study.scenario import Study, Trial


class Rounds:
    """The rounds of one run: what is missing is run, then somebody may ask for more.

    whole  nothing is missing, and nobody wanted more when last asked
    """

    def __init__(
        self,
        study: Study,
        store: Store,
        kept: Kept,
        *,
        watcher: Watcher,
        signals: Signals,
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
        self.whole = False

    def run(self, options: Options) -> None:
        """Run what is missing, round after round, all on the same Ray."""
        from study.fanout import Limits, in_process, on_ray, open_session, prepare_simulation

        limits = options.limits or Limits()
        address = options.address
        if not self._missing():
            # The rule imports libraries that cannot be imported once this was broken off.
            self._signals.gently = True
            more = self._ask()
            self._signals.gently = False
            self.whole = not more
            if self.whole or self._signals.stopped:
                return
        if address is None:
            self._watcher.phase("preparing the simulation (compiled once per machine and version)")
            prepare_simulation(self._watcher.step)
            from study.zone.engine.cache import refused_places

            for line in refused_places():
                self._watcher.note(line)
        # From here on a signal must not break off what is under way: processes are being started.
        self._signals.gently = True

        def stop() -> bool:
            return self._signals.stopped

        if not options.ray:
            self._each_round(
                lambda trials, _: in_process(
                    trials, stop=stop, limits=limits, extensions=self._study.allowed
                )
            )
            return
        here = "the Ray of this machine" if address == "auto" else f"Ray at {address}"
        self._watcher.phase("starting Ray" if address is None else f"joining {here}")
        with open_session(address=address, workers=options.workers) as session:
            self._watcher.cluster(session)
            try:
                self._each_round(
                    lambda trials, total: on_ray(
                        trials,
                        session=session,
                        total=total,
                        batch=options.batch,
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
                self.whole = self._more is None and not self._missing()
                return
            if not self._ask():
                self.whole = True
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
        before = self._wanted
        self._wanted = {cell: max(n, wider.get(cell, n)) for cell, n in before.items()}
        self._tell_added(before, getattr(wider, "why", ""))
        self._store.folder.manifest["counts"]["trials"] = sum(self._wanted.values())
        return self._missing() > 0

    def _tell_added(self, before: dict[str, int], why: str) -> None:
        """Say what was added, or not, and why; nothing if nothing is open."""
        longer = [cell for cell, n in self._wanted.items() if n > before[cell]]
        if not why:
            return
        if not longer:
            self._watcher.note(f"until: {why}")
            return
        most = max(self._wanted[cell] for cell in longer)
        self._watcher.note(
            f"until: {why}: {len(longer):,} of {len(before):,} cells go on to {most:,} replicates"
        )
