"""How kernels are compiled and where their machine code is kept.

numba caches a function under a hash of the one file that holds it, so an edit in a module that
it merely calls would go unnoticed and old code would run. Each module's machine code is therefore
kept in a folder named after a digest of its source, of every zone source it imports, directly or
not, and of the options that shape the code.

To load machine code is to run it, and numba unpickles what it finds beside it. So it is read from,
and written to, folders only that nobody but the user and root can change.

A kernel's machine code holds that of all it calls, so a process needs only the few kernels that
Python itself calls. Each is therefore loaded at its first call and not when its module is imported:
loading all of them took a second and a half.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from pathlib import Path

import llvmlite.binding as llvm
import numba
import numpy as np
from numba import njit, types
from numba.core.caching import (
    CompileResultCacheImpl,
    FunctionCache,
    IndexDataCacheFile,
    UserProvidedCacheLocator,
)

from study.trust.folders import (
    UntrustedError,
    is_own_file,
    make_own_folder,
    new_folder,
    own_folder,
    temporary_root,
)

BOUNDSCHECK = os.environ.get("STUDY_BOUNDSCHECK", "") not in ("", "0")
"""Set STUDY_BOUNDSCHECK=1 to have every index of every table checked (the tests do)."""

_ROOM = Path(__file__).parent
_PACKAGE = "study.zone."
_KEPT_VERSIONS = 4
_VERSION = re.compile("[0-9a-f]{16}")
_NAME = "fragmentation-study"


def _hash(parts: Iterable[bytes]) -> str:
    state = hashlib.blake2b(digest_size=8)
    for part in parts:
        state.update(part)
    return state.hexdigest()


@lru_cache(maxsize=1)
def digest() -> str:
    """Name of this simulation: 16 hex digits over all its sources and numba's version.

    Whether bounds are checked is left out: it changes no result.
    """
    sources = sorted(_ROOM.rglob("*.py"))
    versions = f"{numba.__version__} {np.__version__}".encode()
    return _hash([versions, *(part for f in sources for part in (f.name.encode(), f.read_bytes()))])


@cache
def _imports(module: str) -> frozenset[str]:
    """The zone modules that one zone module names in its imports."""
    tree = ast.parse((_ROOM / f"{module}.py").read_bytes())
    named = (node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    return frozenset(n.removeprefix(_PACKAGE) for n in named if n.startswith(_PACKAGE))


def _rests_on(module: str) -> list[str]:
    """A module and every zone module it imports, directly or not."""
    found: set[str] = set()
    new = {module}
    while new:
        found |= new
        new = set().union(*map(_imports, new)) - found
    return sorted(found)


@cache
def _processor() -> str:
    """What the machine code is for: a home may be shared by machines of several kinds."""
    name = numba.config.CPU_NAME or llvm.get_host_cpu_name()
    return f"{name} {numba.config.CPU_FEATURES or llvm.get_host_cpu_features().flatten()}"


@cache
def cache_dir(module: str) -> Path | None:
    """Folder with the machine code of one zone module (its name without the package).

    None if none can be kept: then each process compiles what it needs.
    """
    sources = [(_ROOM / f"{name}.py").read_bytes() for name in _rests_on(module)]
    options = f"{numba.__version__} {np.__version__} boundscheck={BOUNDSCHECK} {_processor()}"
    name = Path(module, _hash([options.encode(), *sources]))
    for root in _places().roots:
        with suppress(OSError):
            if own_folder(root / name) == root / name:
                return root / name
    new = cache_root()
    if new is None:
        return None
    try:
        for folder in (new / module, new / name):
            if os.path.lexists(folder) and not _is_own(folder):
                _put_away(folder)
        return make_own_folder(new / name)
    except OSError:  # the disk is full, or another process has put something there
        return None


def _is_own(folder: Path) -> bool:
    try:
        return own_folder(folder) == folder
    except OSError:
        return False


def _put_away(folder: Path) -> None:
    """Remove what lies in a folder of ours, but others could have changed or link elsewhere."""
    aside = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    folder.rename(aside)
    if aside.is_symlink():
        aside.unlink()
    else:
        shutil.rmtree(aside, ignore_errors=True)


@dataclass(frozen=True)
class _Places:
    """Where machine code may lie.

    roots     folders to look into; what is new goes to the last
    writable  whether it can
    refused   a line for each that others can change
    """

    roots: tuple[Path, ...]
    writable: bool
    refused: tuple[str, ...]


@lru_cache(maxsize=1)
def _places() -> _Places:
    """The first place that can be written, and those before it that can only be read."""
    roots: list[Path] = []
    refused: list[str] = []
    for what, place in _candidates():
        try:
            roots.append(place())
        except UntrustedError as problem:
            refused.append(f"machine code is not kept in {what}: {problem}")
        except (OSError, RuntimeError):
            # It is not there and cannot be made, or there is no home.
            continue
        else:
            if os.access(roots[-1], os.W_OK, effective_ids=True):
                return _Places(tuple(roots), writable=True, refused=tuple(refused))
    return _Places(tuple(roots), writable=False, refused=tuple(refused))


def _candidates() -> Iterator[tuple[str, Callable[[], Path]]]:
    """What each place is called, and how to have it."""
    named = os.environ.get("STUDY_CACHE_DIR")
    if named:
        yield f"STUDY_CACHE_DIR ({named})", partial(make_own_folder, named)

    yield "the user's cache", lambda: make_own_folder(_user_cache() / _NAME)
    name = f"{_NAME}-{os.geteuid()}"
    yield "the temporary folder", lambda: make_own_folder(temporary_root() / name, shut=True)
    # Others have taken that name. Processes of one run find each other's by its owner.
    yield (
        "the temporary folder",
        lambda: (
            next((f for f in sorted(temporary_root().glob(f"{name}-*")) if _is_own(f)), None)
            or new_folder(f"{name}-")
        ),
    )


def _user_cache() -> Path:
    named = os.environ.get("XDG_CACHE_HOME")
    if named:
        return Path(named)
    home = Path.home()
    if not home.is_dir():
        raise FileNotFoundError(home)  # who has none gets none from us
    return home / ".cache"


def cache_root() -> Path | None:
    """Where new machine code goes, None if nowhere.

    The first of these that can be written by the user, and by nobody else but root:
    STUDY_CACHE_DIR, the user's cache, a folder of the user's in the temporary one.
    """
    places = _places()
    return places.roots[-1] if places.writable else None


def refused_places() -> tuple[str, ...]:
    """Why machine code is not kept where one would look for it first, a line for each place."""
    return _places().refused


def prune_cache() -> None:
    """Forget the machine code of all but the few most recently used versions of each module."""
    root = cache_root()
    if root is None:
        return
    for module in filter(Path.is_dir, root.iterdir()):
        versions = [f for f in module.iterdir() if f.is_dir() and _VERSION.fullmatch(f.name)]
        versions.sort(key=lambda f: f.stat().st_mtime, reverse=True)
        for version in versions[_KEPT_VERSIONS:]:
            shutil.rmtree(version, ignore_errors=True)
            # What says that a whole simulation lies ready may no longer be true.
            for claim in root.glob("compiled-*"):
                claim.unlink(missing_ok=True)


class _Locator(UserProvidedCacheLocator):  # type: ignore[misc]
    """Says where the machine code of a kernel lies.

    numba's own goes by the path of the source, too. A job on a Ray cluster has its sources at
    another path each time, but a folder here is of the same sources to the letter.
    """

    def __init__(self, py_func, py_file):
        self._py_file = py_file
        self._lineno = py_func.__code__.co_firstlineno
        self._cache_path = str(_folder_of(py_func))

    @classmethod
    def from_function(cls, py_func, py_file):
        return cls(py_func, py_file)

    def ensure_cache_path(self):
        """It is there."""


class _CacheImpl(CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = (_Locator,)


class _CacheFile(IndexDataCacheFile):  # type: ignore[misc]
    """The files of one kernel, of which only those are read that nobody else could have written."""

    def _load_index(self):
        return super()._load_index() if is_own_file(self._index_path) else {}

    def _load_data(self, name):
        if not is_own_file(self._data_path(name)):
            raise FileNotFoundError(name)
        return super()._load_data(name)

    @contextmanager
    def _open_for_write(self, filepath):
        """Write aside and rename, as numba does, but never what others may write."""
        aside = Path(f"{filepath}.tmp.{uuid.uuid4().hex[:16]}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        try:
            with os.fdopen(os.open(aside, flags, mode=0o644), "wb") as file:
                yield file
            aside.replace(filepath)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise


class _Cache(FunctionCache):  # type: ignore[misc]
    _impl_class = _CacheImpl

    def __init__(self, py_func):
        super().__init__(py_func)
        self._cache_file = _CacheFile(
            cache_path=self._cache_path,
            filename_base=self._impl.filename_base,
            source_stamp=self._impl.locator.get_source_stamp(),
        )

    def save_overload(self, sig, data):
        # Made by root for all to read, or the disk is full: then it is compiled again next time.
        with suppress(OSError):
            super().save_overload(sig, data)


def _folder_of(function: Callable[..., object]) -> Path | None:
    return cache_dir(function.__module__.removeprefix(_PACKAGE))


def kernel(function=None, *, inline=False):
    """Compile a function of the zone: cached on disk, C semantics for division.

    The first parameter, z, is the zone record; a parameter annotated `float` is a float64, one
    annotated `np.ndarray` an int64 vector, every other an int64. One signature a function: left to
    infer, numba would compile each anew for every mix of 8, 32 and 64-bit arguments, which made
    building the zone take four times as long. An inline one becomes part of each kernel that calls
    it, whatever its size: for what is called all the time, and from few places.
    """
    if function is None:
        return lambda f: kernel(f, inline=inline)
    options = {"error_model": "numpy", "no_cfunc_wrapper": True, "boundscheck": BOUNDSCHECK}
    compiled = njit(forceinline=inline, **options)(function)
    if numba.config.DISABLE_JIT:
        return compiled
    if _folder_of(function) is not None:
        # What cache=True does, with a cache of our own.
        compiled._cache = _Cache(function)
    if not inline:
        _load_when_called(compiled)
    return compiled


_declared: list[Callable[[], object]] = []


def _load_when_called(kernel) -> None:
    """Put off loading a kernel until Python calls it, or a kernel that calls it is compiled.

    numba asks a dispatcher for machine code in two places; both load first, and are then as numba
    made them.
    """
    place = len(_declared)

    def load():
        if not kernel.signatures:
            kept = kernel.stats.cache_path
            if kept is None or not any(Path(kept).glob(f"*.{kernel.__name__}-*.nbi")):
                # A kernel calls only what was declared before it. Compiled in that order, no
                # compilation waits within another.
                for earlier in _declared[:place]:
                    earlier()
            kernel.__dict__.pop("get_call_template", None)
            kernel.__dict__.pop("_compile_for_args", None)
            kernel.compile(_signature(kernel.py_func))
            kernel.disable_compile()
        return kernel.overloads[kernel.signatures[0]].entry_point

    def get_call_template(args, kws):
        load()
        return kernel.get_call_template(args, kws)

    def compile_for_args(*_args, **_kws):
        return load()

    kernel.load = load
    kernel.get_call_template = get_call_template
    kernel._compile_for_args = compile_for_args
    _declared.append(load)


@lru_cache(maxsize=1)
def zone_type():
    """numba's type of the zone record."""
    from study.zone.layout import ZONE

    return numba.from_dtype(ZONE)


def _signature(function):
    kinds = {"float": types.float64, "np.ndarray": types.int64[::1]}
    parameters = list(inspect.signature(function).parameters.values())[1:]
    return (zone_type(), *(kinds.get(p.annotation, types.int64) for p in parameters))
