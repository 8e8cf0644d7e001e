"""Whole trials: repeatable, comparable, and sound at every corner of the policy matrix."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from study.zone.settings import (
    AllocationPath,
    Churn,
    Clock,
    Defrag,
    DefragMode,
    DefragRun,
    HighAlloc,
    Kswapd,
    KswapdLoop,
    KswapdPolicy,
    Marks,
    Memory,
    Nic,
    NicReceive,
    NicTransmit,
    Processes,
    Settings,
    Slab,
    User,
    Watermarks,
)
from study.zone.simulate import Outcome, simulate
from study.zone.trial.advance import pass_time
from study.zone.trial.measure import SAMPLE, measure
from study.zone.trial.metrics import is_share
from study.zone.trial.verify import verify
from study.zone.trial.zone import Zone
from tests.zone.conftest import small

LOAD = (
    "touches",
    "forks",
    "frames_arrived",
    "frames_to_send",
)


def run(settings: Settings, seed: int = 1, replicate: int = 0) -> Outcome:
    return simulate(settings, seed=seed, replicate=replicate)


def same(one: Outcome, other: Outcome) -> bool:
    """Equal to the last bit, NaN included."""
    return (
        list(one.metrics) == list(other.metrics)
        and np.array_equal(
            np.array(list(one.metrics.values())),
            np.array(list(other.metrics.values())),
            equal_nan=True,
        )
        and one.series.tobytes() == other.series.tobytes()
    )


def load_of(outcome: Outcome) -> dict[str, float]:
    """What the workload asked for, whether or not it got it."""
    m = outcome.metrics
    return {
        "touches": m["touches"],
        "forks": m["forks"],
        "frames_arrived": m["frames_received"] + m["frames_dropped"],
        "frames_to_send": m["frames_sent"] + m["frames_unsent"],
    }


def test_a_trial_depends_on_its_settings_seed_and_replicate_alone() -> None:
    """Repeated it is equal to the last bit, after other trials too; another seed differs."""
    first = run(small())
    run(small(pages=5_000), seed=9)

    assert same(first, run(small()))
    assert not same(first, run(small(), seed=2))
    assert not same(first, run(small(), replicate=1))


@pytest.mark.quick
def test_policies_of_one_replicate_meet_the_same_load() -> None:
    """Touches, forks and frames are equal in number under every policy."""
    loads = [
        load_of(run(small(kswapd=Kswapd(policy=policy), defrag=Defrag(mode=mode, run=how))))
        for policy in KswapdPolicy
        for mode in DefragMode
        for how in DefragRun
    ]
    loads.append(load_of(run(small(nic=replace(small().nic, receive=NicReceive.PAGE_ARRAY)))))

    assert all(load == loads[0] for load in loads)
    assert min(loads[0].values()) > 0


@pytest.mark.parametrize(
    ("policy", "mode", "how", "receive"),
    list(itertools.product(KswapdPolicy, DefragMode, DefragRun, NicReceive)),
)
def test_every_policy_leaves_a_sound_zone(
    policy: KswapdPolicy, mode: DefragMode, how: DefragRun, receive: NicReceive
) -> None:
    """simulate() checks every invariant at the end; the trial has reclaimed and served."""
    transmit = NicTransmit(int(receive))
    settings = small(
        kswapd=Kswapd(policy=policy),
        defrag=Defrag(mode=mode, run=how, interval_ns=100_000_000),
        nic=replace(small().nic, receive=receive, transmit=transmit),
    )
    metrics = run(settings).metrics

    assert metrics["reclaimed_pages"] > 0
    assert (metrics["defrag_blocks"] > 0) <= (mode != DefragMode.OFF)
    if mode == DefragMode.RMAP_EVICT:
        assert metrics["defrag_migrated_pages"] == 0
    if mode == DefragMode.RMAP_MIGRATE:
        assert metrics["defrag_evicted_pages"] == 0
        assert metrics["refaults_after_defrag"] == 0


@pytest.mark.parametrize("path", list(AllocationPath))
@pytest.mark.parametrize("loop", list(KswapdLoop))
def test_every_kernel_version_runs(path: AllocationPath, loop: KswapdLoop) -> None:
    """Each allocation path works with each of kswapd's loops and both formulas of the marks."""
    for marks in Marks:
        settings = small(allocation=path, kswapd=Kswapd(loop=loop), watermarks=Watermarks(marks))
        assert run(settings).metrics["user_attempts"] > 0


