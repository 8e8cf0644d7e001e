"""The record keeps what a zone has apart from what the machine has."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from study.zone.engine.record import COUNTERS, MACHINE, ZONE, ZONE_COUNTERS
from study.zone.mm.linux_2_6.buddy import free_block, take_block
from study.zone.mm.linux_2_6.percpu import free_page
from study.zone.settings import Settings
from study.zone.trial.zone import Zone

pytestmark = pytest.mark.quick


def test_a_name_is_the_zones_or_the_machines() -> None:
    """No field stands in both records, and no counter: metrics go by the name alone."""
    assert set(ZONE.names or ()) & set(MACHINE.names or ()) == {"count"}
    assert not set(ZONE_COUNTERS.names or ()) & set(COUNTERS.names or ())


def test_a_zone_tells_what_it_has(quiet: Callable[..., Settings]) -> None:
    """Its properties follow what the kernels do to the record."""
    zone = Zone(quiet(1_024), empty=True)
    assert (zone.pages, zone.free, zone.nr_free.sum(), zone.now) == (1_024, 0, 0, 0)

    free_block(zone.state, 0, 10)
    take_block(zone.state, 3)

    assert zone.free == 1_024 - 8
    assert list(np.flatnonzero(zone.nr_free)) == [3, 4, 5, 6, 7, 8, 9]
    low, high = zone.own["low"], zone.own["high"]
    assert zone.marks == (zone.own["min"], low, high)


def test_counting_begins_anew_for_zone_and_machine(quiet: Callable[..., Settings]) -> None:
    """After reset_counters() every counter is 0, whoever's it is."""
    zone = Zone(quiet(1_024), empty=True)
    free_block(zone.state, 0, 10)
    take_block(zone.state, 3)
    free_page(zone.state, 0, False)
    zone.state["count"]["touches"] = 5
    assert zone.count["split"].sum() == 7
    assert zone.count["touches"] == 5

    zone.reset_counters()

    assert not any(np.any(value) for value in zone.count.values())
