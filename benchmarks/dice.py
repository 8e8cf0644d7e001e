"""Random numbers and Zipf draws, each in a loop that sums them."""

from __future__ import annotations

import statistics
import time

import numpy as np
from numba import njit

from benchmarks.measure import ROUNDS, Row, interleaved

DRAWS = 5_000_000


def _loops():
    """Kernels (z, n) that draw n times, by what they draw."""
    from study.zone.engine.dice import below, draw, exponential
    from study.zone.engine.table import BOUNDSCHECK
    from study.zone.load.user import zipf_rank

    options = {"error_model": "numpy", "boundscheck": BOUNDSCHECK}

    @njit(**options)
    def words(z, n):
        total = np.uint64(0)
        for _ in range(n):
            total += draw(z, 0)
        return total

    @njit(**options)
    def whole(z, n):
        total = 0
        for _ in range(n):
            total += below(z, 0, 1000)
        return total

    @njit(**options)
    def waits(z, n):
        total = 0
        for _ in range(n):
            total += exponential(z, 0, 1000)
        return total

    @njit(**options)
    def ranks(z, n):
        total = 0
        for _ in range(n):
            total += zipf_rank(z)
        return total

    return {
        "a word (SFC64)": words,
        "a whole number below a bound": whole,
        "an exponential wait": waits,
        "a Zipf rank": ranks,
    }


def measure(rounds: int = ROUNDS) -> list[Row]:
    """Rows of the table: nanoseconds a draw, the loop included."""
    from study.zone.settings import Settings
    from study.zone.trial.zone import Zone

    zone = Zone(Settings(), empty=True)
    generator = np.random.Generator(np.random.SFC64(1))

    def timed(kernel):
        def run() -> float:
            started = time.process_time()
            kernel(zone.state, DRAWS)
            return time.process_time() - started

        return run

    def numpy_words() -> float:
        started = time.process_time()
        generator.random(DRAWS)
        return time.process_time() - started

    took = interleaved(
        {
            **{name: timed(loop) for name, loop in _loops().items()},
            "numpy's uniform, in bulk": numpy_words,
        },
        rounds,
    )
    goals = {"a word (SFC64)": 2.0, "a Zipf rank": 4.0}
    return [
        Row(
            f"draw: {name}", 1e9 * statistics.median(times) / DRAWS, "ns", goal=goals.get(name, 0.0)
        )
        for name, times in took.items()
    ]
