"""What Ray does not promise, and this program uses: a new release that lacks it fails here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from study.fanout import ray_private
from study.fanout.session import open_session


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def test_servers_of_our_own_ray_are_known_answer_and_can_be_killed():
    """The raylet is a process of that name, the head answers, and killed servers are gone."""
    import ray

    with open_session(workers=1) as session:
        raylet = ray_private.raylet()
        assert "raylet" in command_of(raylet)
        ray_private.ask_head(5.0)
        assert session.answers()

        ray_private.kill_own_processes()
        with pytest.raises(ray.exceptions.RpcError):
            ray_private.ask_head(1.0)

    with pytest.raises(ProcessLookupError):
        os.kill(raylet, 0)


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
