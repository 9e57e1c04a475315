"""What the machine that leads a search is doing, read without MLflow and written when it can be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from search.spec import load_space
from search.tracked import system_metrics
from search.tracking.follower import Followed, Follower
from search.tracking.mlflow_store import MLflowStore
from search.tracking.system_metrics import Reading, SystemMetrics
from tests.search.records import study, trial
from tests.search.spec.spaces import changed
from tests.search.tracking.test_mlflow_store import runs_of, store
from tests.waiting import until


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[SystemMetrics]:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.1")
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING", "2")
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_NODE_ID", "node-1")
    made = SystemMetrics()
    yield made
    made.stop()


def test_cpu_and_memory_are_read_again_and_again(quick: SystemMetrics) -> None:
    told: list[int] = []
    quick.start(lambda: told.append(1))
    until(lambda: len(told) > 1)
    quick.stop()
    first, second, *_ = quick.after(0.0)
    assert first.node == "node-1"
    assert first.at < second.at
    assert 0 <= first.values["cpu_utilization_percentage"] <= 100
    assert first.values["system_memory_usage_megabytes"] > 0
    assert quick.after(first.at)[0] == second


def test_what_fails_to_be_read_leaves_the_others(
    quick: SystemMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(monitor: Any) -> None:
        raise OSError("no such device")

    place = "mlflow.system_metrics.metrics"
    monkeypatch.setattr(f"{place}.network_monitor.NetworkMonitor.collect_metrics", broken)
    monkeypatch.setattr(f"{place}.disk_monitor.DiskMonitor.__init__", broken)
    quick.start(lambda: None)
    until(lambda: quick.after(0.0))
    names = set(quick.after(0.0)[0].values)
    assert "cpu_utilization_percentage" in names
    assert not any("network" in name or "disk" in name for name in names)


def test_readings_are_the_parent_s_each_once(uri: str, tmp_path: Path) -> None:
    early, late = Reading("a b/c", 40.0, {"cpu": 1.0}), Reading("a b/c", 65.0, {"cpu": 90.0})
    writer = store(uri, tmp_path)
    writer.read_machine([late])
    # The first trial begins at 50.
    writer.sync(study(trial(0)))
    for _ in range(2):
        writer.read_machine([early, late])
    parent, runs = runs_of(uri)
    client = MlflowClient(uri)
    history = client.get_metric_history(parent.info.run_id, "system/a b_c/cpu")
    assert [(m.step, m.timestamp, m.value) for m in history] == [(15, 65_000, 90.0)]
    assert not any(name.startswith("system/") for name in runs["0"].data.metrics)


def test_a_follower_writes_what_is_read_until_it_is_closed(
    quick: SystemMetrics, uri: str, tmp_path: Path
) -> None:
    down = [True]

    def open_store() -> MLflowStore:
        if down[0]:
            raise ConnectionError("nobody listens")
        return store(uri, tmp_path)

    following = Follower([Followed(open_store, lambda: study(trial(0)))], quick)
    following.start()
    following.release()
    # A store that is down costs no reading.
    until(lambda: len(quick.after(0.0)) > 2 and following.problem)
    down[0] = False
    assert following.close() is None
    readings = quick.after(0.0)
    parent, _ = runs_of(uri)
    name = "system/node-1/cpu_utilization_percentage"
    history = MlflowClient(uri).get_metric_history(parent.info.run_id, name)
    assert [m.timestamp for m in history] == [round(r.at * 1000) for r in readings]


@pytest.mark.parametrize(
    ("tracking", "variable", "reads"),
    [
        ({}, None, False),
        ({"system_metrics": True}, None, True),
        ({}, "true", True),
        ({"system_metrics": False}, "true", False),
    ],
)
def test_it_is_switched_on_in_the_space_or_as_mlflow_has_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tracking: dict[str, bool],
    variable: str | None,
    reads: bool,
) -> None:
    if variable is not None:
        monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", variable)
    made = system_metrics(load_space(changed(tmp_path, tracking=tracking)))
    assert (made is not None) == reads
