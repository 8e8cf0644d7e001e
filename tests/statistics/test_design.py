"""What a study need not run, what it may average over, and rows of loads that are not mixed."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from study.cli import main
from study.results.columns import trials_table
from study.results.expected import Expected, NotOfTheStudy
from study.results.manifest import new_manifest
from study.scenario import load, load_text
from study.statistics.design import Split, advise, is_count, propose, split
from study.statistics.measured import Measured

SCENARIO = """
replicates: 20
axes:
  kswapd.policy: [count-only, order-aware]
  stacks.size: [8KiB, 4KiB]
  nic.transmit: [linear, scatter-gather]
  nic.receive: [linear, page-array]
claims:
  - id: served
    says: More is served.
    metric: rx_success_ratio
    where: { nic.receive: linear }
    side: { kswapd.policy: order-aware }
    against: { kswapd.policy: count-only }
    expect: more
    matters: 0.01
  - id: stacks
    says: Small stacks serve more.
    metric: rx_success_ratio
    where: { nic.receive: linear }
    side: { stacks.size: 4KiB }
    against: { stacks.size: 8KiB }
    expect: more
    matters: 0.01
"""


def test_cells_and_axes_that_no_claim_needs_are_proposed() -> None:
    """Half of the cells are in no claim; the one axis that is neither compared nor a policy is
    left.
    """
    found = propose(load_text(SCENARIO, "x.yaml"), is_policy="kswapd.policy".__eq__)

    assert found is not None
    assert (found.cells, found.needed, found.fewer_cells) == (16, 8, 2.0)
    assert (found.nuisance, found.loads) == (("nic.transmit",), 2)
    plain = load_text(SCENARIO.split("claims", maxsplit=1)[0], "x.yaml")
    assert propose(plain, is_policy=lambda _: False) is None


def test_the_plan_tells_them(tmp_path) -> None:
    """In words, and in the JSON."""
    path = tmp_path / "mine.yaml"
    path.write_text(SCENARIO)
    told = CliRunner().invoke(main, ["plan", str(path), "--calibrate", "0"])
    plain = CliRunner().invoke(main, ["plan", str(path), "--calibrate", "0", "--json"])

    assert told.exit_code == 0, told.output
    words = " ".join(told.output.split())
    assert "8 of 16 cells are needed by no claim: without them the claims take 2 times" in words
    assert "nuisance: [nic.transmit] would give each of 2 combinations" in words
    assert json.loads(plain.output)["proposal"]["nuisance"] == ["nic.transmit"]
    refused = CliRunner().invoke(
        main, ["plan", str(path), "--calibrate", "0", "--pilot", str(tmp_path)]
    )
    assert refused.exit_code == 2
    assert "is not a results folder" in refused.output


def test_the_articles_load_axes_are_proposed(root) -> None:
    """Those that its claims on service average over; cells of claims by construction are needed."""
    found = propose(load(root / "scenarios/article.yaml"), is_policy=lambda _: False)

    assert found is not None
    assert found.needed <= found.cells


def loaded(levels: Any, replicate: int, *, own: bool) -> dict[str, float]:
    """What all cells of a load share, and a little of their own."""
    where = [replicate]
    if own:
        where += [levels["stacks.size"] == "4KiB", levels["nic.transmit"] == "linear"]
    common = np.random.default_rng(where).normal()
    policy = levels["kswapd.policy"] == "order-aware"
    served = 0.8 + 0.02 * policy * (1 + common)
    return {"rx_success_ratio": float(np.clip(served, 0, 1)), "refaults": 100 + common}


def test_a_load_each_makes_averages_surer_and_what_compares_them_says_so(make_findings) -> None:
    """The mean of four loads scatters half as much as that of one; a claim on an axis whose levels
    met other loads says that it is not paired, a claim within loads does not.
    """
    axes = SCENARIO + "nuisance: [stacks.size, nic.transmit]\n"
    shared = make_findings(SCENARIO, lambda *a: loaded(*a, own=False), name="shared")
    own = make_findings(axes, lambda *a: loaded(*a, own=True), name="own")
    first, second = shared.judged(), own.judged()

    ratio = (first[0].high - first[0].low) / (second[0].high - second[0].low)
    assert ratio == pytest.approx(2, abs=0.7)
    assert "not paired" not in second[0].note
    assert "not paired" in second[1].note
    assert not any("not paired" in one.note for one in first)
    table = own.contrasts
    apart = table["note"].str.contains("not paired")
    assert set(table.loc[apart, "axis"]) == {"stacks.size", "nic.transmit"}


def test_rows_of_another_load_are_none_of_a_cell() -> None:
    """A row whose seed is that of another combination is refused, though its study has that
    seed.
    """
    study = load_text(SCENARIO + "nuisance: [stacks.size]\n", "x.yaml")
    expected = Expected.of(new_manifest(study, simulation="0" * 16, command=()))
    trials = list(study.trials())
    one, other = trials[0], next(t for t in trials if t.seed != trials[0].seed)

    expected.check_rows(rows_of(expected, one.cell, one.seed))
    with pytest.raises(NotOfTheStudy, match="that of another load"):
        expected.check_rows(rows_of(expected, one.cell, other.seed))
    with pytest.raises(NotOfTheStudy, match="its seed is"):
        expected.check_rows(rows_of(expected, one.cell, 1))


def rows_of(expected: Expected, cell: Any, seed: int) -> Any:
    from study.fanout import Row

    row = Row(cell.id, cell.levels, 0, seed, "ok", metrics={"rx_success_ratio": 1.0})
    return trials_table([row], expected.axes, ["rx_success_ratio"])


def test_the_variance_splits_as_it_was_made() -> None:
    """From two lengths exactly, from three by least squares, and never below nothing."""
    made = Split(between=2.0, within=30.0)

    found = split([60, 240], [made.variance(60), made.variance(240)])
    assert (found.between, found.within) == pytest.approx((2.0, 30.0))
    averaging = split([60, 240], [4.0, 0.9])
    assert averaging.between == 0
    assert averaging.variance(120) == pytest.approx(averaging.variance(240) * 2)
    assert split([60, 240], [1.0, 1.2]).within == 0


def pilot(measure_s: float, *, between: float, within: float, seed: int) -> Measured:
    """Rows whose served share differs by 0.05, with a deviation that hangs on the window."""
    study = load_text(SCENARIO, "x.yaml")
    chance = np.random.default_rng(seed)
    spread = np.sqrt(between + within / measure_s)
    rows = []
    for trial in study.trials({cell.id: 200 for cell in study.cells}):
        served = 0.8 + 0.05 * (trial.cell.levels["kswapd.policy"] == "order-aware")
        served += 0.05 * (trial.cell.levels["stacks.size"] == "4KiB")
        served += chance.normal(0, spread)
        rows.append((trial.cell.id, trial.replicate, 1, "ok", "", served))
    names = ["cell", "replicate", "seed", "status", "error", "rx_success_ratio"]
    cells = {cell.id: cell.levels for cell in study.cells}
    return Measured(pd.DataFrame(rows, columns=names), cells)


def test_a_longer_window_is_advised_where_it_averages_out() -> None:
    """Where all variance is within a trial and ageing takes 240 s, longer than 60 s by far; where
    all is between trials, the window is as good as any shorter one.
    """
    claims = load_text(SCENARIO, "x.yaml").claims
    averaging = {m: pilot(m, between=0, within=3.0, seed=1) for m in (60.0, 240.0)}
    apart = {m: pilot(m, between=0.05, within=0, seed=1) for m in (60.0, 240.0)}

    found = advise(averaging, claims, ageing_s=240, now_s=60)
    assert found is not None
    assert found.measure_s > 200
    assert found.factor > 2.5
    assert found.left_out == ()
    assert max(found.between.values()) < 0.3
    other = advise(apart, claims, ageing_s=240, now_s=60)
    assert other is not None
    assert other.factor < 1.3
    assert min(other.between.values()) > 0.7


COUNTED = """
axes:
  kswapd.policy: [count-only, order-aware]
