"""Per-cpu lists in front of order 0: a hot and a cold one (struct per_cpu_pages, 2.6.8), one CPU.

Pages on them are neither in z.free nor in /proc/buddyinfo, and keep their buddies from merging.
"""

from __future__ import annotations

from study.zone.buddy import free_block, take_block
from study.zone.compile import kernel
from study.zone.layout import HEAD_COLD, HEAD_HOT, NO_PFN, Home, frames
from study.zone.lists import list_add, list_add_tail, list_del


def batch_pages(present_pages: int) -> int:
    """Pages moved between a per-cpu list and the buddy lists at once (free_area_init_core, 2.6.8).

    A thousandth of the zone, at most 256 KB, a quarter of that, at least one page.
    """
    batch = present_pages // 1024
    if batch * 4096 > 256 * 1024:
        batch = 256 * 1024 // 4096
    return max(batch // 4, 1)


@kernel
def _refill(z, head, batch):
    """Pull a batch from the buddy lists, each page to the tail (rmqueue_bulk)."""
    pulled = 0
    while pulled < batch:
        pfn = take_block(z, 0)
        if pfn == NO_PFN:
            break
        frames(z)[pfn].home = Home.PERCPU
        list_add_tail(z, head, pfn)
        pulled += 1
    return pulled


@kernel
def _drain(z, head, batch):
    """Give a batch back to the buddy lists, oldest (tail) first (free_pages_bulk)."""
    drained = 0
    while drained < batch:
        pfn = frames(z)[head].prev
        if pfn == head:
            break
        list_del(z, pfn)
        frames(z)[pfn].home = Home.NONE
        free_block(z, pfn, 0)
        drained += 1
    if drained > 0:
        z.all_unreclaimable = 0
        z.pages_scanned = 0
    return drained


@kernel
def take_page(z, cold):
    """One order-0 page, by way of the hot or the cold list (buffered_rmqueue)."""
    if z.percpu == 0:
        return take_block(z, 0)
    if cold:
        head = z.head + HEAD_COLD
        if z.nr_cold <= 0:
            z.nr_cold += _refill(z, head, z.pcp_batch)
    else:
        head = z.head + HEAD_HOT
        if z.nr_hot <= 2 * z.pcp_batch:
            z.nr_hot += _refill(z, head, z.pcp_batch)
    pfn = frames(z)[head].next
    if pfn == head:
        return take_block(z, 0)
    list_del(z, pfn)
    frames(z)[pfn].home = Home.NONE
    if cold:
        z.nr_cold -= 1
    else:
        z.nr_hot -= 1
    return pfn


@kernel
def give_back(z, pfn, order):
    """Free a block straight to the buddy lists; any such free re-arms kswapd for the zone."""
    frames(z)[pfn].kind = 0
    z.all_unreclaimable = 0
    z.pages_scanned = 0
    free_block(z, pfn, order)


@kernel
def free_page(z, pfn, cold):
    """Give one order-0 page back, to the head of the hot or the cold list (free_hot_cold_page).

    A full list first sends its oldest batch to the buddy lists: hot holds up to 6 batches, cold 2.
    """
    if z.percpu == 0:
        give_back(z, pfn, 0)
        return
    if cold:
        head = z.head + HEAD_COLD
        if z.nr_cold >= 2 * z.pcp_batch:
            z.nr_cold -= _drain(z, head, z.pcp_batch)
        z.nr_cold += 1
    else:
        head = z.head + HEAD_HOT
        if z.nr_hot >= 6 * z.pcp_batch:
            z.nr_hot -= _drain(z, head, z.pcp_batch)
        z.nr_hot += 1
    frames(z)[pfn].home = Home.PERCPU
    frames(z)[pfn].kind = 0
    list_add(z, head, pfn)
