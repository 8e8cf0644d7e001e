"""A study as a job on a Ray cluster: packed, submitted, followed through the job server.

The driver then runs on the cluster's head, near the workers, and goes on when the person who sent
it goes home. Everything passes through the job server's one port (8265), usually a tunnel.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from study.fanout.ray_private import in_time, job_client
from study.fanout.session import FanoutError, first_line, knock
from study.trust.folders import new_folder

PACKAGE_BYTES = 100 * 1024 * 1024
"""Of what travels to the head with a job; Ray's own bound is 500 MiB."""

_PATIENCE_S = 300.0
"""How long the job server may be unreachable while a job is followed."""

_ASK_EVERY_S, _ANSWER_S, _RETRY_S = 3.0, 3.0, 2.0
"""Where a job's log is silent: between two questions to the server, and for its answer. That it is
lost is said within ten seconds."""

ANSWER_BYTES_MOST = 4 << 20
"""Of an answer of the job server: what it knows of a job is some kilobytes."""

_UNREADABLE = (TypeError, ValueError, LookupError, AttributeError)
"""What Ray's client raises for an answer that no job server gives."""
_SAID_LETTERS = 300
_NO_ANSWER = "an answer that means nothing: "

LINE_LETTERS_MAX = 1 << 20
"""Of a line of a log: what is longer is handed on in pieces. A file's lines have 65,600."""

_END_S = 60.0
"""The log ends a moment before the job's state says so."""


@dataclass(frozen=True)
class Ended:
    """How a job ended.

    state    'succeeded', 'failed' or 'stopped'
    message  the job server's own words
    """

    state: str
    message: str


def server_url(address: str) -> str:
    """The URL of a job server, http:// if the address names no scheme.

    Raises ValueError if it is none, with what one looks like.
    """
    url = address.rstrip("/") if "://" in address else f"http://{address.rstrip('/')}"
    fault = f"no address of a job server: {address}; as http://HOST:8265"
    try:
        parts = urlsplit(url)
    except ValueError as reason:
        raise ValueError(f"{fault} ({reason})") from reason
    if parts.scheme not in ("http", "https") or not parts.hostname or not _port(parts):
        raise ValueError(fault)
    # Who leaves out the scheme may leave out the port too: it is not that of the web.
    if "://" not in address and parts.port is None:
        raise ValueError(fault)
    return url


