"""Quantities as people write them: 896MiB, 10ms, 20/s, 3%, 16 pages."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, Literal, TypeGuard, Union, get_args, get_origin

from pydantic import BeforeValidator, Field, PlainSerializer

from study.scenario.errors import shown
from study.zone.settings import PAGE_BYTES

LETTERS_MOST = 100
"""Of a quantity. What is longer is none, and is not looked at: a pattern with blanks in three
places takes time with the cube of their number."""
_NUMBER = re.compile(
    # A comma stands between thousands and nowhere else: 1,5s is no 15 s.
    r"([-+]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9][0-9_]*|(?=\.[0-9]))(?:\.[0-9]+)?"
    r"(?:[eE][-+]?[0-9]+)?)\s*((?:[A-Za-zµ%/][A-Za-zµ%/ ]*)?)"
)
_SIZES = {"B": 1, "KiB": 1 << 10, "kB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_TIMES = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "min": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PER = {"/s": 1.0, "/ms": 1e3, "/min": 1 / 60}
_LINE = {"bit/s": 1.0, "Mbit/s": 1e6, "Gbit/s": 1e9}
_MEANT: dict[str, dict[str, str]] = {
    "a size": {
        "k": "KiB",
        "m": "MiB",
        "mb": "MiB",
        "g": "GiB",
        "gb": "GiB",
        "t": "TiB",
        "tb": "TiB",
        "byte": "B",
        "bytes": "B",
    },
    "a time": {
        "sec": "s",
        "secs": "s",
        "second": "s",
        "seconds": "s",
        "m": "min",
        "mins": "min",
        "minute": "min",
        "minutes": "min",
        "hr": "h",
        "hour": "h",
        "hours": "h",
        "msec": "ms",
        "usec": "us",
    },
    "a rate": {
        "/sec": "/s",
        "hz": "/s",
        "/second": "/s",
        "per second": "/s",
        "/m": "/min",
        "/minute": "/min",
        "/msec": "/ms",
    },
    "a line rate": {
        "gbps": "Gbit/s",
        "gb/s": "Gbit/s",
        "gbit": "Gbit/s",
        "g": "Gbit/s",
        "mbps": "Mbit/s",
        "mb/s": "Mbit/s",
        "mbit": "Mbit/s",
        "m": "Mbit/s",
    },
}
"""What people write, in lower case, and the unit that they most likely mean."""
_SLOWEST = 0.001
"""Pages a ms: one a second."""
LARGEST = 1e15
LONGEST_NS = 10_000 * _TIMES["h"]
"""Sums of times stay far from the end of a 64-bit number of nanoseconds (292 years)."""


def is_short(value: Any) -> TypeGuard[str]:
    """Is it a text that may be a quantity, going by its length?"""
    return isinstance(value, str) and len(value) <= LETTERS_MOST


def _split(value: Any, what: str, example: str, *, most: float = LARGEST) -> tuple[float, str]:
    """Number and unit of a quantity; ValueError in plain words if there is no number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"is {shown(value)}; {what} looks like {example}")
    match = _NUMBER.fullmatch(value.strip()) if is_short(value) else None
    if match:
        number, unit = float(match[1].replace("_", "").replace(",", "")), match[2].strip()
    elif isinstance(value, str):
        raise ValueError(f"is {shown(value)}; {what} looks like {example}")
    else:
        number, unit = float(value), ""
    if not math.isfinite(number):
        raise ValueError(
            f"is {shown(value)}, which is no usable number; {what} looks like {example}"
        )
    if number > most:
        raise ValueError(f"is {shown(value)}; at most {most:,.0f}")
    if number < 0:
        raise ValueError(f"is {shown(value)}; {what} cannot be negative")
    return number, unit


def _scaled(value: Any, units: dict[str, Any], what: str, example: str) -> float:
    # Bounded as it is written out: in the smallest unit, in which it is read again.
    most = LARGEST if units is not _TIMES else 2 * LONGEST_NS
    number, unit = _split(value, what, example, most=most)
    by_name = {name.lower(): factor for name, factor in units.items()}
    if unit.lower() not in by_name:
        found = f"the unit {unit}" if unit else "no unit"
        meant = _MEANT[what].get(unit.lower())
        hint = f"; did you mean {number:.12g}{meant}?" if meant else ""
        raise ValueError(
            f"is {shown(value)}, with {found}; {what} is given in {', '.join(units)}{hint}"
        )
    scaled = number * float(by_name[unit.lower()])
    if scaled > most:
        raise ValueError(f"is {shown(value)}, over {most:,.0f}{next(iter(units))}")
    return scaled


