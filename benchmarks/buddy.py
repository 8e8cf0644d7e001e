"""The buddy allocator against plain C, pure Python and itself with bounds checked.

All replay the same operations on the same memory and must give out the same frames. Two traces:
one keeps memory 90 % full, asking and freeing in turn; the other has bursts, up to 97 % full and
down to 80 %, as under kswapd. 80 % of the requests are of order 0, 12 % of order 1, 8 % of order 3.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import IO, Self

import numpy as np
from numba import njit

from benchmarks.measure import ROUNDS, Row, interleaved, median_ratio

HERE = Path(__file__).resolve().parent
PAGES = 225_280
OPERATIONS = 4_000_000
PYTHON_OPERATIONS = 100_000
"""Pure Python is timed on so many, after memory has been filled."""
ORDERS = np.array([0] * 80 + [1] * 12 + [3] * 8, np.int8)
SHARES = {"alternating": (0.90, 0.90), "bursts": (0.97, 0.80)}
NO_PFN = -1


@njit(cache=True)
def _operations(n, pages, high, low, orders, generator):
    """(order i1, slot i4) of n operations; order >= 0 asks, order < 0 frees what ~order asked."""
    order = np.empty(n, np.int8)
    where = np.empty(n, np.int32)
    live_order = np.empty(pages, np.int8)
    live_slot = np.empty(pages, np.int32)
    idle = np.arange(pages).astype(np.int32)
    live = 0
    used = 0
    filling = True
    for i in range(n):
        if filling and used >= high * pages:
            filling = False
        elif not filling and used <= low * pages:
            filling = True
        if filling or live == 0:
            k = orders[generator.integers(0, len(orders))]
            order[i] = k
            where[i] = idle[live]
            live_order[live] = k
            live_slot[live] = idle[live]
            live += 1
            used += 1 << k
        else:
            j = generator.integers(0, live)
            order[i] = ~live_order[j]
            where[i] = live_slot[j]
            used -= 1 << live_order[j]
            live -= 1
            idle[live] = live_slot[j]
            live_order[j] = live_order[live]
            live_slot[j] = live_slot[live]
    return order, where


@cache
def trace(name: str) -> tuple[np.ndarray, np.ndarray, int]:
    """(order, slot, first): operations from `first` on are timed, those before fill memory."""
    high, low = SHARES[name]
    order, where = _operations(2 * OPERATIONS, PAGES, high, low, ORDERS, np.random.default_rng(1))
    used = np.cumsum(np.where(order >= 0, 1 << np.abs(order), -(1 << np.abs(~order))))
    first = int(np.argmax(used >= high * PAGES))
    return order, where, first


class InC:
    """buddy.c, compiled for this machine; raises OSError without a compiler."""

    def __init__(self, folder: str) -> None:
        library = Path(folder) / "buddy.so"
        gcc = shutil.which("gcc")
        if gcc is None:
            raise OSError("no gcc here")
        subprocess.run(  # noqa: S603
            [gcc, "-O3", "-march=native", "-shared", "-fPIC", "-o", library, HERE / "buddy.c"],
            check=True,
        )
        self._library = ctypes.CDLL(str(library))
        self._library.make_zone.restype = ctypes.c_void_p
        self._library.replay.restype = ctypes.c_int64

    def replay(self, name: str) -> tuple[float, int]:
        """Seconds of the timed operations, and the number that tells the frames given out."""
        order, where, first = trace(name)
        slot = np.full(PAGES, NO_PFN, np.int32)
        zone = ctypes.c_void_p(self._library.make_zone(ctypes.c_int64(PAGES)))

        def run(begin: int, end: int) -> int:
            return self._library.replay(
                zone, ctypes.c_int64(end - begin),
                ctypes.c_void_p(order[begin:].ctypes.data),
                ctypes.c_void_p(where[begin:].ctypes.data),
                ctypes.c_void_p(slot.ctypes.data),
            )  # fmt: skip

        run(0, first)
        started = time.perf_counter()
        seen = run(first, first + OPERATIONS)
        elapsed = time.perf_counter() - started
        self._library.drop_zone(zone)
        return elapsed, seen


@cache
def _replay_kernel():
    """The replay around the allocator that the simulation uses."""
    from study.zone.engine.table import BOUNDSCHECK
    from study.zone.mm.linux_2_6.buddy import free_block, take_block

    @njit(error_model="numpy", boundscheck=BOUNDSCHECK)
    def replay(z, order, where, slot):
        seen = np.int64(0)
        for i in range(np.uint64(len(order))):
            row = np.uint64(where[i])
            if order[i] >= 0:
                pfn = take_block(z, order[i])
                slot[row] = pfn
                seen = seen * 31 + pfn
            elif slot[row] != NO_PFN:
                free_block(z, np.int64(slot[row]), ~order[i])
        return seen

    return replay


def ours(name: str) -> tuple[float, int]:
    """As InC.replay, with study.zone.mm.linux_2_6.buddy."""
    from study.zone.settings import Memory, Settings
    from study.zone.trial.zone import Zone

    order, where, first = trace(name)
    replay = _replay_kernel()
    zone = Zone(Settings(memory=Memory(pages=PAGES, percpu_lists=False)), empty=True)
    slot = np.full(PAGES, NO_PFN, np.int32)
    ascending = np.arange(PAGES, dtype=np.int32)
    # Freed one by one in ascending order, as buddy.c starts.
    replay(zone.state, np.full(PAGES, -1, np.int8), ascending, ascending.copy())
    replay(zone.state, order[:first], where[:first], slot)
    started = time.perf_counter()
    seen = replay(
        zone.state, order[first : first + OPERATIONS], where[first : first + OPERATIONS], slot
    )
    return time.perf_counter() - started, seen


class PurePython:
    """The allocator a textbook would write: a dict and a set of free blocks an order."""

    def __init__(self) -> None:
        self.free: list[dict[int, None]] = [{} for _ in range(11)]
        for pfn in range(PAGES):
            self.give(pfn, 0)

    def take(self, order: int) -> int:
        """A block, the one freed last; NO_PFN if there is none."""
        for found in range(order, 11):
            if self.free[found]:
                pfn, _ = self.free[found].popitem()
                for half in range(found - 1, order - 1, -1):
                    self.free[half][pfn + (1 << half)] = None
                return pfn
        return NO_PFN

    def give(self, pfn: int, order: int) -> None:
        """Free a block, merging it with its buddies."""
        while order < 10:
            buddy = pfn ^ (1 << order)
            if buddy not in self.free[order]:
                break
            del self.free[order][buddy]
            pfn &= ~(1 << order)
            order += 1
        self.free[order][pfn] = None

    def replay(self, order: list[int], where: list[int], slot: list[int]) -> int:
        """Replay operations; a number that tells the frames given out."""
        seen = 0
        for o, w in zip(order, where, strict=True):
            if o >= 0:
                slot[w] = self.take(o)
                seen = seen * 31 + slot[w] & (1 << 64) - 1
            elif slot[w] != NO_PFN:
                self.give(slot[w], ~o)
        return seen


def in_pure_python(name: str) -> tuple[float, int]:
    """As InC.replay; seconds are scaled to the number of operations of the others."""
    order, where, first = trace(name)
    book = PurePython()
    slot = [NO_PFN] * PAGES
    book.replay(order[:first].tolist(), where[:first].tolist(), slot)
    timed = slice(first, first + PYTHON_OPERATIONS)
    o, w = order[timed].tolist(), where[timed].tolist()
    started = time.perf_counter()
    seen = book.replay(o, w, slot)
    return (time.perf_counter() - started) * OPERATIONS / PYTHON_OPERATIONS, seen


class BoundsChecked:
    """Our allocator as the tests run it, in a process of its own that replays when asked."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.buddy"], cwd=HERE.parent, text=True,
            env={**os.environ, "STUDY_BOUNDSCHECK": "1"},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        return self

    def replay(self, name: str) -> tuple[float, int]:
        """As InC.replay."""
        print(name, file=self._process.stdin, flush=True)
        elapsed, seen = next(iter(self._process.stdout or ())).split()
        return float(elapsed), int(seen)

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


