"""What a trace holds, whatever lies beside it: events, requests, who asked, for how long."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from study.replay.files import lines_of
from study.replay.ftrace import BUDDYINFO
from study.replay.trace import FAILED_PFN, PAGEBLOCK_ORDER, Code, Trace

_ALLOC = re.compile(
    rb"mm_page_alloc:\s{0,64}(?:\[FAILED TO PARSE\] )?(?:page=(\S{1,40}) )?(?:pfn=(\S{1,20}) )?"
    rb"order=([0-9]{1,3})"
    rb"(?:[^\n]{0,80}? gfp_flags=(\S{1,400}))?"
)
_FREE = re.compile(
    rb"(?:mm_page_free(?:_direct|_batched)?|mm_pagevec_free):\s{0,64}(?:\[FAILED TO PARSE\] )?"
    rb"(?:page=(\S{1,40})(?!\S) ?)?(?:pfn=(\S{1,20})(?!\S))?"
)
_UNPARSED = re.compile(rb"mm_page\w{1,40}:\s{0,64}\[FAILED TO PARSE\]")
_WHEN = re.compile(rb"\s([0-9]{1,12}\.[0-9]{3,9}):\s")
_WHO = re.compile(rb"^\s{0,40}(\S(?:[^\[\n]{0,30}\S)?)[- ]{1,8}[0-9]{1,8}\s{1,8}(?:\(|\[)")
_EVENT = re.compile(rb"\b(mm_page\w{1,40}|mm_pagevec_free|kp_\w{1,20}|mm_\w{1,40}):\s")
MOST = 8
"""Flags and callers that are shown."""
EVENTS_MOST = 20
"""Events that are shown; what the study knows has ten names."""
KINDS_MOST = 5_000
"""Different events, flags and callers that are told apart."""
OTHERS = "others"
"""What the rest is counted as."""
_ORDERS = 21
"""Orders from 0 on that any kernel could have."""
_LIVE_MOST = 2_000_000
"""Blocks whose end is waited for at once."""
_SECONDS = 1_000_000
"""Of which the busiest is looked for: eleven days, after which they are counted in a circle."""


@dataclass
class Contents:
    """What was counted in a trace.

    Parameters
    ----------
    events
        Event -> how many.
    orders
        Order -> requests of it, all that no kernel has as `others`; failed -> those that got
        nothing.
    flags, callers
        Flags and tasks of requests -> how many; empty where a trace does not say.
    seconds
        From the first event with a time to the last; None without times.
    busiest
        Requests in the busiest second.
    lifetimes
        Seconds from a request to its free, of those of which both are seen.
    fallbacks, serious
        Blocks taken from another migratetype's list, and those below a pageblock.
    unparsed, by_address
        Events of pages that trace-cmd printed as they were recorded, and those of them that have
        the address of a struct page and no pfn, as kernels before 4.1 recorded it.
    buddyinfo
        Lines of /proc/buddyinfo between the events. They are not compared: what was free when the
        trace began is not told by counts, and which row they belong to not by their place.
    """

    events: Counter[str] = field(default_factory=Counter)
    orders: Counter[str] = field(default_factory=Counter)
    failed: int = 0
    flags: Counter[str] = field(default_factory=Counter)
    callers: Counter[str] = field(default_factory=Counter)
    seconds: float | None = None
    busiest: int = 0
    lifetimes: list[float] = field(default_factory=list)
    fallbacks: int = 0
    serious: int = 0
    unparsed: int = 0
    by_address: int = 0
    buddyinfo: int = 0

    @property
    def requests(self) -> int:
        """All requests."""
        return sum(self.orders.values())

    def plain(self) -> dict[str, Any]:
        """As JSON would have it: the most frequent flags and callers, quartiles of lifetimes."""
        quartiles = np.quantile(self.lifetimes, (0.25, 0.5, 0.75)) if self.lifetimes else ()
        return {
            "events": _most(self.events, EVENTS_MOST),
            "requests": self.requests,
            "failed": self.failed,
            "orders": dict(self.orders),
            "flags": dict(self.flags.most_common(MOST)),
            "callers": dict(self.callers.most_common(MOST)),
            "seconds": self.seconds,
            "busiest_second": self.busiest,
            "lifetimes": len(self.lifetimes),
            "lifetime_quartiles_s": [float(value) for value in quartiles],
            "fallbacks": self.fallbacks,
            "serious_fallbacks": self.serious,
            "unparsed": self.unparsed,
            "unparsed_by_address": self.by_address,
            "buddyinfo_lines": self.buddyinfo,
        }


def _most(counts: Counter[str], most: int) -> dict[str, int]:
    """The most frequent of what was counted, the rest together, in the order of appearance."""
    kept = {name for name, _ in counts.most_common(most)}
    shown = Counter({name: n for name, n in counts.items() if name in kept})
    if len(kept) < len(counts):
        shown[OTHERS] += counts.total() - shown.total()
    return dict(shown)


def _add(counts: Counter[str], name: str) -> None:
    """Count one; of very many different names the last ones together."""
    counts[name if name in counts or len(counts) < KINDS_MOST else OTHERS] += 1


_NAMES = {
    Code.ALLOC: "mm_page_alloc", Code.FREE: "mm_page_free",
    Code.FREE_BATCHED: "mm_page_free_batched", Code.ZONE_LOCKED: "mm_page_alloc_zone_locked",
    Code.PCPU_DRAIN: "mm_page_pcpu_drain", Code.EXTFRAG: "mm_page_alloc_extfrag",
}  # fmt: skip


def contents_of(path: Path, trace: Trace) -> Contents:
    """Count what a trace holds.

    Parameters
    ----------
    path
        The file, of which a text is read once more for what the columns do not keep.
    trace
        Its rows.

    Returns
    -------
    Contents
        Of columns alone, without flags, callers and times, where the file is no text.
    """
    found = Contents()
    asked = trace.code == Code.ALLOC
    order = trace.order[asked]
    known = order[(order >= 0) & (order < _ORDERS)]
    by_order = [*enumerate(np.bincount(known).tolist()), (OTHERS, len(order) - len(known))]
    found.orders.update({str(which): count for which, count in by_order if count})
    found.failed = int((trace.pfn[asked] == FAILED_PFN).sum())
    taken = trace.aux[trace.code == Code.EXTFRAG]
    found.fallbacks = len(taken)
    found.serious = int(((taken & 0xFF) < PAGEBLOCK_ORDER).sum())
    if path.suffix == ".npz":
        codes, counts = np.unique(trace.code, return_counts=True)
        for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
            found.events[_NAMES.get(code, OTHERS)] += count
        return found
    _read(path, found)
    return found


def _read(path: Path, found: Contents) -> None:
    born: dict[bytes, float] = {}
    by_second: Counter[int] = Counter()
    first = last = None
    for line in lines_of(path):
        found.buddyinfo += b", zone" in line and BUDDYINFO.search(line) is not None
        event = _EVENT.search(line)
        if event is None:
            continue
        _count_event(found, line, event)
        when = _WHEN.search(line)
        now = None if when is None else float(when[1])
        if now is not None:
            first, last = now if first is None else min(first, now), max(last or now, now)
        request = _ALLOC.search(line)
        if request is not None:
            _count(found, line, request)
            if now is not None:
                by_second[int(now) % _SECONDS] += 1
                if len(born) < _LIVE_MOST:
                    born[request[2] or request[1]] = now
            continue
        freed = _FREE.search(line)
        if freed is not None and now is not None:
            begun = born.pop(freed[2] or freed[1], None)
            if begun is not None and now >= begun:
                found.lifetimes.append(now - begun)
    if first is not None and last is not None:
        found.seconds = last - first
    found.busiest = max(by_second.values(), default=0)


def _count_event(found: Contents, line: bytes, event: re.Match[bytes]) -> None:
    _add(found.events, event[1].decode())
    if _UNPARSED.search(line):
        found.unparsed += 1
        found.by_address += b" pfn=" not in line


def _count(found: Contents, line: bytes, request: re.Match[bytes]) -> None:
    if request[4]:
        _add(found.flags, request[4].decode("ascii", "replace"))
    who = _WHO.match(line)
    if who is not None:
        _add(found.callers, who[1].decode("utf-8", "replace").rstrip("-"))
