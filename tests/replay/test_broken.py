"""Each rule that docs/fidelity.md says is held to the real code, broken: a recording notices."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

MM = "study/zone/mm/linux_2_6/"
BROKEN = {
    "upper halves go to the tail": (
        "buddy.py",
        "            add_free_block(z, pfn + (1 << found), found)",
        "            add_free_block(z, pfn, found)\n            pfn += 1 << found",
        "allocator-2.6.8-1024",
    ),
    "no merging above order 8": (
        "buddy.py",
        "    while order < NR_ORDERS - 1:",
        "    while order < NR_ORDERS - 3:",
        "allocator-2.6.11-4096",
    ),
    "a refill of the hot list one page later": (
        "percpu.py",
        "if z.zone.nr_hot <= 2 * z.zone.pcp_batch:",
        "if z.zone.nr_hot < 2 * z.zone.pcp_batch:",
        "allocator-2.6.8-1024",
    ),
    "a free of a block does not re-arm kswapd": (
        "percpu.py",
        "    frames(z)[pfn].kind = 0\n    z.zone.all_unreclaimable = 0\n",
        "    frames(z)[pfn].kind = 0\n",
        "reclaim-2.6.8-pressure",
    ),
    "who cannot sleep passes at high": (
        "watermark.py",
        "    if not wait and z.zone.free >= z.zone.high:",
        "    if not wait:",
        "allocator-2.6.8-1024",
    ),
    "a quarter of low": (
        "watermark.py",
        "need -= z.zone.low // 4",
        "need -= z.zone.low // 2",
        "reclaim-2.6.8-file",
    ),
    "min is lowered for nobody": (
        "watermark.py",
        (
            "            mark //= 2\n        if not wait:\n            mark -= mark // 4\n"
            "        return free >= mark"
        ),
        "            mark = z.zone.min\n        return free >= mark",
        "reclaim-2.6.10-swap",
    ),
    "the order test is not strict": (
        "watermark.py",
        "        mark >>= 1\n        if free <= mark:",
        "        mark >>= 1\n        if free < mark:",
        "allocator-2.6.11-1024",
    ),
    "pages being written count": (
        "reclaim.py",
        "    if not flags & Flag.WRITEBACK or z.kswapd_loop >= KswapdLoop.V2_6_11:\n",
        "    if flags >= 0:\n",
        "case-2.6.10-all-under-writeback",
    ),
    "a zone given up keeps its priority": (
        "allocate.py",
        "        request.priority -= 1\n        z.zone.temp_priority = priority\n",
        (
            "        request.priority -= 1\n"
            "        if z.zone.all_unreclaimable == 0:\n"
            "            z.zone.temp_priority = priority\n"
        ),
        "reclaim-2.6.8-pressure",
    ),
    "a run is followed by one for a larger order": (
        "kswapd.py",
        "    if z.kswapd_order < requested:",
        "    requested = 1\n    if z.kswapd_order < requested:",
        "case-2.6.9-wish-while-awake",
    ),
    "a run does not begin at 12": (
        "kswapd.py",
        "        z.zone.temp_priority = DEF_PRIORITY\n",
        "        z.zone.temp_priority = 0\n",
        "reclaim-2.6.9-swap",
    ),
    "given up after four times the pages": (
        "kswapd.py",
        "z.zone.pages_scanned > 2 * z.zone.pages",
        "z.zone.pages_scanned > 4 * z.zone.pages",
        "reclaim-2.6.8-pressure",
    ),
    "a cluster does not end a run of 2.6.9": (
        "kswapd.py",
        "if z.kswapd_reclaimed >= SWAP_CLUSTER_MAX or z.kswapd_priority < 0:",
        "if z.kswapd_priority < 0:",
        "reclaim-2.6.9-swap",
    ),
    "kswapd of 2.6.11 does not nap": (
        "waiting.py",
        "    if z.kswapd_scanned == 0 or z.kswapd_priority >= DEF_PRIORITY - 2:",
        "    if z.kswapd_scanned == 0 or z.kswapd_priority >= DEF_PRIORITY - 20:",
        "reclaim-2.6.11-file",
    ),
    "it naps for active pages too": (
        "kswapd.py",
        "    z.kswapd_scanned += scanned\n    if",
        "    z.kswapd_scanned += scanned + 1\n    if",
        "reclaim-2.6.11-swap",
    ),
    "mapped pages are counted anew in a run": (
        "reclaim.py",
        "    mapped_ratio = z.sc_nr_mapped[who] * 100",
        "    mapped_ratio = z.nr_mapped * 100",
        "reclaim-2.6.8-mapped",
    ),
    "the mapped ratio counts in full": (
        "reclaim.py",
        "    return mapped_ratio // 2 + distress",
        "    return mapped_ratio + distress",
        "reclaim-2.6.8-mapped",
    ),
    "the share of all pages": (
        "../../marks.py",
        "    return max(present_pages - high, 0)",
        "    return max(present_pages, high)",
        "marks",
    ),
    "vectors of sixteen": (
        "reclaim.py",
        "    return 14 if loop",
        "    return 16 if loop",
        "case-2.6.11-order-of-freed",
    ),
    "a dirtied page is rotated": (
        "writeback.py",
        "    if flags & Flag.RECLAIM and not flags & Flag.DIRTY:",
        "    if flags & Flag.RECLAIM:",
        "case-2.6.8-dirtied-while-written",
    ),
    "a write through a page table is known at once": (
        "memory.py",
        "    if z.dirty_in_pte:",
        "    if z.dirty_in_pte > 1:",
        "reclaim-2.6.8-pressure",
    ),
    "a short list is gone over once": (
        "reclaim.py",
        "            left = left - nr_taken - 1 if counts_more else 0",
        "            left = 0",
        "case-2.6.8-short-inactive-list",
    ),
    "pages are scanned after they are freed": (
        "reclaim.py",
        "nr_taken + (z.kswapd_loop == KswapdLoop.V2_6_11)",
        "nr_taken",
        "reclaim-2.6.11-noswap",
    ),
    "a page without swap is asked whether it was used": (
        "reclaim.py",
        "and not (keep and z.kswapd_loop >= KswapdLoop.V2_6_9):",
        "and not (keep and z.kswapd_loop > KswapdLoop.V4_8):",
        "case-2.6.11-noswap-anon",
    ),
    "unused mapped pages stay": (
        "reclaim.py",
        "        keep |= not may_take_mapped or page_referenced(z, pfn)",
        "        keep |= not may_take_mapped or not page_referenced(z, pfn)",
        "reclaim-2.6.8-mapped",
    ),
    "used unmapped pages are activated": (
        "reclaim.py",
        "    in_use = (frame[pfn].flags & (Flag.MAPPED | Flag.SWAPCACHE)) != 0",
        "    in_use = True",
        "reclaim-2.6.8-file",
    ),
    "a second read does not promote": (
        "lru.py",
        "    elif frame[pfn].home == Home.INACTIVE:",
        "    elif frame[pfn].home == Home.NONE:",
        "reclaim-2.6.8-file",
    ),
    "a share of less than a batch is scanned": (
        "reclaim.py",
        "    if z.zone.nr_scan_inactive >= SWAP_CLUSTER_MAX:",
        "    if z.zone.nr_scan_inactive >= 1:",
        "reclaim-2.6.8-swap",
    ),
}


@pytest.mark.quick
@pytest.mark.parametrize("rule", BROKEN)
def test_what_is_broken_stands_in_the_source_once(root: Path, rule: str) -> None:
    """Else nobody would see until the night that a rule has other words now."""
    module, before, after, name = BROKEN[rule]
    assert (root / MM / module).read_text().count(before) == 1
    assert before != after
    assert (root / "tests" / "data" / "oracle-2.6" / f"{name}.npz").exists()


@pytest.mark.nightly(part="rules")
@pytest.mark.parametrize("rule", BROKEN)
def test_a_broken_rule_is_noticed(
    in_a_changed_copy: Callable[..., str], root: Path, rule: str
) -> None:
    """The zone with one rule broken comes to another state than the kernel's code did."""
    module, before, after, name = BROKEN[rule]
    recording = root / "tests" / "data" / "oracle-2.6" / f"{name}.npz"

    # Compiling takes most of the time; what is compiled runs for a moment.
    printed = in_a_changed_copy(
        {MM + module: (before, after)},
        *("-m", "study", "replay", "--json", str(recording)),
        NUMBA_OPT="0",
    )

    found = json.loads(printed)
    right = found["operations"]
    assert found["equal"] < right or found["naps_equal"] < right
    assert found["first_difference"] is not None
