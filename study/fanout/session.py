"""The Ray that trials run on: one of our own for this run, or somebody's cluster, joined."""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from study.fanout import ray_private
from study.fanout.agents import children_ended
from study.fanout.scratch import Scratch

OBJECT_STORE_BYTES = 192 * 1024 * 1024
"""A task's rows are a few MB at most, and few tasks are under way."""

_KNOCK_S = 5.0

_LEAVE_S = 10.0
"""For the farewell to a cluster that is lost."""

_ANSWER_S = 2.0
"""For an answer of Ray's head while trials run; the rows of tasks wait meanwhile."""


class FanoutError(Exception):
    """The fan-out cannot start or go on; the text says why and is meant for the user."""


@dataclass(frozen=True)
class Session:
    """A Ray that this process is connected to.

    workers  cores to use at most, None for all there are
    owned    started here, and ended here
    """

    workers: int | None
    owned: bool

    def answers(self) -> bool:
        """Does Ray's head answer within seconds? What else asks it would wait for minutes.

        A head that is stopped, or whose machine has no time for it, takes connections all the same.
        """
        import ray

        if not ray.is_initialized():
            return False  # and a question would start a Ray
        if ray.util.client.ray.is_connected():  # type: ignore[no-untyped-call]
            return True  # it stands between, and sees to that itself
        host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_S).close()
            ray_private.ask_head(_ANSWER_S)
        except (OSError, ray.exceptions.RpcError):
            return False
        return True

    def cores(self) -> int:
        """Cores to share the work: those of all nodes now alive, within the bound."""
        import ray

        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        alive = int(resources.get("CPU", 0))
        return alive if self.workers is None else min(alive, self.workers)

    def nodes(self) -> int:
        """Nodes now alive that have cores for trials."""
        import ray

        alive = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
        return sum(node["Resources"].get("CPU", 0) > 0 for node in alive)


@contextmanager
def open_session(*, address: str | None = None, workers: int | None = None) -> Iterator[Session]:
    """Connect to Ray, and leave it as it was found.

    Without an address a private Ray starts on this machine: loopback only, a token of its own,
    a folder of its own that is removed with it. With one, that cluster is joined and left
    running. In a program that is already connected, that connection is used.

    Raises FanoutError when Ray cannot be started or reached.
    """
    with _environment(_quiet()):
        import ray

        if ray.is_initialized():
            yield Session(workers=workers, owned=False)
        elif address is None:
            with _private_ray(workers):
                yield Session(workers=workers, owned=True)
        else:
            with _joined_ray(address):
                yield Session(workers=workers, owned=False)


@contextmanager
def _private_ray(workers: int | None) -> Iterator[None]:
    import ray

    cores = workers if workers is not None else usable_cores()
    try:
        scratch = Scratch()
    except OSError as fault:
        raise FanoutError(
            f"a local Ray has no room for its files: {fault.strerror or fault}; "
            "--no-ray runs the study without it"
        ) from fault
    # A token in the environment needs no home directory and leaves no file behind.
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    unset = {"RAY_ADDRESS": None, "RAY_AUTH_TOKEN_PATH": None, "RAY_JOB_CONFIG_JSON_ENV_VAR": None}
    try:
        with _environment({**token, **unset, **_LOOPBACK}), ray_private.loopback_only():
            ray_private.forget_tokens()
            try:
                _init(
                    address="local",
                    num_cpus=cores,
                    include_dashboard=False,
                    object_store_memory=OBJECT_STORE_BYTES,
                    _node_ip_address="127.0.0.1",
                    _temp_dir=str(scratch.ray),
                )
            except Exception as fault:  # Ray raises this very class where its node comes too late
                raise FanoutError(
                    f"a local Ray did not start ({first_line(fault)}); "
                    "--no-ray runs the study without it"
                ) from fault
            with children_ended(ray_private.raylet()):
                try:
                    yield
                except FanoutError:
                    # What is left of it would be asked to end, and waited for if it is stopped.
                    ray_private.kill_own_processes()
                    raise
                finally:
                    ray.shutdown()
    finally:
        ray_private.forget_tokens()
        scratch.remove()


@contextmanager
def _joined_ray(address: str) -> Iterator[None]:
    import ray

    knock(address)
    try:
        _init(address=address)
        if ray.get(ray.remote(num_cpus=0)(_package_digest()).remote()) != _package_digest()():
            # Nodes without the package, or with another version, get this one for the run.
            ray.shutdown()
            package = str(Path(__file__).resolve().parents[1])
            _init(address=address, runtime_env={"py_modules": [package]})
    except (OSError, RuntimeError, ValueError, TimeoutError, ray.exceptions.RayError) as fault:
        ray.shutdown()
        raise FanoutError(f"no Ray to join at {address}: {first_line(fault)}") from fault
    try:
        yield
    except FanoutError:
        # A head that is lost may be waited for without end, here and when the process ends.
        leaving = threading.Thread(target=ray.shutdown, daemon=True)
        leaving.start()
        leaving.join(timeout=_LEAVE_S)
        if leaving.is_alive():
            atexit.register(_exit_at_once)
        raise
    except BaseException:
        ray.shutdown()
        raise
    ray.shutdown()


