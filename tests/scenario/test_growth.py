"""Loading takes time in proportion to the scenario, whatever is in it, right or wrong.

No time is compared with a clock's idea of fast, only with that of a scenario a quarter of the size.
"""

from __future__ import annotations

import time

import pytest

from study.scenario import ScenarioError
from study.scenario.errors import FAULTS_MOST, did_you_mean
from study.scenario.load import unfold_text
from study.scenario.matrix import MAX_CELLS, combinations, idle_excludes, idle_includes
from tests.by_night import sampled

SIDES = "metric: rx_success_ratio, side: {nic.ring: 64}, against: {nic.ring: 128}"


def lines(count: int, line: str) -> str:
    """A line for each number, with the number in it."""
    return "".join(line.replace("#", str(64 + number)) + "\n" for number in range(count))


def levels(count: int, level: str = "#") -> str:
    """An axis of so many levels."""
    listed = ", ".join(level.replace("#", str(64 + number)) for number in range(count))
    return f"axes:\n  nic.ring: [{listed}]\n"


SHAPES = {
    "unknown keys of a group": lambda n: "base:\n  nic:\n" + lines(n, "    key#: 1"),
    "unknown dotted keys": lambda n: "base:\n" + lines(n, "  nic.key#: 1"),
    "unknown keys of the study": lambda n: lines(n, "key#: 1"),
    "unknown axes": lambda n: "axes:\n" + lines(n, "  key#.x: [1]"),
    "wrong levels": lambda n: levels(n, "x#"),
    "the same level": lambda n: levels(n, "64"),
    "too many levels": lambda n: levels(MAX_CELLS + n),
    "excludes of no level": lambda n: levels(2_000) + "exclude:\n" + lines(n, "  - {nic.ring: -#}"),
    "includes of no level": lambda n: (
        "axes: { card: { a: { nic.mtu: 1500 }, b: { nic.mtu: 9000 } } }\ninclude:\n"
        + lines(n, "  - {card: x#}")
    ),
    "claims that are none": lambda n: "claims:\n" + lines(n, "  - {idd: c#, sayss: x}"),
    "claims of no level": lambda n: (
        levels(500)
        + "claims:\n"
        + lines(min(n, 900), f"  - {{id: c#, says: x, expect: more, matters: 1, {SIDES}1}}")
    ),
    "sides that no cell has": lambda n: (
        levels(500)
        + "claims:\n  - {id: c, says: x, expect: more, matters: 1, metric: rx_success_ratio, "
        + f"side: {{nic.ring: 64}}, against: [{', '.join(['{nic.ring: 1}'] * (n // 9))}]}}\n"
    ),
    "unknown axes of a claim": lambda n: (
        levels(100)
        + "claims:\n  - {id: c, says: x, expect: more, matters: 1, "
        + f"{SIDES}, where: {{{', '.join(f'nic.wring{i}: 1' for i in range(n))}}}}}\n"
    ),
    "keys twice": lambda n: "base:\n" + lines(n, "  nic: {}"),
    "extended presets": lambda n: (
        "extends:\n" + lines(n, "  - policy/stock") + "axes:\n  a: {x: {}}"
    ),
    "extended names": lambda n: "extends:\n" + lines(n, "  - policy/stock#"),
    "clashing axes": lambda n: "axes:\n" + lines(n, "  a#: {x: {nic.mtu: 1500}}"),
    "a long list": lambda n: f"base: {{zone: {{buddyinfo: [{'1, ' * n}1]}}}}",
}


def seconds(text: str) -> float:
    """Of processor time until a scenario is refused: the least of two tries."""
    taken = []
    for _ in range(2):
        start = time.process_time()
        with pytest.raises(ScenarioError) as error:
            unfold_text(text, "large.yaml")
        taken.append(time.process_time() - start)
        assert len(error.value.faults) <= FAULTS_MOST + 1
    return min(taken)


@pytest.mark.parametrize("shape", sampled(SHAPES, every=3))
def test_a_large_faulty_scenario_is_refused_in_time_that_grows_with_it(shape: str):
    """Four times as large: at most some four times as long, where squares would be sixteen."""
    small, large = (seconds(SHAPES[shape](count)) for count in (1_000, 4_000))

    assert large < 9 * small + 0.3


def test_of_very_many_faults_the_first_are_told():
    """Two hundred and a line that says so; they come in the order of the file."""
    with pytest.raises(ScenarioError) as error:
        unfold_text(lines(5_000, "key#: 1"), "large.yaml")

    told = str(error.value).splitlines()
    assert len(told) == FAULTS_MOST + 1
    assert told[0].startswith("large.yaml:1:1: key64 is not a key")
    assert told[-1] == "large.yaml: and more; the first 200 are told"


