"""A study in a real MLflow store: complete, exact, and the same however often it is written."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from search.record import FreezeEvent, Rung, StudyRecord
from search.tracking.follower import Followed, Follower
from search.tracking.mlflow_store import MLflowStore
from tests.search.records import study, trial
from tests.waiting import until

NOTE = "mlflow.note.content"


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
    assert runs["0"].data.params == {"method": "lora", "rank": "4", "learning_rate": "0.001"}
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
    assert [artifact.path for artifact in artifacts] == ["freezing.json", "settings.json"]


def test_every_run_says_what_it_is(uri: str, tmp_path: Path) -> None:
    rung = Rung(1, 10, 1.0, {"score": 0.8}, {"score": 0.8}, at=60.0, host="node-7")
    begun = trial(17, "running", label="aflora r4 ffn paper", rungs=(rung,), measures={})
    store(uri, tmp_path).sync(study(trial(0, mark="LoRA r=8"), begun))
    parent, runs = runs_of(uri)
    assert parent.info.run_name == "test rte"
    tags = ("task", "model", "metric", "commit", "machine")
    assert [parent.data.tags[tag] for tag in tags] == ["rte", "tiny", "accuracy", "abc", "here"]
    assert "Trial 0 (LoRA r=8; lora r4)" in parent.data.tags[NOTE]
    run = runs["17"]
    assert run.info.run_name == "aflora r4 ffn paper #17"
    own = ("task", "method", "state", "front", "commit", "machine")
    told = [run.data.tags[tag] for tag in own]
    assert told == ["rte", "lora", "running", "false", "abc", "node-7"]
    # Where nobody wrote down which machine it was, it is the one that led the search.
    assert runs["0"].data.tags["machine"] == "here"
    assert "**On the front**" in runs["0"].data.tags[NOTE]
    assert "**Running**" in run.data.tags[NOTE]


def test_a_description_changes_with_its_trial_unless_somebody_has_edited_it(
    uri: str, tmp_path: Path
) -> None:
    writer = store(uri, tmp_path)
    writer.sync(study(trial(0, "running"), trial(1, "running")))
    client = MlflowClient(uri)
    _, runs = runs_of(uri)
    client.set_tag(runs["1"].info.run_id, NOTE, "The one to ship.")
    for each in (writer, store(uri, tmp_path)):
        each.sync(study(trial(0), trial(1)))
        _, runs = runs_of(uri)
        assert "**On the front**" in runs["0"].data.tags[NOTE]
        assert runs["1"].data.tags[NOTE] == "The one to ship."
        assert runs["1"].data.tags["front"] == "true"


def test_hostile_and_endless_text_is_written_all_the_same(uri: str, tmp_path: Path) -> None:
    settings = {
        "method": {"lora": {"rank": 4, "../a(b": 1, "../a)b": 2}},
        "long": "x" * 10_000,
    }
    evil = trial(
        0, "failed", label="a\udcff" * 200, mark="<img src=x onerror=alert(1)>",
        reason="\0 half \ud800 " + "x" * 20_000, settings=settings,
    )  # fmt: skip
    store(uri, tmp_path).sync(study(evil))
    _, runs = runs_of(uri)
    params = runs["0"].data.params
    assert (params["_._a_b"], params["_._a_b_2"]) == ("1", "2")
    assert params["long"] == "x" * 6000
    assert len(runs["0"].data.tags["reason"]) == 8000
    assert len(runs["0"].info.run_name) <= 250
    assert runs["0"].info.status == "FAILED"
    file = MlflowClient(uri).download_artifacts(runs["0"].info.run_id, "settings.json")
    assert json.loads(Path(file).read_text()) == settings


def test_runs_of_an_earlier_version_keep_the_parameters_they_have(uri: str, tmp_path: Path) -> None:
    store(uri, tmp_path).sync(study(trial(0, settings={"method": {"head": {}}})))
    _, runs = runs_of(uri)
    MlflowClient(uri).log_param(runs["0"].info.run_id, "method.lora.rank", "4")
    store(uri, tmp_path).sync(study(trial(0), trial(1)))
    _, runs = runs_of(uri)
    assert "rank" not in runs["0"].data.params
    assert runs["1"].data.params["rank"] == "4"


def test_a_number_that_is_given_out_again_has_a_run_of_its_own(uri: str, tmp_path: Path) -> None:
    """A machine that led the search was lost with the last trials of its study."""
    lost = trial(1, "running", rungs=rungs(0.4, 0.5, 0.6))
    store(uri, tmp_path).sync(study(trial(0), lost))
    settings = {**lost.settings, "learning_rate": 0.5}
    again = trial(1, "running", rungs=rungs(0.3), settings=settings, label="other")
    for _ in range(2):
        store(uri, tmp_path).sync(study(trial(0), again))
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("glue")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id], "tags.`search.trial` = '1'")
    by_state = {run.data.tags["state"]: run for run in found}
    assert len(found) == len(by_state) == 2
    now, before = by_state["running"], by_state["lost"]
    assert (now.data.params["learning_rate"], now.info.run_name) == ("0.5", "other #1")
    history = client.get_metric_history(now.info.run_id, "score")
    assert [metric.value for metric in history] == [0.3]
    files = client.list_artifacts(now.info.run_id)
    assert [file.path for file in files] == ["settings.json"]
    assert (before.info.status, before.data.metrics["score"]) == ("KILLED", 0.6)


def test_why_a_trial_was_paused_is_forgotten_when_it_goes_on(uri: str, tmp_path: Path) -> None:
    writer = store(uri, tmp_path)
    for reason in ("rung 1: others are better", "rung 2: others are better"):
        writer.sync(study(trial(0, "paused", reason=reason)))
        _, runs = runs_of(uri)
        assert runs["0"].data.tags["reason"] == reason
        assert reason in runs["0"].data.tags[NOTE]
    writer.sync(study(trial(0, "running")))
    _, runs = runs_of(uri)
    assert "reason" not in runs["0"].data.tags


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


def volumes(uri: str, name: str = "hypervolume") -> list[tuple[int, int]]:
    """Step and time of each point, and that none becomes smaller."""
    parent, _ = runs_of(uri)
    history = MlflowClient(uri).get_metric_history(parent.info.run_id, name)
    values = [point.value for point in history]
    assert values == sorted(values)
    return [(point.step, point.timestamp) for point in history]


def test_the_hypervolume_grows_while_the_search_goes_on_each_point_once(
    uri: str, tmp_path: Path
) -> None:
    point = {"score": 0.5, "trainable_params": 1e6, "train_seconds": 100.0}
    trials = [trial(n, score=0.6 + 0.1 * n, finished=100.0 - n) for n in range(3)]
    writer = store(uri, tmp_path)
    # The one that was begun last ended first.
    writer.sync(study(trials[2], reference=point))
    assert volumes(uri) == [(1, 98_000)]
    for _ in range(2):
        writer.finish(study(*trials, reference=point), [], ended=True)
        writer = store(uri, tmp_path)
        assert volumes(uri) == [(1, 98_000), (2, 99_000), (3, 100_000)]


def test_a_hypervolume_that_may_still_move_has_a_name_of_its_own(uri: str, tmp_path: Path) -> None:
    few = study(trial(0), trial(1))
    store(uri, tmp_path).finish(few, [], ended=False)
    assert volumes(uri, "hypervolume_provisional") == []
    store(uri, tmp_path).finish(few, [], ended=True)
    store(uri, tmp_path).finish(few, [], ended=True)
    # The point that it is measured from was another one before: there is no curve.
    assert volumes(uri, "hypervolume_provisional") == [(2, 101_000)]
    assert volumes(uri) == []


def follow(open_store: Callable[[], Any], record: StudyRecord) -> Follower:
    follower = Follower([Followed(open_store, lambda: record)])
    follower.start()
    follower.release()
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


def test_nothing_is_loaded_before_it_is_released_and_nothing_is_lost(
    uri: str, tmp_path: Path
) -> None:
    for released in (True, False):
        opened: list[MLflowStore] = []

        def open_store() -> MLflowStore:
            opened.append(store(uri, tmp_path))  # noqa: B023 - called before the next one
            return opened[-1]  # noqa: B023

        follower = Follower([Followed(open_store, everything)])
        follower.start()
        follower.wake()
        time.sleep(0.2)
        assert not opened
        if released:
            follower.release()
            until(lambda: opened)  # noqa: B023
        assert follower.close() is None
        assert opened
    _, runs = runs_of(uri)
    assert set(runs) == {"0", "1", "2", "3"}


def test_studies_that_share_an_experiment_each_have_a_parent(uri: str, tmp_path: Path) -> None:
    records = {name: study(trial(0), task=name) for name in ("rte", "cola")}

    def opened(name: str) -> Callable[[], MLflowStore]:
        return lambda: MLflowStore(uri, "glue", tmp_path / "artifacts", name)

    follower = Follower([Followed(opened(n), partial(records.__getitem__, n)) for n in records])
    follower.start()
    follower.release()
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


def test_what_the_registry_refuses_leaves_no_files_behind(uri: str, tmp_path: Path) -> None:
    """A prompt that has the name of a model is not noticed by asking for a model of that name."""
    kept = store(uri, tmp_path)
    kept.sync(everything())
    client = MlflowClient(uri)
    client.register_prompt("taken", "a text")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "MLmodel").write_text("x")
    kept.check_registration(0, "taken")
    with pytest.raises(MlflowException, match="taken"):
        kept.register(0, tmp_path / "model", "taken")
    run = runs_of(uri)[1]["0"]
    files = [file.path for file in client.list_artifacts(run.info.run_id)]
    assert not [path for path in files if path.startswith("model-")]
    assert kept.register(0, tmp_path / "model", "free") == "1"
    (version,) = client.search_model_versions("name='free'")
    assert version.run_id == run.info.run_id
