"""What can be read in a report: the request, the zones, and where each figure stood.

Nothing but what the test needs is kept: no host, no command line, no address, no stack. The name
of the task that asked is kept apart, and shown only to who wants it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from study.refusals.gfp import Flags
from study.refusals.kernel import Version

ZONES = ("DMA", "DMA32", "Normal", "HighMem", "Movable", "Device")
"""Zones from the bottom up, as the kernel numbers those that it is built with."""

NO_LOWMEM = ("HighMem", "Movable", "Device")
"""Zones that have no part in min_free_kbytes."""

PAGE_KB = 4
"""The page size taken where no list of the text shows one."""


@dataclass(frozen=True)
class FreeList:
    """Free blocks of a zone by order.

    counts      blocks of each order, from order 0
    types       for each order the letters of the lists that hold one; None where none are printed
    page_kb     page size: that of a block of order 0; None where the form does not say
    printed_kb  the sum as printed
    by_type     letter -> blocks of each order (pagetypeinfo)
    is_cut      it ends before its sum, with fewer orders than there are: of larger blocks nothing
                is known
    """

    counts: tuple[int, ...]
    types: tuple[frozenset[str] | None, ...] = ()
    page_kb: int | None = None
    printed_kb: int | None = None
    by_type: dict[str, tuple[int, ...]] = field(default_factory=dict)
    is_cut: bool = False

    @property
    def pages(self) -> int:
        """All free pages of the list."""
        return sum(n << order for order, n in enumerate(self.counts))

    @property
    def largest(self) -> int | None:
        """The highest order with a free block; None if the list is empty."""
        return max((order for order, n in enumerate(self.counts) if n), default=None)


@dataclass
class ZoneState:
    """One zone as a report shows it; sizes in kB, as printed, unless said otherwise.

    reserve   lowmem_reserve[] or protection, in pages
    index     extfrag_index or unusable_index by order
    held_kb   what its used memory is: active_anon, inactive_file, slab, ...
    in_pages  the text gave pages (/proc/zoneinfo); they stand here as kB of 4 kB pages until the
              page size is known
    given     which tables of the text have been read for it
    """

    node: int | None
    name: str
    free_kb: int | None = None
    min_kb: int | None = None
    low_kb: int | None = None
    high_kb: int | None = None
    boost_kb: int | None = None
    reserved_highatomic_kb: int | None = None
    free_highatomic_kb: int | None = None
    free_cma_kb: int | None = None
    present_kb: int | None = None
    managed_kb: int | None = None
    pcp_kb: int | None = None
    inactive_file_kb: int | None = None
    active_file_kb: int | None = None
    reserve: tuple[int, ...] | None = None
    free_list: FreeList | None = None
    empty: bool = False
    in_pages: bool = False
    pageblocks: dict[str, int] = field(default_factory=dict)
    held_kb: dict[str, int] = field(default_factory=dict)
    index: tuple[float, ...] = ()
    given: set[str] = field(default_factory=set)

    @property
    def title(self) -> str:
        """Node and name, as the kernel prints them."""
        return self.name if self.node is None else f"Node {self.node} {self.name}"

    @property
    def whole_list(self) -> FreeList | None:
        """Its free list, unless that is cut off."""
        return None if self.free_list is None or self.free_list.is_cut else self.free_list

    @property
    def has_marks(self) -> bool:
        """Whether the text shows a mark of it."""
        return self.min_kb is not None or self.low_kb is not None

    @property
    def size_kb(self) -> int | None:
        """Managed memory; what is present where a kernel does not tell (before 3.8)."""
        return self.present_kb if self.managed_kb is None else self.managed_kb

    @property
    def is_empty(self) -> bool:
        """Whether the zone has no memory, or nothing that a test could look at."""
        if self.empty or self.size_kb == 0:
            return True
        return not self.index and not self.size_kb and not self.free_kb and self.free_list is None


_IN_KB = tuple(
    name for name in ZoneState.__dataclass_fields__ if name.endswith("_kb") and name != "held_kb"
)


@dataclass
class Request:
    """What was asked for.

    mask    gfp mask as a number; None if not printed
    names   flags as the report names them (4.7 on); None if it does not
    flags   the flags, once the kernel is known
    nodes   nodes it was confined to, as ranges: a mask of eight letters names thousands; None
            if to none
    task    name of the task
    """

    order: int | None = None
    mask: int | None = None
    names: str | None = None
    flags: Flags | None = None
    nodes: tuple[range, ...] | None = None
    task: str | None = None

    def may_use(self, node: int | None) -> bool:
        """Whether it may have pages of a node; of a zone without one it may."""
        return node is None or self.nodes is None or any(node in some for some in self.nodes)

    @property
    def nodes_text(self) -> str | None:
        """The nodes as the kernel prints them: 0-3,8."""
        if self.nodes is None:
            return None
        return ",".join(
            f"{some[0]}" if len(some) == 1 else f"{some[0]}-{some[-1]}" for some in self.nodes
        )


@dataclass(frozen=True)
class Kernel:
    """Which kernel, and how that is known.

    version  whose rules are taken
    how      "text", "option", "form" (of the report) or "machine"
    why      what of its form tells
    oldest   first and last version of that form; None if it has no end
    newest
    """

    version: Version
    how: str
    why: str = ""
    oldest: Version | None = None
    newest: Version | None = None


@dataclass
class Report:
    """One report of a text.

    kind      "page allocation failure", "OOM killer", "/proc/buddyinfo", ...
    line      where it begins, counted from 1
    zones     by node and name, in the order of the text
    notes     what a reader should know of how it was read
    counters  vmstat counters that it holds
    held      pages of the whole machine by use: active_anon, slab_reclaimable, dirty, ...
    evidence  signs of its form, from which kernels can be told apart
    pageblock order of a pageblock, if the text says it
    place, of which one it is, from 1, of so many snapshots in a row; 0 if it is none of a row
    when      its time as the text has it; empty if it has none
    """

    kind: str
    line: int
    request: Request | None = None
    kernel: Kernel | None = None
    zones: dict[tuple[int | None, str], ZoneState] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)
    evidence: set[str] = field(default_factory=set)
    pageblock: int | None = None
    place: int = 0
    of: int = 0
    when: str = ""
    _known: dict[str, Any] | None = field(default=None, init=False, repr=False, compare=False)

    def settle(self) -> None:
        """All is in it that will be: what is worked out from now on is worked out once."""
        self._known = {}

    def _once(self, name: str, work: Callable[[], Any]) -> Any:
        """What follows from all zones, of which there may be thousands that each ask for it."""
        if self._known is None:
            return work()
        if name not in self._known:
            self._known[name] = work()
        return self._known[name]

    def on_node(self, node: int | None) -> list[ZoneState]:
        """The zones of a node."""

        def work() -> dict[int | None, list[ZoneState]]:
            by_node: dict[int | None, list[ZoneState]] = {}
            for zone in self.zones.values():
                by_node.setdefault(zone.node, []).append(zone)
            return by_node

        found: list[ZoneState] = self._once("on_node", work).get(node, [])
        return found

    @property
    def lowmem_pages(self) -> int | None:
        """Pages of all zones that share min_free_kbytes; None if a size is not known."""

        def work() -> int | None:
            sizes = [
                zone.size_kb
                for zone in self.zones.values()
                if zone.name not in NO_LOWMEM and not (zone.is_empty and not zone.size_kb)
            ]
            if None in sizes:
                return None
            return sum((size or 0) // self.page_kb for size in sizes)

        found: int | None = self._once("lowmem_pages", work)
        return found

    @property
    def is_older(self) -> bool:
        """Whether it is a snapshot that others in its row come after."""
        return self.place < self.of

    @property
    def is_refusal(self) -> bool:
        """Whether the kernel said that it refused a request, rather than what its state was."""
        return self.kind.startswith(("page allocation failure", "OOM killer"))

    @property
    def page_kb(self) -> int:
        """Page size: from the lists, else PAGE_KB."""
        return self._page_kb or PAGE_KB

    @property
    def _page_kb(self) -> int | None:
        lists = (zone.free_list for zone in self.zones.values())
        sizes = (listed.page_kb for listed in lists if listed is not None)
        found: int | None = self._once(
            "page_kb", lambda: next((size for size in sizes if size is not None), None)
        )
        return found

    @property
    def page_size_known(self) -> bool:
        """Whether a list of the text shows the page size."""
        return self._page_kb is not None

    @property
    def pageblock_order(self) -> int:
        """Order of a pageblock: as printed, else that of a huge page or the largest block."""
        if self.pageblock is not None:
            return self.pageblock
        return min(9 if self.page_kb == PAGE_KB else 13, (self.orders or 11) - 1)

    def set_page_size(self, page_kb: int) -> None:
        """Take a page size for the lists that do not show one, and for what was given in pages."""
        self._known = None
        for zone in self.zones.values():
            listed = zone.free_list
            if listed is not None and listed.page_kb is None:
                zone.free_list = replace(listed, page_kb=page_kb)
            if not zone.in_pages:
                continue
            zone.in_pages = False
            for name in _IN_KB:
                value = getattr(zone, name)
                if value is not None:
                    setattr(zone, name, value // PAGE_KB * page_kb)

    @property
    def orders(self) -> int | None:
        """How many orders the lists have; None without lists."""
        lists = (zone.whole_list for zone in self.zones.values())
        lengths = (len(listed.counts) for listed in lists if listed is not None)
        found: int | None = self._once("orders", lambda: max(lengths, default=None))
        return found


@dataclass(frozen=True)
class Found:
    """What a text holds.

    reports  in the order of the text
    traces   events of the page allocator by name (ftrace, perf)
    hints    other things that were recognised, in words
    """

    reports: list[Report]
    traces: dict[str, int]
    hints: list[str]
