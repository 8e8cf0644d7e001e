"""The keys of a claim as a scenario writes them, and what each may hold."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

from study.scenario.claims.comparison import Claim
from study.scenario.errors import did_you_mean, shown
from study.scenario.machine.requests import column_of
from study.scenario.units import is_short
from study.zone.trial.metrics import METRICS

_PERCENT = re.compile(r"([0-9]{1,99}(?:\.[0-9]{1,99})?(?:[eE][-+]?[0-9]{1,3})?)\s{0,99}%")
AGAINST_MOST = 1_000
"""Sides of one claim."""


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


_WAYS = ("more", "less", "same")


def _expect(value: Any) -> str:
    if isinstance(value, str) and value in _WAYS:
        return value
    text = f"is {shown(value)}; allowed are {', '.join(_WAYS)}"
    # "not less" is nearest to its contrary.
    if isinstance(value, str) and value.lower().startswith(("no", "at least", "at most")):
        raise ValueError(
            f"{text} (that the side is no less than 99 % of the other is expect: more with "
            "share: 0.99 and matters: 0)"
        )
    raise ValueError(text + did_you_mean(str(value), _WAYS))


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
    expect: Annotated[Literal["more", "less", "same"], BeforeValidator(_expect)]
    """Which way the difference should go."""
    matters: Annotated[
        tuple[float, bool], BeforeValidator(_matters, json_schema_input_type=float | str)
    ]
    """The smallest difference that matters, as a number or in per cent of what `against` has,
    counted from the baseline if there is one."""


def claim_from_plain(raw: Mapping[str, Any], requests: Sequence[str] = ()) -> Claim:
    """Check an entry of a scenario, or what Claim.plain() gave.

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
    return Claim(
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
