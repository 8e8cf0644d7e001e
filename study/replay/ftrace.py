"""Reading the kernel's trace as text: /sys/kernel/tracing/trace, trace-cmd report, perf script."""

from __future__ import annotations

import gzip
import re
import zlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from study.replay.trace import FAILED_PFN, PAGEBLOCK_ORDER, Code, ReplayError, Trace
from study.zone.settings import NR_ORDERS

# "   cat-202   [000] d..3.  18.648704: mm_page_alloc: page=..." with or without flags and cpu;
# perf puts the subsystem before the event's name.
_EVENT = re.compile(rb"\s\d+\.\d{3,9}:\s+(?:[\w-]+:)?(\w+):\s*(.*)")
_FIELD = re.compile(rb"(\w+)=(\S+)")
_LOST = re.compile(rb"LOST (\d+) EVENTS|(\d+) EVENTS DROPPED|LOST\s+(\d+)\s+events|LOST lost (\d+)")
_LOST_UNCOUNTED = re.compile(rb"\[LOST EVENTS\]|\[EVENTS DROPPED\]")
_ENTRIES = re.compile(rb"entries-in-buffer/entries-written: (\d+)/(\d+)")
_HEADER = re.compile(rb"#|cpus=\d+|CPU \d+ is empty|version = |$")

_VMEMMAP = 0xFFFFEA0000000000
"""Where the array of struct page begins on x86-64 without KASLR; else kp_setmt rows tell."""
_PAGE_STRUCT_BYTES = 64

_CODES = {
    b"mm_page_alloc": Code.ALLOC,
    b"mm_page_free": Code.FREE,
    b"mm_page_free_batched": Code.FREE_BATCHED,
    b"mm_page_alloc_zone_locked": Code.ZONE_LOCKED,
    b"mm_page_pcpu_drain": Code.PCPU_DRAIN,
    b"mm_page_alloc_extfrag": Code.EXTFRAG,
    b"kp_isofree": Code.ISOLATE,
    b"kp_setmt": Code.SET_TYPE,
    b"kp_free1": Code.FREE_ONE,
    b"kp_freeok": Code.FREE_OK,
}
_BLOCK = re.compile(
    rb"(mm_page_(?:alloc|free|free_batched|alloc_zone_locked|pcpu_drain)):\s*"
    rb"page=\S+ pfn=(0x)?([0-9a-f]+) order=(\d+)(?: migratetype=(-?\d+))?"
)
"""The frequent events, with what matters of them: one search a line."""

_BINARY = {
    b"\x17\x08\x44tracing": "trace-cmd's own file: give what `trace-cmd report` prints",
    b"PERFILE2": "perf's own file: give what `perf script` prints",
}


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines of a text file, unpacked if it is compressed with gzip.

    Raises ReplayError if it cannot be read to its end or is no text.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.peek(2).startswith(b"\x1f\x8b")
            with gzip.GzipFile(fileobj=raw) if packed else raw as file:
                _refuse_binary(path, file.peek(16))
                yield from file
    except (EOFError, zlib.error, gzip.BadGzipFile) as fault:
        raise ReplayError(f"{path}: cut off or damaged ({fault})") from None
    except OSError as fault:
        raise ReplayError(f"{path}: {fault.strerror or fault}") from None


def _refuse_binary(path: Path, start: bytes) -> None:
    for magic, advice in _BINARY.items():
        if start.startswith(magic):
            raise ReplayError(f"{path}: {advice}")
    if b"\0" in start:
        raise ReplayError(f"{path}: neither text nor a numpy archive")


class _Rows:
    """Rows under construction: five numbers each, one after the other."""

    def __init__(self) -> None:
        self.cells = array("q")
        self.oddities: Counter[str] = Counter()
        self.isolation_returns = 0
        self.vmemmap: int | None = None
        # Rows whose pfn has to be worked out from the address of a struct page.
        self.by_address: list[tuple[int, int]] = []
        self.isolating: list[int] = []

    def __len__(self) -> int:
        return len(self.cells) // _CELLS

    def add(
        self, code: int, pfn: int = 0, order: int = 0, migratetype: int = -1, aux: int = 0
    ) -> None:
        """Append a row."""
        self.cells.extend((code, pfn, order, migratetype, aux))


_CELLS, _CODE, _PFN, _AUX = 5, 0, 1, 4


def _number(text: bytes) -> int:
    return int(text, 0)


def _fields(text: bytes) -> dict[bytes, bytes]:
    return dict(_FIELD.findall(text))


def _refuse(_rows: _Rows, _code: int, text: bytes) -> None:
    """An event that is read in one search, and was not found by it."""
    raise ValueError(text)


def _take_extfrag(rows: _Rows, code: int, text: bytes) -> None:
    at = _fields(text)
    aux = (
        int(at[b"fallback_order"])
        | int(at[b"fallback_migratetype"]) << 8
        | int(at[b"change_ownership"]) << 16
    )
    order, migratetype = int(at[b"alloc_order"]), int(at[b"alloc_migratetype"])
    rows.add(code, _number(at[b"pfn"]), order, migratetype, aux)


def _take_isolate(rows: _Rows, code: int, text: bytes) -> None:
    at = _fields(text)
    rows.by_address.append((len(rows), _number(at[b"page"])))
    rows.isolating.append(len(rows))
    # Taken unless the return probe says otherwise.
    rows.add(code, 0, int(at[b"order"]), -1, 1)


def _take_address(rows: _Rows, code: int, text: bytes) -> None:
    at = _fields(text)
    rows.by_address.append((len(rows), _number(at[b"page"])))
    rows.add(code, 0, int(at[b"order"]))


