"""Axes that are ranges: points drawn from them all at once, for a study of sensitivity.

    axes:
      user.zipf: { uniform: [0.6, 1.2] }
      processes.fork_rate: { log_uniform: [5/s, 400/s] }
      user.extent: { integers: [4, 64] }
    sampling: { design: saltelli, points: 32 }

saltelli         points x (ranges + 2) cells, for first-order and total indices (Saltelli 2002)
latin-hypercube  `points` cells, each range cut into as many parts; first-order indices
sobol            `points` cells of Sobol's sequence, scrambled; first-order indices

Points depend on the scenario's seed and nothing else. Axes that are lists are crossed with them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from study.scenario.errors import did_you_mean, shown
from study.scenario.trial import Level
from study.scenario.units import count_from, is_short

if TYPE_CHECKING:
    import numpy as np

Kind = Literal["uniform", "log_uniform", "integers"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Design = Literal["saltelli", "latin-hypercube", "sobol"]
POINTS_MOST = 8_192

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|\.[0-9]+)\s*(\D*)")


class SamplingKeys(BaseModel):
    """How points are drawn from axes that are ranges."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    design: Design = "saltelli"
    """How points are laid out."""
    points: Annotated[
        int,
        BeforeValidator(count_from, json_schema_input_type=int | str),
        Field(ge=4, le=POINTS_MOST),
    ] = 32
    """Base points; saltelli and sobol want a power of two."""


@dataclass(frozen=True)
class Range:
    """The values an axis may take: from low to high, in one unit.

    kind       how values are spread: uniform, log_uniform or integers
    low, high  the ends, in the unit
    unit       as it was written behind both ends; empty for plain numbers
    """

    kind: Kind
    low: float
    high: float
    unit: str

    def level(self, position: float) -> Level:
        """The level at a position in [0, 1), as a scenario would have it."""
        if self.kind == "integers":
            whole = int(self.low + math.floor(position * (self.high - self.low + 1)))
            return f"{whole}{self.unit}" if self.unit else whole
        if self.kind == "log_uniform":
            value = self.low * (self.high / self.low) ** position
        else:
            value = self.low + position * (self.high - self.low)
        text = f"{value:.6g}"
        # An exponent is no part of a quantity with a unit.
        text = f"{value:.0f}" if "e" in text and value >= 1 else text
        return f"{text}{self.unit}" if self.unit else float(text)

    def ends(self) -> tuple[Level, Level]:
        """The lowest and the highest level."""
        return self.level(0.0), self.level(math.nextafter(1.0, 0.0))

    def within(self) -> Level:
        """A level between the ends, which is whole only where all are."""
        return self.level((math.sqrt(5) - 1) / 2)

    def as_integers(self) -> str | None:
        """The same ends as `integers` has them; None if it has them, or they are not whole."""
        if self.kind == "integers" or not (self.low.is_integer() and self.high.is_integer()):
            return None
        return f"[{int(self.low)}{self.unit}, {int(self.high)}{self.unit}]"


def is_range(levels: Any) -> bool:
    """Is it a range, rather than a list of levels or levels with names?"""
    return isinstance(levels, dict) and bool(levels) and set(levels) <= set(KINDS)


def range_of(key: str, raw: Mapping[str, Any]) -> Range:
    """The range that stands under an axis. Raises ValueError with what is wrong with it."""
    word, ends = next(iter(raw.items()))
    kind = next((known for known in KINDS if known == word), None)
    if len(raw) != 1 or kind is None:
        hint = did_you_mean(str(word), KINDS)
        raise ValueError(f"{key} is {shown(raw)}; a range is one of {', '.join(KINDS)}{hint}")
    if not isinstance(ends, list) or len(ends) != 2:
        raise ValueError(f"{key} has {kind} {shown(ends)}; it takes two ends: [low, high]")
    found = []
    for end in ends:
        text = str(end) if isinstance(end, str | int | float) else ""
        usable = is_short(text) and not isinstance(end, bool)
        match = _QUANTITY.fullmatch(text.strip()) if usable else None
        if match is None or not math.isfinite(float(match[1])):
            raise ValueError(f"{key} has the end {shown(end)}; it must be a number with its unit")
        found.append((float(match[1]), match[2]))
    (low, unit), (high, other) = found
    if unit != other:
        raise ValueError(f"{key} has ends in {unit or 'no unit'} and {other or 'no unit'}; use one")
    if not low < high:
        raise ValueError(f"{key} goes from {shown(ends[0])} to {shown(ends[1])}; low comes first")
    if kind == "log_uniform" and low <= 0:
        raise ValueError(f"{key} is log_uniform from {shown(ends[0])}; it must begin above 0")
    if kind == "integers" and not (low.is_integer() and high.is_integer()):
        raise ValueError(f"{key} has integers {shown(ends)}; both ends must be whole")
    return Range(kind, low, high, unit)


def rows_of(design: Design, points: int, ranges: int) -> int:
    """How many points a design has."""
    return points * (ranges + 2) if design == "saltelli" else points


def draw(
    ranges: Mapping[str, Range], sampling: SamplingKeys, *, seed: int
) -> list[dict[str, Level]]:
    """The points of a design, in its order: key -> level.

    Saltelli's order is that of SALib: for each base point A, then A with one coordinate of B for
    each range, then B.
    """
    positions = _positions(sampling, len(ranges), seed)
    return [
        {
            key: axis.level(float(position))
            for (key, axis), position in zip(ranges.items(), row, strict=True)
        }
        for row in positions
    ]


def _positions(sampling: SamplingKeys, ranges: int, seed: int) -> Sequence[Sequence[float]]:
    import numpy as np
    from scipy.stats import qmc

    chance = np.random.default_rng(seed)
    if sampling.design == "latin-hypercube":
        return list(qmc.LatinHypercube(ranges, rng=chance).random(sampling.points))
    dimensions = 2 * ranges if sampling.design == "saltelli" else ranges
    sequence = qmc.Sobol(dimensions, scramble=True, rng=chance)
    base: np.ndarray[Any, np.dtype[np.float64]] = sequence.random(
        2 ** math.ceil(math.log2(sampling.points))
    )[: sampling.points]
    if sampling.design == "sobol":
        return list(base)
    rows = []
    for point in base:
        first, second = point[:ranges], point[ranges:]
        rows.append(first)
        for index in range(ranges):
            mixed = first.copy()
            mixed[index] = second[index]
            rows.append(mixed)
        rows.append(second)
    return rows
