"""The full recordings, where they are at hand: STUDY_KERNEL_TRACES, or ../shared/kernel-traces."""

from __future__ import annotations

import importlib.util
import os
import time
from pathlib import Path

import pytest

from study.replay.replay import replay

NAMES = ["pagecache", "fork", "net", "hiorder"]


@pytest.fixture(scope="module")
def traces(root: Path) -> Path:
    """The folder of full recordings; skips with a reason where there is none."""
    named = os.environ.get("STUDY_KERNEL_TRACES")
    folder = Path(named) if named else root.parent / "shared" / "kernel-traces"
    if not folder.is_dir():
        pytest.skip(f"no full kernel traces in {folder} (set STUDY_KERNEL_TRACES)")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_full_recordings_replay_exactly(traces, name):
    """Counts and indices exact in every snapshot; choices all, after compaction 99.4 %."""
    path = traces / f"trace_{name}.npz"
    if not path.exists():
        pytest.skip(f"no {path}")

    result = replay(path)

    assert result.snapshots_exact == result.snapshots >= 64
    assert result.indices_exact == result.indices > 0
    assert result.lists_exact == result.lists > 0
    if name == "hiorder":
        assert result.pfn_exact >= 0.994 * result.zone_requests
    else:
        assert result.free_running is True


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pagecache", "net", "fork"])
def test_recorded_demand_is_met_as_the_kernel_met_it(traces, root, name):
    """Under the nearest rules: nothing refused, as many pages reclaimed, as many free, about."""
    path = traces / f"trace_{name}.npz"
    if not path.exists():
        pytest.skip(f"no {path}")
    spec = importlib.util.spec_from_file_location("held_out", root / "docs" / "held_out.py")
    held_out = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(held_out)

    real, nearest, _ = held_out.compared(path)

    refused, reclaimed, free = 2, 4, 6
    assert real[refused] == nearest[refused] == "none"
    for column in (reclaimed, free):
        kernel, ours = (int(row[column].replace(",", "")) for row in (real, nearest))
        assert abs(ours - kernel) <= 0.1 * kernel


@pytest.mark.slow
def test_a_million_events_take_about_a_second(traces):
    """Once started, the columns of a million events are read and replayed within 3 s."""
    path = traces / "trace_pagecache.npz"
    replay(path)
    before = time.process_time()

    result = replay(path)

    assert (time.process_time() - before) * 1e6 / result.rows < 3
