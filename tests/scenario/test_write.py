"""Scenarios written as YAML: the same when they are read again."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    ["off", "on", "yes", "no", "2.6.8", "1:30", "0x10", "1_000", "~", "null", "3", "🙂", "\u202ea"],
)
def test_words_that_yaml_might_take_for_something_else(word):
    """Versions, switches and times of day come back as the words they are."""
    assert plain(yaml_text({"key": word})) == {"key": word}
    assert json.loads(json.dumps(plain(yaml_text({"key": word})))) == {"key": word}
