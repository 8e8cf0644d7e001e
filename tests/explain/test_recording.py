"""The recorded run of `study explain`, held against the compiled zone."""

from __future__ import annotations

import pytest

from study.explain.lesson import settings
from study.explain.recording import FILE, SEED, STEPS, recorded, text_of
from study.explain.step import Step
from study.explain.watch import watch


@pytest.fixture(scope="module")
def simulated() -> list[Step]:
    """The steps of the zone as it is today."""
    return list(watch(settings(), seed=SEED, steps=STEPS))


def fields(step: Step) -> dict[str, object]:
    return vars(step) | {"owners": step.owners.tolist()}


@pytest.mark.quick
def test_the_recording_is_what_the_zone_does(simulated):
    """Every field of every recorded step is the compiled zone's; if not: python docs/explain.py."""
    played = list(recorded())

    assert len(played) == STEPS + 1
    for one, other in zip(played, simulated, strict=True):
        assert fields(one) == fields(other)


def test_the_file_is_what_the_command_writes(simulated):
    """`python docs/explain.py` would change nothing."""
    assert FILE.read_text(encoding="utf-8") == text_of(simulated)


def test_some_steps_are_the_first_ones():
    """A shorter recording is the beginning of the longer one."""
    assert [fields(step) for step in recorded(7)] == [fields(step) for step in recorded()][:8]
