"""Random numbers: one SFC64 stream per workload source, its four words kept in the zone record.

SFC64 is Chris Doty-Humphrey's generator from PractRand, as in numpy.random.SFC64: the streams
here give the same 64-bit words as numpy's for the same SeedSequence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from study.zone.engine.compile import kernel
from study.zone.engine.enums import Stream, stream_key, stream_of_request

_TO_UNIT = 1.0 / (1 << 53)


def seed_streams(dice: np.ndarray, seed: int, replicate: int, named: Sequence[str] = ()) -> None:
    """Fill dice (NR_STREAMS or more, 4) u8 from (seed, replicate, name of the stream).

    The policy is not among the keys: all cells of a replicate meet the same workload. The streams
    of requests by name come after the others.
    """
    names = [stream.name for stream in Stream] + [stream_of_request(name) for name in named]
    for stream, name in enumerate(names):
        sequence = np.random.SeedSequence(entropy=seed, spawn_key=(replicate, stream_key(name)))
        dice[stream] = np.random.SFC64(sequence).state["state"]["state"]


@kernel(inline=True)
def draw(z, stream):
    """Next 64 random bits of a stream."""
    a = z.dice[stream, 0]
    b = z.dice[stream, 1]
    c = z.dice[stream, 2]
    counter = z.dice[stream, 3]
    word = a + b + counter
    z.dice[stream, 3] = counter + np.uint64(1)
    z.dice[stream, 0] = b ^ (b >> np.uint64(11))
    z.dice[stream, 1] = c + (c << np.uint64(3))
    z.dice[stream, 2] = ((c << np.uint64(24)) | (c >> np.uint64(40))) + word
    return word


@kernel(inline=True)
def uniform(z, stream):
    """A number in (0, 1]."""
    return (float(draw(z, stream) >> np.uint64(11)) + 1.0) * _TO_UNIT


@kernel(inline=True)
def below(z, stream, bound):
    """A whole number in [0, bound); bias below 2**-32 (Lemire's multiplication, no rejection)."""
    return np.int64(((draw(z, stream) >> np.uint64(32)) * np.uint64(bound)) >> np.uint64(32))


@kernel(inline=True)
def exponential(z, stream, mean):
    """A waiting time, rounded down to whole units; at least 0."""
    return np.int64(-math.log(uniform(z, stream)) * mean)


def log_of_going_on(mean: float) -> float:
    """What geometric() takes for a mean number of trials (at least 1): log(1 - 1 / mean)."""
    ends = 1.0 / mean
    return math.log(1.0 - ends) if ends < 1.0 else -math.inf


@kernel
def geometric(z, stream, log_on: float):
    """Number of trials until one ends it, if each goes on with probability exp(log_on)."""
    return np.int64(1) + np.int64(math.log(uniform(z, stream)) / log_on)


@kernel
def lognormal(z, stream, median, sigma: float):
    """A lognormal time of given median (Box and Muller's normal, two uniforms)."""
    u = uniform(z, stream)
    v = uniform(z, stream)
    normal = math.sqrt(-2.0 * math.log(u)) * math.cos(2.0 * math.pi * v)
    return np.int64(min(median * math.exp(sigma * normal), 4.0e18))
