"""The simulation's machine code, compiled once per machine and not once per worker."""

from __future__ import annotations

import fcntl
import hashlib
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=1)
def prepare_simulation() -> None:
    """Have the simulation compiled into its cache on disk: by this process, or by another while
    this one waits.

    Takes about half a minute the first time and next to nothing afterwards.
    """
    import numba

    from study.zone.compile import cache_root, digest
    from study.zone.simulate import warm

    if numba.config.DISABLE_JIT:
        return
    folder = cache_root()
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / f"compiled-{digest()}-{_place()}"
    if done.exists():
        return
    with _alone(folder / "compiling.lock"):
        if not done.exists():
            warm()
            done.touch()


def _place() -> str:
    """Name of a machine and a copy of the sources: numba's cache goes by path and CPU."""
    here = f"{platform.node()} {platform.machine()} {Path(__file__).resolve()}"
    return hashlib.blake2b(here.encode(), digest_size=8).hexdigest()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other processes of this machine out, by a lock that ends with the process."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
