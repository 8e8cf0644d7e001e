"""The numbers people read."""

import math
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from scipy import stats

import study
from study.results.summary import (
    ALL_EQUAL,
    FEW,
    NO_TRIAL,
    NO_VALUE,
    ONE_VALUE,
    SKEWED,
    TOO_LARGE,
    summarise,
)
from study.statistics import main_effects
from study.statistics.words import with_half
from study.terminal.tables import result_parts

pytestmark = pytest.mark.quick

FLOATS = st.floats(allow_nan=True, allow_infinity=True)


def frame(cells: dict[str, list[float]], failed: dict[str, int] | None = None) -> pd.DataFrame:
    """A trials table with one metric, m."""
    rows = [
        (cell, replicate, 1, "ok", "", value)
        for cell, values in cells.items()
        for replicate, value in enumerate(values)
    ]
    for cell, count in (failed or {}).items():
        rows += [(cell, 100 + n, 1, "failed", "ValueError: no", math.nan) for n in range(count)]
    return pd.DataFrame(rows, columns=["cell", "replicate", "seed", "status", "error", "m"])


def only(trials: pd.DataFrame, *cells: str) -> pd.Series:
    """The summary's only row."""
    table = summarise(trials, cells={cell: {} for cell in cells})
    assert len(table) == len(cells)
    return table.iloc[0]


def test_the_interval_is_students():
    """Of values that lie evenly mean, deviation and interval are what scipy's t gives."""
    values = [1.0, 2.5, 3.5, 5.0]
    row = only(frame({"a": values}), "a")
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))

    assert row["n"] == 4
    assert row["mean"] == pytest.approx(np.mean(values))
    assert row["sd"] == pytest.approx(np.std(values, ddof=1))
    assert (row["low"], row["high"]) == pytest.approx((low, high))
    assert row["note"] == ""


@pytest.mark.parametrize(
    ("values", "failed", "n", "mean", "sd", "note"),
    [
        ([], 0, 0, None, None, NO_TRIAL),
        ([], 3, 0, None, None, NO_TRIAL),
        ([math.nan] * 2, 0, 0, None, None, NO_VALUE),
        ([5.0], 0, 1, 5.0, None, ONE_VALUE),
        ([5.0, math.nan], 0, 1, 5.0, None, f"{ONE_VALUE}; 1 of 2 trials have no value"),
        ([0.1] * 3, 0, 3, 0.1, 0.0, ALL_EQUAL),
        ([1.0, 2.0, math.inf], 0, 2, 1.5, 0.5**0.5, "1 of 3 trials have no value"),
        ([1e308, -1e308], 0, 2, 0.0, None, TOO_LARGE),
        ([1.0, 3.0], 2, 2, 2.0, 2**0.5, ""),
        ([1.0, 1.0, 1.0, 3.0], 0, 4, 1.5, 1.0, FEW),
        ([1.0, 1.1, 1.2, 1.3, 9.0], 0, 5, 2.72, 3.512406582387637, SKEWED),
    ],
)
def test_thin_cells_are_summarised_without_fuss(values, failed, n, mean, sd, note):
    """Where there is no interval to give, the fields are empty and the note says why."""
    row = only(frame({"a": values}, {"a": failed}), "a")

    assert row["n"] == n
    assert row["failed"] == failed
    assert row["note"] == note
    for field, expected in (("mean", mean), ("sd", sd)):
        if expected is None:
            assert math.isnan(row[field])
        else:
            assert row[field] == pytest.approx(expected)
    assert math.isnan(row["low"]) == (sd is None)


@given(st.lists(st.lists(FLOATS, max_size=6), min_size=1, max_size=4))
def test_any_numbers_have_a_summary(cells):
    """Whatever the metrics are, there is one row per cell, in order, and no warning."""
    values = {f"c{index}": list(found) for index, found in enumerate(cells)}
    table = summarise(frame(values), cells={cell: {} for cell in values})

    assert table["cell"].tolist() == list(values)
    for row, found in zip(table.itertuples(), values.values(), strict=True):
        finite = [value for value in found if math.isfinite(value)]
        assert row.n == len(finite)
        assert bool(row.note) or (
            row.low <= row.mean + 1e-12 * abs(row.mean)
            and row.mean <= row.high + 1e-12 * abs(row.mean)
        )