claims:
  - id: fewer
    says: It reclaims fewer pages.
    metric: reclaimed_pages
    side: { kswapd.policy: order-aware }
    against: { kswapd.policy: count-only }
    expect: less
    matters: MATTERS
"""


def counted(measure_s: float, *, within: float, seed: int) -> Measured:
    """Rows with 1,000 pages a minute, or 50 fewer, whose rate scatters less in a longer window."""
    study = load_text(COUNTED.replace("MATTERS", "0"), "x.yaml")
    chance = np.random.default_rng(seed)
    rows = []
    for trial in study.trials({cell.id: 200 for cell in study.cells}):
        rate = 1_000 - 50 * (trial.cell.levels["kswapd.policy"] == "order-aware")
        pages = measure_s / 60 * (rate + chance.normal(0, np.sqrt(within / measure_s)))
        rows.append((trial.cell.id, trial.replicate, 1, "ok", "", pages))
    names = ["cell", "replicate", "seed", "status", "error", "reclaimed_pages"]
    return Measured(
        pd.DataFrame(rows, columns=names), {cell.id: cell.levels for cell in study.cells}
    )


@pytest.mark.parametrize("matters", ["20", "2%"])
def test_counts_are_advised_on_as_those_of_the_scenarios_own_window(matters: str) -> None:
    """A margin of 20 pages a minute, or of 2 %, is four times as many pages in four minutes: the
    longer window is better by what averages out, and no better by being longer.
    """
    claims = load_text(COUNTED.replace("MATTERS", matters), "x.yaml").claims
    pilots = {m: counted(m, within=5e6, seed=3) for m in (60.0, 240.0)}

    found = advise(pilots, claims, ageing_s=240, now_s=60)
    assert found is not None
    assert found.left_out == ()
    assert found.measure_s > 200
    assert 2.5 < found.factor < 6
    assert found.between["fewer"] < 0.3


def test_what_counts_is_known_by_its_declaration() -> None:
    """Events and pages grow with the window; shares, means, ends and pages per block do not."""
    counts = ("reclaimed_pages", "refaults", "rx_failures", "order3_attempts", "moved_pages")
    others = ("rx_success_ratio", "free_pages_mean", "reserved_pages_end", "highalloc_rest_ratio")
    others += ("defrag_pages_per_block", "extfrag_index_order3_mean", "stack_stall_mean_ms")

    assert all(map(is_count, counts))
    assert not any(map(is_count, others))
