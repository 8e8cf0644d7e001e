"""Service against cost."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from study.results.errors import ResultsError
from study.statistics.tradeoff import FEW, FEWER, NOTHING, among, pareto, tradeoff
from study.terminal.tables import tradeoff_parts

POINTS = st.lists(
    st.tuples(*[st.integers(0, 4)] * 3).map(lambda point: tuple(map(float, point))),
    min_size=1,
    max_size=12,
)


@given(POINTS)
def test_the_front_is_what_nothing_dominates(points: list[tuple[float, ...]]) -> None:
    """Compared pair by pair: first number the more the better, the others the less."""

    def beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
        no_worse = one[0] >= other[0] and all(
            a <= b for a, b in zip(one[1:], other[1:], strict=True)
        )
        return no_worse and one != other

    expected = [not any(beats(other, one) for other in points) for one in points]

    assert pareto(np.array(points)).tolist() == expected
    assert any(expected)


SCENARIO = (
    "replicates: {}\naxes:\n  nic.mtu: [1500, 4000, 9000]\n  nic.receive: [linear, page-array]\n"
)


def metrics(levels: Any, replicate: int) -> dict[str, float]:
    """At 1500 all is served at a cost, at 4000 less for less, at 9000 less for more."""
    served, cost = {1500: (1.0, 300), 4000: (0.9, 100), 9000: (0.8, 400)}[levels["nic.mtu"]]
    noise = np.random.default_rng([replicate, levels["nic.mtu"]]).normal()
    return {
        "rx_success_ratio": served - 0.001 * replicate,
        "reclaimed_pages": cost + noise,
        "moved_pages": 0.0,
        "refaults": cost / 2,
        "time_lost_share": cost / 1000,
    }


def test_a_cell_whose_trials_nearly_all_failed_does_not_decide_for_the_others(
    make_findings,
) -> None:
    """The one replicate that it has is the only one in which the worse cell served more."""

    def found(levels: Any, replicate: int) -> dict[str, float] | None:
        mtu = levels["nic.mtu"]
        if mtu == 9000 and replicate != 7:
            return None
        served, cost = {1500: (0.4, 2_000), 4000: (0.8, 1_000), 9000: (0.3, 3_000)}[mtu]
        if replicate == 7 and mtu == 1500:
            served = 0.95
        return {"rx_success_ratio": served, "reclaimed_pages": cost + replicate, "moved_pages": 0.0,
                "refaults": cost / 2}  # fmt: skip

    text = "replicates: 20\naxes:\n  nic.mtu: [1500, 4000, 9000]\n"
    table = make_findings(text, found).tradeoff.set_index("nic.mtu")
    assert table["front"].to_dict() == {1500: False, 4000: True, 9000: False}
    assert table.loc[9000, "note"] == FEWER


def test_the_front_comes_with_its_certainty(make_findings, capsys) -> None:
    """Cells on the front are shown once with those that are alike, dominated ones left out."""
    findings = make_findings(SCENARIO.format(6), metrics)
    table = findings.tradeoff
    front = dict(zip(table["nic.mtu"], table["front"], strict=True))

    assert front == {1500: True, 4000: True, 9000: False}
    assert table.loc[table["nic.mtu"] == 4000, "on_front"].tolist() == [1.0, 1.0]
    assert table.loc[table["nic.mtu"] == 9000, "on_front"].tolist() == [0.0, 0.0]
    assert ((table["gain_low"] <= table["gain"]) & (table["gain"] <= table["gain_high"])).all()
    capsys.readouterr()
    for part in tradeoff_parts(table, ["nic.mtu", "nic.receive"]):
        Console(width=80, force_terminal=False).print(part)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "nic.mtu, nic.receive"
    assert lines[2].startswith("1500, linear (and 1 alike)")
    assert all(len(line) <= 80 for line in lines)


def test_a_cell_is_beaten_only_if_it_is_worse_in_everything() -> None:
    """Of 200 studies of two cells that are alike at most 2 call one beaten; one that is far
    worse in everything is beaten in three of four, one that is better in something never.
    """
    cells: dict[str, dict[str, Any]] = {"a": {"x": 0}, "b": {"x": 1}}
    chance = np.random.default_rng(2)

    def beaten(worse: tuple[float, float, float]) -> bool:
        noise = chance.normal(0, 1, (2, 10, 3))
        served, taken, refaults = (
            noise[1].T - np.array([1, -1, -1])[:, None] * np.array(worse)[:, None]
        )
        first = noise[0].T
        rows = [
            (cell, replicate, 1, "ok", "", *(float(part[replicate]) for part in parts), 0.0)
            for cell, parts in (("a", first), ("b", (served, taken, refaults)))
            for replicate in range(10)
        ]
        names = ["cell", "replicate", "seed", "status", "error"]
        sums = ["rx_success_ratio", "reclaimed_pages", "refaults", "moved_pages"]
        table = tradeoff(pd.DataFrame(rows, columns=[*names, *sums]), cells, draws=10)
        assert table["beaten_by"].iloc[0] == ""
        return bool(table["beaten_by"].iloc[1] == "a")

    assert sum(beaten((0, 0, 0)) for _ in range(200)) <= 2
    assert sum(beaten((4, 4, 4)) for _ in range(40)) >= 30
    assert sum(beaten((4, 4, -4)) for _ in range(40)) == 0


@pytest.mark.parametrize(("replicates", "note"), [(1, FEW), (3, "")])
def test_one_replicate_has_a_front_without_certainty(
    make_findings, replicates: int, note: str
) -> None:
    """Means are compared, and the note says that there is no interval."""
    table = make_findings(SCENARIO.format(replicates), metrics).tradeoff

    assert set(table["note"]) == {note}
    assert table["on_front"].isna().all() == (replicates == 1)
    assert table["front"].any()


def test_cells_without_a_value_are_named(make_findings) -> None:
    """A cell that never served or never asked is no part of the front, and says so."""

    def partly(levels: Any, replicate: int) -> dict[str, float]:
        found = metrics(levels, replicate)
        return found | ({"rx_success_ratio": float("nan")} if levels["nic.mtu"] == 1500 else {})

    findings = make_findings(SCENARIO.format(3), partly)
    table = findings.tradeoff

    assert set(table.loc[table["nic.mtu"] == 1500, "note"]) == {NOTHING}
    assert not table.loc[table["nic.mtu"] == 1500, "front"].any()
    assert table.loc[table["nic.mtu"] == 4000, "front"].all()
    assert len(among(findings, ["nic.mtu=9000"])) == 2
    with pytest.raises(ResultsError, match=r"nic\.mtu has no level 7; it has 1500, 4000, 9000"):
        among(findings, ["nic.mtu=7"])
    with pytest.raises(ResultsError, match=r"did you mean nic\.mtu\?"):
        among(findings, ["nic.mtv=1500"])
    with pytest.raises(ResultsError, match=r"no cell with nic\.mtu=1500 and nic\.mtu=9000"):
        among(findings, ["nic.mtu=1500", "nic.mtu=9000"])
    with pytest.raises(ResultsError, match="no key=level"):
        among(findings, ["nic.mtu"])
    assert len(list(itertools.chain(tradeoff_parts(table, ["nic.mtu"], everything=True)))) > 6
