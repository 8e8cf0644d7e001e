"""Request flags: what a mask meant in each kernel, and what a request may do with it.

include/linux/gfp.h of the versions named. A flag goes here by one word: WAIT is __GFP_WAIT of
before 4.4 and __GFP_DIRECT_RECLAIM since.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from study.refusals.kernel import Version

Flags = frozenset[str]

# Bits by the first version that has them so; since 4.7 reports print names beside the mask.
_OLD = {
    0x1: "DMA", 0x2: "HIGHMEM", 0x4: "DMA32", 0x10: "WAIT", 0x20: "HIGH", 0x40: "IO", 0x80: "FS",
    0x100: "COLD", 0x200: "NOWARN", 0x400: "REPEAT", 0x800: "NOFAIL", 0x1000: "NORETRY",
    0x2000: "NO_GROW", 0x4000: "COMP", 0x8000: "ZERO", 0x10000: "NOMEMALLOC",
    0x20000: "HARDWALL", 0x40000: "THISNODE",
}  # fmt: skip
_TYPED = {**_OLD, 0x80000: "RECLAIMABLE", 0x100000: "MOVABLE"}
_NOTRACK = {**_OLD, 0x8: "MOVABLE", 0x80000: "RECLAIMABLE", 0x200000: "NOTRACK"}
_NO_KSWAPD = {**_NOTRACK, 0x400000: "NO_KSWAPD", 0x800000: "OTHER_NODE", 0x1000000: "WRITE"}
_MEMALLOC = {**_NO_KSWAPD, 0x2000: "MEMALLOC", 0x100000: "KMEMCG"}
_SPLIT = {
    **_MEMALLOC, 0x10: "RECLAIMABLE", 0x80000: "ATOMIC", 0x100000: "ACCOUNT",
    0x400000: "WAIT", 0x2000000: "KSWAPD",
}  # fmt: skip
_NO_OTHER = {**_SPLIT, 0x400: "RETRY_MAYFAIL", 0x800000: "WRITE", 0x1000000: "KSWAPD"}
_NO_COLD = {
    **{bit: name for bit, name in _NO_OTHER.items() if bit < 0x200000},
    0x200000: "WAIT", 0x400000: "KSWAPD", 0x800000: "WRITE",
}  # fmt: skip
_DENSE = {
    0x1: "DMA", 0x2: "HIGHMEM", 0x4: "DMA32", 0x8: "MOVABLE", 0x10: "RECLAIMABLE", 0x20: "HIGH",
    0x40: "IO", 0x80: "FS", 0x100: "ZERO", 0x200: "ATOMIC", 0x400: "WAIT", 0x800: "KSWAPD",
    0x1000: "WRITE", 0x2000: "NOWARN", 0x4000: "RETRY_MAYFAIL", 0x8000: "NOFAIL",
    0x10000: "NORETRY", 0x20000: "MEMALLOC", 0x40000: "COMP", 0x80000: "NOMEMALLOC",
    0x100000: "HARDWALL", 0x200000: "THISNODE", 0x400000: "ACCOUNT",
}  # fmt: skip
_WITHOUT_ATOMIC = {bit: name for bit, name in _DENSE.items() if name != "ATOMIC"}

_TABLES: tuple[tuple[Version, dict[int, str]], ...] = (
    ((2, 6, 0), _OLD),
    ((2, 6, 23), _TYPED),
    ((2, 6, 28), _NOTRACK),
    ((2, 6, 38), _NO_KSWAPD),
    ((3, 6), _MEMALLOC),
    ((4, 4), _SPLIT),
    ((4, 12), _NO_OTHER),
    ((4, 19), _NO_COLD),
    ((5, 1), _DENSE),
    ((6, 3), _WITHOUT_ATOMIC),
)

_RECLAIM = frozenset({"WAIT", "KSWAPD"})
_KERNEL = _RECLAIM | {"IO", "FS"}
_HIGHUSER = _KERNEL | {"HARDWALL", "HIGHMEM"}
_LIGHT = (_HIGHUSER | {"MOVABLE", "COMP", "NOMEMALLOC", "NOWARN"}) - _RECLAIM
_COMPOSED: dict[str, Flags] = {
    "GFP_NOWAIT": frozenset({"KSWAPD"}),
    "GFP_NOIO": _RECLAIM,
    "GFP_NOFS": _RECLAIM | {"IO"},
    "GFP_KERNEL": _KERNEL,
    "GFP_KERNEL_ACCOUNT": _KERNEL | {"ACCOUNT"},
    "GFP_TEMPORARY": _KERNEL | {"RECLAIMABLE"},
    "GFP_USER": _KERNEL | {"HARDWALL"},
    "GFP_DMA": frozenset({"DMA"}),
    "GFP_DMA32": frozenset({"DMA32"}),
    "GFP_HIGHUSER": _HIGHUSER,
    "GFP_HIGHUSER_MOVABLE": _HIGHUSER | {"MOVABLE"},
    "GFP_TRANSHUGE_LIGHT": _LIGHT,
    "GFP_TRANSHUGE": _LIGHT | {"WAIT"},
    "__GFP_RECLAIM": _RECLAIM,
}
_SINGLE = {"DIRECT_RECLAIM": "WAIT", "KSWAPD_RECLAIM": "KSWAPD"}
# In the order in which a mask is put into words: the largest that fits goes first.
_WORDS = (
    "GFP_TRANSHUGE", "GFP_TRANSHUGE_LIGHT", "GFP_HIGHUSER_MOVABLE", "GFP_HIGHUSER", "GFP_USER",
    "GFP_KERNEL_ACCOUNT", "GFP_KERNEL", "GFP_NOFS", "GFP_ATOMIC", "GFP_NOIO", "GFP_NOWAIT",
)  # fmt: skip

CLASSES = {"atomic": "GFP_ATOMIC", "GFP_KERNEL": "GFP_KERNEL", "movable": "GFP_HIGHUSER_MOVABLE"}
"""The classes of requests that --here looks at, each by what it asks with."""

_KNOWN = re.compile(r"[A-Z][A-Z0-9_]{1,30}\Z")


@dataclass(frozen=True)
class Access:
    """What a request may take beyond the marks (alloc_flags of the slow path).

    high      half of min
    harder    a quarter less of what is then left
    reserved  HIGHATOMIC pages are not taken off for it
    blocks    blocks on the HIGHATOMIC lists serve it
    cma       CMA pages count, and CMA blocks serve it
    """

    high: bool = False
    harder: bool = False
    reserved: bool = False
    blocks: bool = False
    cma: bool = False


def atomic(version: Version) -> Flags:
    """GFP_ATOMIC of a version."""
    if version < (4, 4):
        return frozenset({"HIGH"})
    flags = frozenset({"HIGH", "KSWAPD"})
    return flags | {"ATOMIC"} if version < (6, 3) else flags


def from_mask(mask: int, version: Version) -> Flags:
    """The flags of a mask as that version had its bits; a bit without a name is 0x... ."""
    table = next(table for first, table in reversed(_TABLES) if first <= max(version, (2, 6, 0)))
    flags = set()
    for shift in range(32):
        bit = 1 << shift
        if mask & bit:
            flags.add(table.get(bit, f"{bit:#x}"))
    if version < (4, 4) and "NO_KSWAPD" not in flags:
        flags.add("KSWAPD")
    return frozenset(flags)


def from_names(names: str, version: Version) -> Flags | None:
    """The flags of names as a report prints them, joined by |; None if one is no flag's name."""
    flags: set[str] = set()
    for name in names.split("|"):
        word = name.strip()
        if not word:
            continue
        if word == "GFP_ATOMIC":
            flags |= atomic(version)
        elif word in _COMPOSED:
            flags |= _COMPOSED[word]
        elif re.match(r"0x[0-9a-f]{1,8}\Z", word):
            flags |= from_mask(int(word, 16), version) - {"KSWAPD"}
        else:
            single = word.removeprefix("__").removeprefix("GFP_")
            if not _KNOWN.match(single):
                return None
            flags.add(_SINGLE.get(single, single))
    return frozenset(flags)


