"""Functions of somebody else's package, named in YAML, run in the zone: examples/own-policies."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from study.trust.extensions import allowing

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
    """A folder of packages that has the example, as an installer unpacks its wheel."""
    packages = tmp_path_factory.mktemp("packages")
    source = packages / "source"
    shutil.copytree(root / "examples/own-policies", source)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", packages],
        cwd=source, check=True, capture_output=True,
    )  # fmt: skip
    [wheel] = packages.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages / "site")
    return packages / "site"


@pytest.fixture
def run(root: Path, tmp_path: Path, installed: Path) -> Run:
    """`study run` of a scenario, the example at hand; the results lie in tmp_path/NAME."""

    def run(
        scenario: str,
        *options: str,
        out: str = "out",
        packages: Path = installed,
        pictures: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        file = tmp_path / "mine.yaml"
        file.write_text(scenario)
        return subprocess.run(
            [sys.executable, "-m", "study", "run", str(file), "-q",
             "--out", str(tmp_path / out), *options],
            env={
                **os.environ,
                "PYTHONPATH": f"{root}{os.pathsep}{packages}",
                "STUDY_NO_REPORT": str(int(not pictures)),
            },
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


@pytest.mark.nightly(part="ray")
def test_on_ray_it_makes_no_difference(run: Run, tmp_path: Path) -> None:
    """Workers import the package too, and a trial depends on its seed alone."""
    scenario = TINY + "axes: { extension.victims: [lru, low-addresses] }"
    assert run(scenario, "extension.source=camera", "--no-ray", out="here").returncode == 0
    done = run(scenario, "extension.source=camera", "--workers", "2", out="ray")
    assert done.returncode == 0, done.stderr
    pd.testing.assert_frame_equal(trials(tmp_path / "here"), trials(tmp_path / "ray"))


@pytest.mark.nightly(part="ray")
def test_a_module_can_be_named_without_installing(run: Run, root: Path, tmp_path: Path) -> None:
    """`module:name`, from PYTHONPATH, if that is allowed: here, in workers and for pictures."""
    scenario = TINY + "axes: { extension.victims: ['own_policies:low-addresses'] }"
    packages = root / "examples/own-policies"
    how = {"packages": packages, "pictures": True}
    done = run(scenario, "--no-ray", "--allow-extension", "own_policies", **how)
    assert done.returncode == 0, done.stderr
    named = ("--allow-extension", "own_policies:low-addresses")
    done = run(scenario, "--workers", "2", *named, out="ray", **how)
    assert done.returncode == 0, done.stderr
    pd.testing.assert_frame_equal(trials(tmp_path / "out"), trials(tmp_path / "ray"))
    for out in ("out", "ray"):
        assert (tmp_path / out / "zonemaps.npz").is_file()


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
        ("raise SystemExit(3)", "mine:a", "cannot import mine: SystemExit: 3"),
        ("class Own(BaseException): ...\nraise Own", "mine:a", "cannot import mine: Own"),
        ("", "mine.py:a.b:c", "is no module and a name in it, as module:name"),
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
    scenario = TINY + f"axes: {{ extension.victims: ['{named}'] }}"
    done = run(scenario, "--no-ray", "--allow-extension", "mine", packages=packages)
    assert done.returncode == 2, done.stderr
    assert told in done.stderr
    assert "mine.yaml:" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


MINE = (
    IMPORT
    + """
def a(z, pfn):
    return pfn


from pathlib import Path

Path(__file__).with_name("imported").touch()
"""
)
NAMED = (
    TINY
    + """\
axes:
  extension.victims: [lru, 'mine:a']
claims:
  - { id: c, says: It helps., metric: refaults, side: { extension.victims: 'mine:a' },
      against: { extension.victims: lru }, expect: less, matters: 1 }
