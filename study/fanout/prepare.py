"""The simulation's machine code, compiled once per machine and not once per worker."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from threading import Event, Thread

from study.fanout.session import FanoutError

Told = Callable[[str], None]
"""Is told how far it is, in a few words, every second."""
_EVERY_S = 1.0
_waiting = Event()
"""Set while another process compiles."""


def prepare_simulation(told: Told | None = None) -> None:
    """Have the simulation compiled into its cache on disk: by this process, or by another while
    this one waits.

    Takes up to a minute the first time and next to nothing afterwards.

    Parameters
    ----------
    told
        Is told how many functions are compiled, while some are.

    Raises
    ------
    FanoutError
        numba is told to compile nothing.
    """
    if told is None:
        _prepared()
        return
    with counting(told):
        _prepared()


@contextmanager
def counting(told: Told) -> Iterator[None]:
    """Tell how far the compilation is until the block ends, from a thread of its own."""
    from study.zone.engine.compile import compiled_so_far

    over = Event()

    def tell() -> None:
        while not over.wait(_EVERY_S):
            done, there = compiled_so_far()
            if _waiting.is_set():
                told("another process compiles it")
            elif done:
                told(f"{done} of {there} functions compiled")

    thread = Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@lru_cache(maxsize=1)
def _prepared() -> None:
    from study.zone.engine.cache import cache_root
    from study.zone.engine.compile import digest
    from study.zone.engine.table import BOUNDSCHECK
    from study.zone.simulate import warm

    if os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
        raise FanoutError("the simulation is compiled by numba; unset NUMBA_DISABLE_JIT")
    root = cache_root()
    if root is None:
        # What there is can only be read. What it has not is compiled by each process.
        warm()
        return
    # numba's cache goes by CPU.
    place = f"{platform.node()} {platform.machine()} {BOUNDSCHECK}"
    here = hashlib.blake2b(place.encode(), digest_size=8).hexdigest()
    done = root / f"compiled-{digest()}-{here}"
    if done.exists():
        return
    with _alone(root / "compiling.lock"):
        if not done.exists():
            warm()
            done.touch()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other processes of this machine out, by a lock that ends with the process."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _waiting.set()
            fcntl.flock(file, fcntl.LOCK_EX)
            _waiting.clear()
        yield
