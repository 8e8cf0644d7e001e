"""What a scenario may claim, and how wrong claims are told."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import Any

import pytest

from study.scenario import Fault, ScenarioError, Stopping, load, load_text
from study.scenario.claims.keys import claim_from_plain
from study.scenario.machine.requests import labels_of
from study.scenario.write import yaml_text
from study.zone.settings import Clock, Memory, Settings
from study.zone.simulate import simulate
from study.zone.trial.metrics import LABELS, METRICS, is_share

HEAD = """
axes:
  kswapd.policy: [count-only, order-aware]
  defrag.mode: [off, rmap-evict]
  nic.mtu: [1500, 9000]
exclude:
  - { defrag.mode: rmap-evict, kswapd.policy: count-only }
"""
CLAIM = """
claims:
  - id: one
    says: A sentence.
    metric: rx_success_ratio
    side: { kswapd.policy: order-aware }
    against: { kswapd.policy: count-only }
    expect: more
    matters: 1%
"""


def test_the_names_of_metrics_are_those_a_trial_has() -> None:
    """Names are known without simulating: they are those simulate() hands back, no more, no less;
    shares lie in [0, 1].
    """
    settings = Settings(
        memory=Memory(pages=4_096, lowmem_pages=4_096, reserved_pages=16),
        clock=Clock(ageing_ns=10**7, measure_ns=10**7, sample_ns=10**7),
    )
    found = simulate(settings, seed=0, replicate=0).metrics

    assert sorted(METRICS) == sorted(found)
    shares = [value for name, value in found.items() if is_share(name) and isfinite(value)]
    assert shares
    assert all(0 <= value <= 1 for value in shares)


def test_sides_are_averaged_over_what_both_were_run_under() -> None:
    """Cells are matched on the axes that are not compared; what one side lacks is left out."""
    study = load_text(HEAD + CLAIM, "x.yaml")
    cells = {cell.id: cell.levels for cell in study.cells}
    (comparison,) = study.claims[0].comparisons(cells)

    assert len(study.cells) == 6
    sides = [{cells[c]["defrag.mode"] for c in w} for w in (comparison.side, comparison.reference)]
    assert sides == [{"off"}, {"off"}]
    assert list(comparison.side.values()) == [0.5, 0.5]


def test_all_that_is_wrong_with_a_claim_is_said_at_once() -> None:
    """A level that is not there is told with what keeps the claim from being one."""
    text = CLAIM.replace("rx_success_ratio", "rx_sucess_ratio").replace("order-aware }", "ordr }")
    with pytest.raises(ScenarioError) as caught:
        load_text(HEAD + text.replace("    matters: 1%\n", ""), "x.yaml")

    told = str(caught.value).splitlines()
    assert len(told) == 3
    assert all("claim one: " in line for line in told)
    assert sum("no level ordr; it has count-only, order-aware" in line for line in told) == 1


def test_claims_change_no_fingerprint_and_survive_the_document() -> None:
    """A claim is read back from the manifest as it was; cells do not depend on it."""
    study = load_text(HEAD + CLAIM, "x.yaml")
    (plain,) = study.document["claims"]

    assert claim_from_plain(plain) == study.claims[0]
    assert [c.id for c in study.cells] == [c.id for c in load_text(HEAD, "x.yaml").cells]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (
            "rx_success_ratio",
            "rx_sucess_ratio",
            (
                "4:5: claim one: metric is rx_sucess_ratio, which is no metric; "
                "did you mean rx_success_ratio?"
            ),
        ),
        (
            "order-aware }",
            "order-awar }",
            (
                "5:13: claim one: kswapd.policy has no level order-awar; "
                "it has count-only, order-aware"
            ),
        ),
        (
            "side: { kswapd.policy",
            "side: { kswapd.polcy",
            "5:13: claim one: kswapd.polcy is no axis of this study; did you mean kswapd.policy?",
        ),
        (
            "expect: more",
            "expect: bigger",
            "7:5: claim one: expect is bigger; allowed are more, less, same",
        ),
        (
            "matters: 1%",
            "matters: -1",
            "8:5: claim one: matters is -1; it must be a number, not negative, or like 10%",
        ),
        ("    matters: 1%\n", "", "2:5: claim one: matters is missing"),
        (
            "says: A sentence.",
            "say: A sentence.",
            "3:5: claim one: say is not a key of a claim; did you mean says?",
        ),
        (
            "{ kswapd.policy: count-only }",
            "{ kswapd.policy: count-only, defrag.mode: rmap-evict }",
            "5:5: claim one: no cell has kswapd.policy count-only, defrag.mode rmap-evict",
        ),
        (
            "{ kswapd.policy: count-only }",
            "{ kswapd.policy: order-aware }",
            "5:5: claim one: kswapd.policy order-aware is compared with itself",
        ),
    ],
)
def test_what_is_wrong_with_a_claim_is_said_where_it_stands(old: str, new: str, fault: str) -> None:
    """Line, column, what was found, what is allowed."""
    text = CLAIM.strip() + "\n" + HEAD
    with pytest.raises(ScenarioError) as caught:
        load_text(text.replace(old, new, 1), "x.yaml")

    assert f"x.yaml:{fault}" in str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("said", "share", "written"),
    [
        ("10%", 0.1, "10%"),
        ("0.5 %", 0.005, "0.5%"),
        ("0.00001%", 1e-7, "0.00001%"),
        ("12.3456789%", 0.123456789, "12.3456789%"),
        ("1000000%", 1e4, "1000000%"),
        ("1e+06%", 1e4, "1000000%"),
        ("9" * 99 + "%", 1e97, "1E+99%"),
        (f"0.{'0' * 90}7%", 7e-93, "7E-91%"),
        ("33.333333333333333333%", 0.3333333333333333, "33.33333333333333%"),
    ],
)
def test_a_margin_in_per_cent_is_read_again_as_it_was(
    said: str, share: float, written: str
) -> None:
    """Whatever its size, also as earlier versions have written it."""
    claim = load_text((HEAD + CLAIM).replace("1%", f'"{said}"'), "x.yaml").claims[0]
    assert (claim.matters, claim.relative) == (share, True)
    assert claim.plain()["matters"] == written
    assert claim_from_plain(claim.plain()) == claim


def test_an_override_may_take_a_claims_cells_away() -> None:
    """An axis that is cut on the command line is no fault of the claim."""
    study = load_text(HEAD + CLAIM, "x.yaml", ["kswapd.policy=count-only"])

    assert study.claims == ()
    assert study.document["claims"] == []
    again = load_text(json.dumps(study.document), "manifest.json")
    assert [cell.id for cell in again.cells] == [cell.id for cell in study.cells]


def test_the_article_claims_what_its_cells_can_answer(root: Path) -> None:
    """Every claim of scenarios/article.yaml finds its cells."""
    study = load(root / "scenarios/article.yaml")
    cells = {cell.id: cell.levels for cell in study.cells}

    assert len(study.claims) >= 15
    assert all(
        comparison.cells for claim in study.claims for comparison in claim.comparisons(cells)
    )


def test_replicates_may_depend_on_what_is_found() -> None:
    """`replicates:` as a rule has a least and a largest number, and looks at doublings."""
    rule = "replicates: { min: 20, max: 100, until: { metric: refaults, half_width: 5 } }"
    study = load_text(rule + HEAD, "x.yaml")

    assert study.replicates == 20
    assert study.stopping == Stopping(20, 100, "refaults", 5.0)
    assert study.stopping.looks() == (20, 40, 80, 100)
    assert Stopping.from_plain(study.document["replicates"]) == study.stopping
    fixed = load_text(rule + HEAD, "x.yaml", ["replicates=3"])
    assert (fixed.replicates, fixed.stopping) == (3, None)


def test_a_rule_may_name_a_request() -> None:
    """By its name, as a claim does; the column is found among the requests that the cells have."""
    rule = """
