"""What falls due when: events, earliest first, ties in the order of booking.

What is near is on a wheel, the rest in a heap (thousands of slab pages die seconds or minutes
ahead). Where an event waits changes nothing but the time it takes: the next one is the earlier of
the two firsts.

Four children a node: half the levels of a binary heap, and siblings share cache lines. An event
on its way up or down is held aside and the others shift past it, so each is written once.
"""

from __future__ import annotations

from study.zone.engine.compile import kernel
from study.zone.engine.layout import NEVER, NO_ROW, events, soon_events
from study.zone.engine.wheel import drop_from_wheel, fits_wheel, put_on_wheel

_ARITY = 4


@kernel
def _put(z, i, time, seq, what, value):
    event = events(z)
    event[i].time = time
    event[i].seq = seq
    event[i].what = what
    event[i].value = value


@kernel
def _shift(z, target, source):
    event = events(z)
    event[target].time = event[source].time
    event[target].seq = event[source].seq
    event[target].what = event[source].what
    event[target].value = event[source].value


@kernel
def book(z, time, what, value):
    """Have an event happen at a time (ns); returns its seq, by which it can be recognised.

    A full agenda sets z.event_overflow, which verify() reports: the trial is then an error.
    """
    seq = z.next_seq
    z.next_seq += 1
    if fits_wheel(z, time):
        put_on_wheel(z, time, seq, what, value)
        return seq
    i = z.nr_events
    if i >= z.event_rows:
        z.event_overflow = 1
        return seq
    z.nr_events += 1
    event = events(z)
    while i > 0:
        parent = (i - 1) // _ARITY
        # The newest has the highest seq: at equal times it stays below.
        if event[parent].time <= time:
            break
        _shift(z, i, parent)
        i = parent
    _put(z, i, time, seq, what, value)
    return seq


@kernel
def book_again(z, time, seq, what, value):
    """Put an event back that was booked before, with its seq; for refilling the heap."""
    event = events(z)
    i = z.nr_events
    z.nr_events += 1
    while i > 0:
        parent = (i - 1) // _ARITY
        above = event[parent]
        if above.time < time or (above.time == time and above.seq < seq):
            break
        _shift(z, i, parent)
        i = parent
    _put(z, i, time, seq, what, value)


@kernel(inline=True)
def _on_wheel(z):
    """Is the next event on the wheel, not in the heap?"""
    if z.nr_events == 0 or z.soon_first == NO_ROW:
        return z.nr_events == 0
    soon = soon_events(z)[z.soon_first]
    event = events(z)[0]
    return soon.time < event.time or (soon.time == event.time and soon.seq < event.seq)


@kernel(inline=True)
def next_due(z):
    """Time of the earliest event, NEVER if there is none."""
    due = NEVER
    if z.nr_events > 0:
        due = events(z)[0].time
    if z.soon_first != NO_ROW:
        due = min(due, soon_events(z)[z.soon_first].time)
    return due


@kernel(inline=True)
def first_event(z):
    """(time, seq, what, value) of the earliest event; there must be one."""
    if _on_wheel(z):
        soon = soon_events(z)[z.soon_first]
        return soon.time, soon.seq, soon.what, soon.value
    event = events(z)[0]
    return event.time, event.seq, event.what, event.value


@kernel
def _earliest_child(z, parent):
    """The child of a node that is due first; a row past the end if it has none."""
    event = events(z)
    first = parent * _ARITY + 1
    best = first
    for child in range(first + 1, min(first + _ARITY, z.nr_events)):
        if event[child].time < event[best].time or (
            event[child].time == event[best].time and event[child].seq < event[best].seq
        ):
            best = child
    return best


@kernel
def _drop_from_heap(z):
    event = events(z)
    z.nr_events -= 1
    last = z.nr_events
    time, seq = event[last].time, event[last].seq
    what, value = event[last].what, event[last].value
    i = 0
    while True:
        child = _earliest_child(z, i)
        if child >= last:
            break
        if event[child].time > time or (event[child].time == time and event[child].seq > seq):
            break
        _shift(z, i, child)
        i = child
    _put(z, i, time, seq, what, value)


@kernel(inline=True)
def drop_first(z):
    """Remove the earliest event; read it before."""
    if _on_wheel(z):
        drop_from_wheel(z)
    else:
        _drop_from_heap(z)
