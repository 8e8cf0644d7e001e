"""What the cures that came after 2004 cost a zone of 2.6.8, in which all of them are off.

A copy of the package in which their switches are the constant 0, so that the compiler drops what
stands behind them, runs in turn with the package as it is. In the end every frame must hold the
same.

    python -m benchmarks switches
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Row, interleaved, median_ratio

ROUNDS = 15
GOAL = 1.03
SWITCHES = tuple(
    """
    grouping placement reserve nofragment lumpy ignore_references no_io
    boost_factor boost_asked boost kswapd_boost kswapd_boost_left
    compact_direct_order compact_daemon compact_proactiveness defrag_choice stack_source recycle
    nr_recycled
    """.split()  # noqa: SIM905
)
"""Fields of the zone's record that a cure is switched by; 0 is 2.6.8 for all of them."""
_READ = re.compile(rf"\bz\.(?:zone\.)?({'|'.join(SWITCHES)})\b(?!\s*([-+|]?=)(?!=))")
_WORKER = """
import hashlib, sys
from benchmarks.zone import run_minute
from study.zone.settings import Settings
for _ in sys.stdin:
    seconds, _, zone = run_minute(Settings())
    print(seconds, hashlib.sha256(zone.frame.tobytes()).hexdigest(), flush=True)
"""


def stripped(source: str) -> str:
    """A module of the zone with every switch read as 0; where one is set it stays."""
    return _READ.sub("0", source)


class _Worker:
    """A process that runs the zone's benchmark with the package found in a folder."""

    def __init__(self, folder: Path) -> None:
        # `benchmarks` is this one, `study` the folder's.
        paths = os.pathsep.join([str(folder), str(Path(__file__).resolve().parents[1])])
        self.process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", _WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": paths},
            cwd=folder,
        )
        self.ends: set[str] = set()

    def run(self) -> float:
        """Seconds of a simulated minute."""
        stdin, stdout = self.process.stdin, self.process.stdout
        if stdin is None or stdout is None:
            raise ValueError("a worker answers through its pipes")
        stdin.write("\n")
        stdin.flush()
        seconds, end = stdout.readline().split()
        self.ends.add(end)
        return float(seconds)

    def end(self) -> None:
        self.process.communicate()


def measure(rounds: int = ROUNDS) -> list[Row]:
    """One row: the default load under 2.6.8, as it is and without the switches."""
    package = Path(__file__).resolve().parents[1] / "study"
    with tempfile.TemporaryDirectory() as made:
        bare = Path(made) / "study"
        shutil.copytree(package, bare, ignore=shutil.ignore_patterns("__pycache__"))
        for module in (bare / "zone").rglob("*.py"):
            module.write_text(stripped(module.read_text()))
        workers = {"as it is": _Worker(package.parent), "without": _Worker(bare.parent)}
        took = interleaved({name: worker.run for name, worker in workers.items()}, rounds)
        for worker in workers.values():
            worker.end()
    if len(set().union(*(worker.ends for worker in workers.values()))) != 1:
        raise AssertionError("without the switches the zone ends otherwise")
    ratio = median_ratio(took["as it is"], took["without"])
    middle = {name: statistics.median(times) for name, times in took.items()}
    return [
        Row(
            "switches: a simulated minute",
            1e3 * middle["as it is"],
            "ms",
            yardstick="without them",
            ratio=ratio,
            goal=GOAL,
        ),
        Row("switches: without them", 1e3 * middle["without"], "ms"),
    ]