replicates: { min: 5, max: 20, until: { metric: requests.veth.served, half_width: 0.05 } }
base: { requests: { veth: { order: 3, rate: 1/s }, apache: { order: 1, rate: 1/s } } }
"""
    study = load_text(rule, "x.yaml")

    assert study.stopping == Stopping(5, 20, "request2_served_ratio", 0.05)
    assert study.stopping.said == "requests.veth.served"
    assert load_text(yaml_text(study.document), "again.yaml").stopping == study.stopping
    with pytest.raises(ScenarioError, match="no request of the study is called vet"):
        load_text(rule.replace("requests.veth.", "requests.vet."), "x.yaml")


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ("{ min: 2, until: claims }", "replicates.min is 2; it must be at least 5"),
        ("{ until: claims }", "replicates.until is claims, but there are none"),
        ("{ min: 9, max: 8, until: claims }", "has max 8, below min 9"),
        ("{ until: { metric: refault, half_width: 1 } }", "until.metric is refault, which is no"),
        ("{ until: clams }", "replicates.until is clams; allowed are claims; did you mean claims?"),
        ("{ until: { metric: refaults, half_width: 0 } }", "half_width is 0"),
        ("{ until: { metric: refaults, half_width: 1, axis: nic.mt } }", "did you mean nic.mtu?"),
        ("{ most: 3 }", "most is not a key"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(rule: str, fault: str) -> None:
    """What is wrong with a stopping rule is told like any other fault."""
    with pytest.raises(ScenarioError) as caught:
        load_text(f"replicates: {rule}\n{HEAD}", "x.yaml")

    assert fault in str(caught.value)
    assert all(fault.line == 1 for fault in caught.value.faults)


@pytest.mark.parametrize("name", ["article", "sensitivity"])
def test_a_resolved_scenario_is_a_scenario(root: Path, name: str) -> None:
    """The document in a manifest, whatever the order of its keys, gives the same cells, claims and
    rule: a run can be continued from its folder alone.
    """
    rule = "replicates={min: 6, max: 12, until: {metric: refaults, half_width: 9}}"
    study = load(root / f"scenarios/{name}.yaml", [rule])
    text = json.dumps(study.document, sort_keys=True)
    again = load_text(text, "manifest.json")

    assert {cell.id for cell in again.cells} == {cell.id for cell in study.cells}
    assert (again.claims, again.stopping) == (study.claims, study.stopping)
    assert json.dumps(again.document, sort_keys=True) == text


SPARE: dict[str, Any] = {
    "axes": {"user.zipf": {"uniform": [0.2, 0.9]}, "nic.rx_hold": {"log_uniform": ["1ms", "2ms"]}},
    "sampling": {"design": "sobol", "points": 8},
    "replicates": {"min": 5, "until": {"metric": "refaults", "half_width": 3, "axis": "user.zipf"}},
    "claims": [
        {
            "id": "a",
            "says": "b",
            "metric": {"refaults": 1},
            "where": {},
            "side": {"user.zipf": 1},
            "against": [0.5],
            "baseline": {},
            "share": 0.5,
            "expect": "more",
            "matters": "1%",
        }
    ],
}
JUNK = [
    "null",
    "true",
    "-1",
    ".inf",
    ".nan",
    "1e308",
    '""',
    "x",
    "1%",
    "[]",
    "[[1]]",
    "{}",
    "{a: 1}",
    "[{a: 1}]",
    '"\\UFFFFFFFF"',
    '"\\ud800"',
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of everything in a document."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


@pytest.mark.parametrize("path", list(places(SPARE)), ids=lambda path: ".".join(map(str, path)))
def test_junk_anywhere_is_a_fault_or_fine(path: tuple[Any, ...]) -> None:
    """Whatever stands in the place of any value: a study, or faults that can be read."""
    for junk in JUNK:
        document = copy.deepcopy(SPARE)
        group = document
        for key in path[:-1]:
            group = group[key]
        group[path[-1]] = "JUNK"
        text = json.dumps(document).replace('"JUNK"', junk)
        faults: tuple[Fault, ...] = ()
        try:
            load_text(text, "x.yaml")
        except ScenarioError as error:
            faults = error.faults
        assert all(fault.text.strip() for fault in faults)


NAMED = """
requests:
  wifi: { order: 1, flags: GFP_ATOMIC, rate: 10/s, hold: 5ms }
  dockerd: { order: 6, flags: GFP_KERNEL, rate: 1/min, hold: 10s }
