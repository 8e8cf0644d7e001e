"""Bringing a zone up the plain way: page by page, through the per-cpu lists, as the kernel does it.

study/zone/mm/linux_2_6/bootmem.py reckons what whole blocks come to instead, to the same zone.
"""

from __future__ import annotations

from study.zone.engine.enums import Home
from study.zone.mm.linux_2_6.percpu import free_page, give_back
from study.zone.mm.linux_2_6.reserve import set_boot_reserve
from study.zone.mm.linux_2_6.setup import start_clock
from study.zone.settings import AllocationPath, Reserve, Settings
from study.zone.trial import boot
from study.zone.trial.fill import fill_memory
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


def booted(settings: Settings, *, seed: int) -> Zone:
    """What Zone(settings) is after boot, brought up the plain way."""
    zone = Zone(settings, seed=seed, empty=True)
    free_all(zone, settings.memory.reserved_pages)
    boot.boot_slabs(zone.state, int(settings.slab.initial_share * settings.memory.pages))
    boot.post_ring(zone.state)
    if settings.user.filled:
        fill_memory(zone.state)
        start_clock(zone.state, settings)
        zone.reset_counters()
    boot.start_workload(zone.state)
    return zone
