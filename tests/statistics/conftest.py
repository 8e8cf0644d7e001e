"""Studies whose rows are made up, in real results folders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from study.fanout import Row
from study.results import Store, create_folder
from study.results.manifest import new_manifest
from study.scenario import load_text
from study.statistics import Findings, write_findings

Metrics = Callable[[Mapping[str, Any], int], dict[str, float] | None]


@pytest.fixture
def make_findings(tmp_path: Path) -> Callable[..., Findings]:
    """Findings of a scenario (text) whose metrics a function of levels and replicate gives.

    None stands for a trial that failed.
    """

    def make(
        text: str, metrics: Metrics, *, name: str = "out", elapsed_s: float = 60.0
    ) -> Findings:
        study = load_text(text, "made-up.yaml")
        manifest = new_manifest(study, simulation="0123456789abcdef", command=("study",))
        store = Store(create_folder(tmp_path / name, manifest))
        rows = []
        for trial in study.trials():
            cell, replicate = trial.cell, trial.replicate
            found = metrics(cell.levels, replicate)
            status = "ok" if found else "failed"
            row = Row(cell.id, cell.levels, replicate, trial.seed, status, metrics=found or {})
            rows.append(row if found else replace(row, error="made to fail"))
        store.add(rows)
        first = list(next(row.metrics for row in rows if row.metrics))
        store.close(
            "complete", elapsed_s=elapsed_s, headline=[(metric, metric) for metric in first]
        )
        return write_findings(store.folder)

    return make


def trials_of(
    values: np.ndarray, counts: Mapping[str, int], *, metric: str = "rx_success_ratio"
) -> pd.DataFrame:
    """A trials table: the first so many values of each row, a row a cell."""
    rows = [
        (cell, replicate, 1, "ok", "", values[index, replicate])
        for index, (cell, count) in enumerate(counts.items())
        for replicate in range(count)
    ]
    names = ["cell", "replicate", "seed", "status", "error", metric]
    return pd.DataFrame(rows, columns=names)
