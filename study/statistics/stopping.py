"""When a study has enough replicates: decided from the finished rows and from nothing else.

The study looks at its rows after `min` replicates, then after twice as many, and so on up to
`max`. Each look sees the rows that were wanted for it and no others: a run that was broken off in
the middle of a round goes on as if it had not been. looks.py says how the chance of 5 % is spent
over the looks there can be: however often a study looks and whenever it stops, an interval misses
its mean at most once in twenty, as long as each look's own interval holds. Doubling keeps the looks
few, so that this costs little; a confidence sequence would allow a look after every trial, and pay
for it at the sizes that matter here with intervals half as wide again. intervals.py says how rates
near 0 and 1 are kept from ending a study early; the floor under `min` does the rest, and no
precision counts as reached while its interval is marked.

Until `claims`: the cells of claims that are open get more replicates, those of decided ones do
not. A claim is given up when what was seen leaves it a chance of less than a tenth to be decided
at `max` (futility: the predictive power of Spiegelhalter, Freedman and Blackburn 1986, Controlled
Clinical Trials 7:8, in which the mean seen is as uncertain as it is). Giving up decides nothing,
so that no error becomes more frequent. What is seen in (nearly) every replicate is known once few
can differ.

`min` is 20 unless given. Of studies whose claim lies on its margin, so that any verdict is wrong,
tests/statistics/test_coverage.py measures how many decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from study.intervals import CONFIDENCE, differing_share, mean_interval
from study.scenario.claims.comparison import Claim
from study.scenario.stopping import Stopping
from study.statistics.contrasts import axis_pairs, both_sides
from study.statistics.looks import spent_at
from study.statistics.measured import Measured
from study.zone.trial.metrics import is_share

if TYPE_CHECKING:
    import pandas as pd

    from study.intervals import Array, MeanInterval

_NAMED_MOST = 3
"""Open claims that are named."""
DIFFERING_MOST = 0.05
"""A metric of no known range that is always the same is known once fewer trials can differ."""


class Wanted(dict[str, int]):
    """Cell id -> replicates it should have before the next look; cells that are done are left out.

    why  what is not known yet, in a few words; empty if everything is, or rows are missing
    """

    why: str = ""


def replicates_wanted(
    stopping: Stopping,
    trials: pd.DataFrame,
    cells: Mapping[str, Mapping[str, Any]],
    claims: Iterable[Claim] = (),
) -> Wanted:
    """How many replicates each cell should have before the next look.

    Parameters
    ----------
    stopping
        The rule of the scenario.
    trials
        As read_trials() returns them, failed ones included: they have been run.
    cells
        Id -> levels by axis.
    claims
        Those that the rule waits for.

    Returns
    -------
    Wanted
        Cell id -> replicates; cells that need no more are left out. `why` says what is open.
    """
    looks = stopping.looks()
    counts = trials["cell"].value_counts()
    finished = {cell: int(counts.get(cell, 0)) for cell in cells}
    claims = list(claims)
    # What was wanted before is found again from the rows that it rested on.
    allotted = dict.fromkeys(cells, looks[0])
    found = Wanted()
    while True:
        missing = {cell: count for cell, count in allotted.items() if finished[cell] < count}
        if missing:
            return _wanted(missing, found.why)
        found = _after_look(stopping, trials, cells, allotted, claims)
        if not found:
            break
        allotted |= found
    if all(finished[cell] == allotted[cell] for cell in cells):
        return found
    # More is there than this rule asked for: of a study that it is to extend.
    allotted = {cell: _look_from(looks, max(finished[cell], allotted[cell])) for cell in cells}
    missing = {cell: count for cell, count in allotted.items() if finished[cell] < count}
    return (
        _wanted(missing, "") if missing else _after_look(stopping, trials, cells, finished, claims)
    )


def _wanted(replicates: Mapping[str, int], why: str) -> Wanted:
    found = Wanted(replicates)
    found.why = why
    return found


def _after_look(
    stopping: Stopping,
    trials: pd.DataFrame,
    cells: Mapping[str, Mapping[str, Any]],
    seen: Mapping[str, int],
    claims: Sequence[Claim],
) -> Wanted:
    """What a look wants that sees so many replicates of each cell."""
    trials = trials[trials["replicate"] < trials["cell"].map(dict(seen))]
    unsettled, open_ = _unsettled(stopping, Measured(trials, cells), trials, claims)
    found = {
        cell: _look_from(stopping.looks(), seen[cell] + 1)
        for cell in cells
        if cell in unsettled and seen[cell] < stopping.most
    }
    if not unsettled:
        return Wanted()
    return _wanted(found, open_ if found else f"max {stopping.most:,} replicates reached, {open_}")


def _look_from(looks: tuple[int, ...], count: int) -> int:
    """The first look at `count` replicates or later; the last one if there is none."""
    return next((look for look in looks if look >= count), looks[-1])


def _unsettled(
    stopping: Stopping, measured: Measured, trials: pd.DataFrame, claims: Sequence[Claim]
) -> tuple[set[str], str]:
    """Cells that need more replicates, and what is open."""
    looks = stopping.looks()
    if stopping.metric is None or stopping.half_width is None:
        return _open_cells(stopping, measured, trials, claims)
    values = measured.values(stopping.metric)
    open_ = f"{stopping.said or stopping.metric} not known to ±{stopping.half_width:g}"
    if stopping.axis is None:
        share = is_share(stopping.metric)
        cells = {
            cell
            for cell, column in measured.index.items()
            if not _known(values[:, column], stopping.half_width, looks, share=share)
        }
        return cells, open_
    unsettled: set[str] = set()
    for pair in axis_pairs(measured.cells, [stopping.axis], long_axes=True):
        left, right, _ = both_sides(measured, values, pair)
        if not _known(left - right, stopping.half_width, looks, share=False):
            unsettled |= {*pair.left, *pair.right}
    return unsettled, f"{open_} between levels of {stopping.axis}"


def _open_cells(
    stopping: Stopping, measured: Measured, trials: pd.DataFrame, claims: Sequence[Claim]
) -> tuple[set[str], str]:
    """Cells of claims that are open and may yet be decided, and the ids of these claims."""
    from study.statistics.verdict import judge

    judged = judge(claims, trials, measured.cells, looks=stopping.looks(), most=stopping.most)
    unsettled: set[str] = set()
    ids = []
    for claim, verdict in zip(claims, judged, strict=True):
        known = differing_share(max(verdict.n, 1)) <= DIFFERING_MOST
        open_ = verdict.verdict == "undecided" and not verdict.hopeless
        open_ |= verdict.verdict in ("always seen", "never seen") and not known
        if open_ and verdict.n:
            ids.append(claim.id)
            for comparison in claim.comparisons(measured.cells):
                unsettled |= {*comparison.cells}
    named = ", ".join(ids[:_NAMED_MOST]) + f" and {len(ids) - _NAMED_MOST} more" * (
        len(ids) > _NAMED_MOST
    )
    return unsettled, f"{len(ids)} claim{'s' * (len(ids) != 1)} open ({named})"


def _known(values: Array, half_width: float, looks: Sequence[int], *, share: bool) -> bool:
    """Is the mean known to within half_width? What has no value at all is as known as can be."""
    values = values[np.isfinite(values)]
    if not len(values):
        return True
    if len(values) < 2:
        return False
    alpha = (1 - CONFIDENCE) * spent_at(len(values), looks)
    found = mean_interval(values, confidence=1 - alpha, share=share)
    if not share and bool(found.equal):
        return differing_share(len(values), confidence=1 - alpha) <= DIFFERING_MOST
    return bool(settled(found, half_width))


def settled(found: MeanInterval, half_width: float) -> Array:
    """Which means need no more trials."""
    done: Array = (found.half_width <= half_width) & ~found.sparse & ~found.marked
    return done
