"""verify() finds every kind of contradiction: each is planted, and must be named."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from study.zone.engine.enums import Flag, Home
from study.zone.trial.advance import advance
from study.zone.trial.verify import InvariantBroken, verify
from study.zone.trial.zone import Zone
from tests.zone.conftest import SECOND, small


@pytest.fixture
def zone() -> Zone:
    """A zone that has run for two seconds."""
    zone = Zone(small(), seed=5)
    advance(zone.state, 2 * SECOND)
    verify(zone)
    return zone


def first(zone: Zone, home: Home) -> int:
    """The first pfn with a home."""
    return int(np.flatnonzero(zone.frame["home"][: zone.pages] == home)[0])


def free_buddies(zone: Zone) -> None:
    """Split a free block without telling anyone: two buddies lie side by side."""
    from study.zone.mm.linux_2_6.buddy import add_free_block, remove_free_block

    heads = np.flatnonzero(zone.frame["home"][: zone.pages] == Home.BUDDY)
    pfn = int(next(p for p in heads if zone.frame[p]["order"] > 0))
    order = int(zone.frame[pfn]["order"])
    remove_free_block(zone.state, pfn, order)
    add_free_block(zone.state, pfn, order - 1)
    add_free_block(zone.state, pfn + (1 << (order - 1)), order - 1)


def change(field: str, by: int = 1) -> Callable[[Zone], None]:
    def plant(zone: Zone) -> None:
        record = zone.own if field in zone.own.dtype.names else zone.state
        record[field] += by

    return plant


def change_count(zone: Zone) -> None:
    zone.nr_free[0] += 1


def break_link(zone: Zone) -> None:
    zone.frame[first(zone, Home.ACTIVE)]["prev"] = first(zone, Home.INACTIVE)


def lose_page(zone: Zone) -> None:
    zone.frame[first(zone, Home.KERNEL)]["home"] = Home.NONE


def point_astray(zone: Zone) -> None:
    zone.frame[first(zone, Home.ACTIVE)]["owner"] += 1


def hold_twice(zone: Zone) -> None:
    absent = int(np.flatnonzero(zone.vpage["pfn"] < 0)[0])
    zone.vpage[absent]["pfn"] = first(zone, Home.ACTIVE)


def overlap(zone: Zone) -> None:
    frame = zone.frame[: zone.pages]
    heads = np.flatnonzero((frame["home"] == Home.KERNEL) & (frame["order"] == 0))
    frame["order"][next(pfn for pfn in heads if pfn % 2 == 0)] = 1


def leave_isolated(zone: Zone) -> None:
    zone.frame[first(zone, Home.RESERVED)]["home"] = Home.ISOLATED


def unmap_silently(zone: Zone) -> None:
    flags = zone.frame["flags"]
    mapped = np.flatnonzero(flags[: zone.pages] & Flag.MAPPED)
    flags[mapped[0]] &= ~np.uint8(Flag.MAPPED)


@pytest.mark.parametrize(
    ("plant", "named"),
    [
        (change("free"), "free is"),
        (change_count, "free list of order 0"),
        (change("nr_active"), "nr_active"),
        (change("nr_inactive"), "nr_inactive"),
        (change("nr_hot"), "nr_hot"),
        (change("nr_cold"), "nr_cold"),
        (change("nr_mapped"), "nr_mapped"),
        (change("nr_dirty"), "nr_dirty"),
        (change("nr_writeback"), "nr_writeback"),
        (change("nr_anon"), "nr_anon"),
        (change("nr_file"), "nr_file"),
        (change("nr_kernel"), "nr_kernel"),
        (change("nr_slab"), "nr_slab"),
        (change("event_overflow"), "agenda"),
        (break_link, "nr_active"),
        (lose_page, "not covered exactly once"),
        (point_astray, "reverse map"),
        (hold_twice, "resident"),
        (overlap, "not covered exactly once"),
        (leave_isolated, "isolated"),
        (unmap_silently, "nr_mapped"),
        (free_buddies, "unmerged"),
    ],
)
def test_a_planted_contradiction_is_found(
    zone: Zone, plant: Callable[[Zone], None], named: str
) -> None:
    """Each invariant can fail, and says which it was."""
    plant(zone)

    with pytest.raises(InvariantBroken, match=named):
        verify(zone)
