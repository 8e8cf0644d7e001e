"""What a study could leave out, or average over, and still decide its claims.

Before anything has run: which cells no claim needs, and which axes no claim compares. Cells of all
levels of such an axis are averaged; if they share a load, their mean is hardly surer than one of
them, and if each combination has a load of its own (`nuisance:`), as much surer as there are of
them. Policies are not proposed: what is chosen is compared sooner or later.

After a pilot: how the variance of a claim's difference splits into what differs from trial to trial
and what averages out within one, from two lengths of the measured phase; and the length that
decides the claims in least time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, sqrt

import numpy as np

from study.intervals import CONFIDENCE
from study.scenario import Claim, Study
from study.statistics.measured import Measured
from study.statistics.verdict import replicates_for
from study.zone.trial.metrics import COLUMNS, Metric, Result, is_share

_SHORTEST_S = 10.0
_LONGEST = 4.0
"""Times the ageing that a measured phase is proposed to take at most."""
_REPLICATES_LEAST = 5
_SUMS = (Metric("").by, COLUMNS["reclaimed_pages"].metric.by)
"""What makes a sum of counters, of one kind or of all."""


@dataclass(frozen=True)
class Proposal:
    """What `study plan` proposes.

    cells      that the study has
    needed     those that some claim rests on
    nuisance   axes with at least two levels that no claim compares and that are no policy
    loads      combinations of their levels among the cells that are needed
    """

    cells: int
    needed: int
    nuisance: tuple[str, ...]
    loads: int

    @property
    def fewer_cells(self) -> float:
        """How many times fewer trials a study of the needed cells alone takes."""
        return self.cells / self.needed if self.needed else 1.0


def propose(study: Study, *, is_policy: Callable[[str], bool]) -> Proposal | None:
    """What a study with claims need not run, and what it could average over; None without claims.

    Parameters
    ----------
    study
        As it was loaded.
    is_policy
        Whether an axis is one of policies.
    """
    if not study.claims:
        return None
    cells = {cell.id: cell.levels for cell in study.cells}
    needed: set[str] = set()
    compared: set[str] = set()
    for claim in study.claims:
        compared |= set(claim.side)
        for _, side in claim.sides():
            if side is not claim.where:
                compared |= set(side)
        for comparison in claim.comparisons(cells):
            needed |= {*comparison.cells}
    free = [
        axis
        for axis, levels in study.axes.items()
        if len(levels) > 1
        and axis not in compared
        and axis not in study.nuisance
        and not is_policy(axis)
        and len({cells[cell].get(axis) for cell in needed}) > 1
    ]
    loads = {tuple(cells[cell].get(axis) for axis in free) for cell in needed}
    return Proposal(len(cells), len(needed), tuple(free), len(loads))


@dataclass(frozen=True)
class Split:
    """Variance of a claim's difference over replicates, in the square of its unit.

    between  of trials, whatever their length
    within   what the measured phase adds, times 1 s
    """

    between: float
    within: float

    def variance(self, measure_s: float) -> float:
        """Of one replicate's difference at this length of the measured phase."""
        return self.between + self.within / measure_s


def split(lengths: Sequence[float], variances: Sequence[float]) -> Split:
    """The split that fits variances at two or more lengths of the measured phase (s), least
    squares in 1 / length; neither part is below 0.
    """
    inverse = [1 / length for length in lengths]
    mean_x = sum(inverse) / len(inverse)
    mean_y = sum(variances) / len(variances)
    spread = sum((x - mean_x) ** 2 for x in inverse)
    both = sum((x - mean_x) * (y - mean_y) for x, y in zip(inverse, variances, strict=True))
    within = max(both / spread, 0.0) if spread else 0.0
    between = mean_y - within * mean_x
    if between < 0:
        # All of it averages out.
        between, within = 0.0, mean_y / mean_x
    return Split(between, within)


@dataclass(frozen=True)
class Advice:
    """The length of the measured phase that decides the claims in least time.

    measure_s   that length
    now_s       the scenario's own
    replicates  that the hardest claim needs there; None: no number
    factor      how many times less simulated time than at the scenario's own length
    between     for each claim the share of its variance, at the scenario's length, that no longer
                window takes away
    left_out    claims that nothing is said about: on what neither is a share nor a count, or is
                a sum of both; or without a spread
    """

    measure_s: float
    now_s: float
    replicates: int | None
    factor: float
    between: Mapping[str, float]
    left_out: tuple[str, ...]


