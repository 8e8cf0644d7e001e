"""Switches that make no sense together are refused with a word on what they need."""

from __future__ import annotations

import pytest

from study.scenario import ScenarioError, load_text


@pytest.mark.parametrize(
    ("base", "complaint"),
    [
        ("zone: {reserve: highatomic}", "zone.reserve needs pageblocks; set zone.grouping to on"),
        ("watermarks: {boost_factor: 15000}", "watermarks.boost_factor needs pageblocks"),
        ("zone: {nofragment: true}", "zone.nofragment needs pageblocks"),
        ("zone: {placement: by-lifetime}", "zone.placement is by-lifetime, which needs pageblocks"),
        ("zone: {placement: best-fit, grouping: on}", "zone.placement is best-fit"),
        (
            "compaction: {proactiveness: 101}",
            "compaction.proactiveness is 101; it must be at most 100",
        ),
        (
            "compaction: {threshold: 1001}",
            "compaction.threshold is 1,001; it must be at most 1,000",
        ),
        ("huge: {order: 0}", "huge.order is 0; it must be at least 1"),
        ("highalloc: {order: 11}", "highalloc.order is 11; it must be at most 10"),
        ("highalloc: {gap: 0s}", "highalloc.gap is 0"),
        ("churn: {rounds: 1, gap: 0s}", "churn.gap is 0"),
        ("churn: {rounds: 1, hold: 95%}", "churn.hold is 0.95, more than is filled"),
        (
            "churn: {rounds: 1}, user: {working_set: 0.5}",
            "churn.fill is more than user.working_set has pages",
        ),
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


@pytest.mark.parametrize(
    ("override", "why"),
    [
        ("compaction.rules=3.19", "nobody compacts"),
        ("compaction.threshold=400", "compaction.direct and compaction.daemon are off"),
        ("defrag.choice=beside-free", "defrag.mode is off"),
        ("huge.lifetime=1s", "huge.rate is 0"),
        ("highalloc.gap=1s", "highalloc.share is 0"),
        ("churn.part=20%", "churn.rounds is 0"),
        ("zone.pageblock_order=9", "zone.grouping is off"),
    ],
)
def test_a_switch_that_rests_says_so(override: str, why: str) -> None:
    """What changes nothing is refused with what would wake it."""
    with pytest.raises(ScenarioError, match="has no effect") as caught:
        load_text("name: x", "x.yaml", [override])
    assert why in str(caught.value)


def test_pageblocks_matter_to_compaction_without_grouping() -> None:
    """The scanners go by pageblock whether or not free lists are by migratetype."""
    text = "base: {compaction: {proactiveness: 20, rules: '3.19'}}"
    study = load_text(text, "x.yaml", ["zone.pageblock_order=9"])
    assert study.cells[0].settings.memory.pageblock_order == 9


def test_a_boost_in_too_small_a_zone_is_refused() -> None:
    """boost_watermark does nothing in a zone of fewer than four pageblocks."""
    text = "base: {zone: {memory: 8MiB, reserved: 0B, grouping: on}}"
    with pytest.raises(ScenarioError, match="fewer than four pageblocks"):
        load_text(text, "x.yaml", ["watermarks.boost_factor=15000"])
