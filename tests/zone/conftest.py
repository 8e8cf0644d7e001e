"""Zones to try single parts on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from study.zone.settings import (
    Clock,
    Memory,
    Nic,
    Processes,
    Settings,
    Slab,
    User,
)

SECOND = 1_000_000_000


def small(pages: int = 4_096, **groups: object) -> Settings:
    """A zone of 16 MB with a light load and seconds of simulated time."""
    settings = Settings(
        memory=Memory(pages=pages, lowmem_pages=max(pages, 1), reserved_pages=min(64, pages // 8)),
        user=User(working_set_pages=pages + pages // 4 + 16, touches_per_s=20_000.0),
        processes=Processes(anonymous_pages=16.0, live_max=64),
        slab=Slab(pages_per_s=20.0),
        nic=Nic(ring=16, rx_frames_per_s=400.0, tx_frames_per_s=200.0),
        clock=Clock(ageing_ns=1 * SECOND, measure_ns=2 * SECOND, sample_ns=SECOND // 4),
    )
    return replace(settings, **groups)  # type: ignore[arg-type]


@pytest.fixture
def quiet(quiet_settings: Callable[..., Settings]) -> Callable[..., Settings]:
    """Settings without any load: for driving one part of a zone by hand."""
    return quiet_settings


@pytest.fixture(scope="session")
def quiet_settings() -> Callable[..., Settings]:
    """The same for property tests, which share their fixtures between examples."""

    def make(pages: int, **groups: object) -> Settings:
        idle = {
            "memory": Memory(pages=pages, lowmem_pages=max(pages, 1), reserved_pages=0),
            "user": User(
                working_set_pages=2 * pages + 16,
                touches_per_s=0.0,
                drifts_per_s=0.0,
                deletes_per_s=0.0,
                filled=False,
                anonymous_share=0.0,
                mapped_share=0.0,
            ),
            "processes": Processes(forks_per_s=0.0, live_max=4),
            "slab": Slab(initial_share=0.0, pages_per_s=0.0),
            "nic": Nic(rx_frames_per_s=0.0, tx_frames_per_s=0.0),
        }
        return replace(Settings(), **(idle | groups))

    return make
