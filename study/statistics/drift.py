"""Is a zone still changing while it is measured? A check of each cell's samples over time.

    slope   what a series gains a minute from the middle of the ageing to the end, by least squares
            in each trial; over replicates a paired test that it is 0 (intervals.py), at 5 % for
            all cells and series of a study together (Holm)
    mser_s  where MSER-5 would cut the mean series of the cell: the cut after which the standard
            error of the mean of what is left, in batches of five samples, is least (White 1997,
            Simulation 69:323); it looks at cuts in the first half alone

Samples lie close together and hang on each other, trials do not: so the trial is the unit of the
test, and no model of the series is needed. What still changes is no fault of a figure, but part of
it: it holds for this uptime.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from study.intervals import CONFIDENCE, mean_interval, mean_test
from study.results.errors import ResultsError
from study.scenario.matrix import named_axes
from study.scenario.units import nanoseconds_from
from study.statistics.contrasts import MARKED_LEAST, holm

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd

    from study.intervals import Array
    from study.results import Tables
    from study.results.model import Manifest

SERIES = {
    "free_pages": "free pages",
    "scattered_share": "share of free memory in blocks below order 3",
    "anonymous_pages": "anonymous pages",
    "kernel_pages": "kernel pages",
}
"""What is looked at, and what to call it."""
ORDER = 3
MINUTE = 60e9
BATCH = 5
MSER_CELLS_MOST = 500


def drift(results: Tables) -> pd.DataFrame:
    """One row per cell and series.

    Parameters
    ----------
    results
        Of a study whose trials left samples that can be read; of others the table is empty.

    Returns
    -------
    pandas.DataFrame
        Columns cell, series, n (replicates), level (mean of the measured phase), slope, low, high
        (a minute, with a 95 % interval), p, p_holm, drifts (whether p_holm is at most 5 %), mser_s.
        Numbers that a cell has too few samples or replicates for are NaN.
    """
    import pandas as pd

    cells: dict[str, Any] = results.cells
    try:
        sums, means = _sums(results, cells)
    except ResultsError:
        # Missing samples are reported where they are to be drawn; nothing else needs them.
        sums, means = _Sums(), _Means(wanted=False)
    rows = []
    for name in SERIES:
        for number, cell in enumerate(cells):
            slopes, levels = sums.slopes(number, name)
            rows.append(
                {
                    "cell": cell,
                    "series": name,
                    **_tested(slopes, levels),
                    "mser_s": means.cut(cell, name),
                }
            )
    names = [*("cell", "series", "n", "level", "slope", "low", "high", "p", "mser_s")]
    table = pd.DataFrame(rows, columns=names)
    table["p_holm"] = holm(table["p"].to_numpy(np.float64))
    table["drifts"] = table["p_holm"] <= 1 - CONFIDENCE
    return table[table["n"] > 0].reset_index(drop=True)


def drift_lines(table: pd.DataFrame, *, cells: int, ageing: str) -> Iterator[str]:
    """What drifts, in sentences; nothing if nothing is known to.

    Parameters
    ----------
    table
        As drift() gives it.
    cells
        Of the study.
    ageing
        As the scenario has it.
    """
    changing = []
    for name, label in SERIES.items():
        rows = table[(table["series"] == name) & table["drifts"]]
        if rows.empty:
            continue
        least, most = rows["slope"].min(), rows["slope"].max()
        size = _signed(least) if len(rows) == 1 else f"{_signed(least)} to {_signed(most)}"
        of = "" if cells == 1 else f" in {len(rows)} of {cells} cells"
        changing.append(f"{label}{of} ({size} a minute)")
    if changing:
        yield (
            f"Still changing when it was measured, after {ageing} of ageing: "
            f"{'; '.join(changing)}. Figures hold for this uptime."
        )


def _signed(value: float) -> str:
    return f"{value:+,.0f}" if abs(value) >= 100 else f"{value:+.2g}"


def _tested(slopes: Array, levels: Array) -> dict[str, Any]:
    nan = float("nan")
    found: dict[str, Any] = dict.fromkeys(("level", "slope", "low", "high", "p"), nan)
    found["n"] = len(slopes)
    if not len(slopes):
        return found
    found |= {"level": float(levels.mean()), "slope": float(slopes.mean())}
    if len(slopes) < MARKED_LEAST or np.ptp(slopes) == 0:
        return found
    interval = mean_interval(slopes)
    bounds = {"low": float(interval.low), "high": float(interval.high)}
    return found | bounds | {"p": float(mean_test(slopes))}


class _Sums:
    """Sums over the samples of each trial, from which the slope of a line through them follows."""

    def __init__(self) -> None:
        self._found: dict[str, dict[int, dict[int, Array]]] = {name: {} for name in SERIES}

    def add(self, cell: Array, replicate: Array, minute: Array, series: Mapping[str, Array],
            measured: Array) -> None:  # fmt: skip
        """Add some samples.

        cell, replicate  of each; minute of uptime; whether it is of the measured phase
        """
        trials, places = np.unique(np.stack([cell, replicate]), axis=1, return_inverse=True)
        for name, y in series.items():
            use = np.isfinite(y)
            at, t, value = places.ravel()[use], minute[use], y[use]
            inside = measured[use].astype(float)
            terms = (np.ones_like(t), t, t * t, value, t * value, inside, inside * value)
            sums = np.stack(
                [np.bincount(at, weights=term, minlength=trials.shape[1]) for term in terms]
            )
            for number, (c, r) in enumerate(trials.T.tolist()):
                of_cell = self._found[name].setdefault(c, {})
                of_cell[r] = of_cell.get(r, np.zeros(len(sums))) + sums[:, number]

    def slopes(self, cell: int, name: str) -> tuple[Array, Array]:
        """(slopes a minute, means of the measured phase) of the trials of a cell."""
        sums = list(self._found[name].get(cell, {}).values())
        if not sums:
            return np.empty(0), np.empty(0)
        n, t, tt, y, ty, inside, level = np.stack(sums).T
        with np.errstate(all="ignore"):
            slopes = (n * ty - t * y) / (n * tt - t * t)
            levels = level / inside
        usable = np.isfinite(slopes) & np.isfinite(levels)
        return slopes[usable], levels[usable]


class _Means:
    """Mean series of each cell, for MSER-5."""

    def __init__(self, *, wanted: bool) -> None:
        self._wanted = wanted
        self._sums: pd.DataFrame | None = None

    def add(self, samples: pd.DataFrame, series: Mapping[str, Array]) -> None:
        """Add some samples, and the series worked out from them."""
        if not self._wanted:
            return
        frame = samples[["cell", "time_ns"]].assign(count=1.0, **series)
        grouped = frame.groupby(["cell", "time_ns"], observed=True).sum()
        self._sums = grouped if self._sums is None else self._sums.add(grouped, fill_value=0)

    def cut(self, cell: str, name: str) -> float:
        """Where MSER-5 would cut, s; NaN if that is not known."""
        if self._sums is None or cell not in self._sums.index:
            return float("nan")
        of_cell = self._sums.loc[cell].sort_index()
        values = (of_cell[name] / of_cell["count"]).to_numpy(np.float64)
        batch = mser_cut(values)
        if batch is None:
            return float("nan")
        return float(of_cell.index[batch * BATCH - 1] / 1e9) if batch else 0.0


def mser_cut(values: Array) -> int | None:
    """Batches of five values that MSER-5 would leave out; None of fewer than four batches."""
    count = len(values) // BATCH
    if count < 4 or not np.isfinite(values).all():
        return None
    means = values[: count * BATCH].reshape(count, BATCH).mean(axis=1)
    tails = [means[cut:] for cut in range(count // 2 + 1)]
    errors = [float(((tail - tail.mean()) ** 2).sum()) / len(tail) ** 2 for tail in tails]
    return int(np.argmin(errors))


def _sums(results: Tables, cells: Mapping[str, Mapping[str, Any]]) -> tuple[_Sums, _Means]:
    from study.results.read import series_batches

    sums, means = _Sums(), _Means(wanted=len(cells) <= MSER_CELLS_MOST)
    numbers = {cell: number for number, cell in enumerate(cells)}
    begins = np.array(
        [nanoseconds_from(raw) / 2 for raw in clock_of(results.manifest, "ageing").values()]
    )
    for samples in series_batches(results.folder):
        if not {"nr_free0", "phase", *SERIES} - {"scattered_share"} <= set(samples.columns):
            break
        series = _series(samples)
        means.add(samples, series)
        cell = samples["cell"].map(numbers).to_numpy(np.float64)
        known = np.isfinite(cell)
        time = samples["time_ns"].to_numpy(np.float64)
        late = known.copy()
        late[known] = time[known] >= begins[cell[known].astype(np.int64)]
        sums.add(
            cell[late].astype(np.int64),
            samples["replicate"].to_numpy(np.int64)[late],
            time[late] / MINUTE,
            {name: values[late] for name, values in series.items()},
            samples["phase"].to_numpy()[late] == 1,
        )
    return sums, means


def _series(samples: pd.DataFrame) -> dict[str, Array]:
    free = samples["free_pages"].to_numpy(np.float64)
    large = np.zeros(len(samples))
    order = ORDER
    while f"nr_free{order}" in samples:
        large += samples[f"nr_free{order}"].to_numpy(np.float64) * 2.0**order
        order += 1
    with np.errstate(all="ignore"):
        scattered = 1 - large / free
    found = {"free_pages": free, "scattered_share": scattered}
    return found | {
        name: samples[name].to_numpy(np.float64) for name in SERIES if name not in found
    }


def clock_of(manifest: Manifest, phase: str) -> dict[str, str | int | float]:
    """A duration of each cell: of an axis, of a level with a name of its own, or of the base.

    Parameters
    ----------
    manifest
        Of a results folder.
    phase
        "ageing", "measure" or "sample".
    """
    key, scenario = f"clock.{phase}", manifest["scenario"]
    named = named_axes(scenario)
    found = {}
    for cell, levels in manifest["cells"].items():
        named_levels = [named.get(axis, {}).get(str(level), {}) for axis, level in levels.items()]
        settings = [levels, *named_levels, {key: scenario["base"]["clock"][phase]}]
        found[cell] = next(one[key] for one in settings if key in one)
    return found
