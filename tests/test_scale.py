"""Long runs, and runs that are broken off again and again."""

from __future__ import annotations

import json
import os
import random
import signal
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


@pytest.mark.slow
@pytest.mark.parametrize("trials", [30_000, pytest.param(1_000_000, marks=pytest.mark.nightly)])
def test_the_driver_does_not_grow_with_the_trials(root: Path, tmp_path: Path, trials: int):
    """In the second half of a run its driver takes what it took in the first; files stay few."""
    out = tmp_path / "out"
    arguments = (root / "benchmarks/trivial.yaml", f"replicates={trials // 4}", "--workers", 2)
    seen: list[tuple[int, int]] = []
    most_files = 0
    with subprocess.Popen(**command(root, "run", *arguments, "-q", "--out", out)) as run:
        while run.poll() is None:
            seen.append((finished(out), resident(run.pid)))
            most_files = max(most_files, sum(1 for _ in out.rglob("part-*")))
            time.sleep(0.1)
        _, said = run.communicate()
    assert run.returncode == 0, said
    half = [size for done, size in seen if 0 < done < trials / 2]
    rest = [size for done, size in seen if trials / 2 <= done < trials]

    assert max(rest) < max(half) + 40e6
    assert max(size for _, size in seen) < 1e9
    assert most_files < 20 + trials / 2_000
    assert len(list(out.rglob("part-*"))) == 2
    assert pq.read_metadata(out / TABLES[0]).num_rows == trials


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_moment_again_and_again(root: Path, tmp_path: Path, seed: int):
    """However often a run is killed or asked to end, on Ray or without, it ends with all rows."""
    dice = random.Random(seed)
    broken, sound = tmp_path / "broken", tmp_path / "sound"
    arguments = (root / "tests/fanout/tiny.yaml", "replicates=100", "clock.measure=5s", "-q")
    before = 0
    for _ in range(12):
        way = dice.choice([("--no-ray",), ("--workers", 2)])
        with subprocess.Popen(**command(root, "run", *arguments, *way, "--out", broken)) as run:
            try:
                run.wait(dice.uniform(0.5, 20))
            except subprocess.TimeoutExpired:
                run.send_signal(dice.choice([signal.SIGKILL, signal.SIGTERM]))
            _, said = run.communicate(timeout=120)
        # A signal may come before the command has begun to heed it.
        assert run.returncode in {0, 130, -signal.SIGKILL, -signal.SIGTERM}, said
        if (broken / "manifest.json").exists():
            told = subprocess.run(
                [sys.executable, "-m", "study", "status", str(broken), "--json"],
                cwd=root, capture_output=True, text=True, check=True,
            )  # fmt: skip
            now = json.loads(told.stdout)["counts"]
            assert now["finished"] >= before
            assert now["failed"] == 0
            before = now["finished"]
    for folder in (broken, sound):
        subprocess.run(**command(root, "run", *arguments, "--no-ray", "--out", folder), check=True)

    for table in TABLES:
        assert (broken / table).read_bytes() == (sound / table).read_bytes(), table
    assert not (broken / "damaged").exists()
