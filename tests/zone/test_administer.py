"""What an administrator does while the machine runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from study.zone.marks import after, marks_for
from study.zone.settings import (
    SETTABLE,
    Action,
    AdminAction,
    Compaction,
    CompactionRules,
    Marks,
    Memory,
    Settings,
    Watermarks,
)
from study.zone.trial.advance import advance
from study.zone.trial.verify import verify
from study.zone.trial.zone import Zone
from tests.zone.conftest import SECOND, small


def test_a_new_min_free_kbytes_moves_all_three_marks(quiet: Callable[..., Settings]) -> None:
    """From its time on the marks are those the kernel's formula gives; a boost is over."""
    marks = Watermarks(marks=Marks.V4_6, boost_factor=15_000, boost_pages=300)
    settings = quiet(
        32_768,
        watermarks=marks,
        actions=(Action(SECOND, AdminAction.SET, "watermarks.min_free_kbytes", 8_000),),
    )
    zone = Zone(settings, seed=1)
    before = marks_for(settings.memory, settings.watermarks)

    assert zone.marks == tuple(mark + 300 for mark in before)
    advance(zone.state, 2 * SECOND)
    assert zone.marks == (2_000, 2_500, 3_000)
    assert zone.own["boost"] == 0


def test_every_setting_that_can_be_set_is_set(quiet: Callable[..., Settings]) -> None:
    """Each of SETTABLE has the new value from its time on, and the others keep theirs."""
    names = {
        "watermarks.boost_factor": "boost_factor",
        "reclaim.swappiness": "swappiness",
        "compaction.threshold": "compact_threshold",
        "compaction.proactiveness": "compact_proactiveness",
    }
    assert set(SETTABLE) == {*names, "watermarks.min_free_kbytes", "watermarks.scale_factor"}
    for name, field in names.items():
        zone = Zone(quiet(4_096, actions=(Action(1_000, AdminAction.SET, name, 77),)), seed=1)
        others = {one: int(zone.state[one]) for one in names.values() if one != field}
        advance(zone.state, 2_000)
        assert zone.state[field] == 77
        assert {one: int(zone.state[one]) for one in others} == others


def test_settings_after_an_action_are_the_settings_with_it() -> None:
    """A min_free_kbytes takes the place of marks given one by one."""
    settings = Settings(watermarks=Watermarks(explicit_pages=(100, 200, 300)))
    changed = after(settings, "watermarks.min_free_kbytes", 4_000)

    assert changed.watermarks.explicit_pages is None
    assert marks_for(changed.memory, changed.watermarks)[0] == 1_000 * 225_280 // 225_280


def test_drop_caches_leaves_what_is_dirty_or_mapped() -> None:
    """Clean file pages that nobody maps are gone, and every reclaimable slab page."""
    settings = replace(small(), actions=(Action(2 * SECOND, AdminAction.DROP_CACHES),))
    zone = Zone(settings, seed=1)
    advance(zone.state, 2 * SECOND - 1)
    mapped = int(zone.state["nr_mapped"])
    anonymous = int(zone.own["nr_anon"])
    assert zone.state["nr_reclaimable"] > 0
    advance(zone.state, 2 * SECOND + 1)

    assert zone.state["nr_reclaimable"] == 0
    assert zone.state["nr_mapped"] >= mapped - 1
    assert abs(int(zone.own["nr_anon"]) - anonymous) < 200
    assert zone.count["actions"] == 1
    verify(zone)


def test_compact_memory_makes_blocks_of_scattered_pages(quiet: Callable[..., Settings]) -> None:
    """Free pages strewn over the zone are together afterwards, as far as the kernel's let them."""
    memory = Memory(
        pages=8_192, lowmem_pages=8_192, reserved_pages=0, pageblock_order=9,
        buddyinfo=(1_200, 400, *[0] * 9),
    )  # fmt: skip
    settings = quiet(
        8_192, memory=memory, compaction=Compaction(rules=CompactionRules.V3_19),
        actions=(Action(1_000, AdminAction.COMPACT_MEMORY),),
    )  # fmt: skip
    zone = Zone(settings, seed=1)
    assert np.flatnonzero(zone.nr_free).max() == 1
    advance(zone.state, 2_000)

    assert np.flatnonzero(zone.nr_free).max() >= 8
    assert zone.count["compact_migrated"] > 500
    verify(zone)
