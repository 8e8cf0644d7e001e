"""The quick loop, `pytest -m quick`: no room is left out of it."""

import ast
from pathlib import Path

import pytest

pytestmark = pytest.mark.quick

STUDY = Path(__file__).resolve().parent.parent / "study"
# The rooms of study/, modules at the top included, and those of its zone.
ROOMS = sorted(
    path.relative_to(STUDY).with_suffix("").as_posix()
    for path in [*STUDY.iterdir(), *(STUDY / "zone").iterdir()]
    if not path.name.startswith("__")
    and ((path / "__init__.py").exists() or (path.suffix == ".py" and path.parent == STUDY))
)
# These start the command as a person does, and import nothing of it.
OF_THE_COMMAND = {"tests/test_cli.py": {"cli", "commands", "runs", "terminal"}}


def rooms_of(file: Path, root: Path) -> set[str]:
    """The room whose folder a test file lies in, and those it imports, with those of the zone."""
    name = file.relative_to(root).as_posix()
    rooms = {name.split("/")[1]} | OF_THE_COMMAND.get(name, set())
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("study"):
            _, *path = [*node.module.split("."), node.names[0].name]
            rooms |= {path[0], "/".join(path[:2])}
    return rooms


def test_every_room_has_a_quick_test(root):
    """Each room has a test marked quick, in a file of its folder or one that imports it."""
    marked = [path for path in root.glob("tests/**/test_*.py") if "mark.quick" in path.read_text()]
    covered = set().union(*(rooms_of(path, root) for path in marked if path != Path(__file__)))

    assert len(ROOMS) > 10
    assert set(ROOMS) - covered == set()
