"""docs/fidelity.md names code and tests that exist, and leaves no rule without a test."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

NAME = re.compile(r"`([a-z_]+)\.([A-Za-z_0-9]+)`")
RULE_COLUMNS = 6


def rows(root: Path, columns: int) -> list[list[str]]:
    """Cells of every table row of so many columns above the results, heads and rules left out."""
    text = (root / "docs" / "fidelity.md").read_text(encoding="utf-8")
    text = text[: text.index("## The null model")]
    found = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and len(cells) == columns and not set(cells[0]) <= {"-"}:
            found.append(cells)
    return [cells for cells in found if cells[0] not in ("rule", "consequence")]


@cache
def defined(file: Path) -> frozenset[str]:
    """Functions, classes and constants of a module."""
    names = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return frozenset(names)


def missing(cell: str, *folders: Path) -> list[str]:
    """What a cell names that no module of these folders defines."""
    return [
        f"{module}.{name}"
        for module, name in NAME.findall(cell)
        if not any(name in defined(f) for d in folders for f in d.rglob(f"{module}.py"))
    ]


def test_every_rule_names_code_and_tests_that_exist(root: Path) -> None:
    """Each rule has a place in the code and a test, and both are there."""
    rules = rows(root, RULE_COLUMNS)
    assert len(rules) > 40
    for rule, _source, code, held_by, _recordings, _simplified in rules:
        assert NAME.findall(code), rule
        assert NAME.findall(held_by), rule
        assert not missing(code, root / "study" / "zone", root / "study" / "scenario"), rule
        assert not missing(held_by, root / "tests"), rule


def test_every_recording_that_is_named_is_there(root: Path) -> None:
    """The column *held to the real code* names files of the recordings, for what 2.6.8 has."""
    at_hand = {path.stem for path in (root / "tests/data").rglob("*.npz")}
    named = [(cells[0], re.findall(r"`([^`]+)`", cells[4])) for cells in rows(root, RULE_COLUMNS)]
    assert sum(bool(recordings) for _, recordings in named) > 35
    for rule, recordings in named:
        assert set(recordings) <= at_hand, rule


def test_every_consequence_is_a_test(root: Path) -> None:
    """All eight cross-checks name tests that are there."""
    checks = [cells for cells in rows(root, 2) if NAME.findall(cells[1])]
    assert len(checks) == 8
    for consequence, tests in checks:
        assert not missing(tests, root / "tests"), consequence


@pytest.mark.parametrize(("cell", "gone"), [("`buddy.take_block`", 0), ("`buddy.no_such`", 1)])
def test_a_name_that_is_gone_is_noticed(root: Path, cell: str, gone: int) -> None:
    """The check itself tells a name that exists from one that does not."""
    assert len(missing(cell, root / "study" / "zone")) == gone
