"""What a reader must know that no setting says: kernels taken for others, lost starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from study.scenario.machine.kernels import nearest_below, note
from study.scenario.machine.lists import start_lists
from study.scenario.model import KERNELS
from study.scenario.units import nanoseconds_from, per_second_from, size_text

_HUGE_LEAST = 7


def notes_of(document: Mapping[str, Any]) -> list[str]:
    """Notes on a resolved scenario.

    Parameters
    ----------
    document
        The whole scenario with defaults, as JSON would have it (Study.document).

    Returns
    -------
    list of str
        Sentences without a full stop, none twice.
    """
    return list(dict.fromkeys([*_kernels(document), *_starts(document), *_huge(document)]))


def values_of(document: Mapping[str, Any], key: str) -> Iterator[Any]:
    """Every value that a dotted key has in base, axes and entries of a resolved scenario."""
    value: Any = document.get("base", {})
    for name in key.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    yield value
    for axis, levels in document.get("axes", {}).items():
        if axis == key and isinstance(levels, list):
            yield from levels
        if isinstance(levels, Mapping):
            for told in levels.values():
                if isinstance(told, Mapping) and key in told:
                    yield told[key]
    for entry in document.get("include", ()):
        if key in entry:
            yield entry[key]


def _huge(document: Mapping[str, Any]) -> Iterator[str]:
    """Requests of a middle order are no huge pages, whatever the key is called."""
    rates = [per_second_from(rate) for rate in values_of(document, "huge.rate") if rate is not None]
    orders = [int(order) for order in values_of(document, "huge.order") if order is not None]
    small = sorted({order for order in orders if order < _HUGE_LEAST})
    if small and any(rates):
        named = ", ".join(map(str, small))
        yield (
            f"blocks of order {named} are no huge pages, though huge.order asks for them; "
            "`requests:` has such requests by name"
        )


def _kernels(document: Mapping[str, Any]) -> Iterator[str]:
    for value in values_of(document, "kernel"):
        taken = None if value is None else nearest_below(str(value), KERNELS)
        if taken is not None and (said := note(taken, str(value))):
            yield said


def _starts(document: Mapping[str, Any]) -> Iterator[str]:
    lists = next((v for v in values_of(document, "zone.buddyinfo") if v is not None), None)
    if lists is None:
        return
    ages = [v for v in values_of(document, "clock.ageing") if v is not None]
    if any(nanoseconds_from(age) > 0 for age in ages):
        yield (
            "the start from zone.buddyinfo is washed out: clock.ageing lets the load run before "
            "anything is measured; clock.ageing=0s measures from the start"
        )
    try:
        started = start_lists(lists, next((v for v in values_of(document, "zone.name") if v), None))
    except ValueError:
        return
    if started is not None:
        pages = sum(count << order for order, count in enumerate(started.counts))
        yield f"the free blocks of zone.buddyinfo are {size_text(pages)} in pages of 4 kB"
