"""Files in the folder where a command is started configure none of the libraries it uses."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from study.trust.current_folder import away_from_current_folder

FIRST = "study.zone.engine.numba_private"


def said(root: Path, folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    """What Python says of a script there, with nothing of that folder on its path."""
    return subprocess.run(
        [sys.executable, "-P", "-c", script], cwd=folder,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "settings",
    [
        "chrome_trace: {0}/precious\n",
        "cache_locator_classes: this.s\n",
        "cache_locator_classes: UserProvidedCacheLocator\ncache_dir: planted\n",
        "disable_jit: 1\n",
        "cpu_name: z\n",
        "- a\n",
        "[" * 3_000,
    ],
    ids=["trace", "import", "cache", "no jit", "processor", "list", "deep"],
)
def test_numba_is_not_configured_by_a_file_that_lies_there(
    root: Path, tmp_path: Path, settings: str
):
    """`.numba_config.yaml` would write files, import modules and run machine code."""
    (tmp_path / "precious").write_text("precious")
    (tmp_path / ".numba_config.yaml").write_text(settings.format(tmp_path))
    script = (
        "from study.zone.engine.lists import list_add\n"
        "from numba.core import config\n"
        "config.reload_config()\n"
        "print(config.DISABLE_JIT, config.CPU_NAME, config.CHROME_TRACE, config.CACHE_DIR)\n"
        "print(list_add.stats.cache_path)\n"
    )
    done = said(root, tmp_path, script)

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.splitlines()[0] == "0 None  "
    assert str(tmp_path) not in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {".numba_config.yaml", "precious"}
    assert (tmp_path / "precious").read_text() == "precious"


def test_the_locator_of_machine_code_is_ours_whatever_the_environment_names(
    root: Path, tmp_path: Path
):
    """A locator of numba's would take a folder that others can write."""
    script = (
        "import os\n"
        "os.environ['NUMBA_CACHE_LOCATOR_CLASSES'] = 'UserProvidedCacheLocator'\n"
        "os.environ['NUMBA_CACHE_DIR'] = 'planted'\n"
        "from study.zone.engine.lists import list_add\n"
        "print(list_add.stats.cache_path)\n"
    )
    done = said(root, tmp_path, script)

    assert done.returncode == 0, done.stderr
    assert "fragmentation-study" in done.stdout or os.environ.get("STUDY_CACHE_DIR", "-") in (
        done.stdout
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["pipe", "endless", "bytes", "latex"])
def test_matplotlib_is_not_configured_by_a_file_that_lies_there(
    root: Path, tmp_path: Path, kind: str
):
    """`matplotlibrc` would be waited for, or run LaTeX; figures look the same everywhere."""
    file = tmp_path / "matplotlibrc"
    match kind:
        case "pipe":
            os.mkfifo(file)
        case "endless":
            file.symlink_to("/dev/zero")
        case "bytes":
            file.write_bytes(b"\xff\xfe bad")
        case "latex":
            file.write_text("text.usetex: True\nfont.size: 40\n")
    script = (
        "from study.report.figures.sheet import house_style\n"
        "import matplotlib\n"
        "with house_style():\n"
        "    print(matplotlib.rcParams['text.usetex'], matplotlib.rcParams['font.size'])\n"
    )
    done = said(root, tmp_path, script)

    assert (done.returncode, done.stdout) == (0, "False 9.0\n"), done.stderr


def test_a_program_that_has_changed_matplotlib_gets_the_same_figures():
    """The style of a figure is whole: nothing of the surroundings shows through."""
    import matplotlib as mpl

    from study.report.figures.sheet import house_style

    with mpl.rc_context({"axes.facecolor": "red", "lines.linestyle": "--"}):
        with house_style():
            inside = mpl.rcParams["lines.linestyle"]
        after = mpl.rcParams["lines.linestyle"]
    assert (inside, after) == ("-", "--")


def test_every_module_that_imports_numba_imports_our_settings_of_it_first(root: Path):
    """Whichever module of the program comes first, numba is not imported before."""
    importing = set()
    for path in sorted((root / "study").rglob("*.py")):
        names = [
            (node.lineno, name)
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in ([node.module] if isinstance(node, ast.ImportFrom) else
                         [alias.name for alias in node.names])
        ]  # fmt: skip
        numba = [line for line, name in names if (name or "").split(".")[0] == "numba"]
        if numba:
            importing.add(path.name)
            assert min(line for line, name in names if name == FIRST) < min(numba), path
    assert {"compile.py", "cache.py", "extension.py"} <= importing


def test_the_current_folder_is_the_same_afterwards(tmp_path: Path, monkeypatch):
    """Also when the import fails, and when the folder has been removed."""
    monkeypatch.chdir(tmp_path)
    with suppress(ImportError), away_from_current_folder():
        assert Path.cwd() == Path("/")
        raise ImportError
    assert Path.cwd() == tmp_path
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with away_from_current_folder():
        assert Path.cwd() == Path("/")
