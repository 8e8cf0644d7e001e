"""Trials that kill, take long or are no longer wanted."""

import os
import signal
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
    assert found[deadly].error == "WorkerCrashedError: its process died 4 times"
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


def test_a_slow_batch_comes_back_in_pieces(
    session: Session, tiny: Study, expected, by_trial, bits, monkeypatch
):
    """A task that takes too long hands back what it has; every trial still runs exactly once."""
    monkeypatch.setattr("study.fanout.tasks._OVERRUN", 0.0)

    found = by_trial(on_ray(tiny.trials(), session=session, total=len(tiny)))

    assert all(bits(found[trial]) == bits(expected[trial]) for trial in expected)