def pages_from(value: Any) -> int:
    """A size in whole 4 KiB pages: `880MiB`, `16 pages`, or a bare number of pages."""
    number, unit = _split(value, "a size", "64MiB or 16 pages")
    if unit.lower() in ("", "page", "pages"):
        pages = number
    else:
        pages = _scaled(value, _SIZES | {"pages": PAGE_BYTES}, "a size", "64MiB") / PAGE_BYTES
    if pages != int(pages):
        raise ValueError(f"is {shown(value)}, which is no whole number of 4 KiB pages")
    return int(pages)


def kbytes_from(value: Any) -> int:
    """A number of kB as sysctls have it: `65000`, or a size with a unit, `64MiB`."""
    number, unit = _split(value, "a number of kB", "65000 or 64MiB")
    kbytes = number if not unit else _scaled(value, _SIZES, "a size", "64MiB") / 1024
    if kbytes != int(kbytes):
        raise ValueError(f"is {shown(value)}, which is no whole number of kB")
    return int(kbytes)


def bytes_from(value: Any) -> int:
    """A size in bytes: `8KiB`."""
    return int(_scaled(value, _SIZES, "a size", "8KiB"))


def nanoseconds_from(value: Any) -> int:
    """A time: `10ms`, `2 s`, `1min`; a bare number has no unit and is refused."""
    nanoseconds = round(_scaled(value, _TIMES, "a time", "10ms"))
    if nanoseconds > LONGEST_NS:
        raise ValueError(f"is {shown(value)}; a time is at most 10,000h")
    return nanoseconds


def per_second_from(value: Any) -> float:
    """A rate: `20/s`, `5/min`, or a bare number per second."""
    number, unit = _split(value, "a rate", "20/s")
    rate = number if not unit else _scaled(value, _PER, "a rate", "20/s")
    if 0 < rate < 1e9 / LONGEST_NS:
        raise ValueError(f"is {shown(value)}; a rate is 0, or at least once in 10,000h")
    return rate


def pages_per_ms_from(value: Any) -> float:
    """A scanning speed: `200 pages/ms`, or a bare number of pages per millisecond."""
    number, unit = _split(value, "a speed", "200 pages/ms")
    if unit.replace(" ", "").lower() not in ("", "pages/ms", "/ms"):
        raise ValueError(f"is {shown(value)}; a speed is given in pages/ms")
    if 0 < number < _SLOWEST:
        raise ValueError(f"is {shown(value)}; a speed is 0, or at least {_SLOWEST:g} pages/ms")
    return number


def bits_per_second_from(value: Any) -> float:
    """A line rate: `1Gbit/s`, `100Mbit/s`."""
    return _scaled(value, _LINE, "a line rate", "1Gbit/s")


def share_from(value: Any) -> float:
    """A share of a whole: `3%` or 0.03."""
    number, unit = _split(value, "a share", "3% or 0.03")
    if unit not in ("", "%"):
        raise ValueError(f"is {shown(value)}; a share looks like 3% or 0.03")
    share = number / 100 if unit == "%" else number
    if share > 1:
        hint = f"; did you mean {number:g}%?" if not unit and number <= 100 else ""
        raise ValueError(f"is {shown(value)}; a share is at most 1 (100%){hint}")
    return share


def count_from(value: Any) -> int:
    """A whole number, not negative."""
    number, unit = _split(value, "a number", "256")
    if unit or number != int(number):
        raise ValueError(f"is {shown(value)}; it must be a whole number")
    return int(number)


def number_from(value: Any) -> float:
    """A number, not negative."""
    number, unit = _split(value, "a number", "0.9")
    if unit:
        raise ValueError(f"is {shown(value)}; it must be a number without a unit")
    return number


def time_text(nanoseconds: int) -> str:
    """A time as a scenario would say it, in the largest unit that keeps it whole: 250ms, 0s."""
    whole = [unit for unit, ns in _TIMES.items() if nanoseconds % ns == 0]
    unit = max(whole, key=lambda name: _TIMES[name]) if nanoseconds else "s"
    return f"{nanoseconds // _TIMES[unit]}{unit}"


