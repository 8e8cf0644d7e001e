"""The small zone of `study explain`: few enough pages to see each, load enough to wear it out."""

from __future__ import annotations

from study.zone.settings import (
    AllocationPath,
    Clock,
    Defrag,
    DefragMode,
    Kswapd,
    KswapdLoop,
    KswapdPolicy,
    Memory,
    Nic,
    NicTransmit,
    Processes,
    Settings,
    Slab,
    User,
    Watermarks,
)

MILLISECOND_NS = 1_000_000


def settings(
    *,
    pages: int = 256,
    policy: KswapdPolicy = KswapdPolicy.COUNT_ONLY,
    defrag: DefragMode = DefragMode.RMAP_EVICT,
) -> Settings:
    """Settings of a zone of 64 to 1,024 pages (a power of two reads best).

    Unlike in a study order-0 pages come straight from the buddy lists: per-cpu lists would hide
    most splits and merges. The marks are a share of the zone, as the formula is made for large
    ones. The rules are those of 2.6.9: under 2.6.8 who may wait reclaims below the low mark
    already, and a kswapd on the same processor then often finds its work done.
    """
    scale = pages / 256
    card = 3 if pages >= 128 else 2
    return Settings(
        memory=Memory(
            pages=pages, lowmem_pages=pages, reserved_pages=pages // 32, percpu_lists=False
        ),
        watermarks=Watermarks(
            explicit_pages=(max(pages // 64, 2), max(pages // 32, 4), max(3 * pages // 64, 6))
        ),
        allocation=AllocationPath.V2_6_9,
        kswapd=Kswapd(policy=policy, loop=KswapdLoop.V2_6_9, pages_per_ms=10.0),
        defrag=Defrag(
            mode=defrag,
            order=card,
            interval_ns=200 * MILLISECOND_NS,
            blocks_wanted=2,
            budget_pages=max(pages // 8, 1 << card),
        ),
        user=User(
            working_set_pages=round(1.2 * pages),
            extent_pages=8,
            touches_per_s=1_000.0 * scale,
            run_pages=4.0,
            drifts_per_s=4.0,
            deletes_per_s=6.0,
            filled=False,
        ),
        processes=Processes(
            forks_per_s=4.0,
            lifetime_median_ns=200 * MILLISECOND_NS,
            lifetime_sigma=1.0,
            anonymous_pages=5.0 * scale,
            page_table_pages=1,
            live_max=32,
        ),
        slab=Slab(
            initial_share=0.04,
            pages_per_s=15.0 * scale,
            lifetime_median_ns=500 * MILLISECOND_NS,
            lifetime_sigma=1.5,
            objects_per_page=4,
        ),
        nic=Nic(
            ring=2,
            rx_order=card,
            transmit=NicTransmit.LINEAR,
            tx_order=card - 1,
            rx_frames_per_s=20.0,
            rx_burst_frames=2.0,
            rx_hold_ns=50 * MILLISECOND_NS,
            tx_frames_per_s=10.0,
            tx_burst_frames=2.0,
            tx_hold_ns=5 * MILLISECOND_NS,
        ),
        clock=Clock(ageing_ns=0, measure_ns=60_000 * MILLISECOND_NS),
    )
