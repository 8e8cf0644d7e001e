"""What falls due when: a binary heap of events, earliest first, ties in the order of booking."""

from __future__ import annotations

from study.zone.compile import kernel
from study.zone.layout import NEVER, events


@kernel
def _earlier(z, i, j):
    event = events(z)
    if event[i].time != event[j].time:
        return event[i].time < event[j].time
    return event[i].seq < event[j].seq


@kernel
def _swap(z, i, j):
    event = events(z)
    time, seq, what, value = event[i].time, event[i].seq, event[i].what, event[i].value
    event[i].time, event[i].seq = event[j].time, event[j].seq
    event[i].what, event[i].value = event[j].what, event[j].value
    event[j].time, event[j].seq, event[j].what, event[j].value = time, seq, what, value


@kernel
def book(z, time, what, value):
    """Have an event happen at a time (ns); returns its seq, by which it can be recognised.

    A full agenda sets z.event_overflow, which verify() reports: the trial is then an error.
    """
    event = events(z)
    seq = z.next_seq
    z.next_seq += 1
    i = z.nr_events
    if i >= z.event_rows:
        z.event_overflow = 1
        return seq
    z.nr_events += 1
    event[i].time = time
    event[i].seq = seq
    event[i].what = what
    event[i].value = value
    while i > 0:
        parent = (i - 1) >> 1
        if not _earlier(z, i, parent):
            break
        _swap(z, i, parent)
        i = parent
    return seq


@kernel
def next_due(z):
    """Time of the earliest event, NEVER if there is none."""
    if z.nr_events == 0:
        return NEVER
    return events(z)[0].time


@kernel
def drop_first(z):
    """Remove the earliest event; read its row before."""
    z.nr_events -= 1
    last = z.nr_events
    if last == 0:
        return
    _swap(z, 0, last)
    i = 0
    while True:
        child = 2 * i + 1
        if child >= last:
            break
        if child + 1 < last and _earlier(z, child + 1, child):
            child += 1
        if not _earlier(z, child, i):
            break
        _swap(z, i, child)
        i = child
