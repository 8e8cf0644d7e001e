"""What was recorded beside a trace: snapshots of /proc and ordered free lists."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from study.replay.columnar import read_vectors
from study.replay.files import in_short, read_json
from study.replay.trace import PAGEBLOCK_ORDER, ReplayError, name_of
from study.zone.settings import NR_ORDERS

# Where the zones of x86-64 end if no list of them says so: 16 MB, 4 GB, 256 GB.
ZONE_ENDS = (("DMA", 1 << 12), ("DMA32", 1 << 20), ("Normal", 1 << 26))
_KPF_BUDDY = 10
_MOVABLE = 1
TYPE_NAMES = ("Unmovable", "Movable", "Reclaimable", "HighAtomic", "Isolate")
"""As /proc/pagetypeinfo has them, by number."""
NR_TYPES = len(TYPE_NAMES)
_FRAMES_MAX = ZONE_ENDS[-1][1]
_ZONES_MAX = 16
"""The kernel has at most six (MAX_NR_ZONES)."""
_SNAPSHOTS_MAX = 10_000
"""Recordings have some hundreds; comparing the indices of one takes half a millisecond."""
_NUMBER_MAX = 1 << 48
"""Of rows and of free blocks: sums of such numbers stay far from the end of 64 bits."""
_INDEX_MAX = 1e6
"""The printed indices lie between -1 and 1."""
_NAME_LETTERS_MAX = 40


@dataclass(frozen=True)
class Snapshot:
    """What the kernel showed of itself at one moment.

    row      rows of the trace before it
    settled  row by which the indices had been read too
    nr_free  zone -> free blocks per order (11)
    extfrag, unusable  zone -> the printed indices in thousandths, per order; empty if not recorded
    """

    row: int
    settled: int
    nr_free: dict[str, np.ndarray]
    extfrag: dict[str, np.ndarray]
    unusable: dict[str, np.ndarray]


@dataclass(frozen=True)
class ZoneLists:
    """One zone's ordered free lists: (order, migratetype) -> pfns, the first to be taken first."""

    start_pfn: int
    end_pfn: int
    lists: dict[tuple[int, int], np.ndarray]


@dataclass(frozen=True)
class FreeLists:
    """The free blocks of all zones, and the migratetype of each pageblock from pfn 0 on.

    ordered  whether lists and types are the kernel's; else only the blocks are
    """

    zones: dict[str, ZoneLists]
    pageblock_types: np.ndarray
    ordered: bool = True


@dataclass(frozen=True)
class Siblings:
    """All that was found; what is None was not.

    start_row, end_row  rows before the moment each set of lists was read
    release             (major, minor) of the kernel, None if unknown
    lost                events the ring buffer is known to have lost
    """

    snapshots: list[Snapshot] | None
    start: FreeLists | None
    end: FreeLists | None
    start_row: int
    end_row: int | None
    release: tuple[int, int] | None
    lost: int
    missing: list[str]


def find_siblings(folder: Path, name: str | None) -> Siblings:
    """Read snapshots_NAME.json.gz and freelists_NAME_{0,1}.json.gz where they exist.

    Without lists of the start, kpageflags_NAME.npz will do for the counts: it says which pages are
    free, though not in which order. Raises ReplayError if a file exists and cannot be used.
    """
    found: list[Path | None] = []
    missing = []
    for pattern in ("snapshots_{}", "freelists_{}_0", "freelists_{}_1"):
        path = folder / (pattern.format(name or "NAME") + ".json.gz")
        exists = name is not None and path.is_file()
        found.append(path if exists else None)
        if not exists:
            missing.append(path.name)
    snapshots, lists, lists_after = found
    about, shots = _About(), None
    if snapshots is not None:
        about, shots = _read_snapshots(snapshots)
    start_row = about.start_row
    start = None if lists is None else _read_lists(lists)
    if start is None and name is not None:
        start = read_kpageflags(folder / f"kpageflags_{name}.npz")
        if start is not None:
            start_row = about.kpageflags_row
    return Siblings(
        snapshots=shots,
        start=start,
        end=None if lists_after is None else _read_lists(lists_after),
        start_row=start_row,
        end_row=about.end_row,
        release=about.release,
        lost=about.lost,
        missing=missing,
    )


def release_of(trace: Path) -> tuple[int, int] | None:
    """The kernel of a trace, if the snapshots beside it tell; ReplayError if they are damaged."""
    name = name_of(trace)
    path = trace.with_name(f"snapshots_{name}.json.gz")
    return _read_snapshots(path)[0].release if name is not None and path.is_file() else None


