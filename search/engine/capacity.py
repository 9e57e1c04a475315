"""How many trials a cluster holds at a time, now and once it has grown."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
import yaml

# The head of a cluster that Ray's launcher made holds its plan, with all defaults, here.
PLAN = Path("~/ray_bootstrap_config.yaml")
# Asking costs a message to the head; nodes take longer to come.
ASK_SECONDS = 2.0

Resources = Mapping[str, float]


class Capacity:
    """Slots of the Ray that is connected with this process, as nodes come and go.

    Where the cluster grows by itself, machines that it may still start count as well: they come
    only because trials wait for them.

    Args:
        resources: what a trial takes, by Ray's names.
        plan: what the cluster may grow to; None where it does not grow.
    """

    def __init__(self, resources: Resources, plan: Mapping[str, Any] | None = None) -> None:
        self._wanted = resources
        self._planned = planned(plan) if plan is not None else []
        self._asked = -ASK_SECONDS
        self._alive: list[Resources] = []

    def __call__(self) -> int:
        """Trials at a time."""
        now = time.monotonic()
        if now - self._asked >= ASK_SECONDS:
            self._asked = now
            self._alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        here = sum(self._fit(node) for node in self._alive)
        return max(here, sum(self._fit(machine) for machine in self._planned))

    def most_of(self, name: str) -> float:
        """What the largest machine has of a resource, of those that are here or may come."""
        self()
        return max((m.get(name, 0.0) for m in (*self._alive, *self._planned)), default=0.0)

    def _fit(self, machine: Resources) -> int:
        # A trial lies on one node: what two nodes have left over makes no slot.
        return min(
            _parts(name, machine.get(name, 0.0), need) for name, need in self._wanted.items()
        )


def _parts(name: str, there: float, need: float) -> int:
    # A part of a GPU is a part of one of them.
    if name == "GPU" and need < 1:
        return int(there) * int(1 / need)
    return int(there / need)


def read_plan(path: Path = PLAN) -> Mapping[str, Any] | None:
    """The plan of the cluster whose head this machine is; None where it is none."""
    path = path.expanduser()
    if not path.is_file():
        return None
    content: Mapping[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def planned(plan: Mapping[str, Any]) -> Sequence[Resources]:
    """Resources of every machine of a cluster that has grown as far as it may."""
    head = plan.get("head_node_type")
    machines: list[Resources] = []
    left = int(plan.get("max_workers", 0))
    for name, kind in plan.get("available_node_types", {}).items():
        count = 1 if name == head else min(left, int(kind.get("max_workers", 0)))
        left -= 0 if name == head else count
        machines += [kind.get("resources", {})] * count
    return machines
