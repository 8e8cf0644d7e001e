"""Machine code is never older than any source it was made from."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from study.zone.engine.together import Shares
from study.zone.settings import Clock, Memory, Settings
from study.zone.simulate import simulate

SCRIPT = """
import numpy as np
from study.zone.engine.layout import FRAME, NR_HEADS
from study.zone.engine.record import MACHINE
from study.zone.mm.linux_2_6.buddy import free_block
from study.zone.mm.linux_2_6.percpu import take_page

zone = np.zeros(1, MACHINE)
z = zone[0]
frame = np.zeros(1024 + NR_HEADS, FRAME)
frame["next"] = frame["prev"] = np.arange(len(frame))
z["frame_at"], z["frame_rows"] = frame.ctypes.data, len(frame)
z["zone"]["pages"] = z["zone"]["head"] = 1024
free_block(z, 0, 10)
print(take_page(z, False))
"""


# The same, with a numba that linked.py was not tried with.
UNTRIED = "import study.zone.engine.linked as linked; linked.TRIED = ()" + SCRIPT


_COMPILED = shutil.ignore_patterns("__pycache__")


def run(package: Path, cache: Path, script: str = SCRIPT) -> str:
    """What the script prints with a copy of the package and a cache folder."""
    environment = os.environ | {"PYTHONPATH": str(package), "STUDY_CACHE_DIR": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        cwd=package,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def compiled_once(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the package, and a cache that has what it compiles to."""
    place = tmp_path_factory.mktemp("compiled")
    shutil.copytree(root / "study", place / "package/study", ignore=_COMPILED)
    assert run(place / "package", place / "cache") == "0"
    return place


