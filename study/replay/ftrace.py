"""Reading the kernel's trace as text: /sys/kernel/tracing/trace, trace-cmd report, perf script."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from study.replay.files import lines_of, unpacked
from study.replay.trace import FAILED_PFN, PAGEBLOCK_ORDER, Code, ReplayError, Trace
from study.zone.settings import NR_ORDERS

# "   cat-202   [000] d..3.  18.648704: mm_page_alloc: page=..." with or without flags and cpu;
# perf puts the subsystem before the event's name. No run of letters may be long or be tried from
# more than one of its letters: so each search takes time in proportion to the line.
_EVENT = re.compile(rb"\s[0-9]{1,18}\.[0-9]{3,9}:\s{1,64}(?:[\w-]{1,64}:)?(\w{1,64}):\s{0,64}(.*)")
_FIELD = re.compile(rb"(?<!\w)(\w{1,40})=(\S{1,80})(?!\S)")
_LOST = re.compile(
    rb"LOST {1,8}([0-9]{1,18}) {1,8}(?:EVENTS|events)|(?<![0-9])([0-9]{1,18}) EVENTS DROPPED"
    rb"|LOST lost ([0-9]{1,18})(?![0-9])"
)
_LOST_UNCOUNTED = re.compile(rb"\[LOST EVENTS\]|\[EVENTS DROPPED\]")
_ENTRIES = re.compile(rb"entries-in-buffer/entries-written: ([0-9]{1,18})/([0-9]{1,18})(?![0-9])")
_HEADER = re.compile(rb"#|cpus=[0-9]|CPU [0-9]+ is empty|version = |$")

BUDDYINFO = re.compile(rb"\bNode {1,4}[0-9]{1,4}, zone {1,12}\w{1,12}(?: {1,12}[0-9]{1,12}){5,20}")
"""A line of /proc/buddyinfo, as people add it to a trace by a loop or by trace_marker."""

_VMEMMAP = 0xFFFFEA0000000000
"""Where the array of struct page begins on x86-64 without KASLR; else kp_setmt rows tell."""
_PAGE_STRUCT_BYTES = (64, 56)
"""Of x86-64: 56 up to 3.1, and later without the padding for cmpxchg_double."""

_CODES = {
    b"mm_page_alloc": Code.ALLOC,
    b"mm_page_free": Code.FREE,
    b"mm_page_free_batched": Code.FREE_BATCHED,
    # Up to 3.2; a page that a pagevec gave back had no other event.
    b"mm_page_free_direct": Code.FREE,
    b"mm_pagevec_free": Code.FREE,
    b"mm_page_alloc_zone_locked": Code.ZONE_LOCKED,
    b"mm_page_pcpu_drain": Code.PCPU_DRAIN,
    b"mm_page_alloc_extfrag": Code.EXTFRAG,
    b"kp_isofree": Code.ISOLATE,
    b"kp_setmt": Code.SET_TYPE,
    b"kp_free1": Code.FREE_ONE,
    b"kp_freeok": Code.FREE_OK,
}
_BLOCK = re.compile(
    rb"(mm_page_(?:alloc|free|free_batched|free_direct|alloc_zone_locked|pcpu_drain)"
    rb"|mm_pagevec_free):\s{0,64}"
    rb"(?:page=\S{1,40}|\[FAILED TO PARSE\])"
    rb" pfn=(?:0x([0-9a-f]{1,16})|([0-9]{1,20})) order=([0-9]{1,20})"
    rb"(?![0-9])(?: migratetype=(-?[0-9]{1,20})(?![0-9]))?"
)
"""The frequent events, with what matters of them: one search a line.