def switch_from(value: Any) -> bool:
    """A switch: true or false; on, off, yes and no are words in YAML 1.2, and say the same here."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in _SWITCHES:
        return _SWITCHES[value]
    raise ValueError(f"is {shown(value)}; allowed are true, false, on, off")


_SWITCHES = {"on": True, "yes": True, "true": True, "off": False, "no": False, "false": False}


def _text(units: Iterable[str]) -> str:
    """What a quantity in one of these units looks like, for an editor: a pattern without flags."""
    names = "|".join(
        "".join(
            f"[{c.upper()}{c.lower()}]" if c.isascii() and c.isalpha() else " *" if c == " " else c
            for c in unit
        )
        for unit in units
    )
    number = r"(?:(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9][0-9_]*)(?:\.[0-9]+)?|\.[0-9]+)"
    return rf"^\s*[+]?{number}(?:[eE][-+]?[0-9]+)?\s*(?:{names})\s*$"


def _plain(most: float | None = None) -> Any:
    return Annotated[float, Field(ge=0, le=most)] if most else Annotated[float, Field(ge=0)]


def _in(units: Iterable[str]) -> Any:
    return Annotated[str, Field(pattern=_text(units))]


def _schema(function: Any, looks: Any) -> BeforeValidator:
    """A validator, and what an editor is told of the values that it takes."""
    return BeforeValidator(function, json_schema_input_type=looks)


def _written(function: Callable[[Any], str]) -> PlainSerializer:
    return PlainSerializer(function, return_type=str, when_used="json")


_PAGES = (*_SIZES, "pages", "page", "")
Pages = Annotated[int, _schema(pages_from, _in(_PAGES) | _plain())]
# What has a unit is written out with one, so that a resolved scenario can be read again.
KBytes = Annotated[int, _schema(kbytes_from, _in((*_SIZES, "")) | _plain())]
Bytes = Annotated[int, _schema(bytes_from, _in(_SIZES)), _written(lambda size: f"{size}B")]
Duration = Annotated[int, _schema(nanoseconds_from, _in(_TIMES)), _written(time_text)]
Rate = Annotated[float, _schema(per_second_from, _in((*_PER, "")) | _plain())]
ScanSpeed = Annotated[float, _schema(pages_per_ms_from, _in(("pages/ms", "/ms", "")) | _plain())]
LineRate = Annotated[
    float, _schema(bits_per_second_from, _in(_LINE)), _written(lambda rate: f"{rate!r}bit/s")
]
Share = Annotated[float, _schema(share_from, _in(("%", "")) | _plain(1))]
Count = Annotated[int, _schema(count_from, _in(("",)) | _plain())]
Number = Annotated[float, _schema(number_from, _in(("",)) | _plain())]
Switch = Annotated[bool, _schema(switch_from, Literal[True, False, "on", "off", "yes", "no"])]
SizeOrNumber = _in(_PAGES) | _plain()


def within(kind: Any, **bounds: Any) -> Any:
    """One of the kinds above with bounds, as a schema says them where a bare number may stand.

    bounds  ge, gt and le: numbers, as pydantic's Field has them
    """
    if not bounds:
        return kind
    of, reader, *more = get_args(kind)
    looks = reader.json_schema_input_type
    if isinstance(looks, UnionType) or get_origin(looks) is Union:
        arms = (
            Annotated[arm, Field(**bounds)] if get_args(arm)[0] is float else arm
            for arm in get_args(looks)
        )
        reader = _schema(reader.func, reduce(or_, arms))
    return Annotated[of, *Field(**bounds).metadata, reader, *more]


def size_text(pages: int) -> str:
    """A number of pages in the largest unit that keeps it whole, pages for less than 1 MiB."""
    size = pages * PAGE_BYTES
    for unit in ("GiB", "MiB"):
        if size and size % _SIZES[unit] == 0:
            return f"{size // _SIZES[unit]}{unit}"
    return f"{pages} page{'s' * (pages != 1)}"


def _per_second_text(rate: float) -> str:
    return f"{rate:.12g}/s"


_TEXTS: dict[Any, Callable[[Any], str]] = {
    pages_from: size_text,
    bytes_from: lambda size: f"{size // 1024}KiB" if size % 1024 == 0 else f"{size}B",
    nanoseconds_from: time_text,
    per_second_from: _per_second_text,
    pages_per_ms_from: lambda speed: f"{speed:.12g} pages/ms",
    bits_per_second_from: lambda rate: (
        f"{rate / 1e9:g}Gbit/s" if rate >= 1e9 else f"{rate / 1e6:g}Mbit/s"
    ),
    share_from: lambda share: f"{100 * share:.12g}%",
}


def text_of(annotation: Any, metadata: Sequence[Any], value: Any) -> str:
    """A checked value as a person would write it: 225280 pages as 880MiB.

    annotation, metadata  of the pydantic field that holds it
    """
    validators = [*metadata, *(m for arm in get_args(annotation) for m in _metadata_of(arm))]
    for validator in validators:
        text = _TEXTS.get(getattr(validator, "func", None))
        if text is not None and value is not None and not isinstance(value, str):
            return text(value)
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    if isinstance(value, dict):
        return "; ".join(f"{name}: {one}" for name, one in value.items()) or "none"
    if value is not None and not isinstance(value, str | int | float):
        value = str(value)
    return shown(value, 200)


def _metadata_of(annotation: Any) -> tuple[Any, ...]:
    return getattr(annotation, "__metadata__", ())
