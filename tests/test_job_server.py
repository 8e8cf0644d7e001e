"""Job servers that are none, are wrong, or are somebody else's: what they say is held against what
was asked, and ends in words.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from study.fanout import FanoutError
from study.runs import Options, run_study
from study.scenario import load
from tests.by_night import sampled

pytestmark = [
    pytest.mark.skipif(
        find_spec("aiohttp") is None and not os.environ.get("CI"), reason="jobs need ray[default]"
    ),
    # Said by aiohttp of how Ray calls it.
    pytest.mark.filterwarnings("ignore:ssl=None is deprecated:DeprecationWarning"),
]

ENDLESS = object()
"""An answer that goes on and on."""
PARTS = ("trials/part-000000.parquet", "series/part-000000.parquet")


class Server:
    """Answers as a job server does, but for what a test has it say.

    says   'version', 'job', 'submit' -> the whole answer; of a list of answers the next, then the
           last one again
    log    what the job's log holds, which may go on without another line
    noted  the metadata of the job
    """

    def __init__(self) -> None:
        self.says: dict[str, list[Any]] = {}
        self.log, self.log_goes_on = "", False
        self.noted: dict[str, Any] = {}
        self.address = ""

    def details(self) -> dict[str, Any]:
        """What a job server says of a job that has ended."""
        return {
            "type": "SUBMISSION", "submission_id": "x", "status": "SUCCEEDED", "entrypoint": "e",
            "message": "done", "metadata": self.noted, "runtime_env": {},
        }  # fmt: skip

    async def say(self, request: Any, what: str, usual: Any) -> Any:
        """Answer, with what was prepared if anything was."""
        from aiohttp import web

        prepared = self.says.get(what) or [None]
        said = prepared.pop(0) if len(prepared) > 1 else prepared[0]
        said = usual if said is None else said
        if said is not ENDLESS:
            return web.Response(text=json.dumps(said), content_type="application/json")
        endless = web.StreamResponse()
        await endless.prepare(request)
        with suppress(OSError):
            while True:
                await endless.write(b" " * (1 << 16))
        return endless

    async def version(self, request: Any) -> Any:
        """GET /api/version."""
        import ray

        return await self.say(request, "version", {"ray_version": ray.__version__})

    async def job(self, request: Any) -> Any:
        """GET /api/jobs/NAME."""
        return await self.say(request, "job", self.details())

    async def submit(self, request: Any) -> Any:
        """POST /api/jobs/."""
        sent = await request.json()
        self.noted = sent["metadata"]
        name = sent["submission_id"]
        return await self.say(request, "submit", {"job_id": name, "submission_id": name})

    async def tail(self, request: Any) -> Any:
        """GET /api/jobs/NAME/logs/tail."""
        from aiohttp import web

        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for start in range(0, len(self.log), 1 << 20):
            await socket.send_str(self.log[start : start + (1 << 20)])
        if self.log_goes_on:
            await socket.receive()
        await socket.close()
        return socket

    async def package(self, request: Any) -> Any:
        """PUT /api/packages/PROTOCOL/NAME."""
        from aiohttp import web

        await request.read()
        return web.Response(status=200)

    async def begin(self) -> Any:
        """Listen on a port of its own on loopback."""
        from aiohttp import web

        app = web.Application(client_max_size=1 << 30)
        app.router.add_get("/api/version", self.version)
        app.router.add_post("/api/jobs/", self.submit)
        app.router.add_get("/api/jobs/{name}", self.job)
        app.router.add_get("/api/jobs/{name}/logs/tail", self.tail)
        app.router.add_route("*", "/api/packages/{protocol}/{name}", self.package)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.address = "http://{}:{}".format(*runner.addresses[0])
        return runner


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    """A server at work, in a thread."""
    begun, loop = threading.Event(), asyncio.new_event_loop()

    def work() -> None:
        runner = loop.run_until_complete(server.begin())
        begun.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(60)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Server()) as at_work:
        yield at_work


@pytest.fixture(scope="module")
def ours(root: Path, tmp_path_factory) -> Path:
    """The folder of a finished study."""
    path = tmp_path_factory.mktemp("ours") / "out"
    run_study(load(root / "tests/fanout/tiny.yaml", ["replicates=2"]), path, Options(ray=False))
    return path


@pytest.fixture(scope="module")
def theirs(root: Path, tmp_path_factory) -> Path:
    """The same of another seed."""
    path = tmp_path_factory.mktemp("theirs") / "out"
    scenario = load(root / "tests/fanout/tiny.yaml", ["replicates=2", "seed=8"])
    run_study(scenario, path, Options(ray=False))
    return path


def put(name: str, content: bytes) -> str:
    """A file as it stands in a log."""
    digest = blake2b(content, digest_size=16).hexdigest()
    pieces = [content[start : start + 48 * 1024] for start in range(0, len(content), 48 * 1024)]
    lines = [f"put {name} {len(content)} {digest}"]
    lines += [f"data {base64.b64encode(piece).decode()}" for piece in pieces]
    return "".join(f"study-results {line}\n" for line in (*lines, f"end {name}"))


def log_of(folder: Path) -> str:
    files = "".join(put(name, (folder / name).read_bytes()) for name in (*PARTS, "manifest.json"))
    return f"12/12 trials\n{files}study-results exit 0\n"


def fingerprint(folder: Path) -> str:
    found: str = json.loads((folder / "manifest.json").read_text())["fingerprint"]
    return found


def command(root: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`study` as a person starts it, with so much memory and no more."""

    def bound() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 1 << 30))

    environment = {**os.environ, "PYTHONPATH": str(root)}
    environment.pop("RAY_API_SERVER_ADDRESS", None)
    return subprocess.run(
        [sys.executable, "-m", "study", *arguments],
        cwd=cwd, env=environment, capture_output=True, text=True, check=False, preexec_fn=bound,
    )  # fmt: skip


