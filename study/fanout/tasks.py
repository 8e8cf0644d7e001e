"""Trials as Ray tasks: many per task, few pending, whatever finishes first comes back first."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any

from study.fanout.pace import Pace
from study.fanout.prepare import prepare_simulation
from study.fanout.session import FanoutError, Session, first_line
from study.fanout.trial import NO_LIMITS, Limits, Row, Stop, failed_row, run_trial

if TYPE_CHECKING:
    from study.scenario import Trial

_TASKS_PER_CORE = 3
"""One at work and two waiting, so that no core idles while the driver writes."""

_FEWEST_PENDING = 8
"""On a cluster, so that one that scales up from no nodes at all sees demand."""

_PROCESSES, _PROCESSES_LIMITED = 3, 2
"""Processes that may die under a trial before that is held to be its doing; with a time limit
fewer, since one that outstays it takes as long again each time."""

_NODES = 10
"""Nodes that may be lost under a trial. Spot machines go without any fault of a trial, but one
that takes its machine along has to end some day."""

_OVERRUN = 2.0
"""A task that has worked this many times the aim hands back what it has, and the rest is dealt
out anew: a guess from fast trials must not lock up slow ones."""

_GRACE, _GRACE_S = 2.0, 5.0
"""A trial that outstays its time limit so far has its process ended."""

_WAIT_S = 0.25

_CORES_EVERY_S = 3.0
"""Between two questions to Ray's head: that it is lost is said within ten seconds."""

_PATIENCE_S = 30.0
"""How long Ray's head may be silent. After 60 s Ray ends a process that has lost it, unasked."""


def on_ray(
    trials: Iterable[Trial],
    *,
    session: Session,
    total: int | None = None,
    batch: int | None = None,
    stop: Stop = lambda: False,
    limits: Limits = NO_LIMITS,
    extensions: Iterable[str] = (),
    note: Callable[[str], None] = lambda _: None,
) -> Iterator[list[Row]]:
    """Run trials on Ray; yield the rows of each task as it finishes, in no particular order.

    Where nothing finishes for a moment no rows are yielded, so that whoever takes them can see to
    what is due.

    total  number of trials, if known: lets the last tasks be small
    batch  trials per task, instead of a size measured as the study goes
    stop   asked several times a second; once true nothing more is started, what has finished
           by then is yielded, and the rest is given up
    limits what a single trial may take
    extensions  that trials may import, on whichever node
    note   takes a line for people: Ray's head does not answer, and until when it is asked

    A task that is lost with its process or its node is dealt out anew. A trial that kills its
    process is found out, recorded as failed, and its companions in the task are run again. Raises
    FanoutError when a node runs another version of the simulation, or Ray itself is lost.
    """
    dealer = _Dealer(
        trials,
        session=session,
        total=total,
        batch=batch,
        limits=limits,
        extensions=tuple(extensions),
        note=note,
    )
    try:
        while not stop():
            dealer.deal()
            if dealer.is_done():
                return
            yield from dealer.collect(wait_s=_WAIT_S)
            yield []
        yield from dealer.collect(wait_s=0)
    finally:
        dealer.give_up()


