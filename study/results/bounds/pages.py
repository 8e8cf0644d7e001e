"""What stands before each page of a part: what it unpacks to, which no library tells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from study.results.expected import NotOfTheStudy

if TYPE_CHECKING:
    from study.results.part import Part

_HEADER_BYTES = (256, 64 * 1024)


def pages_of(part: Part, begins: int, ends: int) -> Iterator[tuple[int, int]]:
    """What each page of a column unpacks to, and how many values it has, as its header says.

    Raises NotOfTheStudy where there is no page.
    """
    at = begins
    while at < ends:
        header, length = _header(part, at)
        size, packed = header.get(2), header.get(3)
        if not (isinstance(size, int) and isinstance(packed, int) and size >= 0 and packed >= 0):
            raise NotOfTheStudy("it has no pages where its footer has them")
        counted = [inner.get(1) for inner in header.values() if isinstance(inner, dict)]
        yield size, max((each for each in counted if isinstance(each, int)), default=0)
        at += length + packed
    if at != ends:
        raise NotOfTheStudy("it has no pages where its footer has them")


def _header(part: Part, at: int) -> tuple[dict[int, Any], int]:
    """The header of the page there, field by field, and its length in bytes."""
    for size in _HEADER_BYTES:
        try:
            return _fields(part.peek(at, size), 0, 0)
        except (IndexError, ValueError):
            continue
    raise NotOfTheStudy("it has no pages where its footer has them")


# Thrift's compact protocol, as far as headers of pages have it: see thrift-compact-protocol.md of
# Apache Thrift, and PageHeader in parquet.thrift of Apache Parquet.
_STOP, _TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _STRUCT = 0, 1, 2, 3, 7, 8, 12
_WHOLE = (4, 5, 6)
_DEPTH_MOST = 4


def _fields(content: bytes, at: int, depth: int) -> tuple[dict[int, Any], int]:
    """The numbers and structures of a structure, by field, and where it ends."""
    if depth > _DEPTH_MOST:
        raise ValueError
    found: dict[int, Any] = {}
    field = 0
    while (head := content[at]) != _STOP:
        at += 1
        kind = head & 15
        if head >> 4:
            field += head >> 4
        else:
            number, at = _number(content, at)
            field = number >> 1 ^ -(number & 1)
        if kind in _WHOLE:
            number, at = _number(content, at)
            found[field] = number >> 1 ^ -(number & 1)
        elif kind == _STRUCT:
            found[field], at = _fields(content, at, depth + 1)
        elif kind == _BINARY:
            number, at = _number(content, at)
            at += number
        elif kind in (_BYTE, _DOUBLE):
            at += 1 if kind == _BYTE else 8
        elif kind not in (_TRUE, _FALSE):
            raise ValueError
    return found, at + 1


def _number(content: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where it ends."""
    found = 0
    for shift in range(0, 70, 7):
        byte = content[at]
        at += 1
        found |= (byte & 127) << shift
        if byte < 128:
            return found, at
    raise ValueError
