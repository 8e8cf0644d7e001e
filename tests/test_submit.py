"""A study as a job on a Ray head of its own, started here on loopback, reached by its job server.

The head asks for a token, as cluster.yaml has it.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

import study
from study.fanout import prepare_simulation
from study.runs import Options, run_study
from study.scenario import load
from tests.replay.test_demand import columns as recorded

TABLES = ("trials/part-000000.parquet", "series/part-000000.parquet", "summary.csv")
TOKEN = "0123456789abcdef" * 4
AS_TOLD = {
    "RAY_AUTH_MODE": "token",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""What docs/howto/cluster.md has both terminals export."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.skipif(
        find_spec("aiohttp_cors") is None and not os.environ.get("CI"),
        reason="the job server needs ray[default]",
    ),
]


@dataclass
class Head:
    """A running head: its job server, its folder, its process."""

    address: str
    folder: Path
    process: subprocess.Popen[bytes]


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@contextmanager
def running_head() -> Iterator[Head]:
    """`ray start --head` as its own process group, ended by its handle."""
    folder = Path(tempfile.mkdtemp(prefix="head-", dir="/tmp"))
    port, dashboard, client, agent = free_ports(4)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        **AS_TOLD,
        "RAY_AUTH_TOKEN": TOKEN,
        "HOME": str(folder),
        "STUDY_CACHE_DIR": str(study_cache()),
    }
    environment["PYTHONPATH"] = str(folder / "installed")
    arguments = (
        *("--head", f"--port={port}", "--num-cpus=2", f"--temp-dir={folder}", "--block"),
        *("--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}"),
        *(f"--ray-client-server-port={client}", f"--dashboard-agent-listen-port={agent}"),
        *("--object-store-memory=100000000", "--disable-usage-stats"),
    )
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "ray.scripts.scripts", "start", *arguments],
            env=environment, cwd=folder, stdout=said, stderr=said, start_new_session=True,
        )  # fmt: skip
    head = Head(f"http://127.0.0.1:{dashboard}", folder, process)
    try:
        wait_for(head)
        yield head
    finally:
        end(head)
        shutil.rmtree(folder, ignore_errors=True)


def wait_for(head: Head) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert head.process.poll() is None, (head.folder / "said").read_text()
        try:
            urlopen(f"{head.address}/api/version", timeout=5).close()  # noqa: S310 - our own
        except URLError as fault:
            if getattr(fault, "code", None) in (401, 403):  # it is there, and wants the token
                return
            time.sleep(0.2)
        else:
            return
    pytest.fail((head.folder / "said").read_text())


def end(head: Head) -> None:
    """Ask the head to end, with all that it has started, and wait for it."""
    head.process.terminate()
    try:
        head.process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        head.process.kill()


def study_cache() -> Path:
    from study.zone.engine.cache import cache_root

    return cache_root()


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    with running_head() as started:
        yield started


@pytest.fixture(scope="module")
def scenario(root: Path) -> tuple[str, ...]:
    """A scenario of forty trials and its overrides."""
    return str(root / "tests/fanout/tiny.yaml"), "replicates=10"


@pytest.fixture(scope="module")
def whole(scenario: tuple[str, ...], tmp_path_factory) -> dict[str, bytes]:
    """The tables of a run on this machine."""
    prepare_simulation()
    path = tmp_path_factory.mktemp("whole") / "out"
    run_study(load(scenario[0], scenario[1:]), path, Options(ray=False))
    return tables(path)


def tables(path: Path) -> dict[str, bytes]:
    assert {p.name for p in (path / "trials").iterdir()} == {"part-000000.parquet"}
    return {name: (path / name).read_bytes() for name in TABLES}


def command(root: Path, *arguments: str, token: str = TOKEN) -> dict[str, object]:
    """What subprocess needs to start `study` as a person with the token would."""
    return {
        "args": [sys.executable, "-m", "study", *arguments],
        "env": {
            **os.environ,
            "PYTHONPATH": str(root),
            **AS_TOLD,
            "RAY_AUTH_TOKEN": token,
        },
        "text": True,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
    }


def sources(package: Path) -> set[Path]:
    """What a package consists of, without what Python and numba leave beside it."""
    files = {p.relative_to(package) for p in package.rglob("*") if p.is_file()}
    return {p for p in files if p.parent.name != "__pycache__"}


def test_a_study_is_submitted_and_its_results_come_home(
    head: Head, root: Path, scenario, tmp_path: Path, whole
):
    """The tables at home are those of a run here; of this checkout only the package has gone."""
    out = tmp_path / "out"
    done = subprocess.run(
        **command(root, "submit", *scenario, "--address", head.address, "--out", str(out)),
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert tables(out) == whole
    lines = done.stderr.splitlines()
    assert lines[0].startswith("Submitted tiny-")
    assert f"40 trials (4 cells x 10 replicates) -> {out}" in lines
    assert any(line.startswith("40/40 trials") for line in lines)
    assert not [line for line in lines if "INFO" in line or "study-results" in line]
    assert done.stdout.splitlines()[-2:] == [f"Results: {out}", f"Report: {out}/report.html"]
    [packed] = {p.parent for p in head.folder.glob("session_2*/runtime_resources/*/*/study/cli.py")}
    assert sources(packed) == sources(root / "study")
    sent = [p for p in head.folder.rglob("job.json") if "working_dir" in str(p)]
    assert [p.name for p in sent[0].parent.iterdir() if p.name != "begun"] == ["job.json"]


def test_the_head_listens_to_this_machine_only(head: Head):
    """As the page on clusters starts it, no port of the head can be reached from outside."""
    family, new = set(), {head.process.pid}
    while new:
        family |= new
        new = {
            int(child)
            for pid in new
            for task in Path(f"/proc/{pid}/task").glob("*/children")
            for child in task.read_text().split()
        } - family
    inodes = {
        str(fd.readlink())[8:-1]
        for pid in family
        for fd in Path(f"/proc/{pid}/fd").glob("*")
        if fd.is_symlink() and str(fd.readlink()).startswith("socket:[")
    }
    listening = [
        fields[1].partition(":")[0]
        for table in ("tcp", "tcp6")
        for fields in map(str.split, Path(f"/proc/net/{table}").read_text().splitlines()[1:])
        if fields[3] == "0A" and fields[9] in inodes
    ]

    assert len(listening) > 3
    assert set(listening) <= {
        *("0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000")
    }


@pytest.mark.nightly(part="ray")
def test_who_stops_following_can_go_on(head: Head, root: Path, scenario, tmp_path: Path, whole):
    """Ctrl-C leaves the job running and says how to follow it; following brings all of it home."""
    out = tmp_path / "out"
    submit = command(root, "submit", *scenario, "--address", head.address, "--out", str(out))
    with subprocess.Popen(**submit) as run:
        assert run.stderr.readline().startswith("Submitted ")
        run.send_signal(signal.SIGINT)
        said, _ = run.communicate(timeout=60)
    assert run.returncode == 130
    goes_on, stop = said.splitlines()
    follow = goes_on.removeprefix("The job goes on. Follow it with: study ").split()
    assert follow[0] == "follow"
    assert stop == f"Stop it with: ray job stop --address {head.address} {follow[1]}"

    done = subprocess.run(**command(root, *follow, "--json"), check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["counts"]["finished"] == 40
    assert tables(out) == whole


@pytest.mark.nightly(part="ray")
def test_a_recorded_load_goes_along(head: Head, root: Path, tmp_path: Path):
    """The head has no file of it: the resolved scenario holds it, with the rows of here."""
    recorded(tmp_path / "trace_few.npz")
    mine = tmp_path / "what-if.yaml"
    mine.write_text(
        "extends: workload/none\nreplicates: 3\n"
        "base:\n"
        "  zone: { memory: 16MiB, reserved: 256KiB }\n"
        "  clock: { ageing: 0s, measure: 100ms, sample: 50ms }\n"
        "  load: { trace: trace_few.npz, block: 2ms }\n"
        "axes: { kswapd.policy: [count-only, order-aware] }\n"
    )
    run_study(load(mine), tmp_path / "here", Options(ray=False))
    out = tmp_path / "out"
    done = subprocess.run(
        **command(root, "submit", str(mine), "--address", head.address, "--out", str(out)),
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert tables(out) == tables(tmp_path / "here")
    assert (study.read(out).trials["trace_attempts"] > 0).all()


@pytest.mark.nightly(part="ray")
def test_a_job_writes_storage_itself(head: Head, root: Path, scenario, tmp_path: Path, whole):
    """With a URL the job writes there, and its tables are shown as they stand in its log."""
    at = f"file://{tmp_path}/there"
    arguments = ("--address", head.address, "--out", at, "--no-wait")
    sent = subprocess.run(**command(root, "submit", *scenario, *arguments), check=False)
    assert sent.returncode == 0, sent.stderr
    follow = sent.stdout.removeprefix("Follow with: study ").split()
    done = subprocess.run(**command(root, *follow), check=False)

    assert done.returncode == 0, done.stderr
    assert f"Results: {at}" in done.stderr.splitlines()
    assert tables(tmp_path / "there") == whole
    assert (tmp_path / "there/report.html").exists()


EXTENSION = """\
from study.zone.extension import victim_selector


