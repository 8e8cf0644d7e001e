"""From the command to its first word: help, and the first finished trial, in process and on Ray.

Machine code is compiled before; what the first run of a new version pays for that comes last.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import Row

HERE = Path(__file__).resolve().parent
SCENARIO = HERE / "trivial.yaml"
ROUNDS = 5


def _command(*arguments: str, **environment: str) -> float:
    """Seconds of a command."""
    started = time.perf_counter()
    subprocess.run(  # noqa: S603
        [sys.executable, "-m", "study", *arguments], cwd=HERE.parent, check=True,
        capture_output=True, env={**os.environ, **environment},
    )  # fmt: skip
    return time.perf_counter() - started


def _until_first_trial(*arguments: str, **environment: str) -> float:
    """Seconds from the start of `study run` until its first trial is done.

    Four trials of a few milliseconds: the progress log names what is finished.
    """
    with tempfile.TemporaryDirectory() as where:
        started = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "benchmarks.first_trial", where, *arguments],
            cwd=HERE.parent, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**os.environ, **environment},
        )  # fmt: skip
        with process:
            next(iter(process.stdout or ()))
            elapsed = time.perf_counter() - started
            process.communicate()
        if process.returncode:
            raise RuntimeError(f"{' '.join(arguments)}: exit {process.returncode}")
    return elapsed


def measure(rounds: int = ROUNDS) -> list[Row]:
    """Rows of the table: seconds, medians."""
    ways = {
        "help": lambda: _command("--help"),
        "in process": lambda: _until_first_trial("in-process"),
        "on Ray": lambda: _until_first_trial("ray"),
    }
    for way in ways.values():
        way()
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            took[name].append(way())
    with tempfile.TemporaryDirectory() as empty:
        cold = _until_first_trial("in-process", STUDY_CACHE_DIR=empty)
    middle = {name: statistics.median(times) for name, times in took.items()}
    return [
        Row("start: study --help", middle["help"], "s", goal=0.3),
        Row("start: first trial in process", middle["in process"], "s", goal=3.0),
        Row("start: first trial on Ray, 2 cores", middle["on Ray"], "s", goal=8.0),
        Row("start: first trial of a new version, compiling", cold, "s"),
    ]
