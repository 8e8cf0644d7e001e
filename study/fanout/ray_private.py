"""All that this program uses of Ray without Ray promising it; each is tried by a test of its own.

tests/fanout/test_ray_private.py says at once what a new release of Ray has taken away.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from queue import Empty, Queue
from typing import Any


def _worker() -> Any:
    """What this process knows of the Ray that it is connected to."""
    from ray._private.worker import global_worker

    return global_worker


def ask_head(timeout_s: float) -> None:
    """Ask Ray's head for a sign of life.

    Parameters
    ----------
    timeout_s
        How long it may take, in seconds.

    Raises
    ------
    ray.exceptions.RpcError
        It does not answer.
    """
    _worker().gcs_client.check_alive([], timeout=timeout_s)


def raylet() -> int:
    """The process id of the raylet that this process has started."""
    [raylet] = _worker().node.all_processes["raylet"]
    return int(raylet.process.pid)


def kill_own_processes() -> None:
    """Kill the servers of the Ray that this process has started; none is asked to end."""
    _worker().node.kill_all_processes(check_alive=False, allow_graceful=False)


@contextmanager
def loopback_only() -> Iterator[None]:
    """Have Ray's servers on loopback also where this process had imported Ray before.

    Ray reads RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER once, when it is imported.
    """
    from ray._private import ray_constants

    names = {"ENABLE_RAY_CLUSTER": False, "RAY_ENABLE_UV_RUN_RUNTIME_ENV": False}
    before = {name: getattr(ray_constants, name, None) for name in names}
    try:
        for name, value in names.items():
            setattr(ray_constants, name, value)
        yield
    finally:
        for name, was in before.items():
            setattr(ray_constants, name, was)


def forget_tokens() -> None:
    """Ray remembers the first token it read for the life of the process."""
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


def job_client(
    address: str, *, most: int, within_s: float, refuse: Callable[[str], Exception]
) -> Any:
    """Ray's client of a job server, for which no answer of the server is endless.

    Ray asks through one method, `_do_request`, which hands on to requests what it does not know.

    Parameters
    ----------
    address
        http://HOST:PORT of the job server.
    most
        Bytes that an answer may have, unpacked.
    within_s
        How long may pass before an answer begins, and until it has ended; in seconds.
    refuse
        Makes the exception that is raised for an answer of more.
    """
    from ray.job_submission import JobSubmissionClient

    def bound(response: Any, **_: Any) -> None:
        response.raw = BoundedBody(response.raw, most=most, within_s=within_s, refuse=refuse)

    class Client(JobSubmissionClient):
        def _do_request(self, *arguments: Any, **options: Any) -> Any:
            options = {"timeout": within_s, "hooks": {"response": bound}, **options}
            asked = partial(super()._do_request, *arguments, **options)
            # What is sent along takes as long as the way there is narrow.
            return in_time(within_s, asked) if options.get("data") is None else asked()

    return Client(address)


def in_time(within_s: float, ask: Callable[[], Any]) -> Any:
    """What a question to a server gives, whose answer may never come to an end.

    The bound of requests is between two pieces of what arrives, however small they are. A
    question that is given up is left behind in a thread that does not keep the process alive.

    Raises
    ------
    requests.Timeout
        After so many seconds; else whatever the question raises.
    """
    import requests

    answers: Queue[tuple[Any, BaseException | None]] = Queue()

    def ask_and_keep() -> None:
        try:
            answers.put((ask(), None))
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            answers.put((None, error))

    threading.Thread(target=ask_and_keep, daemon=True).start()
    try:
        answer, error = answers.get(timeout=within_s)
    except Empty:
        raise requests.Timeout(f"no whole answer within {within_s:.0f} s") from None
    if error is not None:
        raise error
    return answer


class BoundedBody:
    """The body of an answer as requests reads it, which raises rather than go on for ever."""

    def __init__(
        self, raw: Any, *, most: int, within_s: float, refuse: Callable[[str], Exception]
    ) -> None:
        self._raw = raw
        self._most = most
        self._within_s = within_s
        self._refuse = refuse

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def stream(self, *arguments: Any, **options: Any) -> Iterator[bytes]:
        """The body piece by piece."""
        ends, size = time.monotonic() + self._within_s, 0
        for piece in self._raw.stream(*arguments, **options):
            size += len(piece)
            if size > self._most:
                raise self._refuse(f"an answer of over {self._most:,} bytes")
            if time.monotonic() > ends:
                raise self._refuse(f"an answer that has no end after {self._within_s:.0f} s")
            yield piece
