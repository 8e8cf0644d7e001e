"""Who may import whom: the walls between the rooms of study/, read off every import statement."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "study").rglob("*.py"))

# From the ground up: a room imports itself and rooms before it, never a later one.
ORDER = [
    "zone",
    "terminal",
    "replay",
    "scenario",
    "fanout",
    "results",
    "statistics",
    "report",
    "explain",
    "conduct",
    "progress",
    "commands",
    "cli",
    "__main__",
]
# study/__init__.py gathers the public names and opens everything but the command line.
GATE = "__init__"
# What the other rooms know of the zone: what a trial is told, how it runs, what it hands back,
# and which simulation that is.
FACES_OF_THE_ZONE = {"settings", "simulate", "metrics", "compile", "names"}
# The scenario only needs to know what a trial can be told, what its metrics are called, and which
# extensions there are.
FACES_FOR_THE_SCENARIO = {"settings", "names", "extension"}
# The replay drives the allocator itself.
FACES_FOR_THE_REPLAY = {"settings", "feed", "indices"}
# The report takes pictures of it; the explanation watches it at work.
FACES_FOR_THE_REPORT = FACES_OF_THE_ZONE | {"observe", "indices"}
FACES_FOR_THE_EXPLANATION = {"agenda", "settings", "zone", "advance", "defrag", "layout", "observe"}
FACES_BY_ROOM = {
    "scenario": FACES_FOR_THE_SCENARIO,
    "replay": FACES_FOR_THE_REPLAY,
    "report": FACES_FOR_THE_REPORT,
    "explain": FACES_FOR_THE_EXPLANATION,
}
KEPT_IN = {
    "yaml": {"scenario"},
    "pydantic": {"scenario"},
    "numba": {"zone"},
    "ray": {"fanout"},
    "pandas": {"report", "results", "statistics"},
    "pyarrow": {"results"},
    "fsspec": {"results"},
    "scipy": {"results", "scenario", "statistics"},
    "statsmodels": {"statistics"},
    "SALib": {"statistics"},
    "click": {"cli", "commands", "replay", "terminal"},
    "jinja2": {"report"},
    "matplotlib": {"report"},
    "PIL": {"report"},
    "rich": {"cli", "commands", "explain", "progress", "replay", "statistics", "terminal"},
}


def room_of(path: Path) -> str:
    """The folder below study/ that holds a file, or the file's own name at the top."""
    parts = path.relative_to(ROOT / "study").parts
    return parts[0] if len(parts) > 1 else path.stem


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of everything a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            yield from ((node.lineno, f"{node.module}.{name.name}") for name in node.names)


def parts_within(dotted: str) -> list[str]:
    """Room and module of a name in study: 'study.zone.settings.Memory' -> [zone, settings]."""
    parts, found = dotted.split(".")[1:], []
    here = ROOT / "study"
    for part in parts:
        here = here / part
        if not (here.is_dir() or here.with_suffix(".py").exists()):
            break
        found.append(part)
    return found


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_imports_go_one_way(path):
    """No room imports from a later one, and only faces of the zone are known outside it."""
    room = room_of(path)
    wrong = []
    for line, dotted in imports_of(path):
        if dotted.split(".")[0] != "study":
            continue
        target, *module = parts_within(dotted) or [GATE]
        if room == GATE:
            allowed = target not in {"cli", "__main__"}
        elif target == GATE:
            allowed = room in {"cli", "__main__"}
        else:
            allowed = ORDER.index(target) <= ORDER.index(room)
        if target == "zone" and room != "zone":
            faces = FACES_BY_ROOM.get(room, FACES_OF_THE_ZONE)
            allowed = allowed and module[:1] != [] and module[0] in faces
        if not allowed:
            wrong.append(f"line {line}: {dotted}")

    assert not wrong, f"{name_of(path)} ({room}) may not import {wrong}"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_libraries_stay_in_their_rooms(path):
    """Each large library is imported in the room whose business it is, and nowhere else."""
    room = room_of(path)
    wrong = [
        f"line {line}: {dotted}"
        for line, dotted in imports_of(path)
        if room not in KEPT_IN.get(dotted.split(".")[0], {room})
    ]

    assert not wrong, f"{name_of(path)} ({room}) may not import {wrong}"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_what_reaches_a_terminal_is_cleaned_in_one_place(path):
    """Only study/terminal makes a console of rich or goes past the guard before the streams."""
    if room_of(path) == "terminal":
        return
    past = {"Console", "behind", "buffer", "__stdout__", "__stderr__", "print"}
    wrong = [
        f"line {node.lineno}: {name}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call | ast.Attribute)
        for name in [getattr(node, "attr", None) or getattr(node.func, "id", None)]
        if name in past
        and not isinstance(getattr(node, "ctx", None), ast.Store)
        and not (name == "print" and isinstance(node, ast.Attribute))
    ]

    assert not wrong, f"{name_of(path)} writes past study/terminal: {wrong}"


def test_every_room_has_its_place():
    """A new room or module at the top of study/ is entered in the order above."""
    assert {room_of(path) for path in SOURCES} == {*ORDER, GATE}


def public_functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Functions of a file, and methods of its public classes, without leading underscore."""
    body = ast.parse(path.read_text()).body
    classes = [node for node in body if isinstance(node, ast.ClassDef) and node.name[0] != "_"]
    for node in [*body, *(method for kind in classes for method in kind.body)]:
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if is_function and not node.name.startswith("_"):
            yield node


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_public_functions_say_what_they_do(path):
    """Every public function and method has a docstring."""
    silent = [node.name for node in public_functions(path) if not ast.get_docstring(node)]

    assert not silent


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("test_*.py")), ids=name_of)
def test_tests_say_what_must_hold(path):
    """Every test has a sentence that says what must hold."""
    tests = [node for node in public_functions(path) if node.name.startswith("test_")]
    silent = [node.name for node in tests if not ast.get_docstring(node)]

    assert tests
    assert not silent
