"""Results on a filesystem that is not this machine's: the same tables, at every moment whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import pandas as pd
import pytest

from study.results import ResultsError, read_series, read_trials
from study.results.mirror import Mirror
from study.results.status import status_of
from study.runs import Options, resume_study, run_study
from study.scenario import Study, load
from study.transport import open_folder
from study.transport.received import keep_before
from study.transport.storage import Storage, mirror_of

TABLES = ("trials/part-000000.parquet", "series/part-000000.parquet", "summary.csv")


@pytest.fixture(scope="module")
def tiny(root: Path) -> Study:
    return load(root / "tests/fanout/tiny.yaml")


@pytest.fixture(scope="module")
def whole(tiny: Study, tmp_path_factory) -> dict[str, bytes]:
    """The tables of a run into a folder of this machine."""
    path = tmp_path_factory.mktemp("whole") / "out"
    run_study(tiny, path, Options(ray=False))
    return {name: (path / name).read_bytes() for name in TABLES}


@pytest.fixture(scope="module")
def s3() -> Iterator[None]:
    """An S3 server on loopback with a bucket `studies`, found through the environment."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "nobody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        fsspec.filesystem("s3").mkdir("studies")
        yield
    server.stop()


@pytest.fixture(params=["memory", "s3"])
def place(request: pytest.FixtureRequest) -> str:
    """A folder that does not exist yet, on a filesystem that is not this machine's."""
    name = uuid.uuid4().hex
    if request.param == "memory":
        return f"memory://studies/{name}"
    request.getfixturevalue("s3")
    return f"s3://studies/{name}"


def files(place: str) -> dict[str, bytes]:
    fs, top = fsspec.core.url_to_fs(place)
    fs.invalidate_cache()
    return {path.removeprefix(f"{top}/"): fs.cat_file(path) for path in fs.find(top)}


def test_the_tables_there_are_those_here(place: str, tiny: Study, whole):
    """A run into any filesystem leaves the bytes of a run into a folder, and nothing besides."""
    results = run_study(tiny, place, Options(ray=False))
    there = files(place)

    assert {name: there[name] for name in TABLES} == whole
    assert there.keys() == {"manifest.json", "contrasts.csv", "verdicts.csv", *TABLES}
    assert results.place == place
    assert len(results.series) == len(read_series(open_folder(place))) > 0
    pd.testing.assert_frame_equal(read_trials(open_folder(place)), results.trials)
    assert status_of(open_folder(place))["counts"]["finished"] == 12
    assert f"in {place}: complete" in repr(results)


@pytest.mark.parametrize(
    "place",
    ["memory", pytest.param("s3", marks=pytest.mark.nightly(part="storage"))],
    indirect=True,
)
def test_a_run_that_died_there_is_continued(place: str, tiny: Study, whole):
    """Wherever the carrying breaks off, the place holds a whole run of some rows, or a beginning.

    The run is broken after every single operation on the filesystem in turn, then resumed.
    """
    lost, step, continued = True, 0, 0
    while lost:
        at = f"{place}-{step}"
        lost = not broken_run(tiny, at, after=step)
        there = files(at)
        if lost and "manifest.json" in there:
            named = json.loads(there["manifest.json"])["parts"]
            before = len(read_trials(open_folder(at)))
            assert before or not [name for name in named if name.startswith("trials")]
            assert (
                len(read_trials(open_folder(at)).drop_duplicates(["cell", "replicate"])) == before
            )
            assert len(read_series(open_folder(at)).drop_duplicates()) == len(
                read_series(open_folder(at))
            )
            resume_study(at, Options(ray=False))
            continued += 1
            assert {name: files(at)[name] for name in TABLES} == whole
            assert not [name for name in files(at) if name.startswith((".new", "damaged"))]
        step += 5 if place.startswith("s3") else 3
    assert continued > 3


def broken_run(study: Study, place: str, *, after: int) -> bool:
    """Run a study in three parts; the filesystem dies after so many operations. True if not."""
    from study.fanout import in_process
    from study.results import Store, create_folder
    from study.results.manifest import new_manifest
    from study.statistics import write_findings
    from study.zone.engine.compile import digest

    class Mortal:
        """A carrier that stops working, as if the process had been killed."""

        def __init__(self) -> None:
            self.left = after
            self.storage = Storage(place)

        def put(self, name: str, source: Path) -> None:
            self.live()
            self.storage.put(name, source)

        def move(self, name: str, target: str) -> None:
            self.live()
            self.storage.move(name, target)

        def remove(self, name: str) -> None:
            self.live()
            self.storage.remove(name)

        def live(self) -> None:
            if not self.left:
                raise KeyboardInterrupt
            self.left -= 1

    mirror = mirror_of(place)
    folder = create_folder(
        mirror.local, new_manifest(study, simulation=digest(), command=("test",))
    )
    folder.mirror = Mirror(mirror.local, Mortal(), place=place)
    try:
        store = Store(folder)
        trials = list(study.trials())
        for first, last in ((0, 5), (5, 9), (9, 12)):
            for rows in in_process(trials[first:last]):
                store.add(rows)
            store.flush()
        store.close("complete")
        write_findings(folder)
        folder.publish()
    except KeyboardInterrupt:
        return False
    return True


