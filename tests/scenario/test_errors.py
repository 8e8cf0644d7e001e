"""Whatever is wrong with a scenario is said in one clear line, before any work starts."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from study.scenario import Fault, ScenarioError, Study, load, load_text


def faults(text: str, *overrides: str) -> list[str]:
    """The lines that a faulty scenario called x.yaml gives."""
    with pytest.raises(ScenarioError) as caught:
        load_text(text, "x.yaml", overrides)
    lines = str(caught.value).splitlines()
    assert len(lines) == len(caught.value.faults)
    return lines


@pytest.fixture(scope="module")
def golden(root: Path, pytestconfig: pytest.Config) -> Iterator[list[dict[str, Any]]]:
    """The faulty scenarios, and what they say; written anew if that is asked for."""
    file = root / "tests/golden/refusals.yaml"
    text = file.read_text()
    cases: list[dict[str, Any]] = yaml.safe_load(text)
    yield cases
    if pytestconfig.getoption("--update-golden"):
        head = text.splitlines(keepends=True)[0]
        file.write_text(head + yaml.dump(cases, allow_unicode=True, sort_keys=False, width=100))


def test_a_fault_names_its_place_the_value_and_what_is_allowed(
    golden: list[dict[str, Any]], pytestconfig: pytest.Config
) -> None:
    """One line each: file, line, column, key, what was found, what is allowed, the nearest name.

    The place of a wrong override is the override, not the file.
    """
    assert len(golden) > 60
    wrong = []
    for case in golden:
        said = faults(case["scenario"], *filter(None, [case.get("override")]))
        if said != case["says"]:
            wrong.append((case["scenario"], case["says"], said))
            case["says"] = said
    assert pytestconfig.getoption("--update-golden") or not wrong


def test_a_tag_of_ones_own_is_refused_quickly() -> None:
    """Before a name of 800,000 letters is put in 20,000 places."""
    text = "# a\n%TAG !e! " + "a" * 800_000 + "\n---\n[" + "!e!a x," * 20_000 + "]"
    line = "x.yaml:2:1: not YAML: %TAG names tags of one's own, of which none is allowed"
    assert line in faults(text)


def test_all_faults_are_told_at_once() -> None:
    """Keys that stand twice, unknown ones, wrong values, impossible values, claims: top down."""
    text = (
        "replicate: 3\n"
        "base:\n"
        "  zone: {memory: 64MiB, memory: 1GiB}\n"
        "  nic: {mtu: x, mtuu: 1}\n"
        "axes: {defrag.order: [3, y]}\n"
        "claims:\n"
        "  - {id: a, metric: rx_failurs, says: s, side: {}, against: 1, expect: less, matters: 1}\n"
    )

    assert [line.split(":")[1] for line in faults(text)] == ["1", "3", "4", "4", "5", "7"]


def test_what_is_impossible_is_told_beside_what_is_wrong() -> None:
    """A typing mistake elsewhere hides no impossible value, of the base or of a level."""
    text = (
        "base:\n"
        "  clock: {measure: 0s}\n"
        "  slab: {rat: 3}\n"
        "axes:\n"
        "  defrag.order: [3, 11]\n"
        "  card: {a: {nic.mtu: 9000}, b: {nic.mtu: 20}}"
    )

    assert [line.split(" ")[1] for line in faults(text)] == [
        "clock.measure", "slab.rat", "defrag.order", "nic.mtu",
    ]  # fmt: skip


def test_what_may_follow_from_another_fault_is_not_told() -> None:
    """While the memory is not known, nothing is said about what must fit into it."""
    text = "base: {zone: {memory: 64MB, lowmem: 64MiB}, watermarks: {min: 1, low: 2, high: 40000}}"

    assert len(faults(text)) == 1
    assert len(faults("axes: {card: {a: {zone: 5, zone.memory: 1}, b: {nic.mtu: 9000}}}")) == 1
    assert len(faults("extends: machine/i386-64m\nbase: {zone: {lowmem: 64MiB}}")) == 1
    claim = (
        "{id: c, says: s, metric: refaults, side: {nic.mtu: 9000}, against: {nic.mtu: 1500}, "
        "expect: less, matters: 1}"
    )
    text = f"axes: {{nic.mtu: [1500, 90x]}}\nclaims: [{claim}]"
    assert len(faults(text)) == 1


def test_hostile_files_are_refused_quickly() -> None:
    """Alias bombs, self-reference, depth, size and absurd matrices end in a fault."""
    bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    names = "abcdefghi"
    for before, name in itertools.pairwise(names):
        bomb += f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    wide = ", ".join(map(str, range(100)))
    keys = ["nic.mtu", "nic.ring", "defrag.budget", "defrag.scan", "user.extent", "nic.tx_hold"]
    matrix = "axes:\n" + "".join(f"  {key}: [{wide}]\n" for key in keys)

    assert "more than 50,000 values" in faults(bomb)[0]
    assert "refers to itself" in faults("base: &a {zone: *a}")[0]
    assert "nested" in faults("base: " + "[" * 5_000 + "]" * 5_000)[0]
    assert "larger than" in faults("#" * 2_000_000)[0]
    assert "combine into 1,000,000,000,000 cells; at most 10,000" in faults(matrix)[0]
    assert "digits" in faults("seed: " + "9" * 5_000)[0]


def test_a_pipe_is_refused_rather_than_waited_for(tmp_path: Path) -> None:
    """A scenario that is no file ends in a fault at once, though nobody writes into it."""
    os.mkfifo(tmp_path / "pipe.yaml")
    for file in (tmp_path / "pipe.yaml", Path(os.devnull)):
        with pytest.raises(ScenarioError) as caught:
            load(file)
        assert str(caught.value) == f"{file}: is no regular file"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("base:\n\tzone: {}", "x.yaml:2:1: not YAML: a tab; indent with spaces"),
        ("question: is it: so", "put text with a colon in quotes"),
        (
            "question: 'so\nseed: 3",
            "a quotation that does not end (a quoted scalar, begun at 1:11)",
        ),
        ("base: {nic: {ring: 8}\nseed: 3", "(a flow mapping, begun at 1:7)"),
        ("a: 1\n---\nb: 1", "x.yaml:2:1: not YAML: a second document begins here"),
        ('question: "a\\U00110000"', "x.yaml:1:15: not YAML: 00110000 stands for no letter"),
        ('question: "\\UFFFFFFFF"', "x.yaml:1:14: not YAML: FFFFFFFF stands for no letter"),
        ('question: "\\ud800"', "x.yaml:1:11: U+D800 is half of a letter"),
        ('"\\udfff": 1', "x.yaml:1:1: U+DFFF is half of a letter"),
        (f"%YAML 1.{'9' * 5_000}\n---\na: 1", "x.yaml:1:9: not YAML: 99999999999999999... stands"),
        ("name: x\nseed: \x07", "x.yaml:2:7: not YAML: the character U+0007"),
        ("base: &b {nic: {mtu: 1500}}\naxes: {card: {a: {<<: *b}}}", "YAML 1.2 has no merging"),
        ("base: {nic: {mtu:9000}}", "a colon needs a space behind it"),
        ("base: {user: {zipf: 0,9}}", "a decimal has a point, not a comma"),
        ("name: 123", "name is 123; it must be text; put it in quotes"),
        ("base: {kernel: 2.6.1}", "did you mean 2.6.8?"),
        ("base: {kernel: 2.6.x}", "any other is taken as the nearest one below"),
        ("base: {defrag: {mode: OFF}}", "did you mean off?"),
        ("base: {clock: {ageing: 2m}}", "did you mean 2min?"),
        ("base: {nic: {rx_rate: 15Hz}}", "did you mean 15/s?"),
        ("base: {user: {written: 10}}", "did you mean 10%?"),
        ("seed: !!int abc", "abc cannot be read as !!int"),
        ("seed: !!map 3", "is not allowed"),
        ("base: {nic: {rx_hold: 1,5s}}", "rx_hold"),
        ("base: {nic: {rx_hold: 20_000h}}", "a time is at most 10,000h"),
        ("axes: {zone: [1]}", "it is a group of settings, such as zone."),
        ("base: {user: {working_set: lots}}", "a multiple of the zone's memory (1.2) or a size"),
        ('base: {"ni\\ec": {}}', "ni?c is not a setting"),
    ],
)
def test_what_looks_nearly_right_is_told_from_what_is_right(text: str, words: str) -> None:
    """Tags that lie, decimal commas, endless times, dotted groups and control characters."""
    assert words in faults(text)[0]


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    """Missing (with the nearest name), a folder, no UTF-8: one line each."""
    (tmp_path / "article.yaml").write_text("name: x")
    (tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9")
    for file, words in (
        ("artcle.yaml", f"no such file; did you mean {tmp_path / 'article.yaml'}?"),
        ("nowhere/x.yaml", "nor a folder"),
        ("latin.yaml", "is not UTF-8 text"),
        (".", "is a folder"),
    ):
        with pytest.raises(ScenarioError) as caught:
            load(tmp_path / file)
        assert words in str(caught.value)
        assert str(caught.value).count("\n") == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_named(tmp_path: Path) -> None:
    """A scenario that may not be read is one line too."""
    file = tmp_path / "secret.yaml"
    file.write_text("name: x")
    file.chmod(0)

    with pytest.raises(ScenarioError, match="cannot be read"):
        load(file)


def attempt(text: str, *overrides: str) -> Study | tuple[Fault, ...]:
    """The study, or the faults; anything else goes through."""
    try:
        return load_text(text, "x.yaml", overrides)
    except ScenarioError as error:
        return error.faults


WORDS = st.sampled_from(
    ["name", "base", "axes", "include", "exclude", "seed", "replicates", "zone", "memory", "nic",
     "mtu", "kernel", "2.6.8", "off", "defrag.mode", "rmap-evict", "1GiB", "10ms", "3%", "-1",
     "1e99", ".inf", "null", "true", "[", "]", "{", "}", ":", ",", "- ", "\n", "  ", "&a", "*a",
     "!!x", "'", '"', "#", "|", ">", "\t", "é", "\x00", "999999999999999999999"]
)  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(words=st.lists(WORDS, max_size=30), override=st.lists(WORDS, max_size=4))
def test_no_text_gives_anything_but_a_study_or_a_fault(
    words: list[str], override: list[str]
) -> None:
    """Random scenarios either load or raise ScenarioError."""
    outcome = attempt(" ".join(words), *["".join(override)] * bool(override))

    assert isinstance(outcome, Study | tuple)
    assert outcome


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_no_mutation_of_the_article_gives_anything_else(root: Path, data: st.DataObject) -> None:
    """The article's scenario with a stretch of it replaced loads or is faulted."""
    text = (root / "scenarios" / "article.yaml").read_text()
    text = text[text.index("name:") :]
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, min(len(text), start + 30)))
    middle = "".join(data.draw(st.lists(WORDS, max_size=3)))
    outcome = attempt(text[:start] + middle + text[stop:])

    assert isinstance(outcome, Study | tuple)
    assert outcome


@pytest.mark.parametrize("letter", [r"\U00110000", r"\UFFFFFFFF", r"\ud800"])
def test_a_letter_that_there_is_not_is_told_in_an_override(letter: str) -> None:
    """YAML's escapes can spell more than there is; an override says so as a file does."""
    for key in ("question", "nic.ring"):
        (line,) = faults("base: {}", f'{key}="{letter}"')
        assert line.startswith(f"override '{key}=")
        assert "stands for no letter" in line or "is half of a letter" in line
