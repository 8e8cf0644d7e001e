"""A results folder in the making."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from study.fanout import Row, in_process
from study.results import Store, create_folder
from study.results.manifest import new_manifest
from study.scenario import Study, load

SAMPLE = np.dtype([("time_ns", "i8"), ("phase", "u1"), ("nr_free", "i4", (11,))])


@pytest.fixture(scope="session")
def tiny(root: Path) -> Study:
    """Four cells, three replicates."""
    return load(root / "tests/fanout/tiny.yaml")


@pytest.fixture
def make_store(tiny: Study, tmp_path: Path) -> Callable[..., Store]:
    """A store for `tiny` in a new folder of a given name."""

    def make(name: str = "out", study: Study = tiny) -> Store:
        manifest = new_manifest(study, simulation="0123456789abcdef", command=("study", "run"))
        return Store(create_folder(tmp_path / name, manifest))

    return make


@pytest.fixture(scope="session")
def rows(tiny: Study) -> list[Row]:
    """One row for every trial of `tiny`, with numbers that are easy to foresee.

    `served` is 0.5 more under the second policy, 0.1 more per replicate; `same` never changes;
    `absent` never has a value; `even` has one in even replicates only. The last trial failed.
    """
    made = []
    for trial in tiny.trials():
        cell, replicate = trial.cell, trial.replicate
        series = np.zeros(4, SAMPLE)
        series["time_ns"] = np.arange(4) * 100
        series["nr_free"] = np.arange(11) + replicate
        aware = cell.levels["kswapd.policy"] == "order-aware"
        metrics = {
            "served": 1.0 + 0.5 * aware + 0.1 * replicate,
            "same": 3.0,
            "absent": float("nan"),
            "even": float(replicate) if replicate % 2 == 0 else float("nan"),
        }
        made.append(
            Row(cell.id, cell.levels, replicate, trial.seed, "ok", metrics=metrics, series=series)
        )
    last = made[-1]
    made[-1] = Row(last.cell, last.levels, last.replicate, last.seed, "failed", "ValueError: no")
    return made


@pytest.fixture(scope="session")
def simulated(tiny: Study) -> list[Row]:
    """Rows that a run can go on from: those of the simulation. The last trial failed."""
    made = [row for some in in_process(tiny.trials()) for row in some]
    last = made[-1]
    made[-1] = Row(last.cell, last.levels, last.replicate, last.seed, "failed", "ValueError: no")
    return made


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of two megabytes, in memory; only root may make one."""
    path = tmp_path / "disk"
    path.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {made.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)
