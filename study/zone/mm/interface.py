"""What load and trial ask of memory management, whichever kernel's it is.

    load, extension, trial  ->  interface  ->  linux_2_6   (2.6.8 and later cures as switches)

A generation is a folder of its own beside this file. It imports the engine and the settings, never
another generation and never this file, so that each can be read alone. With one generation a name
here is that generation's own kernel, and a call through it costs nothing. A second one is chosen
here and nowhere else, by the record, which a trial's settings set:

    @kernel(inline=True)
    def allocate_atomic(z, order, caller):
        if z.generation == LINUX_2_6:
            return linux_2_6.allocate_atomic(z, order, caller)
        return linux_7.allocate_atomic(z, order, caller)

What a generation must provide are these names, and for every frame its home, kind, order and flags
as engine/layout.py describes them.
"""

from __future__ import annotations

from study.zone.mm.linux_2_6.allocate import (
    COSTLY_ORDER,
    GAVE_UP,
    HOPELESS,
    NAP,
    allocate,
    allocate_atomic,
    allocate_or_wait,
    count_failure,
    drop_request,
    go_on,
    new_request,
    take_after_reclaim,
    try_to_free_pages,
)
from study.zone.mm.linux_2_6.bootmem import (
    free_all,
    free_zone,
    prepare_memory,
    put_free_block,
    put_typed_block,
)
from study.zone.mm.linux_2_6.buddy import remove_free_block
from study.zone.mm.linux_2_6.compaction import WHOLE_ZONE, compact_zone
from study.zone.mm.linux_2_6.defrag import (
    cost_of_emptying,
    defragment,
    free_blocks,
    run_daemon,
)
from study.zone.mm.linux_2_6.grouping import (
    add_typed_block,
    cut,
    find_fallback,
    first_fit,
    free_list,
    gfp_by_lifetime,
    move_free_pages,
    pageblock_type,
    prepare_lists,
    return_block,
    set_pageblock_type,
    steal,
)
from study.zone.mm.linux_2_6.kcompactd import proactive_tick, run_kcompactd, start_proactive
from study.zone.mm.linux_2_6.kmalloc import (
    free_object,
    kfree,
    kmalloc_atomic,
    kmalloc_or_not,
    kmalloc_or_wait,
    new_object,
    reap,
    start_reap,
)
from study.zone.mm.linux_2_6.kswapd import run_kswapd
from study.zone.mm.linux_2_6.lru import fetch_tails
from study.zone.mm.linux_2_6.memory import (
    evict_user_page,
    free_neighbours,
    free_user_page,
    install,
    touch_resident,
)
from study.zone.mm.linux_2_6.percpu import (
    batch_pages,
    drain_percpu,
    free_page,
    give_back,
    take_typed_page,
)
from study.zone.mm.linux_2_6.reclaim import (
    DEF_PRIORITY,
    begin_scan,
    begin_shrink,
    refill_inactive,
    shrink_done,
    shrink_step,
)
from study.zone.mm.linux_2_6.setup import REQUEST_ROWS, set_constants, start_clock, table_rows
from study.zone.mm.linux_2_6.slab import free_slab, new_slab
from study.zone.mm.linux_2_6.writeback import (
    congestion_wait_ns,
    end_page_writeback,
    finish_writes,
    pdflush,
    start_pdflush,
)
from study.zone.mm.linux_2_6.zones import enter_zone

__all__ = [  # noqa: RUF022 - by subject
    # The record and the tables.
    "REQUEST_ROWS", "set_constants", "table_rows",
    # Boot; pages taken and put without asking anybody; the daemons' first events.
    "prepare_memory", "free_all", "free_zone", "put_free_block", "put_typed_block", "start_clock",
    "take_typed_page", "start_pdflush", "start_proactive", "start_reap",
    # Requests for pages, those that sleep continued by a RETRY event; pages given back.
    "GAVE_UP", "allocate", "allocate_atomic", "allocate_or_wait", "count_failure", "go_on",
    "gfp_by_lifetime", "free_page",
    # Kernel objects: blocks, large kmalloc objects, slab pages.
    "new_object", "free_object", "kmalloc_atomic", "kmalloc_or_not", "kmalloc_or_wait", "kfree",
    "new_slab", "free_slab",
    # User pages.
    "install", "touch_resident", "free_user_page", "free_neighbours", "evict_user_page",
    "fetch_tails",
    # What an administrator does.
    "WHOLE_ZONE", "compact_zone", "drain_percpu", "enter_zone",
    # Events that fall due.
    "run_kswapd", "run_daemon", "run_kcompactd", "proactive_tick",
    "finish_writes", "pdflush", "reap",
    # For the probe and for who explains: a pass of reclaim in steps, blocks emptied by address.
    "DEF_PRIORITY", "begin_scan", "begin_shrink", "shrink_done", "shrink_step",
    "congestion_wait_ns",
    "defragment", "free_blocks", "cost_of_emptying",
    # For recorded, which puts recorded operations of the kernel's code to the zone, one by one.
    "COSTLY_ORDER", "HOPELESS", "NAP", "new_request", "try_to_free_pages",
    "take_after_reclaim", "drop_request", "give_back", "refill_inactive", "end_page_writeback",
    "batch_pages",
    # For feed, which puts a recorded trace to the free lists, decision by decision.
    "add_typed_block", "cut", "find_fallback", "first_fit", "free_list", "move_free_pages",
    "pageblock_type", "prepare_lists", "remove_free_block", "return_block", "set_pageblock_type",
    "steal",
]  # fmt: skip
