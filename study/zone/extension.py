"""Policies and loads of your own: functions that a scenario names and the simulated zone calls.

Two kinds. A *victim selector* tells reclaim which page to look at next instead of the oldest one; a
*traffic source* books events and, when one falls due, takes and gives back memory:

    from study.zone.extension import NO_PFN, newer, traffic_source, victim_selector

    @victim_selector("lowest")
    def lowest(z, pfn):
        '''Of the 16 oldest inactive pages the one with the lowest address.'''
        best = pfn
        for _ in range(15):
            pfn = newer(z, pfn)
            if pfn == NO_PFN:
                break
            best = min(best, pfn)
        return best

Such a function is compiled by numba (a plain one or one under @njit) and may call other compiled
functions. `z` is the record: read z.now (ns), z.zone.pages, z.zone.free, z.zone.nr_free[order] and
z.numbers[i] (the scenario's `extension.numbers`); write nothing. Rows of frames(z) have flags,
kind, order and home. What else there is to call is in __all__ below. It must not raise: an error
in compiled code that is called by address cannot reach the trial.

Random numbers come from streams of the trial's seed that nobody else draws from, SOURCE and
VICTIMS: draw as often as you like, all else stays as it was.

A scenario names a function by the name it is registered under, if an installed package declares
it as an entry point of the group `fragmentation_study.victims` or `fragmentation_study.sources`,
or as `module:name`, if the module can be imported (PYTHONPATH) and the person who runs the study
allows that (--allow-extension). On a cluster it must be installed on every node. Each process
compiles it anew, which takes a few seconds.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import study.zone.engine.numba_private  # noqa: F401 - before numba, see there

# isort: split
from numba import cfunc, njit, types
from numba.core.errors import NumbaError

from study.trust.extensions import ENVIRONMENT, may_import
from study.zone.engine.agenda import book
from study.zone.engine.call import zone_at
from study.zone.engine.compile import kernel, zone_type
from study.zone.engine.dice import below, exponential, uniform
from study.zone.engine.enums import Caller, Event, Flag, Kind, Stream
from study.zone.engine.layout import HEAD_INACTIVE, NO_PFN, SOURCE_BEGINS, frames
from study.zone.mm.interface import allocate_atomic, free_object, new_object

__all__ = [
    "BEGIN", "NO_PFN", "SOURCE", "VICTIMS", "Flag", "Kind",
    "below", "exponential", "frames", "give", "later", "newer", "take",
    "traffic_source", "uniform", "victim_selector",
]  # fmt: skip

VICTIM, TRAFFIC = "victims", "source"
GROUPS = {VICTIM: "fragmentation_study.victims", TRAFFIC: "fragmentation_study.sources"}
_SAID = {VICTIM: "victim selector", TRAFFIC: "traffic source"}
_PARAMETERS = 2
_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")

SOURCE = int(Stream.SOURCE)
"""The stream a traffic source draws from: uniform(z, SOURCE), below(z, SOURCE, bound) and so on."""
VICTIMS = int(Stream.VICTIMS)
"""The stream a victim selector draws from."""
BEGIN = SOURCE_BEGINS
"""What a traffic source is called with first, before the load begins; it books its first event."""


@kernel
def later(z, after, value):
    """Have the traffic source called again after a time (ns), with a number from 0 to 2**31 - 1."""
    book(z, z.now + max(after, 1), Event.SOURCE, value)


@kernel
def take(z, order):
    """Ask for 2**order contiguous pages as a driver does that cannot wait; a pfn, or NO_PFN."""
    pfn = allocate_atomic(z, order, Caller.SOURCE)
    if pfn != NO_PFN:
        new_object(z, pfn, order, Kind.SOURCE)
    return pfn


@kernel
def give(z, pfn, order):
    """Give back what take() gave."""
    free_object(z, pfn, order)


@kernel
def newer(z, pfn):
    """The inactive page that came onto the list after this one; NO_PFN behind the newest."""
    after = frames(z)[pfn].prev
    return NO_PFN if after == z.zone.head + HEAD_INACTIVE else after


class ExtensionError(ValueError):
    """An extension that is not there or cannot be used; the message is for its author."""


@dataclass(frozen=True)
class Extension:
    """A registered function.

    kind      VICTIM or TRAFFIC
    digest    16 hex digits over the sources of its package, or of its module if it is in none
    """

    kind: str
    name: str
    function: Callable[..., Any]
    digest: str


_registered: dict[tuple[str, str], Extension] = {}


def victim_selector(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function (z, pfn) -> pfn.

    It is called with the oldest page of the inactive list whenever reclaim is to look at one, and
    says which inactive page it is to look at instead; whatever is not the pfn of an inactive page
    means the oldest. What becomes of the page (freed, written, kept) stays reclaim's business.
    """
    return lambda function: _register(VICTIM, name, function)