NO_VERSION: list[Any] = [[], 7, "x", {}, {"ray_version": 7}, {"ray_version": "x"}]
NO_JOB: list[Any] = [
    [], 7, "x", {"status": "odd"}, {"type": "SUBMISSION", "status": "\x1b[31m", "entrypoint": ""},
]  # fmt: skip


def asks(name: str) -> Callable[[Any], Any]:
    return {
        "metadata": lambda jobs: jobs.metadata("x"),
        "ended": lambda jobs: jobs.ended("x"),
        "log": lambda jobs: list(jobs.log("x")),
    }[name]


@pytest.mark.parametrize("said", NO_VERSION, ids=str)
def test_a_version_that_means_nothing_is_told(server: Server, said: Any):
    """What is no answer of a job server ends in one line that names the address."""
    from study.transport.jobs import JobServer

    server.says["version"] = [said]
    with pytest.raises(FanoutError, match=f"^the job server at {server.address} ") as error:
        JobServer(server.address)
    assert len(str(error.value).splitlines()) == 1
    assert str(error.value).isprintable()


@pytest.mark.parametrize("asked", ["metadata", "ended", "log"])
def test_what_is_said_of_a_job_and_means_nothing_is_told(server: Server, asked: str):
    """At the first question as at a later one, whoever asks."""
    from study.transport.jobs import JobServer

    jobs = JobServer(server.address)
    for said in NO_JOB:
        for answers in ([said], *([[None, said]] if asked == "log" else [])):
            server.says["job"] = list(answers)
            with pytest.raises(FanoutError, match=f"^the job server at {server.address} ") as error:
                asks(asked)(jobs)
            assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("said", [[], 7, "x", {}], ids=str)
def test_an_answer_to_a_job_that_means_nothing_is_told(server: Server, tmp_path: Path, said: Any):
    """Who sends a job hears in one line that the answer is none."""
    from study.transport.jobs import JobServer

    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").touch()
    server.says["submit"] = [said]
    with pytest.raises(FanoutError, match="an answer that means nothing"):
        JobServer(server.address).submit("x", "true", tmp_path, package=package, metadata={})


@pytest.mark.parametrize("what", ["version", "job"])
def test_an_endless_answer_is_left(server: Server, root: Path, tmp_path: Path, what: str):
    """The command ends in one line, with a gigabyte to live in."""
    server.says[what] = [ENDLESS]
    done = command(root, tmp_path, "follow", "x", "--address", server.address)

    assert done.returncode == 1
    said = f"the job server at {server.address} gives an answer of over 4,194,304 bytes"
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_that_it_answers_is_known_without_reading_what(server: Server):
    """Whether a server answers does not hang on how much it says."""
    from study.transport.jobs import JobServer

    jobs = JobServer(server.address)
    server.says["version"] = [ENDLESS]
    assert jobs.answers()


@pytest.mark.parametrize(
    "out",
    sampled(
        ["{top}/elsewhere", "../elsewhere", ".docker", "a/../../b", "~/x", "link/x", "a\x1bb"],
        every=3,
    ),
)
def test_a_job_server_does_not_choose_the_folder(
    server: Server, root: Path, ours: Path, tmp_path: Path, out: str
):
    """Rows are put below the current folder, or where --out says; nothing is made anywhere else."""
    here = tmp_path / "here"
    here.mkdir()
    (here / "link").symlink_to(tmp_path)
    server.noted = {"out": out.format(top=tmp_path), "fingerprint": fingerprint(ours)}
    server.log = log_of(ours)
    done = command(root, here, "follow", "x", "--address", server.address)

    assert done.returncode == 2
    assert "name the folder with --out" in done.stderr
    assert done.stderr.isprintable() or "\x1b" not in done.stderr
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["here", "link"]


