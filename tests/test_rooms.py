"""Who may import whom: the walls between the rooms of study/, read off every import statement."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "study").rglob("*.py"))

# From the ground up: a room imports itself and rooms before it, never a later one.
ORDER = [
    "refusals",
    "trust",
    "printable",
    "zone",
    "replay",
    "scenario",
    "fanout",
    "intervals",
    "results",
    "transport",
    "statistics",
    "report",
    "explain",
    "runs",
    "terminal",
    "commands",
    "cli",
    "__main__",
]
# study/__init__.py gathers the public names and opens everything but the command line.
GATE = "__init__"
# The zone's own rooms, likewise from the ground up; what lies beside them is a face.
ZONE_ORDER = [
    "settings",
    "marks",
    "gfp",
    "demand",
    "engine",
    "mm",
    "load",
    "extension",
    "trial",
    "simulate",
]
# What the other rooms know of the zone: what a trial is told, how it runs, what it hands back,
# and which simulation that is.
FACES_OF_THE_ZONE = {
    "settings",
    "marks",
    "simulate",
    "engine.cache",
    "engine.compile",
    "engine.table",
    "trial.metrics",
    "trial.schedule",
}
# The scenario only needs to know what a trial can be told, what its metrics and random streams are
# called, and which extensions there are.
FACES_FOR_THE_SCENARIO = {
    "settings",
    "marks",
    "gfp",
    "demand",
    "engine.enums",
    "extension",
    "trial.metrics",
}
# The replay drives the allocator itself.
FACES_FOR_THE_REPLAY = {
    "settings",
    "gfp",
    "demand",
    "trial.feed",
    "trial.indices",
    "trial.recorded",
}
# The report takes pictures of it; the explanation watches it at work.
FACES_FOR_THE_REPORT = FACES_OF_THE_ZONE | {"trial.observe", "trial.indices"}
FACES_FOR_THE_EXPLANATION = {
    "settings",
    "engine.agenda",
    "engine.enums",
    "mm.interface",
    "trial.advance",
    "trial.observe",
    "trial.zone",
}
FACES_BY_ROOM = {
    "scenario": FACES_FOR_THE_SCENARIO,
    "replay": FACES_FOR_THE_REPLAY,
    "report": FACES_FOR_THE_REPORT,
    "explain": FACES_FOR_THE_EXPLANATION,
    "terminal": FACES_FOR_THE_REPORT,
}
# Stands for memory management before the load and the trial, and chooses its generation.
INTERFACE = ["zone", "mm", "interface"]
# What a folder of study/ may hold at most, __init__.py included.
MODULES_MAX = 24
KEPT_IN = {
    "yaml": {"scenario"},
    "pydantic": {"scenario", "results"},
    "numba": {"zone"},
    "ray": {"fanout", "transport"},
    "pandas": {"report", "results", "runs", "statistics", "terminal"},
    "pyarrow": {"results", "transport"},
    "fsspec": {"transport"},
    "scipy": {"intervals", "scenario", "statistics"},
    "statsmodels": {"intervals", "statistics"},
    "SALib": {"statistics"},
    "click": {"cli", "commands", "terminal"},
    "jinja2": {"report"},
    "matplotlib": {"report"},
    "PIL": {"report"},
    "rich": {"terminal"},
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
            allowed = allowed and ".".join(module) in faces
        if not allowed:
            wrong.append(f"line {line}: {dotted}")

    assert not wrong, f"{name_of(path)} ({room}) may not import {wrong}"


def zone_room_of(module: list[str]) -> str:
    """The zone's room that a module is in, by its names below study/zone."""
    return module[0] if module else ""


@pytest.mark.parametrize("path", [p for p in SOURCES if room_of(p) == "zone"], ids=name_of)
def test_the_zones_rooms_import_one_way(path):
    """No room of the zone imports from a later one: the trial from the load, never the reverse."""
    room = zone_room_of(module_of(path)[1:])
    wrong = []
    for line, dotted in imports_of(path):
        _, *module = parts_within(dotted) or [GATE]
        if not dotted.startswith("study.zone"):
            continue
        if ZONE_ORDER.index(zone_room_of(module)) > ZONE_ORDER.index(room):
            wrong.append(f"line {line}: {dotted}")

    assert not wrong, f"{name_of(path)} ({room}) may not import {wrong}"


