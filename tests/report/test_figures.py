"""The figures as matplotlib has them: what stands in them, on a page and on a phone."""

from __future__ import annotations

import dataclasses
import html
import json
import re
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

import study
from study.report.figures import FIGURES, PAGE, PHONE, draw, house_style
from study.report.figures.curves import along_axes
from study.report.figures.forest import describe_forest, paired_differences
from study.report.figures.policies import compared
from study.report.figures.uptime import FREE, over_time
from study.report.page import render
from study.results.part import read_part
from study.statistics import main_effects


@pytest.fixture
def shown(results, along, name):
    """What a figure by this name is drawn from: results that have something to show in it."""
    return along if name == "curves" else results


def words_of(figure):
    """Everything written in a figure that is shown."""
    found = [text for legend in figure.legends for text in legend.get_texts()]
    for axes in figure.axes:
        if axes.get_visible():
            # Titles stand on the left.
            found += [axes._left_title, *axes.texts]
        if axes.get_visible() and axes.axison:
            found += [axes.xaxis.label, axes.yaxis.label]
            for axis in (axes.xaxis, axes.yaxis):
                low, high = sorted(axis.get_view_interval())
                ticks = axis.get_major_ticks()
                found += [tick.label1 for tick in ticks if low <= tick.get_loc() <= high]
    return [text for text in found if text.get_text() and text.get_visible()]


@pytest.mark.parametrize("sheet", [PAGE, PHONE], ids=["page", "phone"])
@pytest.mark.parametrize("name", FIGURES)
def test_no_words_overlap_or_leave_the_sheet(shown, name, sheet):
    """Titles, labels and legends lie within the figure, and none lies over another."""
    figure = draw(name, shown, sheet)
    with house_style():
        renderer = FigureCanvasAgg(figure).get_renderer()
        figure.draw(renderer)
    whole = figure.bbox.padded(2)
    words = [text.get_window_extent(renderer) for text in words_of(figure)]

    assert words
    for box in words:
        assert whole.x0 <= box.x0
        assert box.x1 <= whole.x1
        assert whole.y0 <= box.y0
        assert box.y1 <= whole.y1
    for one, other in combinations(words, 2):
        assert not one.padded(-1).overlaps(other.padded(-1))


@pytest.mark.parametrize("name", FIGURES)
def test_every_axis_has_a_unit_or_a_name(shown, name):
    """Both axes of each panel are labelled, by themselves or by the panel they share them with."""
    figure = draw(name, shown)
    panels = [axes for axes in figure.axes if axes.get_visible() and axes.axison]
    labels = {axes.get_xlabel() for axes in panels} | {axes.get_ylabel() for axes in panels}
    if name not in ("forest", "success", "zone-map"):
        assert any("(" in label for label in labels)
    assert labels - {""}


def test_many_levels_are_a_curve_with_a_band(along, results):
    """Each metric has a line through the means of all levels, at their values, and a band; the
    forest leaves that axis to it. Where no axis has many levels there is no such figure.
    """
    panels = draw("curves", along).axes
    effects, _ = main_effects(
        along.columns, axis="nic.ring", metrics=["rx_success_ratio"], cells=along.manifest["cells"]
    )

    assert [axes.get_xlabel() for axes in panels] == ["nic.ring"] * len(panels)
    [line] = panels[0].lines
    assert line.get_xdata().tolist() == [4, 8, 16, 24, 48, 96]
    assert line.get_ydata() == pytest.approx([100 * effect.mean for effect in effects])
    assert len(panels[0].collections) == 1
    assert set(paired_differences(along)["axis"]) == {"kswapd.policy"}
    with pytest.raises(study.ResultsError, match="no axis has 5 levels or more"):
        draw("curves", results)
    assert 'id="curves"' in render(along)
    assert 'id="curves"' not in render(results)


def test_an_axis_whose_levels_met_other_settings_is_no_curve(make_findings) -> None:
    """Each level was run under one other setting only, which alone moves what is served."""
    lines = [f"  - {{kswapd.policy: {policy}, nic.ring: {ring}}}"
             for policy, rings in (("count-only", (32, 64, 96)), ("order-aware", (4, 8)))
             for ring in rings]  # fmt: skip
    text = (
        "replicates: 6\naxes:\n  kswapd.policy: [count-only, order-aware]\n"
        "  nic.ring: [4, 8, 32, 64, 96]\nexclude:\n" + "\n".join(lines)
    )

    def found(levels: dict[str, object], replicate: int) -> dict[str, float]:
        served = 0.3 if levels["kswapd.policy"] == "count-only" else 0.8
        return {"rx_success_ratio": served + replicate / 100, "refaults": 1.0}

    with pytest.raises(study.ResultsError, match="run under the same settings"):
        along_axes(make_findings(text, found))


