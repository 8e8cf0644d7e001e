"""No pattern takes longer than its text: each is tried on megabytes of what could make it."""

from __future__ import annotations

import ast
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from study.scenario import units
from study.scenario.claims.keys import _matters
from study.scenario.sampling import range_of
from tests.by_night import sampled

ROOT = Path(__file__).resolve().parent.parent
FUNCTIONS = {"compile", "match", "search", "sub", "fullmatch", "split", "findall", "finditer"}
LONGEST_S = 20
LETTERS = 100_000
"""The square of it is ten thousand million: minutes, where it itself is milliseconds."""
TEXTS = {
    "blanks": " ",
    "digits": "1",
    "letters": "a",
    "dots and digits": "1.",
    "line ends": "\n",
    "equal signs": "a=",
    "dashes": "-",
    "lost": "LOST 1",
    "events": "mm_page_free:page=",
    "probes": " 1.0001: a:",
    "tags": "<svg ",
    "apostrophes": "' ",
    "escapes": "\x1b[1;",
}


def patterns() -> dict[str, str | bytes]:
    """Every pattern in study/ that is written out, by where it stands."""
    found: dict[str, str | bytes] = {}
    for path in sorted((ROOT / "study").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            module = node.func.value
            of_re = isinstance(module, ast.Name) and module.id == "re"
            if not of_re or node.func.attr not in FUNCTIONS or not node.args:
                continue
            written = node.args[0]
            if isinstance(written, ast.Constant) and isinstance(written.value, str | bytes):
                place = f"{path.relative_to(ROOT)}:{node.lineno}"
                found[place] = written.value
    return found


PATTERNS = patterns()
# Text that is short by what is asked before: a quantity of a scenario, the metadata of a drawing.
BOUNDED = {"study/scenario/sampling.py"}


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Fail when the block takes longer."""

    def late(*_: object) -> None:
        raise AssertionError(f"took longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_there_are_patterns():
    """They are found where they are known to be."""
    files = {place.partition(":")[0] for place in PATTERNS}
    assert {
        "study/replay/ftrace.py",
        "study/scenario/units.py",
        "study/transport/relay.py",
    } <= files


UNBOUNDED = [place for place in PATTERNS if place.partition(":")[0] not in BOUNDED]


@pytest.mark.parametrize("place", sampled(UNBOUNDED, every=3))
def test_a_pattern_takes_time_in_proportion_to_its_text(place: str):
    """Found or not, from the beginning or anywhere, on repetitions that end in something else."""
    pattern = re.compile(PATTERNS[place])
    with at_most(LONGEST_S):
        for unit in TEXTS.values():
            for text in (unit * (LETTERS // len(unit)), "1" + unit * (LETTERS // len(unit)) + "!"):
                asked = text.encode() if isinstance(pattern.pattern, bytes) else text
                pattern.fullmatch(asked)
                pattern.match(asked)
                for _ in zip(pattern.finditer(asked), range(1_000), strict=False):
                    pass


@pytest.mark.parametrize("unit", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("length", [101, 1_000_000])
def test_a_quantity_of_any_length_is_refused_at_once(unit: str, length: int):
    """Every kind of quantity, with a number at one end and something else at the other."""
    readers = [
        getattr(units, name)
        for name in dir(units)
        if name.endswith("_from") and name != "switch_from"
    ]
    assert len(readers) > 8
    filling = unit * (length // len(unit) + 1)
    with at_most(LONGEST_S):
        for text in (f"1{filling}!", f"{filling}1", f"1{filling}s", filling):
            for read in (*readers, _matters):
                with pytest.raises(ValueError) as error:  # noqa: PT011 - the length is what counts
                    read(text)
                assert len(str(error.value)) < 300
            with pytest.raises(ValueError, match="must be a number with its unit"):
                range_of("user.zipf", {"uniform": [text, text]})


def test_blanks_around_a_quantity_are_none_of_it():
    """As many as a line may have, before, between and behind."""
    assert units.nanoseconds_from("  10   ms ") == 10_000_000
    assert units.pages_from("\t1,024 MiB") == 262_144
    assert units.share_from(" 3 % ") == 0.03
    assert _matters(" 10 % ") == (0.1, True)
