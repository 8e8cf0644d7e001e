"""Lumpy reclaim: with a victim go its neighbours in the aligned block that is wanted (2.6.23).

mm/vmscan.c, isolate_lru_pages of 2.6.24. Nobody looks beforehand whether the whole block can be
had: pages are lost even if one of them is pinned.
"""

from __future__ import annotations

from study.zone.engine.compile import kernel
from study.zone.engine.enums import Home
from study.zone.engine.layout import HEAD_ACTIVE, HEAD_INACTIVE, frames
from study.zone.engine.lists import list_add_tail, list_del
from study.zone.mm.linux_2_6.lru import lru_del

COSTLY_ORDER = 3
"""PAGE_ALLOC_COSTLY_ORDER: above it active neighbours go as well, referenced or not."""


@kernel
def gather_block(z, pfn, order):
    """Put a page at the tail of its list and its neighbours next to it, in order of address.

    Neighbours are on the same list; for an inactive page and an order above 3 active ones are
    taken too. Returns how many neighbours there are: the scan takes them whatever its budget.
    """
    frame = frames(z)
    home = frame[pfn].home
    head = z.zone.head + (HEAD_ACTIVE if home == Home.ACTIVE else HEAD_INACTIVE)
    first = pfn >> order << order
    stop = min(first + (1 << order), z.zone.pages)
    gathered = 0
    for i in range(stop - first):
        other = stop - 1 - i
        if other == pfn:
            continue
        if frame[other].home == home:
            list_del(z, other)
            list_add_tail(z, head, other)
            gathered += 1
        elif home == Home.INACTIVE and order > COSTLY_ORDER and frame[other].home == Home.ACTIVE:
            lru_del(z, other)
            frame[other].home = Home.INACTIVE
            list_add_tail(z, head, other)
            z.zone.nr_inactive += 1
            z.zone.count.deactivated += 1
            gathered += 1
    list_del(z, pfn)
    list_add_tail(z, head, pfn)
    return gathered
