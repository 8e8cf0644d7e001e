"""cluster.yaml is a file that Ray's cluster launcher takes, and keeps what its comments promise."""

import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.specifiers import SpecifierSet


@pytest.fixture
def cluster(root: Path) -> dict[str, Any]:
    return yaml.safe_load((root / "cluster.yaml").read_text())


def test_ray_accepts_it(cluster):
    """Ray's own check passes, after Ray has filled in what the file leaves out."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(cluster))


def test_ray_would_refuse_a_misspelt_key(cluster):
    """The check is a real one: a key that Ray does not know is refused."""
    from jsonschema import ValidationError
    from ray.autoscaler._private.util import prepare_config, validate_config

    cluster["max_worker"] = 3

    with pytest.raises(ValidationError, match="max_worker"):
        validate_config(prepare_config(cluster))


def test_versions_are_those_of_the_lock(cluster, root, pins):
    """The nodes run the Ray of the lock, on a Python that the study supports."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]

    assert cluster["metadata"]["ray"] == pins("cluster")["ray"]
    assert cluster["metadata"]["python"] in SpecifierSet(project["requires-python"])


def test_nodes_install_from_the_lock_only(cluster):
    """Every node installs the study through its lock, and no command installs anything else."""
    commands = [
        command for key, value in cluster.items() if key.endswith("_commands") for command in value
    ]

    assert cluster["setup_commands"][0].endswith("bootstrap.py setup cluster")
    assert not [command for command in commands if "pip" in command or "apt" in command]


def test_the_checkout_lies_at_a_fixed_path(cluster):
    """Commands use the path at which the launcher puts the checkout."""
    [target] = [remote for remote, local in cluster["file_mounts"].items() if local == "."]
    home = f"/home/{cluster['auth']['ssh_user']}/"

    assert target.startswith(home)
    assert f"~/{target.removeprefix(home)} " in cluster["setup_commands"][0]


def test_the_head_is_on_demand_and_runs_no_trials(cluster):
    """Ray sees no CPU on the head, and no spot market can take it away."""
    head = cluster["available_node_types"][cluster["head_node_type"]]
    start = cluster["head_start_ray_commands"][-1]

    assert head["resources"] == {"CPU": 0}
    assert "InstanceMarketOptions" not in head["node_config"]
    assert "--num-cpus=0" in start.split()


def test_workers_are_spot_and_scale_from_zero(cluster):
    """Every worker is a spot machine, and none runs while there is no work."""
    workers = [
        kind
        for name, kind in cluster["available_node_types"].items()
        if name != cluster["head_node_type"]
    ]

    assert workers
    assert all(kind["min_workers"] == 0 for kind in workers)
    assert all(
        kind["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"} for kind in workers
    )


def test_nothing_but_ssh_is_exposed(cluster):
    """The dashboard listens on the head alone, and every node asks for the shared token."""
    opened = cluster["provider"].get("security_group", {}).get("IpPermissions", [])
    start = cluster["head_start_ray_commands"][-1].split()

    assert "--dashboard-host=127.0.0.1" in start
    assert all((rule["FromPort"], rule["ToPort"]) == (22, 22) for rule in opened)
    assert any("RAY_AUTH_MODE=token" in command for command in cluster["setup_commands"])
    assert "/home/ubuntu/.ray/auth_token" in cluster["file_mounts"]


def test_results_and_repository_stay_here_and_the_study_travels(cluster, root):
    """Patterns keep out what this machine made at the top, and no file that the study consists of.

    rsync matches a pattern with a leading slash at the top only, any other at every depth.
    """
    patterns = cluster["rsync_exclude"]

    def left_out(path: str) -> bool:
        parts = path.split("/")
        return any(
            fnmatch(parts[0], pattern[1:])
            if pattern.startswith("/")
            else any(fnmatch(part, pattern) for part in parts)
            for pattern in patterns
        )

    rooms = [*root.glob("study/**/*.py"), *root.glob("requirements/*"), *root.glob("*.*")]
    # In a worktree .git is a file, and it stays here as the folder does.
    files = [path for path in rooms if path.is_file() and path.name != ".git"]
    sources = [path.relative_to(root).as_posix() for path in files]

    assert all(map(left_out, [".git/config", ".venv/bin/python", "results/a/manifest.json"]))
    assert "study/zone/simulate.py" in sources
    assert not [source for source in sources if left_out(source)]
