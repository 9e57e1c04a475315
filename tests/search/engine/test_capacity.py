"""How many trials a cluster holds, as its nodes come and go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from search.engine import capacity
from search.engine.capacity import Capacity, planned, read_plan

PLAN: dict[str, Any] = {
    "max_workers": 5,
    "head_node_type": "head",
    "available_node_types": {
        "head": {"resources": {"CPU": 0}, "max_workers": 0},
        "gpu": {"resources": {"CPU": 4, "GPU": 1}, "max_workers": 3},
        "cpu": {"resources": {"CPU": 8}, "max_workers": 9},
    },
}


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What Ray says of its nodes."""
    found: list[dict[str, Any]] = []
    monkeypatch.setattr("ray.nodes", lambda: found)
    monkeypatch.setattr(capacity, "ASK_SECONDS", 0.0)
    return found


def node(alive: bool = True, **resources: float) -> dict[str, Any]:
    return {"Alive": alive, "Resources": resources}


def test_nodes_that_come_and_go_change_the_slots(nodes: list[dict[str, Any]]) -> None:
    slots = Capacity({"CPU": 2})
    nodes.append(node(CPU=5))
    assert slots() == 2
    # What two nodes have left over makes no slot.
    nodes.append(node(CPU=3))
    assert slots() == 3
    nodes[0]["Alive"] = False
    assert slots() == 1


def test_fractions_of_a_gpu_and_cpus_both_have_to_fit(nodes: list[dict[str, Any]]) -> None:
    nodes.append(node(CPU=8, GPU=1))
    assert Capacity({"CPU": 1, "GPU": 0.5})() == 2
    assert Capacity({"CPU": 6, "GPU": 0.5})() == 1
    nodes[0] = node(CPU=8)
    assert Capacity({"CPU": 1, "GPU": 0.5})() == 0


def test_a_part_of_a_gpu_is_a_part_of_one(nodes: list[dict[str, Any]]) -> None:
    nodes.append(node(CPU=64, GPU=4))
    for part, slots in ((0.6, 4), (0.4, 8), (0.25, 16), (1 / 3, 12), (1, 4), (2, 2)):
        assert Capacity({"GPU": part})() == slots, part
    assert Capacity({"CPU": 0.5})() == 128


def test_machines_that_may_still_come_count(nodes: list[dict[str, Any]]) -> None:
    nodes.append(node(CPU=0))
    assert planned(PLAN) == [{"CPU": 0}, *[{"CPU": 4, "GPU": 1}] * 3, *[{"CPU": 8}] * 2]
    assert Capacity({"CPU": 2, "GPU": 0.5}, PLAN)() == 6
    assert Capacity({"CPU": 2}, PLAN)() == 3 * 2 + 2 * 4
    slots = Capacity({"CPU": 2, "GPU": 2}, PLAN)
    assert slots() == 0
    assert slots.most_of("GPU") == 1


def test_the_plan_is_that_of_the_head_s_launcher(tmp_path: Path) -> None:
    assert read_plan(tmp_path / "none.yaml") is None
    path = tmp_path / "ray_bootstrap_config.yaml"
    path.write_text(yaml.safe_dump(PLAN))
    assert read_plan(path) == PLAN
