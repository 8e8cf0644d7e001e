"""When kswapd is woken, for which order it works and when it rests, against an obvious model."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from study.zone.mm.linux_2_6.kswapd import run_kswapd, wake_kswapd
from study.zone.settings import KswapdPolicy
from study.zone.trial.zone import Zone
from tests.zone.reference import order_test
from tests.zone.test_lru_machine import IDLE

MARKS = (8, 16, 24)


class Kswapd(RuleBasedStateMachine):
    """Free counts are set by hand, so that each decision depends on them alone."""

    @initialize(aware=st.booleans())
    def boot(self, aware: bool) -> None:
        """Asleep, with no wish pending."""
        self.zone = Zone(IDLE, empty=True)
        self.z = self.zone.state
        self.z["zone"]["min"], self.z["zone"]["low"], self.z["zone"]["high"] = MARKS
        self.aware = aware
        self.z["kswapd_policy"] = KswapdPolicy.ORDER_AWARE if aware else KswapdPolicy.COUNT_ONLY
        self.blocks = [0] * 11
        self.awake, self.begun, self.order, self.wish = False, False, 0, 0

    def _enough(self, order: int, mark: int) -> bool:
        if self.aware:
            return order_test(self.blocks, order, mark, False, False)
        return sum(n << o for o, n in enumerate(self.blocks)) > mark

    @rule(blocks=st.lists(st.integers(0, 12), min_size=5, max_size=5))
    def memory_changes(self, blocks: list[int]) -> None:
        """Other parts of the zone allocate and free."""
        self.blocks = blocks + [0] * 6
        self.z["zone"]["nr_free"] = self.blocks
        self.z["zone"]["free"] = sum(n << o for o, n in enumerate(self.blocks))

    @rule(order=st.integers(0, 4))
    def wake(self, order: int) -> None:
        """Refused if low is met for the order; else a larger order is remembered."""
        refused = int(self.z["count"]["wakeups_refused"])
        wake_kswapd(self.z, order)
        if self._enough(order, MARKS[1]):
            assert self.z["count"]["wakeups_refused"] == refused + 1
        elif not self.awake:
            self.awake, self.begun, self.wish = True, False, order
        elif self.aware:
            self.wish = max(self.wish, order)
        self._agree()

    @rule()
    def look(self) -> None:
        """With high met it rests, unless a larger order was wished for meanwhile."""
        order = self.order if self.begun else self.wish
        if not self.awake or not self._enough(order, MARKS[2]):
            return
        run_kswapd(self.z)
        if not self.begun:
            self.begun, self.order, self.wish = True, order, 0
        if self.wish > self.order:
            self.order = self.wish
        else:
            self.awake = False
        self.wish = 0
        self._agree()

    def _agree(self) -> None:
        assert bool(self.z["kswapd_awake"]) == self.awake
        if self.awake:
            if self.begun:
                assert self.z["kswapd_order"] == self.order
            assert self.z["kswapd_max_order"] == self.wish


def test_a_larger_wish_is_served_before_it_rests() -> None:
    """Woken for order 0 and then asked for 3, it works for 3 when 0 is served, and rests then."""
    machine = Kswapd()
    machine.boot(aware=True)
    machine.wake(0)
    run_kswapd(machine.z)
    machine.begun, machine.order, machine.wish = True, 0, 0
    machine.wake(3)
    machine.memory_changes([0, 0, 0, 12, 12])
    machine.look()
    assert machine.z["kswapd_order"] == 3
    machine.look()
    assert not machine.z["kswapd_awake"]


def test_it_works_for_the_largest_wish_until_it_comes_to_run() -> None:
    """Woken for order 0, asked for 3 before it ran: one run, for 3."""
    machine = Kswapd()
    machine.boot(aware=True)
    machine.wake(0)
    machine.wake(3)
    machine.memory_changes([0, 0, 0, 12, 12])
    machine.look()
    assert machine.z["kswapd_order"] == 3
    assert not machine.z["kswapd_awake"]


def test_a_wake_up_is_lost_on_who_knows_no_order() -> None:
    """2.6.8 to 2.6.10: asked for order 3 while it is awake, it rests when its run is over."""
    machine = Kswapd()
    machine.boot(aware=False)
    machine.wake(0)
    machine.wake(3)
    machine.memory_changes([0, 0, 0, 12, 12])
    machine.look()
    assert machine.z["kswapd_max_order"] == 0
    assert not machine.z["kswapd_awake"]


TestKswapd = Kswapd.TestCase
TestKswapd.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
