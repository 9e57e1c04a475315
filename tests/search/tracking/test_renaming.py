"""Parameters that an earlier version wrote, and those that are written now, are the same columns."""

from __future__ import annotations

from pathlib import Path

from mlflow import MlflowClient

from search.tracking.renaming import rename_parameters
from tests.search.records import study, trial
from tests.search.tracking.test_mlflow_store import runs_of, store

OLD = {
    "method.aflora.freeze.rule": "paper",
    "method.aflora.learning_rate": "0.01",
    "learning_rate": "0.5",
    "head_learning_rate": "0.002",
}


def test_old_parameters_get_the_names_of_new_ones_and_stay_as_they_are(
    uri: str, tmp_path: Path
) -> None:
    database = tmp_path / "mlflow.db"
    settings = {
        "method": {"aflora": {"freeze": {"rule": "paper"}, "learning_rate": 0.01}},
        "learning_rate": 0.5,
        "head_learning_rate": 0.002,
    }
    client = MlflowClient(uri)
    experiment = client.create_experiment("glue", (tmp_path / "artifacts").as_uri())
    parent = client.create_run(experiment, tags={"search.study": "s1"})
    tags = {"search.study": "s1", "search.trial": "0", "mlflow.parentRunId": parent.info.run_id}
    old = client.create_run(experiment, tags=tags)
    others = client.create_run(client.create_experiment("others"))
    for name, value in OLD.items():
        client.log_param(old.info.run_id, name, value)
        client.log_param(others.info.run_id, name, value)
    assert rename_parameters(database)
    assert not rename_parameters(database)
    new = {
        "method": "aflora",
        "freeze.rule": "paper",
        "learning_rate": "0.01",
        "head_learning_rate": "0.002",
    }
    assert client.get_run(old.info.run_id).data.params == new
    assert client.get_run(others.info.run_id).data.params == OLD
    # The search goes on.
    store(uri, tmp_path).sync(study(trial(0, settings=settings), trial(1)))
    _, runs = runs_of(uri)
    assert runs["0"].info.run_id == old.info.run_id
    assert runs["0"].data.params == new
    assert runs["1"].data.params == {"method": "lora", "rank": "4", "learning_rate": "0.001"}


def test_where_there_is_no_store_nothing_is_made(tmp_path: Path) -> None:
    assert not rename_parameters(tmp_path / "mlflow.db")
    assert not list(tmp_path.iterdir())
