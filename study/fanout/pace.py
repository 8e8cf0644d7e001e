"""How many trials travel in one task."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil

AIM_S = 1.0
"""Work per task. Below about 0.2 s Ray's own cost per task shows; far above, the ends of a
study are ragged and a lost worker costs more."""

_TASKS_PER_S = 300
"""What a driver is asked to deal out at most; it manages about 700 (docs/scaling.md)."""

_MOST = 16_384
_MEMORY = 0.7
"""Weight of what was known before against the newest task: trials differ between cells."""


class Pace:
    """Sizes tasks from measured trial times.

    The first tasks hold one trial each; towards the end they shrink again, so that all cores
    finish together. Sizes never change a result, only who waits for whom.
    """

    def __init__(self, *, aim_s: float = AIM_S, fixed: int | None = None) -> None:
        """aim_s is the wanted seconds of work per task; fixed, a size that never changes."""
        self.aim_s = aim_s
        self._fixed = fixed
        self._trial_s: float | None = None

    def aim(self, cores: int) -> float:
        """Seconds of work per task: more on so many cores that the driver could not keep up."""
        return max(self.aim_s, cores / _TASKS_PER_S)

    def measured(self, seconds: Iterable[float]) -> None:
        """Learn from one finished task: the wall time of each of its trials."""
        times = list(seconds)
        if not times:
            return
        mean = sum(times) / len(times)
        known = mean if self._trial_s is None else self._trial_s
        self._trial_s = _MEMORY * known + (1 - _MEMORY) * mean

    def size(self, *, cores: int, remaining: int | None) -> int:
        """Trials for the next task, at least 1.

        cores      that share the work
        remaining  trials not yet handed out, None if nobody knows
        """
        if self._fixed is not None:
            return self._fixed
        if self._trial_s is None:
            return 1
        wanted = ceil(self.aim(cores) / max(self._trial_s, 1e-9))
        if remaining is not None:
            wanted = min(wanted, ceil(remaining / (2 * max(cores, 1))))
        return max(1, min(wanted, _MOST))
