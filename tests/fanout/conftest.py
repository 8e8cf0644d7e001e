"""Trials to run, and a Ray to run them on."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from study.fanout import Row, Session, in_process, open_session, prepare_simulation
from study.scenario import Study, load


@pytest.fixture(scope="session")
def tiny(root: Path) -> Study:
    """Four cells, three replicates."""
    return load(root / "tests/fanout/tiny.yaml")


@pytest.fixture(scope="session")
def failing(root: Path) -> Study:
    """Two cells, two replicates; the trials of the second cell raise."""
    return load(root / "tests/fanout/failing.yaml")


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    """A local Ray with two workers."""
    prepare_simulation()
    with open_session(workers=2) as opened:
        yield opened


@pytest.fixture(scope="session")
def expected(tiny: Study) -> dict[tuple[str, int], Row]:
    """What the trials of `tiny` give in one process, by cell and replicate."""
    prepare_simulation()
    return _by_trial(in_process(tiny.trials()))


@pytest.fixture(scope="session")
def by_trial() -> Callable[[Iterable[list[Row]]], dict[tuple[str, int], Row]]:
    """Batches of rows to one row per (cell, replicate); no trial may come twice."""
    return _by_trial


@pytest.fixture(scope="session")
def bits() -> Callable[[Row], tuple[object, ...]]:
    """Everything a row says but how long it took, to the last bit; the series comes last."""
    return _bits


def _by_trial(batches: Iterable[list[Row]]) -> dict[tuple[str, int], Row]:
    rows = [row for batch in batches for row in batch]
    found = {(row.cell, row.replicate): row for row in rows}
    assert len(found) == len(rows), "a trial came back twice"
    return found


def _bits(row: Row) -> tuple[object, ...]:
    values = np.array(list(row.metrics.values())).tobytes()
    series = None if row.series is None else row.series.tobytes()
    words = (row.cell, dict(row.levels), row.replicate, row.seed, row.status, row.error)
    return (*words, list(row.metrics), values, series)