def test_an_axis_of_40_000_levels_is_refused_with_its_size():
    """What is said is how many cells there would be, and how many there may be."""
    with pytest.raises(ScenarioError, match=r"combine into 40,000 cells; at most 10,000"):
        unfold_text(levels(40_000), "large.yaml")


def test_cells_are_counted_with_include_and_points(monkeypatch):
    """What include adds is multiplied by the points that are drawn, before any cell is made."""
    text = (
        "axes: {user.zipf: {uniform: [0.6, 1.2]}}\nsampling: {design: sobol, points: 8192}\n"
        "include:\n" + lines(90, "  - {nic.ring: #}")
    )
    with pytest.raises(ScenarioError, match=r"737,280 cells \(90 of 8,192 points each\); at most"):
        unfold_text(text, "large.yaml")
    monkeypatch.setattr("study.scenario.matrix.MAX_CELLS", 100)
    with pytest.raises(ScenarioError, match=r"combine into 110 cells \(110\); at most 100"):
        unfold_text(levels(20) + "include:\n" + lines(90, "  - {nic.ring: 5#}"), "large.yaml")
    monkeypatch.setattr("study.scenario.matrix.MAX_LAID_OVER", 1_000)
    with pytest.raises(ScenarioError, match=r"include has 60 entries for 20 combinations"):
        unfold_text(levels(20) + "include:\n" + lines(60, "  - {nic.mtu: 15#}"), "large.yaml")


def sides(claims: int, count: int) -> str:
    """So many claims, each against as many sides; each side is half of the cells."""
    side = "{nic.receive: page-array}"
    return "claims:\n" + lines(
        claims,
        "  - {id: c#, says: x, expect: more, matters: 1, metric: rx_success_ratio, "
        f"side: {{nic.receive: linear}}, against: [{', '.join([side] * count)}]}}",
    )


def test_claims_are_compared_with_so_many_cells_and_no_more(monkeypatch):
    """A claim has at most a thousand sides, and all together look at cells so often."""
    axes = levels(100) + "  nic.receive: [linear, page-array]\n"
    with pytest.raises(ScenarioError, match=r"against has 1,001 sides; at most 1,000"):
        unfold_text(axes + sides(1, 1_001), "large.yaml")
    assert len(unfold_text(axes + sides(30, 1), "large.yaml").study.claims) == 30
    monkeypatch.setattr("study.scenario.claims.read.LOOKED_AT_MOST", 6_000)
    with pytest.raises(ScenarioError, match=r"claims compare sides over 6,000 times with a cell"):
        unfold_text(axes + sides(30, 1), "large.yaml")


def test_a_message_lists_some_of_very_many_levels():
    """The first twenty, and how many more there are."""
    with pytest.raises(ScenarioError, match=r"has no level 7; it has 64, 65, .* and 980 more$"):
        unfold_text(levels(1_000) + "exclude: [{nic.ring: 7}]\n", "large.yaml")


def test_a_name_that_is_no_name_is_not_searched_for():
    """Names of any length, and any number of known ones, take no search that grows with both."""
    start = time.process_time()
    assert did_you_mean("x" * 1_000_000, ["xy"] * 1_000_000) == ""
    assert did_you_mean("nic.mtuu", ["nic.mtu"]) == "; did you mean nic.mtu?"
    long = time.process_time() - start
    start = time.process_time()
    did_you_mean("x" * 50, [f"{number:050}" for number in range(1_000)])
    assert long < time.process_time() - start + 1


def test_entries_are_looked_up_not_searched_for():
    """As many entries as combinations: each is compared with none of the others."""

    class Counted(int):
        compared = 0

        def __eq__(self, other: object) -> bool:
            Counted.compared += 1
            return int(self) == other

        __hash__ = int.__hash__

    counts = []
    for many in (500, 2_000):
        Counted.compared = 0
        axes = {"a": [Counted(level) for level in range(many)], "b": [1, 2]}
        entries = [{"a": level} for level in range(many - 1)]
        assert idle_excludes(axes, [*entries, {"a": -1}]) == [many - 1]
        assert idle_includes(axes, [], entries) == list(range(many - 1))
        assert combinations(axes, entries, []) == [
            {"a": many - 1, "b": 1}, {"a": many - 1, "b": 2}
        ]  # fmt: skip
        counts.append(Counted.compared)
    assert counts[1] <= 5 * counts[0]