def test_the_file_and_the_frame_agree(make_store, rows):
    """summary.csv read by plain pandas is what Results.summary holds."""
    store = make_store()
    store.add(rows)
    store.close("failed")

    csv = pd.read_csv(store.folder.summary)
    held = study.read(store.folder.path).summary
    pd.testing.assert_frame_equal(csv.fillna({"note": ""}), held, check_dtype=False, rtol=1e-14)
    assert list(csv.columns) == [
        *("kswapd.policy", "nic.mtu", "cell", "metric"),
        *("n", "mean", "sd", "low", "high", "failed", "note"),
    ]
    assert len(csv) == 4 * 4


def test_an_axis_is_compared_like_with_like(make_store, rows):
    """The effect of an axis is the mean over matched cells, its interval that of paired ones."""
    store = make_store()
    store.add(rows)
    store.close("failed")
    effects, matched = main_effects(
        study.read(store.folder.path).trials,
        axis="kswapd.policy",
        metrics=["served", "same", "absent"],
        cells=store.folder.manifest["cells"],
    )
    found = {(effect.metric, effect.level): effect for effect in effects}

    assert matched == 2
    first, second = found["served", "count-only"], found["served", "order-aware"]
    assert first.mean == pytest.approx(1.1)
    # The last replicate of one cell failed: that replicate is not compared.
    assert second.mean == pytest.approx(1.55)
    assert second.difference == pytest.approx(0.5)
    assert (second.difference_low, second.difference_high) == pytest.approx((0.5, 0.5))
    assert second.replicates == 2
    assert math.isnan(found["absent", "order-aware"].mean)


def test_an_excluded_combination_does_not_confound():
    """A level that was run under fewer settings is compared under just those."""
    cells = {
        "a": {"mode": "off", "run": "inline"},
        "b": {"mode": "evict", "run": "inline"},
        "c": {"mode": "evict", "run": "daemon"},
    }
    trials = frame({"a": [1.0, 2.0], "b": [1.0, 2.0], "c": [100.0, 200.0]})

    mode, matched = main_effects(trials, axis="mode", metrics=["m"], cells=cells)
    run, _ = main_effects(trials, axis="run", metrics=["m"], cells=cells)

    assert matched == 1
    assert [effect.mean for effect in mode] == [1.5, 1.5]
    assert [effect.mean for effect in run] == [1.5, 150.0]


@pytest.mark.parametrize(
    ("mean", "half", "text"),
    [
        (0.64221, 0.0029, "0.6422 ±0.0029"),
        (20_831.0, 2_290.0, "20.8k ±2.3k"),
        (1.0, 4.5e-7, "1.0000 ±<0.0001"),
        (0.0, 0.0, "0 ±0"),
        (760.0, math.nan, "760"),
        (math.nan, math.nan, "-"),
        (1_234_567.0, 12.0, "1.2346M ±<0.0001M"),
        (-5.5, 1.0, "-5.5 ±1.0"),
    ],
)
def test_numbers_are_short(mean, half, text):
    """A mean and its half-width share unit and decimals."""
    assert with_half(mean, half=half) == text


def shown(store) -> str:
    """The tables of a run, in 80 columns."""
    console = Console(width=80, force_terminal=False)
    with console.capture() as captured:
        console.print(*result_parts(study.read(store.folder.path)), sep="\n")
    return captured.get()


def test_the_tables_fit_a_terminal(make_store, rows):
    """Shown in 80 columns no line is longer, and markup in a question is just text."""
    store = make_store()
    store.folder.manifest["question"] = "[red]Is[/red] it " + "long " * 30
    store.add(rows)
    store.close("failed", headline=[("served", "requests of order 3 that were served at once")])

    text = shown(store)

    assert all(len(line.rstrip()) <= 80 for line in text.splitlines())
    assert "[red]Is[/red] it" in text
    assert re.search(r"kswapd\.policy +\(2 matched cells each\)", text)
    assert "1 of 12 trials failed" in text
    assert "ValueError: no" in text


def test_what_never_happened_is_said_once(make_store, rows):
    """A headline metric that is zero everywhere is a word below the tables, not a row in each."""
    store = make_store()
    drops = [replace(row, metrics={**row.metrics, "drops": 0.0}) for row in rows[:-1]]
    store.add(drops)
    store.close("complete", headline=[("served", "served"), ("drops", "dropped")])

    text = shown(store)

    assert "Nowhere: dropped." in text
    assert text.count("dropped") == 1
    assert text.count("served") == 2