def answer(questions: IO[str]) -> None:
    """Replay each trace named on a line; print seconds and what was seen."""
    for line in questions:
        elapsed, seen = ours(line.strip())
        print(elapsed, seen, flush=True)


def measure(rounds: int = ROUNDS) -> list[Row]:
    """Rows of the table: nanoseconds an operation, replay included."""
    with ExitStack() as stack:
        ways: dict[str, Callable[[str], tuple[float, int]]] = {"ours": ours}
        try:
            ways["C"] = InC(stack.enter_context(tempfile.TemporaryDirectory())).replay
        except OSError as error:
            print(f"benchmarks: without the C yardstick: {error}", file=sys.stderr)
        ways["bounds checked"] = stack.enter_context(BoundsChecked()).replay
        return [row for name in SHARES for row in _measure_trace(name, ways, rounds)]


def _measure_trace(
    name: str, ways: dict[str, Callable[[str], tuple[float, int]]], rounds: int
) -> list[Row]:
    seen = {way: replay(name)[1] for way, replay in ways.items()}
    if len(set(seen.values())) > 1:
        raise RuntimeError(f"{name}: not the same frames: {seen}")
    took = interleaved(
        {way: lambda replay=replay: replay(name)[0] for way, replay in ways.items()}, rounds
    )
    python = statistics.median(in_pure_python(name)[0] for _ in range(3))
    ns = {way: 1e9 * statistics.median(times) / OPERATIONS for way, times in took.items()}
    said = f"buddy, {name}"
    rows = []
    if "C" in took:
        ratio = median_ratio(took["ours"], took["C"])
        rows.append(Row(f"{said}: an operation", ns["ours"], "ns", "C", ratio, 1.1))
        rows.append(Row(f"{said}: in C", ns["C"], "ns"))
    ratio = median_ratio(took["bounds checked"], took["ours"])
    checked = ns["bounds checked"]
    rows.append(Row(f"{said}: bounds checked", checked, "ns", "unchecked", ratio, 1.6))
    slow = 1e9 * python / OPERATIONS
    rows.append(Row(f"{said}: pure Python", slow, "ns", "ours", slow / ns["ours"]))
    return rows


if __name__ == "__main__":
    answer(sys.stdin)
