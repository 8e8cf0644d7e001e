"""Slow, obvious models of the kernel's rules, to hold the compiled zone against."""

from __future__ import annotations

from math import isqrt

ORDERS = 11


class Buddy:
    """Free areas as Python lists, first block first; LIFO, lower half kept, equal orders merge."""

    def __init__(self, pages: int) -> None:
        self.pages = pages
        self.free: list[list[int]] = [[] for _ in range(ORDERS)]

    def take(self, order: int) -> int:
        """Lowest piece of the first block of the smallest sufficient order; -1 if none."""
        for found in range(order, ORDERS):
            if self.free[found]:
                pfn = self.free[found].pop(0)
                for half in range(found - 1, order - 1, -1):
                    self.free[half].insert(0, pfn + 2**half)
                return pfn
        return -1

    def give(self, pfn: int, order: int) -> None:
        """Merge upward while the buddy is free and of the same order, then put it first."""
        while order < ORDERS - 1:
            size = 2**order
            buddy = pfn + size if pfn % (2 * size) == 0 else pfn - size
            if buddy not in self.free[order]:
                break
            self.free[order].remove(buddy)
            pfn = min(pfn, buddy)
            order += 1
        self.free[order].insert(0, pfn)

    @property
    def free_pages(self) -> int:
        """Pages in all blocks."""
        return sum(len(blocks) * 2**order for order, blocks in enumerate(self.free))


class PerCpu:
    """A hot and a cold list in front of a Buddy, first page first."""

    def __init__(self, buddy: Buddy, batch: int) -> None:
        self.buddy, self.batch = buddy, batch
        self.lists: dict[bool, list[int]] = {False: [], True: []}

    def take(self, cold: bool) -> int:
        """A page from the list's front, after a refill from the buddy if it is low."""
        pages = self.lists[cold]
        low = 0 if cold else 2 * self.batch
        if len(pages) <= low:
            for _ in range(self.batch):
                pfn = self.buddy.take(0)
                if pfn < 0:
                    break
                pages.append(pfn)
        return pages.pop(0) if pages else self.buddy.take(0)

    def give(self, pfn: int, cold: bool) -> None:
        """A page to the list's front, after its oldest batch has left if it is full."""
        pages = self.lists[cold]
        if len(pages) >= (2 if cold else 6) * self.batch:
            for _ in range(self.batch):
                self.buddy.give(pages.pop(), 0)
        pages.insert(0, pfn)


def order_test(free_blocks: list[int], order: int, mark: int, high: bool, harder: bool) -> bool:
    """Nick Piggin's test in its closed form.

    With U(j) the pages in blocks of order j or more: U(0) >= 2**k + m, and for j = 1..k
    U(j) >= 2**k + m / 2**j, the mark halved j times with rounding down.
    """
    if high:
        mark -= mark // 2
    if harder:
        mark -= mark // 4
    for j in range(order + 1):
        usable = sum(n * 2**o for o, n in enumerate(free_blocks) if o >= j)
        if usable < 2**order + (mark >> j):
            return False
    return True


def marks(megabytes_lowmem_pages: int, present: int, new: bool) -> tuple[int, int, int]:
    """min, low, high of a lowmem zone, from sysctl min_free_kbytes."""
    kilobytes = megabytes_lowmem_pages * 4
    if new:
        free_kb = min(max(isqrt(kilobytes * 16), 128), 65536)
    else:
        free_kb = min(max(isqrt(kilobytes), 128), 16384)
    low_mark = free_kb // 4 * present // megabytes_lowmem_pages
    if new:
        return low_mark, low_mark * 5 // 4, low_mark * 6 // 4
    return low_mark, low_mark * 2, low_mark * 3
