"""Random numbers: the words of a known generator, and draws of the promised distributions.

Fixed seeds; each test of a distribution would fail a right generator once in 10,000 seeds.
"""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from scipy import stats

from study.zone.engine.dice import (
    below,
    draw,
    exponential,
    geometric,
    log_of_going_on,
    lognormal,
    seed_streams,
    uniform,
)
from study.zone.engine.enums import Stream
from study.zone.engine.layout import NR_STREAMS
from study.zone.engine.record import MACHINE
from study.zone.load.user import alias_table, zipf_rank

ALARM = 1e-4
DRAWS = 20_000


@pytest.fixture
def z() -> np.void:
    """A bare record with its streams seeded."""
    record = np.zeros(1, MACHINE)[0]
    seed_streams(record["dice"], 42, 0)
    return record


@pytest.mark.parametrize("stream", list(Stream))
def test_streams_are_numpys_sfc64(z: np.void, stream: Stream) -> None:
    """Word for word numpy's SFC64 for the same SeedSequence."""
    key = zlib.crc32(stream.name.encode())
    generator = np.random.SFC64(np.random.SeedSequence(42, spawn_key=(0, key)))

    assert [draw(z, int(stream)) for _ in range(100)] == list(generator.random_raw(100))


def test_streams_differ_by_source_and_replicate_and_not_otherwise() -> None:
    """Every (seed, replicate, source) has a stream of its own, the same each time."""
    seeded = []
    for seed, replicate in ((1, 0), (1, 1), (2, 0), (1, 0)):
        dice = np.zeros((NR_STREAMS, 4), np.uint64)
        seed_streams(dice, seed, replicate)
        seeded.append(dice)

    assert np.array_equal(seeded[0], seeded[3])
    assert len({tuple(row) for dice in seeded[:3] for row in dice}) == 3 * NR_STREAMS


def test_uniform_draws_are_uniform(z: np.void) -> None:
    """Kolmogorov and Smirnov's test on (0, 1]."""
    found = [uniform(z, 0) for _ in range(DRAWS)]

    assert stats.kstest(found, "uniform").pvalue > ALARM
    assert min(found) > 0.0
    assert max(found) <= 1.0


def test_bounded_draws_are_uniform(z: np.void) -> None:
    """Chi-square over seven values."""
    counts = np.bincount([below(z, 0, 7) for _ in range(DRAWS)], minlength=7)

    assert counts.size == 7
    assert stats.chisquare(counts).pvalue > ALARM


def test_waiting_times_are_exponential(z: np.void) -> None:
    """Kolmogorov and Smirnov's test against the mean asked for."""
    found = [exponential(z, 0, 10**9) for _ in range(DRAWS)]

    assert stats.kstest(found, "expon", args=(0, 1e9)).pvalue > ALARM


def test_lengths_are_geometric(z: np.void) -> None:
    """Chi-square against stats.geom, the tail in one bin; certain success gives 1."""
    found = np.array([geometric(z, 0, log_of_going_on(4.0)) for _ in range(DRAWS)])
    law = stats.geom(0.25)
    expected = np.append(law.pmf(np.arange(1, 20)), law.sf(19)) * DRAWS
    counts = np.bincount(np.minimum(found, 20), minlength=21)[1:]

    assert found.min() == 1
    assert stats.chisquare(counts, expected).pvalue > ALARM
    assert geometric(z, 0, log_of_going_on(1.0)) == 1


def test_lifetimes_are_lognormal(z: np.void) -> None:
    """Kolmogorov and Smirnov's test on the logarithm."""
    found = np.log([lognormal(z, 0, 10**9, 2.0) for _ in range(DRAWS)])

    assert stats.kstest((found - np.log(1e9)) / 2.0, "norm").pvalue > ALARM


@pytest.mark.parametrize("exponent", [0.0, 0.9, 1.5])
def test_ranks_follow_zipfs_law(z: np.void, exponent: float) -> None:
    """Chi-square of alias draws over 100 ranks."""
    table = alias_table(100, exponent)
    z["alias_at"], z["alias_rows"], z["zipf_rows"] = table.ctypes.data, 100, 100
    counts = np.bincount([zipf_rank(z) for _ in range(DRAWS)], minlength=100)
    weight = np.arange(1, 101) ** -exponent

    assert stats.chisquare(counts, weight / weight.sum() * DRAWS).pvalue > ALARM
