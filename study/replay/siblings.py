"""What was recorded beside a trace: snapshots of /proc and ordered free lists."""

from __future__ import annotations

import gzip
import json
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from study.replay.trace import PAGEBLOCK_ORDER, ReplayError
from study.zone.settings import NR_ORDERS

# Where the zones of x86-64 end if no list of them says so: 16 MB, 4 GB, 256 GB.
ZONE_ENDS = (("DMA", 1 << 12), ("DMA32", 1 << 20), ("Normal", 1 << 26))
_KPF_BUDDY = 10
_MOVABLE = 1
TYPE_NAMES = ("Unmovable", "Movable", "Reclaimable", "HighAtomic", "Isolate")
"""As /proc/pagetypeinfo has them, by number."""
NR_TYPES = len(TYPE_NAMES)


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


def _load(path: Path) -> Any:
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            return json.load(file)
    except (EOFError, zlib.error, OSError, ValueError) as fault:
        raise ReplayError(f"{path}: cut off or damaged ({fault})") from None


def _counts(values: Any) -> np.ndarray:
    row = np.array(values, np.int64)
    if row.shape != (NR_ORDERS,):
        raise ValueError(f"{row.size} numbers where {NR_ORDERS} orders were expected")
    return row


def _thousandths(values: Any) -> np.ndarray:
    return _counts(np.rint(np.array(values, np.float64) * 1000))


def _by_zone(shot: Mapping[str, Any], key: str) -> dict[str, np.ndarray]:
    return {str(zone): _thousandths(values) for zone, values in (shot.get(key) or {}).items()}


@dataclass(frozen=True)
class _About:
    """What a snapshots file says of its trace; fields as in Siblings."""

    start_row: int = 0
    end_row: int | None = None
    kpageflags_row: int = 0
    release: tuple[int, int] | None = None
    lost: int = 0


def _read_about(meta: Mapping[str, Any]) -> _About:
    dumps = {int(dump["n"]): dump for dump in meta.get("memdumps") or []}
    tables = {int(table["n"]): table for table in meta.get("kpageflags") or []}
    return _About(
        start_row=int(dumps[0]["idx_end"]) if 0 in dumps else 0,
        # The row that announces it belongs to what came before.
        end_row=int(dumps[1]["idx_begin"]) + 1 if 1 in dumps else None,
        kpageflags_row=int(tables[0]["idx_end"]) if 0 in tables else 0,
        release=_release(str(meta.get("uname", ""))),
        lost=_lost(str(meta.get("ring_stats", ""))),
    )


def _read_snapshots(path: Path) -> tuple[_About, list[Snapshot]]:
    content = _load(path)
    try:
        snapshots = [
            Snapshot(
                row=int(shot["idx_buddyinfo"]),
                settled=int(shot.get("idx_end", shot["idx_buddyinfo"])),
                nr_free={str(z): _counts(n) for z, n in shot["buddyinfo"].items()},
                extfrag=_by_zone(shot, "extfrag_index"),
                unusable=_by_zone(shot, "unusable_index"),
            )
            for shot in content["snapshots"]
            if shot.get("idx_buddyinfo") is not None
        ]
        about = _read_about(content.get("meta") or {})
    except (KeyError, TypeError, ValueError, AttributeError) as fault:
        raise ReplayError(f"{path}: no snapshots as expected ({_say(fault)})") from None
    return about, sorted(snapshots, key=lambda shot: shot.row)


def _read_lists(path: Path) -> FreeLists:
    content = _load(path)
    try:
        names = list(content.get("migratetypes") or TYPE_NAMES)
        types = {name: TYPE_NAMES.index(name) for name in names if name in TYPE_NAMES}
        zones = {
            str(name): _zone_lists(zone, types)
            for name, zone in content.items()
            if isinstance(zone, dict) and "free_list" in zone
        }
        pageblocks = _pageblock_types(content["pageblock_mt"])
        _check_blocks(zones)
    except (KeyError, TypeError, ValueError, AttributeError) as fault:
        raise ReplayError(f"{path}: no ordered free lists as expected ({_say(fault)})") from None
    if not zones:
        raise ReplayError(f"{path}: no ordered free lists as expected (no zone in it)")
    return FreeLists(zones, pageblocks)


def _pageblock_types(values: Any) -> np.ndarray:
    types = np.array(values, np.int64)
    if types.ndim != 1 or ((types < 0) | (types >= NR_TYPES)).any():
        raise ValueError("a pageblock of no known migratetype")
    return types


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
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            free = archive["k0"] >> _KPF_BUDDY & 1 != 0
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OSError, KeyError) as fault:
        raise ReplayError(f"{path}: cut off or damaged ({_say(fault)})") from None
    zones = {}
    start = 0
    for name, end in ZONE_ENDS:
        if start < len(free):
            stop = min(end, len(free))
            zones[name] = ZoneLists(start, stop, _largest_blocks(free, start, stop))
        start = end
    pageblocks = -(-len(free) >> PAGEBLOCK_ORDER)
    return FreeLists(zones, np.full(pageblocks, _MOVABLE, np.int64), ordered=False)


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
        lists[order, _MOVABLE] = (np.flatnonzero(blocks) << order) + start
    return lists


def _zone_lists(zone: Mapping[str, Any], types: Mapping[str, int]) -> ZoneLists:
    lists = {}
    start, end = int(zone["start_pfn"]), int(zone["start_pfn"]) + int(zone["spanned"])
    for order, by_type in zone["free_list"].items():
        for name, heads in by_type.items():
            pfns = np.array(heads, np.int64)
            if not 0 <= int(order) < NR_ORDERS:
                raise ValueError(f"order {order}")
            inside = (pfns >= start) & (pfns + (1 << int(order)) <= end)
            if pfns.ndim != 1 or not inside.all() or (pfns % (1 << int(order))).any():
                raise ValueError(f"a block of order {order} lies astray")
            lists[int(order), types[name]] = pfns
    return ZoneLists(start, end, lists)


def _release(uname: str) -> tuple[int, int] | None:
    found = re.search(r"\s(\d+)\.(\d+)[.\-]", uname)
    return (int(found[1]), int(found[2])) if found else None


def _lost(ring_stats: str) -> int:
    counts = dict(re.findall(r"^(overrun|dropped events): (\d+)", ring_stats, re.MULTILINE))
    return sum(map(int, counts.values()))


def _say(fault: Exception) -> str:
    return f"no {fault}" if isinstance(fault, KeyError) else str(fault)