def _take_type(rows: _Rows, code: int, text: bytes) -> None:
    at = _fields(text)
    pfn = _number(at[b"pfn"])
    rows.vmemmap = _number(at[b"page"]) - pfn * _PAGE_STRUCT_BYTES
    # The probe fires for other bits of the pageblock too: compaction's skip hint, say.
    changes_type = _number(at.get(b"mask", b"7")) == 7
    rows.add(code if changes_type else Code.OTHER, pfn, PAGEBLOCK_ORDER, int(at[b"mt"]))


def _take_free_one(rows: _Rows, code: int, text: bytes) -> None:
    at = _fields(text)
    migratetype = int(at.get(b"mt", b"-1"))
    rows.add(code, _number(at[b"pfn"]), int(at[b"order"]), migratetype)


_TAKE: dict[int, Callable[[_Rows, int, bytes], None]] = {
    Code.ALLOC: _refuse,
    Code.FREE: _refuse,
    Code.FREE_BATCHED: _refuse,
    Code.ZONE_LOCKED: _refuse,
    Code.PCPU_DRAIN: _refuse,
    Code.EXTFRAG: _take_extfrag,
    Code.ISOLATE: _take_isolate,
    Code.SET_TYPE: _take_type,
    Code.FREE_ONE: _take_free_one,
    Code.FREE_OK: _take_address,
}


def read_text(path: Path) -> Trace:
    """Read a trace from text as the kernel, trace-cmd or perf prints it, gzip or not.

    Lines that are neither events nor headers are counted, as are events the tracer lost. Raises
    ReplayError if the file cannot be read or holds no event at all.
    """
    rows = _Rows()
    kept = _read_lines(rows, lines_of(path))
    if not len(rows):
        raise ReplayError(f"{path}: no event in it: it is no kernel trace")
    seen = len(rows) + rows.isolation_returns + rows.oddities["unreadable_lines"]
    if kept > seen:
        rows.oddities["rows_cut_off"] += kept - seen
    _place_by_address(rows)
    table = np.frombuffer(rows.cells, np.int64).reshape(-1, _CELLS)
    if not np.isin(table[:, _CODE], list(_TAKE)).any():
        raise ReplayError(f"{path}: no event of the page allocator in it (kmem:*)")
    code, pfn, order, migratetype, aux = np.ascontiguousarray(table.T)
    return Trace(path, code, pfn, order, migratetype, aux, dict(rows.oddities))


def _read_lines(rows: _Rows, lines: Iterable[bytes]) -> int:
    """Fill rows; returns how many entries the tracer says it kept, 0 if it does not say."""
    kept = 0
    # Plain numbers and tables of the frequent ones: this loop is where the time goes.
    codes = {name: int(code) for name, code in _CODES.items()}
    small = {b"%d" % number: number for number in range(-1, 12)} | {None: -1}
    alloc = int(Code.ALLOC)
    frequent = _BLOCK.search
    extend = rows.cells.extend
    for line in lines:
        block = frequent(line)
        if block is None:
            kept += _read_rare(rows, line)
            continue
        name, is_hex, digits, order, migratetype = block.groups()
        pfn = int(digits, 16 if is_hex else 10)
        code = codes[name]
        # The kernel prints a failed allocation as pfn 0, older ones as -1.
        if code == alloc and (pfn == 0 or pfn >= FAILED_PFN):
            pfn = FAILED_PFN
        extend((code, pfn, small.get(order, NR_ORDERS), small.get(migratetype, NR_ORDERS), 0))
    return kept


def _read_rare(rows: _Rows, line: bytes) -> int:
    """A line with none of the frequent events; returns the entries a header says there are."""
    event = _EVENT.search(line)
    if event is None:
        return _read_other(rows, line)
    name, text = event.groups()
    code = _CODES.get(name)
    if name == b"kp_isofree_ret":
        _refuse_isolation(rows, text)
    elif code is None:
        rows.add(Code.OTHER)
    else:
        try:
            _TAKE[code](rows, code, text)
        except (ValueError, KeyError, OverflowError):
            rows.oddities["unreadable_lines"] += 1
    return 0


def _refuse_isolation(rows: _Rows, text: bytes) -> None:
    rows.isolation_returns += 1
    answer = _fields(text).get(b"ret", b"1")
    if rows.isolating:
        rows.cells[rows.isolating.pop() * _CELLS + _AUX] = _number(answer)


def _read_other(rows: _Rows, line: bytes) -> int:
    """A line that is no event; returns the entries a header says there are."""
    lost = _LOST.search(line)
    if lost is not None:
        rows.oddities["lost_events"] += int(next(filter(None, lost.groups())))
    elif _LOST_UNCOUNTED.search(line):
        rows.oddities["lost_events"] += 1
    elif header := _ENTRIES.search(line):
        kept, written = map(int, header.groups())
        rows.oddities["lost_events"] += written - kept
        return kept
    elif not _HEADER.match(line.strip()):
        rows.oddities["unreadable_lines"] += 1
    return 0


def _place_by_address(rows: _Rows) -> None:
    base = _VMEMMAP if rows.vmemmap is None else rows.vmemmap
    for row, address in rows.by_address:
        pfn, rest = divmod(address - base, _PAGE_STRUCT_BYTES)
        if rest or not 0 <= pfn < FAILED_PFN:
            rows.oddities["unplaced_pages"] += 1
            rows.cells[row * _CELLS + _CODE] = Code.OTHER
        else:
            rows.cells[row * _CELLS + _PFN] = pfn
