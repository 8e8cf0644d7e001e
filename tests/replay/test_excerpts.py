"""A real kernel's allocator and ours, event by event, on excerpts of its traces."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from study.cli import main
from study.replay.replay import replay
from study.replay.siblings import find_siblings


@pytest.mark.parametrize("name", ["fork", "net", "steal", "end"])
def test_excerpts_replay_exactly(excerpts, name):
    """Without compaction every count, index and choice is the kernel's, running free."""
    result = replay(excerpts / f"trace_{name}.npz")

    assert result.snapshots_exact == result.snapshots > 0
    assert result.indices_exact == result.indices > 0
    assert result.pfn_exact == result.zone_requests > 1_000
    assert (result.free_running, result.first_miss) == (True, None)
    assert not result.differences


def test_compaction_turns_lists_but_loses_no_page(excerpts):
    """Where compaction searches the lists unseen, counts stay exact and few choices differ."""
    result = replay(excerpts / "trace_compact.npz")

    assert result.snapshots_exact == result.snapshots == 2
    assert result.free_running is False
    assert result.pfn_exact >= 0.99 * result.zone_requests
    assert result.first_miss is not None
    assert result.irregularities["blocks_left_not_free"] == 0


def test_lists_end_in_the_kernels_order(excerpts):
    """After 26,292 rows with steals and compaction every free list has the kernel's order."""
    result = replay(excerpts / "trace_end.npz")

    assert result.lists_exact == result.lists == 27


def test_accounting_needs_only_which_pages_are_free(excerpts, tmp_path):
    """Free bits of /proc/kpageflags do for the counts; choices are then not compared."""
    shutil.copy(excerpts / "trace_net.npz", tmp_path)
    shutil.copy(excerpts / "snapshots_net.json.gz", tmp_path)
    start = find_siblings(excerpts, "net").start
    assert start is not None
    flags = np.zeros(max(zone.end_pfn for zone in start.zones.values()), np.uint32)
    for zone in start.zones.values():
        for (order, _), heads in zone.lists.items():
            for head in heads:
                flags[head : head + (1 << order)] |= 1 << 10
    np.savez_compressed(tmp_path / "kpageflags_net.npz", k0=flags)

    result = replay(tmp_path / "trace_net.npz")

    assert result.snapshots_exact == result.snapshots == 3
    assert (result.pfn_exact, result.free_running) == (None, None)
    assert any(line.startswith("placement") for line in result.not_compared)


def test_nothing_beside_a_trace_is_said(excerpts, tmp_path):
    """A trace alone is replayed, and what could not be compared is named."""
    shutil.copy(excerpts / "trace_fork.npz", tmp_path)

    result = replay(tmp_path / "trace_fork.npz")

    assert (result.rows, result.zone_requests) == (24_000, 11_764)
    assert (result.snapshots_exact, result.pfn_exact, result.lists_exact) == (None, None, None)
    said = " ".join(result.not_compared)
    for name in ("snapshots_fork", "freelists_fork_0", "freelists_fork_1"):
        assert f"{name}.json.gz" in said
    assert result.irregularities["blocks_left_not_free"] == 0


def test_a_wrong_count_is_found(excerpts, tmp_path, beside):
    """Free lists that lack one block make the snapshots differ, and say where."""
    import gzip

    shutil.copy(excerpts / "trace_fork.npz", tmp_path)
    beside("fork", "fork")
    path = tmp_path / "freelists_fork_0.json.gz"
    path.chmod(0o644)
    lists = json.loads(gzip.decompress(path.read_bytes()))
    lists["DMA32"]["free_list"]["10"]["Movable"].pop()
    path.write_bytes(gzip.compress(json.dumps(lists).encode()))

    result = replay(tmp_path / "trace_fork.npz")

    assert result.snapshots_exact == 0
    found = result.differences[0]
    assert (found.zone, found.kernel[10] - found.ours[10]) == ("DMA32", 1)


def test_json_is_one_object_a_line(excerpts):
    """--json prints one object a trace with the keys that scripts rely on."""
    paths = [str(excerpts / f"trace_{name}.npz") for name in ("net", "steal")]

    answer = CliRunner().invoke(main, ["replay", *paths, "--json"])

    assert answer.exit_code == 0
    objects = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [found["trace"] for found in objects] == paths
    for found in objects:
        assert found["snapshots_exact"] == found["snapshots"] > 0
        assert found["pfn_exact"] == found["zone_requests"] > 0
        assert found["free_running"] is True
        assert found["rows"] > 0
        assert all(isinstance(count, int) for count in found["irregularities"].values())


def test_the_table_fits_80_columns(excerpts):
    """Every line fits a terminal of 80 columns; each trace has its verdict in a line."""
    paths = [str(path) for path in sorted(excerpts.glob("trace_*"))]

    answer = CliRunner().invoke(main, ["replay", *paths], env={"COLUMNS": "80"})

    assert answer.exit_code == 0
    lines = answer.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "trace_net.npz: all 3 snapshots exact; all 5,948 requests alike" in lines
