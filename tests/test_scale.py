"""Long runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

TABLES = ("trials/part-000000.parquet", "series/part-000000.parquet", "summary.csv")


def command(root: Path, *arguments: object) -> dict[str, object]:
    """What subprocess needs to start `study` as a person would."""
    return {
        "args": [sys.executable, "-m", "study", *map(str, arguments)],
        "env": {**os.environ, "PYTHONPATH": str(root)},
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.PIPE,
        "text": True,
    }


def resident(pid: int) -> int:
    """Bytes of a process in memory; 0 when it has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def finished(folder: Path) -> int:
    """Trials that are on disk, by the manifest."""
    try:
        found: int = json.loads((folder / "manifest.json").read_text())["counts"]["finished"]
    except OSError:
        return 0
    return found


@pytest.mark.nightly(part="million")
@pytest.mark.parametrize("trials", [30_000, 1_000_000])
def test_the_driver_does_not_grow_with_the_trials(root: Path, tmp_path: Path, trials: int):
    """In the second half of a run its driver takes what it took in the first; files stay few."""
    out = tmp_path / "out"
    arguments = (root / "benchmarks/trivial.yaml", f"replicates={trials // 4}", "--workers", 2)
    seen: list[tuple[int, int]] = []
    most_files = 0
    began = time.monotonic()
    with subprocess.Popen(**command(root, "run", *arguments, "-q", "--out", out)) as run:
        while run.poll() is None:
            seen.append((finished(out), resident(run.pid)))
            most_files = max(most_files, sum(1 for _ in out.rglob("part-*")))
            time.sleep(0.1)
        _, said = run.communicate()
    took_s = time.monotonic() - began
    assert run.returncode == 0, said
    half = [size for done, size in seen if 0 < done < trials / 2]
    rest = [size for done, size in seen if trials / 2 <= done < trials]

    assert max(rest) < max(half) + 40e6
    assert max(size for _, size in seen) < 1e9
    # Of each table a part for 5,000 rows, or for what came in ten seconds; a few at first.
    assert most_files < 20 + 2 * (trials / 5_000 + took_s / 10)
    assert len(list(out.rglob("part-*"))) == 2
    assert pq.read_metadata(out / TABLES[0]).num_rows == trials
