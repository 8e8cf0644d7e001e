"""A recorded load in a scenario: found, crossed with axes, and part of what the study is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from study.fanout.trial import run_trial
from study.results.manifest import fingerprint_of, study_of
from study.scenario import ScenarioError, load, load_text
from study.zone.settings import Resample
from tests.replay.test_demand import EVENTS, columns, ftrace

SCENARIO = """
extends: workload/none
base:
  zone: { memory: 16MiB, reserved: 256KiB }
  clock: { ageing: 0s, measure: 100ms, sample: 50ms }
  load: { trace: trace_few.npz, block: 2ms }
axes:
  kswapd.policy: [count-only, order-aware]
replicates: 2
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    """A scenario beside a trace."""
    columns(tmp_path / "trace_few.npz")
    path = tmp_path / "what-if.yaml"
    path.write_text(SCENARIO)
    return path


def few(path: Path) -> None:
    """Another trace than that of `scenario`: its first rows."""
    with np.load(columns(path)) as file:
        whole = {name: file[name] for name in file.files}
    np.savez_compressed(path, **{name: column[:4] for name, column in whole.items()})


def test_a_trace_beside_the_scenario_is_its_load(scenario: Path) -> None:
    """It is read by name, is the same in all cells, and every trial meets its requests."""
    study = load(scenario)
    loads = [cell.settings.load for cell in study.cells]

    assert len(loads) == 2
    assert loads[0].trace == loads[1].trace
    assert loads[0].trace is not None
    assert loads[0].trace.nr_requests == 5
    assert loads[0].replicates == Resample.BLOCKS
    row = run_trial(next(study.trials()))
    assert row.error == ""
    assert row.metrics["trace_attempts"] > 20


def test_a_resolved_scenario_needs_no_file(scenario: Path, tmp_path: Path) -> None:
    """What a manifest holds makes the same cells when the trace is gone, on any machine."""
    study = load(scenario)
    (tmp_path / "trace_few.npz").unlink()
    sent = json.loads(json.dumps(study.document))
    again = study_of(sent, "elsewhere")

    assert [cell.id for cell in again.cells] == [cell.id for cell in study.cells]
    assert again.document == study.document
    assert again.cells[0].settings.load.trace.packed == study.cells[0].settings.load.trace.packed  # type: ignore[union-attr]


def test_a_changed_trace_is_another_study(scenario: Path, tmp_path: Path) -> None:
    """One request later by a microsecond: other cells, another fingerprint."""
    before = load(scenario)
    text = "".join(ftrace(*event) for event in EVENTS)
    (tmp_path / "trace_few.npz").unlink()
    scenario.write_text(SCENARIO.replace(".npz", ".txt"))
    (tmp_path / "trace_few.txt").write_text(text)
    same = load(scenario)
    (tmp_path / "trace_few.txt").write_text(text.replace("0.003000", "0.003001"))
    other = load(scenario)

    assert {cell.id for cell in same.cells} == {cell.id for cell in before.cells}
    assert {cell.id for cell in other.cells}.isdisjoint({cell.id for cell in same.cells})
    assert fingerprint_of(other.document, "") != fingerprint_of(same.document, "")


def test_how_it_was_packed_is_no_part_of_the_study(scenario: Path) -> None:
    """The digest of the content counts, not the bytes that a compressor made of it."""
    document = load(scenario).document
    held = [entry | {"packed": "other"} for entry in document["recordings"]]

    assert fingerprint_of(document | {"recordings": held}, "") == fingerprint_of(document, "")
    held = [entry | {"digest": "other"} for entry in document["recordings"]]
    assert fingerprint_of(document | {"recordings": held}, "") != fingerprint_of(document, "")


def test_several_traces_can_be_levels(scenario: Path, tmp_path: Path) -> None:
    """An axis of traces: each cell has its own, and the document holds all of them."""
    (tmp_path / "b.txt").write_text("".join(ftrace(*event) for event in EVENTS[:9]))
    scenario.write_text(
        SCENARIO.replace("axes:\n", "axes:\n  load.trace: [trace_few.npz, b.txt]\n").replace(
            "trace: trace_few.npz, ", ""
        )
    )
    study = load(scenario)

    digests = {cell.levels["load.trace"]: cell.settings.load.trace for cell in study.cells}
    assert digests["b.txt"] != digests["trace_few.npz"]
    assert [entry["name"] for entry in study.document["recordings"]] == ["b.txt", "trace_few.npz"]


