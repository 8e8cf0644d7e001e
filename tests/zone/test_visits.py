"""Visits are drawn two ahead, so that their pages can be fetched; they are those drawn in turn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numba import njit

from study.zone.engine.enums import Stream
from study.zone.engine.layout import NO_PFN, frames
from study.zone.engine.table import lowest_bit, prefetch
from study.zone.load.user import alias_table, touch_until
from study.zone.settings import User
from study.zone.trial.zone import Zone
from tests.zone.conftest import small

VISITS = 500


def drawn_in_turn(dice: np.ndarray, extents: int, user: User):
    """Visits as (rank, first page in the extent, pages, writes), each drawn when it begins."""
    stream = np.random.SFC64(0)
    known = stream.state
    known["state"]["state"] = dice
    stream.state = known
    table = alias_table(extents, user.zipf_exponent)
    while True:
        word, start, length, write = (int(word) for word in stream.random_raw(4))
        row = (word >> 32) * extents >> 32
        rank = row if word & 0xFFFFFFFF < table["keep"][row] else int(table["other"][row])
        start = (start >> 32) * user.extent_pages >> 32
        u = ((length >> 11) + 1.0) / (1 << 53)
        pages = 1 + int(math.log(u) / math.log(1.0 - 1.0 / user.run_pages))
        writes = ((write >> 11) + 1.0) / (1 << 53) <= user.write_share
        yield rank, start, min(pages, user.extent_pages - start), writes


def test_visits_are_those_drawn_in_turn() -> None:
    """Also while popularity drifts: where a visit goes is settled when it begins."""
    settings = small()
    zone, chance = Zone(settings, seed=5), np.random.default_rng(1)
    z = zone.state
    dice = z["dice"][Stream.TOUCH].copy()
    expected = drawn_in_turn(dice, zone.extents, settings.user)
    for _ in range(VISITS):
        chance.shuffle(zone.extent["extent"])
        z["visit_left"], z["touch_period_ns"], z["next_touch"] = 0, 1 << 61, z["now"]
        touch_until(z, int(z["now"]) + 1)
        rank, start, pages, writes = next(expected)
        first = int(zone.extent["extent"][rank]) * settings.user.extent_pages + start
        assert (z["visit_page"] - 1, z["visit_left"] + 1, z["visit_write"]) == (
            first,
            pages,
            writes,
        )


@njit(error_model="numpy")
def fetch(z, row):
    """Ask for a row of the frames."""
    prefetch(frames(z), row)


@njit(error_model="numpy")
def lowest(word):
    """The lowest bit of a word."""
    return lowest_bit(word)


@pytest.mark.parametrize("row", [0, NO_PFN, 1 << 40])
def test_fetching_ahead_changes_nothing(row: int) -> None:
    """Wherever the row is, also outside the table, with bounds checked."""
    zone = Zone(small(), seed=1)
    before = zone.frame.copy()
    fetch(zone.state, row)
    assert (zone.frame == before).all()


@pytest.mark.quick
@pytest.mark.parametrize("place", [0, 1, 31, 32, 63])
def test_the_lowest_bit_is_found(place: int) -> None:
    """Among others above it."""
    assert lowest(np.uint64(1 << place)) == place
    assert lowest(np.uint64(1 << 63 | 1 << place)) == place