def advise(
    pilots: Mapping[float, Measured],
    claims: Sequence[Claim],
    *,
    ageing_s: float,
    now_s: float,
    alpha: float = 1 - CONFIDENCE,
) -> Advice | None:
    """How long to measure, from pilots of at least two lengths.

    A claim's difference varies between trials, whatever their length, and within one, which a
    longer window averages out: variance = between + within / length. Each trial takes its ageing
    and its measured phase. Counts are more in a longer window: they are taken as those of the
    scenario's own, of which its margins speak.

    Parameters
    ----------
    pilots
        Length of the measured phase (s) -> the finished trials of a study of the same cells.
    claims
        To be decided.
    ageing_s, now_s
        Of the scenario.
    alpha
        Chance of any wrong verdict.

    Returns
    -------
    Advice or None
        None if no claim is on shares, or on counts, and has a spread in every pilot.
    """
    splits: dict[str, Split] = {}
    distances: dict[str, float] = {}
    for claim in claims:
        found = _variances(pilots, claim, now_s)
        if found is None:
            continue
        variances, distances[claim.id] = found
        splits[claim.id] = split(list(pilots), variances)
    if not splits:
        return None

    def needed(length: float) -> int | None:
        each = [
            replicates_for([distances[name] / sqrt(one.variance(length))], alpha / len(splits))
            for name, one in splits.items()
        ]
        whole = [n for n in each if n is not None]
        return max(whole) if whole else None

    def cost(length: float) -> float:
        return (ageing_s + length) * float(needed(length) or inf)

    lengths = [now_s, *(_SHORTEST_S * 1.25**step for step in range(40))]
    best = min((s for s in lengths if s <= max(_LONGEST * ageing_s, now_s)), key=cost)
    return Advice(
        measure_s=float(f"{best:.2g}"),
        now_s=now_s,
        replicates=needed(best),
        factor=cost(now_s) / cost(best) if cost(best) < inf else 1.0,
        between={name: one.between / one.variance(now_s) for name, one in splits.items()},
        left_out=tuple(claim.id for claim in claims if claim.id not in splits),
    )


def is_count(name: str) -> bool:
    """Is the metric a number of events or pages, which grows as the measured phase does?"""
    if name not in COLUMNS or is_share(name) or name.endswith(("_end", "_mean")):
        return False
    metric = COLUMNS[name].metric
    return metric.by in _SUMS and not isinstance(metric, Result)


def _variances(
    pilots: Mapping[float, Measured], claim: Claim, now_s: float
) -> tuple[list[float], float] | None:
    """Variance of a claim's difference in each pilot, and how far its mean is from the nearer
    margin; counts as those of a window of `now_s`.
    """
    counts = all(map(is_count, claim.metric))
    if not counts and not all(map(is_share, claim.metric)):
        return None
    found: dict[float, list[tuple[float, float]]] = {-1.0: [], 1.0: []}
    for length, measured in pilots.items():
        comparison = claim.comparisons(measured.cells)[0]
        total = measured.total(claim.metric) * (now_s / length if counts else 1.0)
        gap = measured.over(total, comparison.side) - measured.over(total, comparison.reference)
        gap = gap - comparison.constant
        margin = np.full_like(gap, claim.matters)
        if claim.relative:
            margin *= measured.over(total, comparison.scale) + comparison.scale_constant
        whole = np.isfinite(gap) & np.isfinite(margin)
        gap, margin = gap[whole], margin[whole]
        if len(gap) < _REPLICATES_LEAST or np.ptp(gap) == 0:
            return None
        for sign, edges in found.items():
            edge = gap - sign * margin
            edges.append((float(edge.var(ddof=1)), float(edge.mean())))
    nearer = min(found.values(), key=lambda edges: abs(sum(mean for _, mean in edges)))
    variances, means = zip(*nearer, strict=True)
    return list(variances), abs(sum(means) / len(means))
