"""bootstrap.py, run as a person runs it, on a small project with a package index of files.

The real locks take half a minute and a network; the way through them is the same.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

# A build backend of a few lines, so that the small project installs without any other package.
BACKEND = """
import zipfile

def build_editable(folder, config_settings=None, metadata_directory=None):
    info = "fragmentation_study-0.1.dist-info/"
    files = {
        "fragmentation_study.pth": str(__import__("pathlib").Path(__file__).parent),
        info + "METADATA": "Metadata-Version: 2.1\\nName: fragmentation-study\\nVersion: 0.1\\n",
        info + "WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        info + "entry_points.txt": "[console_scripts]\\nstudy = toy:main\\n",
    }
    files[info + "RECORD"] = "".join(f"{name},,\\n" for name in [*files, info + "RECORD"])
    name = "fragmentation_study-0.1-py3-none-any.whl"
    with zipfile.ZipFile(folder + "/" + name, "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return name
"""
TOY = """
import sys
from importlib.metadata import version

def main():
    print("leaf", version("leaf"), *sys.argv[1:])
    sys.exit(7)
"""
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""


class Checkout:
    """A folder with bootstrap.py, a study of one line, and a lock of one package."""

    def __init__(self, folder: Path, root: Path) -> None:
        # Beside it: pip takes a space in the path of an index for the start of another one.
        self.folder, self.index = folder, folder.parent / "index"
        (folder / "requirements").mkdir(parents=True)
        self.index.mkdir()
        shutil.copy(root / "bootstrap.py", folder)
        [pip] = (root / "requirements").glob("pip-*.whl")
        shutil.copy(pip, folder / "requirements")
        (folder / "pyproject.toml").write_text(PYPROJECT)
        (folder / "backend.py").write_text(BACKEND)
        (folder / "toy.py").write_text(TOY)
        self.lock("1.0")

    def lock(self, version: str, *, damaged: bool = False) -> None:
        """Publish leaf at a version and lock it; damaged changes the file afterwards."""
        wheel, info = self.index / f"leaf-{version}-py3-none-any.whl", f"leaf-{version}.dist-info/"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("leaf.py", "")
            archive.writestr(
                info + "METADATA", f"Metadata-Version: 2.1\nName: leaf\nVersion: {version}\n"
            )
            archive.writestr(
                info + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            archive.writestr(
                info + "RECORD", f"leaf.py,,\n{info}METADATA,,\n{info}WHEEL,,\n{info}RECORD,,\n"
            )
        digest = hashlib.sha256(b"" if damaged else wheel.read_bytes()).hexdigest()
        for name in ("run", "dev"):
            path = self.folder / "requirements" / f"{name}.lock"
            path.write_text(f"leaf=={version} \\\n    --hash=sha256:{digest}\n")

    def run(
        self, *arguments: str, cwd: Path | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run bootstrap.py with next to nothing in the environment and no home."""
        settings = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1"}
        return subprocess.run(
            [sys.executable, str(self.folder / "bootstrap.py"), *arguments],
            env={**settings, "PIP_FIND_LINKS": str(self.index), "HOME": "/nowhere", **environment},
            cwd=cwd or self.folder,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def checkout(tmp_path, root) -> Checkout:
    return Checkout(tmp_path / "a checkout", root)


def test_first_it_sets_up_then_it_starts_at_once(checkout, tmp_path):
    """The study gets arguments and working folder, its status comes back, and twice is quick."""
    first = checkout.run("run", "some.yaml", "seed=3", cwd=tmp_path)
    again = checkout.run("run", "other.yaml", cwd=tmp_path)

    assert (first.returncode, first.stdout) == (7, "leaf 1.0 run some.yaml seed=3\n")
    assert "Making" in first.stderr
    assert "Installing 1 packages" in first.stderr
    assert (again.returncode, again.stdout, again.stderr) == (7, "leaf 1.0 run other.yaml\n", "")


def test_settings_that_would_install_elsewhere_do_not_hold(checkout, tmp_path):
    """Packages land in .venv whatever pip is told about where to put them."""
    elsewhere = str(tmp_path / "elsewhere")
    done = checkout.run("run", PIP_TARGET=elsewhere, PIP_USER="1", PIP_REQUIRE_VIRTUALENV="1")

    assert done.returncode == 7, done.stderr
    assert not Path(elsewhere).exists()


def test_a_changed_lock_renews_the_environment(checkout):
    """After the lock has moved, the next start runs with what it says now."""
    checkout.run("run")
    checkout.lock("1.1")
    done = checkout.run("run")

    assert done.stdout == "leaf 1.1 run\n"


def test_a_stopped_set_up_goes_on(checkout):
    """An environment that was left half made is finished by the next start."""
    checkout.lock("1.0", damaged=True)
    assert checkout.run("run").returncode == 1
    checkout.lock("1.0")

    assert checkout.run("run").stdout == "leaf 1.0 run\n"


def test_a_moved_checkout_is_set_up_anew(checkout, tmp_path):
    """An environment knows its own path, so it is made again when the checkout moves."""
    checkout.run("run")
    checkout.folder = checkout.folder.rename(tmp_path / "moved")
    done = checkout.run("run")

    assert (done.returncode, done.stdout) == (7, "leaf 1.0 run\n")


def test_a_file_with_another_hash_is_refused(checkout):
    """A package that is not the locked one is never installed, and the reason is one line."""
    checkout.lock("1.0", damaged=True)
    done = checkout.run("run")

    assert done.returncode == 1
    assert "differs from the locked one" in done.stderr.splitlines()[-1]


def test_no_network_is_told_in_one_line(checkout):
    """Without an answer from the index the last line says so."""
    unreachable = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "1"}
    done = checkout.run("run", PIP_NO_INDEX="0", PIP_FIND_LINKS="", **unreachable)

    assert done.returncode == 1
    assert "no answer from the package index" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_somebody_elses_environment_is_left_alone(checkout):
    """A .venv that bootstrap.py did not make is neither used nor removed."""
    theirs = checkout.folder / ".venv" / "theirs"
    theirs.parent.mkdir()
    theirs.touch()
    done = checkout.run("run")

    assert done.returncode == 1
    assert "was not made by bootstrap.py" in done.stderr
    assert theirs.exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [("requirements/run.lock", "is the checkout complete?"), ("pip", "is the checkout complete?")],
)
def test_a_missing_file_is_named(checkout, name, said):
    """A checkout that lacks a file of the envelope says which one."""
    [path] = checkout.folder.glob(f"requirements/{name}-*.whl" if name == "pip" else name)
    path.unlink()
    done = checkout.run("run")

    assert done.returncode == 1
    assert path.name in done.stderr
    assert said in done.stderr


