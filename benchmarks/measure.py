"""How a time is taken: variants in turn, so that what else the machine does falls on all alike."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

ROUNDS = 7


@dataclass(frozen=True)
class Row:
    """One line of the table.

    what       names the measurement, with its group before the colon
    value      the median, in `unit`
    yardstick  what it is held against, "" if nothing
    ratio      value / yardstick's median in the same run, 0 if nothing
    goal       the limit of the ratio, or of the value if there is no yardstick; 0 if none
    more       more is better (a rate), not less (a time)
    """

    what: str
    value: float
    unit: str
    yardstick: str = ""
    ratio: float = 0.0
    goal: float = 0.0
    more: bool = False

    @property
    def judged(self) -> float:
        """The figure that the goal speaks of."""
        return self.ratio or self.value

    @property
    def met(self) -> bool:
        """Is the goal reached, if there is one?"""
        if not self.goal:
            return True
        return self.judged >= self.goal if self.more else self.judged <= self.goal

    def as_json(self) -> dict[str, object]:
        """For the file."""
        return asdict(self)


def interleaved(
    variants: Mapping[str, Callable[[], float]], rounds: int = ROUNDS
) -> dict[str, list[float]]:
    """Seconds each variant says it took, by name, after a first turn that does not count."""
    for run in variants.values():
        run()
    found: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, run in variants.items():
            found[name].append(run())
    return found


def median_ratio(ours: list[float], theirs: list[float]) -> float:
    """The median of the rounds' ratios: on a busy machine steadier than a ratio of medians."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