def test_the_forest_goes_from_the_first_level_of_the_scenario(make_findings) -> None:
    """Be its first cell excluded, or the level a null; levels never run alike are not compared."""
    text = (
        "replicates: 8\n"
        "axes: { watermarks.min: [null, 20, 24], nic.mtu: [1500, 9000] }\n"
        "exclude:\n"
        "  - { watermarks.min: null, nic.mtu: 1500 }\n"
        "  - { watermarks.min: 24, nic.mtu: 9000 }\n"
    )

    def found(levels: dict[str, Any], replicate: int) -> dict[str, float]:
        served = {None: 0.4, 20: 0.6, 24: 0.8}[levels["watermarks.min"]] + replicate / 1000
        served += 0.1 if levels["nic.mtu"] == 9000 else 0.0
        return {"rx_success_ratio": served, "reclaimed_pages": 10.0, "refaults": 10.0}

    said = describe_forest(paired_differences(make_findings(text, found)))
    assert "watermarks.min from null to 20: receive buffers served" in said
    assert "nic.mtu from 1500 to 9000: receive buffers served" in said


def test_a_study_without_two_levels_has_no_forest(make_findings) -> None:
    """It is said, and the page is made without it."""
    results = make_findings("replicates: 3", lambda *_: {"rx_success_ratio": 0.5, "refaults": 1.0})

    with pytest.raises(study.ResultsError, match="no two levels to compare"):
        paired_differences(results)


def test_the_trade_off_numbers_its_marks_by_service(along):
    """The marks that matter have a number, best service first; the legend says whose it is."""
    figure = draw("tradeoff", along)
    [legend] = figure.legends
    said = [text.get_text() for text in legend.get_texts()]
    numbered = [text for text in said if text[0].isdigit()]
    table = compared(along).table

    assert [int(text.split()[0]) for text in numbered] == list(range(1, len(table) + 1))
    assert "not grey: none shown is better in all" in said
    for axes in figure.axes:
        marks = sorted(axes.texts, key=lambda text: int(text.get_text()))
        heights = [text.xy[1] for text in marks]
        assert heights == sorted(100 * table["gain"], reverse=True)


def test_numbers_of_marks_that_lie_together_stand_apart(along):
    """Each is read; the marks stay where they are."""
    found = compared(along)
    together = found.table.assign(gain=0.9, pages_taken=2e4, refaults=1e4)
    kind = FIGURES["tradeoff"]
    figure = kind.draw(type(found)(together, found.looks))
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    for axes in figure.axes:
        boxes = [text.get_bbox_patch().get_window_extent(renderer) for text in axes.texts]
        assert len(boxes) == len(together) > 1
        assert {text.xy[1] for text in axes.texts} == {90}
        assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_the_forest_says_its_figures(results):
    """Each row's difference and interval stand in the figure, far ones at an arrow."""
    table = paired_differences(results)
    figure = draw("forest", results)
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]

    assert len(texts) == np.isfinite(table["value"]).sum()
    assert all("[" in text and "]" in text for text in texts)


def test_a_far_difference_does_not_flatten_the_others(results):
    """The axis ends where the near intervals do; what lies beyond is an arrow at its edge."""
    table = paired_differences(results)
    row = table[table["metric"] == "refaults"].iloc[0]
    rows = [
        row.to_dict() | {"axis": f"a{n}", "value": value, "low": value - 1, "high": value + 1}
        for n, value in enumerate((2.0, -3.0, 1.0, 500.0))
    ]
    frame = table.iloc[:0].astype(object)
    for number, each in enumerate(rows):
        frame.loc[number] = each
    figure = FIGURES["forest"].draw(frame)
    [axes] = figure.axes
    arrows = [line for line in axes.lines if line.get_marker() == ">"]

    assert axes.get_xlim()[1] < 10
    assert len(arrows) == 1
    assert arrows[0].get_xdata()[0] < axes.get_xlim()[1]


