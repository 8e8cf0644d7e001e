"""Axes that are averaged over: each combination of their levels has a load of its own."""

from __future__ import annotations

import pytest

from study.results.manifest import fingerprint_of, new_manifest
from study.scenario import ScenarioError, load_text
from study.scenario.trial import seed_of

pytestmark = pytest.mark.quick

SCENARIO = """
replicates: 2
seed: 7
axes:
  kswapd.policy: [count-only, order-aware]
  stacks.size: [8KiB, 4KiB]
  nic.transmit: [linear, scatter-gather]
"""


def test_policies_share_a_load_and_nuisance_combinations_do_not() -> None:
    """Four combinations, four seeds, each the same for both policies and in every replicate."""
    study = load_text(SCENARIO + "nuisance: [stacks.size, nic.transmit]\n", "x.yaml")
    seeds: dict[tuple[object, ...], set[int]] = {}
    for trial in study.trials():
        levels = trial.cell.levels
        seeds.setdefault((levels["stacks.size"], levels["nic.transmit"]), set()).add(trial.seed)

    assert study.nuisance == ("stacks.size", "nic.transmit")
    assert {len(found) for found in seeds.values()} == {1}
    assert len(set().union(*seeds.values())) == 4
    assert all(0 <= seed < 2**63 for found in seeds.values() for seed in found)


def test_the_seed_of_a_load_depends_on_names_and_levels_alone() -> None:
    """Not on the order of axes, nor on other axes; and on the study's own seed."""
    levels = {"a": 1, "b": "x", "c": None}

    assert seed_of(7, ("a", "b"), levels) == seed_of(7, ("b", "a"), {"b": "x", "a": 1, "c": 3})
    assert seed_of(7, ("a", "b"), levels) != seed_of(8, ("a", "b"), levels)
    assert seed_of(7, ("a",), levels) != seed_of(7, ("b",), levels)
    assert seed_of(7, (), levels) == 7


def test_a_study_without_nuisance_axes_is_what_it_was() -> None:
    """Its document has no such key, so that its fingerprint stays; with one it is another study."""
    plain = load_text(SCENARIO, "x.yaml")
    other = load_text(SCENARIO + "nuisance: [stacks.size]\n", "x.yaml")

    assert "nuisance" not in plain.document
    assert {trial.seed for trial in plain.trials()} == {7}
    assert fingerprint_of(plain.document, "0") != fingerprint_of(other.document, "0")
    manifest = new_manifest(other, simulation="0" * 16, command=())
    again = load_text(SCENARIO + "nuisance: [stacks.size]\n", "y.yaml")
    assert manifest["scenario"]["nuisance"] == ["stacks.size"]
    assert [t.seed for t in again.trials()] == [t.seed for t in other.trials()]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nuisance: [stack.size]", "did you mean stacks.size?"),
        ("nuisance: stacks.size", "it must be a list of axes"),
        ("nuisance: [stacks.size, stacks.size]", "twice"),
        ("nuisance: [7]", "no axis of this study"),
    ],
)
def test_what_is_no_axis_is_told_at_its_place(text: str, says: str) -> None:
    """File, line and column, and the nearest axis."""
    with pytest.raises(ScenarioError) as told:
        load_text(SCENARIO + text + "\n", "x.yaml")

    assert says in str(told.value)
    assert "x.yaml:8:" in str(told.value)


def test_points_of_a_range_share_their_load() -> None:
    """They are compared with each other: a range is no nuisance axis."""
    with pytest.raises(ScenarioError, match=r"user\.zipf, which is a range"):
        load_text("axes: { user.zipf: { uniform: [0.6, 1.2] } }\nnuisance: [user.zipf]\n", "x.yaml")
