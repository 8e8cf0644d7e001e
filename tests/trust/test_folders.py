"""Which folders are ours, and that machine code comes from no other."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from study.trust.folders import UntrustedError, is_own_file, make_own_folder, own_folder
from tests.by_night import sampled

Attack = Callable[..., subprocess.CompletedProcess[str]]

NOBODY = 65534
DICE = "engine.dice"
"""Folder of the module whose kernel is drawn with."""
DRAW = """
import numpy as np
from study.zone.engine import cache
from study.zone.engine.dice import geometric, seed_streams
from study.zone.engine.record import MACHINE

zone = np.zeros(1, MACHINE)
seed_streams(zone["dice"][0], 1, 0)
drawn = geometric(zone[0], 0, -0.5)
print(drawn, cache.cache_root(), *cache.refused_places(), sep="\\n")
"""


class Planted:
    """What becomes a shell's command where it is unpickled."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[object, ...]:
        return (os.system, (f"id -u >> {self.proof}",))


def draw(root: Path, *before: str, **environment: str) -> list[str]:
    """What a process says that compiles or loads a kernel: what it draws, and where code lies."""
    kept = {k: v for k, v in os.environ.items() if k not in ("STUDY_CACHE_DIR", "XDG_CACHE_HOME")}
    done = subprocess.run(
        [*before, sys.executable, "-c", DRAW],
        env=kept | {"PYTHONPATH": str(root), "HOME": "/dev/null"} | environment,
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def drawn(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What is drawn, and a folder with the machine code that does it."""
    cache = tmp_path_factory.mktemp("cache")
    return draw(root, STUDY_CACHE_DIR=str(cache))[0], cache


@pytest.fixture
def bait(drawn: tuple[str, Path], everybodys: Path) -> tuple[Path, Path]:
    """Where anybody can read it: a cache of these very sources whose indices are a command.

    Also the file that the command would write.
    """
    bait, proof = everybodys / "bait", everybodys / "proof"
    shutil.copytree(drawn[1], bait, symlinks=True)
    bait.chmod(0o755)
    indices = list(bait.rglob("*.nbi"))
    assert indices
    for index in indices:
        index.write_bytes(pickle.dumps(Planted(proof)))
    return bait, proof


def plant(attacker: Attack, bait: Path, target: Path) -> None:
    """The attacker puts the bait somewhere, open to all, as he can where others may write."""
    done = attacker('mkdir -p "$(dirname "$2")" && cp -r "$1" "$2" && chmod -R a+rwX "$2"',
                    bait, target)  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_machine_code_planted_under_the_name_we_would_take_is_not_run(
    root: Path, everybodys: Path, attacker: Attack, bait: tuple[Path, Path], drawn: tuple[str, Path]
) -> None:
    """Without a home, code lies in the temporary folder; where another user has taken its name, in
    a fresh one that nobody can guess and that the next process finds again.
    """
    plant(attacker, bait[0], everybodys / f"fragmentation-study-{os.geteuid()}")
    first = draw(root, TMPDIR=str(everybodys))
    cache = Path(first[1])
    compiled = {file: file.stat().st_mtime_ns for file in cache.rglob("*.nbc")}
    second = draw(root, TMPDIR=str(everybodys))

    assert not bait[1].exists()
    assert first[0] == drawn[0]
    assert f"belongs to another user ({NOBODY})" in first[2]
    assert cache.parent == everybodys
    assert cache.stat().st_mode & 0o777 == 0o700
    assert second == first
    assert {file: file.stat().st_mtime_ns for file in cache.rglob("*.nbc")} == compiled != {}


@pytest.mark.parametrize(
    ("setting", "mode"),
    [
        ("STUDY_CACHE_DIR", 0o777),
        ("STUDY_CACHE_DIR", 0o1777),
        ("XDG_CACHE_HOME", 0o775),
        ("XDG_CACHE_HOME", 0o1777),
        ("HOME", 0o777),
    ],
)
def test_machine_code_in_a_folder_that_others_may_write_is_not_run(
    root: Path, everybodys: Path, attacker: Attack, bait: tuple[Path, Path],
    drawn: tuple[str, Path], setting: str, mode: int,
) -> None:  # fmt: skip
    """Whichever setting names it; the run goes on with a folder of its own, and says so."""
    named = everybodys / "named"
    named.mkdir()
    named.chmod(mode)
    if mode == 0o775:
        os.chown(named, -1, NOBODY)
    if setting == "STUDY_CACHE_DIR" and mode != 0o1777:
        for part in bait[0].iterdir():
            plant(attacker, part, named / part.name)
    else:
        below = {"XDG_CACHE_HOME": "fragmentation-study", "HOME": ".cache/fragmentation-study"}
        plant(attacker, bait[0], named / below.get(setting, "cache"))
    place = named / "cache" if (setting, mode) == ("STUDY_CACHE_DIR", 0o1777) else named
    found = draw(root, TMPDIR=str(everybodys), **{setting: str(place)})

    assert not bait[1].exists()
    assert found[0] == drawn[0]
    assert Path(found[1]) == everybodys / f"fragmentation-study-{os.geteuid()}"
    assert str(named) in found[2]


@pytest.mark.parametrize("way", ["link", "owner", "mode", "file link", "file mode"])
def test_machine_code_planted_inside_a_folder_of_ours_is_not_run(
    root: Path, everybodys: Path, attacker: Attack, bait: tuple[Path, Path],
    drawn: tuple[str, Path], way: str,
) -> None:  # fmt: skip
    """A folder that is ours now may have been open once: what lies in it is looked at as well."""
    cache, mine = everybodys / "ours", everybodys / "mine"
    shutil.copytree(drawn[1], cache, symlinks=True)
    cache.chmod(0o777)
    for folder in (cache / DICE, *(cache / DICE).iterdir()):
        folder.chmod(0o777)
    plant(attacker, bait[0], mine)
    version = next(f for f in (mine / DICE).iterdir() if f.is_dir())
    each = "cd $1/$3; for f in $(find . -name '*.nbi'); do "
    if way == "link":
        line = "mv $1 $1.old; ln -s $2 $1"
    elif way == "owner":
        line = "mv $1 $1.old; cp -r $2 $1; chmod -R go-w $1"
    elif way == "mode":
        line = "mv $1 $1.old; cp -r $2 $1"
    elif way == "file link":
        line = f"{each}mv $f $f.old; ln -s $2/$3/$f $f; done"
    else:
        line = f"{each}cat $2/$3/$f > $f; done"
        for index in cache.rglob("*.nbi"):
            index.chmod(0o666)
    for index in cache.rglob("*.nbi"):
        index.parent.chmod(0o777)
    assert attacker(line, cache / DICE, mine / DICE, version.name).returncode == 0
    # Somebody has put it right, but not looked into it.
    cache.chmod(0o755)
    for folder in (p for p in cache.rglob("*") if p.is_dir() and not p.is_symlink()):
        if way not in ("owner", "mode"):
            folder.chmod(0o755)
    found = draw(root, TMPDIR=str(everybodys), STUDY_CACHE_DIR=str(cache))

    assert not bait[1].exists()
    assert found[:2] == [drawn[0], str(cache)]


def test_code_that_root_has_made_for_all_to_read_is_used(
    root: Path, everybodys: Path, drawn: tuple[str, Path]
) -> None:
    """Another user neither compiles it again nor needs to write there, as in a container."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can switch users, and util-linux does it")
    cache = everybodys / "shipped"
    shutil.copytree(drawn[1], cache, symlinks=True)
    subprocess.run(["chmod", "-R", "a+rX,go-w", cache], check=True)
    before = sorted(p.relative_to(cache) for p in cache.rglob("*"))
    # The interpreter may lie where only root can read: that much he keeps, and no right to write.
    as_another = (
        *("setpriv", "--reuid=1", "--regid=1", "--clear-groups"),
        *("--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search"),
        *("--bounding-set=-all,+dac_read_search",),
    )
    found = draw(root, *as_another, TMPDIR=str(everybodys), STUDY_CACHE_DIR=str(cache))

    assert found == [drawn[0], str(everybodys / "fragmentation-study-1")]
    assert not list(Path(found[1]).rglob("*.nbc"))
    assert sorted(p.relative_to(cache) for p in cache.rglob("*")) == before


@pytest.mark.parametrize("umask", sampled([0o000, 0o002, 0o077], every=3))
def test_what_is_made_is_ours_whatever_the_umask(root: Path, everybodys: Path, umask: int) -> None:
    """Code that a process keeps is loaded by the next, also with a umask that lets others write."""
    cache = everybodys / "new/cache"
    before = os.umask(umask)
    try:
        first = draw(root, STUDY_CACHE_DIR=str(cache))
        compiled = {file: file.stat().st_mtime_ns for file in cache.rglob("*.nb?")}
        second = draw(root, STUDY_CACHE_DIR=str(cache))
    finally:
        os.umask(before)

    assert first == second
    assert first[1:] == [str(cache)]
    assert {file: file.stat().st_mtime_ns for file in cache.rglob("*.nb?")} == compiled != {}
    assert not [p for p in cache.rglob("*") if p.stat().st_mode & 0o022]


@pytest.mark.quick
def test_links_are_followed_to_where_they_lead(tmp_path: Path, everybodys: Path) -> None:
    """A link of ours leads to a folder of ours, and to no other; upwards too."""
    ours, theirs = tmp_path / "ours/below", everybodys / "theirs"
    make_own_folder(ours)
    theirs.mkdir()
    theirs.chmod(0o777)
    links = {"good": ours, "up": Path("ours/below/.."), "bad": theirs, "loop": Path("loop")}
    for name, target in links.items():
        (tmp_path / name).symlink_to(target)

    assert own_folder(tmp_path / "good") == own_folder(ours)
    assert own_folder(tmp_path / "up") == own_folder(ours.parent)
    for name in ("bad", "loop"):
        with pytest.raises(UntrustedError):
            own_folder(tmp_path / name)
    with pytest.raises(UntrustedError, match="mode 1777"):
        own_folder(everybodys)
    (everybodys / "file").touch()
    (everybodys / "link").symlink_to(everybodys / "file")
    assert is_own_file(everybodys / "file")
    assert not is_own_file(everybodys / "link")
    (everybodys / "file").chmod(0o666)
    assert not is_own_file(everybodys / "file")


def test_a_link_of_another_user_is_not_followed(
    tmp_path: Path, everybodys: Path, attacker: Attack
) -> None:
    """Nor one that leads to a folder of ours: whoever owns the link chooses where it leads."""
    assert attacker('ln -s "$1" "$2"/link', tmp_path, everybodys).returncode == 0
    with pytest.raises(UntrustedError, match=f"link of another user \\({NOBODY}\\)"):
        own_folder(everybodys / "link")
