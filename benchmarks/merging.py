"""Summarising a million trials of 60 metrics in 500 cells: time and memory, beside plain pandas.

Each turn is a process of its own, so that its peak of memory is its own.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import Row, median_ratio

HERE = Path(__file__).resolve().parent
CELLS, REPLICATES, METRICS = 500, 2_000, 60
BATCH = 50
"""Cells written at once while the table is made."""
ROUNDS = 5


def make(place: Path) -> None:
    """A results folder with so many made-up trials: no simulation, the same files."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from study.results import create_folder
    from study.results.columns import axis_columns, trials_schema
    from study.results.manifest import new_manifest
    from study.results.part import WRITTEN_WITH, digest_of_file
    from study.scenario import load
    from study.zone.engine.compile import digest

    scenario = place.with_name("scenario.yaml")
    rates = ", ".join(f"{1_000 + cell}/s" for cell in range(CELLS))
    scenario.write_text(f"replicates: {REPLICATES}\naxes: {{user.touch_rate: [{rates}]}}\n")
    folder = create_folder(place, new_manifest(load(scenario), simulation=digest(), command=()))
    cells = folder.manifest["cells"]
    axes = axis_columns(folder.manifest["axes"], cells)
    schema = trials_schema(axes, [f"metric_{i}" for i in range(METRICS)])
    folder.trials.mkdir(exist_ok=True)
    generator = np.random.default_rng(1)
    ids = list(cells)
    part = folder.trials / "part-000000.parquet"
    with pq.ParquetWriter(part, schema, **WRITTEN_WITH) as out:
        for first in range(0, CELLS, BATCH):
            chosen = ids[first : first + BATCH]
            rows = len(chosen) * REPLICATES
            levels = [
                np.repeat([cells[cell][axis] for cell in chosen], REPLICATES) for axis in axes
            ]
            arrays = [
                np.repeat(chosen, REPLICATES),
                *levels,
                np.tile(np.arange(REPLICATES), len(chosen)),
                np.full(rows, folder.manifest["seed"], np.uint64),
                np.full(rows, "ok"),
                np.full(rows, ""),
                *generator.normal(size=(METRICS, rows)),
            ]
            columns = [pa.array(a, f.type) for a, f in zip(arrays, schema, strict=True)]
            out.write_table(pa.Table.from_arrays(columns, schema=schema))
    folder.note_part(part, digest_of_file(part))
    folder.manifest["counts"]["finished"] = CELLS * REPLICATES
    folder.save_manifest()


def ours(place: str) -> int:
    """The summary as the end of a run makes it; rows of it."""
    from study.results import open_folder
    from study.results.read import TrialColumns
    from study.results.summary import summarise

    folder = open_folder(place)
    return len(summarise(TrialColumns(folder), cells=folder.manifest["cells"]))


def pandas_alone(place: str) -> int:
    """Count, mean and spread with pandas' own means, without intervals."""
    import pandas as pd

    trials = pd.read_parquet(f"{place}/trials")
    metrics = [name for name in trials.columns if name.startswith("metric_")]
    found = trials.groupby("cell", sort=False)[metrics].agg(["count", "mean", "std"])
    return len(found) * METRICS


WAYS = {"ours": ours, "pandas": pandas_alone}


def measure(rounds: int = ROUNDS) -> list[Row]:
    """Rows of the table: seconds and peak memory of the whole process."""
    with tempfile.TemporaryDirectory() as where:
        place = Path(where) / "results"
        make(place)
        found: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
        for _ in range(rounds):
            for way in WAYS:
                done = subprocess.run(  # noqa: S603
                    [sys.executable, "-m", "benchmarks.merging", way, str(place)],
                    cwd=HERE.parent, check=True, capture_output=True, text=True,
                )  # fmt: skip
                found[way].append(json.loads(done.stdout))
    took = {way: [turn["seconds"] for turn in turns] for way, turns in found.items()}
    peak = {way: statistics.median(turn["mb"] for turn in turns) for way, turns in found.items()}
    ratio = median_ratio(took["ours"], took["pandas"])
    return [
        Row("merging: a million trials", statistics.median(took["ours"]), "s", goal=5.0),
        Row("merging: beside pandas", statistics.median(took["pandas"]), "s", "ours", 1 / ratio),
        Row("merging: peak of memory", peak["ours"], "MB", goal=1_000),
        Row("merging: peak with pandas", peak["pandas"], "MB"),
    ]


if __name__ == "__main__":
    way, place = sys.argv[1:]
    started = time.perf_counter()
    rows = WAYS[way](place)
    seconds = time.perf_counter() - started
    if rows != CELLS * METRICS:
        raise SystemExit(f"{rows} rows")
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "mb": used}))
