"""Workers and nodes are lost while trials run; the rows are those of an undisturbed run."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

from study.fanout import Limits, Row, Session, in_process, on_ray, open_session
from study.scenario import Study, load


@pytest.fixture(scope="module")
def longer(root: Path) -> Study:
    """The tiny study with trials of some tens of milliseconds, forty of them."""
    return load(root / "tests/fanout/tiny.yaml", ["replicates=10", "clock.measure=3s"])


@pytest.fixture(scope="module")
def undisturbed(longer: Study, by_trial) -> dict[tuple[str, int], Row]:
    return by_trial(in_process(longer.trials()))


def workers_at_work() -> set[int]:
    """Processes that are running a batch, as their names say."""
    found = set()
    for name in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if name.read_bytes().startswith(b"ray::_run_batch"):
                found.add(int(name.parent.name))
        except OSError:  # it has just ended
            continue
    return found


@contextmanager
def meanwhile(act: Callable[[], bool]) -> Iterator[list[bool]]:
    """Do something again and again, until it says that it is done or the block ends."""
    over = threading.Event()
    done: list[bool] = []

    def keep_trying() -> None:
        while not over.is_set() and not done:
            if act():
                done.append(True)
            time.sleep(0.005)

    thread = threading.Thread(target=keep_trying)
    thread.start()
    try:
        yield done
    finally:
        over.set()
        thread.join()


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_of_a_task(
    session: Session, longer: Study, undisturbed, by_trial, bits
):
    """The batch of a killed worker is run again elsewhere, and no row is missing or twice."""
    before = workers_at_work()

    def kill_one() -> bool:
        new = workers_at_work() - before
        for pid in new:
            os.kill(pid, signal.SIGKILL)
        return bool(new)

    with meanwhile(kill_one) as killed:
        found = by_trial(on_ray(longer.trials(), session=session, total=len(longer), batch=4))

    assert killed
    assert {row.status for row in found.values()} == {"ok"}
    assert found.keys() == undisturbed.keys()
    assert all(bits(found[trial]) == bits(undisturbed[trial]) for trial in undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize(
    "limits",
    [
        pytest.param(Limits(), id="no limits", marks=pytest.mark.nightly(part="ray")),
        pytest.param(Limits(time_s=60), id="time limit", marks=pytest.mark.nightly(part="ray")),
    ],
)
def test_a_node_lost_and_another_joining(longer: Study, undisturbed, by_trial, bits, limits):
    """A cluster that loses the node at work, and gets a new one, still gives every row once.

    With one trial a task as well, and with limits: that its node went is no fault of a trial.
    """
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 0,
            "include_dashboard": False,
            "object_store_memory": 100_000_000,
        },
    )
    try:
        doomed = cluster.add_node(num_cpus=1, object_store_memory=100_000_000)
        with open_session(address=cluster.address) as session:
            found: list[list[Row]] = []
            replaced = False
            for rows in on_ray(longer.trials(), session=session, batch=1, limits=limits):
                found.append(rows)
                if rows and not replaced:
                    cluster.remove_node(doomed, allow_graceful=False)
                    cluster.add_node(num_cpus=1, object_store_memory=100_000_000)
                    replaced = True
    finally:
        cluster.shutdown()
    by_key = by_trial(found)

    assert replaced
    assert by_key.keys() == undisturbed.keys()
    assert all(bits(by_key[trial]) == bits(undisturbed[trial]) for trial in undisturbed)


@pytest.mark.nightly(part="ray")
@pytest.mark.slow
def test_a_trial_that_never_comes_to_the_point_is_ended(
    session: Session, tiny: Study, expected, by_trial, bits
):
    """A trial that does not even look at the clock has its process ended; the others are kept."""
    from dataclasses import replace

    class Endless:
        """Settings whose reading takes for ever. Nested, so that workers get it by value."""

        def __getattr__(self, name: str) -> None:
            if name.startswith("__"):  # what pickle asks for
                raise AttributeError(name)
            while True:
                pass

    trials = list(tiny.trials())
    trials[2] = replace(trials[2], cell=replace(trials[2].cell, settings=Endless()))
    stuck = (trials[2].cell.id, trials[2].replicate)

    found = by_trial(on_ray(trials, session=session, batch=4, limits=Limits(time_s=10)))

    assert found[stuck].error == "WorkerCrashedError: its process died 2 times"
    others = expected.keys() - {stuck}
    assert {found[trial].error for trial in others} == {""}
    assert all(bits(found[trial]) == bits(expected[trial]) for trial in others)
