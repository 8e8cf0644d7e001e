"""A trace's demand: who asked for what and when, and when each gave it back, as a load.

Of the events only requests and frees are looked at. Which pages the kernel gave does not matter
but to tell which free ends which request.
"""

from __future__ import annotations

import hashlib
import os
import re
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from study.refusals import gfp
from study.replay.columnar import members_of, read_vectors
from study.replay.files import ROWS_MAX, lines_of, open_regular, unpacked
from study.replay.ftrace import address_of
from study.replay.siblings import release_of
from study.replay.trace import FAILED_PFN, Code, ReplayError
from study.zone.demand import Use, is_plausible, pack
from study.zone.gfp import gfp_of
from study.zone.settings import ORDER_MAX, Recorded

_COLUMNS = ("ev", "dt_us", "pfn", "order", "gfp", "pid")
_KSWAPD_SLEEPS, _DIRECT_BEGINS, _DIRECT_ENDS = 31, 33, 34
"""Codes of mm_vmscan_kswapd_sleep, direct_reclaim_begin and _end in columns."""
_ASSUMED = (6, 1)
"""The kernel of columns beside which nothing says whose they are; from 5.1 on the bits that the
zone knows have been the same."""
_MASKS_MOST = 10_000
_DEFAULT_HOLD_US = 1_000
_US_MOST = 10**15
"""Of all steps of a column of times together; what is longer is damaged, and may wrap round."""
_KNOWN_AGAIN_BYTES_MOST = 1 << 30
"""Of a file that is looked through to see whether it was read before."""
_SILENCE_US_MOST = 3_600_000_000


@dataclass(frozen=True)
class Events:
    """The requests and frees of a trace, one entry an event in the order of time.

    Parameters
    ----------
    asked
        Whether it is a request; else a free.
    at_us
        Since the first event of the trace.
    pfn
        FAILED_PFN of a request that got nothing.
    order
        Of the block.
    flags
        Of requests: row in `kinds`.
    by_reclaim
        Of frees: whether kswapd or direct reclaim made it.
    kinds
        Every set of flags that occurs.
    """

    asked: np.ndarray
    at_us: np.ndarray
    pfn: np.ndarray
    order: np.ndarray
    flags: np.ndarray
    by_reclaim: np.ndarray
    kinds: list[frozenset[str]]


@dataclass(frozen=True)
class Demand:
    """A trace's requests with their ends, one entry a request in the order of time.

    Parameters
    ----------
    at_us, hold_us, order, gfp, use
        As study.zone.demand.pack takes them.
    served
        Whether the recorded kernel served it.
    ended
        Whether its free was seen. Where it was not, `hold_us` is the length of the recording.
    length_us
        Of the recording.
    left_out
        What was not taken, by kind.
    """

    at_us: np.ndarray
    hold_us: np.ndarray
    order: np.ndarray
    gfp: np.ndarray
    use: np.ndarray
    served: np.ndarray
    ended: np.ndarray
    length_us: int
    left_out: Counter[str]

    def take(self, which: np.ndarray, length_us: int) -> Demand:
        """Those requests that a mask names, as if the recording had that length."""
        return Demand(
            self.at_us[which],
            self.hold_us[which],
            self.order[which],
            self.gfp[which],
            self.use[which],
            self.served[which],
            self.ended[which],
            length_us,
            self.left_out,
        )


def recorded_load(path: Path) -> Recorded:
    """The load that a trace's requests and frees make.

    Within a process it is made once of a file with that content.

    Raises
    ------
    ReplayError
        It cannot be read, has no times or flags, or more requests than a study can carry.
    """
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > _KNOWN_AGAIN_BYTES_MOST:
            return _made_of(path)
        digest = hashlib.file_digest(file, "blake2b").digest()  # type: ignore[arg-type]
    return _known_again(path, digest, release_of(path))


@lru_cache(maxsize=4)
def _known_again(path: Path, _digest: bytes, _release: tuple[int, int] | None) -> Recorded:
    """As recorded_load, of a content and of what the files beside it say of the kernel."""
    return _made_of(path)


def _made_of(path: Path) -> Recorded:
    demand = demand_of(path)
    try:
        return pack(
            demand.at_us, demand.hold_us, demand.order, demand.gfp, demand.use, demand.length_us
        )
    except ValueError as error:
        raise ReplayError(f"{path}: {error}") from None


