"""What is on disk after rows came in."""

import json
import random
import sys

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import study
from study.results import read_series, read_trials
from study.results.read import TrialColumns, series_batches

METRICS = ["served", "same", "absent", "even"]


def test_plain_pandas_reads_the_trials(make_store, rows, tiny):
    """DIR/trials is one table: cell, the axes, replicate, seed, status, error, the metrics."""
    store = make_store()
    store.add(rows)
    store.close("failed")

    trials = pd.read_parquet(store.folder.trials)
    assert list(trials.columns) == [
        *("cell", "kswapd.policy", "nic.mtu", "replicate", "seed", "status", "error"),
        *METRICS,
    ]
    assert len(trials) == len(tiny)
    assert (trials[METRICS].dtypes == "float64").all()
    assert trials["nic.mtu"].dtype == "int64"
    assert trials["seed"].unique().tolist() == [7]
    failed = trials[trials["status"] == "failed"]
    assert failed["error"].tolist() == ["ValueError: no"]
    assert failed[METRICS].isna().all(axis=None)


def test_plain_pandas_reads_the_series(make_store, rows):
    """DIR/series has a row a sample, and a column for each order of a vector."""
    store = make_store()
    store.add(rows)
    store.close("failed")

    series = pd.read_parquet(store.folder.series)
    orders = [f"nr_free{order}" for order in range(11)]
    assert list(series.columns) == ["cell", "replicate", "time_ns", "phase", *orders]
    assert len(series) == 4 * (len(rows) - 1)
    assert (series["nr_free3"] == 3 + series["replicate"]).all()
    one = series[(series["cell"] == rows[0].cell) & (series["replicate"] == 0)]
    assert one["time_ns"].tolist() == [0, 100, 200, 300]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), cuts=st.sets(st.integers(0, 12)))
def test_the_order_of_arrival_leaves_no_trace(make_store, rows, tmp_path_factory, seed, cuts):
    """However the rows arrived and were cut into parts, the files are the same to the byte."""
    stores = [make_store(f"{tmp_path_factory.mktemp('a').name}-{n}") for n in range(2)]
    shuffled = random.Random(seed).sample(rows, len(rows))
    for index, row in enumerate(shuffled):
        stores[0].add([row])
        if index in cuts:
            stores[0].flush()
    stores[1].add(rows)
    for store in stores:
        store.close("failed")

    first, second = (store.folder for store in stores)
    for table in ("trials", "series"):
        parts = [sorted((folder.path / table).iterdir()) for folder in (first, second)]
        assert [[part.name for part in found] for found in parts] == [["part-000000.parquet"]] * 2
        assert parts[0][0].read_bytes() == parts[1][0].read_bytes()
    assert first.summary.read_bytes() == second.summary.read_bytes()
    assert first.manifest["failures"] == second.manifest["failures"]


def test_parts_share_one_schema_when_the_first_trials_fail(make_store, rows):
    """A flush of nothing but failures does not make a part without the metrics' columns."""
    store = make_store()
    store.add([rows[-1]])
    store.flush()
    assert not list(store.folder.trials.iterdir())
    store.add(rows[:-1])
    store.flush()

    trials = pd.read_parquet(store.folder.trials)
    assert len(trials) == len(rows)
    assert list(trials.columns)[-4:] == METRICS


def test_a_folder_can_be_read_while_it_grows(make_store, rows):
    """Before the end, the folder holds what was flushed, and the manifest says how much."""
    store = make_store()
    assert read_trials(store.folder.path).empty
    store.add(rows[:5])
    store.flush()
    store.add(rows[5:7])

    results = study.read(store.folder.path)
    assert results.manifest["state"] == "running"
    assert results.manifest["counts"] == {"cells": 4, "trials": 12, "finished": 5, "failed": 0}
    assert len(results.trials) == 5
    assert len(results.series) == 20
    assert set(results.summary["n"]) <= {0, 1, 2}


def test_rows_do_not_wait_for_more_rows(make_store, rows, monkeypatch):
    """What came in is on disk ten seconds later, though nothing comes after it for an hour."""
    now = [0.0]
    monkeypatch.setattr("study.results.store.monotonic", lambda: now[0])
    store = make_store()
    store.add(rows[:1])
    now[0] = 100.0
    store.add(rows[1:2])
    assert len(read_trials(store.folder.path)) == 2
    store.add(rows[2:3])
    for seconds in (1, 10):
        now[0] += seconds
        store.add([])

    assert len(read_trials(store.folder.path)) == 3
    written = (store.folder.path / "manifest.json").stat().st_mtime_ns
    now[0] += 3600
    store.add([])
    assert (store.folder.path / "manifest.json").stat().st_mtime_ns == written