"""


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("requests.dockerd.served", {"request1_served_ratio": 1.0}),
        ("requests.wifi.served_ratio", {"request2_served_ratio": 1.0}),
        (
            "{requests.wifi.waits: 2, requests.dockerd.fallbacks: 1}",
            {"request2_waits": 2.0, "request1_fallbacks": 1.0},
        ),
    ],
)
def test_requests_may_be_claimed_by_their_own_names(said: str, meant: dict[str, float]) -> None:
    """The column is that of the name's place; what is kept names the column."""
    text = HEAD + CLAIM.replace("rx_success_ratio", said) + NAMED

    assert load_text(text, "x.yaml").claims[0].metric == meant


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("requests.x.served", "no request of the study is called x; there are dockerd, wifi"),
        ("requests.dokerd.served", "called dokerd; did you mean dockerd?"),
        ("requests.wifi.servd", "have no metric servd; did you mean served?"),
        ("requests.wifi", "is called requests.NAME.METRIC"),
    ],
)
def test_a_name_that_is_no_request_is_told(said: str, told: str) -> None:
    """With the nearest one; nothing else is taken for it."""
    with pytest.raises(ScenarioError, match=re.escape(told)):
        load_text(HEAD + CLAIM.replace("rx_success_ratio", said) + NAMED, "x.yaml")


