"""Kernel versions, and which rules of the page allocator each of them has."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

Version = tuple[int, ...]
"""(2, 6, 17) or (6, 7): compares as versions do."""

NEWEST: Version = (7, 3)
OLDEST: Version = (2, 6, 0)

_VERSION = re.compile(r"(\d{1,2})\.(\d{1,3})(?:\.(\d{1,3}))?")


class MarkTest(Enum):
    """How a zone's free pages are held against a mark."""

    LOW = "free pages against the low mark, whatever their blocks (__alloc_pages of 2.6.8)"
    COUNT = "free pages against min, whatever their blocks (__alloc_pages of 2.6.9)"
    ORDERS = (
        "pages left above each smaller order against a halved mark (zone_watermark_ok of 2.6.11)"
    )
    BLOCK = "free pages against the mark, then one block that will do (__zone_watermark_ok of 4.4)"


class Reserved(Enum):
    """What is taken off for pageblocks that are reserved for high-order atomic requests."""

    NONE = "nothing is reserved"
    ALL = "all reserved pages, free or not"
    FREE = "the free pages among those reserved"


@dataclass(frozen=True)
class Rules:
    """What one kernel version does when it tests a zone.

    version        of the kernel the rules were taken for
    test           how free pages are held against a mark
    marks          "2.6.8", "2.6.10" or "4.6": how min_free_kbytes becomes three marks
    grouping       2.6.24: free lists per migratetype
    cma            3.7: pages of a CMA area do not count for who may not use them
    reserved       4.4: what HIGHATOMIC pageblocks take off
    any_for_harder 4.4 to 4.14: who may try harder is content with a block of any type
    shortcut       4.6 to 5.8: order 0 passes if it is above the mark with nothing taken off for
                   what is reserved
    no_wait_dips   6.3: __GFP_HIGH and not waiting add up; not waiting alone lowers no mark
    boost_spares   5.9: the boost refuses no atomic request for one page
    """

    version: Version
    test: MarkTest
    marks: str
    grouping: bool
    cma: bool
    reserved: Reserved
    any_for_harder: bool
    shortcut: bool
    no_wait_dips: bool
    boost_spares: bool


def rules_of(version: Version) -> Rules:
    """The rules of a kernel version.

    Parameters
    ----------
    version
        Two to four numbers; anything before 2.6 has the rules of 2.6.0, anything after the newest
        that is known those of the newest.

    Returns
    -------
    Rules
        Sources: kernel history to 2.6.12, mm/page_alloc.c of 2.6.24, 2.6.36, 3.10, 4.19, 5.10,
        6.1, 6.6, 6.12 and 7.3 (docs/why.md has the table).
    """
    if version < (2, 6, 9):
        test = MarkTest.LOW
    elif version < (2, 6, 11):
        test = MarkTest.COUNT
    elif version < (4, 4):
        test = MarkTest.ORDERS
    else:
        test = MarkTest.BLOCK
    if version < (4, 4):
        reserved = Reserved.NONE
    else:
        reserved = Reserved.ALL if version < (6, 12) else Reserved.FREE
    return Rules(
        version=version,
        test=test,
        marks="2.6.8" if version < (2, 6, 10) else "2.6.10" if version < (4, 6) else "4.6",
        grouping=version >= (2, 6, 24),
        cma=version >= (3, 7),
        reserved=reserved,
        any_for_harder=(4, 4) <= version < (4, 15),
        shortcut=(4, 6) <= version < (5, 9),
        no_wait_dips=version >= (6, 3) or (6, 1, 176) <= version < (6, 2),
        boost_spares=version >= (5, 9),
    )


def parse_version(text: str) -> Version | None:
    """The version that a text begins with: "3.13.0-29-generic" is (3, 13, 0); None if none."""
    match = _VERSION.match(text.strip().lower().removeprefix("v"))
    if match is None:
        return None
    return tuple(int(part) for part in match.groups() if part is not None)


def spell(version: Version) -> str:
    """A version as it is written: 2.6.17, 6.7."""
    shown = version[:3] if version[0] == 2 else version[:2]
    return ".".join(map(str, shown))