"""
)


@dataclass
class Mine:
    """A module that leaves a mark when it is imported, and a scenario that names it."""

    root: Path
    folder: Path

    def study(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """What a command says where the module lies on the path."""
        return self._ran("-m", "study", *arguments, environment=environment)

    def python(self, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """What a script says there."""
        return self._ran("-c", script, environment=environment)

    def _ran(
        self, *arguments: str, environment: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        path = f"{self.root}{os.pathsep}{self.folder}"
        kept = {k: v for k, v in os.environ.items() if k != "STUDY_EXTENSIONS"}
        return subprocess.run(
            [sys.executable, *arguments], cwd=self.folder,
            env=kept | {"PYTHONPATH": path} | environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    def was_imported(self) -> bool:
        """Whether it has been since this was last asked."""
        mark = self.folder / "imported"
        found = mark.exists()
        mark.unlink(missing_ok=True)
        return found


@pytest.fixture
def mine(root: Path, tmp_path: Path) -> Mine:
    """Neither is trusted yet."""
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "x.yaml").write_text(NAMED)
    return Mine(root, tmp_path)


REFUSED = (
    "extension.victims mine:a names code, which is imported only if you allow it: "
    "--allow-extension mine "
)


@pytest.mark.parametrize(
    "command",
    [
        ("plan", "x.yaml"),
        ("show", "x.yaml"),
        ("run", "x.yaml", "--no-ray"),
        ("run", "x.yaml", "--no-ray", "--allow-extension", "other"),
        ("run", "x.yaml", "--no-ray", "--allow-extension", "mine:b", "--allow-extension", "min"),
        ("submit", "x.yaml", "--address", "http://127.0.0.1:9"),
    ],
    ids=" ".join,
)
def test_a_scenario_imports_nothing_by_itself(mine: Mine, command: tuple[str, ...]) -> None:
    """One line says where code is named and which option allows it; nothing is left behind."""
    done = mine.study(*command)

    assert done.returncode == 2
    assert done.stderr.startswith(f"study: x.yaml:9:28: {REFUSED}")
    assert done.stderr.count("\n") == 1
    assert not mine.was_imported()
    assert not (mine.folder / "results").exists()


def test_whoever_runs_a_study_allows_what_it_names(mine: Mine) -> None:
    """By an option, by the environment, or in Python; by the whole name or that of the module."""
    plan = ("plan", "x.yaml")
    assert mine.study(*plan, "--allow-extension", "mine:a").returncode == 0
    assert mine.was_imported()
    assert mine.study(*plan, STUDY_EXTENSIONS="other, mine:a").returncode == 0
    assert mine.was_imported()
    script = "import study; print(len(study.load('x.yaml', {0})))"
    for given, names in (("extensions=['mine:a']", ""), ("extensions='mine'", ""), ("", "x mine")):
        assert mine.python(script.format(given), STUDY_EXTENSIONS=names).stdout == "4\n"
        assert mine.was_imported()
    done = mine.python(script.format(""))
    assert f"ScenarioError: x.yaml:9:28: {REFUSED}" in done.stderr
    assert not mine.was_imported()


def test_a_results_folder_imports_nothing(mine: Mine) -> None:
    """Its manifest names the code with which it was made and allows none of it: what reads the
    folder works without, what runs trials says what it needs.
    """
    assert mine.study("run", "x.yaml", "--no-ray", "-q", "--out", "d",
                      "--allow-extension", "mine").returncode == 0  # fmt: skip
    assert mine.was_imported()
    script = """
import study
from study.cli import main
for command in ("summary d", "report d", "sensitivity d", "compare d d", "verdicts d x.yaml"):
    try:
        main(command.split())
    except SystemExit as ended:
        assert ended.code == 2 * (command == "sensitivity d"), command
r = study.read("d")
r.report()
print(len(r.trials), len(r.verdicts))
"""
    done = mine.python(script)
    assert "Traceback" not in done.stderr
    assert "It helps." in done.stdout
    assert done.stdout.splitlines()[-1] == "4 1"
    assert not mine.was_imported()
    for command in (("resume", "d", "--no-ray"), ("report", "d", "--pictures")):
        done = mine.study(*command)
        assert (done.returncode, mine.was_imported()) == (2, False)
        assert "d/manifest.json:" in done.stderr
        assert REFUSED in done.stderr
    assert mine.study("resume", "d", "--no-ray", "--allow-extension", "mine").returncode == 0
    assert mine.was_imported()


def test_a_trial_imports_what_its_run_allows(mine: Mine) -> None:
    """Permission goes along with the run, not with the trial; a job has that of who submits it."""
    script = """
import json, pickle, study
from study.fanout import run_trial
loaded = study.load('x.yaml', extensions='mine')
trial = list(loaded.trials())[1]
open('trial', 'wb').write(pickle.dumps(trial))
document = json.loads(json.dumps(loaded.document, default=str))
task = dict(scenario=document, name='n', out='d', place='d', workers=None, extend=False,
            limits=[None, None], extensions=['other'], command=[])
open('task.json', 'w').write(json.dumps(task))
"""
    done = mine.python(script)
    assert (done.returncode, done.stderr) == (0, "")
    assert mine.was_imported()
    script = """
import pickle
from study.fanout import in_process
trial = pickle.load(open('trial', 'rb'))
for extensions in ((), ('mine',)):
    [[row]] = in_process([trial], extensions=extensions)
    print(row.status, row.error)
"""
    refused, taken = mine.python(script).stdout.splitlines()
    assert refused.startswith("failed ExtensionError: mine:a names code")
    assert taken == "ok "
    assert mine.was_imported()
    done = mine.study("job", "task.json")
    assert done.returncode == 2
    assert REFUSED in done.stderr
    assert not mine.was_imported()


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

    with allowing(["reads_all"]):
        assert extension.find(extension.VICTIM, "reads_all:a").name == "a"
