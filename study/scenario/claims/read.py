"""The claims of a scenario, and what is wrong with them, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from pydantic import ValidationError

from study.scenario.claims.comparison import CellsByLevel, Claim, TooManyCells
from study.scenario.claims.keys import ClaimKeys, claim_from_plain
from study.scenario.errors import FAULTS_MOST, did_you_mean, listing, shown
from study.scenario.trial import Level

CLAIMS_MOST = 1_000
LOOKED_AT_MOST = 2_000_000
"""Cells that all claims of a scenario may have to be gone through for, some seconds' work."""
_HINTS_MOST = 20
"""Findings for which a like name is searched for."""

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
        return claim_from_plain(entry, requests)
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
        claim = claim_from_plain(_SOUND | own, requests)
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