@pytest.mark.parametrize("parts", ["none", "one", "three", "sorted"])
def test_the_columns_are_those_of_the_table(make_store, rows, parts):
    """Column by column there is what read_trials() gives, sorted, however the rows lie on disk."""
    store = make_store()
    backwards = rows[::-1] if parts != "none" else []
    for some in (backwards[:5], backwards[5:7], backwards[7:]):
        store.add(some)
        if parts == "three":
            store.flush()
    store.flush()
    if parts == "sorted":
        store.close("failed")
    columns, table = TrialColumns(store.folder), read_trials(store.folder)

    assert len(list(store.folder.trials.iterdir())) == {"none": 0, "three": 3}.get(parts, 1)
    assert columns.columns == list(table.columns)
    for name in columns.columns:
        pd.testing.assert_series_equal(
            columns[name], table[name], check_dtype=name != "cell", check_categorical=False
        )
    assert len(columns.finished("seed")) == (table["status"] == "ok").sum()
    assert ("served" in columns) == (parts != "none")


def test_a_table_that_is_sorted_is_not_read_whole(make_store, rows):
    """What is asked for of a finished run comes from the open file, even if that is replaced."""
    store = make_store()
    store.add(rows)
    store.close("failed")
    columns = TrialColumns(store.folder)
    expected = columns["served"]
    (part,) = store.folder.trials.iterdir()
    part.unlink()

    pd.testing.assert_series_equal(columns["served"], expected)


def test_samples_come_some_at_a_time(make_store, rows, monkeypatch):
    """All batches together are the series."""
    monkeypatch.setattr("study.results.read._SAMPLES_AT_ONCE", 7)
    store = make_store()
    store.add(rows)
    store.close("failed")
    batches = list(series_batches(store.folder))

    assert max(map(len, batches)) == 7
    pd.testing.assert_frame_equal(pd.concat(batches, ignore_index=True), read_series(store.folder))


@pytest.mark.parametrize("which", [[], [-1]], ids=["no rows", "failed rows only"])
def test_a_run_without_results_is_readable(make_store, rows, which):
    """Stopped before anything succeeded, the folder still has tables and a summary."""
    store = make_store()
    store.add([rows[index] for index in which])
    store.close("interrupted")

    assert len(pd.read_parquet(store.folder.trials)) == len(which)
    assert len(pd.read_parquet(store.folder.series)) == 0
    assert len(read_trials(store.folder.path)) == len(which)
    assert read_series(store.folder.path).empty
    assert study.read(store.folder.path).summary.empty
    assert store.folder.summary.read_text().startswith("kswapd.policy,nic.mtu,cell,metric,n,")


def test_the_manifest_says_what_made_the_folder(make_store, rows, tiny):
    """The manifest has the resolved scenario, versions, seed, fingerprint, counts and state."""
    store = make_store()
    store.add(rows)
    store.close("failed", elapsed_s=1.23456, headline=[("served", "served")])

    manifest = json.loads((store.folder.path / "manifest.json").read_text())
    assert manifest["state"] == "failed"
    assert manifest["seed"] == 7
    assert manifest["replicates"] == 3
    assert manifest["simulation"] == "0123456789abcdef"
    assert manifest["elapsed_s"] == 1.235
    assert manifest["counts"] == {"cells": 4, "trials": 12, "finished": 12, "failed": 1}
    assert manifest["scenario"]["base"]["nic"]["ring"] == 16
    assert manifest["scenario"]["axes"]["nic.mtu"] == [1500, 9000]
    assert set(manifest["versions"]) >= {"python", "study", "ray", "numba", "numpy", "pandas"}
    assert manifest["created"] <= manifest["finished"]
    assert list(manifest["cells"]) == [cell.id for cell in tiny.cells]
    assert manifest["failures"] == [
        {"cell": rows[-1].cell, "replicate": 2, "error": "ValueError: no"}
    ]


def interrupted(function, line: int) -> int:
    """Call it with Ctrl-C at this line of the store and of what writes its parts; lines it took."""
    seen = 0

    def trace(frame, event, _):
        nonlocal seen
        if not frame.f_code.co_filename.endswith(("results/store.py", "results/noted.py")):
            return None
        if event == "line":
            seen += 1
            if seen == line:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(before)
    return seen


def test_a_flush_that_is_broken_off_is_done_again(make_store, rows):
    """A second signal may come at any moment of a write: no row is lost, and none is there twice.

    Whoever catches it flushes once more, as a run does.
    """
    whole = make_store("whole")
    whole.add(rows[:3])
    whole.flush()
    whole.add(rows[3:])
    lines = interrupted(whole.flush, 0)
    whole.close("failed")
    [expected] = whole.folder.trials.iterdir()

    assert lines > 40
    for line in range(1, lines + 1):
        store = make_store(f"out{line}")
        store.add(rows[:3])
        store.flush()
        store.add(rows[3:])
        assert interrupted(store.flush, line) == line
        store.flush()
        parts = [pd.read_parquet(part) for part in sorted(store.folder.trials.iterdir())]
        assert sorted(map(len, parts)) == [3, len(rows) - 3], line
        if line % 10 == 0:
            store.close("failed")
            [found] = store.folder.trials.iterdir()
            assert found.read_bytes() == expected.read_bytes()