class JobServer:
    """The job server of a Ray head."""

    def __init__(self, address: str) -> None:
        """Address as server_url() takes it. Raises FanoutError if nobody answers there."""
        self.address = server_url(address)
        if find_spec("aiohttp") is None:
            raise FanoutError(
                "jobs need Ray's own extra: python3 bootstrap.py setup cluster, or "
                "pip install 'ray[default]'"
            )
        knock(self.address)
        with _told(self.address):
            import ray.job_submission  # noqa: F401 - its loggers are there from now on

            # Which archive is uploaded, and which close code a socket had, is nobody's concern.
            for name in list(logging.root.manager.loggerDict):
                if name.startswith("ray"):
                    logging.getLogger(name).setLevel(logging.WARNING)
            # Ray prefers RAY_ADDRESS to what it is given, but this is the address asked for.
            before = os.environ.pop("RAY_ADDRESS", None)
            try:
                self._client = job_client(
                    self.address, most=ANSWER_BYTES_MOST, within_s=_PATIENCE_S, refuse=self._refused
                )
            finally:
                if before is not None:
                    os.environ["RAY_ADDRESS"] = before

    def _refused(self, why: str) -> FanoutError:
        return FanoutError(f"the job server at {self.address} gives {why}")

    def submit(
        self, name: str, entrypoint: str, files: Path, *, package: Path, metadata: dict[str, str]
    ) -> None:
        """Start a job.

        name        of the job, unlike any other's
        entrypoint  command, run in a copy of the folder `files`
        package     folder of a Python package that every process of the job can import
        metadata    words to find with the job
        """
        size = sum(p.stat().st_size for p in files.rglob("*") if p.is_file())
        if size > PACKAGE_BYTES:
            raise FanoutError(
                f"{size / 1e6:,.0f} MB would have to travel with the job, and at most "
                f"{PACKAGE_BYTES / 1e6:.0f} do; write the results to storage instead: "
                "--out s3://bucket/folder"
            )
        with _told(self.address), _packed(package) as packed:
            self._client.submit_job(
                entrypoint=entrypoint,
                submission_id=name,
                # The package has a name of its own on the nodes, by its content: its compiled
                # code is found again by the next study.
                runtime_env={"working_dir": str(files), "py_modules": [str(packed)]},
                metadata={"job_name": name, **metadata},
            )

    def log(self, name: str, note: Callable[[str], None] = lambda _: None) -> Iterator[str]:
        """Lines of a job's log, from the first one, until the job has ended.

        A line of over LINE_LETTERS_MAX letters comes in pieces. The log only grows, so a
        connection that breaks is taken up where it broke.

        Parameters
        ----------
        name
            Of the job.
        note
            Takes a line for people: the job server does not answer, and until when it is asked.

        Raises
        ------
        FanoutError
            If the server knows no such job, or has not answered for five minutes.
        """
        seen, rest = 0, ""
        lost = _Silence(note)
        while True:
            try:
                self._known(name)
                for piece in self._tail(name, skip=seen):
                    lost.over()
                    seen += len(piece)
                    *lines, rest = (rest + piece).split("\n")
                    yield from lines
                    if len(rest) > LINE_LETTERS_MAX:
                        yield rest
                        rest = ""
                self._wait_for_end(name)
                if rest:
                    yield rest
            except (OSError, RuntimeError) as fault:
                if lost.since_s() > _PATIENCE_S:
                    raise FanoutError(
                        f"the job server at {self.address} has not answered for "
                        f"{_PATIENCE_S / 60:.0f} minutes: {first_line(fault)}"
                    ) from fault
                time.sleep(_RETRY_S)
                continue
            return

    def ended(self, name: str) -> Ended:
        """How a job ended whose log has ended."""
        with _told(self.address):
            found = self._client.get_job_info(name)
            return Ended(str(found.status.value).lower(), str(found.message or ""))

    def metadata(self, name: str) -> dict[str, str]:
        """What was noted with a job. Raises FanoutError if there is no such job."""
        with _told(self.address):
            noted: dict[str, Any] = dict(self._client.get_job_info(name).metadata or {})
        return {key: word for key, word in noted.items() if isinstance(word, str)}

    def answers(self) -> bool:
        """Whether the server answers within seconds, be it that it refuses."""
        import requests

        try:
            # What it says is not read: it may go on for ever.
            address = f"{self.address}/api/version"
            ask = partial(requests.get, timeout=_ANSWER_S, stream=True, allow_redirects=False)
            in_time(_ANSWER_S, lambda: ask(address).close())
        except requests.RequestException:
            return False
        return True

    def _wait_for_end(self, name: str) -> None:
        """Wait until a job whose log has ended is at its end, or has not come to it for a minute.

        Raises OSError if the server is silent: one that is ended in order ends the log as well.
        """
        deadline = time.monotonic() + _END_S
        while time.monotonic() < deadline:
            if not self.answers():
                raise OSError("no answer")
            if self._has_ended(name):
                return
            time.sleep(0.2)

    def _has_ended(self, name: str) -> bool:
        """Whether a job is at its end. Raises FanoutError for an answer that means nothing."""
        try:
            return bool(self._client.get_job_info(name).status.is_terminal())
        except OSError:
            raise  # so does requests say that an answer is no JSON: what stands between may be ill
        except _UNREADABLE as fault:
            raise self._refused(_NO_ANSWER + _said(fault)) from fault

    def _known(self, name: str) -> None:
        """Raise FanoutError if there is no such job, and OSError if the server is silent."""
        if not self.answers():
            raise OSError("no answer")
        try:
            self._has_ended(name)
        except RuntimeError as fault:
            if "does not exist" in str(fault):
                raise FanoutError(f"{self.address} knows no job {name}") from fault
            raise

    def _tail(self, name: str, *, skip: int) -> Iterator[str]:
        """The log in pieces, without its first `skip` letters; an empty one while it does not grow.

        Raises OSError when the connection breaks, or the server is silent: a machine that is gone
        closes no connection.
        """
        import aiohttp

        pieces = self._client.tail_job_logs(name)
        with asyncio.Runner() as runner:
            while True:
                coming = runner.get_loop().create_task(_next(pieces))
                while not runner.run(_done(coming, _ASK_EVERY_S)):
                    if not self.answers():
                        raise OSError("no answer")
                    yield ""
                try:
                    piece = coming.result()
                except aiohttp.ClientError as fault:
                    raise OSError(first_line(fault)) from fault
                if piece is None:
                    return
                if skip:
                    piece, skip = piece[skip:], max(0, skip - len(piece))
                yield piece


class _Silence:
    """Says when a job server does not answer, and when it does again."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._began: float | None = None

    def since_s(self) -> float:
        """How long it has lasted; it begins when this is asked for the first time."""
        if self._began is None:
            self._began = time.monotonic()
            until = datetime.now().astimezone() + timedelta(seconds=_PATIENCE_S)
            self._note(f"the job server does not answer; trying until {until:%H:%M}")
        return time.monotonic() - self._began

    def over(self) -> None:
        """It has answered."""
        if self._began is not None:
            self._began = None
            self._note("the job server answers again")


def _port(parts: SplitResult) -> int | None:
    """The port of an address, None if there is none."""
    try:
        return parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None


async def _next(pieces: AsyncIterator[str]) -> str | None:
    return await anext(pieces, None)


async def _done(task: asyncio.Task[str | None], wait_s: float) -> bool:
    """Whether a task is done, waiting a moment for it and leaving it to go on."""
    await asyncio.wait({task}, timeout=wait_s)
    return task.done()


def _said(fault: BaseException) -> str:
    """What a fault says, in which there may be what the server says."""
    return first_line(fault)[:_SAID_LETTERS]


@contextmanager
def _told(address: str) -> Iterator[None]:
    """Turn what Ray's client raises into a sentence."""
    import ray
    import requests

    try:
        yield
    except (OSError, RuntimeError, requests.RequestException) as fault:
        raise FanoutError(f"the job server at {address} refused: {_said(fault)}") from fault
    except _UNREADABLE as fault:
        told = f"the job server at {address} gives {_NO_ANSWER}{_said(fault)}"
        raise FanoutError(told) from fault
    except ray.exceptions.RayError as fault:
        raise FanoutError(f"the job server at {address} refused: {_said(fault)}") from fault


@contextmanager
def _packed(package: Path) -> Iterator[Path]:
    """A copy of a package without what Python and people left beside its sources."""
    top = new_folder("study-job-")
    try:
        target = top / package.name
        ignore = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
        shutil.copytree(package, target, ignore=ignore)
        yield target
    finally:
        shutil.rmtree(top, ignore_errors=True)


def sources() -> Path:
    """The folder of this package."""
    return Path(__file__).resolve().parents[1]
