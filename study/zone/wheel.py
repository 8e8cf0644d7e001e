"""Events of the next 67 ms: a wheel of buckets, each a short list of what falls due in 0.26 ms.

Whatever a network card does falls due within milliseconds, and a wheel books and gives out at the
same cost however many wait: there is hardly more than one in a bucket. Within a bucket the order is
that of the agenda: by time, at equal times as booked. What does not fit is for the heap.
"""

from __future__ import annotations

from study.zone.compile import kernel
from study.zone.layout import NO_ROW, NR_BUCKETS, soon_events

_SHIFT = 18
"""A bucket spans 2**18 ns, some 0.26 ms: a few frames on the wire."""


@kernel(inline=True)
def _bucket_of(time):
    return (time >> _SHIFT) & (NR_BUCKETS - 1)


@kernel
def empty_wheel(z):
    """No event, all rows free."""
    for bucket in range(NR_BUCKETS):
        z.wheel[bucket] = NO_ROW
    for row in range(z.soon_rows):
        soon_events(z)[row].next = row + 1 if row + 1 < z.soon_rows else NO_ROW
    z.soon_free = 0
    z.soon_first = NO_ROW


@kernel(inline=True)
def fits_wheel(z, time):
    """Does the wheel reach to a time (ns), and has it a row left?"""
    ahead = (time >> _SHIFT) - (z.now >> _SHIFT)
    return time >= z.now and ahead < NR_BUCKETS and z.soon_free != NO_ROW


@kernel(inline=True)
def put_on_wheel(z, time, seq, what, value):
    """Add an event that fits."""
    soon = soon_events(z)
    row = z.soon_free
    z.soon_free = soon[row].next
    bucket = _bucket_of(time)
    soon[row].time = time
    soon[row].seq = seq
    soon[row].what = what
    soon[row].value = value
    soon[row].next = z.wheel[bucket]
    z.wheel[bucket] = row
    z.nr_soon += 1
    # The newest has the highest seq: at equal times it comes after.
    if z.soon_first == NO_ROW or time < soon[z.soon_first].time:
        z.soon_first = row


@kernel(inline=True)
def _first_of(z, bucket):
    """The row of a bucket that is due first; the bucket is not empty."""
    soon = soon_events(z)
    first = z.wheel[bucket]
    row = soon[first].next
    while row != NO_ROW:
        if soon[row].time < soon[first].time or (
            soon[row].time == soon[first].time and soon[row].seq < soon[first].seq
        ):
            first = row
        row = soon[row].next
    return first


@kernel(inline=True)
def drop_from_wheel(z):
    """Remove the first event, and look for the next."""
    soon = soon_events(z)
    gone = z.soon_first
    bucket = _bucket_of(soon[gone].time)
    row = z.wheel[bucket]
    if row == gone:
        z.wheel[bucket] = soon[gone].next
    else:
        while soon[row].next != gone:
            row = soon[row].next
        soon[row].next = soon[gone].next
    soon[gone].next = z.soon_free
    z.soon_free = gone
    z.nr_soon -= 1
    z.soon_first = NO_ROW
    if z.nr_soon > 0:
        while z.wheel[bucket] == NO_ROW:
            bucket = (bucket + 1) & (NR_BUCKETS - 1)
        z.soon_first = _first_of(z, bucket)
