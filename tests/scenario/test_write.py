"""Scenarios written as YAML: the same when they are read again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.results import ResultsError
from study.results.manifest import check_reads_back
from study.runs.run import run_study
from study.scenario import load, load_text
from study.scenario.read import read_text
from study.scenario.write import yaml_text

LEAVES = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=20)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abcdef.-", min_size=1, max_size=8), inner, max_size=3)
    ),
    max_leaves=12,
)


def plain(text: str):
    return read_text(text, "x.yaml").value


@given(value=st.dictionaries(st.text("abcdef", min_size=1, max_size=8), VALUES, max_size=4))
def test_what_is_written_reads_the_same(value):
    """Words stay words, numbers numbers, whatever letters there are."""
    assert plain(yaml_text(value)) == value


@pytest.mark.parametrize(
    "word",
    [
        "off",
        "on",
        "yes",
        "no",
        "2.6.8",
        "1:30",
        "0x10",
        "1_000",
        "~",
        "null",
        "3",
        "🙂",
        "\u202ea",
        "1e3",
        "-2E+4",
        "7.",
        "True",
    ],
)
def test_words_that_yaml_might_take_for_something_else(word):
    """Versions, switches and times of day come back as the words they are."""
    assert plain(yaml_text({"key": word})) == {"key": word}
    assert json.loads(json.dumps(plain(yaml_text({"key": word})))) == {"key": word}


@pytest.mark.parametrize(
    "text",
    [
        'axes: {user.touch_rate: ["1e3", "2e4"]}',
        "base: {processes: {lifetime: 277.777777778h}}",
        "base: {nic: {line_rate: 1e5Gbit/s}, zone: {memory: 64MiB, lowmem: 900TiB}}",
        "base: {processes: {fork_rate: 9999/ms}, costs: {write: 1.0000000001s}}",
    ],
)
def test_a_resolved_scenario_is_the_same_study(text):
    """Whatever units and quotes it was written with."""
    check_reads_back(load_text(text, "x.yaml"))


def test_a_study_that_would_be_another_one_does_not_begin(tmp_path):
    """Before its first trial, and without a folder."""
    study = load_text("replicates: 5", "x.yaml")
    other = replace(study, document=study.document | {"replicates": 6})
    with pytest.raises(ResultsError, match=r"x\.yaml: .* its replicates would be others"):
        run_study(other, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ResultsError, match="NUL"):
        run_study(study, "a\0b")


@pytest.mark.parametrize("name", ["article", "cures", "jumbo-frames", "watermarks"])
def test_a_study_without_some_levels_reads_back(root: Path, name: str) -> None:
    """A claim that names a level which an override took away goes with it."""
    path = root / f"scenarios/{name}.yaml"
    whole = load(path)
    for axis, levels in whole.axes.items():
        for level in levels if len(levels) <= 6 else levels[:2]:
            check_reads_back(load(path, [f"{axis}={level}"]))