def test_without_a_recording_nothing_is_held(scenario: Path) -> None:
    """A scenario without a recorded load has no such section when it is resolved."""
    scenario.write_text(SCENARIO.replace("  load: { trace: trace_few.npz, block: 2ms }\n", ""))

    assert "recordings" not in load(scenario).document


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("none.npz", r"load\.trace is none\.npz: .*none\.npz: No such file"),
        ("what-if.yaml", r"load\.trace is what-if\.yaml: .*no request in it"),
        ("3", r"load\.trace is 3; it must be the name of a trace's file"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(scenario: Path, name: str, told: str) -> None:
    """File, line, key and what is wrong, as for any other setting."""
    scenario.write_text(SCENARIO.replace("trace_few.npz", name))
    with pytest.raises(ScenarioError, match=rf"what-if\.yaml:6:\d+: {told}"):
        load(scenario)


@pytest.mark.parametrize(
    "told",
    [
        "base: { load.trace: a.npz }",
        "base: { load: { trace: a.npz } }",
        "axes: { load.trace: [a.npz] }",
        "axes: { day: { quiet: { load: { trace: a.npz } } } }",
    ],
)
def test_a_trace_lies_beside_the_file_that_names_it(scenario: Path, told: str) -> None:
    """As profiles and what is extended do, whatever lies beside the file that extends it."""
    inner = scenario.parent / "inner"
    inner.mkdir()
    few(inner / "a.npz")
    columns(scenario.parent / "a.npz")
    (inner / "base.yaml").write_text(f"extends: workload/none\n{told}\n")
    scenario.write_text("extends: inner/base.yaml\n")

    (found,) = load(scenario).document["recordings"]
    (own,) = load(inner / "base.yaml").document["recordings"]
    assert found == own

    (inner / "a.npz").unlink()
    with pytest.raises(ScenarioError, match=r"load\.trace is a\.npz: .*No such file"):
        load(scenario)


def test_two_traces_of_one_name_are_told(scenario: Path) -> None:
    """Levels are called by their names, so that neither is taken for the other."""
    inner = scenario.parent / "inner"
    inner.mkdir()
    few(inner / "trace_few.npz")
    (inner / "base.yaml").write_text("base: { load.trace: trace_few.npz }\n")
    scenario.write_text(SCENARIO.replace("workload/none", "[workload/none, inner/base.yaml]"))
    with pytest.raises(ScenarioError, match=r"names two files .*inner/trace_few\.npz"):
        load(scenario)


def test_a_text_from_somebody_else_reads_no_file(scenario: Path, monkeypatch) -> None:
    """Where a scenario came as text, as in a manifest, a name alone is refused."""
    monkeypatch.chdir(scenario.parent)
    with pytest.raises(ScenarioError, match="nothing stands under recordings"):
        load_text(SCENARIO, "manifest.json")


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"packed": "%%"}, "whose recording"),
        ({"packed": "AAAA"}, "damaged"),
        ({"digest": "0" * 32}, "digest"),
        ({"more": "x"}, "has the keys name, digest and packed"),
        ({"name": 3}, "are text"),
    ],
)
def test_a_damaged_recording_is_told(scenario: Path, entry: dict[str, object], told: str) -> None:
    """Whatever was done to what a manifest holds, the answer is a sentence."""
    document = json.loads(json.dumps(load(scenario).document))
    document["recordings"][0] |= entry
    with pytest.raises(ScenarioError, match=told):
        load_text(json.dumps(document), "manifest.json")


def test_settings_of_a_load_that_is_not_there_are_told(scenario: Path) -> None:
    """An override that would change nothing is refused with the reason."""
    scenario.write_text(SCENARIO.replace("  load: { trace: trace_few.npz, block: 2ms }\n", ""))
    with pytest.raises(ScenarioError, match=r"there is no load\.trace"):
        load(scenario, ["load.block=1s"])
