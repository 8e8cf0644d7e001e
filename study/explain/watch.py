"""A zone run event by event, and what each event changed.

The zone is the study's own, driven by the study's own advance(): only the times at which it is
looked at are chosen here, and looking changes nothing (a test compares with simulate()).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from study.explain.step import Choice, Counts, Step
from study.zone.engine.agenda import first_event, next_due
from study.zone.engine.enums import Event
from study.zone.mm.interface import cost_of_emptying
from study.zone.settings import NR_ORDERS, KswapdPolicy, Settings
from study.zone.trial.advance import advance
from study.zone.trial.observe import owners
from study.zone.trial.zone import Zone

# A request above order 0 that fails has the defragmenter run at once if its interval allows.
_MAY_DEFRAGMENT = {
    *(Event.DEFRAG, Event.KSWAPD, Event.FORK, Event.RETRY),
    *(Event.RX_FRAME, Event.RX_RETURN, Event.RX_WATCHDOG, Event.TX_FRAME),
}


def watch(settings: Settings, *, seed: int, steps: int) -> Iterator[Step]:
    """The first steps of a zone. Step 0 is the zone before anything happened."""
    zone = Zone(settings, seed=seed)
    last = _Look(zone, 0)
    yield last.step(0, 0, None, quiet=0, before=None)
    number = quiet = 0
    while number < steps:
        what, due = _next(zone)
        costs = _costs(zone) if what in _MAY_DEFRAGMENT else {}
        advance(zone.state, due + 1)
        now = _Look(zone, due)
        if now.same_as(last):
            quiet += 1
            continue
        number += 1
        yield now.step(number, due, what, quiet=quiet, before=last, costs=costs)
        last, quiet = now, 0


def _next(zone: Zone) -> tuple[Event | None, int]:
    """What falls due next, and when. At equal times an event comes before a touch."""
    touch = int(zone.state["next_touch"])
    if next_due(zone.state) <= touch:
        due, _, what, _ = first_event(zone.state)
        return Event(what), due
    return None, touch


def _costs(zone: Zone) -> dict[int, int]:
    """First pfn -> pages to move, of every block that the defragmenter could empty now."""
    state, order = zone.state, int(zone.state["defrag_order"])
    found = {}
    for start in range(0, zone.pages >> order << order, 1 << order):
        cost = int(cost_of_emptying(state, start, order))
        if cost > 0:
            found[start] = cost
    return found


class _Look:
    """The zone at one moment."""

    def __init__(self, zone: Zone, time_ns: int) -> None:
        state = zone.state
        self.time_ns = time_ns
        self.order = int(state["defrag_order"])
        self.marks = zone.marks
        self.policy = KswapdPolicy(int(state["kswapd_policy"]))
        # Woken and not yet running, it has only been asked for an order.
        begun = bool(state["kswapd_begun"])
        self.wanted = int(state["kswapd_order" if begun else "kswapd_max_order"])
        self.free = zone.free
        self.awake = bool(state["kswapd_awake"])
        self.owners = owners(zone.frame, zone.pages)
        self.lists = tuple(_free_list(zone, order) for order in range(NR_ORDERS))
        self.counts = _counts(zone.count)

    def same_as(self, other: _Look) -> bool:
        return (
            self.awake == other.awake
            and self.counts == other.counts
            and self.lists == other.lists
            and np.array_equal(self.owners, other.owners)
        )

    def step(
        self,
        number: int,
        time_ns: int,
        what: Event | None,
        *,
        quiet: int,
        before: _Look | None,
        costs: dict[int, int] | None = None,
    ) -> Step:
        old = before or self
        choices: tuple[Choice, ...] = ()
        if costs and self.counts.runs > old.counts.runs:
            choices = tuple(
                Choice(pfn, cost, self._emptied(pfn)) for pfn, cost in _cheapest_first(costs)
            )
        return Step(
            number=number,
            time_ns=time_ns,
            what=what,
            quiet=quiet,
            owners=self.owners,
            lists=self.lists,
            free=self.free,
            marks=self.marks,
            awake=self.awake,
            was_awake=old.awake,
            policy=self.policy,
            order_wanted=self.wanted,
            grown=_grown(old.counts, self.counts),
            changed=tuple(int(pfn) for pfn in np.flatnonzero(self.owners != old.owners)),
            choices=choices,
        )

    def _emptied(self, pfn: int) -> bool:
        """Is the block free as a whole, alone or in a larger one?"""
        return any(
            start <= pfn < start + (1 << order)
            for order in range(self.order, NR_ORDERS)
            for start in self.lists[order]
        )


def _cheapest_first(costs: dict[int, int]) -> list[tuple[int, int]]:
    return sorted(costs.items(), key=lambda item: (item[1], item[0]))


def _free_list(zone: Zone, order: int) -> tuple[int, ...]:
    """First pfns of the free blocks of an order, in the order of the list."""
    head = int(zone.own["head"]) + order
    found = []
    pfn = int(zone.frame[head]["next"])
    while pfn != head:
        found.append(pfn)
        pfn = int(zone.frame[pfn]["next"])
    return tuple(found)


def _counts(count: dict[str, Any]) -> Counts:
    def many(name: str) -> tuple[int, ...]:
        return tuple(int(n) for n in count[name])

    return Counts(
        attempts=many("attempts"),
        failures=many("failures"),
        stalls=many("stalls"),
        attempts_order=many("attempts_order"),
        failures_order=many("failures_order"),
        split=many("split"),
        formed=many("formed"),
        scanned=sum(many("scanned")),
        reclaimed=sum(many("reclaimed")),
        wakeups=int(count["wakeups"]),
        refused=int(count["wakeups_refused"]),
        runs=int(count["defrag_runs"]),
        evicted=int(count["defrag_evicted"]),
        migrated=int(count["defrag_migrated"]),
    )


def _grown(old: Counts, new: Counts) -> Counts:
    def less(a: Any, b: Any) -> Any:
        if isinstance(a, tuple):
            return tuple(x - y for x, y in zip(a, b, strict=True))
        return a - b

    return Counts(**{name: less(value, getattr(old, name)) for name, value in vars(new).items()})
