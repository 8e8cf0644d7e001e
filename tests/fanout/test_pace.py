"""How many trials a task holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.fanout import Pace

pytestmark = pytest.mark.quick

SECONDS = st.floats(min_value=0, max_value=1e4, allow_nan=False)


@given(
    tasks=st.lists(st.lists(SECONDS, max_size=20), max_size=20),
    cores=st.integers(0, 10_000),
    remaining=st.none() | st.integers(1, 10**9),
)
def test_every_task_holds_a_trial(tasks, cores, remaining):
    """Whatever was measured, a task holds at least one trial and leaves the other cores some."""
    pace = Pace()
    for task in tasks:
        pace.measured(task)

    size = pace.size(cores=cores, remaining=remaining)

    assert size >= 1
    if remaining is not None:
        assert (size - 1) * max(cores, 1) < remaining


@given(seconds=st.floats(min_value=1e-3, max_value=1.0))
def test_tasks_grow_to_the_aim(seconds):
    """With trials of equal length a task holds about one second of work."""
    pace = Pace(aim_s=1.0)
    assert pace.size(cores=2, remaining=None) == 1

    pace.measured([seconds])

    work = pace.size(cores=2, remaining=None) * seconds
    assert work * (1 + 1e-9) >= 1.0
    assert work < 1.0 + seconds + 1e-9


def test_a_new_speed_is_learnt():
    """After slow trials follow fast ones the size follows."""
    pace = Pace()
    pace.measured([1.0])
    for _ in range(30):
        pace.measured([0.01] * 10)

    assert 90 <= pace.size(cores=2, remaining=None) <= 100


def test_a_fixed_size_stays():
    """A size that was asked for is not adapted."""
    pace = Pace(fixed=7)
    pace.measured([100.0])

    assert pace.size(cores=64, remaining=1) == 7


def test_on_thousands_of_cores_tasks_grow():
    """However many cores there are, the driver is asked for no more than 300 tasks a second."""
    pace = Pace()
    pace.measured([0.5])

    for cores in (1, 2, 300, 3_000, 10_000):
        work_s = 0.5 * pace.size(cores=cores, remaining=None)
        assert cores / work_s <= 300
        assert work_s >= 1
    assert pace.size(cores=300, remaining=None) == 2