@pytest.mark.parametrize("path", [p for p in SOURCES if room_of(p) == "zone"], ids=name_of)
def test_one_module_knows_the_generations_of_mm(path):
    """Load and trial see mm/interface.py alone, and no generation sees it or another one."""
    own = module_of(path)
    if own == INTERFACE:
        return
    within = [parts_within(dotted) for _, dotted in imports_of(path) if dotted.startswith("study.")]
    mm = [module for module in within if module[:2] == INTERFACE[:2]]
    allowed = [own[:3]] if own[:2] == INTERFACE[:2] else [INTERFACE]

    assert not [module for module in mm if module[:3] not in allowed]


def module_of(path: Path) -> list[str]:
    """A file's names below study/: zone/load/nic.py -> [zone, load, nic]."""
    return list(path.relative_to(ROOT / "study").with_suffix("").parts)


def reached_from(module: str, arrows: dict[str, set[str]]) -> set[str]:
    """All modules that one leads to, directly or through others."""
    reached: set[str] = set()
    new = arrows[module]
    while new:
        reached |= new
        new = set().union(*(arrows[m] for m in new)) - reached
    return reached


def circles(sources: list[Path]) -> set[frozenset[str]]:
    """Sets of modules that lead to each other, by every import statement wherever it stands."""
    arrows = {".".join(module_of(path)): set() for path in sources}
    for path in sources:
        name = ".".join(module_of(path))
        for dotted in (dotted for _, dotted in imports_of(path) if dotted.split(".")[0] == "study"):
            target = ".".join(parts_within(dotted))
            arrows[name] |= {target, f"{target}.__init__".lstrip(".")} & set(arrows)
    reached = {module: reached_from(module, arrows) for module in arrows}
    closed = {m for m in arrows if m in reached[m]}
    return {frozenset(o for o in reached[m] if m in reached[o]) for m in closed}


def test_no_modules_import_each_other():
    """No circle of imports, imports within functions and for type checkers included."""
    assert not circles(SOURCES)


def test_a_circle_is_noticed(tmp_path, monkeypatch):
    """An import in a function and one for the type checker make a circle like any other."""
    package = tmp_path / "study"
    package.mkdir()
    (package / "a.py").write_text("def f():\n    from study import b\n")
    (package / "b.py").write_text("if TYPE_CHECKING:\n    from study.c import C\n")
    (package / "c.py").write_text("from study.a import f\n")
    (package / "d.py").write_text("from study.a import f\n")
    monkeypatch.setitem(globals(), "ROOT", tmp_path)

    assert circles(sorted(package.glob("*.py"))) == {frozenset("abc")}


def test_no_folder_is_crowded():
    """A folder holds few enough modules to be looked through."""
    folders = {path.parent for path in SOURCES}
    crowded = [name_of(f) for f in folders if len(list(f.glob("*.py"))) > MODULES_MAX]

    assert not crowded


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_libraries_stay_in_their_rooms(path):
    """Each large library is imported in the room whose business it is, and nowhere else."""
    room = room_of(path)
    wrong = [
        f"line {line}: {dotted}"
        for line, dotted in imports_of(path)
        if room not in KEPT_IN.get(dotted.split(".")[0], {room})
    ]

    assert not wrong, f"{name_of(path)} ({room}) may not import {wrong}: see KEPT_IN"


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
    """A new room or module at the top of study/ or study/zone is entered in the orders above."""
    assert {room_of(path) for path in SOURCES} == {*ORDER, GATE}
    within = [module_of(path)[1:] for path in SOURCES if room_of(path) == "zone"]
    assert {zone_room_of(module) for module in within} == {*ZONE_ORDER, GATE}


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
