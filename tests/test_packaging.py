"""The envelope: what is declared, what is locked, what is built, and what it costs to import."""

import re
import runpy
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

HEAVY = ["ray", "numba", "pandas", "pyarrow", "scipy", "llvmlite"]


@pytest.fixture(scope="module")
def pyproject(root) -> dict[str, Any]:
    return tomllib.loads((root / "pyproject.toml").read_text())


def required(pyproject: dict[str, Any], name: str) -> list[Requirement]:
    """What pyproject.toml asks of requirements/<name>.lock."""
    project, groups = pyproject["project"], pyproject["dependency-groups"]
    asked = [*project["dependencies"], *groups["build"]]
    if name == "dev":
        asked += groups["test"] + groups["lint"]
    if name == "cluster":
        asked += project["optional-dependencies"]["cluster"]
    return [Requirement(line) for line in asked]


@pytest.mark.parametrize("name", ["run", "dev", "cluster"])
def test_lock_keeps_the_declared_bounds(name, pyproject, pins):
    """Every declared requirement is locked, at a version within its bounds."""
    locked = pins(name)
    outside = [
        f"{asked} is locked at {locked.get(canonicalize_name(asked.name))}"
        for asked in required(pyproject, name)
        if not asked.specifier.contains(locked.get(canonicalize_name(asked.name), "0"))
    ]

    assert not outside, "run `python3 bootstrap.py lock`"


@pytest.mark.parametrize("name", ["dev", "cluster"])
def test_locks_agree_with_each_other(name, pins):
    """Tests and clusters use the very versions that a study runs with."""
    assert pins("run").items() <= pins(name).items()


@pytest.mark.parametrize("name", ["run", "dev", "cluster"])
def test_lock_pins_files_by_hash_and_names_no_place(name, root):
    """Every pin has the hashes of its files, and says nothing of where they come from."""
    text = (root / "requirements" / f"{name}.lock").read_text()
    entries = re.split(r"\n(?=\w)", text.split("\n", 2)[2])

    assert all("==" in entry and "--hash=sha256:" in entry for entry in entries)
    assert not re.search(r"\w+://|^-|file:|@ ", text, re.MULTILINE)


def test_dependencies_have_bounds(pyproject):
    """Each library that the study runs on has a lowest version, and one it stays below."""
    loose = [
        str(asked)
        for asked in map(Requirement, pyproject["project"]["dependencies"])
        if not {">=", "<"} <= {part.operator for part in asked.specifier}
    ]

    assert not loose


def test_no_bound_admits_a_version_with_a_known_advisory(root, pyproject):
    """Each lower bound is at least the version that SECURITY.md names, wherever it is declared."""
    table = (root / "SECURITY.md").read_text().partition("## Versions with known advisories")[2]
    sound = {
        match[1]: Version(match[2])
        for match in re.finditer(
            r"^\| ([a-z0-9-]+)(?: \(tests\))? \| ([0-9.]+) \|", table, re.MULTILINE
        )
    }
    project = pyproject["project"]
    groups = [
        project["dependencies"],
        *project["optional-dependencies"].values(),
        *pyproject["dependency-groups"].values(),
    ]
    bounds = [
        (canonicalize_name(asked.name), Version(part.version))
        for asked in (Requirement(line) for group in groups for line in group)
        for part in asked.specifier
        if part.operator == ">="
    ]

    assert len(sound) > 5
    assert set(sound) <= {name for name, _ in bounds}
    assert [(name, low) for name, low in bounds if low < sound.get(name, low)] == []


def test_the_lock_of_the_set_up_pins_uv_for_every_machine(root, pyproject, pins):
    """bootstrap.lock has one version of uv, within bounds, with the digests of all its files."""
    [asked] = map(Requirement, pyproject["dependency-groups"]["bootstrap"])
    locked = pins("bootstrap")
    digests = re.findall(r"--hash=sha256:", (root / "requirements" / "bootstrap.lock").read_text())

    assert list(locked) == ["uv"]
    assert asked.specifier.contains(locked["uv"])
    # Two processors, two C libraries, and the machines of developers.
    assert len(digests) > 4


def test_coverage_leaves_out_the_kernels_and_nothing_else(root, pyproject):
    """The rooms that the coverage figure is without are there and are the zone's."""
    left_out = pyproject["tool"]["coverage"]["run"]["omit"]
    rooms = [path.parent for path in (root / "study" / "zone").glob("*/__init__.py")]

    assert sorted(left_out) == sorted(f"*/{room.relative_to(root).as_posix()}/*" for room in rooms)


def test_hooks_and_checks_run_the_same_linters(root):
    """Each linter of .ci/checks is a hook of pre-commit, from the locked environment."""
    checks = re.findall(
        r"^    check .*? (\w+)(?: check| format|$)",
        (root / ".ci" / "checks").read_text(),
        re.MULTILINE,
    )
    [local] = yaml.safe_load((root / ".pre-commit-config.yaml").read_text())["repos"]
    entries = [hook["entry"] for hook in local["hooks"]]

    assert {"ruff", "mypy"} <= set(checks)
    assert all(
        any(entry.startswith(f".venv/bin/python -m {name}") for entry in entries) for name in checks
    )


