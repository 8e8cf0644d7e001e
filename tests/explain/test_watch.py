"""The zone of `study explain`: the study's own, step by step."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from study.explain import lesson
from study.explain.watch import watch
from study.explain.words import MOMENTS, moments, sentences
from study.zone.settings import Clock, DefragMode, KswapdPolicy
from study.zone.simulate import simulate
from study.zone.trial.observe import free_blocks

MODES = [
    (KswapdPolicy.COUNT_ONLY, DefragMode.RMAP_EVICT),
    (KswapdPolicy.ORDER_AWARE, DefragMode.OFF),
]


@pytest.mark.parametrize(("policy", "defrag"), MODES)
@pytest.mark.parametrize("pages", [64, 256])
def test_watching_changes_nothing(pages, policy, defrag):
    """At every step free lists and pages are those of a trial that nobody watched."""
    told = lesson.settings(pages=pages, policy=policy, defrag=defrag)
    steps = list(watch(told, seed=3, steps=400))
    for step in (steps[50], steps[400]):
        # A trial up to just after this step; its last sample is the state then.
        clock = Clock(ageing_ns=0, measure_ns=step.time_ns + 1, sample_ns=step.time_ns + 1)
        series = simulate(replace(told, clock=clock), seed=3, replicate=0).series
        assert [len(blocks) for blocks in step.lists] == series[-1]["nr_free"].tolist()
        assert step.free == series[-1]["free_pages"]


def test_a_step_agrees_with_itself():
    """In every step the picture, the lists and the count of free pages say the same."""
    for step in watch(lesson.settings(), seed=1, steps=300):
        counts = np.array([len(blocks) for blocks in step.lists])
        assert free_blocks(step.owners).tolist() == counts.tolist()
        assert int((counts << np.arange(11)).sum()) == step.free


@pytest.mark.quick
def test_the_same_seed_gives_the_same_steps():
    """A teacher's seed shows every pupil the same; another seed shows another run."""
    told = lesson.settings()

    def shown(seed: int) -> list[list[str]]:
        return [sentences(step) for step in watch(told, seed=seed, steps=150)]

    assert shown(5) == shown(5)
    assert shown(5) != shown(6)


def test_a_short_run_has_every_moment():
    """The zone shown by default splits, merges, wakes kswapd, refuses, and defragments."""
    found = moments(watch(lesson.settings(), seed=1, steps=512))

    assert set(found) == {moment.name for moment in MOMENTS}
    # Told one after the other, they never lead back in time.
    numbers = [found[moment.name].number for moment in MOMENTS]
    assert numbers == sorted(numbers)


@pytest.mark.parametrize(
    ("pages", "policy"),
    [*product([64, 256], KswapdPolicy), (1024, KswapdPolicy.ORDER_AWARE)],
)
def test_moments_show_what_they_are_called(pages, policy):
    """The kswapd seen woken is at work, rests only after that, and a refusal lacks a block."""
    steps = list(watch(lesson.settings(pages=pages, policy=policy), seed=1, steps=2 * pages))
    found = moments(steps)

    assert found["woken"].grown.wakeups
    assert found["woken"].awake
    assert found["rests"].number > found["woken"].number
    assert sum(found["split"].grown.split) >= 2
    assert sum(found["merge"].grown.formed) >= 2
    if "refused" in found:
        assert sum(found["refused"].grown.failures_order)
        assert found["refused"].free > found["refused"].marks[1]


def test_a_request_for_one_page_splits_from_the_head_of_a_list():
    """A touch that only splits takes the block at the head of the smallest list that has one."""
    seen = 0
    before = None
    for step in watch(lesson.settings(), seed=2, steps=200):
        alone = step.grown.attempts_order == (1,) + (0,) * 10 and not sum(step.grown.formed)
        if before is not None and step.what is None and alone and step.free == before.free - 1:
            order = next(order for order, blocks in enumerate(before.lists) if blocks)
            head = before.lists[order][0]
            assert head in step.changed
            assert list(step.grown.split) == [0] + [1] * order + [0] * (10 - order)
            seen += 1
        before = step
    assert seen > 20


def test_the_defragmenter_takes_the_cheapest_blocks():
    """Of the blocks it could empty, none that it left costs less than one that it took."""
    seen = 0
    for step in watch(lesson.settings(), seed=4, steps=1500):
        taken = [choice.cost for choice in step.choices if choice.taken]
        left = [choice.cost for choice in step.choices if not choice.taken]
        if taken and left:
            seen += 1
            assert max(taken) <= min(left)
    assert seen
