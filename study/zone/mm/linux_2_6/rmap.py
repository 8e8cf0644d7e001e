"""Which frame holds a virtual page, and which virtual page a frame holds.

Both directions are state: vpage.pfn is the page table or page cache entry, frame.owner the
reverse map that reclaim and the defragmenter go by. Each page has one owner (no sharing).
"""

from __future__ import annotations

from study.zone.engine.compile import kernel
from study.zone.engine.enums import Flag, Home, Kind
from study.zone.engine.layout import NO_PFN, NO_ROW, SWAPPED, frames, vpages
from study.zone.mm.linux_2_6.lru import lru_add_active, lru_add_inactive, lru_del
from study.zone.mm.linux_2_6.writeback import set_dirty


@kernel
def map_page(z, pfn, page):
    """Let a frame hold a virtual page; the caller puts it on an LRU list."""
    frame = frames(z)
    vpage = vpages(z)
    vpage[page].pfn = pfn
    frame[pfn].owner = page
    frame[pfn].kind = vpage[page].kind
    frame[pfn].flags = 0
    if vpage[page].mapped:
        frame[pfn].flags |= Flag.MAPPED
        z.nr_mapped += 1
    if vpage[page].state & SWAPPED:
        frame[pfn].flags |= Flag.SWAPCACHE
    if vpage[page].kind == Kind.ANON:
        z.zone.nr_anon += 1
    else:
        z.zone.nr_file += 1


@kernel
def unmap_ptes(z, pfn):
    """Take the page out of every page table (try_to_unmap); it stays in the page or swap cache.

    Only now does it become known that it was written through them.
    """
    flags = frames(z)[pfn].flags
    if flags & Flag.MAPPED:
        frames(z)[pfn].flags = flags & ~(Flag.MAPPED | Flag.DIRTY_PTE)
        z.nr_mapped -= 1
        if flags & Flag.DIRTY_PTE:
            set_dirty(z, pfn)


@kernel
def forget_page(z, pfn):
    """Part a frame from its virtual page, both ways; returns the page."""
    frame = frames(z)
    page = frame[pfn].owner
    if frame[pfn].flags & Flag.MAPPED:
        z.nr_mapped -= 1
    if frame[pfn].kind == Kind.ANON:
        z.zone.nr_anon -= 1
    else:
        z.zone.nr_file -= 1
        if frame[pfn].flags & Flag.DIRTY:
            z.nr_dirty -= 1
    frame[pfn].flags = 0
    frame[pfn].kind = Kind.NONE
    frame[pfn].owner = NO_ROW
    vpages(z)[page].pfn = NO_PFN
    return page


@kernel
def move_page(z, source, target):
    """Let another frame hold what source holds: content, flags and both maps (migration)."""
    frame = frames(z)
    page = frame[source].owner
    frame[target].owner = page
    frame[target].kind = frame[source].kind
    frame[target].flags = frame[source].flags
    vpages(z)[page].pfn = target
    frame[source].flags = 0
    frame[source].kind = Kind.NONE
    frame[source].owner = NO_ROW


@kernel
def migrate_page(z, source, target):
    """Let target hold what source holds, in its place on the LRU lists; source is then nobody's.

    mm/migrate.c, in one step: what would fail in a kernel (a locked page, a page in use by a
    driver) is not simulated; a page being written is left alone by the callers.
    """
    active = frames(z)[source].home == Home.ACTIVE
    lru_del(z, source)
    move_page(z, source, target)
    if active:
        lru_add_active(z, target)
    else:
        lru_add_inactive(z, target)