def _whole(value: Any, what: str, most: int = _NUMBER_MAX) -> int:
    """A whole number that is not negative. Raises ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError(f"{what} is no whole number from 0 to {most:,}")
    return value


def _vector(values: Any, what: str) -> np.ndarray:
    """A list of whole numbers that are not negative. Raises ValueError for anything else."""
    if not isinstance(values, list):
        raise ValueError(f"{what}: no list")
    row = np.array(values)
    if row.ndim != 1 or (row.size and row.dtype.kind not in "iu"):
        raise ValueError(f"{what}: no list of whole numbers")
    if row.size and not 0 <= int(row.min()) <= int(row.max()) <= _NUMBER_MAX:
        raise ValueError(f"{what}: a number below 0 or above {_NUMBER_MAX:,}")
    return row.astype(np.int64)


def _counts(values: Any) -> np.ndarray:
    row = _vector(values, "buddyinfo")
    if row.shape != (NR_ORDERS,):
        raise ValueError(f"{row.size} numbers where {NR_ORDERS} orders were expected")
    return row


def _thousandths(values: Any) -> np.ndarray:
    row = np.array(values, np.float64)
    if row.shape != (NR_ORDERS,) or not (np.abs(row) <= _INDEX_MAX).all():
        raise ValueError(f"no index for each of {NR_ORDERS} orders")
    return np.rint(row * 1000).astype(np.int64)


def _zone_name(name: str) -> str:
    if not name.isprintable() or not 0 < len(name) <= _NAME_LETTERS_MAX:
        raise ValueError("a zone of no usable name")
    return name


def _by_zone(shot: Mapping[str, Any], key: str) -> dict[str, np.ndarray]:
    return {
        _zone_name(zone): _thousandths(values) for zone, values in (shot.get(key) or {}).items()
    }


@dataclass(frozen=True)
class _About:
    """What a snapshots file says of its trace; fields as in Siblings."""

    start_row: int = 0
    end_row: int | None = None
    kpageflags_row: int = 0
    release: tuple[int, int] | None = None
    lost: int = 0


def _read_about(meta: Mapping[str, Any]) -> _About:
    dumps = _numbered(meta, "memdumps")
    tables = _numbered(meta, "kpageflags")
    return _About(
        start_row=_whole(dumps[0]["idx_end"], "idx_end") if 0 in dumps else 0,
        # The row that announces it belongs to what came before.
        end_row=_whole(dumps[1]["idx_begin"], "idx_begin") + 1 if 1 in dumps else None,
        kpageflags_row=_whole(tables[0]["idx_end"], "idx_end") if 0 in tables else 0,
        release=_release(str(meta.get("uname", ""))),
        lost=_lost(str(meta.get("ring_stats", ""))),
    )


def _numbered(meta: Mapping[str, Any], key: str) -> dict[int, Any]:
    return {_whole(entry["n"], f"{key}: n"): entry for entry in meta.get(key) or []}


_WRONG = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)
"""What reading values of another kind than expected raises."""


def _read_snapshots(path: Path) -> tuple[_About, list[Snapshot]]:
    content = read_json(path)
    try:
        shots = content["snapshots"]
        if len(shots) > _SNAPSHOTS_MAX:
            raise ValueError(f"over {_SNAPSHOTS_MAX:,} of them")
        snapshots = [_snapshot(shot) for shot in shots if shot.get("idx_buddyinfo") is not None]
        about = _read_about(content.get("meta") or {})
    except _WRONG as error:
        raise ReplayError(f"{path}: no snapshots as expected ({in_short(error)})") from None
    return about, sorted(snapshots, key=lambda shot: shot.row)


def _snapshot(shot: Mapping[str, Any]) -> Snapshot:
    if len(shot["buddyinfo"]) > _ZONES_MAX:
        raise ValueError(f"over {_ZONES_MAX} zones")
    return Snapshot(
        row=_whole(shot["idx_buddyinfo"], "idx_buddyinfo"),
        settled=_whole(shot.get("idx_end", shot["idx_buddyinfo"]), "idx_end"),
        nr_free={_zone_name(z): _counts(n) for z, n in shot["buddyinfo"].items()},
        extfrag=_by_zone(shot, "extfrag_index"),
        unusable=_by_zone(shot, "unusable_index"),
    )


def _read_lists(path: Path) -> FreeLists:
    content = read_json(path)
    try:
        names = list(content.get("migratetypes") or TYPE_NAMES)
        types = {name: TYPE_NAMES.index(name) for name in names if name in TYPE_NAMES}
        zones = {
            _zone_name(name): _zone_lists(zone, types)
            for name, zone in content.items()
            if isinstance(zone, dict) and "free_list" in zone
        }
        pageblocks = _pageblock_types(content["pageblock_mt"])
        _check_spans(zones)
        _check_blocks(zones)
    except _WRONG as error:
        raise ReplayError(
            f"{path}: no ordered free lists as expected ({in_short(error)})"
        ) from None
    if not zones:
        raise ReplayError(f"{path}: no ordered free lists as expected (no zone in it)")
    return FreeLists(zones, pageblocks)


def _pageblock_types(values: Any) -> np.ndarray:
    types = _vector(values, "pageblock_mt")
    if (types >= NR_TYPES).any():
        raise ValueError("a pageblock of no known migratetype")
    return types


def _check_spans(zones: Mapping[str, ZoneLists]) -> None:
    """Raise ValueError if there are too many zones, or a frame lies in two of them."""
    if len(zones) > _ZONES_MAX:
        raise ValueError(f"over {_ZONES_MAX} zones")
    last = 0
    for name, zone in sorted(zones.items(), key=lambda item: item[1].start_pfn):
        if zone.start_pfn == zone.end_pfn:
            continue
        if zone.start_pfn < last:
            raise ValueError(f"zone {name} begins inside another")
        last = zone.end_pfn


def _check_blocks(zones: Mapping[str, ZoneLists]) -> None:
    """Raise ValueError if a page is free twice."""
    blocks = [
        (pfns, np.full(len(pfns), 1 << order))
        for zone in zones.values()
        for (order, _), pfns in zone.lists.items()
    ]
    first = np.concatenate([pfns for pfns, _ in blocks] or [np.zeros(0, np.int64)])
    pages = np.concatenate([size for _, size in blocks] or [np.zeros(0, np.int64)])
    by_pfn = np.argsort(first)
    first, pages = first[by_pfn], pages[by_pfn]
    twice = np.flatnonzero(first[:-1] + pages[:-1] > first[1:])
    if twice.size:
        raise ValueError(f"pfn {first[twice[0] + 1]} is free twice")


def read_kpageflags(path: Path) -> FreeLists | None:
    """The free blocks at the start from the first table of /proc/kpageflags; None if no such file.

    A page's bit says that it is free; blocks are as large as they can be. Raises ReplayError if
    the file cannot be used.
    """
    if not path.is_file():
        return None
    free = read_vectors(path, ["k0"], most=_FRAMES_MAX, kept=_is_free)["k0"]
    zones = {}
    start = 0
    for name, end in ZONE_ENDS:
        if start < len(free):
            stop = min(end, len(free))
            zones[name] = ZoneLists(start, stop, _largest_blocks(free, start, stop))
        start = end
    pageblocks = -(-len(free) >> PAGEBLOCK_ORDER)
    return FreeLists(zones, np.full(pageblocks, _MOVABLE, np.int64), ordered=False)


def _is_free(flags: np.ndarray) -> np.ndarray:
    return (flags >> _KPF_BUDDY & 1).astype(np.bool_)


def _largest_blocks(free: np.ndarray, start: int, end: int) -> dict[tuple[int, int], np.ndarray]:
    size = 1 << NR_ORDERS - 1
    pages = np.zeros(-(-(end - start) // size) * size, bool)
    pages[: end - start] = free[start:end]
    whole = [pages]
    for _ in range(1, NR_ORDERS):
        whole.append(whole[-1][::2] & whole[-1][1::2])
    lists = {}
    for order in range(NR_ORDERS):
        blocks = whole[order].copy()
        if order + 1 < NR_ORDERS:
            blocks &= ~np.repeat(whole[order + 1], 2)
        first = np.flatnonzero(blocks)
        first <<= order
        first += start
        lists[order, _MOVABLE] = first
    return lists


_ORDERS = {str(order): order for order in range(NR_ORDERS)}


def _zone_lists(zone: Mapping[str, Any], types: Mapping[str, int]) -> ZoneLists:
    lists = {}
    start = _whole(zone["start_pfn"], "start_pfn", _FRAMES_MAX)
    end = start + _whole(zone["spanned"], "spanned", _FRAMES_MAX - start)
    for word, by_type in zone["free_list"].items():
        if word not in _ORDERS:
            raise ValueError(f"order {word}")
        order = _ORDERS[word]
        for name, heads in by_type.items():
            pfns = _vector(heads, f"a free list of order {order}")
            inside = (pfns >= start) & (pfns + (1 << order) <= end)
            if not inside.all() or (pfns % (1 << order)).any():
                raise ValueError(f"a block of order {order} lies astray")
            lists[order, types[name]] = pfns
    return ZoneLists(start, end, lists)


def _release(uname: str) -> tuple[int, int] | None:
    found = re.search(r"\s([0-9]{1,4})\.([0-9]{1,4})[.\-]", uname)
    return (int(found[1]), int(found[2])) if found else None


def _lost(ring_stats: str) -> int:
    counts = dict(re.findall(r"^(overrun|dropped events): ([0-9]{1,18})", ring_stats, re.MULTILINE))
    return sum(map(int, counts.values()))
