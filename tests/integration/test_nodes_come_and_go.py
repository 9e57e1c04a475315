"""A node that joins late gets work, and one that leaves is not missed."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import tune
from ray.cluster_utils import Cluster

from search.engine.capacity import Capacity
from search.engine.ray_tune import execute
from search.engine.run_directory import RunDirectory
from search.engine.where import connected
from search.spec.schema import Budget, Failures, Pruner, Sampler
from search.store import Store
from tests.search.engine.curves import RUNGS, alone, engine_on, new_study, report
from tests.waiting import until


def worker(config: dict[str, Any], folder: str, store: Store, heartbeats: Any) -> None:
    """Goes through the rungs and writes down where, from its checkpoint on."""
    reached = 0
    if config["checkpoint"]:
        reached = json.loads(store.read(f"{config['checkpoint']}/reached.json") or "")
    node = ray.get_runtime_context().get_node_id()
    for index in range(reached + 1, RUNGS + 1):
        time.sleep(1.0)
        heartbeats.beat.remote(config["folder"])
        with (Path(folder) / f"{config['number']}.log").open("a") as log:
            log.write(f"{node} {index}\n")
        with tempfile.TemporaryDirectory() as saved:
            (Path(saved) / "reached.json").write_text(json.dumps(index))
            checkpoint = tune.Checkpoint.from_directory(saved)
            rung = report(config["settings"], index)
            tune.report({"report": rung.to_json()}, checkpoint=checkpoint)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    # Nobody is to wait half a minute for the node that was taken away.
    monkeypatch.setenv("RAY_health_check_period_ms", "500")
    monkeypatch.setenv("RAY_health_check_failure_threshold", "3")
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    yield made
    made.shutdown()


@pytest.mark.slow
def test_trials_follow_the_nodes(tmp_path: Path, cluster: Cluster) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    directory = RunDirectory(tmp_path / "run")
    directory.root.mkdir()
    engine = engine_on(
        new_study(directory.root),
        sampler=Sampler(name="random"),
        pruner=Pruner(name="none", rungs=RUNGS),
        budget=Budget(trials=30),
        # The loss of a node does not count: no trial may fail for it.
        failures=Failures(retries=0),
        now=time.time(),
    )

    def where() -> set[str]:
        return {
            line.split()[0] for log in logs.glob("*.log") for line in log.read_text().splitlines()
        }

    with connected(cluster.address, local=False):
        # Nodes can be started by the main thread alone.
        search = threading.Thread(
            target=execute,
            args=(
                alone(engine, directory.root),
                Store.at(directory.root),
                [].extend,
                worker,
                {"folder": str(logs)},
                {"CPU": 1},
                Capacity({"CPU": 1}),
                5,
            ),
        )
        search.start()
        until(lambda: len(where()) == 1, 60)
        late = cluster.add_node(num_cpus=1)
        until(lambda: len(where()) == 2, 120)
        assert len(engine.active) == 2
        cluster.remove_node(late, allow_graceful=False)
        search.join(120)
        assert not search.is_alive()
    record = engine.record()
    assert [trial.state for trial in record.trials] == ["complete"] * 30
    lost = [trial for trial in record.trials if trial.failures]
    assert len(lost) == 1
    assert "node was lost" in lost[0].failures[0]
    # It went on from its last rung, on the node that was left; what it had not reported is repeated.
    lines = [line.split() for line in (logs / f"{lost[0].number}.log").read_text().splitlines()]
    assert len({node for node, _ in lines}) == 2
    again = next(at for at, (node, _) in enumerate(lines) if node != lines[0][0])
    assert int(lines[again][1]) >= int(lines[again - 1][1])
