"""The simulation's machine code, compiled once per machine and not once per worker."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=1)
def prepare_simulation() -> None:
    """Have the simulation compiled into its cache on disk: by this process, or by another while
    this one waits.

    Takes up to a minute the first time and next to nothing afterwards.
    """
    from study.zone.engine.cache import cache_root
    from study.zone.engine.compile import digest
    from study.zone.engine.table import BOUNDSCHECK
    from study.zone.simulate import warm

    if os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
        return
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
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
