"""What a worker makes of a trial that Ray Tune hands it, without the rest of Ray."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray import cloudpickle, tune

from search.engine.failures import Failure
from search.engine.ray_failures import failure_from
from search.record import CheckpointNote, RungReport
from search.spec.schema import Train
from search.store import Store, StoreLost
from search.trial import worker
from search.trial.data import TaskData
from search.trial.training import TrialJob
from tests.search.trial.stopped import without_clock
from tests.search.trial.test_method_contract import STEPS, TASK, encoded, settings_of
from tests.tiny_models import tiny_model

RUNGS = 4


class Beaten:
    """Stands for the actor on the driver's node, which is called without waiting for it."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.beat = SimpleNamespace(remote=self.heard.append)


class Worker:
    """Runs trials, and keeps in a store what they report."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        tiny_model("bert").save_pretrained(folder / "bert")
        train = Train(steps=STEPS, batch_size=8, clip=1.0)
        self.job = TrialJob(str(folder / "bert"), TASK, train, RUNGS, 0)
        self.data = TaskData(encoded(40, 1), encoded(20, 2), {}, "")
        self.store = Store.at(folder / "run")
        self.heartbeats = Beaten()
        self.reports: list[RungReport] = []
        self._kept = folder / "run"
        monkeypatch.setattr(tune, "report", self._report)

    def _report(self, metrics: dict[str, Any], checkpoint: tune.Checkpoint) -> None:
        told = RungReport.from_json(metrics[worker.REPORT])
        self.reports.append(told)
        shutil.copytree(checkpoint.path, self._kept / f"0/checkpoint_{told.rung.index}")

    def train(self, checkpoint: str | None = None) -> list[RungReport]:
        self.reports = []
        settings = settings_of("aflora").model_dump(mode="json")
        config = {"settings": settings, "study": "rte", "folder": "0", "checkpoint": checkpoint}
        jobs, data = {"rte": self.job}, {"rte": self.data}
        worker.train(config, jobs, data, 1, None, self.store, self.heartbeats)
        return self.reports


@pytest.fixture
def trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Worker:
    return Worker(tmp_path, monkeypatch)


def test_a_trial_goes_on_from_the_checkpoint_that_it_is_given(
    trials: Worker, tmp_path: Path
) -> None:
    whole = trials.train()
    assert [report.rung.index for report in whole] == [1, 2, 3, 4]
    for index in (3, 4):
        shutil.rmtree(tmp_path / f"run/0/checkpoint_{index}")
    rest = trials.train("0/checkpoint_2")
    assert [without_clock(r) for r in rest] == [without_clock(r) for r in whole[2:]]


def test_a_checkpoint_says_what_it_is_and_what_belongs_to_it(
    trials: Worker, tmp_path: Path
) -> None:
    reports = trials.train()
    folder = tmp_path / "run/0/checkpoint_2"
    note = CheckpointNote.from_json((folder / CheckpointNote.FILE).read_text())
    assert note.settings == settings_of("aflora").model_dump(mode="json")
    assert note.report == reports[1]
    files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    files.pop(CheckpointNote.FILE)
    assert note.sizes == {name: path.stat().st_size for name, path in files.items()}
    assert "aflora.safetensors" in note.sizes
    assert json.loads(note.to_json())


@pytest.mark.parametrize(("seconds", "beats"), [(0.0, STEPS), (1e9, 1)])
def test_signs_of_life_come_no_more_often_than_they_are_needed(
    trials: Worker, seconds: float, beats: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "BEAT_SECONDS", seconds)
    trials.train()
    heard = trials.heartbeats.heard
    assert set(heard) == {"0"}
    # Evaluation beats too.
    assert len(heard) == 1 if beats == 1 else len(heard) > beats


def test_a_store_that_cannot_be_written_is_no_failure_of_the_trial(
    trials: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: Any, **named: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tune, "report", full)
    with pytest.raises(StoreLost) as caught:
        trials.train()
    failure = failure_from(cloudpickle.loads(cloudpickle.dumps(caught.value)))
    reason = "the store cannot be used: OSError: [Errno 28] No space left on device"
    assert failure == Failure(reason, counted=False, of_store=True)


def test_a_checkpoint_that_is_missing_is_a_failure_of_its_trial(trials: Worker) -> None:
    with pytest.raises(FileNotFoundError):
        trials.train("0/checkpoint_1")
