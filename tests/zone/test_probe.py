"""The probe frees pages by the rule it is told, counts them all, and changes nothing before."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from study.zone.mm.linux_2_6.defrag import free_blocks
from study.zone.settings import DefragMode, Probe, ProbeVictims, Settings
from study.zone.simulate import simulate
from study.zone.trial.probe import probe
from study.zone.trial.verify import verify
from study.zone.trial.zone import Zone
from tests.zone.conftest import small

VICTIMS = [v for v in ProbeVictims if v != ProbeVictims.OFF]


def aged(victims: ProbeVictims, order: int = 2, blocks: int = 8) -> Zone:
    """A small zone after two seconds of its load."""
    from study.zone.trial.advance import advance

    zone = Zone(small(probe=Probe(victims, order, blocks)), seed=3)
    advance(zone.state, 2_000_000_000)
    return zone


@pytest.mark.parametrize("victims", VICTIMS)
def test_the_probe_gains_the_blocks_it_was_asked_for(victims: ProbeVictims) -> None:
    """Eight more order-2 blocks are free after it, the zone is sound, and the cost is counted."""
    zone = aged(victims)
    blocks_before, free_before = free_blocks(zone.state, 2), zone.free
    found = probe(zone)
    verify(zone)

    assert free_blocks(zone.state, 2) >= blocks_before + 8
    assert found["probe_freed_pages"] == found["probe_order2_freed_pages"] > 0
    if victims != ProbeVictims.RMAP_MIGRATE:
        assert zone.free - free_before == found["probe_freed_pages"]
        assert 0 < found["probe_touches_lost_share"] < 1
    else:
        # What is moved stays in memory.
        assert zone.free == free_before
        assert found["probe_touches_lost_share"] == 0


def test_the_reverse_map_frees_fewest_and_chance_most() -> None:
    """Targeting needs fewer pages than LRU order and chance, with the same zone before."""
    cost = {victims: probe(aged(victims))["probe_freed_pages"] for victims in VICTIMS}

    # What is moved needs room, and may take it from the block that would have been next.
    assert cost[ProbeVictims.RMAP_EVICT] <= cost[ProbeVictims.RMAP_MIGRATE]
    assert cost[ProbeVictims.RMAP_MIGRATE] < cost[ProbeVictims.LRU]
    assert cost[ProbeVictims.RMAP_MIGRATE] < cost[ProbeVictims.RANDOM]


def test_a_probe_changes_no_other_metric_and_is_absent_when_off() -> None:
    """What is measured before it is equal to the last bit; without it its metrics are NaN."""
    off = simulate(small(), seed=1, replicate=0)
    on = simulate(small(probe=Probe(ProbeVictims.RANDOM, 2, 1)), seed=1, replicate=0)

    assert off.series.tobytes() == on.series.tobytes()
    for name, value in off.metrics.items():
        if name.startswith("probe_"):
            assert math.isnan(value)
        else:
            assert value == on.metrics[name] or math.isnan(value)


@pytest.mark.parametrize("victims", VICTIMS)
def test_a_goal_out_of_reach_is_no_number(victims: ProbeVictims) -> None:
    """More blocks than the zone has room for end the probe with NaN, not with a wrong count."""
    zone = aged(victims, order=5, blocks=100_000)
    found = probe(zone)
    verify(zone)

    assert math.isnan(found["probe_freed_pages"])


def test_the_probe_works_on_its_own_order_and_leaves_the_daemon_out(
    quiet_defrag: Settings,
) -> None:
    """Its order is what it was asked for, not the order of the zone's defragmenter."""
    zone = Zone(quiet_defrag, seed=3)
    probe(zone)

    assert zone.state["defrag_order"] == 1
    assert zone.count["defrag_blocks"] > 0


@pytest.fixture
def quiet_defrag() -> Settings:
    settings = small(probe=Probe(ProbeVictims.RMAP_EVICT, 1, 4))
    return replace(settings, defrag=replace(settings.defrag, mode=DefragMode.OFF, order=3))


@pytest.mark.parametrize("victims", [ProbeVictims.RANDOM, ProbeVictims.LRU])
def test_a_probe_can_be_ended_before_its_goal(victims: ProbeVictims) -> None:
    """Between two pieces of its work whoever runs it is asked, as Ctrl-C and a time limit need."""
    asked = []

    def check_time_limit() -> None:
        asked.append(zone.free)
        if len(asked) == 2:
            raise TimeoutError

    zone = aged(victims, order=5, blocks=100_000)
    with pytest.raises(TimeoutError):
        probe(zone, check_time_limit)
    assert asked[0] < asked[1]
    verify(zone)
