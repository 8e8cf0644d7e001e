"""Load that comes unevenly: as much as its pieces say, when they say it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from study.zone.settings import Nic, Settings, User
from study.zone.trial.advance import advance
from study.zone.trial.zone import Zone
from tests.zone.conftest import SECOND, small

Quiet = Callable[..., Settings]
_IDLE = {"drifts_per_s": 0.0, "deletes_per_s": 0.0, "filled": False}


def counted(zone: Zone, name: str, seconds: int) -> list[int]:
    """What a counter gains in each second from the beginning on."""
    found = [0]
    for second in range(1, seconds + 1):
        advance(zone.state, second * SECOND)
        found.append(int(zone.count[name]))
    return np.diff(found).tolist()


def touching(quiet: Quiet, *profile: tuple[int, float]) -> Zone:
    """A zone with touches alone, which come so."""
    mean = sum(ns * rate for ns, rate in profile) / sum(ns for ns, _ in profile)
    user = User(working_set_pages=64, touches_per_s=mean, touch_profile=profile, **_IDLE)  # type: ignore[arg-type]
    return Zone(quiet(1_024, user=user))


def test_touches_come_as_the_pieces_say_over_and_over(quiet: Quiet) -> None:
    """A second at 1,000, one at 250, two at rest."""
    zone = touching(quiet, (SECOND, 1_000.0), (SECOND, 250.0), (2 * SECOND, 0.0))

    assert counted(zone, "touches", 8) == [1_000, 250, 0, 0, 1_000, 250, 0, 0]


def test_a_gap_between_touches_is_laid_over_the_pieces(quiet: Quiet) -> None:
    """At three a second and none in turn, 500 ms each: a gap goes on after the rest."""
    zone = touching(quiet, (SECOND // 2, 3.0), (SECOND // 2, 0.0))

    # At 0, 333; 1,167, 1,500; 2,333; 3,167, 3,500; 4,333; 5,167, 5,500 ms.
    assert counted(zone, "touches", 6) == [2, 2, 1, 2, 1, 2]


@pytest.mark.parametrize("source", ["rx", "tx"])
def test_frames_come_at_the_rate_of_the_moment(quiet: Quiet, source: str) -> None:
    """A Poisson process of bursts whose rate changes; in pieces without any, none begins."""
    profile = ((SECOND, 4_000.0), (SECOND, 400.0), (SECOND, 0.0))
    nic = Nic(
        ring=64,
        rx_order=0,
        tx_order=0,
        rx_frames_per_s=1_000.0 if source == "rx" else 0.0,
        tx_frames_per_s=1_000.0 if source == "tx" else 0.0,
        rx_burst_frames=4.0,
        tx_burst_frames=4.0,
        **{f"{source}_profile": profile},  # type: ignore[arg-type]
    )
    zone = Zone(quiet(4_096, nic=nic))
    name = "frames_received" if source == "rx" else "frames_sent"
    each = np.array(counted(zone, name, 60)).reshape(-1, 3)

    busy, calm, rest = each.mean(axis=0)
    # 20 seconds each: 80,000 and 8,000 frames in bursts of 4; four standard deviations.
    assert busy == pytest.approx(4_000, rel=4 * np.sqrt(7 / 80_000))
    assert calm == pytest.approx(400, rel=4 * np.sqrt(7 / 8_000))
    # A burst that has begun goes on.
    assert rest < 5


def test_a_profile_that_brings_nothing_is_no_load(quiet: Quiet) -> None:
    """Pieces at rest alone: no touch ever, and no endless search for the next."""
    zone = touching(quiet, (SECOND, 0.0))

    assert counted(zone, "touches", 3) == [0, 0, 0]


def test_an_uneven_load_is_the_same_again() -> None:
    """Same settings, seed and replicate: the same zone to the last frame."""
    profile = ((SECOND // 3, 60_000.0), (SECOND // 2, 0.0))
    settings = small()
    settings = replace(
        settings,
        user=replace(settings.user, touch_profile=profile),
        nic=replace(settings.nic, rx_profile=((SECOND // 4, 900.0), (SECOND // 7, 30.0))),
    )
    one, other = (Zone(settings, seed=5) for _ in range(2))
    for zone in (one, other):
        advance(zone.state, 3 * SECOND)
    assert np.array_equal(one.frame, other.frame)
    assert one.count["touches"] == other.count["touches"] > 0
