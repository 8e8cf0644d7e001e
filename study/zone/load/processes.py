"""Short-lived processes: at fork a kernel stack, page tables and private memory; all free at exit.

kernel/fork.c, 2.6.8: the stack is one kmalloc object of THREAD_SIZE, order 1 with 8K stacks,
order 0 with 4K stacks. A fork whose stack cannot be allocated waits; it does not fail. From vmalloc
(4.9) a stack is single pages, which are asked for and counted with the page tables.
"""

from __future__ import annotations

from study.zone.engine.agenda import book
from study.zone.engine.compile import kernel
from study.zone.engine.dice import exponential, geometric, lognormal
from study.zone.engine.enums import Caller, Event, Gfp, Kind, Stream
from study.zone.engine.layout import (
    NO_PFN,
    NO_ROW,
    PAGE_TABLES_MAX,
    PROCESS_PAGES_MAX,
    WAITING,
    processes,
    vpages,
)
from study.zone.load.user import fault
from study.zone.mm.interface import (
    allocate_or_wait,
    free_object,
    free_user_page,
    gfp_by_lifetime,
    kfree,
    kmalloc_or_not,
    kmalloc_or_wait,
    new_object,
)
from study.zone.settings import StackSource


@kernel
def first_page(z, slot):
    """First virtual page of a process's private memory."""
    return z.process_vpages + slot * PROCESS_PAGES_MAX


@kernel
def owner_slot(z, page):
    """The process whose private memory holds a virtual page."""
    return (page - z.process_vpages) // PROCESS_PAGES_MAX


@kernel
def _prepare_pages(z, slot):
    """Private memory that no process has had yet: few of the slots are ever used."""
    vpage = vpages(z)
    first = first_page(z, slot)
    for page in range(first, first + PROCESS_PAGES_MAX):
        vpage[page].pfn = NO_PFN
        vpage[page].kind = Kind.ANON
        vpage[page].mapped = 1


@kernel
def add_page_table(z, slot, pfn):
    """Let a process hold one more page-table page."""
    process = processes(z)[slot]
    process.table[process.tables] = pfn
    process.tables += 1
    new_object(z, pfn, 0, Kind.PAGE_TABLE)


@kernel
def start(z, slot, stack):
    """A process that has its stack gets page tables and touches its private pages."""
    process = processes(z)[slot]
    process.stack = stack
    z.live += 1
    book(z, z.now + process.lifetime, Event.EXIT, slot)
    singles = z.process_tables
    if stack == NO_PFN:
        singles = min(singles + (1 << z.stack_order), PAGE_TABLES_MAX)
    gfp = gfp_by_lifetime(z, Gfp.KERNEL, process.lifetime)
    for _ in range(singles):
        pfn = allocate_or_wait(z, 0, gfp, Caller.PAGE_TABLE, slot, process.born)
        if pfn >= 0:
            add_page_table(z, slot, pfn)
    first = first_page(z, slot)
    for page in range(first, first + process.pages):
        fault(z, page, True, Caller.USER, process.born)


@kernel
def _release(z, slot):
    process = processes(z)[slot]
    process.alive = 0
    process.next_free = z.process_free
    z.process_free = slot


@kernel
def refuse(z, slot):
    """fork() returns ENOMEM."""
    z.count.forks_refused += 1
    _release(z, slot)


@kernel
def _stack_or_pages(z):
    """A block for the stack if kvmalloc finds one at once; NO_PFN for single pages."""
    if z.stack_source == StackSource.KVMALLOC:
        return kmalloc_or_not(z, z.stack_order, Gfp.KERNEL, Caller.STACK, Kind.STACK)
    return NO_PFN


@kernel
def fork(z):
    """fork() is called; what the process will be like is drawn whether or not it succeeds."""
    lifetime = lognormal(z, Stream.FORK, z.lifetime_median_ns, z.lifetime_sigma)
    pages = min(geometric(z, Stream.FORK, z.process_log), PROCESS_PAGES_MAX)
    book(z, z.now + 1 + exponential(z, Stream.FORK, z.fork_gap_ns), Event.FORK, 0)
    z.count.forks += 1
    slot = z.process_free
    if slot == NO_ROW:
        z.count.forks_refused += 1
        return
    process = processes(z)[slot]
    z.process_free = process.next_free
    if process.born == 0:
        _prepare_pages(z, slot)
    process.stack = NO_PFN
    process.pages = pages
    process.tables = 0
    process.lifetime = lifetime
    process.born += 1
    process.alive = 1
    if z.stack_source != StackSource.KMALLOC:
        start(z, slot, _stack_or_pages(z))
        return
    gfp = gfp_by_lifetime(z, Gfp.KERNEL, lifetime)
    stack = kmalloc_or_wait(z, z.stack_order, gfp, Caller.STACK, Kind.STACK, slot, process.born)
    if stack >= 0:
        start(z, slot, stack)
    elif stack != NO_PFN:
        refuse(z, slot)


@kernel
def exit_process(z, slot):
    """Free all a process has: private pages, page tables, stack (do_exit)."""
    process = processes(z)[slot]
    first = first_page(z, slot)
    for page in range(first, first + process.pages):
        free_user_page(z, page)
        # A fault that still waits will find its process gone.
        vpages(z)[page].state &= ~WAITING
    for i in range(process.tables):
        free_object(z, process.table[i], 0)
    if process.stack != NO_PFN:
        kfree(z, process.stack, z.stack_order)
    z.live -= 1
    z.count.exits += 1
    _release(z, slot)


@kernel
def same_process(z, slot, born):
    """Is the process that asked still the one in this slot?"""
    return processes(z)[slot].alive == 1 and processes(z)[slot].born == born
