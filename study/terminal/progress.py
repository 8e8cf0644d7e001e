"""Progress on standard error: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from study.printable import printable
from study.runs.watcher import Watcher

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID
    from rich.text import Text

    from study.fanout import Session

_LINE_EVERY_S = 10.0
_ASK_EVERY_S = 5.0
"""Between two questions to the cluster about its nodes."""
_STOPPING = "  stopping (Ctrl-C again: at once)"


def terminal_watcher() -> Watcher:
    """A bar if standard error is a terminal, else plain lines."""
    from study.terminal.console import console as console_on

    console = console_on(error=True)
    return Bar(console) if console.is_terminal else Lines(console)


class Bar(Watcher):
    """Trials done of total, rate, time left and failures, redrawn in place."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._phase = _Phase()
        self._said = ""
        self._ending = ""
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._status = console.status(self)
        self._meter = Meter()

    def __rich__(self) -> Text:
        from rich.text import Text

        # A plain string would be read as markup.
        return Text(printable(self._said + self._ending))

    def phase(self, text: str) -> None:
        """Show a spinner with this text."""
        self._phase = _Phase(text)
        self._spin(text)
        self._status.start()

    def step(self, text: str) -> None:
        """Show how far the phase is, and how long it has taken."""
        self._spin(self._phase.line(text))

    def _spin(self, text: str) -> None:
        self._said = text
        self._status.update(self)

    def stopping(self) -> None:
        """Have the next redraw say it, which another thread does ten times a second."""
        self._ending = _STOPPING

    def note(self, text: str) -> None:
        """Print a line above the bar."""
        self._console.print(text, markup=False, soft_wrap=True)

    def start(self, trials: int, *, cells: int, replicates: int, place: str, done: int) -> None:
        """Say what begins, and draw the bar."""
        from rich.progress import BarColumn, Progress, RenderableColumn
        from rich.table import Column

        self._status.stop()
        self._console.print(_opening(trials, cells, replicates, place), markup=False)
        self._meter.begin(trials, done)
        self._progress = Progress(
            BarColumn(bar_width=None),
            RenderableColumn(self, table_column=Column(no_wrap=True)),
            console=self._console,
            expand=True,
        )
        self._said = self._meter.line()
        self._task = self._progress.add_task("", total=trials, completed=done)
        self._progress.start()

    def cluster(self, session: Session) -> None:
        """Show what the trials run on."""
        self._meter.session = session

    def total(self, trials: int) -> None:
        """Lengthen the bar."""
        self._meter.total = trials
        if self._progress is not None and self._task is not None:
            self._said = self._meter.line()
            self._progress.update(self._task, total=trials)

    def advance(self, finished: int, failed: int) -> None:
        """Move the bar."""
        self._meter.advance(finished, failed)
        if self._progress is not None and self._task is not None:
            self._said = self._meter.line()
            self._progress.update(self._task, advance=finished)

    def close(self) -> None:
        """Leave the last state of the bar standing."""
        self._status.stop()
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


class Lines(Watcher):
    """The same, for logs: a line at the start, every ten seconds, and at the end."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._meter = Meter()
        self._phase = _Phase()
        self._said_at = monotonic()
        self._open = False

    def phase(self, text: str) -> None:
        """Say it."""
        self._phase = _Phase(text)
        self._say(text)

    def step(self, text: str) -> None:
        """Say how far the phase is, if nothing was said for a while."""
        if monotonic() - self._said_at >= _LINE_EVERY_S:
            self._say(self._phase.line(text))

    def note(self, text: str) -> None:
        """Say it."""
        self._say(text)

    def start(self, trials: int, *, cells: int, replicates: int, place: str, done: int) -> None:
        """Say what begins."""
        self._say(_opening(trials, cells, replicates, place))
        self._meter.begin(trials, done)
        self._open = True

    def cluster(self, session: Session) -> None:
        """Have the lines tell what the trials run on."""
        self._meter.session = session

    def total(self, trials: int) -> None:
        """Count up to so many instead."""
        self._meter.total = trials

    def advance(self, finished: int, failed: int) -> None:
        """Say how far it got, if nothing was said for a while."""
        self._meter.advance(finished, failed)
        if monotonic() - self._said_at >= _LINE_EVERY_S:
            self._say(self._meter.line())

    def close(self) -> None:
        """Say how far it got in the end."""
        if self._open:
            self._say(self._meter.line())
            self._open = False

    def _say(self, text: str) -> None:
        self._said_at = monotonic()
        self._console.print(text, markup=False, soft_wrap=True)


class _Phase:
    """What is being done, and since when."""

    def __init__(self, text: str = "") -> None:
        self._text = text.partition(" (")[0]
        self._since = monotonic()

    def line(self, step: str) -> str:
        """As 'preparing the simulation: 120 of 321 functions compiled, 0:24'."""
        return f"{self._text}: {step}, {clock(monotonic() - self._since)}"


class Meter:
    """Counts trials and guesses how long the rest takes."""

    def __init__(self) -> None:
        self.session: Session | None = None
        self._asked_at = float("-inf")
        self._of_cluster = ""
        self.begin(0, 0)

    def begin(self, total: int, done: int) -> None:
        """Start counting: so many trials in all, of them so many done in an earlier run."""
        self.total = total
        self.finished = done
        self.failed = 0
        self._before = done
        self._started = monotonic()
        self._first: tuple[float, int] | None = None

    def advance(self, finished: int, failed: int) -> None:
        """So many trials more."""
        self.finished += finished
        self.failed += failed
        if finished and self._first is None:
            self._first = (monotonic(), finished)

    def line(self) -> str:
        """As '120/800 trials  12.3/s  0:55 left  2 failed  3 nodes, 12 cores'."""
        parts = [f"{self.finished}/{self.total} trials"]
        rate, elapsed = self._rate(), monotonic() - self._started
        if rate:
            parts.append(f"{rate:.1f}/s" if rate < 100 else f"{rate:.0f}/s")
            left = (self.total - self.finished) / rate
            parts.append(f"{clock(left)} left" if left else f"in {clock(elapsed)}")
        if self.failed:
            parts.append(f"{self.failed} failed")
        if self.session is not None and not self.session.owned:
            parts.append(self._cluster(self.session))
        return "  ".join(parts)

    def _rate(self) -> float:
        """Trials a second; 0 while it cannot be told.

        While they run, from the first that finished on: before, nodes may have had to come up and
        compile, which says nothing about the rest. Of all, once they are done.
        """
        now, ran = monotonic(), self.finished - self._before
        if self._first is None:
            return 0.0
        at, first = self._first
        if self.finished >= self.total:
            at, first = self._started, 0
        return (ran - first) / (now - at) if now > at else 0.0

    def _cluster(self, session: Session) -> str:
        """As '3 nodes, 12 cores', asked for now and then only."""
        if monotonic() - self._asked_at > _ASK_EVERY_S:
            self._asked_at = monotonic()
            if not session.answers():
                self._of_cluster = "the head does not answer"
                return self._of_cluster
            nodes, cores = session.nodes(), session.cores()
            self._of_cluster = f"{nodes} node{'' if nodes == 1 else 's'}, {cores} cores"
        return self._of_cluster


def _opening(trials: int, cells: int, replicates: int, place: str) -> str:
    return f"{trials} trials ({cells} cells x {replicates} replicates) -> {place}"


def clock(seconds: float) -> str:
    """As 0:55, 12:30 or 3:00:00."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