BROUGHT = """
axes:
  load:
    alone: { requests.wifi.burst: 2 }
    both: { requests.dockerd.order: 6, requests.dockerd.rate: 1/s, requests.wifi.burst: 3 }
requests:
  wifi: { order: 1, flags: GFP_ATOMIC, rate: 10/s, hold: 5ms }
claims:
  - { id: x, says: x., metric: requests.wifi.served, side: { load: both },
      against: { load: alone }, expect: less, matters: 0.01 }
  - { id: y, says: y., metric: requests.dockerd.waits, side: { load: both }, against: 1,
      expect: more, matters: 0.01 }
"""


def test_a_request_of_some_cells_has_one_column_in_all() -> None:
    """It is known to claims, and moves no other's column; where it is not, it never comes."""
    study = load_text(BROUGHT, "x.yaml")
    of_cell = {cell.levels["load"]: cell.settings.requests for cell in study.cells}

    assert [one.metric for one in study.claims] == [
        {"request2_served_ratio": 1.0},
        {"request1_waits": 1.0},
    ]
    assert {load: [one.name for one in asked] for load, asked in of_cell.items()} == {
        "alone": ["dockerd", "wifi"],
        "both": ["dockerd", "wifi"],
    }
    assert [one.per_s for one in of_cell["alone"]] == [0.0, 10.0]
    assert labels_of(study.document)["request1_waits"] == "requests of dockerd: waits"


def test_what_is_said_of_requests_has_their_names() -> None:
    """In the labels of reports; other metrics keep what they are called."""
    labels = labels_of(load_text(HEAD + NAMED, "x.yaml").document)

    assert labels["request1_served_ratio"] == "requests of dockerd: served"
    assert labels["request2_at_once_ratio"] == "requests of wifi: at once"
    assert labels["rx_success_ratio"] == LABELS["rx_success_ratio"]