NO_LOAD = {
    "user": User(working_set_pages=64, touches_per_s=0.0, drifts_per_s=0.0, deletes_per_s=0.0),
    "processes": Processes(forks_per_s=0.0),
    "slab": Slab(pages_per_s=0.0, initial_share=0.0),
    "nic": Nic(rx_frames_per_s=0.0, tx_frames_per_s=0.0),
}


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(small(pages=1), id="one page"),
        pytest.param(small(pages=256), id="1 MB"),
        pytest.param(small(pages=4_095), id="no power of two"),
        pytest.param(small(**NO_LOAD), id="no load at all"),
        pytest.param(small(slab=Slab(initial_share=1.0)), id="all pages unmovable"),
        pytest.param(small(nic=replace(small().nic, ring=8_192)), id="ring larger than memory"),
        pytest.param(small(memory=Memory(4_096, 4_096, 64, swap=False)), id="no swap"),
        pytest.param(
            small(
                memory=Memory(1_024, 1_024, 64, swap=False),
                user=replace(small().user, anonymous_share=1.0),
            ),
            id="memory exhausted",
        ),
        pytest.param(
            small(
                pages=20,
                nic=replace(small().nic, rx_order=5),
                defrag=Defrag(DefragMode.RMAP_EVICT, DefragRun.DAEMON, order=10),
            ),
            id="order above what the zone holds",
        ),
        pytest.param(
            small(memory=Memory(4_096, 4_096, 64, percpu_lists=False)), id="no per-cpu lists"
        ),
        pytest.param(
            small(defrag=Defrag(DefragMode.RMAP_MIGRATE, DefragRun.INLINE, order=10)),
            id="defragmenter of order 10",
        ),
        pytest.param(
            small(processes=Processes(forks_per_s=2_000.0, live_max=256)), id="fork storm"
        ),
        pytest.param(
            small(user=replace(small().user, anonymous_share=1.0, write_share=1.0)),
            id="everything anonymous and dirty",
        ),
    ],
)
def test_extremes_neither_hang_nor_break(settings: Settings) -> None:
    """Odd zones and loads end with every invariant intact."""
    assert run(settings).metrics["free_pages_end"] >= 0


def test_ends_of_slab_pages_that_reclaim_has_emptied_do_not_fill_the_agenda() -> None:
    """Three times as many as there are pages, each with minutes still to go."""
    slab = Slab(pages_per_s=6_000.0, reclaimable_share=1.0, lifetime_median_ns=10**12)
    settings = small(slab=slab)
    zone = Zone(settings, seed=1)
    pass_time(zone.state, 3_000_000_000)

    assert zone.count["slab_reclaimed"] > 2 * zone.pages
    verify(zone)


@pytest.mark.quick
def test_time_passes_in_pieces_without_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between pieces Python is heard; how long they are changes nothing."""
    settings = small(
        highalloc=HighAlloc(share=0.5, order=8), churn=Churn(rounds=2, fill=0.6, hold=0.3)
    )
    whole = simulate(settings, seed=3, replicate=0)
    monkeypatch.setattr("study.zone.trial.advance.PIECE_NS", 7_000_001)
    monkeypatch.setattr("study.zone.trial.advance.PIECE_EVENTS", 3)
    monkeypatch.setattr("study.zone.trial.fill.PIECE_EVENTS", 3)
    pieces = simulate(settings, seed=3, replicate=0)

    np.testing.assert_equal(pieces.metrics, whole.metrics)
    np.testing.assert_array_equal(pieces.series, whole.series)


@pytest.mark.parametrize(
    "long",
    [
        {"highalloc": HighAlloc(share=0.5, gap_ns=10**15)},
        {"churn": Churn(rounds=3, fill=0.6, hold=0.3, gap_ns=10**16)},
        {"clock": Clock(ageing_ns=10**16, measure_ns=10**16, sample_ns=10**16)},
    ],
    ids=["highalloc", "churn", "clock"],
)
def test_hours_of_simulated_time_can_be_ended(long: dict[str, Any]) -> None:
    """A limit of time holds in them, and so would Ctrl-C."""
    with pytest.raises(TimeoutError, match=r"more than 0\.5 s"):
        simulate(small(**long), seed=1, replicate=0, time_limit_s=0.5)


def test_a_trial_can_be_ended_while_memory_is_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reclaim may go round in vain for minutes there, of real time."""
    monkeypatch.setattr("study.zone.trial.fill.PIECE_EVENTS", 10)

    def late() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        Zone(small(65_536), seed=1, check_time_limit=late)


def test_a_zone_starts_from_a_buddyinfo_line() -> None:
    """The article's line gives exactly its counts, 760 free pages, and a sound zone."""
    line = (258, 9, 5, 0, 1, 2, 0, 1, 1, 0, 0)
    memory = Memory(lowmem_pages=229_376, buddyinfo=line)
    zone = Zone(Settings(memory=memory, nic=Nic(rx_frames_per_s=0.0)), seed=3)

    assert tuple(zone.nr_free) == line
    assert zone.free == 760
    assert (zone.own["min"], zone.own["low"], zone.own["high"]) == (234, 468, 702)
    verify(zone)


def test_shares_are_between_zero_and_one() -> None:
    """What is declared a share stays in [0, 1] or is NaN; kswapd's time may be more than there is,
    as its last step ends later.
    """
    slow = run(small(kswapd=Kswapd(pages_per_ms=0.02))).metrics

    assert slow["kswapd_busy_share"] > 1
    for metrics in (slow, run(small()).metrics):
        shares = {name: value for name, value in metrics.items() if is_share(name)}
        assert shares["unmovable_blocks_share_end"] > 0
        assert all(np.isnan(value) or 0.0 <= value <= 1.0 for value in shares.values())


def test_the_fragmentation_index_is_no_share() -> None:
    """With one page free it lies below 0, as the kernel's formula has it."""
    samples = np.zeros(1, SAMPLE)
    samples["nr_free"][0, 0] = samples["free_pages"] = 1

    found = measure(Zone(small()), samples)

    assert found["extfrag_index_order1_mean"] == -0.5
    assert not is_share("extfrag_index_order1_mean")