CURES = """
ranking: cure
replicates: 6
base: { requests: { veth: { order: 3, rate: 10/s } } }
axes:
  cure:
    own: {}
    larger: { vm.min_free_kbytes: 9000 }
    half: { nic.ring: 8 }
    few: { nic.ring: 4 }
    none: { nic.ring: 0 }
"""


def of_cures(levels: dict[str, Any], replicate: int) -> dict[str, float]:
    """Nobody sends to the card; what one level serves differs from replicate to replicate."""
    served = 1.0 if levels["cure"] != "own" else 0.9 + replicate / 1000
    return {
        "rx_success_ratio": float("nan"),
        "request1_served_ratio": served,
        "order3_attempts": 100.0,
        "order3_success_ratio": served,
        "reclaimed_pages": 10.0,
        "refaults": 10.0 + replicate,
    }


def test_figures_are_of_what_was_asked(make_findings):
    """A study of a request by name shows that, no card that nobody sends to; levels that are words
    are rows or dots, not a line.
    """
    results = make_findings(CURES, of_cures)
    table = paired_differences(results)

    assert dict(zip(table["metric"], table["label"], strict=True)) == {
        "request1_served_ratio": "requests of veth served (percentage points)",
        "reclaimed_pages": "pages reclaimed (%)",
        "refaults": "refaults (%)",
    }
    assert len(table) == 4 * 3
    assert "nobody asked" not in [
        text.get_text() for axes in draw("forest", results).axes for text in axes.texts
    ]
    with pytest.raises(study.ResultsError, match="no axis has"):
        along_axes(results)


def test_a_metric_without_a_value_has_no_panel(make_findings):
    """A machine without swap misses no page: nothing is drawn of it."""
    results = make_findings(CURES, lambda *cell: of_cures(*cell) | {"refaults": 0.0})
    table = paired_differences(results)

    assert set(table["metric"]) == {"request1_served_ratio", "reclaimed_pages"}
    assert len([axes for axes in draw("forest", results).axes if axes.get_visible()]) == 2


def test_what_is_alike_in_all_replicates_has_no_bar(make_findings):
    """Its exact bound is none of the share, and would hide how the others differ."""
    [axes] = draw("success", make_findings(CURES, of_cures)).axes
    ends = [path.get_segments()[0] for path in axes.collections]

    assert len(ends) == 1
    assert axes.get_ylim()[0] > 80


def test_a_table_has_no_column_without_a_value_and_no_share_above_all(make_findings):
    """Of the requests that are ranked; 100 % has a bound below it and no half-width around it."""
    text = html.unescape(render(make_findings(CURES, of_cures)))
    table = text[text.index("<table") : text.index("</table>")]

    assert "requests of veth: served (%)" in " ".join(table.split())
    assert "receive buffer requests served" not in table
    assert re.search(r"100\.00<small>≥[0-9.]+</small>", table)
    assert ">-<" not in table


@pytest.mark.parametrize(("nuisance", "said"), [("", False), ("nuisance: [nic.ring]\n", True)])
def test_a_figure_of_nuisance_axes_says_what_is_not_paired(make_findings, nuisance, said):
    """Their levels have loads of their own."""
    text = "replicates: 6\naxes: { kswapd.policy: [count-only, order-aware], nic.ring: [64, 96] }\n"

    def found(_levels: dict[str, Any], replicate: int) -> dict[str, float]:
        return {"rx_success_ratio": 0.5 + replicate / 100, "refaults": 1.0}

    page = render(make_findings(text + nuisance, found))
    assert ("but for levels of nic.ring, of which each has its own" in page) is said
    assert "both met the same load" in page


def test_buddyinfo_is_the_mean_of_the_samples(results):
    """What is drawn over time is the mean over replicates of what the trials wrote down."""
    series = results.series
    for cell, mean in over_time(results).means.items():
        of_cell = series[series["cell"] == cell]
        expected = of_cell.groupby("time_ns")[FREE].mean().iloc[1:]
        assert np.allclose(mean[FREE].to_numpy(), expected.to_numpy())
        assert np.allclose(mean.index, expected.index / 1e9)