def traffic_source(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function (z, value) -> 0 that is called with BEGIN, then as later() was told."""
    return lambda function: _register(TRAFFIC, name, function)


def _register(kind: str, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    plain = getattr(function, "py_func", function)
    compiled = njit(error_model="numpy")(plain) if plain is function else function
    _registered[kind, name] = Extension(kind, name, compiled, _digest_of(plain))
    return compiled


def _digest_of(function: Callable[..., Any]) -> str:
    """Of the sources a function comes with: all of the package it lies in, or its file."""
    package = sys.modules.get(function.__module__.partition(".")[0])
    state = hashlib.blake2b(digest_size=8)
    for folder in map(Path, getattr(package, "__path__", ())):
        for source in sorted(folder.rglob("*.py")):
            content = source.read_bytes()
            name = source.relative_to(folder).as_posix()
            state.update(f"{name}\0{len(content)}\0".encode() + content)
    if not hasattr(package, "__path__"):
        state.update(Path(inspect.getsourcefile(function) or "").read_bytes())
    return state.hexdigest()


def find(kind: str, name: str) -> Extension:
    """The extension a scenario names, imported if need be and compiled in this process.

    Raises ExtensionError, also if it is a `module:name` that nobody has allowed.
    """
    module, colon, inner = name.rpartition(":")
    if colon:
        if not _MODULE.fullmatch(module):
            raise ExtensionError(f"{name} is no module and a name in it, as module:name")
        if not may_import(name):
            raise ExtensionError(
                f"{name} names code, which is imported only if you allow it: "
                f"--allow-extension {module} (in Python extensions=[{module!r}], in the "
                f"environment {ENVIRONMENT}={module})"
            )
        _import(module, lambda: importlib.import_module(module))
    elif (kind, name) not in _registered:
        for point in _declared(kind):
            if point.name == name:
                _import(point.value, point.load)
    found = _registered.get((kind, inner))
    if found is None:
        known = {inner for of, inner in _registered if of == kind}
        known |= {point.name for point in _declared(kind)}
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        there = ", ".join(sorted(known)) or "none is registered"
        raise ExtensionError(f"{name} is no {_SAID[kind]} ({there}){hint}")
    parameters = inspect.signature(getattr(found.function, "py_func", found.function)).parameters
    if len(parameters) != _PARAMETERS:
        raise ExtensionError(
            f"{name} takes ({', '.join(parameters)}), but a {_SAID[kind]} takes (z, "
            f"{'pfn' if kind == VICTIM else 'value'})"
        )
    _entry(found)
    return found


def _declared(kind: str) -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=GROUPS[kind]))


def _import(what: str, load: Callable[[], object]) -> None:
    try:
        load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # somebody else's code may raise anything, SystemExit too
        raise ExtensionError(f"cannot import {what}: {_in_words(error)}") from error


def _in_words(error: BaseException) -> str:
    """What somebody else's code has raised, on one line."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - nor need it be able to say what it is
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@lru_cache
def _entry(extension: Extension) -> Any:
    """The compiled function that can be called by address; kept, for its memory is its own."""
    function, zone = extension.function, zone_at(zone_type())
    try:

        @cfunc(types.int64(types.int64, types.int64), error_model="numpy")
        def entry(at, value):
            return function(zone(at), value)

    except Exception as fault:  # numba raises its own, and whatever else it stumbles over
        said = [line.strip() for line in str(fault).splitlines() if line.strip()]
        told = next((line for line in said if "Failed in" not in line), "")
        if not isinstance(fault, NumbaError):
            told = f"{type(fault).__name__}: {told}"
        raise ExtensionError(f"numba cannot compile {extension.name}: {told}") from fault
    return entry


def address(kind: str, name: str, digest: str) -> int:
    """Where kernels call an extension, compiled in this process; 0 for the name "".

    Raises ExtensionError if it is not there, cannot be compiled, or is another than that of the
    digest, with which the study began.
    """
    if not name:
        return 0
    found = find(kind, name)
    if digest and found.digest != digest:
        raise ExtensionError(
            f"{name} is version {found.digest} here, the study's is {digest}; install the same "
            "everywhere"
        )
    at: int = _entry(found).address
    return at
