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

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

from study.scenario import Study


@dataclass(frozen=True)
class Proposal:
    """What `study plan` proposes.

    needed     cells that some claim rests on, of `cells`
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
    """Variance of a difference: `between` trials whatever their length, and `within` times 1 s."""

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


def best_length(
    found: Split, *, ageing_s: float, longest_s: float, shortest_s: float = 10.0
) -> float:
    """Length of the measured phase (s) of which a given certainty takes least time in all.

    A trial takes its ageing and its measured phase, and n replicates are needed in proportion to
    the variance: (a + m)(b + w / m) is least at m = sqrt(a w / b).
    """
    if found.between <= 0:
        return longest_s
    return min(max(sqrt(ageing_s * found.within / found.between), shortest_s), longest_s)


def time_factor(found: Split, *, ageing_s: float, now_s: float, then_s: float) -> float:
    """How many times less time the same certainty takes at another length of the measured phase."""
    now = (ageing_s + now_s) * found.variance(now_s)
    then = (ageing_s + then_s) * found.variance(then_s)
    return now / then if then else 1.0


def differences(
    measured: Any, claims: Iterable[Any], cells: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Claim id -> the difference of its first comparison in each replicate."""
    found = {}
    for claim in claims:
        total = measured.total(claim.metric)
        comparison = claim.comparisons(cells)[0]
        found[claim.id] = measured.over(total, comparison.side) - measured.over(
            total, comparison.reference
        )
    return found
