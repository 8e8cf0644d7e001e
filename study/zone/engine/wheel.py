"""Events of the next 67 ms: a wheel of buckets, each a short list of what falls due in 66 us.

Whatever a network card does falls due within milliseconds, and a wheel books and gives out at the
same cost however many wait: there is hardly more than one in a bucket, and a bit for each tells
which is the next that is not empty. Within a bucket the order is that of the agenda: by time, at
equal times as booked. What does not fit is for the heap.
"""

from __future__ import annotations

import numpy as np

from study.zone.engine.compile import kernel
from study.zone.engine.layout import BUCKETS_A_WORD, NO_ROW, NR_BUCKETS, soon_events
from study.zone.engine.table import lowest_bit

_SHIFT = 16
"""A bucket spans 2**16 ns, some 66 us: about a frame of 9,018 bytes on the wire."""
_WORD_SHIFT = 6
_ONE = np.uint64(1)


@kernel(inline=True)
def _bucket_of(time):
    return (time >> _SHIFT) & (NR_BUCKETS - 1)


@kernel(inline=True)
def _bit_of(bucket):
    """In its word of wheel_used."""
    return _ONE << np.uint64(bucket & (BUCKETS_A_WORD - 1))


@kernel
def empty_wheel(z):
    """No event, all rows free."""
    for bucket in range(NR_BUCKETS):
        z.wheel[bucket] = NO_ROW
    for word in range(NR_BUCKETS // BUCKETS_A_WORD):
        z.wheel_used[word] = 0
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
    z.wheel_used[bucket >> _WORD_SHIFT] |= _bit_of(bucket)
    z.nr_soon += 1
    # The newest has the highest seq: at equal times it comes after.
    if z.soon_first == NO_ROW or time < soon[z.soon_first].time:
        z.soon_first = row


@kernel(inline=True)
def _next_used(z, bucket):
    """The first bucket from this one on, and round, that is not empty; there must be one."""
    word = bucket >> _WORD_SHIFT
    # Without the buckets below this one.
    used = z.wheel_used[word] & (np.uint64(0) - _bit_of(bucket))
    while used == 0:
        word = (word + 1) & (NR_BUCKETS // BUCKETS_A_WORD - 1)
        used = z.wheel_used[word]
    return (word << _WORD_SHIFT) + lowest_bit(used)


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
    if z.wheel[bucket] == NO_ROW:
        z.wheel_used[bucket >> _WORD_SHIFT] &= ~_bit_of(bucket)
    if z.nr_soon > 0:
        z.soon_first = _first_of(z, _next_used(z, bucket))
