"""Any Linux by its version: the nearest known one below, and what lies between and is not modelled.

The bundles of settings stand in model.py; here is which of them a version takes, and what it does
not get with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from study.refusals.kernel import Version

OLDEST = "2.6.8"
_VERSION = re.compile(
    r"v?(\d{1,2})\.(\d{1,3})(?:\.(\d{1,3}))?(?:(?:[-+~_]|\.(?=\d))[\w.+~-]{0,60})?"
)
_MOST = 9
"""Major versions above it are slips."""

CHANGES: tuple[tuple[str, str], ...] = (
    ("2.6.12", "lowmem_reserve_ratio in place of protection (set watermarks.lowmem_reserve)"),
    ("2.6.16", "lowmem_reserve also for zone DMA32; pages of per-cpu lists by node"),
    ("2.6.28", "anonymous and file pages on LRU lists of their own"),
    ("3.0", "kswapd content with a share of a node"),
    ("3.15", "shadow entries of evicted file pages (workingset)"),
    ("4.7", "retries of direct reclaim and compaction end by what they achieve"),
    ("4.12", "compaction keeps unmovable requests to their own pageblocks"),
    ("5.1", "compaction's fast searches and page capture"),
    ("5.14", "per-cpu lists hold orders 0 to 3 and huge pages"),
    ("5.18", "page cache in large folios; per-cpu frees of high orders drain the list"),
    ("6.1", "multi-generation LRU"),
    ("6.3", "who may dip below min: not to wait and __GFP_HIGH add up"),
    ("6.7", "per-cpu lists tune their size"),
    ("6.8", "anonymous folios of order 2 to 8; a reserve for atomic requests of exactly 1 %"),
    ("6.9", "compaction moves folios"),
    ("6.10", "a free page is always on the list of its pageblock's type"),
    ("6.12", "of what is reserved for atomic requests only free pages are taken off"),
    ("6.15", "the smallest foreign block, or the whole pageblock; vm.defrag_mode"),
    ("7.0", "a slow path that compacts first"),
)
"""Version -> what it brought that the study does not have.

mm/page_alloc.c, mm/compaction.c and mm/vmscan.c of 2.6.12 to 7.0; docs/why.md has the commits of
those that change the watermark test.
"""


def parse(text: str) -> Version | None:
    """The version of a kernel's name, 2.6.17 or 5.15.0-91-generic; None if it is none."""
    match = _VERSION.fullmatch(text.strip().lower())
    if match is None:
        return None
    version = tuple(int(part) for part in match.groups() if part is not None)
    if version[0] > _MOST or (version[0] == 2 and version[:2] != (2, 6)):
        return None
    return version


def nearest_below(text: str, known: Iterable[str]) -> str | None:
    """The newest of the known kernels that is not newer; None if there is none, or no version."""
    version = parse(text)
    if version is None:
        return None
    below = [name for name in known if (parse(name) or ()) <= version]
    return max(below, key=lambda name: parse(name) or (), default=None)


def between(taken: str, named: str) -> list[str]:
    """What the kernels after one that is taken, up to the one named, brought and is not modelled.

    Parameters
    ----------
    taken
        The known kernel whose settings a cell has.
    named
        What the scenario says.

    Returns
    -------
    list of str
        Each with the version that brought it: "6.12: of what is reserved ...".
    """
    first, last = parse(taken) or (), parse(named) or ()
    return [
        f"{version}: {what}" for version, what in CHANGES if first < (parse(version) or ()) <= last
    ]


def note(taken: str, named: str) -> str:
    """One sentence about a kernel that is not known itself; empty if it is."""
    if taken == named or parse(taken) == parse(named):
        return ""
    missing = between(taken, named)
    lacks = f"; not modelled of what came between: {'; '.join(missing)}" if missing else ""
    return f"kernel {named} is taken as {taken}, the nearest one known below it{lacks}"
