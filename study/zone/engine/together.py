"""Compiling by two processes at a time, through the cache on disk.

numba compiles under a lock, so that threads gain nothing. Here a second process works on the same
list: each takes the first module that nobody has taken yet and whose callees are made, and finds in
the cache what the other has made. Who dies leaves its work to the other: it is made as if there had
never been two.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep

_PAUSE_S = 0.002
_SECOND = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from {} import {} as work; work()"
)


class Shares:
    """Who makes what, of two processes.

    Parameters
    ----------
    folder
        Of both; what is taken and what is made is a file in it.
    alone
        Whether the other process has ended.
    """

    def __init__(self, folder: Path, alone: Callable[[], bool]) -> None:
        self._folder = folder
        self._alone = alone
        self._seen: set[str] = set()

    def take(self, name: str) -> bool:
        """Whether it is for this process to make."""
        try:
            (self._folder / f"{name}.taken").touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    def give(self, name: str) -> None:
        """Say that it is made, and in the cache."""
        self._seen.add(name)
        (self._folder / f"{name}.made").touch()

    def is_made(self, name: str) -> bool:
        """Whether either process has made it."""
        if name not in self._seen and (self._folder / f"{name}.made").exists():
            self._seen.add(name)
        return name in self._seen

    def wait(self, name: str = "") -> bool:
        """Wait a moment, or until this is made; False once the other process has ended."""
        sleep(_PAUSE_S)
        while name and not self.is_made(name) and not self._alone():
            sleep(_PAUSE_S)
        return not self._alone()


@contextmanager
def second_process(work: Callable[[], None]) -> Iterator[Shares | None]:
    """Another process that does this work until the block ends; None where there is one core.

    work  a function of a module, which takes its share from shares_of_second()
    """
    if _cores() < 2:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="study-compile-") as folder:
        code = _SECOND.format(work.__module__, work.__name__)
        process = subprocess.Popen(  # noqa: S603 - this program
            [sys.executable, "-P", "-c", code, json.dumps(sys.path), folder],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield Shares(Path(folder), lambda: process.poll() is not None)
        finally:
            process.kill()
            process.wait()


def shares_of_second() -> Shares:
    """In the second process: its side of the work. Who began it has ended once it is an orphan."""
    first = os.getppid()
    return Shares(Path(sys.argv[2]), lambda: os.getppid() != first)


def _cores() -> int:
    """That this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