def _exit_at_once() -> None:
    """End a process in which Ray still waits: Ray's own farewell would wait too, or crash."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(1)


def knock(address: str) -> None:
    """Find out in seconds that nobody listens there; Ray itself tries for many minutes."""
    place = address.removeprefix("ray://").removeprefix("http://").removeprefix("https://")
    host, colon, port = place.rpartition(":")
    if not colon or "/" in port:
        return
    if not (port.isascii() and port.isdigit() and len(port) <= 5):
        raise FanoutError(f"no Ray address: {address}; it has the form HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_S).close()
    except (OSError, OverflowError) as fault:
        raise FanoutError(f"no Ray to join at {address}: {first_line(fault)}") from fault


def _package_digest() -> Callable[[], str]:
    """A function that says which version of this package its process would import.

    It is a nested function so that it travels by value, also to where there is no such package.
    """

    def package_digest() -> str:
        from hashlib import blake2b
        from importlib.util import find_spec
        from pathlib import Path

        found = find_spec("study")
        if found is None or found.origin is None:
            return ""
        sources = Path(found.origin).parent
        state = blake2b(digest_size=16)
        for source in sorted(sources.rglob("*.py")):
            state.update(source.relative_to(sources).as_posix().encode() + b"\0")
            state.update(source.read_bytes())
        return state.hexdigest()

    return package_digest


def _init(**options: Any) -> None:
    """ray.init, without its chatter and without its signal handler."""
    import ray

    if not str(options["address"]).startswith("ray://"):
        # Ray's client sends its own on, and adds no folder.
        options["job_config"] = ray.job_config.JobConfig()
        options["job_config"]._py_driver_sys_path = _PathOfWorkers()
    with _signals_kept():
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)


class _PathOfWorkers(list[str]):
    """Where workers look for modules before all else; Ray adds to it.

    It adds the current folder, also where this process does not look there. But that may be
    anything, a results folder from somebody else for instance.
    """

    def extend(self, folders: Iterable[str]) -> None:
        """Add those in which this process looks for modules, too."""
        own = {os.path.realpath(folder) for folder in sys.path}
        super().extend(folder for folder in folders if os.path.realpath(folder) in own)


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray puts its own handler on SIGTERM, which would end the process in mid-sentence."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit as left:
        raise KeyboardInterrupt from left
    finally:
        signal.signal(signal.SIGTERM, before if callable(before) else signal.SIG_DFL)


def usable_cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Cores of this machine that this process may use: its affinity, within its container's share.

    quota  that share, as "microseconds period" or "max period" (cgroup-v2.rst of the kernel)
    """
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    try:
        share, period = quota.read_text().split()
        return max(1, min(cores, ceil(int(share) / int(period))))
    except (OSError, ValueError):  # no container, or one without a limit
        return cores


def _quiet() -> dict[str, str | None]:
    return {
        # Under `uv run` Ray would otherwise rebuild the environment in every worker.
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "RAY_RUNTIME_ENV_HOOK": None,
        "RAY_USAGE_STATS_ENABLED": "0",
        # Named so that it is put back: Ray turns breakpoint() to a debugger of its own.
        "PYTHONBREAKPOINT": os.environ.get("PYTHONBREAKPOINT"),
        # When the raylet is lost Ray ends without a word (raylet_ipc_client.cc) any process whose
        # raylet is dead, and if it has not been told which that is, any whose parent is init: under
        # nohup, in a service or a container. With itself for a raylet it hears of the loss instead.
        "RAY_RAYLET_PID": str(os.getpid()),
        # A lost worker is repeated or recorded; Ray's page about it would tear the progress bar.
        "RAY_DEDUP_LOGS_SKIP_REGEX": r"^A worker died or was killed|^Task \S+ failed\.",
    }


_LOOPBACK: dict[str, str | None] = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Ray's own switch for "one machine only": its servers then bind to 127.0.0.1. An explicit
_node_ip_address alone does not do it, Ray replaces 127.0.0.1 by an address others can reach."""


@contextmanager
def _environment(values: Mapping[str, str | None]) -> Iterator[None]:
    """Set (or, with None, unset) environment variables, and put back what was there."""
    before = {name: os.environ.get(name) for name in values}
    try:
        _assign(values)
        yield
    finally:
        _assign(before)


def _assign(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def first_line(fault: BaseException) -> str:
    """What a fault says, or its type if it says nothing."""
    lines = str(fault).strip().splitlines()
    return lines[0] if lines else type(fault).__name__
