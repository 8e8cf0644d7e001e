"""How many replicates: a number, or as many as an answer takes.

replicates: { min: 20, max: 2000, until: { metric: rx_success_ratio, half_width: 0.005 } }
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    model_validator,
)

from study.scenario.errors import did_you_mean, shown
from study.scenario.machine.requests import column_of
from study.scenario.units import count_from
from study.zone.trial.metrics import METRICS

Count = Annotated[int, BeforeValidator(count_from, json_schema_input_type=int | str)]
FLOOR = 5
"""Fewer replicates have no business with a stopping rule."""


def _known(name: Any, info: ValidationInfo) -> Any:
    if column_of(str(name), info.context or ()) not in METRICS:
        hint = did_you_mean(str(name), METRICS)
        raise ValueError(f"is {shown(name)}, which is no metric{hint}")
    return name


class PrecisionKeys(BaseModel):
    """Go on until a metric is known so well."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    metric: Annotated[str, BeforeValidator(_known)]
    """The metric that must be known; requests.NAME.METRIC of a request by name."""
    half_width: Annotated[float, Field(gt=0, lt=1e300)]
    """Half of the 95 % interval, in the metric's unit."""
    axis: str | None = None
    """Unless given, in every cell; if given, of the difference that each level of it makes."""


_Until = Annotated[
    Annotated[PrecisionKeys, Tag("(precision)")] | Annotated[Literal["claims"], Tag("(word)")],
    # So that only what was meant is found fault with.
    Discriminator(lambda value: "(word)" if isinstance(value, str) else "(precision)"),
]


class StoppingKeys(BaseModel):
    """`replicates:` as a mapping."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    min: Annotated[Count, Field(ge=FLOOR)] = 20
    """Replicates that every cell gets."""
    max: Annotated[Count, Field(ge=FLOOR)] = 2_000
    """Replicates that no cell exceeds."""
    until: _Until
    """A precision to reach, or `claims`: until every claim is decided."""

    @model_validator(mode="after")
    def _in_order(self) -> StoppingKeys:
        if self.max < self.min:
            raise ValueError(f"has max {self.max}, below min {self.min}")
        return self


@dataclass(frozen=True)
class Stopping:
    """When a cell has enough replicates.

    Parameters
    ----------
    least, most
        Replicates that every cell gets, and that no cell exceeds.
    metric
        The one whose interval decides; None when the claims are to be decided.
    half_width
        Of its 95 % interval, in its unit: what it must come down to.
    axis
        Take the interval of the difference that the levels of this axis make; None takes that of
        the mean of each cell.
    said
        What the scenario calls the metric.
    """

    least: int
    most: int
    metric: str | None = None
    half_width: float | None = None
    axis: str | None = None
    said: str | None = field(default=None, compare=False)

    @classmethod
    def from_plain(cls, raw: Mapping[str, Any], requests: Sequence[str] = ()) -> Stopping:
        """Check what a scenario says under `replicates:`.

        Parameters
        ----------
        raw
            As StoppingKeys has it.
        requests
            Names of the study's requests, which a metric may name.

        Returns
        -------
        Stopping
            The same, checked.

        Raises
        ------
        pydantic.ValidationError
            Keys or values are not those of StoppingKeys.
        """
        keys = StoppingKeys.model_validate(dict(raw), context=list(requests))
        if isinstance(keys.until, str):
            return cls(keys.min, keys.max)
        until = keys.until
        column = column_of(until.metric, requests)
        return cls(keys.min, keys.max, column, until.half_width, until.axis, until.metric)

    def plain(self) -> dict[str, Any]:
        """The rule as it may stand in a scenario.

        Returns
        -------
        dict
            What from_plain() reads as this rule.
        """
        until: Any = "claims"
        if self.metric is not None:
            until = {"metric": self.metric, "half_width": self.half_width, "axis": self.axis}
        return {"min": self.least, "max": self.most, "until": until}

    def looks(self) -> tuple[int, ...]:
        """When the study looks whether it is done.

        Returns
        -------
        tuple of int
            Replicates of each cell: the least, then twice as many each time, last the most.
        """
        counts = [self.least]
        while counts[-1] < self.most:
            counts.append(min(2 * counts[-1], self.most))
        return tuple(counts)
