"""Two extensions of the fragmentation study: a policy of reclaim, and a load."""

from numba import njit

from study.zone.extension import (
    BEGIN,
    NO_PFN,
    SOURCE,
    Flag,
    exponential,
    frames,
    give,
    later,
    newer,
    take,
    traffic_source,
    victim_selector,
)

SECOND = 1_000_000_000


@njit
def idle(z, pfn):
    """Has the page not been used since reclaim last looked?"""
    return (frames(z)[pfn].flags & (Flag.REFERENCED | Flag.YOUNG)) == 0


@victim_selector("low-addresses")
def low_addresses(z, pfn):
    """Of the oldest inactive pages that are idle, the one with the lowest address.

    Memory then empties from below, so that freed pages lie together more often.
    numbers[0]  how many of the oldest to choose from
    """
    best = pfn
    for _ in range(int(z.numbers[0]) - 1):
        pfn = newer(z, pfn)
        if pfn == NO_PFN:
            break
        if pfn < best and idle(z, pfn):
            best = pfn
    return best


@traffic_source("camera")
def camera(z, value):
    """Pictures come at random; each needs one contiguous buffer until it has been stored.

    numbers[1]  pictures a second
    numbers[2]  order of the buffer
    numbers[3]  mean time until it is given back, in seconds
    """
    if value not in (BEGIN, ARRIVAL):
        give(z, value - BUFFER, int(z.numbers[2]))
        return 0
    later(z, exponential(z, SOURCE, SECOND / z.numbers[1]), ARRIVAL)
    if value == ARRIVAL:
        # Drawn even if there is no memory, so that every policy meets the same pictures.
        kept = exponential(z, SOURCE, SECOND * z.numbers[3])
        pfn = take(z, int(z.numbers[2]))
        if pfn != NO_PFN:
            later(z, kept, BUFFER + pfn)
    return 0


ARRIVAL = 0
BUFFER = 1
"""Added to the pfn of a buffer, so that it is never 0."""