def demand_of(path: Path) -> Demand:
    """The requests of a trace, each with its end.

    Raises
    ------
    ReplayError
        It cannot be read, has no times or flags, or such times as no machine has.
    """
    if path.suffix == ".npz":
        events = _of_columns(path)
    else:
        events = _of_llfree(path) if is_llfree(path) else _of_text(path)
    if not events.asked.any():
        raise ReplayError(f"{path}: no request in it (mm_page_alloc)")
    demand = _matched(events)
    if np.diff(demand.at_us, prepend=0).max() > _SILENCE_US_MOST:
        raise ReplayError(f"{path}: nobody asked for anything for over an hour of it: give a part")
    if not is_plausible(len(demand.at_us), int(demand.at_us[-1]), demand.length_us):
        raise ReplayError(f"{path}: its times are those of no machine")
    return demand


def _matched(events: Events) -> Demand:
    """Find the end of each request: the next event of its page, if that is a free."""
    real = np.flatnonzero(events.pfn != FAILED_PFN)
    by_page = real[np.lexsort((real, events.pfn[real]))]
    pfn, asked = events.pfn[by_page], events.asked[by_page]
    same = np.append(pfn[1:] == pfn[:-1], False)
    ends = asked & same
    ends[:-1] &= ~asked[1:]
    end = np.full(len(events.asked), -1, np.int64)
    end[by_page[ends]] = by_page[np.flatnonzero(ends) + 1]
    first = np.append(True, pfn[1:] != pfn[:-1])
    left_out = Counter(
        {
            "frees_of_pages_in_use_at_the_start": int((first & ~asked).sum()),
            "requests_whose_free_is_not_seen": int((asked & ~ends).sum()),
        }
    )
    rows = np.flatnonzero(events.asked)
    length_us = max(int(events.at_us[-1]), 1)
    order, at_us, flags = events.order[rows], events.at_us[rows], events.flags[rows]
    served, ended = events.pfn[rows] != FAILED_PFN, end[rows] >= 0
    hold_us = np.where(ended, events.at_us[end[rows]] - at_us, length_us)
    hold_us = _of_the_failed(hold_us, served, flags * (ORDER_MAX + 1) + order)
    use = np.array([_use(one) for one in events.kinds], np.int64)[flags]
    # What became of a file's page later is reclaim's affair, as it is of nearly all of them.
    reclaimed = np.where(ended, events.by_reclaim[end[rows]], served & (use & Use.FILE > 0))
    use |= np.where(reclaimed & (use & (Use.FILE | Use.ANON) > 0), int(Use.RECLAIMED), 0)
    bits = np.array([gfp_of(one) for one in events.kinds], np.int64)[flags]
    return Demand(at_us, hold_us, order, bits, use, served, ended, length_us, left_out)


def _of_the_failed(hold_us: np.ndarray, served: np.ndarray, kind: np.ndarray) -> np.ndarray:
    """Holds with those of failed requests filled in: that of the last one alike that was served.

    Where none was before, that of the first one after; where none was at all, a millisecond.
    """
    rows = np.arange(len(kind))
    by_kind = np.lexsort((rows, kind))
    alike, good = kind[by_kind], served[by_kind]
    before = np.maximum.accumulate(np.where(good, rows, -1))
    after = np.minimum.accumulate(np.where(good, rows, len(rows))[::-1])[::-1]
    source = np.where((before >= 0) & (alike[before] == alike), before, after)
    found = source < len(rows)
    found &= alike[np.minimum(source, len(rows) - 1)] == alike
    filled = np.where(found, hold_us[by_kind][np.minimum(source, len(rows) - 1)], _DEFAULT_HOLD_US)
    result = hold_us.copy()
    result[by_kind] = np.where(good, hold_us[by_kind], filled)
    return result


def _use(flags: frozenset[str]) -> int:
    """What a block asked for with these flags is for.

    Movable blocks are those of programs and files. Zeroed ones are programs'; of the others those
    for reading ahead (NORETRY, since 2.6.39), to be written, or without FS are files', and the
    rest copies after fork or from swap.
    """
    if "MOVABLE" not in flags:
        return 0
    written = int(Use.WRITTEN) if "WRITE" in flags else 0
    of_file = flags & {"WRITE", "NORETRY", "NOFAIL", "COLD"} or "FS" not in flags
    if "ZERO" not in flags and of_file:
        return int(Use.FILE) | written
    return int(Use.ANON) | int(Use.WRITTEN)