def words(flags: Flags, version: Version) -> str:
    """Flags in the words of the kernel: GFP_KERNEL|__GFP_COMP|__GFP_ZERO."""
    left = set(flags)
    hidden = {"KSWAPD"} if version < (4, 4) else set()
    said = []
    for name in _WORDS:
        group = atomic(version) if name == "GFP_ATOMIC" else _COMPOSED[name]
        group = group - hidden
        if group and group <= left:
            said.append(name)
            left -= group
            break
    left -= hidden
    spelled = {"WAIT": "__GFP_DIRECT_RECLAIM", "KSWAPD": "__GFP_KSWAPD_RECLAIM"}
    if version < (4, 4):
        spelled = {"WAIT": "__GFP_WAIT"}
    said += [
        name if name.startswith("0x") else spelled.get(name, f"__GFP_{name}")
        for name in sorted(left)
    ]
    return "|".join(said) or "0"


def may_wait(flags: Flags) -> bool:
    """Whether the request may sleep and reclaim."""
    return "WAIT" in flags


def access(flags: Flags, order: int, version: Version) -> Access:
    """What the request may take beyond the marks at its last try.

    gfp_to_alloc_flags: to 4.3 who may not wait tries harder (not with __GFP_NOMEMALLOC from
    2.6.39, not with __GFP_NO_KSWAPD from 3.17); 4.4 to 6.2 __GFP_ATOMIC does; since 6.3 see
    ALLOC_MIN_RESERVE, ALLOC_NON_BLOCK and ALLOC_HIGHATOMIC (since 6.18 for __GFP_HIGH only).
    """
    high = "HIGH" in flags
    waits = may_wait(flags)
    emergency = "NOMEMALLOC" not in flags
    cma = "MOVABLE" in flags
    if version < (4, 4):
        harder = not waits
        if version >= (2, 6, 39):
            harder = harder and emergency
        if version >= (3, 17):
            harder = harder and "NO_KSWAPD" not in flags
        return Access(high=high, harder=harder, cma=cma)
    if version < (6, 3) and not (6, 1, 176) <= version < (6, 2):
        harder = "ATOMIC" in flags and emergency
        return Access(high=high, harder=harder, reserved=harder, blocks=harder, cma=cma)
    no_block = not waits and emergency
    blocks = no_block and order > 0 and (high or version < (6, 18))
    return Access(
        high=high, harder=high and no_block, reserved=high or no_block, blocks=blocks, cma=cma
    )


def reserve_in_words(given: Access) -> str:
    """Which part of the min mark a request must leave, in words."""
    if given.high and given.harder:
        return "3/8 of min"
    if given.high:
        return "half of min"
    if given.harder:
        return "3/4 of min"
    return "min"


def migratetype(flags: Flags) -> str:
    """The letter of the free lists that serve the request first: U, E or M."""
    if "MOVABLE" in flags:
        return "M"
    return "E" if "RECLAIMABLE" in flags else "U"


def zones_of(flags: Flags) -> tuple[str, ...]:
    """The zones a request may be served from, in the order in which a node's are tried."""
    if "DMA" in flags:
        return ("DMA",)
    if "DMA32" in flags:
        return ("DMA32", "DMA")
    if "HIGHMEM" in flags and "MOVABLE" in flags:
        return ("Movable", "HighMem", "Normal", "DMA32", "DMA")
    if "HIGHMEM" in flags:
        return ("HighMem", "Normal", "DMA32", "DMA")
    return ("Normal", "DMA32", "DMA")
