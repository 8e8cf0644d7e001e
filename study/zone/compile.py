"""How kernels are compiled and where their machine code is kept.

numba caches a function under a hash of the one file that holds it, so an edit in a module that
it merely calls would go unnoticed and old code would run. The cache folder is therefore named
after a digest of every source of the zone plus the options that shape the machine code.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path

import numba
import numpy as np
from numba import njit, types
from numba.extending import intrinsic

BOUNDSCHECK = os.environ.get("STUDY_BOUNDSCHECK", "") not in ("", "0")
"""Set STUDY_BOUNDSCHECK=1 to have every index of every table checked (the tests do)."""

_KEPT_DIGESTS = 4


@lru_cache(maxsize=1)
def digest() -> str:
    """Name of this simulation: 16 hex digits over its sources, numba's version and options."""
    state = hashlib.blake2b(digest_size=8)
    for source in sorted(Path(__file__).parent.rglob("*.py")):
        state.update(source.relative_to(Path(__file__).parent).as_posix().encode())
        state.update(source.read_bytes())
    state.update(f"{numba.__version__} {np.__version__} boundscheck={BOUNDSCHECK}".encode())
    return state.hexdigest()


def _cache_root() -> Path:
    """The first of these that can be written: STUDY_CACHE_DIR, the user's cache, a private /tmp."""
    named = os.environ.get("STUDY_CACHE_DIR")
    if named:
        return Path(named)
    user_cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    root = Path(user_cache) / "fragmentation-study"
    try:
        root.mkdir(parents=True, exist_ok=True)
        if os.access(root, os.W_OK):
            return root
    except OSError:
        pass
    return Path(tempfile.gettempdir()) / f"fragmentation-study-{os.getuid()}"


@lru_cache(maxsize=1)
def cache_dir() -> Path:
    """Folder with the machine code of exactly this simulation."""
    folder = _cache_root() / digest()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def prune_cache() -> None:
    """Forget the machine code of all but the few most recently used versions."""
    folders = [f for f in cache_dir().parent.iterdir() if f.is_dir() and len(f.name) == 16]
    folders.sort(key=lambda f: f.stat().st_mtime, reverse=True)
    for folder in folders[_KEPT_DIGESTS:]:
        shutil.rmtree(folder, ignore_errors=True)


def kernel(function=None, *, inline=False):
    """Compile a function of the zone: cached on disk, C semantics for division.

    The first parameter, z, is the zone record; a parameter annotated `float` is a float64, one
    annotated `np.ndarray` an int64 vector, every other an int64. One signature a function: left to
    infer, numba would compile each anew for every mix of 8, 32 and 64-bit arguments, which made
    building the zone take four times as long.
    """
    if function is None:
        return lambda f: kernel(f, inline=inline)
    options = {"cache": True, "error_model": "numpy", "no_cfunc_wrapper": True, "boundscheck": BOUNDSCHECK}
    if inline:
        return njit(forceinline=True, **options)(function)
    # The folder is read when the decorator runs; other libraries keep their own setting.
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(cache_dir())
    try:
        return njit(_signature(function), **options)(function)
    finally:
        numba.config.CACHE_DIR = before


@lru_cache(maxsize=1)
def _zone_type():
    from study.zone.layout import ZONE

    return numba.from_dtype(ZONE)


def _signature(function):
    kinds = {"float": types.float64, "np.ndarray": types.int64[::1]}
    arguments = [_zone_type()]
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        arguments.append(kinds.get(parameter.annotation, types.int64))
    return tuple(arguments)


def pointer_to(dtype):
    """An intrinsic that reads an address (uint64) as a pointer to rows of a structured dtype."""
    element = numba.from_dtype(dtype)

    @intrinsic
    def pointer(typingctx, address):
        signature = types.CPointer(element)(address)

        def codegen(context, builder, sig, args):
            return builder.inttoptr(args[0], context.get_value_type(sig.return_type))

        return signature, codegen

    return pointer
