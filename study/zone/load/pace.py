"""Load that comes unevenly: rates that hold for a piece of time each, over and over.

A source with a profile has its pieces in the table of paces. A burst of frames is drawn in mean
gaps, which are then laid over the pieces from its beginning on: a Poisson process whose rate is
that of the moment. Touches come at fixed times, so their period changes as each piece begins.
"""

from __future__ import annotations

from study.zone.engine.agenda import book
from study.zone.engine.compile import kernel
from study.zone.engine.dice import exponential
from study.zone.engine.enums import Event, Paced
from study.zone.engine.layout import NEVER, paces

_FINE = 1 << 40
"""A mean gap in such units is drawn as finely as a rate can say."""


@kernel
def _next_piece(z, source):
    """Go on to the next piece of a source."""
    piece = z.pace_piece[source] + 1
    if piece == z.pace_pieces[source]:
        piece = 0
    z.pace_piece[source] = piece
    z.pace_ends[source] += paces(z)[z.pace_first[source] + piece].lasts_ns


@kernel
def _gap_ns(z, source):
    """Mean gap in the piece that a source has come to; 0 if nothing comes."""
    return paces(z)[z.pace_first[source] + z.pace_piece[source]].gap_ns


@kernel
def next_burst(z, source, stream, start, mean_ns):
    """When the next burst begins, after a time (ns) that is no earlier than at the last call.

    mean_ns  mean gap of an even load
    """
    if z.pace_pieces[source] == 0:
        return start + exponential(z, stream, mean_ns)
    gaps = exponential(z, stream, _FINE) / _FINE
    while z.pace_ends[source] <= start:
        _next_piece(z, source)
    at = start
    while True:
        gap = _gap_ns(z, source)
        if gap > 0:
            here = (z.pace_ends[source] - at) / gap
            if gaps < here:
                return at + int(gaps * gap)
            gaps -= here
        at = z.pace_ends[source]
        _next_piece(z, source)


@kernel
def _set_touches(z, left: float):
    """Have the next touch come after such a share of the gap of the piece that begins."""
    gap = _gap_ns(z, Paced.TOUCH)
    z.touch_left = left
    z.touch_period_ns = gap
    z.next_touch = z.now + int(left * gap) if gap > 0 else NEVER
    book(z, z.pace_ends[Paced.TOUCH], Event.TOUCH_PACE, 0)


@kernel
def pace_touches(z):
    """A piece of the touches' profile ends, and the next begins."""
    left = z.touch_left
    if z.touch_period_ns > 0:
        left = (z.next_touch - z.now) / z.touch_period_ns
    _next_piece(z, Paced.TOUCH)
    _set_touches(z, left)


@kernel
def start_touches(z):
    """Begin with the first piece, if touches come unevenly."""
    if z.pace_pieces[Paced.TOUCH] > 0:
        _set_touches(z, 0.0)
