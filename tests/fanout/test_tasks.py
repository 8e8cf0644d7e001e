"""Trials on real Ray workers give what they give in one process."""

import random

import pytest

from study.fanout import Session, in_process, on_ray, open_session, prepare_simulation
from study.scenario import Study


@pytest.fixture(scope="module", params=[1, 2], ids=["one worker", "two workers"])
def any_session(request):
    prepare_simulation()
    with open_session(workers=request.param) as opened:
        yield opened


@pytest.mark.parametrize("batch", [None, 1, 5, 100])
def test_rows_are_the_same_bit_for_bit(
    any_session: Session, tiny: Study, expected, batch, by_trial, bits
):
    """Neither workers nor batch sizes nor the order of the trials change a row."""
    trials = list(tiny.trials())
    random.Random(batch).shuffle(trials)

    found = by_trial(on_ray(trials, session=any_session, total=len(trials), batch=batch))

    assert found.keys() == expected.keys()
    assert all(row.status == "ok" for row in found.values())
    assert all(bits(found[trial]) == bits(expected[trial]) for trial in expected)


def test_replicates_differ(expected, tiny: Study, bits):
    """The comparison above compares something: no two replicates of a cell measured the same."""
    for cell in tiny.cells:
        replicates = [bits(expected[cell.id, number])[-1] for number in range(tiny.replicates)]
        assert len(set(replicates)) == tiny.replicates


def test_a_trial_that_raises_is_a_failed_row(any_session: Session, failing: Study, by_trial, bits):
    """A raising trial says why in one line, and the others have their results."""
    found = by_trial(on_ray(failing.trials(), session=any_session, batch=4))
    here = by_trial(in_process(failing.trials()))

    bad = failing.cells[1].id
    assert {trial for trial, row in found.items() if row.status == "failed"} == {(bad, 0), (bad, 1)}
    row = found[bad, 0]
    assert row.error == "ValueError: the free blocks of memory.buddyinfo do not fit into the zone"
    assert row.metrics == {}
    assert row.series is None
    assert all(bits(found[trial]) == bits(here[trial]) for trial in here)
