"""What Ray does not promise, and this program uses: a new release that lacks it fails here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from study.fanout import ray_private
from study.fanout.session import open_session


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


KILLED = """
import os, ray
from study.fanout import ray_private
from study.fanout.session import open_session
with open_session(workers=1):
    ray_private.kill_own_processes()
    try:
        ray_private.ask_head(1.0)
    except ray.exceptions.RpcError:
        print("the head is gone")
    os._exit(0)
"""


def test_servers_of_our_own_ray_are_known_and_answer():
    """The raylet is a process of that name, and the head answers."""
    with open_session(workers=1) as session:
        assert "raylet" in command_of(ray_private.raylet())
        ray_private.ask_head(5.0)
        assert session.answers()


def test_servers_of_our_own_ray_can_be_killed(root):
    """Killed servers are gone, and one who asks the head hears so."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED], cwd=root, capture_output=True, text=True, check=False
    )

    # Ray may say on the same stream that its servers ended.
    assert "the head is gone" in done.stdout.splitlines(), done.stderr


def test_the_switches_for_loopback_are_put_back():
    """Both constants that are set exist in this release of Ray, and are afterwards as before."""
    from ray._private import ray_constants

    before = ray_constants.ENABLE_RAY_CLUSTER, ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV
    with ray_private.loopback_only():
        assert ray_constants.ENABLE_RAY_CLUSTER is False
        assert ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV is False

    assert before == (ray_constants.ENABLE_RAY_CLUSTER, ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV)


def test_a_token_in_the_environment_is_read_anew(monkeypatch):
    """Ray takes the token of the environment after it was made to forget the one before."""
    from ray._raylet import AuthenticationTokenLoader  # type: ignore[attr-defined]

    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    seen = []
    for token in ("1" * 64, "2" * 64):
        monkeypatch.setenv("RAY_AUTH_TOKEN", token)
        ray_private.forget_tokens()
        seen.append(AuthenticationTokenLoader.instance().get_raw_token())
    monkeypatch.undo()
    ray_private.forget_tokens()

    assert seen == ["1" * 64, "2" * 64]
