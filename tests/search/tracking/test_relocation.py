"""A tracking store that was moved together with its artifacts."""

from __future__ import annotations

import shutil
from collections import OrderedDict
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.tracking._tracking_service import utils

from search.tracking.relocation import relocate
from tests.search.tracking.test_mlflow_store import everything, runs_of, store


def test_artifacts_of_a_moved_store_are_found_and_new_ones_go_beside_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    was, now = tmp_path / "was", tmp_path / "was here 100%_before"
    was.mkdir()
    (was / "note.txt").write_text("old")
    store(f"sqlite:///{was}/mlflow.db", was).finish(everything(), [was / "note.txt"], ended=False)
    assert not relocate(was / "mlflow.db", was / "artifacts")
    shutil.move(was, now)
    # The driver that goes on is another process, which remembers no place of a run.
    monkeypatch.setattr(utils, "_artifact_repos_cache", OrderedDict())
    assert relocate(now / "mlflow.db", now / "artifacts")
    assert not relocate(now / "mlflow.db", now / "artifacts")
    uri = f"sqlite:///{now}/mlflow.db"
    parent, trials = runs_of(uri)
    client = MlflowClient(uri)
    assert [found.path for found in client.list_artifacts(parent.info.run_id)] == ["note.txt"]
    found = client.list_artifacts(trials["0"].info.run_id)
    assert [each.path for each in found] == ["freezing.json", "settings.json"]
    (now / "more.txt").write_text("new")
    store(uri, now).finish(everything(), [now / "more.txt"], ended=True)
    assert not was.exists()
    assert len(list((now / "artifacts").rglob("more.txt"))) == 1


def test_another_s_artifacts_stay_where_they_are(uri: str, tmp_path: Path) -> None:
    theirs = (tmp_path / "elsewhere").as_uri()
    MlflowClient(uri).create_experiment("theirs", theirs)
    assert not relocate(tmp_path / "mlflow.db", tmp_path / "artifacts")
    experiment = MlflowClient(uri).get_experiment_by_name("theirs")
    assert experiment is not None
    assert experiment.artifact_location == theirs


def test_where_there_is_no_store_nothing_is_made(tmp_path: Path) -> None:
    assert not relocate(tmp_path / "mlflow.db", tmp_path / "artifacts")
    assert not list(tmp_path.iterdir())
