"""Cluster files: what Ray's launcher accepts, and that all clusters are set up alike."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.kuberay import check_ray_cluster

ROOT = Path(__file__).resolve().parents[1]
FILES = (ROOT / "cluster.yaml", ROOT / "deploy" / "onprem.yaml")
SAME = ("setup_commands", "head_start_ray_commands", "worker_start_ray_commands", "file_mounts",
        "rsync_exclude")  # fmt: skip
KUBERAY = ROOT / "deploy" / "kuberay.yaml"
PORTS = ("AUTOSCALER_METRIC_PORT", "DASHBOARD_METRIC_PORT")


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_ray_s_launcher_accepts_it(path: Path) -> None:
    validate_config(prepare_config(read(path)))


def test_all_clusters_are_set_up_and_started_alike() -> None:
    aws, onprem = map(read, FILES)
    for key in SAME:
        assert aws[key] == onprem[key], key


@pytest.mark.parametrize("path", sorted((ROOT / "deploy").glob("*.sh")), ids=lambda p: p.name)
def test_a_script_is_sound(path: Path) -> None:
    subprocess.run(["bash", "-n", str(path)], check=True)


def test_nothing_that_starts_is_open() -> None:
    """With a token, with no exporter of metrics, and with dashboard and MLflow on loopback."""
    told = subprocess.run(
        ["bash", "-c", f"source {ROOT}/deploy/env.sh; env"],
        capture_output=True, text=True, check=True, env={"HOME": "/nowhere", "PATH": "/usr/bin:/bin"},
    ).stdout.splitlines()  # fmt: skip
    assert "RAY_AUTH_MODE=token" in told
    assert "RAY_enable_metrics_collection=0" in told
    for name in PORTS:
        assert f"{name}=-1" in told
    deploy = ROOT / "deploy"
    assert "--dashboard-host=127.0.0.1" in (deploy / "start_head.sh").read_text()
    assert "mlflow server --host 127.0.0.1" in (deploy / "start_mlflow.sh").read_text()


def test_kubernetes_accepts_it() -> None:
    check_ray_cluster(read(KUBERAY))


@pytest.mark.parametrize(
    "path",
    [
        ("spec", "workerGroupSpecs", 0, "replica"),
        ("spec", "headGroupSpec", "template", "spec", "containers", 0, "imag"),
        ("metadata", "annotation"),
    ],
    ids=lambda path: path[-1],
)
def test_kubernetes_refuses_a_misspelt_field(path: tuple[str | int, ...]) -> None:
    content = read(KUBERAY)
    place: Any = content
    for step in path[:-1]:
        place = place[step]
    right = next(key for key in place if key.startswith(str(path[-1])))
    place[path[-1]] = place.pop(right)
    with pytest.raises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
        check_ray_cluster(content)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "workerGroupSpecs", 0, "maxReplicas"), "8"),
        (("spec", "workerGroupSpecs", 0, "replicas"), 2**31),
        (("spec", "headGroupSpec", "rayStartParams"), {"num-cpus": 0}),
        (("spec", "rayVersion"), 2.6),
        (("spec", "upgradeStrategy"), {"type": "Rolling"}),
        (("spec", "headGroupSpec", "template", "spec", "containers", 0, "command"), "bash"),
        (("spec", "headGroupSpec", "template", "spec", "containers", 0, "env", 1, "value"), 1),
    ],
    ids=lambda given: str(given[-1]) if isinstance(given, tuple) else "",
)
def test_kubernetes_refuses_a_value_of_another_type(
    path: tuple[str | int, ...], value: object
) -> None:
    content = read(KUBERAY)
    place: Any = content
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
        check_ray_cluster(content)


def test_kubernetes_starts_the_same_scripts_with_a_token_from_a_secret() -> None:
    spec = read(KUBERAY)["spec"]
    groups = [("start_head.sh", spec["headGroupSpec"])]
    groups += [("start_worker.sh", group) for group in spec["workerGroupSpecs"]]
    for script, group in groups:
        (container,) = group["template"]["spec"]["containers"]
        assert (ROOT / "deploy" / script).is_file()
        assert container["command"][:2] == ["bash", "-c"]
        assert container["command"][2].startswith(f"bash /opt/aflora-search/deploy/{script} ")
        token, mode = container["env"]
        assert token["name"] == "RAY_AUTH_TOKEN"
        assert "secretKeyRef" in token["valueFrom"]
        assert mode == {"name": "RAY_AUTH_MODE", "value": "token"}
    lock = (ROOT / "constraints.txt").read_text().splitlines()
    assert f"ray=={spec['rayVersion']}" in lock
    assert "bash /opt/aflora-search/deploy/setup.sh" in (ROOT / "deploy/Dockerfile").read_text()