Where trace-cmd does not know the address of the memory map (from 4.13 on), it says so and prints
the fields as they were recorded: pfn, but no page. Kernels before 4.1 recorded page, but no pfn:
those lines are read one by one.
"""

_BINARY = {
    b"\x17\x08\x44tracing": "trace-cmd's own file: give what `trace-cmd report` prints",
    b"PERFILE2": "perf's own file: give what `perf script` prints",
}


_FIRST_EVENT_WITHIN = 100_000
"""Lines: what has no event by then, headers of hundreds of processors included, is no trace."""


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
        """Append a row. Raises ValueError, and appends nothing, if a number needs over 64 bits."""
        row = (code, pfn, order, migratetype, aux)
        if not all(-_BEYOND <= number < _BEYOND for number in row):
            raise ValueError(row)
        self.cells.extend(row)


_CELLS, _CODE, _PFN, _AUX = 5, 0, 1, 4


_BEYOND = 1 << 63


def _number(text: bytes, base: int = 0) -> int:
    """A number as the kernel prints it. Raises ValueError if it is none, or needs over 64 bits."""
    number = int(text, base)
    if not -_BEYOND <= number < 2 * _BEYOND:
        raise ValueError(text)
    return number


def _small(text: bytes) -> int:
    """An order, a type or a switch. Raises ValueError if it is none."""
    number = int(text)
    if not -1 <= number <= 255:
        raise ValueError(text)
    return number


def _fields(text: bytes) -> dict[bytes, bytes]:
    return dict(_FIELD.findall(text))


def address_of(text: bytes) -> int | None:
    """The address of the struct page in a field page=, as recorded; None for that of no page."""
    return None if text == b"(nil)" else _number(text, 16) or None


def _take_block(rows: _Rows, code: int, text: bytes) -> None:
    """An event that names its page by address alone: as recorded before 4.1."""
    if b"pfn=" in text:
        raise ValueError(text)
    at = _fields(text)
    address = address_of(at[b"page"])
    rows.add(
        code,
        FAILED_PFN,
        # What is given back from a list is single pages, and `cold` is all else it says.
        0 if b"cold" in at else _small(at[b"order"]),
        _small(at.get(b"migratetype", b"-1")),
    )
    if address is not None:
        rows.by_address.append((len(rows) - 1, address))


def _take_extfrag(rows: _Rows, code: int, text: bytes) -> None:
    at = _fields(text)
    # Before 4.1 what is recorded does not say whether the pageblock changed hands.
    aux = (
        _small(at[b"fallback_order"])
        | _small(at[b"fallback_migratetype"]) << 8
        | _small(at.get(b"change_ownership", b"0")) << 16
    )
    order, migratetype = _small(at[b"alloc_order"]), _small(at[b"alloc_migratetype"])
    rows.add(code, _number(at.get(b"pfn", b"0")), order, migratetype, aux)
    if b"pfn" not in at and (address := address_of(at[b"page"])) is not None:
        rows.by_address.append((len(rows) - 1, address))


def _take_isolate(rows: _Rows, code: int, text: bytes) -> None:
    _take_address(rows, code, text, aux=1)
    # Taken unless the return probe says otherwise.
    rows.isolating.append(len(rows) - 1)


def _take_address(rows: _Rows, code: int, text: bytes, aux: int = 0) -> None:
    at = _fields(text)
    address = _number(at[b"page"])
    rows.add(code, 0, _small(at[b"order"]), -1, aux)
    rows.by_address.append((len(rows) - 1, address))


def _take_type(rows: _Rows, code: int, text: bytes) -> None:
    at = _fields(text)
    pfn, page = _number(at[b"pfn"]), _number(at[b"page"])
    # The probe fires for other bits of the pageblock too: compaction's skip hint, say.
    changes_type = _number(at.get(b"mask", b"7")) == 7
    rows.add(code if changes_type else Code.OTHER, pfn, PAGEBLOCK_ORDER, _number(at[b"mt"], 10))
    rows.vmemmap = page - pfn * _PAGE_STRUCT_BYTES[0]


def _take_free_one(rows: _Rows, code: int, text: bytes) -> None:
    at = _fields(text)
    # Since 6.10 the argument taken for the migratetype holds flags, which are not looked at.
    migratetype = _number(at.get(b"mt", b"-1"), 10)
    rows.add(code, _number(at[b"pfn"]), _small(at[b"order"]), migratetype)


_TAKE: dict[int, Callable[[_Rows, int, bytes], None]] = {
    Code.ALLOC: _take_block,
    Code.FREE: _take_block,
    Code.FREE_BATCHED: _take_block,
    Code.ZONE_LOCKED: _take_block,
    Code.PCPU_DRAIN: _take_block,
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
    with unpacked(path) as file:
        _refuse_binary(path, file.read(16))
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
    for number, line in enumerate(lines):
        block = frequent(line)
        if block is None:
            kept += _read_rare(rows, line)
            if number >= _FIRST_EVENT_WITHIN and not rows.cells:
                break
            continue
        name, hexadecimal, decimal, order, migratetype = block.groups()
        pfn = int(hexadecimal, 16) if decimal is None else int(decimal)
        code = codes[name]
        # The kernel prints a failed allocation as pfn 0, older ones as -1. No frame lies beyond.
        if pfn >= FAILED_PFN or (pfn == 0 and code == alloc):
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
    try:
        if name == b"kp_isofree_ret":
            _refuse_isolation(rows, text)
        elif code is None:
            rows.add(Code.OTHER)
        else:
            _TAKE[code](rows, code, text)
    except (ValueError, KeyError):
        rows.oddities["unreadable_lines"] += 1
    return 0


def _refuse_isolation(rows: _Rows, text: bytes) -> None:
    answer = _number(_fields(text).get(b"ret", b"1"))
    rows.isolation_returns += 1
    if rows.isolating:
        # What counts is whether it is 0.
        rows.cells[rows.isolating.pop() * _CELLS + _AUX] = min(answer, _BEYOND - 1)


def _read_other(rows: _Rows, line: bytes) -> int:
    """A line that is no event; returns the entries a header says there are."""
    lost = _LOST.search(line)
    if lost is not None:
        rows.oddities["lost_events"] += int(next(filter(None, lost.groups())))
    elif _LOST_UNCOUNTED.search(line):
        rows.oddities["lost_events"] += 1
    elif header := _ENTRIES.search(line):
        kept, written = map(int, header.groups())
        rows.oddities["lost_events"] += max(written - kept, 0)
        return kept
    elif not _HEADER.match(line.strip()) and not BUDDYINFO.search(line):
        rows.oddities["unreadable_lines"] += 1
    return 0


def _place_by_address(rows: _Rows) -> None:
    base = _VMEMMAP if rows.vmemmap is None else rows.vmemmap
    size = _PAGE_STRUCT_BYTES[0]
    if rows.vmemmap is None:
        # The size that most addresses fit, the usual one where several do: a line may be damaged.
        size = max(
            _PAGE_STRUCT_BYTES,
            key=lambda each: sum((address - base) % each == 0 for _, address in rows.by_address),
        )
    for row, address in rows.by_address:
        pfn, rest = divmod(address - base, size)
        at = row * _CELLS
        if rest == 0 and 0 <= pfn < FAILED_PFN:
            rows.cells[at + _PFN] = pfn
            continue
        rows.oddities["unplaced_pages"] += 1
        if rows.cells[at + _CODE] in _COUNTED:
            # Where it lies is not known, but it is the same page each time: no pfn is so high.
            rows.cells[at + _PFN] = address % _BEYOND | FAILED_PFN + 1
        else:
            rows.cells[at + _CODE] = Code.OTHER


_COUNTED = (Code.ALLOC, Code.FREE, Code.FREE_BATCHED)
