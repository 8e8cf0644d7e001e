"""A step in plain sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from study.explain.step import Step
from study.zone.engine.enums import Caller, Event
from study.zone.settings import NR_ORDERS, KswapdPolicy

TITLES: dict[Event | None, str] = {
    None: "A program touches a page",
    Event.KSWAPD: "kswapd works",
    Event.DEFRAG: "The defragmenter's turn",
    Event.SLAB_ARRIVAL: "The kernel needs a slab page",
    Event.SLAB_DEATH: "A slab page is done with",
    Event.FORK: "A process starts",
    Event.EXIT: "A process ends",
    Event.RX_FRAME: "The network card receives a frame",
    Event.RX_RETURN: "A received frame has been read",
    Event.RX_WATCHDOG: "The network card's driver looks at its ring",
    Event.TX_FRAME: "A frame is to be sent",
    Event.TX_DONE: "A frame has been sent",
    Event.RETRY: "A waiting request tries again",
    Event.WRITE_DONE: "A write to disk ends",
    Event.PDFLUSH: "pdflush writes dirty pages",
    Event.REAP: "Idle kernel objects are reaped",
    Event.DRIFT: "Programs turn to other files",
    Event.DELETE: "A file is deleted",
    Event.KCOMPACTD: "kcompactd works",
    Event.PROACTIVE: "kcompactd looks around",
    Event.HUGE_ARRIVAL: "A program could do with a huge page",
    Event.HUGE_DEATH: "A huge page is given back",
    Event.SOURCE: "A traffic source of somebody else's acts",
    Event.REQUEST_ARRIVAL: "A request by name comes",
    Event.REQUEST_END: "A request by name gives its memory back",
    Event.ACTION: "An administrator acts",
    Event.TRACE_REQUEST: "A recorded request is made again",
    Event.TRACE_BLOCK: "A piece of the recorded load begins",
    Event.TRACE_END: "A recorded block is given back",
    Event.TOUCH_PACE: "Programs become busier or calmer",
}

_CALLERS = {
    Caller.USER: "a program",
    Caller.STACK: "a kernel stack",
    Caller.PAGE_TABLE: "a page table",
    Caller.SLAB: "the slab allocator",
    Caller.RX: "the card's receive ring",
    Caller.TX: "the card's send path",
    Caller.MIGRATION: "the defragmenter",
    Caller.HUGE: "a program that wants a huge page",
    Caller.SOURCE: "a traffic source of somebody else's",
    Caller.REQUEST: "a request by name",
    Caller.TRACE: "a recorded load",
}


def title(step: Step) -> str:
    """What happened, in a few words."""
    return "The zone at boot" if step.number == 0 else TITLES[step.what]


def sentences(step: Step) -> list[str]:
    """What it did to the lists, and why."""
    if step.number == 0:
        low, high = step.marks[1:]
        return [
            f"Free are {step.free} of {len(step.owners)} pages; the kernel has taken its own.",
            f"The watermarks: kswapd is woken at {low} free pages or fewer and rests above {high}.",
        ]
    return [*_requests(step), *_splits(step), *_merges(step), *_kswapd(step), *_defrag(step)]


def _requests(step: Step) -> Iterator[str]:
    grown = step.grown
    orders = [order for order, n in enumerate(grown.attempts_order) if n]
    callers = [_CALLERS[caller] for caller in Caller if grown.attempts[caller]]
    if callers:
        wanted = " and ".join(
            _block(order)
            if grown.attempts_order[order] == 1
            else f"{grown.attempts_order[order]} blocks of order {order}"
            for order in orders
        )
        yield f"Asked for: {wanted}, by {_listed(callers)}."
    for order, n in enumerate(grown.failures_order):
        if not n:
            continue
        if grown.runs:
            # What is free by now is the defragmenter's work.
            yield f"Refused: {_block(order)}; none was free."
            continue
        why = _largest(step)
        if has_block(step, order):
            why = f"that would leave fewer than the mark allows (low is {step.marks[1]})"
        yield f"Refused, with {step.free} pages free: {_block(order)}; {why}."
    if sum(grown.stalls):
        yield "The request has to wait: it reclaims pages itself, then tries again."


def _splits(step: Step) -> Iterator[str]:
    orders = [order for order in reversed(range(NR_ORDERS)) if step.grown.split[order]]
    if orders:
        yield (
            f"Split: no smaller block was free, so {_listed([_block(o) for o in orders])} "
            f"{'is' if len(orders) == 1 else 'are'} halved; the upper half goes to its list."
        )


def _merges(step: Step) -> Iterator[str]:
    orders = [order for order in range(NR_ORDERS) if step.grown.formed[order]]
    if orders:
        yield f"Merged: two free buddies each became {_listed([_block(o) for o in orders])}."


def _kswapd(step: Step) -> Iterator[str]:
    grown, (_, low, high) = step.grown, step.marks
    counting = step.policy == KswapdPolicy.COUNT_ONLY
    if grown.wakeups:
        why = (
            f"free pages are down to the low mark ({low})"
            if counting or step.free <= low
            else f"too little of the free memory serves order {step.order_wanted}"
        )
        yield f"kswapd is woken: {why}."
    elif grown.refused:
        why = (
            f"it only counts, and saw more free pages than the low mark ({low})"
            if counting
            else "enough free memory lies in blocks that can serve"
        )
        yield f"kswapd is called but stays at rest: {why}."
    if grown.reclaimed or (step.what == Event.KSWAPD and grown.scanned):
        yield (
            f"Reclaim looked at {grown.scanned} pages, oldest first, and freed {grown.reclaimed}, "
            "wherever they lie."
        )
    if grown.wakeups and not step.awake:
        yield f"kswapd rests again at once: {step.free} pages are free by now (high is {high})."
    if step.was_awake and not step.awake:
        why = (
            f"{step.free} pages are free, above the high mark ({high})"
            if step.free > high
            else "it has been through the lists"
        )
        tail = "; it does not look at their order" if counting else ""
        yield f"kswapd rests: {why}{tail}."


def _defrag(step: Step) -> Iterator[str]:
    grown = step.grown
    if not grown.runs:
        return
    taken = [choice for choice in step.choices if choice.taken]
    moved = grown.evicted + grown.migrated
    verb = "evicted" if grown.evicted else "moved"
    if not taken:
        yield "It finds no block that it could empty, or none that is worth its pages."
        return
    yield (
        f"Of {len(step.choices)} blocks that could be emptied it takes those with the fewest "
        f"pages in the way: {_listed([f'at {c.pfn} ({c.cost})' for c in taken])}; "
        f"{moved} pages {verb}."
    )


def _block(order: int) -> str:
    return f"an order-{order} block ({1 << order} page{'s' * (order > 0)})"


def _largest(step: Step) -> str:
    orders = [order for order in range(NR_ORDERS) if step.lists[order]]
    return f"the largest free block is of order {orders[-1]}" if orders else "no block is left"


def has_block(step: Step, order: int) -> bool:
    """Is there, after the step, a free block of this order or larger?"""
    return any(step.lists[order:])


def _listed(words: Iterable[str]) -> str:
    given = list(words)
    return " and ".join([", ".join(given[:-1]), given[-1]] if len(given) > 1 else given)


@dataclass(frozen=True)
class Moment:
    """A kind of step that a lesson stops at, and what there is to learn from it."""

    name: str
    label: str
    lesson: str


MOMENTS = (
    Moment(
        "boot",
        "At the start",
        "A zone is a stretch of memory in pages of 4 KiB. What is free lies in blocks: a block of "
        "order n is 2^n pages side by side, beginning at a multiple of its size. There is a list "
        "of free blocks for each order.",
    ),
    Moment(
        "split",
        "A split",
        "Who asks for an order gets a block of just that order. If only larger ones are free, one "
        "is halved until it fits; the halves left over go to the lists of smaller orders.",
    ),
    Moment(
        "merge",
        "A merge",
        "The two halves of a block are buddies. When one is freed and the other is free as well, "
        "they become one block again, and so on upwards. A single page in use, anywhere in a "
        "block, prevents that.",
    ),
    Moment(
        "woken",
        "kswapd is woken",
        "Programs fill memory until hardly any is free. Three watermarks say how little: at low, "
        "kswapd is woken, a thread of the kernel that frees the pages used longest ago; below "
        "min, who asks and may wait has to free pages itself.",
    ),
    Moment(
        "rests",
        "kswapd rests",
        "At the third mark, high, kswapd stops. It frees pages by their age and not by their "
        "place, so what it frees lies scattered, and few buddies meet.",
    ),
    Moment(
        "refused",
        "Free, but useless",
        "This is fragmentation: pages enough are free, but not enough of them side by side. A "
        "network card that needs one block for a frame loses the frame.",
    ),
    Moment(
        "defrag",
        "The defragmenter's choice",
        "A cure: take the block that the fewest pages keep from being free, find out who uses "
        "them (the reverse map knows), and throw out or move just those.",
    ),
)
"""What a short run shows, in the order in which a lesson takes it."""


def moments(steps: Iterable[Step]) -> dict[str, Step]:
    """The first step that shows each of MOMENTS best, by name."""
    found: dict[str, Step] = {}
    second: dict[str, Step] = {}
    for step in steps:
        grown = step.grown
        taken = any(choice.taken for choice in step.choices)
        shows = {
            "boot": step.number == 0,
            "split": sum(grown.split) >= 2 and not sum(grown.formed),
            "merge": sum(grown.formed) >= 2 and not sum(grown.split),
            "woken": grown.wakeups > 0 and step.awake,
            "rests": step.was_awake and not step.awake,
            "refused": step.free > step.marks[1]
            and any(
                n and not has_block(step, order) for order, n in enumerate(grown.failures_order)
            ),
            # A cure comes after what it cures: nobody is led back in time.
            "defrag": taken and "refused" in found,
        }
        for name, shown in shows.items():
            if shown:
                found.setdefault(name, step)
        if grown.wakeups:
            # Woken, and at rest again before the step was over.
            second.setdefault("woken", step)
        if taken:
            second.setdefault("defrag", step)
        if len(found) == len(MOMENTS):
            break
    return second | found
