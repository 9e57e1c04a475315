"""What an API server refuses of a RayCluster: KubeRay's CRD (v1) in our own words.

Each field, its type and its bounds are those of the operator's ``ray.io_rayclusters.yaml``, read at
its commit 017710c. Where the CRD repeats Kubernetes' own schema of pods, services and environment
variables, Kubernetes' own is asked instead, of :data:`KUBERNETES`, the first version that has all
that this CRD repeats.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jsonschema
import kubernetes_validate

KUBERNETES = "1.35"

_TEXT = {"type": "string"}
_TEXTS = {"type": "object", "additionalProperties": _TEXT}
_FLAG = {"type": "boolean"}
_INT32 = {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1}
_OBJECT = {"type": "object"}


def _of(properties: Mapping[str, Any], *required: str) -> dict[str, Any]:
    """An object that has these fields and no others, as strict field validation asks."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(required),
        "properties": dict(properties),
    }


def _one_of(*values: str) -> dict[str, Any]:
    return {"enum": list(values)}


_AUTOSCALER = _of(
    {
        "env": {"type": "array", "items": _OBJECT},
        "envFrom": {"type": "array", "items": _OBJECT},
        "idleTimeoutSeconds": _INT32,
        "image": _TEXT,
        "imagePullPolicy": _TEXT,
        "resources": _OBJECT,
        "securityContext": _OBJECT,
        "upscalingMode": _one_of("Default", "Aggressive", "Conservative"),
        "version": _one_of("v1", "v2"),
        "volumeMounts": {"type": "array", "items": _OBJECT},
    }
)
_GROUP = {"labels": _TEXTS, "rayStartParams": _TEXTS, "resources": _TEXTS, "template": _OBJECT}
_HEAD = _of(
    {**_GROUP, "enableIngress": _FLAG, "headService": _OBJECT, "serviceType": _TEXT}, "template"
)
_WORKERS = _of(
    {
        **_GROUP,
        "groupName": _TEXT,
        "idleTimeoutSeconds": _INT32,
        "maxReplicas": _INT32,
        "minReplicas": _INT32,
        "numOfHosts": _INT32,
        "replicas": _INT32,
        "scaleStrategy": _of({"workersToDelete": {"type": "array", "items": _TEXT}}),
        "suspend": _FLAG,
    },
    "groupName", "maxReplicas", "minReplicas", "template",
)  # fmt: skip
_SPEC = _of(
    {
        "authOptions": _of({"enableK8sTokenAuth": _FLAG, "mode": _one_of("disabled", "token")}),
        "autoscalerOptions": _AUTOSCALER,
        "enableInTreeAutoscaling": _FLAG,
        "gcsFaultToleranceOptions": _OBJECT,
        "headGroupSpec": _HEAD,
        "headServiceAnnotations": _TEXTS,
        "managedBy": _one_of("ray.io/kuberay-operator", "kueue.x-k8s.io/multikueue"),
        "rayVersion": _TEXT,
        "suspend": _FLAG,
        "ttlSecondsAfterIdle": {**_INT32, "minimum": 0},
        "upgradeStrategy": _of({"type": _one_of("Recreate", "None")}),
        "workerGroupSpecs": {"type": "array", "items": _WORKERS},
    },
    "headGroupSpec",
)
_CLUSTER = _of(
    {
        "apiVersion": _one_of("ray.io/v1"),
        "kind": _one_of("RayCluster"),
        "metadata": _OBJECT,
        "spec": _SPEC,
    },
    "apiVersion", "kind", "metadata", "spec",
)  # fmt: skip


def check_ray_cluster(content: Mapping[str, Any]) -> None:
    """Refuses what an API server with the operator's CRD refuses, unknown fields included.

    Raises:
        jsonschema.ValidationError: for the RayCluster itself.
        kubernetes_validate.ValidationError: for its metadata or a pod.
    """
    jsonschema.validate(content, _CLUSTER)
    spec = content["spec"]
    for group in (spec["headGroupSpec"], *spec.get("workerGroupSpecs", ())):
        pods = {
            "apiVersion": "v1",
            "kind": "PodTemplate",
            "metadata": content["metadata"],
            "template": group["template"],
        }
        kubernetes_validate.validate(pods, KUBERNETES, strict=True)
