"""Functions of somebody else's package, named in YAML, run in the zone: examples/own-policies."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

TINY = """\
base:
  zone: { memory: 16MiB, reserved: 1MiB }
  user: { touch_rate: 4000/s }
  nic: { ring: 16, rx_rate: 200/s, tx_rate: 100/s }
  clock: { ageing: 2s, measure: 4s }
  extension: { numbers: [64, 30, 3, 0.5] }
replicates: 2
"""


@pytest.fixture(scope="module")
def installed(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages that has the example, installed by pip."""
    packages = tmp_path_factory.mktemp("packages")
    source = packages / "source"
    shutil.copytree(root / "examples/own-policies", source)
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation",
         "--no-index", "--target", packages / "site", source],
        check=True, capture_output=True,
    )  # fmt: skip
    return packages / "site"


@pytest.fixture
def run(root: Path, tmp_path: Path, installed: Path) -> Run:
    """`study run` of a scenario, the example at hand; the results lie in tmp_path/NAME."""

    def run(
        scenario: str, *options: str, out: str = "out", packages: Path = installed
    ) -> subprocess.CompletedProcess[str]:
        file = tmp_path / "mine.yaml"
        file.write_text(scenario)
        return subprocess.run(
            [sys.executable, "-m", "study", "run", str(file), "-q",
             "--out", str(tmp_path / out), *options],
            env={**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{packages}"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    return run


def trials(folder: Path) -> pd.DataFrame:
    """The trials table of a results folder."""
    return pd.read_parquet(folder / "trials")


def test_an_installed_package_is_found_by_name(run: Run, tmp_path: Path) -> None:
    """Selector and source do their work; the load is the same whoever picks the victims."""
    axes = "axes: { extension.source: [camera], extension.victims: [lru, low-addresses] }"
    done = run(TINY + axes, "--no-ray")
    assert done.returncode == 0, done.stderr
    found = trials(tmp_path / "out")
    assert (found["status"] == "ok").all()
    assert (found["source_attempts"] > 50).all()
    lru, low = (found[found["extension.victims"] == who] for who in ("lru", "low-addresses"))
    assert lru["source_attempts"].tolist() == low["source_attempts"].tolist()
    assert lru["touches"].tolist() == low["touches"].tolist()
    assert (lru["refaults"].to_numpy() != low["refaults"].to_numpy()).all()


def test_without_a_source_nothing_else_changes(run: Run, tmp_path: Path) -> None:
    """The streams of all other loads are what they are without the extension."""
    done = run(TINY + "axes: { extension.source: [none, camera] }", "--no-ray")
    assert done.returncode == 0, done.stderr
    found = trials(tmp_path / "out")
    found["frames"] = found["frames_received"] + found["frames_dropped"]
    for metric in ("forks", "touches", "frames"):
        of = found.pivot_table(index="replicate", columns="extension.source", values=metric)
        assert of["none"].tolist() == of["camera"].tolist()


def test_on_ray_it_makes_no_difference(run: Run, tmp_path: Path) -> None:
    """Workers import the package too, and a trial depends on its seed alone."""
    scenario = TINY + "axes: { extension.victims: [lru, low-addresses] }"
    assert run(scenario, "extension.source=camera", "--no-ray", out="here").returncode == 0
    done = run(scenario, "extension.source=camera", "--workers", "2", out="ray")
    assert done.returncode == 0, done.stderr
    pd.testing.assert_frame_equal(trials(tmp_path / "here"), trials(tmp_path / "ray"))


def test_a_module_can_be_named_without_installing(run: Run, root: Path) -> None:
    """`module:name`, from PYTHONPATH."""
    scenario = TINY + "axes: { extension.victims: ['own_policies:low-addresses'] }"
    done = run(scenario, "--no-ray", packages=root / "examples/own-policies")
    assert done.returncode == 0, done.stderr


def test_another_version_does_not_go_on(run: Run, installed: Path, tmp_path: Path) -> None:
    """A folder made with one version of an extension is not continued with another."""
    other = tmp_path / "other"
    shutil.copytree(installed, other)
    scenario = TINY + "axes: { extension.victims: [low-addresses] }"
    assert run(scenario, "--no-ray").returncode == 0
    with (other / "own_policies/__init__.py").open("a") as file:
        file.write("# changed\n")
    done = run(scenario, "--no-ray", packages=other)
    assert done.returncode == 2
    assert "version of the simulation" in done.stderr
    assert "Traceback" not in done.stderr


IMPORT = "from study.zone.extension import *\n@victim_selector('a')\n"


@pytest.mark.parametrize(
    ("module", "named", "told"),
    [
        ("", "low-adresses", "did you mean low-addresses?"),
        ("raise RuntimeError('not today')", "mine:a", "cannot import mine: RuntimeError: not"),
        (
            IMPORT + "def a(z): return 1",
            "mine:a",
            "takes (z), but a victim selector takes (z, pfn)",
        ),
        (IMPORT + "def a(z, pfn): return z.nothing", "mine:a", "numba cannot compile a: "),
        ("def a(z, pfn): return pfn", "mine:a", "mine:a is no victim selector"),
    ],
)
def test_what_cannot_be_used_is_told(
    run: Run, installed: Path, tmp_path: Path, module: str, named: str, told: str
) -> None:
    """One line with file and place, exit status 2, no traceback, and no results folder."""
    packages = tmp_path / "packages"
    shutil.copytree(installed, packages)
    (packages / "mine.py").write_text(module)
    done = run(TINY + f"axes: {{ extension.victims: ['{named}'] }}", "--no-ray", packages=packages)
    assert done.returncode == 2, done.stderr
    assert told in done.stderr
    assert "mine.yaml:" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_what_an_extension_may_read_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each field of the record that the module's own words name can be read by a function."""
    from study.zone import extension

    named = sorted(set(re.findall(r"z\.[a-z_.]+(?:\[\w+\])?(?=[ ,;])", extension.__doc__ or "")))
    assert "z.zone.nr_free[order]" in named
    fields = " + ".join(re.sub(r"\[\w+\]", "[0]", name) for name in named)
    module = IMPORT + f"def a(z, pfn): return int({fields})\n"
    (tmp_path / "reads_all.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)

    assert extension.find(extension.VICTIM, "reads_all:a").name == "a"