class _Dealer:
    """Deals trials out to tasks and takes their rows in."""

    def __init__(
        self,
        trials: Iterable[Trial],
        *,
        session: Session,
        total: int | None,
        batch: int | None,
        limits: Limits,
        extensions: tuple[str, ...],
        note: Callable[[str], None],
    ) -> None:
        import ray

        from study.zone.engine.compile import digest

        self._session = session
        self._note = note
        # Ray repeats nothing: it asks neither whose fault it was nor for how long this may go on.
        self._task = ray.remote(num_cpus=1, max_retries=0)(_run_batch)
        self._processes = _PROCESSES if limits.time_s is None else _PROCESSES_LIMITED
        self._losses: Counter[tuple[str, str, int]] = Counter()
        self._limits = limits
        self._extensions = extensions
        self._simulation = digest()
        self._pace = Pace(fixed=batch)
        self._fixed = batch is not None
        self._waiting = iter(trials)
        self._remaining = total
        self._returned: deque[Trial] = deque()
        self._suspects: deque[Trial] = deque()
        self._pending: dict[Any, list[Trial]] = {}
        self._cores, self._heard_at, self._silent = 1, monotonic(), False
        self._count_cores()

    def deal(self) -> None:
        """Start tasks until enough are pending or no trial waits."""
        if monotonic() - self._counted_at > _CORES_EVERY_S:
            self._count_cores()
        while len(self._pending) < self._most_pending():
            chosen = self._next_trials()
            if not chosen:
                return
            limit_s = None if self._fixed else _OVERRUN * self._pace.aim(self._cores)
            sent = self._task.remote(
                chosen, self._simulation, limit_s, self._limits, self._extensions
            )
            self._pending[sent] = chosen

    def is_done(self) -> bool:
        """True if deal() found nothing to start and nothing is under way."""
        return not self._pending

    def collect(self, *, wait_s: float) -> Iterator[list[Row]]:
        """Rows of the tasks that have finished, waiting a moment for the first of them."""
        import ray

        lost = []
        for reference in _finished(list(self._pending), wait_s=wait_s):
            sent = self._pending.pop(reference)
            try:
                rows: list[Row] = ray.get(reference)
            except ray.exceptions.RayError as fault:
                lost.append((sent, fault))
                continue
            self._pace.measured(row.elapsed_s for row in rows if row.elapsed_s > 0)
            self._take_back(sent[len(rows) :])
            yield rows
        # What has been lost may end the run: only once all that has finished is handed over.
        for sent, loss in lost:
            yield self._lost(sent, loss)

    def _lost(self, sent: list[Trial], fault: Exception) -> list[Row]:
        """Deal the trials of a task without a result out anew, unless it was the trial's doing.

        Then the row says so. Raises FanoutError for what is wrong with Ray or the nodes.
        """
        import ray.exceptions as of_ray

        if isinstance(fault, of_ray.RayTaskError):
            raise FanoutError(f"a task could not run: {_cause(fault)}") from fault
        if isinstance(fault, of_ray.WorkerCrashedError | of_ray.OutOfMemoryError):
            died, most, together = "process", self._processes, False
        elif isinstance(fault, of_ray.NodeDiedError | of_ray.ObjectLostError):
            died, most, together = "node", _NODES, True
        else:
            told = f"{type(fault).__name__}: {first_line(fault)}"
            raise FanoutError(f"Ray cannot go on: {told}") from fault
        self._losses.update((died, trial.cell.id, trial.replicate) for trial in sent)
        times = max(self._losses[died, trial.cell.id, trial.replicate] for trial in sent)
        if times >= most and len(sent) == 1:
            return [failed_row(sent[0], f"{type(fault).__name__}: its {died} died {times} times")]
        if together and times < most:
            self._take_back(sent)
        else:
            self._suspects.extend(sent)
        return []

    def give_up(self) -> None:
        """Cancel what is under way."""
        import ray

        for reference in self._pending:
            ray.cancel(reference)

    def _next_trials(self) -> list[Trial]:
        if self._suspects:
            return [self._suspects.popleft()]
        size = self._pace.size(cores=self._cores, remaining=self._remaining)
        chosen = [self._returned.popleft() for _ in range(min(size, len(self._returned)))]
        chosen.extend(islice(self._waiting, size - len(chosen)))
        if self._remaining is not None:
            self._remaining -= len(chosen)
        return chosen

    def _take_back(self, unfinished: list[Trial]) -> None:
        self._returned.extend(unfinished)
        if self._remaining is not None:
            self._remaining += len(unfinished)

    def _count_cores(self) -> None:
        """See how many cores there are, if Ray's head can be asked: to ask in vain blocks."""
        answers = self._session.answers()
        cores = self._session.cores() if answers else 0
        # A cluster may have none for now, and get some; a Ray of our own has given up its node.
        if answers and (cores or not self._session.owned):
            self._cores, self._heard_at = max(cores, 1), monotonic()
            if self._silent:
                self._note("Ray's head answers again")
            self._silent = False
        elif (left_s := self._heard_at + _PATIENCE_S - monotonic()) < 0:
            what = "has had no node" if answers else "has been silent"
            raise FanoutError(f"Ray is lost: its head {what} for {_PATIENCE_S:.0f} s")
        elif not self._silent:
            what = "has no node left" if answers else "does not answer"
            until = datetime.now().astimezone() + timedelta(seconds=left_s)
            self._note(f"Ray's head {what}; trying until {until:%H:%M:%S}")
            self._silent = True
        self._counted_at = monotonic()

    def _most_pending(self) -> int:
        if self._session.owned:
            return _TASKS_PER_CORE * self._cores
        if self._session.workers is not None:
            # On a cluster that is not ours, cores can only be bounded by not asking for more.
            return self._session.workers
        return max(_TASKS_PER_CORE * self._cores, _FEWEST_PENDING)


def _finished(references: list[Any], *, wait_s: float) -> list[Any]:
    """Those of the tasks that have finished, waiting a moment for the first one."""
    import ray

    if not references:
        return []
    ready, _ = ray.wait(references, num_returns=1, timeout=wait_s)
    if ready:
        ready, _ = ray.wait(references, num_returns=len(references), timeout=0)
    return list(ready)


def _cause(fault: Any) -> str:
    lines = str(fault.cause).strip().splitlines()
    return lines[-1] if lines else type(fault.cause).__name__


def _run_batch(
    trials: list[Trial],
    expected: str,
    limit_s: float | None,
    limits: Limits,
    extensions: tuple[str, ...],
) -> list[Row]:
    """In a worker: run trials in order, and stop early after limit_s seconds of work."""
    import faulthandler

    from study.zone.engine.compile import digest
    from study.zone.simulate import load

    if digest() != expected:
        raise RuntimeError(
            f"this node's simulation is version {digest()}, the study's is {expected}; "
            "install the same study, numba and numpy on every node"
        )
    prepare_simulation()
    load()
    started = perf_counter()
    rows: list[Row] = []
    for trial in trials:
        if limits.time_s is not None:
            # Where a trial does not come to the point at which it looks at the clock.
            faulthandler.dump_traceback_later(_GRACE * limits.time_s + _GRACE_S, exit=True)
        rows.append(run_trial(trial, limits, extensions))
        faulthandler.cancel_dump_traceback_later()
        if limit_s is not None and perf_counter() - started > limit_s:
            break
    return rows
