"""LRU lists, reverse map, kswapd and defragmenter under random operations, beside a plain model."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from study.zone.engine.enums import Flag, Home, Kind
from study.zone.engine.layout import HEAD_ACTIVE, HEAD_INACTIVE, NO_PFN, SWAPPED
from study.zone.load.user import touch_until
from study.zone.mm.linux_2_6.buddy import free_block, take_block
from study.zone.mm.linux_2_6.defrag import cost_of_emptying, empty_block
from study.zone.mm.linux_2_6.kmalloc import new_object
from study.zone.mm.linux_2_6.kswapd import wake_kswapd
from study.zone.mm.linux_2_6.memory import free_user_page
from study.zone.mm.linux_2_6.percpu import give_back
from study.zone.mm.linux_2_6.reclaim import begin_scan, refill_inactive, shrink_cache
from study.zone.mm.linux_2_6.writeback import finish_writes
from study.zone.settings import (
    Costs,
    DefragMode,
    Memory,
    Nic,
    Processes,
    Settings,
    Slab,
    User,
    Watermarks,
)
from study.zone.trial.advance import advance
from study.zone.trial.verify import verify
from study.zone.trial.zone import Zone
from tests.by_night import sampled
from tests.zone.reference_lru import Page, TwoLists

PAGES, WORKING_SET = 128, 96
LOW, HIGH = 24, 48
NEVER_NS = 1 << 50
KSWAPD = 0
BITS = (
    Flag.REFERENCED,
    Flag.YOUNG,
    Flag.MAPPED,
    Flag.DIRTY,
    Flag.WRITEBACK,
    Flag.SWAPCACHE,
    Flag.RECLAIM,
    Flag.DIRTY_PTE,
)


def small_zone(*, swap: bool, seed: int) -> Zone:
    """All 128 pages free, no event booked, and a disk that ends no write by itself."""
    zone = Zone(
        Settings(
            memory=Memory(
                pages=PAGES, lowmem_pages=PAGES, reserved_pages=0, percpu_lists=False, swap=swap
            ),
            watermarks=Watermarks(explicit_pages=(2, LOW, HIGH)),
            user=User(
                working_set_pages=WORKING_SET,
                extent_pages=1,
                anonymous_share=0.4,
                mapped_share=0.4,
                touches_per_s=0.0,
            ),
            processes=Processes(forks_per_s=0.0, live_max=1),
            slab=Slab(initial_share=0.0, pages_per_s=0.0),
            nic=Nic(ring=0, rx_frames_per_s=0.0, tx_frames_per_s=0.0),
            costs=Costs(write_ns=NEVER_NS),
        ),
        seed=seed,
        empty=True,
    )
    free_block(zone.state, 0, 7)
    return zone


def model_of(zone: Zone) -> TwoLists:
    kinds = zone.vpage[:WORKING_SET]
    return TwoLists(
        pages=[Page(int(v["kind"]) == Kind.ANON, bool(v["mapped"])) for v in kinds],
        total=PAGES,
        free=PAGES,
        swap=bool(zone.state["swap"]),
        high=HIGH,
    )


def listed(zone: Zone, which: int) -> list[int]:
    """Virtual pages on an LRU list, head first."""
    head = int(zone.own["head"]) + which
    found, pfn = [], int(zone.frame[head]["next"])
    while pfn != head:
        found.append(int(zone.frame[pfn]["owner"]))
        pfn = int(zone.frame[pfn]["next"])
    return found


class Reclaim(RuleBasedStateMachine):
    """Everything that moves a page between its lists, in any order."""

    @initialize(swap=st.booleans(), seed=st.integers(0, 3))
    def start(self, swap: bool, seed: int) -> None:
        """A zone and its model, with nothing in use."""
        self.zone = small_zone(swap=swap, seed=seed)
        self.model = model_of(self.zone)

    @rule(number=st.integers(0, WORKING_SET - 1), write=st.booleans())
    def use(self, number: int, write: bool) -> None:
        """A program touches a page, which is brought in if it is not there."""
        z, model = self.zone.state, self.model
        # A fault at or below low would wake kswapd, which is a rule of its own.
        if not model.pages[number].resident and model.free <= LOW + 1:
            return
        z["visit_page"], z["visit_left"], z["visit_write"] = number, 1, write
        z["next_touch"], z["touch_period_ns"] = z["now"], NEVER_NS
        touch_until(z, z["now"] + 1)
        if model.pages[number].resident:
            model.touch(number, write)
        else:
            model.bring_in(number, write)

    @rule(first=st.integers(0, WORKING_SET - 1), count=st.integers(10, 60), write=st.booleans())
    def use_many(self, first: int, count: int, write: bool) -> None:
        """A run of pages, so that the lists fill."""
        for number in range(first, min(first + count, WORKING_SET)):
            self.use(number, write)

    @rule(priority=st.integers(0, 12), wanted=st.integers(1, 40))
    def age(self, priority: int, wanted: int) -> None:
        """The active tail is looked at, in more or less distress."""
        self.zone.own["prev_priority"] = self.model.prev_priority = priority
        begin_scan(self.zone.state, KSWAPD)
        self.model.begin_scan()
        assert refill_inactive(self.zone.state, KSWAPD, wanted) == self.model.deactivate(wanted)

    @rule(wanted=st.integers(1, 40))
    def reclaim(self, wanted: int) -> None:
        """The inactive tail is looked at."""
        assert shrink_cache(self.zone.state, KSWAPD, wanted, wanted) == (
            self.model.look_at_inactive(wanted, wanted)
        )

    @rule()
    def disk(self) -> None:
        """All writes under way come to their end."""
        z = self.zone.state
        z["now"] = max(int(z["disk_free_at"]), int(z["now"]))
        z["nr_events"] = 0
        finish_writes(z)
        z["disk_free_at"] = z["now"]
        self.model.disk_is_done()

    @rule(number=st.integers(0, WORKING_SET - 1))
    def delete(self, number: int) -> None:
        """A page is truncated or unmapped for good."""
        free_user_page(self.zone.state, number)
        page = self.model.pages[number]
        if page.resident:
            self.model.forget(number)
            self.model.freed(1)
        page.swapped = False

    @precondition(lambda self: self.model.free <= LOW)
    @rule()
    def kswapd(self) -> None:
        """Woken, it runs until it rests."""
        z = self.zone.state
        wake_kswapd(z, 0)
        assert z["kswapd_awake"]
        z["next_touch"] = 1 << 62
        advance(z, int(z["now"]) + 1_000_000_000)
        assert not z["kswapd_awake"]
        self.model.balance()

    @rule(leave=st.integers(0, LOW))
    def pressure(self, leave: int) -> None:
        """Take free pages away for the kernel, so that kswapd has something to do."""
        z = self.zone.state
        while self.model.free > max(leave, 3) and len(self.model.active + self.model.inactive) > 40:
            new_object(z, take_block(z, 0), 0, int(Kind.IDLE))
            self.model.free -= 1

    @rule()
    def release(self) -> None:
        """The kernel gives its pages back."""
        for pfn in np.flatnonzero(self.zone.frame["home"][:PAGES] == Home.KERNEL):
            self.zone.frame[pfn]["home"] = Home.NONE
            self.zone.own["nr_kernel"] -= 1
            give_back(self.zone.state, int(pfn), 0)
            self.model.freed(1)

    @rule(block=st.integers(0, PAGES // 8 - 1), mode=st.sampled_from(list(DefragMode)[1:]))
    def defragment(self, block: int, mode: DefragMode) -> None:
        """A block is emptied by the reverse map, if every page of it can go."""
        z, frame = self.zone.state, self.zone.frame
        z["defrag_mode"] = mode
        start = block * 8
        inside = frame[start : start + 8]
        lru = np.isin(inside["home"], (Home.ACTIVE, Home.INACTIVE))
        owners = [int(owner) for owner in inside["owner"][lru]]
        cost = cost_of_emptying(z, start, 3)
        stuck = (inside["home"] == Home.KERNEL).any() or any(
            self.model.pages[number].writing
            or (
                mode == DefragMode.RMAP_EVICT
                and self.model.pages[number].anonymous
                and not self.model.swap
            )
            for number in owners
        )
        if stuck or not owners:
            assert cost <= 0
            return
        assert cost == len(owners)
        if mode == DefragMode.RMAP_MIGRATE and self.model.free < 16 + cost:
            return
        elsewhere = self.zone.free
        assert empty_block(z, start, 3) >= 0
        for number in owners:
            if mode == DefragMode.RMAP_EVICT:
                self.model.forget(number)
                page = self.model.pages[number]
                page.swapped = page.swapped or page.anonymous
            else:
                self.model.moved(number)
                assert not start <= self.zone.vpage[number]["pfn"] < start + 8
        self.model.freed(len(owners) if mode == DefragMode.RMAP_EVICT else 0)
        assert z["zone"]["free"] == elsewhere + (
            len(owners) if mode == DefragMode.RMAP_EVICT else 0
        )

    @invariant()
    def both_agree(self, *, thorough: bool = True) -> None:
        """Lists in order, marks of every page, both maps, free pages; and the zone is sound."""
        if not hasattr(self, "zone"):
            return
        zone, model = self.zone, self.model
        assert listed(zone, HEAD_ACTIVE) == model.active
        assert listed(zone, HEAD_INACTIVE) == model.inactive
        assert zone.free == model.free
        for number, page in enumerate(model.pages):
            pfn = int(zone.vpage[number]["pfn"])
            assert (pfn != NO_PFN) == page.resident
            assert bool(zone.vpage[number]["state"] & SWAPPED) == page.swapped
            if page.resident:
                flags = int(zone.frame[pfn]["flags"])
                assert tuple(bool(flags & bit) for bit in BITS) == page.flags(), number
        if thorough:
            verify(zone)


TestReclaim = Reclaim.TestCase
TestReclaim.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


WALK = {
    "use": 0.5,
    "use_many": 0.1,
    "age": 0.12,
    "reclaim": 0.1,
    "disk": 0.05,
    "delete": 0.03,
    "defragment": 0.05,
    "pressure": 0.03,
    "release": 0.02,
}


def step(machine: Reclaim, random: np.random.Generator) -> None:
    """One operation of a random walk, and kswapd now and then when it has something to do."""
    number, yes = int(random.integers(WORKING_SET)), bool(random.random() < 0.3)
    what = {
        "use": lambda: machine.use(number, yes),
        "use_many": lambda: machine.use_many(number, 30, yes),
        "age": lambda: machine.age(int(random.choice([0, 1, 2, 3, 7, 12])), 1 + number % 40),
        "reclaim": lambda: machine.reclaim(1 + number % 40),
        "disk": machine.disk,
        "delete": lambda: machine.delete(number),
        "defragment": lambda: machine.defragment(
            number % (PAGES // 8), DefragMode.RMAP_EVICT if yes else DefragMode.RMAP_MIGRATE
        ),
        "pressure": lambda: machine.pressure(number % LOW),
        "release": machine.release,
    }
    what[str(random.choice(list(WALK), p=list(WALK.values())))]()
    if machine.model.free <= LOW and random.random() < 0.3:
        machine.kswapd()


@pytest.mark.parametrize("seed", sampled(range(6), every=2))
def test_a_long_random_walk_stays_with_the_model(seed: int) -> None:
    """Three thousand operations reach what short runs do not: swap, full disks, deep distress."""
    machine = Reclaim()
    machine.start(swap=seed % 3 != 0, seed=seed)
    random = np.random.default_rng(seed)
    for number in range(3_000):
        step(machine, random)
        machine.both_agree(thorough=number % 50 == 0)

    count = machine.zone.count
    walked = {name: int(count[name]) for name in ("activated", "deactivated", "written")}
    walked["emptied"] = int(count["defrag_evicted"] + count["defrag_migrated"])
    assert min(walked.values()) > 0, walked
    assert count["wakeups"] > 10
    assert (count["swapped_out"] > 0) == (seed % 3 != 0)


@pytest.mark.parametrize("swap", [False, True])
def test_a_long_reference_string_keeps_the_same_pages(swap: bool) -> None:
    """Two thousand uses by Zipf's law, kswapd whenever low: the same pages stay, in order."""
    machine = Reclaim()
    machine.start(swap=swap, seed=1)
    random = np.random.default_rng(20040905)
    ranks = random.zipf(1.3, 2_000) - 1
    kswapd_runs = 0
    for i, rank in enumerate(ranks):
        machine.use(int(rank * 7 % WORKING_SET), bool(random.random() < 0.2))
        if i % 50 == 0:
            machine.disk()
        if i == 600:
            machine.pressure(LOW)
        if machine.model.free <= LOW:
            machine.kswapd()
            kswapd_runs += 1
        if i % 100 == 0:
            machine.both_agree()
    machine.both_agree()

    assert kswapd_runs > 0