def test_a_damaged_pip_is_not_run(checkout):
    """The pip that comes with the study runs only while it is the one that was put there."""
    [wheel] = checkout.folder.glob("requirements/pip-*.whl")
    wheel.write_bytes(wheel.read_bytes()[:-1])
    done = checkout.run("run")

    assert done.returncode == 1
    assert f"{wheel} is damaged" in done.stderr


def test_an_unknown_lock_is_named(checkout):
    """`setup` with a name that is no lock says which there are."""
    done = checkout.run("setup", "everything")

    assert done.returncode == 1
    assert "run, dev, cluster" in done.stderr


@pytest.mark.parametrize("version", [(3, 10, 4), (3, 15, 0)])
def test_another_python_is_told_which_ones_do(checkout, version):
    """A Python that is too old, or newer than the locks, gets one line and no traceback."""
    pretend = f"import sys, runpy; sys.version_info = {version}; sys.argv[1:] = ['run']; "
    start = f"runpy.run_path({str(checkout.folder / 'bootstrap.py')!r}, run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", pretend + start], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "needs 3.11 to 3.14" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_help_shows_the_ways_to_use_it(checkout):
    """Without a command it explains itself and touches nothing."""
    done = checkout.run()

    assert done.returncode == 0
    assert "bootstrap.py test" in done.stdout
    assert not (checkout.folder / ".venv").exists()
