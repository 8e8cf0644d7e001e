"""What a picture of the zone shows: whose each page is, at chosen times of a trial."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

import numpy as np

from study.zone.settings import NR_ORDERS, Settings


class Owner(IntEnum):
    """Whose a page is; a page of a free block of order n is FREE + n."""

    RESERVED = 0
    FILE = 1
    ANONYMOUS = 2
    KERNEL = 3
    """Stacks, page tables, slabs, and objects kept idle in kmalloc caches."""
    NIC = 4
    PERCPU = 5
    FREE = 16


def pictures(
    settings: Settings, *, seed: int, replicate: int, check_time_limit: Callable[[], None]
) -> np.ndarray:
    """Run a trial as simulate() does and return its owners, u1 of shape (3, pages).

    Before the load, after the ageing phase and after the measured phase. `check_time_limit` is
    called as time passes, and may raise what ends the trial.
    """
    from study.zone.trial.advance import pass_time
    from study.zone.trial.schedule import phases, sample_times
    from study.zone.trial.zone import Zone

    zone = Zone(settings, seed=seed, replicate=replicate, check_time_limit=check_time_limit)
    taken = [owners(zone.frame, settings.memory.pages)]
    for _, start, end in phases(settings.clock):
        for time in sample_times(start, end, settings.clock.sample_ns):
            pass_time(zone.state, int(time), check_time_limit)
        taken.append(owners(zone.frame, settings.memory.pages))
    return np.stack(taken)


def owners(frame: np.ndarray, pages: int) -> np.ndarray:
    """Owner of every page, u1, from the frames of a zone."""
    from study.zone.engine.enums import Home, Kind

    by_kind = np.full(len(Kind), Owner.KERNEL, np.uint8)
    by_kind[[Kind.FILE, Kind.ANON]] = Owner.FILE, Owner.ANONYMOUS
    by_kind[[Kind.RX, Kind.TX]] = Owner.NIC
    rows = frame[:pages]
    home, kind = rows["home"], rows["kind"]
    first = by_kind[kind]
    first[(home == Home.RESERVED) | (home == Home.NONE)] = Owner.RESERVED
    first[home == Home.PERCPU] = Owner.PERCPU
    free = home == Home.BUDDY
    first[free] = Owner.FREE + rows["order"][free]
    # Only the first frame of a block says whose the block is.
    found: np.ndarray = first.copy()
    for order in range(1, NR_ORDERS):
        of_order = ((home == Home.BUDDY) | (home == Home.KERNEL)) & (rows["order"] == order)
        starts = np.flatnonzero(of_order)
        found[starts[:, None] + np.arange(1 << order)] = first[starts][:, None]
    return found


def free_blocks(owner: np.ndarray) -> np.ndarray:
    """Free blocks per order, 11 counts, from the owners of all pages."""
    pages = np.bincount(owner[owner >= Owner.FREE] - Owner.FREE, minlength=NR_ORDERS)
    return pages >> np.arange(NR_ORDERS)