def test_other_bytes_than_the_manifest_names_are_set_aside(place: str, tiny: Study, whole):
    """A part that was changed there is found out by its digest, set aside, and run again."""
    run_study(tiny, place, Options(ray=False))
    fs, top = fsspec.core.url_to_fs(place)
    broken = bytearray(fs.cat_file(f"{top}/{TABLES[0]}"))
    broken[len(broken) // 2] ^= 0xFF
    fs.pipe_file(f"{top}/{TABLES[0]}", bytes(broken))
    resume_study(place, Options(ray=False))
    there = files(place)

    assert {name: there[name] for name in TABLES} == whole
    assert there["damaged/trials-part-000000.parquet"] == bytes(broken)


def test_two_runs_do_not_write_one_place(place: str, tiny: Study):
    """While one run writes, another is refused and a reader sees it; a dead one holds nobody up."""
    run_study(tiny, place, Options(ray=False))
    fs, top = fsspec.core.url_to_fs(place)
    with open_folder(place).only_writer():
        assert status_of(open_folder(place))["state"] == "complete"
        with pytest.raises(ResultsError, match=f"written by another run .process {os.getpid()} "):
            resume_study(place, Options(ray=False))
        note = json.loads(fs.cat_file(f"{top}/.lock"))
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"],
                          check=True, capture_output=True, text=True)  # fmt: skip
    fs.pipe_file(f"{top}/.lock", json.dumps({**note, "pid": int(dead.stdout)}).encode())
    assert not open_folder(place).is_being_written()
    # In another container the same number is another process.
    there = {**note, "pid": int(dead.stdout), "pid_namespace": "elsewhere"}
    fs.pipe_file(f"{top}/.lock", json.dumps(there).encode())
    assert open_folder(place).is_being_written()
    for seen in ("2004-09-08T00:00:00+00:00", "9999-12-31T00:00:00+00:00"):
        fs.pipe_file(f"{top}/.lock", json.dumps({**there, "seen": seen}).encode())
        assert resume_study(place, Options(ray=False)).manifest["state"] == "complete"
        assert ".lock" not in files(place)


def test_a_folder_and_its_url_keep_each_other_out(tiny: Study, tmp_path: Path):
    """A run that writes a folder of this machine has it, whether it calls it by path or by URL."""
    out = tmp_path / "out"
    run_study(tiny, out, Options(ray=False))
    for one, other in ((out, f"file://{out}"), (f"file://{out}", out)):
        with open_folder(one).only_writer():
            assert open_folder(other).is_being_written()
            with pytest.raises(ResultsError, match=rf"by another run \(process {os.getpid()} on "):
                resume_study(other, Options(ray=False))
        assert not (out / ".lock").exists()
        assert resume_study(other, Options(ray=False)).manifest["state"] == "complete"

    keep_before(out)
    with pytest.raises(ResultsError, match=f"settle that by its path first: study resume {out}$"):
        resume_study(f"file://{out}", Options(ray=False))
    assert resume_study(out, Options(ray=False)).manifest["state"] == "complete"
    assert not (out / ".before").exists()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("nothing://a/b", "cannot use nothing://a/b: Protocol not known: nothing"),
        ("memory://", "memory:// names no folder"),
        ("file://localhost/tmp/x", "names another machine or no whole path; write file:///path"),
        ("simplecache::file:///tmp/x", "leads to a folder of this machine; give its path"),
        ("dir::file:///tmp/x", "leads to a folder of this machine; give its path"),
        ("async_wrapper::local:///tmp/x", "leads to a folder of this machine; give its path"),
        ("blockcache::simplecache::file:///tmp/x", "leads to a folder of this machine; give its"),
    ],
)
def test_a_place_that_cannot_be_is_refused(tiny: Study, url: str, told: str):
    """What is wrong with a URL is said before any trial runs."""
    with pytest.raises(ResultsError, match=told):
        run_study(tiny, url, Options(ray=False))


def test_a_place_of_somebody_else_is_left_alone(place: str, tiny: Study):
    """Where other files lie, nothing is written."""
    fs, top = fsspec.core.url_to_fs(place)
    fs.pipe_file(f"{top}/thesis.txt", b"years of work")

    with pytest.raises(ResultsError, match=f"{place} is not empty and holds no results"):
        run_study(tiny, place, Options(ray=False))
    assert files(place) == {"thesis.txt": b"years of work"}


