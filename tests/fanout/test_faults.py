"""Trials that kill, take long or are no longer wanted."""

import os
import signal
import time
from dataclasses import replace

import pytest

from study.fanout import Row, Session, on_ray
from study.scenario import Study, Trial


@pytest.mark.slow
def test_a_trial_that_kills_its_process_is_found_out(
    session: Session, tiny: Study, expected, by_trial, bits
):
    """A deadly trial fails alone: those that shared its task are run again and succeed."""

    class Deadly:
        """Settings at whose sight a process dies. Nested, so that workers get it by value."""

        def __getattr__(self, name: str) -> None:
            if name.startswith("__"):  # what pickle asks for
                raise AttributeError(name)
            os.kill(os.getpid(), signal.SIGKILL)

    trials = list(tiny.trials())
    trials[2] = replace(trials[2], cell=replace(trials[2].cell, settings=Deadly()))
    deadly = (trials[2].cell.id, trials[2].replicate)

    found = by_trial(on_ray(trials, session=session, batch=4))

    assert found[deadly].status == "failed"
    assert found[deadly].error == "WorkerCrashedError: its process died 3 times"
    others = expected.keys() - {deadly}
    assert found.keys() - {deadly} == others
    assert all(bits(found[trial]) == bits(expected[trial]) for trial in others)


def test_a_stop_starts_nothing_more(session: Session, tiny: Study):
    """Once told to stop, the fan-out hands over what is done and draws no further trials."""
    drawn: list[Trial] = []
    finished: list[Row] = []

    def endless():
        while True:
            for trial in tiny.trials():
                drawn.append(trial)
                yield trial

    for rows in on_ray(endless(), session=session, batch=1, stop=lambda: bool(finished)):
        finished.extend(rows)
        drawn_at_stop = len(drawn)

    assert finished
    assert len(drawn) == drawn_at_stop


def test_whoever_takes_the_rows_is_not_kept_waiting(session: Session, tiny: Study):
    """While no trial finishes, batches without rows come, so that what is due can be done."""

    class Slow:
        """Settings that a worker takes a second to look at. Nested, so that it travels by value."""

        def __getattr__(self, name: str) -> None:
            if not name.startswith("__"):  # what pickle asks for
                time.sleep(1)
            raise AttributeError(name)

    trial = next(tiny.trials())
    slow = replace(trial, cell=replace(trial.cell, settings=Slow()))
    sizes = [len(rows) for rows in on_ray([slow], session=session, batch=1)]

    assert sizes.index(1) >= 3
    assert set(sizes[: sizes.index(1)]) == {0}


def test_a_slow_batch_comes_back_in_pieces(
    session: Session, tiny: Study, expected, by_trial, bits, monkeypatch
):
    """A task that takes too long hands back what it has; every trial still runs exactly once."""
    monkeypatch.setattr("study.fanout.tasks._OVERRUN", 0.0)

    found = by_trial(on_ray(tiny.trials(), session=session, total=len(tiny)))

    assert all(bits(found[trial]) == bits(expected[trial]) for trial in expected)
