"""Claims: what a study is to decide, as data.

A claim compares a metric between two groups of cells (or between one group and a number) and
says which way the difference should go and how large it must be to matter:

    claims:
      - id: order-aware-serves-more
        says: The order-aware kswapd lowers high-order failures.
        metric: rx_success_ratio            # or a sum: {reclaimed_pages: 1, rx_failures: 16}
        where: { nic.receive: linear }      # holds for both sides
        side: { kswapd.policy: order-aware }
        against: { kswapd.policy: count-only }
        expect: more                        # more, less or same
        matters: 0.005                      # or 10%, of what `against` has (of its gain, with
        `baseline`)

Cells are averaged within a side, over those settings of the other axes under which both sides were
run. A list of sides under `against` must each be beaten. With `baseline` both sides count from
there, and with `share: 0.5` only half of what `against` has is asked for; then there must be a
gain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from study.scenario.errors import shown
from study.scenario.trial import Level

Levels = Mapping[str, Level | list[Level]]
"""Dotted axis key -> the level, or the levels, that a cell must have."""
Weights = dict[str, float]
"""Cell id -> its weight in a sum."""

_PERCENT_DIGITS = 20
"""Of a percentage that is written without an exponent."""
_GROUPINGS_MOST = 32


@dataclass(frozen=True)
class Comparison:
    """One difference that a claim rests on: side - reference - constant, each a weighted sum.

    against         what it is compared with, in words
    side            weighted sum of the cells that the claim is about
    reference       weighted sum that is taken away from it: the share of what `against` has
    other           weighted sum of what it is compared with; empty for a number
    scale           weighted sum that, with `scale_constant`, a margin in per cent refers to: what
                    `against` has, or its gain over the baseline if there is one
    constant        number that is taken away, in the metric's unit
    scale_constant  number that is added to `scale`
    number          what it is compared with, if that is a number
    """

    against: str
    side: Weights
    reference: Weights
    other: Weights
    scale: Weights
    constant: float = 0.0
    scale_constant: float = 0.0
    number: float = 0.0

    @property
    def cells(self) -> list[str]:
        """Ids of all cells it needs."""
        return list(dict.fromkeys((*self.side, *self.reference, *self.other, *self.scale)))


@dataclass(frozen=True)
class Claim:
    """A claim, checked. Fields are those of ClaimKeys (keys.py), where not said otherwise.

    Parameters
    ----------
    id, says, where, side, baseline, share, expect
        As in ClaimKeys.
    metric
        Name -> factor.
    against
        Sides to compare with, or one number in the metric's unit.
    matters
        The smallest difference that matters, in the metric's unit or as a share.
    relative
        Whether `matters` is a share of what `against` has (of its gain, with a baseline).
    """

    id: str
    says: str
    metric: Mapping[str, float]
    where: Levels
    side: Levels
    against: tuple[Levels, ...] | float
    baseline: Levels | None
    share: float
    expect: Literal["more", "less", "same"]
    matters: float
    relative: bool

    def plain(self) -> dict[str, Any]:
        """The claim as it may stand in a scenario.

        Returns
        -------
        dict
            Of values that JSON knows; claim_from_plain() makes an equal claim of it.
        """
        against = self.against if isinstance(self.against, float) else list(self.against)
        return {
            "id": self.id,
            "says": self.says,
            "metric": dict(self.metric),
            "where": dict(self.where),
            "side": dict(self.side),
            "against": against,
            "baseline": None if self.baseline is None else dict(self.baseline),
            "share": self.share,
            "expect": self.expect,
            "matters": _percent(self.matters) if self.relative else self.matters,
        }

    def sides(self) -> Iterator[tuple[tuple[str | int, ...], Levels]]:
        """Every group of levels it names.

        Yields
        ------
        tuple
            (path of its key below the claim, levels): `where` and `side` first, then those of
            `against`, last the baseline.
        """
        yield ("where",), self.where
        yield ("side",), self.side
        if isinstance(self.against, tuple):
            for index, side in enumerate(self.against):
                yield ("against",) if len(self.against) == 1 else ("against", index), side
        if self.baseline is not None:
            yield ("baseline",), self.baseline

    def comparisons(
        self, cells: Mapping[str, Mapping[str, Level]] | CellsByLevel
    ) -> tuple[Comparison, ...]:
        """The claim as sums over cells.

        Parameters
        ----------
        cells
            Cell id -> levels. For several claims make one CellsByLevel of it.

        Returns
        -------
        tuple of Comparison
            One for each side of `against`; one for a number.

        Raises
        ------
        ValueError
            The study has not the cells for it; the text says why.
        """
        others: Sequence[Levels | None] = (None,)
        if isinstance(self.against, tuple):
            others = self.against
        by_level = cells if isinstance(cells, CellsByLevel) else CellsByLevel(cells)
        return tuple(self._comparison(by_level, other) for other in others)

    def _comparison(self, cells: CellsByLevel, other: Levels | None) -> Comparison:
        named = [side for side in (self.side, other, self.baseline) if side is not None]
        # A level that all sides have is no difference: the cells of each of a list are matched.
        alike = {
            key
            for key, level in self.side.items()
            if other is not None
            and all(key in side and _each(side[key]) == _each(level) for side in named)
        }
        compared = frozenset(key for side in named for key in side) - alike
        groups = [cells.by_rest({**self.where, **side}, compared) for side in named]
        for side, group in zip(named, groups, strict=True):
            if not group:
                raise ValueError(f"no cell has {words({**self.where, **side})}")
        shared = [rest for rest in groups[0] if all(rest in group for group in groups)]
        if not shared:
            raise ValueError(f"{' and '.join(map(words, named))} share no setting of other axes")
        sums = [_mean_over(group, shared) for group in groups]
        base = sums[-1] if self.baseline is not None else {}
        if other is not None and sums[0] == sums[1]:
            raise ValueError(f"{words(self.side)} is compared with itself")
        if other is not None:
            reference = _sum((self.share, sums[1]), (1 - self.share, base))
            scale = _sum((1.0, sums[1]), (-1.0, base))
            return Comparison(words(other), sums[0], reference, sums[1], scale)
        number = 0.0 if isinstance(self.against, tuple) else self.against
        reference = _sum((1 - self.share, base))
        constant = self.share * number
        return Comparison(
            f"{number:g}",
            sums[0],
            reference,
            {},
            _sum((-1.0, base)),
            constant,
            number,
            number,
        )


def _each(level: Level | list[Level]) -> set[tuple[type, Level]]:
    """The levels of one, or of a list in any order; 1 and true are two."""
    return {(type(each), each) for each in (level if isinstance(level, list) else [level])}


def words(levels: Levels) -> str:
    """Levels as a reader would write them: kswapd.policy order-aware, defrag.mode off or evict."""
    return ", ".join(
        f"{key} {' or '.join(map(shown, level)) if isinstance(level, list) else shown(level)}"
        for key, level in levels.items()
    )


class TooManyCells(ValueError):
    """Claims for which more cells would have to be gone through than anybody waits for."""


class CellsByLevel:
    """The cells of a study, found by their levels.

    Parameters
    ----------
    cells
        Id -> levels.
    most
        Cells that may be gone through in all; None for any number.
    """

    def __init__(
        self, cells: Mapping[str, Mapping[str, Level]], *, most: int | None = None
    ) -> None:
        self.cells = cells
        self.left = most
        self._all = list(cells)
        self._places = {cell: place for place, cell in enumerate(cells)}
        self._having: dict[str, dict[Level, list[str]]] = {}
        self._rests: dict[frozenset[str], dict[str, int]] = {}
        for cell, levels in cells.items():
            for key, level in levels.items():
                self._having.setdefault(key, {}).setdefault(level, []).append(cell)

    @property
    def levels(self) -> Mapping[str, Mapping[Level, list[str]]]:
        """Axis -> level -> the cells that have it; levels in the order of the cells."""
        return self._having

    def by_rest(self, wanted: Levels, compared: frozenset[str]) -> dict[int, list[str]]:
        """Cells that have the wanted levels, by what the axes say that are not compared.

        Returns
        -------
        dict[int, list[str]]
            A number for each setting of those axes, the same for all that are asked with the same
            `compared` -> ids.

        Raises
        ------
        TooManyCells
            So many may not be gone through.
        """
        rests = self._rests_of(compared)
        near = self._near(wanted)
        self._look_at(len(near) + 1)
        found: dict[int, list[str]] = {}
        for cell in near:
            levels = self.cells[cell]
            if all(has(levels, key, level) for key, level in wanted.items()):
                found.setdefault(rests[cell], []).append(cell)
        return found

    def _look_at(self, count: int) -> None:
        if self.left is not None:
            self.left -= count
            if self.left < 0:
                raise TooManyCells

    def _rests_of(self, compared: frozenset[str]) -> dict[str, int]:
        """Cell -> number of what the axes say that are not compared."""
        if compared not in self._rests:
            self._look_at(len(self.cells))
            if len(self._rests) >= _GROUPINGS_MOST:
                self._rests.clear()
            numbers: dict[tuple[tuple[str, Level], ...], int] = {}
            self._rests[compared] = {
                cell: numbers.setdefault(
                    tuple((key, level) for key, level in levels.items() if key not in compared),
                    len(numbers),
                )
                for cell, levels in self.cells.items()
            }
        return self._rests[compared]

    def _near(self, wanted: Levels) -> Sequence[str]:
        """The fewest cells of which it is known that all those with the wanted levels are among."""
        fewest: Sequence[str] = self._all
        for key, level in wanted.items():
            levels = dict.fromkeys(level if isinstance(level, list) else [level])
            having = self._having.get(key, {})
            lists = [having[each] for each in levels if each in having]
            if sum(map(len, lists)) < len(fewest):
                fewest = lists[0] if len(lists) == 1 else self._in_order(lists)
        return fewest

    def _in_order(self, lists: Sequence[Sequence[str]]) -> list[str]:
        return sorted((cell for some in lists for cell in some), key=self._places.__getitem__)


def has(levels: Mapping[str, Level], key: str, wanted: Level | list[Level]) -> bool:
    """Has a cell the level, or one of the levels, of this axis?"""
    return key in levels and levels[key] in (wanted if isinstance(wanted, list) else [wanted])


def _mean_over(groups: Mapping[int, list[str]], rests: Sequence[int]) -> Weights:
    return {cell: 1 / len(rests) / len(groups[rest]) for rest in rests for cell in groups[rest]}


def _sum(*terms: tuple[float, Weights]) -> Weights:
    total: Weights = {}
    for factor, weights in terms:
        for cell, weight in weights.items():
            total[cell] = total.get(cell, 0.0) + factor * weight
    return {cell: weight for cell, weight in total.items() if weight}


def _percent(share: float) -> str:
    """The shortest text that keys.py reads as just this share."""
    percent = Decimal(repr(share)).scaleb(2).normalize()
    return f"{percent:f}%" if abs(percent.adjusted()) < _PERCENT_DIGITS else f"{percent}%"
