"""The manifest as this program writes it: every field with its type and its bounds."""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Any, Literal, NotRequired

from pydantic import (
    ConfigDict,
    Field,
    InstanceOf,
    TypeAdapter,
    ValidationError,
    with_config,
)
from typing_extensions import TypedDict

from study.results.columns import REPLICATES_MOST

CELLS_MOST = 10_000
"""As the reader of scenarios has it, which takes half a second to load."""

_COUNTED_MOST = 2**53
_SECONDS_MOST = 1e15

Text = str
Line = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=0, le=_COUNTED_MOST)]
Seconds = Annotated[float, Field(ge=0, le=_SECONDS_MOST)]
Ended = Literal["interrupted", "failed", "complete"]
Level = str | int | float | bool | None
Part = Annotated[
    str, Field(pattern=r"^(trials|series|\.trials\.new|\.series\.new)/part-[0-9]{6,12}\.parquet$")
]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
ClaimDigest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Cells = Annotated[dict[Line, dict[Line, Level]], Field(min_length=1)]
Parts = dict[Part, Digest]


_LISTED_MOST = {
    "cells": CELLS_MOST,
    "parts": 1_000_000,
    "failures": 1_000,
    "headline": 1_000,
    "axes": 1_000,
    "claims": 10_000,
    "versions": 1_000,
    "extended_from": 10_000,
    "command": 100_000,
}
"""Entries that a field may have; looked at before anything else of it is."""
_KEYS_MOST = 1_000
"""Of a cell."""


# What a later version adds is none of ours to judge.
_as_written = with_config(ConfigDict(strict=True, extra="ignore"))


@_as_written
class Counts(TypedDict):
    """How much there is."""

    cells: Annotated[Count, Field(ge=1)]
    """Combinations of levels."""
    trials: Count
    """Wanted in all, as far as is known."""
    finished: Count
    """On disk when the manifest was written."""
    failed: Count
    """Of them."""


@_as_written
class Failure(TypedDict):
    """A trial that failed."""

    cell: Text
    """Id of its cell."""
    replicate: Annotated[int, Field(ge=0, le=REPLICATES_MOST)]
    """Which of the cell's."""
    error: Text
    """Why, in one line."""


@_as_written
class Noted(TypedDict):
    """When a claim was noted."""

    id: Line
    """Of the claim."""
    noted: Text
    """When, ISO 8601."""
    rows: Count
    """That were there already."""


@_as_written
class _Cells(TypedDict):
    cells: Cells


@_as_written
class _Parts(TypedDict):
    parts: Parts


@_as_written
class Manifest(TypedDict):
    """What made a results folder, and how far it got; what is not required came later."""

    format: Annotated[int, Field(ge=1)]
    """Layout of the folder and of its tables."""
    name: Text
    """Of the study."""
    question: Text | None
    """What the study asks."""
    state: Literal["running"] | Ended
    """How the last run ended, or that it has not."""
    fingerprint: Line
    """Of everything that decides the rows."""
    simulation: Line
    """Digest of the simulation's sources, and of the extensions'."""
    seed: Annotated[int, Field(ge=0, le=2**64 - 1)]
    """Of all trials."""
    replicates: Annotated[int, Field(ge=1, le=REPLICATES_MOST)]
    """Of every cell; the least number if a stopping rule may ask for more."""
    created: Text
    """When, ISO 8601."""
    finished: Text | None
    """When the last run ended."""
    command: list[InstanceOf[str]]
    """What started the first run; it names files, of which not every name is text."""
    versions: dict[Text, Text]
    """Of Python and of the libraries."""
    machine: Text
    """Where the first run was."""
    counts: Counts
    """Cells and trials."""
    trial_seconds: Seconds
    """Work of all trials, s."""
    sampled: NotRequired[bool]
    """Whether any trial left samples."""
    noted_first: NotRequired[bool]
    """Whether every part's digest was in here before the part had its name."""
    parts: NotRequired[Parts]
    """Digest of every part."""
    failures: list[Failure]
    """The first trials that failed."""
    headline: list[Annotated[list[Text], Field(min_length=2, max_length=2)]]
    """Metric and label of what is shown first."""
    axes: list[Line]
    """Dotted keys, in the order of the file."""
    cells: Cells
    """Id -> levels."""
    claims: NotRequired[dict[ClaimDigest, Noted] | None]
    """SHA-256 of every claim that the study ever had -> when it was noted; None: they were not."""
    scenario: dict[Line, Any]
    """The whole scenario; its own reader judges it."""
    notes: NotRequired[list[Text]]
    """What a reader must know that no setting says."""
    elapsed_s: NotRequired[Seconds | None]
    """Wall time of all runs, s."""
    extended_from: NotRequired[list[Line]]
    """Fingerprints that it had before cells or replicates were added."""


_WHOLE = TypeAdapter(Manifest)
_CELLS = TypeAdapter(_Cells)
_PARTS = TypeAdapter(_Parts)


def first_problem(manifest: dict[str, Any]) -> tuple[list[str], bool] | None:
    """Where a manifest is not as it must be.

    Parameters
    ----------
    manifest
        Of plain values.

    Returns
    -------
    tuple[list[str], bool] | None
        The way to the first value that is wrong, key by key, and whether it is missing altogether;
        None if all is well.
    """
    for name, most in _LISTED_MOST.items():
        if isinstance(manifest.get(name), dict | list) and len(manifest[name]) > most:
            return [name], False
    # One by one: of a million that are wrong the first is enough.
    rest = dict(manifest)
    for name, kind in (("cells", _CELLS), ("parts", _PARTS)):
        entries = manifest.get(name)
        if isinstance(entries, dict) and entries:
            for key, entry in entries.items():
                if isinstance(entry, dict) and len(entry) > _KEYS_MOST:
                    return [name, key], False
                if (found := _problem(kind, {name: {key: entry}})) is not None:
                    return found
            rest[name] = dict(islice(entries.items(), 1))
    return _problem(_WHOLE, rest)


def _problem(kind: TypeAdapter[Any], values: dict[str, Any]) -> tuple[list[str], bool] | None:
    try:
        kind.validate_python(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        return [str(key) for key in first["loc"]], first["type"] == "missing"
    return None
