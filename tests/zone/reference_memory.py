"""User memory as 2.6.8 keeps it, in plain Python: two lists, a reverse map, a disk, free frames.

Written from the rules of mm/swap.c, mm/vmscan.c and mm/rmap.c alone; nothing of study.zone is
used. The first of a list is its head.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.zone.reference import ORDERS, PerCpu

BATCH = 32
PAGEVEC = 16
"""Of 2.6.8."""


@dataclass(eq=False)
class Page:
    """A resident page: what it is, where it lies, and what has happened to it."""

    number: int
    anonymous: bool
    mappable: bool
    pfn: int
    mapped: bool = False
    referenced: bool = False
    young: bool = False
    dirty: bool = False
    dirty_entry: bool = False
    writing: bool = False
    rotate: bool = False
    in_swap_cache: bool = False


class Memory:
    """Resident pages on an active and an inactive list, and what reclaim does to them."""

    def __init__(self, frames: PerCpu, pages: int) -> None:
        self.frames, self.pages = frames, pages  # pages: those above the high mark
        self.resident: dict[int, Page] = {}
        self.active: list[Page] = []
        self.inactive: list[Page] = []
        self.has_swap_slot: set[int] = set()
        self.disk: list[Page | None] = []
        self.previous_priority = 12
        self.left_over = [0, 0]

    def bring_in(self, number: int, anonymous: bool, mappable: bool, write: bool) -> int:
        """A fault: heaps start active, files inactive. The frame it got, -1 if there is none."""
        pfn = self.frames.take(not anonymous and not write)
        if pfn < 0:
            return pfn
        page = Page(number, anonymous, mappable, pfn, in_swap_cache=number in self.has_swap_slot)
        self.resident[number] = page
        (self.active if anonymous else self.inactive).insert(0, page)
        self.touch(number, write)
        return pfn

    def touch(self, number: int, write: bool) -> None:
        """The processor marks a mapped page; read(2) and write(2) promote at the second time."""
        page = self.resident[number]
        if page.mappable:
            page.mapped = page.young = True
            page.dirty_entry |= write
            return
        page.dirty |= write
        if not page.referenced:
            page.referenced = True
        elif page in self.inactive:
            self.inactive.remove(page)
            self.active.insert(0, page)
            page.referenced = False

    def delete(self, number: int) -> None:
        """Truncated or unmapped: the frame goes to the hot list, the swap slot is lost."""
        self.has_swap_slot.discard(number)
        page = self.resident.pop(number, None)
        if page is not None:
            self.disk = [None if other is page else other for other in self.disk]
            (self.active if page in self.active else self.inactive).remove(page)
            self.frames.give(page.pfn, False)

    def finish_write(self) -> None:
        """The oldest write ends; what reclaim had written is the next to be looked at."""
        page = self.disk.pop(0)
        if page is None:
            return
        page.writing = False
        if page.rotate and not page.dirty and page in self.inactive:
            self.inactive.remove(page)
            self.inactive.append(page)
        page.rotate = False

    def count_mapped(self) -> int:
        """What a reclaimer notes as its scan begins."""
        return sum(page.mapped for page in self.resident.values())

    def refill(self, number: int, mapped: int | None = None) -> None:
        """Age the oldest active pages: each goes on to the inactive list, or round once more."""
        distress = 100 // 2**self.previous_priority
        if mapped is None:
            mapped = self.count_mapped()
        ratio = 100 * mapped // self.pages
        mapped_too = ratio // 2 + distress + 60 >= 100
        for _ in range(min(number, len(self.active))):
            page = self.active.pop()
            stays = page.mapped and not mapped_too
            if page.mapped and mapped_too:
                stays = self._was_used(page)
            (self.active if stays else self.inactive).insert(0, page)

    def shrink(self, number: int, cluster: int | None = None) -> int:
        """Try to free the oldest inactive pages; how many were freed.

        Batches of a cluster, each counted as one page more than it has, until so many were looked
        at. What a batch puts back the pagevec holds until it is full, and the next cannot free it.
        """
        batch = min(cluster or number, BATCH)
        held: list[Page] = []
        total = 0
        while number > 0 and self.inactive:
            taken = [self.inactive.pop() for _ in range(min(batch, len(self.inactive)))]
            number -= len(taken) + 1
            freed, kept = self._shrink_batch(taken, held)
            total += freed
            for page in kept:
                held.append(page)
                if len(held) == PAGEVEC:
                    held.clear()
        return total

    def _shrink_batch(self, taken: list[Page], held: list[Page]) -> tuple[int, list[Page]]:
        """How many of them were freed, and which were put back."""
        freed: list[int] = []
        kept: list[Page] = []
        total = 0
        for page in taken:
            verdict = self._judge(page, page in held)
            if verdict != "free":
                kept.append(page)
            if verdict == "active":
                self.active.insert(0, page)
            elif verdict == "keep":
                self.inactive.insert(0, page)
            else:
                del self.resident[page.number]
                freed.append(page.pfn)
                total += 1
                if len(freed) == PAGEVEC:
                    self._free_vector(freed)
        self._free_vector(freed)
        return total, kept

    def scan(self, priority: int) -> int:
        """One call of shrink_zone; how many pages it freed."""
        todo = [0, 0]
        mapped = self.count_mapped()
        for i, pages in enumerate((self.active, self.inactive)):
            self.left_over[i] += len(pages) // 2**priority + 1
            if self.left_over[i] >= BATCH:
                todo[i], self.left_over[i] = self.left_over[i], 0
        freed = 0
        while freed < BATCH and any(todo):
            share = min(todo[0], BATCH)
            todo[0] -= share
            self.refill(share, mapped)
            if todo[1]:
                share = min(todo[1], BATCH)
                todo[1] -= share
                # A whole batch is looked at even if less was asked for.
                freed += self.shrink(share, BATCH)
        return freed

    def cost(self, start: int, order: int) -> int:
        """Pages to take out of an aligned block until it is free; -1 if that is no use."""
        block = set(range(start, start + 2**order))
        used = [page for page in self.resident.values() if page.pfn in block]
        if any(page.writing for page in used):
            return -1
        free = set()
        for size in range(ORDERS):
            for pfn in self.frames.buddy.free[size]:
                if size >= order and pfn <= start < pfn + 2**size:
                    return -1
                free |= set(range(pfn, pfn + 2**size)) & block
        return len(used) if len(used) + len(free) == len(block) else -1

    def evict_block(self, start: int, order: int) -> None:
        """Throw out every page of a block and free it whole."""
        block = range(start, start + 2**order)
        for page in [page for page in self.resident.values() if page.pfn in block]:
            (self.active if page in self.active else self.inactive).remove(page)
            del self.resident[page.number]
            if page.anonymous:
                self.has_swap_slot.add(page.number)
        self._free_whole(start, order)

    def migrate_block(self, start: int, order: int) -> None:
        """Move every page of a block, lowest first, to frames elsewhere, and free it whole."""
        block = range(start, start + 2**order)
        self._isolate(start, order)
        for page in sorted(
            (page for page in self.resident.values() if page.pfn in block), key=lambda p: p.pfn
        ):
            page.pfn = self.frames.take(False)
            pages = self.active if page in self.active else self.inactive
            pages.remove(page)
            pages.insert(0, page)
        self.frames.buddy.give(start, order)

    def _isolate(self, start: int, order: int) -> None:
        for blocks in self.frames.buddy.free[:order]:
            blocks[:] = [pfn for pfn in blocks if not start <= pfn < start + 2**order]

    def _free_whole(self, start: int, order: int) -> None:
        self._isolate(start, order)
        self.frames.buddy.give(start, order)

    def _was_used(self, page: Page) -> bool:
        used = page.referenced or page.young
        page.referenced = page.young = False
        return used

    def _judge(self, page: Page, held: bool) -> str:
        if page.writing:
            return "keep"
        used = self._was_used(page)
        if used and (page.mapped or page.in_swap_cache):
            return "active"
        if page.anonymous and not page.in_swap_cache:
            page.in_swap_cache = page.dirty = True
        page.mapped = False
        page.dirty |= page.dirty_entry
        page.dirty_entry = False
        if held:
            return "keep"
        if not page.dirty:
            return "free"
        if not used:
            page.dirty, page.writing, page.rotate = False, True, True
            self.disk.append(page)
            if page.anonymous:
                self.has_swap_slot.add(page.number)
        return "keep"

    def _free_vector(self, freed: list[int]) -> None:
        while freed:
            self.frames.give(freed.pop(), True)