@pytest.mark.slow
@pytest.mark.usefixtures("s3")
@pytest.mark.nightly(part="storage")
def test_from_the_command_line(root: Path, tmp_path: Path):
    """run, status, summary, report and resume take a URL, and say it; a missing bucket is told."""
    at = f"s3://studies/{uuid.uuid4().hex}"

    def study(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment: dict[str, Any] = {**os.environ, "PYTHONPATH": str(root)}
        environment["STUDY_NO_REPORT"] = "0"
        return subprocess.run(
            [sys.executable, "-m", "study", *arguments],
            env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip

    ran = study("run", str(root / "tests/fanout/tiny.yaml"), "--no-ray", "--out", at)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-2:] == [f"Results: {at}", f"Report: {at}/report.html"]
    assert {"report.html", "zonemaps.npz"} <= files(at).keys()
    assert study("summary", at).stdout == ran.stdout.replace(f"Report: {at}/report.html\n", "")
    assert study("report", at).stdout == f"Report: {at}/report.html\n"
    assert "tiny: complete" in study("status", at).stdout
    assert study("resume", at, "--no-ray", "-q").returncode == 0
    away = study("run", str(root / "tests/fanout/tiny.yaml"), "--no-ray", "--out", "s3://no/x")
    assert away.returncode == 2
    assert away.stderr.startswith("study: cannot use s3://no/x: ")
    assert "Traceback" not in away.stderr
    assert not list(tmp_path.iterdir())


class Endless(BaseHTTPRequestHandler):
    """A results folder of somebody who never comes to the end of one of its files."""

    sound: Path
    endless: str

    def do_HEAD(self) -> None:
        """What there is, without its size."""
        self.send_response(200)
        self.end_headers()

    def do_GET(self) -> None:
        """A listing, or a file."""
        name = self.path.removeprefix("/f").strip("/")
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        if not (self.sound / name).is_file():
            names = [path.name + "/" * path.is_dir() for path in (self.sound / name).iterdir()]
            self.wfile.write("".join(f'<a href="{name}">x</a>' for name in names).encode())
            return
        self.wfile.write((self.sound / name).read_bytes())
        if name.startswith(self.endless):
            with suppress(OSError):
                while True:
                    self.wfile.write(b" " * (1 << 20))

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.mark.parametrize("what", ["manifest.json", "trials/part"])
def test_a_file_there_that_has_no_end_is_left(root: Path, tiny: Study, tmp_path: Path, what: str):
    """Of whom no size is known, no more is taken than any run writes; in little memory."""
    run_study(tiny, tmp_path / "out", Options(ray=False))
    handler = type("Handler", (Endless,), {"sound": tmp_path / "out", "endless": what})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        script = (
            "import resource, sys\n"
            "from study.results import ResultsError\n"
            "from study.transport import open_folder\n"
            "import study.transport.storage\n"
            "study.transport.storage._OTHER_BYTES_MOST = 300 << 20\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (400 << 20, 400 << 20))\n"
            "try:\n"
            "    open_folder(sys.argv[1])\n"
            "except ResultsError as error:\n"
            "    print(error)\n"
            "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, f"http://127.0.0.1:{server.server_port}/f"],
            env={**os.environ, "PYTHONPATH": str(root)}, cwd=tmp_path,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        server.shutdown()
    *said, kilobytes = done.stdout.splitlines()

    assert len(said) == 1, done.stderr
    assert "bytes: more than any run writes" in said[0]
    assert int(kilobytes) < 700_000


@pytest.mark.usefixtures("sighup_heard")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_takes_the_copy_along(
    root: Path, tiny: Study, tmp_path: Path, everybodys: Path, number: int
):
    """Whoever ends a command that reads a URL is left with no copy below the temporary folder."""
    reached, left = threading.Event(), threading.Event()
    run_study(tiny, tmp_path / "out", Options(ray=False))

    class Stalled(Endless):
        sound, endless = tmp_path / "out", "trials/part"

        def do_GET(self) -> None:
            """The first part of a table does not come before the command is gone."""
            if self.path.startswith(f"/f/{self.endless}"):
                reached.set()
                left.wait()
            else:
                super().do_GET()

    with ThreadingHTTPServer(("127.0.0.1", 0), Stalled) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with subprocess.Popen(
            [sys.executable, "-m", "study", "summary", f"http://127.0.0.1:{server.server_port}/f"],
            env={**os.environ, "PYTHONPATH": str(root), "TMPDIR": str(everybodys)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as command:  # fmt: skip
            assert reached.wait(60)
            copied = list(everybodys.glob("study-*/copy/manifest.json"))
            command.send_signal(number)
            _, said = command.communicate(timeout=60)
        left.set()
        server.shutdown()

    assert len(copied) == 1
    assert said == "study: stopped\n"
    assert command.returncode == 130
    assert not list(everybodys.iterdir())
