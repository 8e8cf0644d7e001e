"""The benchmark of time to verdict compares the two designs that it says."""

from __future__ import annotations

import pytest

from benchmarks.time_to_verdict import LISTS, designs
from study.scenario import load_text
from study.scenario.write import yaml_text


@pytest.mark.parametrize("name", LISTS)
def test_both_designs_ask_the_same(name: str) -> None:
    """88 cells under one load for a minute, 26 under loads of their own for four; the same claims,
    with margins on counts by the minute.
    """
    before, now = (
        load_text(yaml_text(document), f"{design}.yaml")
        for design, document in designs(LISTS[name]).items()
    )

    assert (len(before.cells), len(now.cells)) == (88, 26)
    assert (before.nuisance, now.nuisance) == ((), ("nic.transmit",))
    assert [claim.id for claim in before.claims] == [claim.id for claim in now.claims]
    assert {claim.id for claim in now.claims} == set(LISTS[name])
    ratios = {
        b.matters and n.matters / b.matters for b, n in zip(before.claims, now.claims, strict=True)
    }
    assert ratios <= {0, 1, 4}
