"""Metrics travel packed, and are to everybody the mapping that was measured."""

import pickle
from math import isnan, nan

from hypothesis import given
from hypothesis import strategies as st

from study.fanout.metrics import Metrics

measured = st.dictionaries(st.text(max_size=9), st.floats(allow_nan=False), max_size=30)


@given(measured)
def test_packed_and_unpacked_they_are_the_same(measured: dict[str, float]):
    """Names, order and every bit of the numbers survive the way through a pickle."""
    found = pickle.loads(pickle.dumps(Metrics.of(measured), 5))  # noqa: S301 - our own

    assert found == measured
    assert list(found.items()) == list(measured.items())
    assert [float(v).hex() for v in found.values()] == [v.hex() for v in measured.values()]
    assert found.get("no such name") is None
    assert len(found) == len(measured)


def test_what_has_no_value_has_none_afterwards():
    """NaN stays NaN."""
    assert isnan(pickle.loads(pickle.dumps(Metrics.of({"a": nan}), 5))["a"])  # noqa: S301


def test_rows_of_a_task_carry_their_names_once():
    """A thousand rows of two hundred numbers take little more than the numbers."""
    rows = [Metrics.of({f"metric{n}": float(n + r) for n in range(200)}) for r in range(1_000)]

    assert len(pickle.dumps(rows, 5)) < 1.1 * 1_000 * 200 * 8
    assert all(row.names is rows[0].names for row in pickle.loads(pickle.dumps(rows, 5)))  # noqa: S301
