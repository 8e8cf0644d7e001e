"""The zones of a machine: which one z.zone is, and what holds for all of them.

Zone 0 is the one that requests ask first (Normal), those after it are what they fall back on (DMA).
Kernels work on the zone in z.zone, which is zone 0 but while somebody has entered another: that one
and z.zone then change places. So a machine of one zone pays a comparison where a frame is given.
Frames of zone 0 come first in the table; which address a zone has is of no concern to the others.
"""

from __future__ import annotations

from study.zone.engine.compile import kernel
from study.zone.engine.layout import frames
from study.zone.engine.zones import exchange_zone


@kernel
def _switch(z, index):
    if z.zone_now > 0:
        exchange_zone(z, z.zone_now - 1)
    if index > 0:
        exchange_zone(z, index - 1)
    z.zone_now = index
    return 0


@kernel(inline=True)
def enter_zone(z, index):
    """Let z.zone be another zone; returns which it was, to be entered afterwards."""
    before = z.zone_now
    if before != index:
        _switch(z, index)
    return before


@kernel(inline=True)
def enter_zone_of(z, pfn):
    """Let z.zone be the zone of a frame; returns which it was."""
    return enter_zone(z, 1 if pfn >= z.dma_first else 0)


@kernel
def lru_pages(z, highest):
    """Pages on the LRU lists of a zone and of those below it."""
    pages = 0
    for index in range(highest, z.nr_zones):
        enter_zone(z, index)
        pages += z.zone.nr_active + z.zone.nr_inactive
        enter_zone(z, 0)
    return pages


@kernel
def keep_priority(z):
    """Let every zone remember the priority of the scan that ends now."""
    z.zone.prev_priority = z.zone.temp_priority
    for index in range(1, z.nr_zones):
        enter_zone(z, index)
        z.zone.prev_priority = z.zone.temp_priority
        enter_zone(z, 0)


@kernel
def prepare_zones(z):
    """Empty lists in the zones after the first."""
    for index in range(1, z.nr_zones):
        enter_zone(z, index)
        for head in range(z.zone.head - z.zone.typed_heads, z.zone.head + z.zone.heads):
            frames(z)[head].next = head
            frames(z)[head].prev = head
        enter_zone(z, 0)