@pytest.mark.slow
def test_what_comes_home_is_drawn_at_home(server: Server, root: Path, ours: Path, tmp_path: Path):
    """The rows come from the log; tables and the page, whatever it has of them, from the rows."""
    server.noted = {"out": "results/x", "fingerprint": fingerprint(ours)}
    forged = "".join(
        put(name, b"=cmd|' /C calc'!A0 <script>alert(1)</script>")
        for name in ("summary.csv", "contrasts.csv", "verdicts.csv", "report.html")
    )
    server.log = forged + log_of(ours).replace("study-results exit", f"{forged}study-results exit")
    done = command(root, tmp_path, "follow", "x", "--address", server.address)

    assert done.returncode == 0, done.stderr
    home = tmp_path / "results/x"
    for name in (*PARTS, "summary.csv", "contrasts.csv", "verdicts.csv"):
        assert (home / name).read_bytes() == (ours / name).read_bytes()
    assert "alert(1)" not in (home / "report.html").read_text()


@pytest.mark.usefixtures("sighup_heard")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_came_home_is_settled_before_a_signal_ends_it(
    server: Server, root: Path, ours: Path, tmp_path: Path, number: int
):
    """Whoever ends a follower, or closes its terminal, leaves a folder that nobody is to settle."""
    shutil.copytree(ours, tmp_path / "x")
    server.noted = {"out": "x", "fingerprint": fingerprint(ours)}
    head, _, files = log_of(ours).removesuffix("study-results exit 0\n").partition("\n")
    server.log, server.log_goes_on = f"{files}{head}\n", True
    with subprocess.Popen(
        [sys.executable, "-m", "study", "follow", "x", "--address", server.address],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as following:  # fmt: skip
        assert following.stderr is not None
        assert following.stderr.readline() == f"{head}\n"
        assert (tmp_path / "x/.before").is_dir()
        following.send_signal(number)
        said, _ = following.communicate(timeout=120)

    assert following.returncode == 130
    assert said.startswith("The job goes on. Follow it with: study follow x")
    assert {path.name for path in (tmp_path / "x").iterdir()} == {
        path.name for path in ours.iterdir()
    }
    assert (tmp_path / "x" / PARTS[0]).read_bytes() == (ours / PARTS[0]).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("begun", [False, True], ids=["new", "begun"])
def test_a_job_cannot_bring_the_rows_of_another_study(
    server: Server, root: Path, ours: Path, theirs: Path, tmp_path: Path, begun: bool
):
    """What is sent home is held against what was sent off: it says what differs, and keeps ours."""
    home = tmp_path / "home"
    scenario = (str(root / "tests/fanout/tiny.yaml"), "replicates=2")
    if begun:
        home.mkdir()
        for name in (*PARTS, "manifest.json"):
            (home / name).parent.mkdir(exist_ok=True)
            (home / name).write_bytes((ours / name).read_bytes())
    server.log = log_of(theirs)
    done = command(
        root, tmp_path, "submit", *scenario, "--address", server.address, "--out", str(home)
    )

    assert done.returncode == 1
    assert "the job's log has results of another study:" in done.stderr
    assert "  seed: 8 there, 7 now" in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads((home / "manifest.json").read_text())["seed"] == 7
    if begun:
        assert all((home / name).read_bytes() == (ours / name).read_bytes() for name in PARTS)
        assert "8 of 8 trials are kept" in done.stderr


@pytest.mark.parametrize("piece", [b"HTTP/1.1 100 Continue\r\n\r\n", b"X"], ids=["100", "drip"])
def test_headers_without_an_end_are_left(monkeypatch: pytest.MonkeyPatch, piece: bytes):
    """A server that is always about to answer keeps nobody longer than one that is silent."""
    from study.transport import jobs

    over = threading.Event()

    def keep_talking(talk: socket.socket) -> None:
        with talk, suppress(OSError):
            while not over.is_set():
                talk.sendall(piece)
                over.wait(0.05)

    def serve(listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                talk, _ = listening.accept()
                threading.Thread(target=keep_talking, args=(talk,), daemon=True).start()

    monkeypatch.setattr(jobs, "_PATIENCE_S", 3.0)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, args=(listening,), daemon=True).start()
        began = time.monotonic()
        with pytest.raises(FanoutError, match="no whole answer within 3 s"):
            jobs.JobServer(f"http://127.0.0.1:{listening.getsockname()[1]}")
        took = time.monotonic() - began
        over.set()

    assert took < 60