def test_the_hosted_workflow_says_that_it_was_not_run_here(root):
    """Its first words say so, it calls what CI calls, and its Pythons are the declared ones."""
    text = (root / ".github" / "workflows" / "ci.yml").read_text()
    jobs = yaml.safe_load(text)["jobs"]

    assert text.startswith("# NOT RUN HERE")
    assert any(step.get("run") == "bash .ci/run" for step in jobs["test"]["steps"])
    names = runpy.run_path(str(root / "bootstrap.py"))
    (_, oldest), (_, newest) = names["OLDEST"], names["NEWEST"]
    declared = [f"3.{minor}" for minor in range(oldest, newest + 1)]
    assert jobs["quick"]["strategy"]["matrix"]["python"] == declared


def test_bootstrap_supports_the_pythons_that_are_declared(root, pyproject):
    """bootstrap.py, the classifiers and requires-python name the same Pythons."""
    names = runpy.run_path(str(root / "bootstrap.py"))
    (_, oldest), (_, newest) = names["OLDEST"], names["NEWEST"]
    classifiers = pyproject["project"]["classifiers"]
    declared = [line.rpartition(" ")[2] for line in classifiers if " :: 3." in line]

    assert declared == [f"3.{minor}" for minor in range(oldest, newest + 1)]
    assert pyproject["project"]["requires-python"] == f">=3.{oldest},<3.{newest + 1}"


@pytest.mark.parametrize("module", ["study", "study.cli", "study.scenario", "study.__main__"])
def test_importing_is_cheap(module):
    """Importing the package, its command line or the scenario loads none of the heavy libraries."""
    show = f"import sys, {module}; print(*set({HEAVY}) & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=False)

    assert done.stderr == ""
    assert done.stdout.split() == []


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=root, check=True, capture_output=True)
    [path] = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_holds_the_whole_package_and_nothing_else(wheel, root):
    """Every file of study/ is in the wheel, presets and all, and no test or scenario is."""
    package = {
        path.relative_to(root).as_posix()
        for path in (root / "study").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}

    assert held == package


def test_the_source_distribution_makes_the_same_wheel(wheel, root, tmp_path):
    """What is in the archive of sources is enough to build the wheel, file for file."""

    def build(kind: str, folder: Path) -> None:
        command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(tmp_path)]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)

    build("sdist", root)
    [archive] = tmp_path.glob("*.tar.gz")
    (tmp_path / "sources").mkdir()
    subprocess.run(["tar", "-xzf", archive, "-C", tmp_path / "sources"], check=True)
    [unpacked] = (tmp_path / "sources").iterdir()
    build("wheel", unpacked)
    [path] = tmp_path.glob("*.whl")
    again = zipfile.ZipFile(path)

    assert {info.filename: info.CRC for info in again.infolist()} == {
        info.filename: info.CRC for info in wheel.infolist()
    }
    assert {"LICENSE", "CITATION.cff", "CHANGELOG.md", "README.md"} <= {
        file.name for file in unpacked.iterdir()
    }


def test_the_wheel_brings_the_command_and_the_licence(wheel):
    """Installing the wheel makes a `study` command, and the licence travels with it."""
    [points] = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]

    assert b"study = study.cli:main" in wheel.read(points)
    assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--help"], "run "),
        (["presets"], "nic/e1000-9000"),
        (["schema"], '"$schema"'),
        (["plan", "{root}/scenarios/smoke.yaml", "--calibrate", "0"], "4 cells x 6 replicates"),
        (["explain", "--at", "0"], "step 0"),
    ],
)
def test_the_wheel_works_without_the_checkout(wheel, root, tmp_path, arguments, said):
    """What is in the wheel is enough: code, presets, compiled zone."""
    wheel.extractall(tmp_path)
    command = [sys.executable, "-m", "study", *(word.format(root=root) for word in arguments)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    where = [sys.executable, "-c", "import study; print(study.__file__)"]
    found = subprocess.run(where, cwd=tmp_path, capture_output=True, text=True, check=True)

    assert found.stdout.startswith(str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert said in done.stdout


def test_ci_runs_the_command_that_the_readme_names(root):
    """.ci/run and a reader of the README run the tests by the same command."""
    script = (root / ".ci" / "run").read_text().splitlines()
    command = "python3 bootstrap.py test"

    # A line of its own under `set -e`: its failure is the script's.
    assert command in script
    assert "set -euo pipefail" in script
    assert command in (root / "README.md").read_text()


def test_one_version_everywhere(root, pyproject):
    """The changelog and the citation speak of the version that is declared."""
    version = pyproject["project"]["version"]
    citation = yaml.safe_load((root / "CITATION.cff").read_text())
    heading = re.search(r"^## (\S+)", (root / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert citation["version"] == version
    assert heading is not None
    assert heading[1] == version
