"""Which code a scenario may have imported.

A scenario, and the manifest of a results folder, name extensions. Of an installed package, by
installing it, somebody has said that its code may run here. `module:name` is whatever lies on the
path, so the person who runs the study must allow it by name.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

ENVIRONMENT = "STUDY_EXTENSIONS"
"""Names of what may be imported, with blanks or commas between them."""

_allowed: ContextVar[frozenset[str]] = ContextVar("allowed", default=frozenset())
_only_named: ContextVar[bool] = ContextVar("only_named", default=False)


def allowed_extensions(named: str | Iterable[str] = ()) -> tuple[str, ...]:
    """What the person who runs a study allows: what is named, and what STUDY_EXTENSIONS has.

    Parameters
    ----------
    named
        Each `module:name`, or `module` for whatever the module registers.
    """
    wanted = [named] if isinstance(named, str) else list(named)
    for name in wanted:
        if not isinstance(name, str):
            raise TypeError(f"an extension is named by text, `module:name`; not {name!r}")
    wanted += os.environ.get(ENVIRONMENT, "").replace(",", " ").split()
    return tuple(sorted({name.strip() for name in wanted} - {""}))


@contextmanager
def allowing(extensions: Iterable[str]) -> Iterator[None]:
    """Let these be imported until this ends, besides those that may be already."""
    before = _allowed.set(_allowed.get().union(extensions))
    try:
        yield
    finally:
        _allowed.reset(before)


def may_import(name: str) -> bool:
    """Whether `module:name` is allowed, by its whole name or by that of its module."""
    module = name.rpartition(":")[0]
    return not {name, module}.isdisjoint(_allowed.get().union(allowed_extensions()))


@contextmanager
def only_naming() -> Iterator[None]:
    """Leave extensions at their names until this ends: none is looked for, none imported."""
    before = _only_named.set(True)
    try:
        yield
    finally:
        _only_named.reset(before)


def only_named() -> bool:
    """Whether extensions are left at their names."""
    return _only_named.get()
