"""The trials as numbers: one array per metric, replicates down, cells across."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from study.results.summary import axis_and_metric_names

if TYPE_CHECKING:
    import pandas as pd

    from study.intervals import Array
    from study.results.trials import TrialColumns


class Measured:
    """Finished trials of a study, ready for sums over cells within a replicate.

    trials      as read_trials() gives them, or by column
    cells       id -> levels, in the order of the scenario
    replicates  their numbers, in ascending order
    metrics     names of all metrics
    """

    def __init__(
        self, trials: pd.DataFrame | TrialColumns, cells: Mapping[str, Mapping[str, Any]]
    ) -> None:
        cell = trials["cell"]
        self._kept = ((trials["status"] == "ok") & cell.isin(list(cells))).to_numpy()
        self.cells = cells
        self.metrics = axis_and_metric_names(trials)[1]
        replicates = trials["replicate"].to_numpy()[self._kept]
        self.replicates, rows = np.unique(replicates, return_inverse=True)
        self.index = {cell: column for column, cell in enumerate(cells)}
        self._place = (rows, cell[self._kept].map(self.index).to_numpy(np.int64))
        self._trials = trials

    def values(self, metric: str) -> Array:
        """Array (replicates, cells) of a metric; NaN where there is no finite value."""
        found = np.full((len(self.replicates), len(self.cells)), np.nan)
        if metric in self.metrics:
            found[self._place] = self._trials[metric].to_numpy(np.float64)[self._kept]
            found[~np.isfinite(found)] = np.nan
        return found

    def total(self, metric: Mapping[str, float]) -> Array:
        """Weighted sum of metrics, (replicates, cells)."""
        whole = np.zeros((len(self.replicates), len(self.cells)))
        for name, factor in metric.items():
            whole = whole + factor * self.values(name)
        return whole

    def over(self, values: Array, weights: Mapping[str, float]) -> Array:
        """Weighted sum over cells of an array (replicates, cells), per replicate.

        NaN in replicates in which one of the cells has no value.
        """
        columns = [self.index[cell] for cell in weights]
        found: Array = values[:, columns] @ np.array(list(weights.values()), np.float64)
        return found
