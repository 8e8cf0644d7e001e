"""The Ray of our own, and the Ray of others."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import ray

from study.fanout import FanoutError, open_session, usable_cores
from study.fanout.scratch import _LONGEST

LISTENING = "0A"
"""State of a listening socket in /proc/net/tcp."""


def children_of(pid: int) -> set[int]:
    """A process and everything it started, directly or not."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has just ended
            continue
    family = {pid}
    while new := {child for child, parent in parents.items() if parent in family} - family:
        family |= new
    return family


def listening_addresses(pids: set[int]) -> set[str]:
    """Local addresses, in hexadecimal, on which these processes take connections."""
    inodes = set()
    for pid in pids:
        try:
            links = [str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir()]
        except OSError:
            continue
        inodes |= {link[8:-1] for link in links if link.startswith("socket:[")}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENING and fields[9] in inodes:
                found.add(fields[1].partition(":")[0])
    return found


def test_our_own_ray_is_private():
    """A local Ray takes connections on loopback only, and is gone afterwards with all it wrote."""
    environment = dict(os.environ)
    before = children_of(os.getpid())
    with open_session(workers=1) as session:
        assert session.owned
        assert session.cores() == 1
        started = children_of(os.getpid()) - before
        addresses = listening_addresses(started | {os.getpid()})
        folder = Path(ray._private.worker._global_node.get_temp_dir_path())
        assert folder.is_dir()

    loopback = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
    assert started
    assert addresses
    assert addresses <= loopback
    assert not ray.is_initialized()
    assert not folder.exists()
    assert dict(os.environ) == environment


def test_nobody_else_enters_the_folder_of_our_ray(attacker):
    """While it runs nobody else can look into its folder, put anything there, or move it away."""
    with open_session(workers=1):
        folder = Path(ray._private.worker._global_node.get_temp_dir_path())
        top = next(p for p in (folder, *folder.parents) if p.name.startswith("study-"))
        tries = [
            attacker('ls "$1"', top),
            attacker('ls "$1"', folder),
            attacker('touch "$1"/planted', top),
            attacker('touch "$1"/planted', folder),
            attacker('mv "$1"/session_latest "$1"/mine', folder),
            attacker('mv "$1"/session_latest/sockets "$1"/session_latest/mine', folder),
            attacker('ln -s /etc/passwd "$1"/session_latest/logs/link', folder),
            attacker('mv "$1" "$1".mine', top),
        ]
        mode = top.stat().st_mode
        planted = [path.name for path in folder.iterdir() if path.name in ("planted", "mine")]

    assert mode & 0o777 == 0o700
    assert [done.returncode for done in tries] == [2, 2, 1, 1, 1, 1, 1, 1]
    assert not planted


@pytest.mark.nightly(part="ray")
def test_a_ray_starts_however_long_the_name_of_the_temporary_folder(monkeypatch, everybodys):
    """Sockets have short paths: of a longer TMPDIR than they take none is made, of one that long
    one is.
    """
    import tempfile

    roots = []
    for letters in (_LONGEST, _LONGEST + 1):
        root = everybodys / ("x" * (letters - len(str(everybodys)) - 1))
        root.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(root))
        with open_session(workers=1) as session:
            assert session.answers()
            folder = Path(ray._private.worker._global_node.get_temp_dir_path())
            roots.append((root, folder.is_relative_to(root)))

    assert [inside for _, inside in roots] == [True, False]


def test_workers_import_nothing_from_the_current_folder(root: Path, tmp_path: Path):
    """Unless this process does: the folder may be one from somebody else."""
    for name in ("script", "current"):
        (tmp_path / name).mkdir()
    (tmp_path / "script/script.py").write_text(
        "import sys\n"
        "import ray\n"
        "from study.fanout import open_session\n"
        "def found():\n"
        "    from importlib.util import find_spec\n"
        "    return [find_spec(name) is not None for name in ('lying_there', 'script')]\n"
        "sys.path += sys.argv[1:]\n"
        "with open_session(workers=1):\n"
        "    print(*ray.get(ray.remote(found).remote()))\n"
    )
    (tmp_path / "current/lying_there.py").touch()
    told = []
    for arguments in ([], [""]):
        done = subprocess.run(
            [sys.executable, "../script/script.py", *arguments],
            env={**os.environ, "PYTHONPATH": str(root)}, cwd=tmp_path / "current",
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        told.append(done.stdout)

    assert told == ["False True\n", "True True\n"]


def test_a_ray_that_is_there_already_is_used_and_left():
    """In a program that is connected to Ray, that connection is used and not ended."""
    with open_session(workers=1):
        with open_session() as inner:
            assert not inner.owned

        assert ray.is_initialized()


def test_nobody_at_the_address():
    """An address where nothing listens is refused within seconds, by name."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with (
        pytest.raises(FanoutError, match=f"no Ray to join at {address}"),
        open_session(address=address),
    ):
        pytest.fail("joined nothing")


def test_an_address_without_a_port():
    """An address that cannot be one is refused by name."""
    with (
        pytest.raises(FanoutError, match="no Ray address: there:abc"),
        open_session(address="there:abc"),
    ):
        pytest.fail("joined nothing")


@pytest.mark.slow
@pytest.mark.nightly(part="ray")
def test_a_cluster_is_joined_and_left_running(root: Path, tmp_path: Path):
    """With --address the trials run on that cluster, give the same rows, and it stays up."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Sockets' paths are short; pytest's folders may not be.
    home = Path(f"/tmp/study-head-{os.getpid()}")  # noqa: S108
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "7" * 64}
    head = subprocess.Popen(
        [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"),
            *("--node-ip-address=127.0.0.1", f"--port={port}", "--num-cpus=2"),
            *("--include-dashboard=false", f"--temp-dir={home}"),
            *("--object-store-memory=100000000", "--disable-usage-stats"),
        ],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        for line in head.stdout:
            if "--block" in line:
                break
        outs = [tmp_path / "joined", tmp_path / "here"]
        ways = [("--address", f"127.0.0.1:{port}"), ("--no-ray",)]
        scenario = root / "tests/fanout/tiny.yaml"
        for out, way in zip(outs, ways, strict=True):
            command = (sys.executable, "-m", "study", "run", scenario, "-q", "--out", out, *way)
            done = subprocess.run(
                command, env=environment, cwd=root, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr

        assert head.poll() is None
        tables = [(out / "trials/part-000000.parquet").read_bytes() for out in outs]
        assert tables[0] == tables[1]
    finally:
        head.terminate()
        head.wait(timeout=60)
        head.stdout.close()
        subprocess.run(["rm", "-rf", home], check=True)


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("100000 100000", 1), ("50000 100000", 1), ("max 100000", None), ("nonsense", None)],
)
def test_a_containers_share_of_the_cores_is_kept(tmp_path, quota, cores):
    """Of a machine's cores no more are used than the container may; without a limit, all."""
    limit = tmp_path / "cpu.max"
    limit.write_text(f"{quota}\n")

    assert usable_cores(limit) == (cores or len(os.sched_getaffinity(0)))
    assert usable_cores(tmp_path / "none") == len(os.sched_getaffinity(0))
