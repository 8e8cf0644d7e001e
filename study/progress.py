"""Progress on standard error: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from study.conduct import Watcher

_LINE_EVERY_S = 10.0


def terminal_watcher() -> Watcher:
    """A bar if standard error is a terminal, else plain lines."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    return Bar(console) if console.is_terminal else Lines(console)


class Bar:
    """Trials done of total, rate, time left and failures, redrawn in place."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._status = console.status("")
        self._meter = Meter(0)

    def phase(self, text: str) -> None:
        """Show a spinner with this text."""
        self._status.update(text)
        self._status.start()

    def start(self, trials: int, *, cells: int, replicates: int, path: Path) -> None:
        """Say what begins, and draw the bar."""
        from rich.progress import BarColumn, Progress, TextColumn

        self._status.stop()
        self._console.print(_opening(trials, cells, replicates, path), markup=False)
        self._meter = Meter(trials)
        self._progress = Progress(
            BarColumn(bar_width=None),
            TextColumn("{task.fields[line]}", markup=False),
            console=self._console,
            expand=True,
        )
        self._task = self._progress.add_task("", total=trials, line=self._meter.line())
        self._progress.start()

    def advance(self, finished: int, failed: int) -> None:
        """Move the bar."""
        self._meter.advance(finished, failed)
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, advance=finished, line=self._meter.line())

    def close(self) -> None:
        """Leave the last state of the bar standing."""
        self._status.stop()
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


class Lines:
    """The same, for logs: a line at the start, every ten seconds, and at the end."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._meter = Meter(0)
        self._said_at = monotonic()
        self._open = False

    def phase(self, text: str) -> None:
        """Say it."""
        self._say(text)

    def start(self, trials: int, *, cells: int, replicates: int, path: Path) -> None:
        """Say what begins."""
        self._say(_opening(trials, cells, replicates, path))
        self._meter = Meter(trials)
        self._open = True

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


class Meter:
    """Counts trials and guesses how long the rest takes."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.finished = 0
        self.failed = 0
        self._started = monotonic()

    def advance(self, finished: int, failed: int) -> None:
        """So many trials more."""
        self.finished += finished
        self.failed += failed

    def line(self) -> str:
        """As '120/800 trials  12.3/s  0:55 left  2 failed'."""
        elapsed = monotonic() - self._started
        parts = [f"{self.finished}/{self.total} trials"]
        if self.finished and elapsed > 0:
            rate = self.finished / elapsed
            left = (self.total - self.finished) / rate
            parts.append(f"{rate:.1f}/s" if rate < 100 else f"{rate:.0f}/s")
            parts.append(f"{_clock(left)} left" if left else f"in {_clock(elapsed)}")
        if self.failed:
            parts.append(f"{self.failed} failed")
        return "  ".join(parts)


def _opening(trials: int, cells: int, replicates: int, path: Path) -> str:
    return f"{trials} trials ({cells} cells x {replicates} replicates) -> {path}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
