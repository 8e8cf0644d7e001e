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

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo

from study.scenario.errors import FAULTS_MOST, did_you_mean, listing, shown
from study.scenario.machine.requests import column_of
from study.scenario.trial import Level
from study.scenario.units import is_short
from study.zone.trial.metrics import METRICS

Levels = Mapping[str, Level | list[Level]]
"""Dotted axis key -> the level, or the levels, that a cell must have."""
Weights = dict[str, float]
"""Cell id -> its weight in a sum."""

_PERCENT = re.compile(r"([0-9]{1,99}(?:\.[0-9]{1,99})?(?:[eE][-+]?[0-9]{1,3})?)\s{0,99}%")
_PERCENT_DIGITS = 20
"""Of a percentage that is written without an exponent."""


CLAIMS_MOST = 1_000
AGAINST_MOST = 1_000
"""Sides of one claim."""
LOOKED_AT_MOST = 2_000_000
"""Cells that all claims of a scenario may have to be gone through for, some seconds' work."""
_GROUPINGS_MOST = 32
_HINTS_MOST = 20
"""Findings for which a like name is searched for."""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


_ID = "^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$"


def _identity(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(_ID, value):
        raise ValueError(
            f"is {shown(value)}; it must be letters, digits, dot, dash and underscore, at most 40"
        )
    return value


def _metric(value: Any, info: ValidationInfo) -> Any:
    names = {value: 1} if isinstance(value, str) else value
    if not isinstance(names, dict) or not names:
        raise ValueError(f"is {shown(value)}; it is a metric's name, or a map of names to factors")
    found: dict[str, float] = {}
    for name, factor in names.items():
        column = column_of(str(name), info.context or ())
        if column not in METRICS:
            raise ValueError(f"is {shown(name)}, which is no metric{did_you_mean(name, METRICS)}")
        if not _is_number(factor):
            raise ValueError(f"has the factor {shown(factor)} for {name}; it must be a number")
        found[column] = found.get(column, 0.0) + float(factor)
    return found


def _matters(value: Any) -> tuple[float, bool]:
    """(size, whether it is a share of what the other side has)."""
    percent = _PERCENT.fullmatch(value.strip()) if is_short(value) else None
    if percent and (share := float(Decimal(percent[1]).scaleb(-2))) < 1e300:
        return share, True
    if not _is_number(value) or value < 0:
        raise ValueError(f"is {shown(value)}; it must be a number, not negative, or like 10%")
    return float(value), False


def _percent(share: float) -> str:
    """The shortest text that _matters() reads as just this share."""
    percent = Decimal(repr(share)).scaleb(2).normalize()
    return f"{percent:f}%" if abs(percent.adjusted()) < _PERCENT_DIGITS else f"{percent}%"


def _levels(value: Any) -> Any:
    if not isinstance(value, dict) or not all(map(_is_wanted, value.values())):
        raise ValueError(f"is {shown(value)}; it maps axes to a level or to a list of levels")
    return value


def _is_wanted(value: Any) -> bool:
    """Is it a level, or a list of levels?"""
    levels = value if isinstance(value, list) else [value]
    return not any(isinstance(level, dict | list) for level in levels)


def _against(value: Any) -> Any:
    if _is_number(value):
        return float(value)
    sides = value if isinstance(value, list) else [value]
    if not sides or not all(isinstance(side, dict) for side in sides):
        raise ValueError(f"is {shown(value)}; it is a side (axes with levels), a list, or a number")
    if len(sides) > AGAINST_MOST:
        raise ValueError(f"has {len(sides):,} sides; at most {AGAINST_MOST:,}")
    return [_levels(side) for side in sides]


class ClaimKeys(BaseModel):
    """One entry of `claims:` as it is written."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    id: Annotated[
        str,
        BeforeValidator(_identity, json_schema_input_type=Annotated[str, Field(pattern=_ID)]),
    ]
    """A short name: letters, digits, dot, dash and underscore, at most 40."""
    says: Annotated[str, Field(min_length=1)]
    """The sentence that is tested."""
    metric: Annotated[
        dict[str, float],
        BeforeValidator(_metric, json_schema_input_type=str | dict[str, float]),
    ]
    """A metric, or several with factors, which are summed."""
    where: Annotated[dict[str, Any], BeforeValidator(_levels)] = {}
    """Levels that all cells have on both sides."""
    side: Annotated[dict[str, Any], BeforeValidator(_levels)]
    """Levels of the cells that the claim is about."""
    against: Annotated[
        float | list[dict[str, Any]],
        BeforeValidator(
            _against, json_schema_input_type=float | dict[str, Any] | list[dict[str, Any]]
        ),
    ]
    """What they are compared with: levels of other cells, a list of such sides, or a number."""
    baseline: Annotated[dict[str, Any] | None, BeforeValidator(lambda v: v and _levels(v))] = None
    """Cells from which the gain of both sides is counted."""
    share: Annotated[float, Field(gt=0, lt=1e6)] = 1.0
    """How much of what `against` has the side must reach."""
    expect: Literal["more", "less", "same"]
    """Which way the difference should go."""
    matters: Annotated[
        tuple[float, bool], BeforeValidator(_matters, json_schema_input_type=float | str)
    ]
    """The smallest difference that matters, as a number or in per cent of what `against` has,
    counted from the baseline if there is one."""


@dataclass(frozen=True)
class Comparison:
    """One difference that a claim rests on: side - reference - constant, each a weighted sum.

    against   what it is compared with, in words
    other     weighted sum of what it is compared with; empty for a number
    scale     weighted sum that, with `scale_constant`, a margin in per cent refers to: what
              `against` has, or its gain over the baseline if there is one
    """

    against: str
    side: Weights
    reference: Weights
    other: Weights
    scale: Weights
    constant: float = 0.0
    scale_constant: float = 0.0

    @property
    def cells(self) -> list[str]:
        """Ids of all cells it needs."""
        return list(dict.fromkeys((*self.side, *self.reference, *self.other, *self.scale)))


@dataclass(frozen=True)
class Claim:
    """A claim, checked. The fields are those of ClaimKeys, where not said otherwise.

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

    @classmethod
    def from_plain(cls, raw: Mapping[str, Any], requests: Sequence[str] = ()) -> Claim:
        """Check an entry of a scenario, or what plain() gave.

        Parameters
        ----------
        raw
            As ClaimKeys has it.
        requests
            Names of the study's requests, by which metrics may be called.

        Returns
        -------
        Claim
            Its levels are not compared with those of a study yet.

        Raises
        ------
        pydantic.ValidationError
            Keys or values are not those of ClaimKeys.
        """
        keys = ClaimKeys.model_validate(dict(raw), context=requests)
        against = keys.against if isinstance(keys.against, float) else tuple(keys.against)
        return cls(
            id=keys.id,
            says=" ".join(keys.says.split()),
            metric=keys.metric,
            where=keys.where,
            side=keys.side,
            against=against,
            baseline=keys.baseline,
            share=keys.share,
            expect=keys.expect,
            matters=keys.matters[0],
            relative=keys.matters[1],
        )

    def plain(self) -> dict[str, Any]:
        """The claim as it may stand in a scenario.

        Returns
        -------
        dict
            Of values that JSON knows; from_plain() makes an equal claim of it.
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
            if other is not None and all(side.get(key) == level for side in named)
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
            number if base else constant,
        )


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


Finding = tuple[tuple[Any, ...], str]
"""Path below `claims`, and a sentence about it."""


def read_claims(
    raw: Any,
    cells: Mapping[str, Mapping[str, Level]],
    *,
    requests: Sequence[str],
    say: Callable[[ValidationError, Callable[[str], str]], Iterator[Finding]],
    cut: Callable[[int], bool],
) -> tuple[list[Claim], list[Finding]]:
    """The claims of a scenario, and what is wrong with them.

    raw    what stands under `claims:`
    cells  id -> levels; none if something else keeps the study from being unfolded, and then only
           the form of claims is looked at
    requests  names of the study's requests
    say    puts pydantic's findings into words
    cut    whether levels may have been taken away since the claim of that index was written, so
           that it may lack its cells; such a claim is left out, for nothing can be said about it
    """
    if raw is None:
        return [], []
    if not isinstance(raw, list):
        return [], [((), f"claims is {shown(raw)}; it must be a list of claims")]
    if len(raw) > CLAIMS_MOST:
        return [], [((), f"there are {len(raw):,} claims; at most {CLAIMS_MOST:,}")]
    claims: list[Claim] = []
    wrong: list[Finding] = []
    ids: set[str] = set()
    by_level = CellsByLevel(cells, most=LOOKED_AT_MOST)
    for index, entry in enumerate(raw):
        if len(wrong) > FAULTS_MOST:
            break
        try:
            claim = _read_claim(entry, index, requests, say)
        except _Wrong as error:
            wrong += [((index, *path), text) for path, text in error.findings]
            wrong += [
                ((index, *path), f"{_told(entry, index)}: {text}")
                for path, text in (() if cut(index) else _levels_of(entry, by_level, requests))
            ]
            continue
        if claim.id in ids:
            wrong.append(((index, "id"), f"there are two claims with the id {claim.id}"))
        ids.add(claim.id)
        if not cells:
            continue
        try:
            found = _misfits(claim, by_level, cut=cut(index), hints=_HINTS_MOST - len(wrong))
        except TooManyCells:
            wrong.append(((), f"claims compare sides over {LOOKED_AT_MOST:,} times with a cell"))
            break
        claims += [claim] * (found is None)
        wrong += [
            ((index, *path), f"claim {shown(claim.id)}: {text}") for path, text in found or ()
        ]
    return claims, wrong


def _misfits(claim: Claim, cells: CellsByLevel, *, cut: bool, hints: int) -> list[Finding] | None:
    """What a claim names that is not there; None if there are cells for it.

    cut    nothing is to be said about it
    hints  how many searches for a like name may be made, which take time
    """
    found = list(islice(_unknown_levels(claim, cells.levels, hints), FAULTS_MOST + 1))
    if cut and found:
        return []
    try:
        claim.comparisons(cells)
    except TooManyCells:
        raise
    except ValueError as error:
        return found or ([] if cut else [(("side",), str(error))])
    return found or None


_SOUND = {"id": "x", "says": "x", "metric": "refaults", "expect": "more", "matters": 1}
"""A claim but for its cells."""


class _Wrong(Exception):
    """What keeps an entry from being a claim."""

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__()
        self.findings = findings


def _read_claim(
    entry: Any,
    index: int,
    requests: Sequence[str],
    say: Callable[[ValidationError, Callable[[str], str]], Iterator[Finding]],
) -> Claim:
    if not isinstance(entry, dict):
        raise _Wrong([((), f"a claim must be a mapping, not {shown(entry)}")])
    told = _told(entry, index)
    try:
        return Claim.from_plain(entry, requests)
    except ValidationError as error:
        raise _Wrong([(path, f"{told}: {text}") for path, text in say(error, _no_key)]) from None


def _told(entry: Any, index: int) -> str:
    name = entry.get("id") if isinstance(entry, dict) else None
    return f"claim {shown(name)}" if isinstance(name, str) else f"claim {index + 1}"


def _levels_of(entry: Any, cells: CellsByLevel, requests: Sequence[str]) -> list[Finding]:
    """What an entry that is no claim says of levels that are not there: told with its faults."""
    if not isinstance(entry, dict) or not cells.levels:
        return []
    own = {key: entry[key] for key in ("where", "side", "against") if key in entry}
    try:
        claim = Claim.from_plain(_SOUND | own, requests)
    except ValidationError:
        return []
    return list(islice(_unknown_levels(claim, cells.levels, _HINTS_MOST), FAULTS_MOST))


def _no_key(name: str) -> str:
    hint = did_you_mean(name, ClaimKeys.model_fields)
    return f"{shown(name)} is not a key of a claim{hint}"


def _unknown_levels(
    claim: Claim, there: Mapping[str, Mapping[Level, list[str]]], hints: int
) -> Iterator[Finding]:
    for path, side in claim.sides():
        for key, wanted in side.items():
            if key not in there:
                hint = did_you_mean(key, there) if hints > 0 else ""
                hints -= 1
                yield (*path, key), f"{shown(key)} is no axis of this study{hint}"
                continue
            asked: list[Any] = wanted if isinstance(wanted, list) else [wanted]
            for level in asked:
                if level not in there[key]:
                    yield (
                        (*path, key),
                        f"{key} has no level {shown(level)}; it has {listing(there[key])}",
                    )
