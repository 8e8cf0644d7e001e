"""Reports that were mutated at random: always an answer, never a traceback, nothing unprintable."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from study.refusals.changes import changes
from study.refusals.find import find
from study.refusals.render import WIDTH, answer, as_data, nothing
from study.refusals.text import decode
from study.refusals.verdict import judge

DATA = sorted((Path(__file__).resolve().parent.parent / "data" / "kernel-reports").glob("*.*"))
ODD = "\x00\x1b[31m\x07\r\u202e\ud7ff|>=*_(){}:,#012\\x0a0123456789kB\t\n  "
WORDS = (
    *("Node 0 Normal", "Node 1, zone   Normal ", "free:", "min:", "kB", "order:", "order:99,"),
    *("mode:0x", "lowmem_reserve[]:", "0*4kB", "4kB", "= ", "=3D", "=\n", "(UMEHCRI)", "Mem-Info:"),
    *("DMA: empty", "page allocation failure", "oom-killer: gfp_mask=", "type", "zone", "{", "}"),
    *("[", "\n\n", "  10: 0\n", "mm_page_alloc:", "Number of blocks type  Unmovable Movable"),
    *("9" * 30, "-1", "GFP_KERNEL|", "\xd7"),
)


def _cut(text: str, rng: random.Random) -> str:
    start = rng.randrange(len(text) + 1)
    return text[:start] + text[start + rng.randrange(1, 200) :]


def _insert(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice(WORDS) + text[at:]


def _scatter(text: str, rng: random.Random) -> str:
    characters = list(text)
    for _ in range(rng.randrange(1, 40)):
        if characters:
            characters[rng.randrange(len(characters))] = rng.choice(ODD)
    return "".join(characters)


def _shuffle(text: str, rng: random.Random) -> str:
    lines = text.split("\n")
    rng.shuffle(lines)
    return "\n".join(lines)


def _repeat(text: str, rng: random.Random) -> str:
    start = rng.randrange(len(text) + 1)
    return (
        text[:start] + text[start : start + rng.randrange(300)] * rng.randrange(2, 6) + text[start:]
    )


def _digits(text: str, rng: random.Random) -> str:
    return "".join(
        rng.choice("0123456789") if c.isdigit() and rng.random() < 0.1 else c for c in text
    )


def _no_breaks(text: str, rng: random.Random) -> str:
    return text.replace("\n", rng.choice((" ", "", "\n\n", "\r", "#012")))


MUTATIONS: tuple[Callable[[str, random.Random], str], ...] = (
    _cut, _insert, _scatter, _shuffle, _repeat, _digits, _no_breaks,
)  # fmt: skip


def mutated(seed: int) -> str:
    """A report, or two in one, with one to four mutations."""
    rng = random.Random(seed)
    text = rng.choice(DATA).read_text()
    if rng.random() < 0.2:
        text += rng.choice(DATA).read_text()
    for _ in range(rng.randint(1, 4)):
        text = rng.choice(MUTATIONS)(text, rng)[:60_000]
    return text


def answered(text: str) -> str:
    """All that is said of a text."""
    found = find(text)
    said = [nothing(found, "-")]
    for report in found.reports:
        verdict = judge(report)
        said.append(answer(verdict, 1, 1, names=True, what_if=4096))
        as_data(verdict, names=True)
        for change in changes(verdict):
            assert change.cost is None or abs(change.cost) < 1 << 50
    return "\n".join(said)


@pytest.mark.parametrize(
    "count", [2_000, pytest.param(100_000, marks=pytest.mark.nightly(part="reports"))]
)
@pytest.mark.slow
def test_mutated_reports_are_answered(count: int) -> None:
    """Whatever is done to a report there is an answer, in lines that fit, with nothing hidden."""
    for seed in range(count):
        text = mutated(seed)

        try:
            said = answered(text)
        except Exception as problem:
            raise AssertionError(f"seed {seed}") from problem
        for line in said.split("\n"):
            assert len(line) <= WIDTH, f"seed {seed}: {line}"
            assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs") for c in line), seed


def test_any_bytes_are_answered() -> None:
    """Bytes that are no text at all are a text without a report."""
    rng = random.Random(1)
    for size in (0, 1, 2, 1_000, 100_000):
        assert "No report" in answered(decode(rng.randbytes(size)))
    assert "No report" in answered("[" * 100_000)
    assert "No report" in answered('{"a":' * 50_000)