@pytest.fixture
def copied(compiled_once: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A package of one's own, and its cache."""
    place = shutil.copytree(compiled_once, tmp_path / "copied", ignore=_COMPILED)
    return place / "package", place / "cache"


def test_an_edit_in_a_called_module_takes_effect(copied: tuple[Path, Path]) -> None:
    """take_page lives in percpu.py; an edit of buddy.py, which it calls, changes what it does."""
    package, cache = copied
    compiled = sum(1 for _ in cache.rglob("*.nbc"))
    assert run(package, cache) == "0"
    assert sum(1 for _ in cache.rglob("*.nbc")) == compiled > 0

    buddy = package / "study" / "zone" / "mm" / "linux_2_6" / "buddy.py"
    source = buddy.read_text()
    split = "add_free_block(z, pfn + (1 << found), found)"
    assert split in source
    # Keep the upper half of a split instead of the lower.
    kept_upper = "add_free_block(z, pfn, found)\n            pfn += 1 << found"
    buddy.write_text(source.replace(split, kept_upper))

    assert run(package, cache) == "1023"


def test_the_same_sources_elsewhere_are_not_compiled_again(copied: tuple[Path, Path]) -> None:
    """Machine code goes by what the sources say, not by where they lie."""
    package, cache = copied
    compiled = {file: file.stat().st_mtime_ns for file in cache.rglob("*.nbc")}

    assert run(package, cache) == "0"
    assert {file: file.stat().st_mtime_ns for file in cache.rglob("*.nbc")} == compiled != {}


def test_only_the_kernels_that_python_calls_are_loaded(root: Path) -> None:
    """A process that runs a trial loads the machine code of the entries, not of all they call."""
    script = """
from study.zone.simulate import warm
warm()
from study.zone.load import nic
from study.zone.mm.linux_2_6 import buddy, kswapd
from study.zone.trial import advance
for kernel in (advance.advance_some, buddy.take_block, kswapd.wake_kswapd, nic.rx_frame):
    print(len(kernel.signatures), end=" ")
"""
    done = [
        subprocess.run(
            [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True
        ).stdout.split()
        for _ in range(2)
    ]
    # The first process may have had to compile, kernel by kernel.
    assert done[1] == ["1", "0", "0", "0"]


@pytest.mark.nightly(part="compile")
def test_another_numba_has_its_own_way_with_the_same_result(root: Path, tmp_path: Path) -> None:
    """Kernels are linked by one that was tried, and compiled with all they call by others."""
    linked, untried = tmp_path / "linked", tmp_path / "untried"
    for cache, script in ((linked, SCRIPT), (untried, UNTRIED)):
        for _ in ("compiled", "from the cache"):
            assert run(root, cache, script) == "0"
    assert any(linked.rglob("*.module.*.nbc"))
    assert not any(untried.rglob("*.module.*.nbc"))


def test_an_edit_compiles_what_rests_on_it_alone(copied: tuple[Path, Path]) -> None:
    """The modules of kernels below an edited one come from the cache."""
    package, cache = copied
    below = set(cache.rglob("buddy.*.nbc"))
    assert below

    percpu = package / "study" / "zone" / "mm" / "linux_2_6" / "percpu.py"
    percpu.write_text(percpu.read_text() + "\n# an edit\n")
    assert run(package, cache) == "0"
    assert set(cache.rglob("buddy.*.nbc")) == below
    assert len(list((cache / "mm.linux_2_6.percpu").iterdir())) == 2


def test_a_module_that_was_lost_is_made_again_as_its_callers_know_it(
    copied: tuple[Path, Path],
) -> None:
    """Callers from the cache know it by name, whichever process made it and after what else."""
    package, cache = copied
    for file in [*cache.rglob("buddy.*"), *cache.rglob("percpu.take_page*.nb?")]:
        if "add_free_block" in file.name or ".module" not in file.name:
            file.unlink()
    # What is compiled before it counts up numba's names.
    before = "import study.zone.engine.numba_private, numba; numba.njit(lambda x: x + 1)(1)"
    assert run(package, cache, before + SCRIPT) == "0"


@pytest.mark.nightly(part="compile")
def test_processes_that_compile_at_once_do_not_take_each_others_code(
    root: Path, tmp_path: Path
) -> None:
    """The code for other types is saved under another name, whoever writes the index last."""
    cache = tmp_path / "cache"
    environment = os.environ | {"PYTHONPATH": str(root), "STUDY_CACHE_DIR": str(cache)}
    several = [
        subprocess.Popen([sys.executable, "-c", SCRIPT], env=environment, stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    assert [process.communicate()[0].decode().strip() for process in several] == ["0"] * 3
    assert run(root, cache) == "0"


@pytest.mark.quick
def test_code_for_a_stated_processor_is_the_same_on_every_machine() -> None:
    """What an image ships is found by who states the same; features stated as none are none."""
    stated = {"NUMBA_CPU_NAME": "x86-64-v2", "NUMBA_CPU_FEATURES": ""}
    script = "from study.zone.engine.compile import _processor; print(repr(_processor()))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | stated,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "'x86-64-v2 '"


@pytest.mark.quick
def test_of_two_processes_one_makes_each_module(tmp_path: Path) -> None:
    """What is taken is nobody else's, and what is made is seen by both."""
    over = [False]
    one, other = (Shares(tmp_path, lambda: over[0]) for _ in range(2))

    assert (one.take("a"), other.take("a"), other.take("b")) == (True, False, True)
    assert not other.is_made("a")
    one.give("a")
    assert other.is_made("a")
    assert other.wait("a")
    over[0] = True
    assert not one.wait("b")
    assert not one.is_made("b")


def test_callees_are_those_that_the_code_calls(root: Path) -> None:
    """A module is begun when its callees are made: every call in its code is among them."""
    script = """
from study.zone.engine.compile import _signature, _WhenCalled
from study.zone.simulate import load
load()
known = _WhenCalled.declared
for each in list(known.values()):
    if each.inline:
        continue
    library = each.module(_signature(each.kernel.py_func)).library
    called = [module.name_and_types[0] for module in library.calls]
    for name in called:
        expected = [name] if not known[name].inline else known[name].callees
        assert set(expected) <= set(each.callees), (each.name, name)
print(sum(len(each.callees) > 0 for each in known.values()) > 100)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "True", done.stderr


@pytest.mark.nightly(part="compile")
@pytest.mark.parametrize("after_s", [0, 3, 9])
def test_a_second_process_that_dies_leaves_its_work_to_the_first(
    root: Path, tmp_path: Path, after_s: int
) -> None:
    """Killed at once or in the midst: the simulation is compiled all the same, and is the same."""
    script = f"""
import threading, time
import study.zone.engine.together as together
from study.zone.settings import Clock, Memory, Settings
from study.zone.simulate import simulate, warm

made = together.subprocess.Popen
def killed_later(*arguments, **options):
    process = made(*arguments, **options)
    threading.Timer({after_s}, process.kill).start()
    return process
together.subprocess.Popen = killed_later
warm()
second = 1_000_000_000
memory = Memory(pages=4_096, lowmem_pages=4_096, reserved_pages=16)
found = simulate(Settings(memory=memory, clock=Clock(second, second, second)), seed=1, replicate=0)
print(found.metrics["events"])
"""
    environment = os.environ | {"PYTHONPATH": str(root), "STUDY_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    memory = Memory(pages=4_096, lowmem_pages=4_096, reserved_pages=16)
    second = 1_000_000_000
    expected = simulate(
        Settings(memory=memory, clock=Clock(second, second, second)), seed=1, replicate=0
    )
    assert float(done.stdout) == expected.metrics["events"]
