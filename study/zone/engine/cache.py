"""Where the machine code of kernels is kept, and that nobody else has put it there.

To load machine code is to run it, and numba unpickles what it finds beside it. So it is read from,
and written to, folders only that nobody but the user and root can change, and each file is looked
at as well.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from study.zone.engine.numba_private import own_locators  # before numba, see there

# isort: split
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
from study.zone.engine.linked import module_from_cache

MODULE = ".module"  # how the name of a file with a module ends, before its suffix
_KEPT_VERSIONS = 4
_VERSION = re.compile("[0-9a-f]{16}")
_NAME = "fragmentation-study"


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
    for module in root.iterdir():
        if module.is_symlink() or not module.is_dir():
            continue
        versions = [f for f in module.iterdir() if _VERSION.fullmatch(f.name) and _is_ours(f)]
        versions.sort(key=lambda f: f.stat().st_mtime, reverse=True)
        for version in versions[_KEPT_VERSIONS:]:
            shutil.rmtree(version, ignore_errors=True)
            # What says that a whole simulation lies ready may no longer be true.
            for claim in root.glob("compiled-*"):
                claim.unlink(missing_ok=True)


def _is_ours(version: Path) -> bool:
    """Whether a folder holds machine code and nothing else: STUDY_CACHE_DIR may hold more."""
    if version.is_symlink() or not version.is_dir():
        return False
    files = [path for path in version.rglob("*") if not path.is_dir()]
    return all(path.suffix in (".nbi", ".nbc") for path in files)


def folder_for(module: str, version: str) -> Path | None:
    """The folder with, or for, the machine code of one version of a module.

    Parameters
    ----------
    module
        Name of a zone module.
    version
        16 hex digits over all that its machine code depends on.

    Returns
    -------
    Path or None
        None if none can be kept: then each process compiles what it needs.
    """
    for root in _places().roots:
        if _is_own(root / module / version):
            return root / module / version
    new = cache_root()
    if new is None:
        return None
    try:
        for folder in (new / module, new / module / version):
            if os.path.lexists(folder) and not _is_own(folder):
                _put_away(folder)
        return make_own_folder(new / module / version)
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


class KernelCache(FunctionCache):  # type: ignore[misc]
    """numba's cache of one function, with its files in a folder that was looked at.

    numba would go by the path of the source, too. A job on a Ray cluster has its sources at another
    path each time, but a folder here is of the same sources to the letter.
    """

    _suffix = ""

    def _impl_class_in(self, folder):
        return partial(_CacheImpl, folder)

    def __init__(self, function, folder):
        self._impl_class = self._impl_class_in(folder)
        super().__init__(function)
        self._cache_file = _CacheFile(
            cache_path=self._cache_path,
            filename_base=self._impl.filename_base + self._suffix,
            source_stamp=self._impl.locator.get_source_stamp(),
        )

    def save_overload(self, sig, data):
        """Keep machine code, if that can be done."""
        # Made by root for all to read, or the disk is full: then it is compiled again next time.
        with suppress(OSError):
            super().save_overload(sig, data)


class ModuleCache(KernelCache):
    """The same of its modules, see linked.py.

    module_of is a function from the name of a module to that module.
    """

    _suffix = MODULE

    def __init__(self, function, folder, module_of):
        self._module_of = module_of
        super().__init__(function, folder)

    def _impl_class_in(self, folder):
        return partial(_ModuleImpl, folder, module_of=self._module_of)


class _CacheImpl(CompileResultCacheImpl):  # type: ignore[misc]
    def __init__(self, folder, function):
        self._locator_classes = [_Place(folder)]
        with own_locators():
            super().__init__(function)


class _ModuleImpl(_CacheImpl):
    def __init__(self, folder, function, module_of):
        super().__init__(folder, function)
        self._module_of = module_of

    def rebuild(self, target_context, payload):
        return module_from_cache(target_context, payload, self._module_of)


@dataclass(frozen=True)
class _Place:
    """What numba asks for a locator."""

    folder: Path

    def from_function(self, py_func, py_file):
        return _Locator(py_func, py_file, self.folder)


class _Locator(UserProvidedCacheLocator):  # type: ignore[misc]
    def __init__(self, py_func, py_file, folder):
        self._py_file = py_file
        self._lineno = py_func.__code__.co_firstlineno
        self._cache_path = str(folder)

    def ensure_cache_path(self):
        """It is there."""


class _CacheFile(IndexDataCacheFile):  # type: ignore[misc]
    """The files of one kernel, of which only those are read that nobody else could have written."""

    def save(self, key, data):
        """Save it under a name of its own.

        numba numbers the files, so that of two processes that save code for different types at the
        same time one could find the other's code under its own types.
        """
        digest = hashlib.blake2b(repr(key).encode(), digest_size=8).hexdigest()
        name = f"{Path(self._index_name).stem}.{digest}.nbc"
        self._save_data(name, data)
        overloads = self._load_index()
        if overloads.get(key) != name:
            self._save_index(overloads | {key: name})

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
