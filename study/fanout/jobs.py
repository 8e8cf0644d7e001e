"""A study as a job on a Ray cluster: packed, submitted, followed through the job server.

The driver then runs on the cluster's head, near the workers, and goes on when the person who sent
it goes home. Everything passes through the job server's one port (8265), usually a tunnel.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from study.fanout.session import FanoutError, first_line, knock

PACKAGE_BYTES = 100 * 1024 * 1024
"""Of what travels to the head with a job; Ray's own bound is 500 MiB."""

_PATIENCE_S = 300.0
"""How long the job server may be unreachable while a job is followed."""

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


class JobServer:
    """The job server of a Ray head."""

    def __init__(self, address: str) -> None:
        """Address is http://HOST:PORT of the dashboard. Raises FanoutError if it is none."""
        self.address = address.rstrip("/")
        parts = urlsplit(self.address)
        if parts.scheme not in ("http", "https") or not parts.hostname or not _port(parts):
            raise FanoutError(f"no address of a job server: {address}; as http://HOST:8265")
        if find_spec("aiohttp") is None:
            raise FanoutError(
                "jobs need Ray's own extra: python3 bootstrap.py setup cluster, or "
                "pip install 'ray[default]'"
            )
        knock(self.address)
        with _told(self.address):
            from ray.job_submission import JobSubmissionClient

            # Which archive is uploaded, and which close code a socket had, is nobody's concern.
            for name in list(logging.root.manager.loggerDict):
                if name.startswith("ray"):
                    logging.getLogger(name).setLevel(logging.WARNING)
            # Ray prefers RAY_ADDRESS to what it is given, but this is the address asked for.
            before = os.environ.pop("RAY_ADDRESS", None)
            try:
                self._client = JobSubmissionClient(self.address)
            finally:
                if before is not None:
                    os.environ["RAY_ADDRESS"] = before

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

    def log(self, name: str) -> Iterator[str]:
        """Lines of a job's log, from the first one, until the job has ended.

        A line of over LINE_LETTERS_MAX letters comes in pieces. The log only grows, so a
        connection that breaks is taken up where it broke.
        """
        seen, rest, broken_at = 0, "", None
        while True:
            try:
                for piece in self._tail(name, skip=seen):
                    seen += len(piece)
                    broken_at = None
                    *lines, rest = (rest + piece).split("\n")
                    yield from lines
                    if len(rest) > LINE_LETTERS_MAX:
                        yield rest
                        rest = ""
                if rest:
                    yield rest
            except (OSError, RuntimeError) as fault:
                self._known(name)
                broken_at = broken_at or time.monotonic()
                if time.monotonic() - broken_at > _PATIENCE_S:
                    raise FanoutError(f"lost the job server at {self.address}: {fault}") from fault
                time.sleep(2)
                continue
            return

    def ended(self, name: str) -> Ended:
        """Wait for the end of a job whose log has ended; tell it."""
        deadline = time.monotonic() + _END_S
        while True:
            with _told(self.address):
                found = self._client.get_job_info(name)
            if found.status.is_terminal() or time.monotonic() > deadline:
                return Ended(str(found.status.value).lower(), found.message or "")
            time.sleep(0.2)

    def metadata(self, name: str) -> dict[str, str]:
        """What was noted with a job. Raises FanoutError if there is no such job."""
        with _told(self.address):
            return self._client.get_job_info(name).metadata or {}

    def _known(self, name: str) -> None:
        try:
            self._client.get_job_info(name)
        except RuntimeError as fault:
            if "does not exist" in str(fault):
                raise FanoutError(f"{self.address} knows no job {name}") from fault
        except OSError:
            return

    def _tail(self, name: str, *, skip: int) -> Iterator[str]:
        """The log in pieces, without its first `skip` letters."""
        import aiohttp

        pieces = self._client.tail_job_logs(name)
        with asyncio.Runner() as runner:
            while True:
                try:
                    piece = runner.run(_next(pieces))
                except aiohttp.ClientError as fault:
                    raise OSError(first_line(fault)) from fault
                if piece is None:
                    return
                if skip:
                    piece, skip = piece[skip:], max(0, skip - len(piece))
                if piece:
                    yield piece


def _port(parts: SplitResult) -> int | None:
    """The port of an address, None if there is none."""
    try:
        return parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None


async def _next(pieces: AsyncIterator[str]) -> str | None:
    return await anext(pieces, None)


@contextmanager
def _told(address: str) -> Iterator[None]:
    """Turn what Ray's client raises into a sentence."""
    import ray
    import requests

    try:
        yield
    except (OSError, RuntimeError, ValueError, requests.RequestException) as fault:
        raise FanoutError(f"the job server at {address} refused: {first_line(fault)}") from fault
    except ray.exceptions.RayError as fault:
        raise FanoutError(f"the job server at {address} refused: {first_line(fault)}") from fault


@contextmanager
def _packed(package: Path) -> Iterator[Path]:
    """A copy of a package without what Python and people left beside its sources."""
    top = tempfile.mkdtemp(prefix="study-job-")
    try:
        target = Path(top) / package.name
        ignore = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
        shutil.copytree(package, target, ignore=ignore)
        yield target
    finally:
        shutil.rmtree(top, ignore_errors=True)


def sources() -> Path:
    """The folder of this package."""
    return Path(__file__).resolve().parents[1]