@victim_selector("first")
def first(z, pfn):
    return pfn
"""


@pytest.mark.nightly(part="ray")
def test_a_job_imports_what_its_submission_allows(
    head: Head, root: Path, scenario, tmp_path: Path, whole
):
    """Code that a scenario names is imported there if it is allowed here; a job allows none."""
    for place in (head.folder / "installed", tmp_path / "site"):
        place.mkdir()
        (place / "lying_there.py").write_text(EXTENSION)
    named = ("extension.victims=lying_there:first", "replicates=2")
    submit = ("submit", scenario[0], *named, "--address", head.address)
    here = command(root)["env"] | {"PYTHONPATH": f"{root}{os.pathsep}{tmp_path / 'site'}"}
    results = {}
    for out, allowed in (("refused", ()), ("sent", ("--allow-extension", "lying_there"))):
        sent = command(root, *submit, "--out", str(tmp_path / out), *allowed) | {"env": here}
        results[out] = subprocess.run(**sent, check=False)
    local = command(
        root, "run", scenario[0], *named, "--no-ray", "-q", "--out", str(tmp_path / "local"),
        "--allow-extension", "lying_there",
    )  # fmt: skip
    subprocess.run(**local | {"env": here}, check=True)

    assert results["refused"].returncode == 2
    assert "is imported only if you allow it" in results["refused"].stderr
    assert not (tmp_path / "refused").exists()
    assert results["sent"].returncode == 0, results["sent"].stderr
    assert tables(tmp_path / "sent") == tables(tmp_path / "local") != whole


@pytest.mark.nightly(part="ray")
def test_the_page_on_clusters_can_be_followed(head: Head, root: Path, tmp_path: Path):
    """Each line of docs/howto/cluster.md that speaks to a head does what is said of it."""
    page = (root / "docs/howto/cluster.md").read_text()
    blocks = re.findall(r"^<!-- cluster -->\n```console\n(.*?)```", page, re.DOTALL | re.MULTILINE)
    lines = [line.removeprefix("$ ") for line in "".join(blocks).splitlines()]
    start = next(line for line in lines if line.startswith("ray start "))
    assert {"--head", "--dashboard-host=127.0.0.1", "--block"} < set(start.split())
    export = next(line for line in lines if line.startswith("export "))
    assert set(export.split()[1:]) == {f"{name}={value}" for name, value in AS_TOLD.items()}
    submit = next(line for line in lines if line.startswith("study submit "))
    plain = next(line for line in lines if line.startswith("ray job submit "))
    shown = [line for line in lines[lines.index(submit) + 1 : lines.index(plain)] if line != "..."]

    sent = subprocess.run(**here(submit, head, root, tmp_path), check=False)
    assert sent.returncode == 0, sent.stderr
    said = [comparable(line) for line in (sent.stderr + sent.stdout).splitlines()]
    assert [line for line in map(comparable, shown) if line not in said] == []
    job = subprocess.run(**here(plain, head, root, tmp_path), check=False)
    assert job.returncode == 0, job.stdout + job.stderr
    assert tables(tmp_path / "plain").keys() == set(TABLES)


def here(line: str, head: Head, root: Path, out: Path) -> dict[str, object]:
    """A line of that page, with this head and these folders, as subprocess takes it."""
    words = [
        {
            "http://127.0.0.1:8265": head.address,
            "results/sent": str(out / "results/sent"),
            "s3://bucket/smoke": f"file://{out}/plain",
        }.get(word, word)
        for word in shlex.split(line)
    ]
    # In .venv there is a command `study`; here the package may not be installed.
    while "study" in words:
        words[words.index("study") : words.index("study") + 1] = ["python", "-m", "study/"]
    words = [word.rstrip("/") if word == "study/" else word for word in words]
    started = command(root)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    if words[0] == "ray":
        words[:1] = [sys.executable, "-m", "ray.scripts.scripts"]
    return {**started, "args": words, "cwd": root, "env": {**started["env"], "PATH": path}}


def comparable(line: str) -> str:
    """Without what differs from run to run: numbers, names of jobs, where it all lies."""
    line = re.sub(r"\S*results/", "results/", line)
    return re.sub(r"smoke-[0-9a-f]{8}|[0-9.:]+", "*", line)


@pytest.mark.parametrize("token", ["f" * 64, ""])
def test_without_the_token_nothing_is_done(
    head: Head, root: Path, scenario, tmp_path: Path, token: str
):
    """A wrong token, or none, is told in a line, and leaves no folder behind."""
    arguments = ("--address", head.address, "--out", str(tmp_path / "out"))
    done = subprocess.run(
        **command(root, "submit", *scenario, *arguments, token=token), check=False
    )

    assert done.returncode == 1
    assert "oken" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_where_no_head_is(root: Path, scenario, tmp_path: Path):
    """An address that nobody listens at, or that is none, is told at once."""
    [port] = free_ports(1)
    none = ("http://", "http://a:b", "http://[::1", "ray://127.0.0.1:10001", "head")
    for address in (f"http://127.0.0.1:{port}", f"127.0.0.1:{port}", *none):
        done = subprocess.run(
            **command(root, "submit", *scenario, "--address", address), cwd=tmp_path, check=False
        )
        assert done.returncode == (2 if address in none else 1)
        assert address in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.rglob("*"))


@pytest.mark.nightly(part="ray")
def test_what_came_home_before_the_head_was_lost_is_kept(root: Path, scenario, tmp_path: Path):
    """When the head dies in mid-run, the rows so far are at home, and the run goes on elsewhere.

    It is continued on a second head, to which they are sent along; no finished trial is run again.
    """
    out = tmp_path / "out"
    longer = (scenario[0], "replicates=50", "clock.measure=20s")
    with running_head() as head:
        submit = command(root, "submit", *longer, "--address", head.address, "--out", str(out))
        with subprocess.Popen(**submit) as run:
            deadline = time.monotonic() + 180
            while not list((out / "trials").glob("part-*")) and time.monotonic() < deadline:
                assert run.poll() is None, run.communicate()
                time.sleep(0.05)
            end(head)
            ended = time.monotonic()
            try:
                line = next(line for line in run.stderr if "does not answer" in line)
                took = time.monotonic() - ended
                run.send_signal(signal.SIGINT)
                said, _ = run.communicate(timeout=60)
            finally:
                run.kill()
    assert re.fullmatch(r"the job server does not answer; trying until \d\d:\d\d\n", line)
    assert took < 10
    kept = json.loads(
        subprocess.run(**command(root, "status", str(out), "--json"), check=True).stdout
    )
    assert 0 < kept["counts"]["finished"] < 200
    assert kept["state"] == "stopped"
    told = said.splitlines()
    assert told[0] == "The job server does not answer, and may have lost the job."
    assert told[1].startswith("Once it answers follow it with: study follow tiny-")
    assert told[2].startswith(f"{kept['counts']['finished']} of 200 trials are kept")
    assert told[3:] == [f"Resume here with: study resume {out}"]

    with running_head() as head:
        submit = command(root, "submit", *longer, "--address", head.address, "--out", str(out))
        done = subprocess.run(**submit, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{kept['counts']['finished']} trials are there already" in done.stderr
    sound = tmp_path / "sound"
    run_study(load(longer[0], longer[1:]), sound, Options(workers=2))
    assert tables(out) == tables(sound)


def server_process(head: Head) -> int:
    """The process of a head's job server."""
    mark = f"--port={head.address.rpartition(':')[2]}".encode()
    for name in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = name.read_bytes().split(b"\0")
        except OSError:  # it has just ended
            continue
        if mark in words and any(word.endswith(b"dashboard.py") for word in words):
            return int(name.parent.name)
    pytest.fail("the head has no job server")


