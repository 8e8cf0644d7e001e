"""The slow, obvious allocator with mobility grouping: 6.1's rules on Python lists."""

from __future__ import annotations

UNMOVABLE, MOVABLE, RECLAIMABLE, HIGHATOMIC = 0, 1, 2, 3
PAGES = 4_096
BLOCK_ORDER = 9
FALLBACKS = {UNMOVABLE: (2, 1), MOVABLE: (2, 0), RECLAIMABLE: (0, 1)}


class GroupedBuddy:
    """Free lists per order and type as Python lists; the first is the next to be taken."""

    def __init__(self) -> None:
        self.lists: dict[tuple[int, int], list[int]] = {
            (order, kind): [] for order in range(11) for kind in range(5)
        }
        self.types = [MOVABLE] * (PAGES >> BLOCK_ORDER)
        self.user_pages: set[int] = set()

    def where(self, pfn: int, order: int) -> tuple[int, int] | None:
        """The list a free block is on."""
        found = [key for key, pfns in self.lists.items() if key[0] == order and pfn in pfns]
        return found[0] if found else None

    def smallest(self, order: int, kind: int) -> int | None:
        """Take from one type's lists only."""
        for found in range(order, 11):
            if self.lists[found, kind]:
                pfn = self.lists[found, kind].pop(0)
                for part in reversed(range(order, found)):
                    self.lists[part, kind].insert(0, pfn + (1 << part))
                return pfn
        return None

    def foreign(self, order: int, kind: int) -> tuple[int, int] | None:
        """The list of another type to steal from at one order."""
        for other in FALLBACKS[kind]:
            if self.lists[order, other]:
                return order, other
        return None

    def victim(self, order: int, kind: int) -> tuple[int, int] | None:
        """The list to steal from."""
        for found in reversed(range(order, 11)):
            if key := self.foreign(found, kind):
                if kind == MOVABLE and found < BLOCK_ORDER // 2 and found > order:
                    smallest = (self.foreign(o, kind) for o in range(order, 11))
                    return next(key for key in smallest if key)
                return key
        return None

    def steal(self, key: tuple[int, int], kind: int) -> None:
        """Move the first block of a list, or its whole pageblock, to a type."""
        order, _ = key
        pfn = self.lists[key][0]
        block = pfn >> BLOCK_ORDER
        if self.types[block] == HIGHATOMIC:
            pass
        elif order >= BLOCK_ORDER:
            for i in range(1 << order - BLOCK_ORDER):
                self.types[block + i] = kind
        elif order >= BLOCK_ORDER // 2 or kind != MOVABLE:
            first, stop = block << BLOCK_ORDER, block + 1 << BLOCK_ORDER
            free = sorted(
                (p, k) for k, pfns in self.lists.items() for p in pfns if first <= p < stop
            )
            for page, where in free:
                self.lists[where].remove(page)
                self.lists[where[0], kind].append(page)
            moved = sum(1 << k[0] for _, k in free)
            movable = sum(first <= page < stop for page in self.user_pages)
            alike = 0
            if kind == MOVABLE:
                alike = movable
            elif self.types[block] == MOVABLE:
                alike = (1 << BLOCK_ORDER) - moved - movable
            if moved + alike >= 1 << BLOCK_ORDER - 1:
                self.types[block] = kind
            return
        self.lists[key].remove(pfn)
        self.lists[order, kind].append(pfn)

    def take(self, order: int, kind: int) -> int:
        """Serve a request; -1 if there is nothing."""
        pfn = self.smallest(order, kind)
        if pfn is None and (key := self.victim(order, kind)):
            self.steal(key, kind)
            pfn = self.smallest(order, kind)
        return -1 if pfn is None else pfn

    def give(self, pfn: int, order: int, kind: int) -> None:
        """Take a block back."""
        while order < 10:
            key = self.where(pfn ^ 1 << order, order)
            if key is None:
                break
            pair = self.types[pfn >> BLOCK_ORDER], self.types[(pfn ^ 1 << order) >> BLOCK_ORDER]
            if order >= BLOCK_ORDER and pair[0] != pair[1] and max(pair) > RECLAIMABLE:
                break
            self.lists[key].remove(pfn ^ 1 << order)
            pfn &= ~(1 << order)
            order += 1
        merged = pfn & ~(1 << order)
        waits = order < 9 and self.where(merged ^ 2 << order, order + 1) is not None
        self.lists[order, kind].insert(len(self.lists[order, kind]) if waits else 0, pfn)
