"""What becomes of a user page when it faults, is touched, is deleted or evicted.

mm/memory.c, mm/filemap.c and mm/swap.c, 2.6.8. Which page is touched when is the load's affair.
"""

from __future__ import annotations

from study.zone.engine.compile import kernel
from study.zone.engine.enums import Flag, Kind, Thrown
from study.zone.engine.layout import NO_PFN, SWAPPED, frames, vpages
from study.zone.mm.linux_2_6.lru import (
    lru_add_active,
    lru_add_inactive,
    lru_del,
    mark_page_accessed,
)
from study.zone.mm.linux_2_6.percpu import free_page
from study.zone.mm.linux_2_6.rmap import forget_page, map_page
from study.zone.mm.linux_2_6.writeback import drop_write, set_dirty
from study.zone.mm.linux_2_6.zones import enter_zone, enter_zone_of


@kernel
def _write_mapped(z, pfn):
    """A write through a page table: the processor sets a bit in the entry, and nobody is told.

    Since 2.6.19 the first such write of a file page faults, and it is dirty at once (d08b3851da41).
    """
    if z.dirty_in_pte:
        frames(z)[pfn].flags |= Flag.DIRTY_PTE
    else:
        set_dirty(z, pfn)


@kernel
def install(z, pfn, page, write):
    """Give a page that faulted its frame, on the list where the kernel puts it.

    A new anonymous page starts active, a file page inactive (mm/memory.c, mm/filemap.c, 2.6.8).
    """
    before = enter_zone_of(z, pfn)
    map_page(z, pfn, page)
    frame = frames(z)
    vpages(z)[page].thrown = Thrown.NO
    if frame[pfn].kind == Kind.ANON:
        lru_add_active(z, pfn)
    else:
        lru_add_inactive(z, pfn)
    if vpages(z)[page].mapped:
        frame[pfn].flags |= Flag.YOUNG
        if write:
            _write_mapped(z, pfn)
    else:
        mark_page_accessed(z, pfn)
        if write:
            set_dirty(z, pfn)
    enter_zone(z, before)


@kernel(inline=True)
def touch_resident(z, page, pfn, write):
    """What a touch does to a page in memory."""
    frame = frames(z)
    if vpages(z)[page].mapped:
        if not frame[pfn].flags & Flag.MAPPED:
            # Reclaim had taken it out of the page table but not yet freed it.
            frame[pfn].flags |= Flag.MAPPED
            z.nr_mapped += 1
            z.count.minor_faults += 1
        frame[pfn].flags |= Flag.YOUNG
        if write:
            _write_mapped(z, pfn)
    else:
        mark_page_accessed(z, pfn)
        if write:
            set_dirty(z, pfn)


@kernel
def _free_last_first(z, held):
    while held > 0:
        held -= 1
        free_page(z, z.victim[held], False)
    return 0


@kernel
def _take_away(z, page):
    """Part a virtual page from its frame for good; the frame, NO_PFN if it had none."""
    vpage = vpages(z)
    vpage[page].thrown = Thrown.NO
    vpage[page].state &= ~SWAPPED
    pfn = vpage[page].pfn
    if pfn == NO_PFN:
        return NO_PFN
    if frames(z)[pfn].flags & Flag.WRITEBACK:
        drop_write(z, pfn)
    before = enter_zone_of(z, pfn)
    lru_del(z, pfn)
    forget_page(z, pfn)
    enter_zone(z, before)
    return pfn


@kernel
def free_user_page(z, page):
    """Free a virtual page's frame, if it has one, to the hot list; it will be new when next met."""
    pfn = _take_away(z, page)
    if pfn != NO_PFN:
        free_page(z, pfn, False)


@kernel
def free_neighbours(z, first, last):
    """Free the virtual pages from first up to last: munmap of memory, truncation of a file.

    A file's pages go by pagevecs, the last of each first (truncate_inode_pages, __pagevec_free).
    What is unmapped goes page by page where there is one CPU, as in exit (tlb_fast_mode, 2.6.8).
    """
    held = 0
    for page in range(first, last):
        pfn = _take_away(z, page)
        if pfn == NO_PFN:
            continue
        if vpages(z)[page].kind == Kind.ANON:
            free_page(z, pfn, False)
            continue
        z.victim[held] = pfn
        held += 1
        if held == z.pagevec_size:
            held = _free_last_first(z, held)
    _free_last_first(z, held)


@kernel
def evict_user_page(z, pfn):
    """Throw out the page in a frame on an LRU list; a dirty one counts as written."""
    flags = frames(z)[pfn].flags
    anon = frames(z)[pfn].kind == Kind.ANON
    if flags & Flag.WRITEBACK:
        drop_write(z, pfn)
    elif flags & (Flag.DIRTY | Flag.DIRTY_PTE) or (anon and not flags & Flag.SWAPCACHE):
        z.count.written += 1
    before = enter_zone_of(z, pfn)
    lru_del(z, pfn)
    page = forget_page(z, pfn)
    enter_zone(z, before)
    vpages(z)[page].thrown = Thrown.RECLAIM
    if anon:
        vpages(z)[page].state |= SWAPPED
    free_page(z, pfn, True)
