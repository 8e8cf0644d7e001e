"""When a study has enough replicates: decided from the finished rows and from nothing else.

The study looks at its rows after `min` replicates, then after twice as many, and so on up to
`max`. Each look works at 5 % divided by the number of looks there can be (Bonferroni's way of
spending alpha): however often a study looks and whenever it stops, an interval misses its mean at
most once in twenty, as long as each look's own interval holds. Doubling keeps the looks few, so
that this costs little; a confidence sequence would allow a look after every trial, and pay for it
at the sizes that matter here with intervals half as wide again. intervals.py says how rates near 0
and 1 are kept from ending a study early; the floor under `min` does the rest.

`min` is 20 unless given. Of studies whose claim lies on its margin, so that any verdict is wrong,
4 % then decide where differences are normal or exponential, and 7 % where they are lognormal
(tests/statistics/test_coverage.py); with a `min` of 5 it is 2, 9 and 12 %.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from study.scenario.claims import Claim
from study.scenario.stopping import Stopping
from study.statistics.contrasts import axis_pairs, both_sides
from study.statistics.intervals import CONFIDENCE, differing_share, mean_interval
from study.statistics.measured import Measured
from study.zone.trial.metrics import is_share

if TYPE_CHECKING:
    import pandas as pd

    from study.statistics.intervals import Array

DIFFERING_MOST = 0.05
"""A metric of no known range that is always the same is known once fewer trials can differ."""


def replicates_wanted(
    stopping: Stopping,
    trials: pd.DataFrame,
    cells: Mapping[str, Mapping[str, Any]],
    claims: Iterable[Claim] = (),
) -> dict[str, int]:
    """Cell id -> replicates it should have before the next look; cells that are done are left out.

    trials  as read_trials() gives it, failed ones included: they have been run

    Between looks, and while replicates are missing, the answer is the look that comes next.
    """
    looks = stopping.looks()
    finished = dict.fromkeys(cells, 0) | trials["cell"].value_counts().to_dict()
    wanted = {cell: _look_from(looks, finished[cell]) for cell in cells}
    missing = {cell: count for cell, count in wanted.items() if finished[cell] < count}
    if missing:
        return missing
    unsettled = _unsettled(stopping, Measured(trials, cells), trials, claims)
    return {
        cell: _look_from(looks, finished[cell] + 1)
        for cell in cells
        if cell in unsettled and finished[cell] < stopping.most
    }


def _look_from(looks: tuple[int, ...], count: int) -> int:
    """The first look at `count` replicates or later; the last one if there is none."""
    return next((look for look in looks if look >= count), looks[-1])


def _unsettled(
    stopping: Stopping, measured: Measured, trials: pd.DataFrame, claims: Iterable[Claim]
) -> set[str]:
    """Cells that need more replicates."""
    from study.statistics.verdict import judge

    alpha = (1 - CONFIDENCE) / len(stopping.looks())
    if stopping.metric is None or stopping.half_width is None:
        claims = list(claims)
        judged = judge(claims, trials, measured.cells, alpha=alpha)
        return {
            cell
            for claim, verdict in zip(claims, judged, strict=True)
            if verdict.verdict == "undecided" and verdict.n
            for comparison in claim.comparisons(measured.cells)
            for cell in comparison.cells
        }
    values = measured.values(stopping.metric)
    if stopping.axis is None:
        share = is_share(stopping.metric)
        return {
            cell
            for cell, column in measured.index.items()
            if not _known(values[:, column], stopping.half_width, alpha, share=share)
        }
    unsettled: set[str] = set()
    for pair in axis_pairs(measured.cells, [stopping.axis]):
        left, right, _ = both_sides(measured, values, pair)
        if not _known(left - right, stopping.half_width, alpha, share=False):
            unsettled |= {*pair.left, *pair.right}
    return unsettled


def _known(values: Array, half_width: float, alpha: float, *, share: bool) -> bool:
    """Is the mean known to within half_width? What has no value at all is as known as can be."""
    values = values[np.isfinite(values)]
    if not len(values):
        return True
    if len(values) < 2:
        return False
    found = mean_interval(values, confidence=1 - alpha, share=share)
    if not share and bool(found.equal):
        return differing_share(len(values), confidence=1 - alpha) <= DIFFERING_MOST
    return bool(settled(found.half_width, found.sparse, half_width))


def settled(reached: Array, sparse: Array, half_width: float) -> Array:
    """Which means need no more trials."""
    found: Array = (reached <= half_width) & ~sparse
    return found
