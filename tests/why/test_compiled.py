"""The marks and tests in plain Python, and those of the compiled zone: equal on random states."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from study.refusals.gfp import Access
from study.refusals.kernel import MarkTest, Version, rules_of
from study.refusals.watermark import (
    Marks,
    ZoneFree,
    first_try,
    last_try,
    marks_of,
    min_free_kbytes_of,
)
from study.zone.engine.enums import Migratetype
from study.zone.marks import marks_of as compiled_marks_of
from study.zone.mm.linux_2_6.watermark import first_pass_ok, second_pass_ok
from study.zone.settings import NR_ORDERS, AllocationPath, Grouping, Memory, Settings
from study.zone.settings import Marks as Formula
from study.zone.trial.zone import Zone

STATES = 10_000
PATHS = {
    (2, 6, 8): AllocationPath.V2_6_8,
    (2, 6, 9): AllocationPath.V2_6_9,
    (2, 6, 10): AllocationPath.V2_6_9,
    (2, 6, 11): AllocationPath.V2_6_11,
    (2, 6, 24): AllocationPath.V2_6_24,
    (3, 10): AllocationPath.V2_6_24,
    (4, 4): AllocationPath.V4_4,
    (5, 9): AllocationPath.V4_4,
}
TYPES = {
    "U": Migratetype.UNMOVABLE,
    "M": Migratetype.MOVABLE,
    "E": Migratetype.RECLAIMABLE,
    "H": Migratetype.HIGHATOMIC,
}


@dataclass
class State:
    """A zone's figures, a request, and both ways to ask."""

    counts: list[int]
    types: list[frozenset[str]]
    free: int
    marks: Marks
    reserved: int
    reserve: int
    order: int
    waits: bool
    high: bool


def any_state(rng: random.Random, version: Version) -> State:
    """A state near its marks, where the tests differ most."""
    many = [rng.choice((0, 0, 1, rng.randrange(60 >> min(order, 4)))) for order in range(NR_ORDERS)]
    if version < (2, 6, 11):
        # Those look at no list: whether a block is there is found out later.
        many[-1] += 1
    types = [
        frozenset(rng.sample("UMEH", rng.randint(1, 4))) if count else frozenset() for count in many
    ]
    free = sum(count << order for order, count in enumerate(many))
    if version < (2, 6, 11):
        free = rng.randrange(3_000)
    least = max(0, rng.randrange(2 * free + 2) - 8)
    waits = rng.random() < 0.5
    boost = rng.randrange(least + 1) if version >= (5, 9) and rng.random() < 0.3 else 0
    low = least + rng.randrange(least // 2 + 2)
    return State(
        many, types, free, Marks(least, low, low + rng.randrange(least + 2), boost),
        reserved=rng.choice((0, rng.randrange(free + 1))) if version >= (4, 4) else 0,
        reserve=rng.choice((0, rng.randrange(free // 2 + 1))),
        order=rng.randrange(NR_ORDERS), waits=waits, high=not waits or rng.random() < 0.2,
    )  # fmt: skip


def put(zone: Zone, state: State) -> None:
    """The state into the compiled zone's record and the heads of its free lists."""
    own = zone.own
    own["nr_free"] = state.counts
    own["free"] = state.free
    own["min"], own["low"], own["high"] = state.marks.min, state.marks.low, state.marks.high
    own["boost"] = state.marks.boost
    own["nr_reserved"] = state.reserved
    # Against lowmem_reserve of the zone asked first, and of one that is fallen back to.
    own["protection"] = state.reserve // 2
    zone.state["lowmem_reserve_pages"] = state.reserve - state.reserve // 2
    for letter, migratetype in TYPES.items():
        for order, held in enumerate(state.types):
            head = int(own["head"]) + order - int(migratetype) * NR_ORDERS
            zone.frame[head]["next"] = 0 if letter in held else head


@pytest.mark.parametrize(
    "states", [2_500, pytest.param(STATES, marks=pytest.mark.nightly(part="rules"))]
)
@pytest.mark.parametrize("version", PATHS, ids=lambda version: ".".join(map(str, version)))
def test_both_give_the_same_answer(version: Version, states: int) -> None:
    """On random states of a version both tries end alike in plain Python and compiled."""
    rng = random.Random(f"{version}")
    rules = rules_of(version)
    zone = Zone(
        Settings(memory=Memory(pages=4_096, lowmem_pages=4_096, grouping=Grouping.ON)), empty=True
    )
    zone.state["allocation"] = PATHS[version]
    passed = [0, 0]
    for _ in range(states):
        state = any_state(rng, version)
        put(zone, state)
        modern = rules.test is MarkTest.BLOCK
        pages = ZoneFree(
            state.free, tuple(state.counts), tuple(state.types) if modern else (),
            reserve=state.reserve, highatomic=state.reserved,
        )  # fmt: skip
        atomic = not state.waits
        given = Access(
            high=state.high, harder=atomic, reserved=atomic and modern, blocks=atomic and modern
        )
        first = first_try(pages, rules, state.marks, state.order, given, waits=state.waits)
        last = last_try(pages, rules, state.marks, state.order, given, waits=state.waits)

        assert first is not None
        assert last is not None
        assert first.passes == first_pass_ok(zone.state, state.order, state.waits), state
        assert last.passes == second_pass_ok(zone.state, state.order, state.waits, state.high), (
            state
        )
        passed[0] += first.passes
        passed[1] += last.passes
    assert all(states // 20 < count < states - states // 20 for count in passed)


@pytest.mark.parametrize(
    ("kind", "formula"),
    [("2.6.8", Formula.V2_6_8), ("2.6.10", Formula.V2_6_10), ("4.6", Formula.V4_6)],
)
def test_both_give_the_same_marks(kind: str, formula: Formula) -> None:
    """min, low and high of 10,000 zones of any size agree for each of the three formulas."""
    rng = random.Random(kind)
    for _ in range(STATES):
        lowmem = rng.randrange(1, 1 << rng.randrange(4, 25))
        zone = rng.randrange(1, lowmem + 1)
        marks = marks_of(min_free_kbytes_of(4 * lowmem, kind), zone, lowmem, kind)

        assert (marks.min, marks.low, marks.high) == compiled_marks_of(formula, zone, lowmem)
