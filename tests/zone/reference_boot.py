"""Bringing a zone up the plain way: page by page, through the per-cpu lists, as the kernel does it.

study/zone/mm/linux_2_6/bootmem.py reckons what whole blocks come to instead, to the same zone.
"""

from __future__ import annotations

from study.zone.engine.enums import Home, Migratetype
from study.zone.engine.layout import NO_PFN
from study.zone.mm.linux_2_6.memory import install
from study.zone.mm.linux_2_6.percpu import free_page, give_back, take_typed_page
from study.zone.mm.linux_2_6.reserve import set_boot_reserve
from study.zone.settings import AllocationPath, Reserve, Settings
from study.zone.trial import boot
from study.zone.trial.zone import Zone


def free_all(zone: Zone, reserved: int) -> None:
    """free_all_bootmem: every page above the reserved ones, in ascending order.

    From 2.6.9 on those of a whole word of 32 at once, as a block.
    """
    z = zone.state
    zone.frame["home"][:reserved] = Home.RESERVED
    pages = int(z["zone"]["pages"])
    pfn = reserved
    while pfn < pages:
        if z["allocation"] >= AllocationPath.V2_6_9 and pfn % 32 == 0 and pfn + 32 <= pages:
            give_back(z, pfn, 5)
            pfn += 32
        else:
            free_page(z, pfn, 0)
            pfn += 1
    if z["reserve"] == Reserve.MIGRATE_RESERVE:
        set_boot_reserve(z)


def fill_memory(zone: Zone) -> None:
    """The most popular extents that fit above the high mark, the least popular of them first."""
    z = zone.state
    pages = int(z["extent_pages"])
    room = int(z["zone"]["free"] - z["zone"]["high"]) // pages
    for extent in zone.extent["extent"][: max(room, 0)][::-1]:
        for page in range(extent * pages, (extent + 1) * pages):
            pfn = take_typed_page(z, 1, Migratetype.MOVABLE)
            if pfn == NO_PFN:
                return
            install(z, pfn, page, 0)


def booted(settings: Settings, *, seed: int) -> Zone:
    """What Zone(settings) is after boot, brought up the plain way."""
    zone = Zone(settings, seed=seed, empty=True)
    free_all(zone, settings.memory.reserved_pages)
    boot.boot_slabs(zone.state, int(settings.slab.initial_share * settings.memory.pages))
    if settings.user.filled:
        fill_memory(zone)
    boot.start_workload(zone.state)
    return zone
