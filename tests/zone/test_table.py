"""A table reaches its own rows and, as the tests are compiled, no others."""

from __future__ import annotations

import pytest
from numba import njit

from study.zone.engine.layout import NR_HEADS, events, frames, vpages
from study.zone.engine.table import BOUNDSCHECK
from study.zone.settings import Settings
from study.zone.trial.zone import Zone


@njit(error_model="numpy")
def peek(z, row):
    """A field of a frame."""
    return frames(z)[row].order


@njit(error_model="numpy")
def poke(z, row, value):
    """Set fields in three tables."""
    frames(z)[row].order = value
    vpages(z)[row].pfn = value
    events(z)[row].time = value


def test_kernels_and_numpy_see_the_same_rows() -> None:
    """What a kernel writes through a table is in the array behind it, and nowhere else."""
    zone = Zone(Settings(), empty=True)
    before = zone.frame.copy()
    poke(zone.state, 5, 7)
    assert zone.frame["order"][5] == zone.vpage["pfn"][5] == zone.event["time"][5] == 7
    assert (zone.frame != before).nonzero()[0].tolist() == [5]
    zone.frame["order"][len(zone.frame) - NR_HEADS] = 9
    assert peek(zone.state, len(zone.frame) - NR_HEADS) == 9


@pytest.mark.skipif(not BOUNDSCHECK, reason="compiled without STUDY_BOUNDSCHECK=1")
@pytest.mark.parametrize("beyond", [0, 1, 1 << 40])
def test_a_row_outside_is_an_error(beyond: int) -> None:
    """Past the end, and before the beginning: a negative row does not count from the end."""
    zone = Zone(Settings(), empty=True)
    for row in (len(zone.frame) + beyond, -1 - beyond):
        with pytest.raises(IndexError):
            peek(zone.state, row)
