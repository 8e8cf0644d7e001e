"""Switches that make no sense together are refused with a word on what they need."""

from __future__ import annotations

import pytest

from study.scenario import ScenarioError, load_text


@pytest.mark.parametrize(
    ("base", "complaint"),
    [
        ("zone: {reserve: highatomic}", "zone.reserve needs pageblocks; set zone.grouping to on"),
        ("watermarks: {boost_factor: 15000}", "watermarks.boost_factor needs pageblocks"),
        ("zone: {placement: by-lifetime}", "zone.placement is by-lifetime, which needs pageblocks"),
        ("zone: {placement: best-fit, grouping: on}", "zone.placement is best-fit"),
        ("compaction: {proactiveness: 101}", "compaction.proactiveness is 101; at most 100"),
        ("compaction: {threshold: 1001}", "compaction.threshold is 1001; at most 1,000"),
        ("huge: {order: 0}", "huge.order is 0; blocks have order 1 to 10"),
        ("highalloc: {order: 11}", "highalloc.order is 11; blocks have order 1 to 10"),
        ("highalloc: {gap: 0s}", "highalloc.gap is 0"),
        (
            "zone: {memory: 1MiB, reserved: 0B}, huge: {order: 9, rate: 1/s}",
            "huge.order is 9; a block of 512 pages is larger than the whole zone",
        ),
    ],
)
def test_a_switch_says_what_it_needs(base: str, complaint: str) -> None:
    """The key, what is wrong with it, and the way out."""
    with pytest.raises(ScenarioError) as caught:
        load_text(f"base: {{{base}}}", "x.yaml")
    assert complaint in str(caught.value)
