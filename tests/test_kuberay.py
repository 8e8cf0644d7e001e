"""cluster-kuberay.yaml has the shape of a RayJob, and keeps what its comments promise."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

# The fields of ray.io/v1 that the manifest may use, after the operator's reference (KubeRay 1.6).
RAY_JOB = {
    "entrypoint", "entrypointNumCpus", "metadata", "runtimeEnvYAML", "jobId", "submissionMode",
    "shutdownAfterJobFinishes", "ttlSecondsAfterFinished", "activeDeadlineSeconds", "backoffLimit",
    "rayClusterSpec", "clusterSelector", "submitterPodTemplate", "submitterConfig", "suspend",
}  # fmt: skip
RAY_CLUSTER = {
    "authOptions", "autoscalerOptions", "enableInTreeAutoscaling", "gcsFaultToleranceOptions",
    "headGroupSpec", "headServiceAnnotations", "rayVersion", "suspend", "workerGroupSpecs",
}  # fmt: skip
AUTOSCALER = {
    "version", "idleTimeoutSeconds", "upscalingMode", "image", "resources", "env", "envFrom",
    "imagePullPolicy", "volumeMounts", "securityContext",
}  # fmt: skip
HEAD = {"template", "rayStartParams", "serviceType", "headService", "enableIngress", "labels"}
WORKERS = {
    "groupName", "template", "rayStartParams", "replicas", "minReplicas", "maxReplicas",
    "idleTimeoutSeconds", "numOfHosts", "scaleStrategy", "suspend", "labels", "resources",
}  # fmt: skip


@pytest.fixture
def manifest(root: Path) -> dict[str, Any]:
    return yaml.safe_load((root / "cluster-kuberay.yaml").read_text())


@pytest.fixture
def cluster(manifest: dict[str, Any]) -> dict[str, Any]:
    return manifest["spec"]["rayClusterSpec"]


def test_it_is_a_ray_job(manifest, cluster):
    """Every field is one that the operator knows, at its place."""
    assert (manifest["apiVersion"], manifest["kind"]) == ("ray.io/v1", "RayJob")
    assert manifest["spec"].keys() <= RAY_JOB
    assert cluster.keys() <= RAY_CLUSTER
    assert cluster["autoscalerOptions"].keys() <= AUTOSCALER
    assert cluster["headGroupSpec"].keys() <= HEAD
    assert all(group.keys() <= WORKERS for group in cluster["workerGroupSpecs"])
    for pod in pods(manifest):
        assert pod.keys() <= {
            "restartPolicy", "nodeSelector", "containers", "volumes",
            "terminationGracePeriodSeconds",
        }  # fmt: skip
        assert len(pod["containers"]) == 1
        assert {"name", "image", "resources"} <= pod["containers"][0].keys()


def pods(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    spec = manifest["spec"]
    groups = [spec["rayClusterSpec"]["headGroupSpec"], *spec["rayClusterSpec"]["workerGroupSpecs"]]
    templates = [group["template"] for group in groups] + [spec["submitterPodTemplate"]]
    return [template["spec"] for template in templates]


def test_rayStartParams_are_words(cluster):  # noqa: N802 - the field's name
    """The operator takes text only, so that numbers are quoted."""
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
    for pod in pods({"spec": {"rayClusterSpec": cluster, "submitterPodTemplate":
                              cluster["headGroupSpec"]["template"]}}):  # fmt: skip
        for each in pod["containers"][0].get("env", []):
            assert isinstance(each["value"], str)


def test_versions_are_those_of_the_lock(cluster, root, pins):
    """Ray is that of the lock, in the manifest and, by the lock, in the image; so is Python."""
    assert cluster["rayVersion"] == pins("cluster")["ray"]
    dockerfile = (root / "Dockerfile.cluster").read_text().splitlines()
    told = yaml.safe_load((root / "cluster.yaml").read_text())["metadata"]["python"]
    assert f"FROM python:{told}-slim-bookworm" in dockerfile
    assert "RUN python3 bootstrap.py setup cluster" in dockerfile
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    images = {container["image"] for pod in pods(
        yaml.safe_load((root / "cluster-kuberay.yaml").read_text())
    ) for container in pod["containers"]}  # fmt: skip
    assert images == {f"REGISTRY/fragmentation-study:{version}"}


def test_the_head_stays_and_runs_no_trials(cluster):
    """Ray sees no CPU on the head, which runs on machines that are not taken away."""
    head = cluster["headGroupSpec"]

    assert head["rayStartParams"]["num-cpus"] == "0"
    assert head["template"]["spec"]["nodeSelector"]["karpenter.sh/capacity-type"] == "on-demand"
    assert cluster["authOptions"] == {"mode": "token"}
    assert head["serviceType"] == "ClusterIP"


def test_workers_are_spot_and_scale_from_zero(cluster):
    """No worker runs while there is no work, and all can be taken away."""
    assert cluster["enableInTreeAutoscaling"] is True
    for group in cluster["workerGroupSpecs"]:
        assert group["minReplicas"] == group["replicas"] == 0 < group["maxReplicas"]
        chosen = group["template"]["spec"]["nodeSelector"]
        assert chosen == {"karpenter.sh/capacity-type": "spot"}


def test_the_entrypoint_is_a_command_of_this_program(manifest, cluster):
    """The job is `study run` with options it has, on a scenario that the head can read."""
    from study.cli import main

    study, name, scenario, *options = manifest["spec"]["entrypoint"].split()
    known = {flag for option in main.commands[name].params for flag in option.opts}
    [mount] = cluster["headGroupSpec"]["template"]["spec"]["containers"][0]["volumeMounts"]

    assert study == "study"
    assert {option for option in options if option.startswith("-")} <= known
    assert scenario == f"{mount['mountPath']}/scenario.yaml"
    assert "scenario.yaml=" in Path(__file__).parent.parent.joinpath(
        "cluster-kuberay.yaml").read_text()  # fmt: skip
