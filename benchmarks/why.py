"""`study why`: from the shell to the answer, and the slowest of many mutated reports."""

from __future__ import annotations

import importlib.util
import statistics
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

from benchmarks.measure import Row

ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / "tests" / "data" / "kernel-reports" / "6.6-order-4.txt"
FUZZ = ROOT / "tests" / "why" / "test_fuzz.py"
ROUNDS = 7
MUTATED = 1_000


def _command(*arguments: str) -> float:
    """Seconds of a command."""
    started = time.perf_counter()
    subprocess.run(  # noqa: S603
        [sys.executable, "-m", "study", "why", *arguments], cwd=ROOT, check=True,
        capture_output=True,
    )  # fmt: skip
    return time.perf_counter() - started


def _fuzz() -> ModuleType:
    """The fuzz test's module, whose reports are mutated here too."""
    spec = importlib.util.spec_from_file_location("test_fuzz", FUZZ)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"{FUZZ} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def measure(rounds: int = ROUNDS) -> list[Row]:
    """Rows of the table: seconds."""
    ways = {"a report": (str(REPORT),), "this machine": ("--here",)}
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, arguments in ways.items():
            took[name].append(_command(*arguments))
    fuzz = _fuzz()
    slowest = 0.0
    for seed in range(MUTATED):
        text = fuzz.mutated(seed)
        started = time.perf_counter()
        fuzz.answered(text)
        slowest = max(slowest, time.perf_counter() - started)
    return [
        *(
            Row(f"why: {name}", statistics.median(times[1:]), "s", goal=0.3)
            for name, times in took.items()
        ),
        Row(f"why: slowest of {MUTATED:,} mutated reports", slowest, "s", goal=0.2),
    ]
