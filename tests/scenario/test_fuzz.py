r"""Whatever is thrown at a scenario: a study or faults, never a traceback, a hang, half a folder.

A long run, of some 100,000 inputs and a quarter of an hour on an idle machine:

FUZZ_EXAMPLES=50000 HYPOTHESIS_PROFILE=default pytest -o faulthandler_timeout=0 \
    tests/scenario/test_fuzz.py
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from study.cli import main
from study.scenario import ScenarioError, Study
from study.scenario.check import groups, known_keys
from study.scenario.load import unfold_text
from study.scenario.presets import presets
from study.zone.trial.metrics import METRICS

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "150"))
LONGEST_S = 20
LONG = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
)
SHIPPED = sorted((Path(__file__).parents[2] / "scenarios").glob("*.yaml"))

KEYS = st.sampled_from([*known_keys(), *groups(), "nic.mtuu", "card", "policy", "", "a.b.c", "7"])
ODD = st.sampled_from(
    [None, True, False, 0, 1, -1, 3, 64, 9000, 1e99, 0.5, 1e-9, 10**30, "", " ", "off", "1GiB",
     "64MiB", "10ms", "3%", "20/s", "1,5s", "2.6.11", "order-aware", "rmap-evict", "linear",
     "daemon", "nan", ".inf", "1 0 0 0 0 0 0 0 0 0 0", "\x1b[31m", "é", "a" * 300, "0x10", "=",
     "tg3", "page-array", "count-only", "claims", "rx_failures", [], {}, [None], {"a": 1}]
)  # fmt: skip
PRESETS = st.sampled_from([*presets(), "nic/e1000", "mine.yaml", "x.yaml", "../..", "/dev/zero"])
SETTINGS = st.dictionaries(KEYS, ODD | st.dictionaries(KEYS, ODD, max_size=2), max_size=4)
NESTED = st.dictionaries(
    st.sampled_from(sorted(groups())),
    st.dictionaries(st.sampled_from([k.partition(".")[2] for k in known_keys()]), ODD, max_size=3),
    max_size=3,
)
LEVEL = SETTINGS | PRESETS | st.lists(PRESETS | SETTINGS, max_size=2) | st.none()
AXIS = (
    st.lists(ODD, max_size=3)
    | st.dictionaries(st.sampled_from(["a", "b", "2x", "7", "uniform"]), LEVEL, max_size=3)
    | st.lists(PRESETS, max_size=3)
    | st.fixed_dictionaries({"uniform": st.lists(ODD, max_size=3)})
    | ODD
)
CLAIM = st.dictionaries(
    st.sampled_from(["id", "says", "metric", "where", "side", "against", "baseline", "share",
                     "expect", "matters", "odd"]),
    ODD | SETTINGS | st.sampled_from([*METRICS[:3], "more", "same"]) | st.lists(SETTINGS),
    max_size=10,
)  # fmt: skip
SECTIONS: dict[str, st.SearchStrategy[Any]] = {
    "extends": PRESETS | st.lists(PRESETS | ODD, max_size=3),
    "name": ODD,
    "question": ODD,
    "seed": ODD,
    "replicates": ODD
    | st.dictionaries(st.sampled_from(["min", "max", "until"]), ODD | SETTINGS, max_size=3),
    "base": SETTINGS | NESTED | ODD,
    "axes": st.dictionaries(KEYS, AXIS, max_size=4) | ODD,
    "include": st.lists(SETTINGS | ODD, max_size=3) | ODD,
    "exclude": st.lists(SETTINGS | ODD, max_size=3) | ODD,
    "sampling": st.dictionaries(st.sampled_from(["design", "points", "x"]), ODD, max_size=3) | ODD,
    "claims": st.lists(CLAIM | ODD, max_size=2) | ODD,
    "bse": ODD,
}
SCENARIOS = st.fixed_dictionaries({}, optional=SECTIONS)
OVERRIDES = st.lists(
    st.builds(
        lambda key, value: f"{key}={value if isinstance(value, str) else json.dumps(value)}",
        KEYS | st.sampled_from(["replicates", "seed", "name", "sampling.points", "base.nic.mtu"]),
        ODD,
    )
    | st.sampled_from(["", "=", "x", "nic.mtu", "=1", "nic.mtu==1", "card=[a]", "-", "nic.mtu=["]),
    max_size=3,
)


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Fail when the block takes longer."""

    def late(_signal: int, _frame: FrameType | None) -> None:
        raise AssertionError(f"took longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def outcome(text: str, overrides: list[str]) -> Study | ScenarioError:
    """A study, or its faults, each on a line of its own; anything else goes through."""
    try:
        with at_most(LONGEST_S):
            unfolded = unfold_text(text, "mine.yaml", overrides)
            cell = unfolded.study.cells[-1]
            assert len(list(unfolded.settings(cell))) == len(known_keys())
            assert unfolded.fixed() is not None
            return unfolded.study
    except ScenarioError as found:
        error = found
    lines = str(error).splitlines()
    assert len(lines) == len(error.faults) > 0
    assert all(line.isprintable() for line in lines)
    return error


@LONG
@given(scenario=SCENARIOS, overrides=OVERRIDES)
def test_any_scenario_is_a_study_or_has_faults(
    scenario: dict[str, Any], overrides: list[str]
) -> None:
    """Structured nonsense loads or is faulted, in bounded time; what loads does so again."""
    found = outcome(json.dumps(scenario), overrides)

    if isinstance(found, Study):
        again = outcome(json.dumps(found.document), [])
        assert isinstance(again, Study), again
        assert again.cells == found.cells
        assert again.document == found.document


CUTS = st.tuples(st.integers(0, 10**6), st.integers(0, 40), st.text(max_size=6))


@LONG
@given(
    path=st.sampled_from(SHIPPED), cuts=st.lists(CUTS, min_size=1, max_size=3), overrides=OVERRIDES
)
def test_any_damage_to_a_shipped_scenario_is_a_study_or_has_faults(
    path: Path, cuts: list[tuple[int, int, str]], overrides: list[str]
) -> None:
    """Stretches of a real file replaced by anything: the same."""
    text = path.read_text()
    for start, length, instead in cuts:
        at = start % len(text)
        text = text[:at] + instead + text[at + length :]

    assert isinstance(outcome(text, overrides), Study | ScenarioError)


@settings(LONG, max_examples=max(EXAMPLES // 5, 20))
@given(scenario=SCENARIOS, overrides=OVERRIDES, command=st.sampled_from(["run", "plan", "show"]))
def test_the_command_line_refuses_without_a_trace(
    tmp_path_factory: pytest.TempPathFactory,
    scenario: dict[str, Any],
    overrides: list[str],
    command: str,
) -> None:
    """What is faulty ends `study run` with status 2 and lines of text, and leaves no folder."""
    if isinstance(outcome(json.dumps(scenario), overrides), Study):
        return
    folder = tmp_path_factory.mktemp("fuzz")
    file = folder / "mine.yaml"
    file.write_text(json.dumps(scenario))
    more = ["--out", str(folder / "out"), "--no-ray"] if command == "run" else []
    with at_most(LONGEST_S):
        done = CliRunner().invoke(main, [command, *more, "--", str(file), *overrides])

    assert done.exit_code == 2, done.output
    assert isinstance(done.exception, SystemExit)
    assert list(folder.iterdir()) == [file]