def test_figures_over_time_are_of_the_order_that_the_card_asks_for(results):
    """The axis says which; cells stand in the order of the scenario's levels."""
    found = over_time(results)
    figure = FIGURES["indices"].draw(dataclasses.replace(found, order=4))
    ids = list(results.manifest["cells"])

    assert results.columns[f"order{found.order}_attempts"].sum() > 0
    assert figure.axes[0].get_ylabel() == "share useless to order 4"
    assert list(found.means) == sorted(found.means, key=ids.index)


def test_an_index_without_a_value_says_why(results):
    """An empty panel is no riddle: there was no request that would have failed."""
    found = over_time(results)
    none = {cell: mean.assign(extfrag=np.nan) for cell, mean in found.means.items()}
    figure = FIGURES["indices"].draw(dataclasses.replace(found, means=none))
    [text] = figure.axes[1].texts

    assert text.get_text() == "all cells: a request of\norder 6 would be served"
    assert not figure.axes[0].texts


def test_much_free_memory_in_one_panel_does_not_flatten_the_others(results):
    """Panels share a scale while all can be read on it."""
    found = over_time(results)
    first, *others = found.means
    for times, shared in ((2, True), (20, False)):
        means = {first: found.means[first] * times} | dict.fromkeys(others, found.means[first])
        figure = FIGURES["buddyinfo"].draw(dataclasses.replace(found, means=means))
        ends = {axes.get_ylim()[1] for axes in figure.axes if axes.get_visible()}
        assert (len(ends) == 1) is shared


def test_long_runs_are_drawn_with_few_points(copy, exchange):
    """A series of a thousand samples is averaged to a hundred points over the same uptime."""
    results = study.read(copy)
    (part,) = (copy / "series").iterdir()
    first = results.series["time_ns"].max()
    samples = read_part(part)
    at = samples.column_names.index("time_ns")
    exchange(part, pa.concat_tables(
        samples.set_column(at, "time_ns", pc.add(samples.column("time_ns"), n * int(first)))
        for n in range(80)
    ))  # fmt: skip
    for mean in over_time(study.read(copy)).means.values():
        assert 50 < len(mean) <= 100
        assert mean.index.is_monotonic_increasing
        assert mean.index[-1] <= 80 * first / 1e9


def test_a_figure_of_one_replicate_has_no_intervals(copy, exchange):
    """Trials that cannot tell a spread are drawn as marks alone, without a warning."""
    manifest = json.loads((copy / "manifest.json").read_text())
    assert manifest["counts"]["finished"] == 12
    for part in (copy / "trials").iterdir():
        exchange(part, read_part(part).filter(pc.field("replicate") == 0))
    results = study.read(copy)
    for name in ("tradeoff", "success", "forest"):
        assert draw(name, results).axes


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_told_in_words(shown, name):
    """For who cannot see it every figure says its numbers, for each policy or cell it shows."""
    kind = FIGURES[name]
    told = kind.describe(kind.gather(shown))

    assert told.endswith(".")
    assert "nan" not in told
    assert any(letter.isdigit() for letter in told)
    assert ("nic.ring 4 to" if name == "curves" else "order-aware") in told


def test_points_in_ranges_are_not_drawn_as_policies(copy):
    """Of a study that drew its levels the figures by policy say why there is none."""
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["scenario"]["axes"]["slab.rate"] = {"uniform": ["10/s", "20/s"]}
    (copy / "manifest.json").write_text(json.dumps(manifest))

    for name in ("tradeoff", "success"):
        with pytest.raises(study.ResultsError, match="study sensitivity"):
            draw(name, study.read(copy))


def test_long_names_of_levels_are_wrapped(copy, exchange):
    """Rows of the forest and entries of a legend stay on the sheet with names of sixty letters."""
    long = "a-level-with-a-name-that-goes-on-and-on-and-never-ends-at-all"[:60]
    for part in (copy / "trials").iterdir():
        rows = read_part(part)
        at = rows.column_names.index("kswapd.policy")
        renamed = pc.replace_substring(rows.column(at), "order-aware", long)
        exchange(part, rows.set_column(at, rows.schema.field(at), renamed))
    manifest = (copy / "manifest.json").read_text()
    (copy / "manifest.json").write_text(manifest.replace('"order-aware"', f'"{long}"'))
    results = study.read(copy)
    for name in ("forest", "tradeoff", "success"):
        for sheet in (PAGE, PHONE):
            test_no_words_overlap_or_leave_the_sheet(results, name, sheet)