@pytest.mark.nightly(part="ray")
def test_a_head_that_says_nothing_is_noticed(root: Path, scenario, tmp_path: Path):
    """A head that is stopped, as one whose machine is gone, breaks no connection: it is said
    within ten seconds, and when it is back the results come home all the same.
    """
    out = tmp_path / "out"
    longer = (scenario[0], "replicates=50", "clock.measure=20s")
    with running_head() as head:
        submit = command(root, "submit", *longer, "--address", head.address, "--out", str(out))
        with subprocess.Popen(**submit) as run:
            said = iter(run.stderr)
            next(line for line in said if line.startswith("200 trials"))
            server = server_process(head)
            os.kill(server, signal.SIGSTOP)
            try:
                stopped = time.monotonic()
                line = next(line for line in said if "does not answer" in line)
                took = time.monotonic() - stopped
            finally:
                os.kill(server, signal.SIGCONT)
            again = next(line for line in said if "answers again" in line)
            rest, _ = run.communicate(timeout=300)

    assert re.fullmatch(r"the job server does not answer; trying until \d\d:\d\d\n", line)
    assert took < 10
    assert again == "the job server answers again\n"
    assert run.returncode == 0, rest
    assert rest.splitlines()[-2:] == [f"Results: {out}", f"Report: {out}/report.html"]
    assert set(tables(out)) == set(TABLES)