def _of_columns(path: Path) -> Events:
    missing = [name for name in _COLUMNS if name not in members_of(path)]
    if missing:
        raise ReplayError(
            f"{path}: it has no column {missing[0]!r}, and without {', '.join(missing)} it can be "
            "replayed, but is no load"
        )
    at = read_vectors(path, _COLUMNS)
    code, pid = at["ev"], at["pid"]
    by_reclaim = np.isin(pid, np.unique(pid[code == _KSWAPD_SLEEPS]))
    for task in np.unique(pid[code == _DIRECT_BEGINS]):
        own = np.flatnonzero(pid == task)
        begun = (code[own] == _DIRECT_BEGINS).cumsum() - (code[own] == _DIRECT_ENDS).cumsum()
        by_reclaim[own] |= begun > 0
    asked = code == Code.ALLOC
    which = (asked | (code == Code.FREE)) & (at["order"] >= 0) & (at["order"] <= ORDER_MAX)
    masks, flags = np.unique(np.where(asked, at["gfp"], 0)[which], return_inverse=True)
    if len(masks) > _MASKS_MOST:
        raise ReplayError(f"{path}: column 'gfp' has {len(masks):,} values, which no kernel uses")
    release = release_of(path) or _ASSUMED
    if not which.any():
        raise ReplayError(f"{path}: no request in it (mm_page_alloc)")
    if np.abs(at["dt_us"].astype(np.float64)).sum() > _US_MOST:
        raise ReplayError(
            f"{path}: column 'dt_us' adds up to more than {_US_MOST:,} microseconds (30 years)"
        )
    at_us = np.maximum.accumulate(at["dt_us"].cumsum())
    return Events(
        asked[which],
        at_us[which] - at_us[0],
        at["pfn"][which],
        at["order"][which],
        flags.reshape(-1),
        by_reclaim[which],
        [gfp.from_mask(int(mask) & 0xFFFFFFFF, release) for mask in masks],
    )


_LLFREE_PAGE = 4096
_LLFREE_HEAD = np.dtype([("pages", "<u4"), ("cores", "<u4"), ("max_pfn", "<u4")])
_LLFREE_ENTRIES = 255
_LLFREE_CORES_MOST = 4096


def is_llfree(path: Path) -> bool:
    """Whether a file is a trace of LLFree's evaluation (luhsra/llfree-rs, eval/src/bin/replay.rs).

    Its first page holds the number of further pages, of processors and the highest pfn, and else
    nothing.

    Raises
    ------
    ReplayError
        It cannot be opened.
    """
    with open_regular(path) as file:
        head = file.read(_LLFREE_PAGE)
        size = os.fstat(file.fileno()).st_size
    if len(head) < _LLFREE_PAGE or any(head[_LLFREE_HEAD.itemsize :]):
        return False
    at = np.frombuffer(head, _LLFREE_HEAD, 1)[0]
    return size == (int(at["pages"]) + 1) * _LLFREE_PAGE and 0 < at["cores"] <= _LLFREE_CORES_MOST


