"""The two LRU lists of 2.6.8, the reverse map and kswapd's scan, written to be read.

From the rules alone (docs/fidelity.md names their functions): Python lists, head first, of virtual
pages. Which frame holds a page is not decided here.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Page:
    """A virtual page; what is kept of its frame matters while it is resident only."""

    anonymous: bool
    mappable: bool
    swapped: bool = False
    resident: bool = False
    referenced: bool = False
    young: bool = False
    mapped: bool = False
    dirty: bool = False
    dirty_entry: bool = False
    writing: bool = False
    swapcache: bool = False
    rotate: bool = False

    def flags(self) -> tuple[bool, ...]:
        """In the order of the bits."""
        return (
            self.referenced,
            self.young,
            self.mapped,
            self.dirty,
            self.writing,
            self.swapcache,
            self.rotate,
            self.dirty_entry,
        )


@dataclass
class TwoLists:
    """A zone's memory as reclaim sees it."""

    pages: list[Page]
    total: int
    free: int
    swap: bool
    high: int
    active: list[int] = field(default_factory=list)
    inactive: list[int] = field(default_factory=list)
    disk: list[int] = field(default_factory=list)
    prev_priority: int = 12
    scan_active: int = 0
    scan_inactive: int = 0
    pages_scanned: int = 0
    all_unreclaimable: bool = False
    mapped: int = 0
    held: list[int] = field(default_factory=list)

    def bring_in(self, number: int, write: bool) -> None:
        """A fault: anonymous pages start active, file pages inactive."""
        page = self.pages[number]
        self.pages[number] = page = Page(page.anonymous, page.mappable, page.swapped, resident=True)
        page.mapped = page.mappable
        page.swapcache = page.swapped
        (self.active if page.anonymous else self.inactive).insert(0, number)
        self.free -= 1
        self.touch(number, write)

    def touch(self, number: int, write: bool) -> None:
        """A program uses a resident page: by its page table, or by read(2) and write(2)."""
        page = self.pages[number]
        if page.mappable:
            page.mapped = page.young = True
            page.dirty_entry = page.dirty_entry or write
        else:
            self.accessed(number)
            page.dirty = page.dirty or write

    def accessed(self, number: int) -> None:
        """The second use in a row promotes a page."""
        page = self.pages[number]
        if not page.referenced:
            page.referenced = True
        elif number in self.inactive:
            self.inactive.remove(number)
            self.active.insert(0, number)
            page.referenced = False

    def used_since(self, number: int) -> bool:
        """Was it used since the last look? Looking clears both marks."""
        page = self.pages[number]
        used = page.referenced or page.young
        page.referenced = page.young = False
        return used

    def begin_scan(self) -> None:
        """Note how many pages are mapped, as a reclaimer does once a run."""
        self.mapped = sum(page.mapped for page in self.pages if page.resident)

    def fair_game(self) -> bool:
        """Distress, mapped ratio and swappiness together reach 100."""
        return (100 * self.mapped // (self.total - self.high)) // 2 + (
            100 >> self.prev_priority
        ) + 60 >= 100

    def deactivate(self, wanted: int) -> int:
        """Up to so many pages from the active tail; returns how many were looked at."""
        fair = self.fair_game()
        looked = min(wanted, len(self.active))
        for _ in range(looked):
            number = self.active.pop()
            page = self.pages[number]
            stays = page.mapped and (not fair or self.used_since(number))
            if stays or (page.anonymous and not self.swap):
                self.active.insert(0, number)
            else:
                self.inactive.insert(0, number)
        return looked

    def look_at_inactive(self, wanted: int, cluster: int) -> int:
        """Clusters of pages from the inactive tail; returns how many became free.

        A cluster counts as one page more than it has. What one has put back is held by a pagevec of
        16 until that is full, and is neither written nor freed by the next.
        """
        freed = 0
        self.held = []
        while wanted > 0 and self.inactive:
            take = min(cluster, 32, len(self.inactive))
            self.pages_scanned += take
            wanted -= take + 1
            taken = self.inactive[-take:][::-1]
            gone = [self.judge(number) for number in taken]
            freed += sum(gone)
            for number, is_free in zip(taken, gone, strict=True):
                if not is_free:
                    self.held.append(number)
                    if len(self.held) == 16:
                        self.held = []
        self.held = []
        return freed

    def judge(self, number: int) -> bool:
        """Free the page at the tail, or put it where it belongs."""
        page = self.pages[number]
        self.inactive.remove(number)
        if page.writing:
            self.inactive.insert(0, number)
            return False
        used = self.used_since(number)
        if used and (page.mapped or page.swapcache):
            self.active.insert(0, number)
            return False
        if page.anonymous and not page.swapcache:
            if not self.swap:
                self.active.insert(0, number)
                return False
            page.swapcache = page.dirty = True
        page.mapped = False
        page.dirty = page.dirty or page.dirty_entry
        page.dirty_entry = False
        if number in self.held:
            self.inactive.insert(0, number)
            return False
        if page.dirty:
            if not used:
                page.dirty = False
                page.writing = page.rotate = True
                page.swapped = page.swapped or page.anonymous
                self.disk.append(number)
            self.inactive.insert(0, number)
            return False
        page.resident = False
        self.freed(1)
        return True

    def freed(self, pages: int) -> None:
        """Pages reach the buddy lists, which gives kswapd new hope."""
        self.free += pages
        self.pages_scanned = 0
        self.all_unreclaimable = False

    def disk_is_done(self) -> None:
        """All writes end, in order; what reclaim wanted written goes to the inactive tail."""
        for number in self.disk:
            page = self.pages[number]
            page.writing = False
            if page.rotate and not page.dirty and number in self.inactive:
                self.inactive.remove(number)
                self.inactive.append(number)
            page.rotate = False
        self.disk.clear()

    def forget(self, number: int) -> None:
        """The page is deleted, or thrown out by the defragmenter; its frame is another's."""
        (self.active if number in self.active else self.inactive).remove(number)
        if number in self.disk:
            self.disk.remove(number)
        page = self.pages[number]
        page.resident = page.writing = page.rotate = False

    def moved(self, number: int) -> None:
        """The page is in another frame now, at the head of the list it was on."""
        there = self.active if number in self.active else self.inactive
        there.remove(number)
        there.insert(0, number)

    def balance(self) -> None:
        """One run of kswapd, 2.6.8, with a disk that ends no write meanwhile."""
        last = 12
        self.begin_scan()
        for priority in range(12, -1, -1):
            if self.free > self.high or (self.all_unreclaimable and priority != 12):
                break
            last = priority
            self.prev_priority = min(self.prev_priority, priority)
            self.shrink(priority)
            self.all_unreclaimable |= self.pages_scanned > 2 * self.total
        self.prev_priority = last

    def shrink(self, priority: int) -> None:
        """One call of shrink_zone."""
        self.scan_active += (len(self.active) >> priority) + 1
        self.scan_inactive += (len(self.inactive) >> priority) + 1
        of_active = of_inactive = 0
        if self.scan_active >= 32:
            of_active, self.scan_active = self.scan_active, 0
        if self.scan_inactive >= 32:
            of_inactive, self.scan_inactive = self.scan_inactive, 0
        wanted = 32
        while wanted > 0 and (of_active > 0 or of_inactive > 0):
            if of_active > 0:
                share = min(of_active, 32)
                of_active -= share
                self.deactivate(share)
            if of_inactive > 0:
                share = min(of_inactive, 32)
                of_inactive -= share
                wanted -= self.look_at_inactive(share, 32)
