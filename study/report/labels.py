"""What the page calls the metrics that claims are about."""

from __future__ import annotations

from study.zone.simulate import HEADLINE

LABELS: dict[str, str] = dict(HEADLINE) | {
    "rx_failures": "receive buffers refused",
    "order1_attempts": "requests of order 1",
    "order2_attempts": "requests of order 2",
    "order3_attempts": "requests of order 3",
    "stack_failures": "stack requests refused",
    "stack_stall_reclaimed_pages": "pages reclaimed by stack requests that wait",
    "blockless_kswapd_rests_ratio": "requests without a block that leave kswapd at rest",
    "blockless_above_low_woken_ratio": (
        "requests without a block, above the low mark, that wake kswapd"
    ),
    "free_pages_mean": "free pages, on average",
    "defrag_pages_per_block": "pages the defragmenter takes for a block",
    "reclaimed_pages_per_order3_block": "pages LRU reclaims for an order-3 block",
    "defrag_moved_pages": "pages the defragmenter evicts or migrates",
    "defrag_evicted_pages": "pages the defragmenter evicts",
    "refaults_after_defrag": "refaults on pages the defragmenter evicted",
    "huge_stall_mean_ms": "wait for a huge page (ms)",
    "unmovable_blocks_share_end": "pageblocks that hold kernel pages at the end",
    "stolen_blocks": "blocks taken from pageblocks of another kind",
}
"""Metric -> what it is, in words; a metric that has none goes by its name."""
