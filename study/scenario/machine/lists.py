"""Free blocks of a zone from any form that people paste: what stands under zone.buddyinfo.

A list of numbers, a line or the whole of /proc/buddyinfo, the line of a report with its letters,
pagetypeinfo, Mem-Info as a whole, or a mapping of letters to lists.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from study.refusals.find import find, parse_list
from study.refusals.report import FreeList, ZoneState
from study.scenario.errors import shown
from study.zone.settings import NR_ORDERS

TYPES = "UMEH"
"""Letters of the lists in the order of the zone's migratetypes."""
_ALSO = {"R": "H", "C": "M", "I": "M"}
"""Letters that have no list of their own here: MIGRATE_RESERVE is kept where HIGHATOMIC is."""
_MOST = 999_999_999
_PLAIN = re.compile("[0-9]{1,9}")
_FORMS = (
    f"{NR_ORDERS} numbers, the free blocks of order 0 to {NR_ORDERS - 1}, as in /proc/buddyinfo; a "
    "line or all of /proc/buddyinfo; a report's line (4*4kB 2*8kB (UM) ...); pagetypeinfo; or "
    "lists by letter: {U: [...], M: [...]}"
)


@dataclass(frozen=True)
class StartLists:
    """Free blocks to start from.

    Parameters
    ----------
    counts
        Blocks of each order, 11.
    by_type
        Of these, those on the lists of each letter of TYPES; None where no list has letters.
    pageblocks
        Letter -> pageblocks of that type; empty if the text does not say.
    """

    counts: tuple[int, ...]
    by_type: tuple[tuple[int, ...], ...] | None = None
    pageblocks: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        if self.by_type is None:
            return " ".join(map(str, self.counts))
        lists = (
            f"{letter}: {' '.join(map(str, blocks))}"
            for letter, blocks in zip(TYPES, self.by_type, strict=True)
            if any(blocks)
        )
        return "; ".join(lists)

    def plain(self) -> Any:
        """As a scenario would say it; read again it gives the same."""
        if self.by_type is None:
            return list(self.counts)
        said: dict[str, Any] = {
            letter: list(blocks) for letter, blocks in zip(TYPES, self.by_type, strict=True)
        }
        return said | ({"pageblocks": dict(self.pageblocks)} if self.pageblocks else {})


def start_lists(value: Any, zone: str | None = None) -> StartLists | None:
    """The free blocks that a scenario says a zone begins with.

    Parameters
    ----------
    value
        As it stands under zone.buddyinfo, in one of the forms above.
    zone
        Which zone of a text with several: Normal, or 1/Normal.

    Raises
    ------
    ValueError
        It is none of the forms, several zones of which none is named, or of another page size.
    """
    if value is None or isinstance(value, StartLists):
        return value
    if isinstance(value, Mapping):
        return _by_letter(value)
    words = value.split() if isinstance(value, str) else value
    if isinstance(words, list | tuple) and all(_is_count(word) for word in words):
        if len(words) != NR_ORDERS:
            raise ValueError(f"is {shown(value)}, {len(words)} numbers; it must be {_FORMS}")
        return StartLists(tuple(int(word) for word in words))
    if not isinstance(value, str):
        raise ValueError(f"is {shown(value)}; it must be {_FORMS}")
    bare = parse_list(value.strip())
    if bare is not None:
        return from_free_list(bare, {})
    return _of_text(value, zone)


def _is_count(word: Any) -> bool:
    return not isinstance(word, bool) and _PLAIN.fullmatch(str(word)) is not None


def _by_letter(value: Mapping[Any, Any]) -> StartLists:
    lists: dict[str, tuple[int, ...]] = {}
    pageblocks: tuple[tuple[str, int], ...] = ()
    for key, counts in value.items():
        if key == "pageblocks" and isinstance(counts, Mapping):
            if not all(map(_is_count, counts.values())):
                raise ValueError(f"has {shown(dict(counts))} for pageblocks; they are counts")
            pageblocks = tuple((str(k), int(n)) for k, n in counts.items())
            continue
        if key not in (*TYPES, *_ALSO):
            raise ValueError(f"has {shown(key)}, which is no list's letter; those are {TYPES}")
        words = counts.split() if isinstance(counts, str) else counts
        sound = isinstance(words, list | tuple) and all(_is_count(word) for word in words)
        if not sound or len(words) != NR_ORDERS:
            raise ValueError(f"has {shown(counts)} for {key}; it must be {NR_ORDERS} numbers")
        lists[str(key)] = tuple(int(word) for word in words)
    if not lists:
        raise ValueError(f"is {shown(dict(value))}; it must be {_FORMS}")
    return _typed(lists, pageblocks)


