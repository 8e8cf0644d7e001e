"""A step in plain sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from study.explain.watch import Step
from study.zone.layout import Caller, Event
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
}


def title(step: Step) -> str:
    """What happened, in a few words."""
    return "The zone at boot" if step.number == 0 else TITLES[step.what]


def sentences(step: Step) -> list[str]:
    """What it did to the lists, and why."""
    if step.number == 0:
        low, high = step.marks[1:]
        return [
            "Free memory lies in blocks of 2^order pages, one list an order.",
            f"kswapd is woken at {low} free pages or fewer and rests above {high}.",
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
        f"pages to move: {_listed([f'{c.pfn} ({c.cost})' for c in taken])}; "
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


MOMENTS = (
    ("boot", "At the start"),
    ("split", "A split"),
    ("merge", "A merge"),
    ("woken", "kswapd is woken"),
    ("rests", "kswapd rests"),
    ("refused", "Free, but useless"),
    ("defrag", "The defragmenter's choice"),
)
"""What a short run shows, in the order in which a lesson takes it."""


def moments(steps: Iterable[Step]) -> dict[str, Step]:
    """The first step that shows each of MOMENTS best."""
    found: dict[str, Step] = {}
    for step in steps:
        grown = step.grown
        shows = {
            "boot": step.number == 0,
            "split": sum(grown.split) >= 2 and not sum(grown.formed),
            "merge": sum(grown.formed) >= 2 and not sum(grown.split),
            "woken": grown.wakeups > 0,
            "rests": step.was_awake and not step.awake,
            "refused": step.free > step.marks[1]
            and any(
                n and not has_block(step, order) for order, n in enumerate(grown.failures_order)
            ),
            "defrag": any(choice.taken for choice in step.choices),
        }
        for name, shown in shows.items():
            if shown:
                found.setdefault(name, step)
        if len(found) == len(MOMENTS):
            break
    return found
