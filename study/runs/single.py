"""One simulated zone by itself: what it measured, and its samples as a data frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from study.scenario import Study
    from study.scenario.trial import Level


@dataclass(frozen=True)
class Simulated:
    """One trial: what `study run` would have as a row, and the samples of its zone.

    Parameters
    ----------
    cell
        Its id.
    levels
        Axis -> level; empty without axes.
    replicate, seed
        Which load it met.
    metrics
        Name -> value; NaN where there is none. `study metrics` says what each is.
    series
        One row a sample: `time_ns`, `phase` (0 ageing, 1 measured), free blocks by order as
        `nr_free0` to `nr_free10`, and pages by use.
    """

    cell: str
    levels: Mapping[str, Level]
    replicate: int
    seed: int
    metrics: pd.Series[float]
    series: pd.DataFrame

    def __repr__(self) -> str:
        return (
            f"<Simulated cell {self.cell}, replicate {self.replicate}, seed {self.seed}: "
            f"{len(self.series)} samples>"
        )


def simulate_one(study: Study, *, replicate: int = 0) -> Simulated:
    """Run one trial of a study with one cell, here; nothing is written.

    Parameters
    ----------
    study
        From study.load().
    replicate
        Which load it meets, from 0 on.

    Returns
    -------
    Simulated
        The numbers that a run of that study has in the row of that replicate.

    Raises
    ------
    ValueError
        The study has several cells, or no such replicate can be.
    RuntimeError
        The trial failed; the message says why.
    """
    import pandas as pd

    from study.fanout import prepare_simulation
    from study.fanout.trial import run_trial
    from study.results.columns import series_table
    from study.scenario import Trial

    if len(study.cells) != 1:
        axes = ", ".join(study.axes)
        raise ValueError(f"{len(study.cells)} cells (axes {axes}): give each axis one level")
    if replicate < 0:
        raise ValueError(f"replicate is {replicate}; it must be at least 0")
    [cell] = study.cells
    prepare_simulation()
    row = run_trial(Trial(cell, replicate, study.seeds()[cell.id]), extensions=study.allowed)
    if row.status == "failed":
        raise RuntimeError(row.error)
    series: pd.DataFrame = series_table([row]).to_pandas()
    return Simulated(
        cell.id,
        cell.levels,
        replicate,
        row.seed,
        pd.Series(dict(row.metrics), name="value"),
        series.drop(columns=["cell", "replicate"]),
    )
