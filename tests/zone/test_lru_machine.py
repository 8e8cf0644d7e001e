"""LRU lists, reverse map, writes and defragmenter against an obvious model, step by step."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from study.zone.engine.enums import Flag, Kind
from study.zone.engine.layout import HEAD_ACTIVE, HEAD_INACTIVE, SWAPPED
from study.zone.mm.linux_2_6.defrag import cost_of_emptying, empty_block
from study.zone.mm.linux_2_6.memory import free_user_page, install
from study.zone.mm.linux_2_6.percpu import batch_pages, take_page
from study.zone.mm.linux_2_6.reclaim import (
    begin_scan,
    begin_shrink,
    refill_inactive,
    shrink_cache,
    shrink_done,
    shrink_step,
)
from study.zone.settings import (
    Defrag,
    DefragMode,
    Memory,
    Nic,
    Processes,
    Settings,
    Slab,
    User,
)
from study.zone.trial.advance import advance
from study.zone.trial.verify import verify
from study.zone.trial.zone import Zone
from tests.zone import reference_memory
from tests.zone.reference import Buddy, PerCpu
from tests.zone.test_buddy import free_lists

PAGES = 128
NUMBERS = 2 * PAGES
KSWAPD = 0
FLAGS = {
    "referenced": Flag.REFERENCED,
    "young": Flag.YOUNG,
    "mapped": Flag.MAPPED,
    "dirty": Flag.DIRTY,
    "dirty_entry": Flag.DIRTY_PTE,
    "writing": Flag.WRITEBACK,
    "in_swap_cache": Flag.SWAPCACHE,
    "rotate": Flag.RECLAIM,
}
IDLE = Settings(
    memory=Memory(pages=PAGES, lowmem_pages=PAGES, reserved_pages=0),
    user=User(
        working_set_pages=NUMBERS,
        touches_per_s=0.0,
        drifts_per_s=0.0,
        deletes_per_s=0.0,
        filled=False,
    ),
    processes=Processes(forks_per_s=0.0, live_max=1),
    slab=Slab(initial_share=0.0, pages_per_s=0.0),
    nic=Nic(rx_frames_per_s=0.0, tx_frames_per_s=0.0),
    defrag=Defrag(mode=DefragMode.RMAP_EVICT),
)

numbers = st.integers(0, NUMBERS - 1)
writes = st.booleans()


def listed(zone: Zone, which: int) -> list[int]:
    """The pages of an LRU list, head first."""
    head = int(zone.own["head"]) + which
    found, pfn = [], int(zone.frame[head]["next"])
    while pfn != head:
        found.append(int(zone.frame[pfn]["owner"]))
        pfn = int(zone.frame[pfn]["next"])
    return found


class UserMemory(RuleBasedStateMachine):
    """The zone and the model do the same; after every step they hold the same."""

    @initialize()
    def boot(self) -> None:
        """An empty zone, and a model of it."""
        self.zone = Zone(IDLE)
        self.z = self.zone.state
        self.zone.vpage["kind"] = Kind.FILE
        self.zone.vpage["mapped"] = 0
        # A third each: files that are read, files that are mapped, heaps.
        self.zone.vpage["mapped"][1::3] = 1
        self.zone.vpage["kind"][2::3] = Kind.ANON
        self.zone.vpage["mapped"][2::3] = 1
        frames = PerCpu(Buddy(PAGES), batch_pages(PAGES))
        for pfn in range(PAGES):
            frames.give(pfn, False)
        self.model = reference_memory.Memory(frames, PAGES - int(self.zone.own["high"]))

    @rule(first=numbers, count=st.integers(1, 40), write=writes)
    def use(self, first: int, count: int, write: bool) -> None:
        """A run of pages is touched; those not resident fault."""
        for number in range(first, min(first + count, NUMBERS)):
            anonymous, mappable = number % 3 == 2, number % 3 > 0
            if number in self.model.resident:
                self.model.touch(number, write)
                self._touch(number, write)
                continue
            expected = self.model.bring_in(number, anonymous, mappable, write)
            pfn = take_page(self.z, not anonymous and not write)
            assert pfn == expected
            if pfn >= 0:
                install(self.z, pfn, number, write)

    def _touch(self, number: int, write: bool) -> None:
        """One touch by the zone's own path, of a page given by hand."""
        from study.zone.load.user import touch_until

        self.z["visit_page"], self.z["visit_left"], self.z["visit_write"] = number, 1, write
        self.z["next_touch"], self.z["touch_period_ns"] = self.z["now"], 1 << 61
        touch_until(self.z, self.z["now"] + 1)
        self.z["next_touch"] = 1 << 62

    @rule(number=numbers)
    def delete(self, number: int) -> None:
        """A page goes with its file or its process."""
        self.model.delete(number)
        free_user_page(self.z, number)

    @rule(priority=st.integers(0, 12), count=st.integers(1, 64))
    def age(self, priority: int, count: int) -> None:
        """The oldest active pages are looked at."""
        self.z["zone"]["prev_priority"] = self.model.previous_priority = priority
        self.model.refill(count)
        begin_scan(self.z, KSWAPD)
        refill_inactive(self.z, KSWAPD, count)

    @rule(count=st.integers(1, 64))
    def reclaim(self, count: int) -> None:
        """The oldest inactive pages are looked at."""
        assert shrink_cache(self.z, KSWAPD, count, count) == self.model.shrink(count)

    @rule(priority=st.integers(0, 12), distress=st.integers(0, 12))
    def shrink_zone(self, priority: int, distress: int) -> None:
        """Both lists are scanned in proportion."""
        self.z["zone"]["prev_priority"] = self.model.previous_priority = distress
        # Distress follows the lowest priority so far, not the one of this pass.
        self.z["zone"]["temp_priority"] = priority
        begin_scan(self.z, KSWAPD)
        begin_shrink(self.z, KSWAPD, priority)
        while not shrink_done(self.z, KSWAPD):
            shrink_step(self.z, KSWAPD)
        assert 32 - self.z["zone"]["scan_target"][KSWAPD] == self.model.scan(priority)

    @precondition(lambda self: self.model.disk)
    @rule()
    def end_of_write(self) -> None:
        """The disk finishes its oldest write."""
        self.model.finish_write()
        advance(self.z, int(self.zone.write[self.z["write_first"]]["time"]) + 1)

    @rule(order=st.integers(0, 4), place=st.integers(0, PAGES - 1), migrate=st.booleans())
    def empty(self, order: int, place: int, migrate: bool) -> None:
        """A block is priced and, if it can be, emptied."""
        self.z["defrag_mode"] = DefragMode.RMAP_MIGRATE if migrate else DefragMode.RMAP_EVICT
        start = place >> order << order
        cost = self.model.cost(start, order)
        assert cost_of_emptying(self.z, start, order) == cost
        outside = self.model.frames.buddy.free_pages - ((1 << order) - cost)
        if cost <= 0 or (migrate and outside < cost + self.z["zone"]["pcp_batch"]):
            return
        assert empty_block(self.z, start, order) >= 0
        if migrate:
            self.model.migrate_block(start, order)
        else:
            self.model.evict_block(start, order)

    @invariant()
    def same(self) -> None:
        """Every list in its order, every flag, the reverse map, the free frames."""
        verify(self.zone)
        model, z = self.model, self.z
        assert listed(self.zone, HEAD_ACTIVE) == [page.number for page in model.active]
        assert listed(self.zone, HEAD_INACTIVE) == [page.number for page in model.inactive]
        assert free_lists(self.zone) == model.frames.buddy.free
        for number, page in model.resident.items():
            assert self.zone.vpage[number]["pfn"] == page.pfn
            flags = sum(bit for name, bit in FLAGS.items() if getattr(page, name))
            assert self.zone.frame[page.pfn]["flags"] == flags
        slots = {int(n) for n in (self.zone.vpage["state"] & SWAPPED).nonzero()[0]}
        assert slots == model.has_swap_slot
        assert (z["zone"]["nr_scan_active"], z["zone"]["nr_scan_inactive"]) == tuple(
            model.left_over
        )


TestUserMemory = UserMemory.TestCase
TestUserMemory.settings = settings(max_examples=20, stateful_step_count=30, deadline=None)


def test_one_list_of_streamed_pages_is_first_in_first_out() -> None:
    """Pages read once each are reclaimed in the order they came, as by any exact LRU."""
    zone = Zone(IDLE)
    zone.vpage["kind"], zone.vpage["mapped"] = Kind.FILE, 0
    for number in range(64):
        install(zone.state, take_page(zone.state, True), number, False)

    gone = []
    for _ in range(64):
        shrink_cache(zone.state, KSWAPD, 1, 1)
        gone += [n for n in range(64) if zone.vpage[n]["pfn"] < 0 and n not in gone]
    assert gone == list(range(64))
