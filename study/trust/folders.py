"""Folders that are ours: nobody but their user and root can put anything into them.

Such a folder belongs to one of these two, nobody else may write into it, and the same is true of
every folder above it; above it will also do one in which each can remove only what is his own
(sticky, as /tmp is).
"""

from __future__ import annotations

import os
import stat
import tempfile
from functools import lru_cache
from pathlib import Path

_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
_LINKS_MOST = 40


class UntrustedError(OSError):
    """Others could change a folder, or what stands in its place; str() says which and why."""


def own_folder(path: str | os.PathLike[str]) -> Path:
    """Follow a path to a folder that nobody else can change.

    Parameters
    ----------
    path
        Of a folder that exists. Symbolic links of the user or of root are followed.

    Returns
    -------
    Path
        The folder, with no link in its path.

    Raises
    ------
    UntrustedError
        If somebody else could put something into the folder, or another one in its place.
    OSError
        If there is no such folder.
    """
    return _followed(path, may_be_sticky=False)


def make_own_folder(path: str | os.PathLike[str], *, shut: bool = False) -> Path:
    """A folder that nobody else can change, made if there is none, whatever the umask.

    Parameters
    ----------
    path
        Of the folder. Those above it are made as well.
    shut
        Let nobody else look into it either.

    Returns
    -------
    Path
        As own_folder().

    Raises
    ------
    UntrustedError
        As own_folder().
    OSError
        If it cannot be made.
    """
    path = Path(path)
    for folder in reversed((path, *path.parents)):
        if not os.path.lexists(folder):
            # Asked first: a link of somebody else's would have us make folders elsewhere.
            _followed(folder.parent, may_be_sticky=True)
            try:
                folder.mkdir(mode=0o700 if shut else 0o755)
            except FileExistsError:
                continue  # another process was faster
    return own_folder(path)


def is_own_file(path: str | os.PathLike[str]) -> bool:
    """Whether this is a file, and no link to one, that nobody but its user and root may write.

    Asked of a file in a folder that is ours, the answer is still true when the file is opened.
    """
    try:
        state = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(state.st_mode) and _problem(state) is None


def temporary_root(longest: int | None = None) -> Path:
    """The folder for temporary files: TMPDIR, or the system's where others can change that one.

    Parameters
    ----------
    longest
        Length of its path in letters, at most.

    Raises
    ------
    OSError
        If there is none in which a folder of ours stays ours.
    """
    problems = []
    for root in dict.fromkeys((tempfile.gettempdir(), "/tmp", "/var/tmp")):  # noqa: S108 - checked
        try:
            found = _followed(root, may_be_sticky=True)
        except OSError as error:
            problems.append(str(error))
            continue
        if longest is None or len(str(found)) <= longest:
            return found
        problems.append(f"{found} has more than {longest} letters")
    raise OSError(f"no folder for temporary files that others cannot change: {problems[0]}")


def new_folder(prefix: str, *, longest: int | None = None) -> Path:
    """A new, empty temporary folder that nobody else can enter.

    Parameters
    ----------
    prefix
        What its name begins with; eight letters follow that nobody can guess.
    longest
        As of temporary_root().

    Raises
    ------
    OSError
        If there is no room for it, or no place where it would stay ours.
    """
    return Path(tempfile.mkdtemp(prefix=prefix, dir=temporary_root(longest)))


def _followed(path: str | os.PathLike[str], *, may_be_sticky: bool) -> Path:
    """The folder at a path, each step of which was looked at before it was taken."""
    whole = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() follows links unseen
    here, links = Path(whole.anchor), 0
    pending = list(reversed(whole.parts[1:]))
    _check(here, sticky=bool(pending) or may_be_sticky)
    while pending:
        name = pending.pop()
        if name == os.pardir:
            here = here.parent
            continue
        state = os.lstat(here / name)
        if stat.S_ISLNK(state.st_mode):
            links += 1
            if links > _LINKS_MOST:
                raise UntrustedError(f"{whole} has too many links")
            if state.st_uid not in _trusted():
                raise UntrustedError(f"{here / name} is a link of another user ({state.st_uid})")
            target = (here / name).readlink()
            parts = target.parts
            if target.is_absolute():
                here, parts = Path(target.anchor), parts[1:]
            pending += reversed(parts)
            continue
        here /= name
        _check(here, sticky=bool(pending) or may_be_sticky)
    # A link may have ended on a step upwards.
    _check(here, sticky=may_be_sticky)
    return here


def _check(folder: Path, *, sticky: bool) -> None:
    """Raise UntrustedError for what is no folder of ours.

    sticky  one that others may write will do if they can remove only what is theirs
    """
    state = os.lstat(folder)
    if not stat.S_ISDIR(state.st_mode):
        raise UntrustedError(f"{folder} is no folder")
    if sticky and state.st_mode & stat.S_ISVTX and state.st_uid in _trusted():
        return
    problem = _problem(state)
    if problem is not None:
        raise UntrustedError(f"{folder} {problem}")


def _problem(state: os.stat_result) -> str | None:
    if state.st_uid not in _trusted():
        return f"belongs to another user ({state.st_uid})"
    if state.st_mode & _OTHERS_MAY_WRITE:
        return f"can be written by others (mode {stat.S_IMODE(state.st_mode):04o})"
    return None


def _trusted() -> frozenset[int]:
    owners = {0, os.geteuid()}
    stand_in = _stand_in()
    return frozenset(owners if stand_in is None else {*owners, stand_in})


@lru_cache(maxsize=1)
def _stand_in() -> int | None:
    """The number that the kernel shows for users who do not exist in this user namespace.

    In a container that maps one user only, root is one of those, and / belongs to this number.
    Where it is that of a user who exists, he is a user like any other.
    """
    try:
        shown = int(Path("/proc/sys/kernel/overflowuid").read_text())
        lines = Path("/proc/self/uid_map").read_text().splitlines()
        mapped = [(int(first), int(count)) for first, _, count in map(str.split, lines)]
    except (OSError, ValueError):
        return None
    known = any(first <= shown < first + count for first, count in mapped)
    return None if known else shown