def _typed(
    lists: Mapping[str, tuple[int, ...]], pageblocks: tuple[tuple[str, int], ...]
) -> StartLists:
    by_type = [[0] * NR_ORDERS for _ in TYPES]
    for letter, counts in lists.items():
        row = by_type[TYPES.index(_ALSO.get(letter, letter))]
        for order, count in enumerate(fitted(counts)):
            row[order] += count
    totals = tuple(sum(column) for column in zip(*by_type, strict=True))
    return StartLists(totals, tuple(map(tuple, by_type)), pageblocks)


def fitted(counts: tuple[int, ...]) -> tuple[int, ...]:
    """Blocks of 11 orders: larger ones, of kernels with more orders, as so many of the largest."""
    result = [*counts[:NR_ORDERS], *[0] * (NR_ORDERS - len(counts))]
    for order in range(NR_ORDERS, len(counts)):
        result[-1] += counts[order] << (order - NR_ORDERS + 1)
    return tuple(result)


def from_free_list(listed: FreeList, pageblocks: Mapping[str, int]) -> StartLists:
    """The same from what `study why` reads.

    Raises
    ------
    ValueError
        Its pages are not of 4 kB.
    """
    if listed.page_kb not in (None, 4):
        raise ValueError(
            f"is of a machine with {listed.page_kb} kB pages; the study simulates pages of 4 kB"
        )
    given = tuple((letter, n) for letter, n in pageblocks.items() if n)
    if listed.by_type:
        return _typed(listed.by_type, given)
    if not listed.types:
        return StartLists(fitted(listed.counts))
    return _typed(_shared_out(listed), given)


def _shared_out(listed: FreeList) -> dict[str, tuple[int, ...]]:
    """Blocks by letter where a report only names the letters of each order: in equal parts.

    What is left over goes to movable, then unmovable, the types that most memory is of.
    """
    lists: dict[str, list[int]] = {}
    for order, count in enumerate(listed.counts):
        held = listed.types[order] if order < len(listed.types) else None
        letters = sorted({_ALSO.get(letter, letter) for letter in held or ()}, key="MUEH".find)
        letters = [letter for letter in letters if letter in TYPES] or ["M"]
        share, left = divmod(count, len(letters))
        for place, letter in enumerate(letters):
            row = lists.setdefault(letter, [0] * len(listed.counts))
            row[order] += share + (left if place == 0 else 0)
    return {letter: tuple(row) for letter, row in lists.items()}


def zone_named(zones: Mapping[tuple[int | None, str], ZoneState], name: str) -> list[ZoneState]:
    """Those of some zones that a name means: Normal, 1/Normal, `Node 1 Normal`."""
    match = re.fullmatch(r"(?:(?:[Nn]ode\s?)?(\d{1,4})[/\s,]\s?)?(\w{2,8})", name.strip())
    if match is None:
        return []
    node = None if match[1] is None else int(match[1])
    return [
        zone
        for zone in zones.values()
        if zone.name.lower() == match[2].lower() and (node is None or zone.node == node)
    ]


def _short(zone: ZoneState) -> str:
    return zone.name if zone.node is None else f"{zone.node}/{zone.name}"


def _of_text(text: str, name: str | None) -> StartLists:
    holding = [
        zones
        for report in find(text).reports
        if (zones := {k: zone for k, zone in report.zones.items() if zone.free_list is not None})
    ]
    if not holding:
        raise ValueError(f"is {shown(text)}; it must be {_FORMS}")
    if len(holding) > 1:
        raise ValueError(f"holds {len(holding)} tables of free blocks; give one")
    zones = holding[0]
    listed = ", ".join(map(_short, zones.values()))
    if name is not None:
        chosen = zone_named(zones, name)
        if len(chosen) != 1:
            what = "none" if not chosen else "more than one"
            raise ValueError(f"has {listed}, of which zone.name {shown(name)} is {what}")
    elif len(zones) > 1:
        first = next(reversed(zones.values()))
        raise ValueError(f"has several zones: {listed}; say which with zone.name: {_short(first)}")
    else:
        chosen = list(zones.values())
    free_list = chosen[0].free_list
    assert free_list is not None  # noqa: S101 - only such were kept
    return from_free_list(free_list, chosen[0].pageblocks)
