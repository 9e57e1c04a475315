"""A study in a real MLflow store: complete, exact, and the same however often it is written."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from search.record import FreezeEvent, Rung, StudyRecord
from search.tracking.follower import Followed, Follower
from search.tracking.mlflow_store import MLflowStore
from tests.search.records import study, trial


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


def store(uri: str, tmp_path: Path) -> MLflowStore:
    return MLflowStore(uri, "glue", tmp_path / "artifacts", "s1")


def runs_of(uri: str) -> tuple[Run, dict[str, Run]]:
    """The parent, and the trials' runs by number."""
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("glue")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    nested = [run for run in runs if run is not parent]
    assert {run.data.tags["mlflow.parentRunId"] for run in nested} <= {parent.info.run_id}
    by_number = {run.data.tags["search.trial"]: run for run in nested}
    assert len(by_number) == len(nested)
    return parent, by_number


def rungs(*scores: float) -> tuple[Rung, ...]:
    return tuple(
        Rung(i + 1, 10 * (i + 1), (i + 1) / 4, {"score": s}, {"score": s}, at=60.0 + i)
        for i, s in enumerate(scores)
    )


def everything() -> StudyRecord:
    event = FreezeEvent(0, "query", "A", 7)
    return study(
        trial(0, score=0.9, mark="LoRA r=8", freezing=(event,)),
        trial(1, "pruned", score=0.5, reason="rung 1: dominated"),
        trial(2, "failed", reason="ValueError: no luck", rungs=(), measures={}),
        trial(3, "running", rungs=rungs(0.4, 0.5)),
        trial(4, "waiting", started=None, rungs=(), measures={}),
    )


def test_every_trial_that_began_has_one_run(uri: str, tmp_path: Path) -> None:
    store(uri, tmp_path).sync(everything())
    parent, runs = runs_of(uri)
    assert set(runs) == {"0", "1", "2", "3"}
    assert parent.data.tags["task"] == "rte"
    status = {number: run.info.status for number, run in runs.items()}
    assert status == {"0": "FINISHED", "1": "KILLED", "2": "FAILED", "3": "RUNNING"}
    assert runs["0"].data.params == {"method.lora.rank": "4", "learning_rate": "0.001"}
    assert runs["0"].data.metrics["score"] == 0.9
    tags = {number: run.data.tags for number, run in runs.items()}
    assert (tags["0"]["front"], tags["0"]["mark"], tags["1"]["front"]) == (
        "true",
        "LoRA r=8",
        "false",
    )
    assert tags["1"]["reason"] == "rung 1: dominated"
    assert tags["2"]["reason"] == "ValueError: no luck"
    # When it was, not when it was written.
    assert (runs["0"].info.start_time, runs["0"].info.end_time) == (50_000, 100_000)
    artifacts = MlflowClient(uri).list_artifacts(runs["0"].info.run_id)
    assert [artifact.path for artifact in artifacts] == ["freezing.json"]


def test_writing_again_by_another_driver_changes_nothing(uri: str, tmp_path: Path) -> None:
    store(uri, tmp_path).sync(everything())
    _, before = runs_of(uri)
    again = store(uri, tmp_path)
    again.sync(everything())
    again.sync(everything())
    _, after = runs_of(uri)
    client = MlflowClient(uri)
    assert {k: r.info.run_id for k, r in after.items()} == {
        k: r.info.run_id for k, r in before.items()
    }
    history = client.get_metric_history(after["3"].info.run_id, "score")
    assert [(m.step, m.value, m.timestamp) for m in history] == [
        (10, 0.4, 60_000),
        (20, 0.5, 61_000),
    ]


def test_a_trial_that_leaves_the_front_loses_its_tag(uri: str, tmp_path: Path) -> None:
    writer = store(uri, tmp_path)
    first = trial(0, score=0.8, params=1000.0, seconds=10.0)
    writer.sync(study(first))
    writer.sync(study(first, trial(1, score=0.9, params=500.0, seconds=5.0)))
    _, runs = runs_of(uri)
    assert (runs["0"].data.tags["front"], runs["1"].data.tags["front"]) == ("false", "true")


def test_finishing_puts_files_and_hypervolume_into_the_parent(uri: str, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    report.write_text("<p>report</p>")
    record = study(
        trial(0), reference={"score": 0.5, "trainable_params": 1e6, "train_seconds": 100.0}
    )
    store(uri, tmp_path).finish(record, [report], ended=True)
    parent, _ = runs_of(uri)
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["hypervolume"] > 0
    paths = [a.path for a in MlflowClient(uri).list_artifacts(parent.info.run_id)]
    assert paths == ["report.html"]


def follow(open_store: Callable[[], Any], record: StudyRecord) -> Follower:
    follower = Follower([Followed(open_store, lambda: record)])
    follower.start()
    return follower


def test_a_store_that_is_down_is_caught_up_with(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.tracking.follower.RETRY_SECONDS", 0.05)
    tries = []

    def open_store() -> MLflowStore:
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionError("nobody listens")
        return store(uri, tmp_path)

    follower = follow(open_store, everything())
    began = time.monotonic()
    follower.wake()
    assert time.monotonic() - began < 1
    while len(tries) < 3:
        time.sleep(0.02)
    assert follower.close() is None
    _, runs = runs_of(uri)
    assert set(runs) == {"0", "1", "2", "3"}


def test_studies_that_share_an_experiment_each_have_a_parent(uri: str, tmp_path: Path) -> None:
    records = {name: study(trial(0), task=name) for name in ("rte", "cola")}

    def opened(name: str) -> Callable[[], MLflowStore]:
        return lambda: MLflowStore(uri, "glue", tmp_path / "artifacts", name)

    follower = Follower([Followed(opened(n), lambda n=n: records[n]) for n in records])
    follower.start()
    follower.wake(1)
    records["cola"] = study(trial(0), trial(1), task="cola")
    follower.wake(1)
    assert follower.close() is None
    client = MlflowClient(uri)
    (experiment,) = [e for e in client.search_experiments() if e.name == "glue"]
    runs = client.search_runs([experiment.experiment_id])
    parents = {
        r.info.run_id: r.data.tags["task"] for r in runs if "search.trial" not in r.data.tags
    }
    assert sorted(parents.values()) == ["cola", "rte"]
    nested = [r for r in runs if "search.trial" in r.data.tags]
    below = [parents[r.data.tags["mlflow.parentRunId"]] for r in nested]
    assert sorted(below) == ["cola", "cola", "rte"]


def test_what_more_seeds_say_takes_the_place_of_what_fewer_said(uri: str, tmp_path: Path) -> None:
    made = store(uri, tmp_path)
    made.sync(study(trial(0)))
    made.measure(0, {"confirmed_high": 0.95}, 3, {"confirmed": "true"})
    made.measure(0, {"confirmed_high": 0.75}, 5, {"confirmed": "true"})
    _, runs = runs_of(uri)
    assert runs["0"].data.metrics["confirmed_high"] == 0.75
    assert runs["0"].data.tags["confirmed"] == "true"
    with pytest.raises(LookupError, match="no run of trial 7"):
        made.measure(7, {}, 1, {})


def test_a_store_that_stays_down_is_told_in_the_end() -> None:
    def open_store() -> MLflowStore:
        raise ConnectionError("nobody listens\nat all")

    follower = follow(open_store, everything())
    assert follower.close() == "ConnectionError: nobody listens"