def _of_llfree(path: Path) -> Events:
    """Pages of one processor each: its number, then entries of 128 bits, from the lowest bit on.

    38 bits time in us, 24 pfn, 1 whether it is a request, 4 order, 29 flags (of 5.1 and later; the
    highest for the page cache), 32 pid. An entry of zeros fills a page that is not full.
    """
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > 16 * ROWS_MAX:
            raise ReplayError(f"{path}: over {ROWS_MAX:,} entries; give a part of it")
        pages = np.fromfile(file, "<u8")[_LLFREE_PAGE // 8 :]
    words = pages.reshape(-1, _LLFREE_PAGE // 8)[:, 2:].reshape(-1, 2)
    low, high = words[(words != 0).any(axis=1)].T
    at_us = (low & np.uint64((1 << 38) - 1)).astype(np.int64)
    in_order = np.argsort(at_us, kind="stable")
    low, high, at_us = low[in_order], high[in_order], at_us[in_order]
    order = (low >> np.uint64(63) | (high & np.uint64(7)) << np.uint64(1)).astype(np.int64)
    if not len(low) or (order > ORDER_MAX).any():
        raise ReplayError(f"{path}: no entries of LLFree's traces")
    asked = (low >> np.uint64(62) & np.uint64(1)) > 0
    masks, flags = np.unique(high >> np.uint64(3) & np.uint64((1 << 29) - 1), return_inverse=True)
    if len(masks) > _MASKS_MOST:
        raise ReplayError(f"{path}: requests with {len(masks):,} different flags")
    return Events(
        asked,
        at_us - at_us[0],
        (low >> np.uint64(38) & np.uint64((1 << 24) - 1)).astype(np.int64),
        order,
        flags.reshape(-1),
        np.zeros(len(low), bool),
        [_flags_of_llfree(int(mask)) for mask in masks],
    )


def _flags_of_llfree(mask: int) -> frozenset[str]:
    """Flags with COLD for a page of a file, which the mask tells in a bit of its own."""
    flags = gfp.from_mask(mask & ~_LLFREE_PAGE_CACHE, _ASSUMED)
    return flags | {"COLD"} if mask & _LLFREE_PAGE_CACHE else flags


_LLFREE_PAGE_CACHE = 1 << 28

_LINE = re.compile(
    rb"\s(\d{1,12})\.(\d{3,9}):\s{1,64}(?:\w{1,40}:)?"
    rb"(mm_page_alloc|mm_page_free(?:_direct|_batched)?|mm_pagevec_free"
    rb"|mm_vmscan_direct_reclaim_(?:begin|end)):"
)
_TASK = re.compile(rb"\s{0,40}(\S(?:[^\[\n]{0,30}\S)?)[- ]{1,8}([0-9]{1,8})\s{1,8}[(\[]")
_PFN = re.compile(rb"\bpfn=(?:0x([0-9a-f]{1,16})|([0-9]{1,20}))(?![0-9])")
_PAGE = re.compile(rb"\bpage=((?:0x)?[0-9a-f]{1,16}|\(nil\))(?!\S)")
_RECORDED_PAGES = (4, 0)
"""The last kernel that recorded the address of a struct page instead of a pfn."""
_ORDER = re.compile(rb"\border=([0-9]{1,3})\b")
_GFP = re.compile(rb"\bgfp_flags=(\S{1,400})")
_ASKED, _FREED, _BEGINS, _ENDS = range(4)
_WHAT = {
    b"mm_page_alloc": _ASKED, b"mm_vmscan_direct_reclaim_begin": _BEGINS,
    b"mm_vmscan_direct_reclaim_end": _ENDS,
}  # fmt: skip
_CELLS = 6


def _of_text(path: Path) -> Events:
    with unpacked(path) as file:
        if b"\0" in file.read(16):
            raise ReplayError(f"{path}: neither text nor a numpy archive")
    words: dict[bytes, int] = {}
    release = release_of(path)
    kinds: list[frozenset[str]] = []
    cells = array("q")
    for number, what, pfn, order, spelled, by_reclaim, old in _read(path):
        if spelled not in words:
            words[spelled] = len(kinds)
            kinds.append(_flags(spelled, release or (_RECORDED_PAGES if old else _ASSUMED)))
        cells.extend((what == _ASKED, number, pfn, order, words[spelled], by_reclaim))
        if len(kinds) > _MASKS_MOST:
            raise ReplayError(f"{path}: requests with over {_MASKS_MOST:,} different flags")
    if not cells:
        raise ReplayError(f"{path}: no request in it (mm_page_alloc)")
    table = np.frombuffer(cells, np.int64).reshape(-1, _CELLS)
    # Those of several processors may be interleaved by a little.
    table = table[np.argsort(table[:, 1], kind="stable")]
    asked, at_us, pfn, order, flags, by_reclaim = np.ascontiguousarray(table.T)
    at_us = at_us - at_us[0]
    return Events(asked > 0, at_us, pfn, order, flags, by_reclaim > 0, kinds)


def _flags(spelled: bytes, release: tuple[int, int]) -> frozenset[str]:
    """Flags as a tracer spells them: names, or that kernel's mask."""
    text = spelled.decode("ascii", "replace")
    if text.isascii() and text.isdigit():
        return gfp.from_mask(int(text) & 0xFFFFFFFF, release)
    return gfp.from_names(text, release) or frozenset()


def _read(path: Path) -> Iterator[tuple[int, int, int, int, bytes, bool, bool]]:
    """Of each request and free of a text: us, what, pfn, order, flags, made by reclaim, no pfn.

    Without pfn the address of the struct page stands for it: as good to find a block's free by.
    """
    reclaiming: set[bytes] = set()
    for line in lines_of(path):
        event = _LINE.search(line)
        if event is None:
            continue
        task = _TASK.match(line)
        name, pid = task.groups() if task else (b"", b"")
        what = _WHAT.get(event[3], _FREED)
        if what == _BEGINS:
            reclaiming.add(pid)
        elif what == _ENDS:
            reclaiming.discard(pid)
        if what > _FREED:
            continue
        pfn, order = _PFN.search(line, event.end()), _ORDER.search(line, event.end())
        page = _PAGE.search(line, event.end()) if pfn is None else None
        if pfn is not None:
            number = int(pfn[1], 16) if pfn[2] is None else int(pfn[2])
            if number >= FAILED_PFN or (number == 0 and what == _ASKED):
                number = FAILED_PFN
        elif page is not None:
            address = address_of(page[1])
            number = FAILED_PFN if address is None else address % (1 << 63)
        else:
            continue
        size = 0 if order is None else int(order[1])
        if size > ORDER_MAX:
            continue
        spelled = _GFP.search(line, event.end()) if what == _ASKED else None
        microseconds = int(event[1]) * 1_000_000 + int(event[2].ljust(9, b"0")) // 1_000
        by_reclaim = pid in reclaiming or name.startswith(b"kswapd")
        flags = spelled[1] if spelled else b""
        yield microseconds, what, number, size, flags, by_reclaim, page is not None
