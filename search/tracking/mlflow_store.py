"""Writes a study into MLflow: one parent run, one nested run a trial; again and again the same."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunStatus, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from search.flat import exact, flattened
from search.pareto.front import front, hypervolume_history
from search.record import StudyRecord, TrialRecord

# Limits of one batch.
METRICS_AT_ONCE = 1000
PARAMS_AT_ONCE = 100

STUDY_TAG = "search.study"
TRIAL_TAG = "search.trial"

_STATUS: Mapping[str, str] = {
    "complete": RunStatus.to_string(RunStatus.FINISHED),
    "pruned": RunStatus.to_string(RunStatus.KILLED),
    "failed": RunStatus.to_string(RunStatus.FAILED),
}

T = TypeVar("T")


def _batches(items: Sequence[T], most: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, most)):
        yield batch


class MLflowStore:
    """A study in an MLflow tracking store.

    Everything is found again by tags, and a metric sent twice with the same step and time is kept
    once, so :meth:`sync` may be called at any time, by any number of drivers one after the other.

    Args:
        uri: of the tracking store or server.
        experiment: name; made where it does not exist.
        artifacts: where artifacts of a new experiment go; None leaves it to the server.
        study_id: identifies the study among others in the same experiment.
    """

    def __init__(self, uri: str, experiment: str, artifacts: Path | None, study_id: str) -> None:
        for chatty in ("mlflow", "alembic"):
            logging.getLogger(chatty).setLevel(logging.WARNING)
        self._client = MlflowClient(tracking_uri=uri)
        self._study_id = study_id
        found = self._client.get_experiment_by_name(experiment)
        if found is not None:
            self._experiment_id = found.experiment_id
        else:
            location = artifacts.resolve().as_uri() if artifacts is not None else None
            self._experiment_id = self._client.create_experiment(experiment, location)
        self._runs = self._find_runs()
        self._written: dict[int, tuple[Any, ...]] = {}

    def _find_runs(self) -> dict[int | None, str]:
        """Run of every trial that has one; that of None is the parent."""
        runs: dict[int | None, str] = {}
        token = None
        while True:
            page = self._client.search_runs(
                [self._experiment_id],
                filter_string=f"tags.`{STUDY_TAG}` = '{self._study_id}'",
                page_token=token,
            )
            for run in page:
                number = run.data.tags.get(TRIAL_TAG)
                runs[int(number) if number is not None else None] = run.info.run_id
            token = page.token
            if not token:
                return runs

    def sync(self, study: StudyRecord) -> None:
        """Bring the store up to what the study holds now."""
        begun = [trial for trial in study.trials if trial.started is not None and trial.settings]
        if not begun:
            return
        parent = self._parent(study, begun[0])
        members = {trial.number for trial in front(study.trials, list(study.objectives))}
        for trial in begun:
            self._write_trial(study, trial, parent, trial.number in members)

    def _parent(self, study: StudyRecord, first: TrialRecord) -> str:
        if None not in self._runs:
            run = self._client.create_run(
                self._experiment_id,
                start_time=_milliseconds(first.started),
                run_name=f"{study.name} {study.task}",
                tags={
                    STUDY_TAG: self._study_id,
                    "task": study.task,
                    "model": study.model,
                    "objectives": ", ".join(f"{k}: {v}" for k, v in study.objectives.items()),
                    "commit": str(study.provenance.get("commit")),
                    "machine": str(study.provenance.get("machine")),
                },
            )
            self._runs[None] = run.info.run_id
        return self._runs[None]

    def _write_trial(
        self, study: StudyRecord, trial: TrialRecord, parent: str, member: bool
    ) -> None:
        now = (trial.state, len(trial.rungs), member)
        before = self._written.get(trial.number, (None, 0, None))
        if now == before:
            return
        if trial.number not in self._runs:
            run = self._client.create_run(
                self._experiment_id,
                start_time=_milliseconds(trial.started),
                run_name=f"{trial.label} #{trial.number}",
                tags={
                    STUDY_TAG: self._study_id,
                    TRIAL_TAG: str(trial.number),
                    MLFLOW_PARENT_RUN_ID: parent,
                    "task": study.task,
                    "method": trial.label.split(" ")[0],
                }
                | ({"mark": trial.mark} if trial.mark else {}),
            )
            self._runs[trial.number] = run.info.run_id
        run_id = self._runs[trial.number]
        if before[0] is None:
            params = [Param(k, exact(v)[:6000]) for k, v in flattened(trial.settings).items()]
            for batch in _batches(params, PARAMS_AT_ONCE):
                self._client.log_batch(run_id, params=batch)
        metrics = [
            Metric(name, value, _milliseconds(rung.at), rung.step)
            for rung in trial.rungs[before[1] :]
            for name, value in rung.measures.items()
        ]
        for metric_batch in _batches(metrics, METRICS_AT_ONCE):
            self._client.log_batch(run_id, metrics=metric_batch)
        tags = {"state": trial.state, "front": "true" if member else "false"}
        if trial.reason is not None:
            tags["reason"] = trial.reason
        elif before[0] in (None, "paused"):
            self._forget_reason(run_id)
        self._client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])
        if trial.state in _STATUS and before[0] != trial.state:
            if trial.freezing:
                events = [asdict(event) for event in trial.freezing]
                self._client.log_text(run_id, json.dumps(events, indent=1), "freezing.json")
            end = _milliseconds(trial.finished)
            self._client.set_terminated(run_id, _STATUS[trial.state], end)
        self._written[trial.number] = now

    def _forget_reason(self, run_id: str) -> None:
        """Why a trial was paused says nothing about one that goes on."""
        if "reason" in self._client.get_run(run_id).data.tags:
            self._client.delete_tag(run_id, "reason")

    def measure(
        self, number: int, measures: Mapping[str, float], step: int, tags: Mapping[str, str]
    ) -> None:
        """Write more measures of a trial and tag its run.

        Raises:
            LookupError: the store has no run of the trial.
        """
        run_id = self._runs.get(number)
        if run_id is None:
            raise LookupError(f"the store has no run of trial {number}")
        metrics = [Metric(name, value, 0, step) for name, value in measures.items()]
        named = [RunTag(key, value) for key, value in tags.items()]
        self._client.log_batch(run_id, metrics=metrics, tags=named)

    def reserve(self, number: int, name: str) -> None:
        """Have a model of this name in the registry.

        Raises:
            ValueError: there is no run of the trial that could become a version of it.
            MlflowException: the registry refuses the name.
        """
        if number not in self._runs:
            raise ValueError(f"MLflow has no run of trial {number}")
        try:
            self._client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def register(self, number: int, folder: Path, name: str) -> str:
        """Put a model's folder beside a trial and make it a version in the registry.

        Args:
            number: of the trial.
            folder: as MLflow keeps a model.
            name: as it was reserved.

        Returns:
            The version.
        """
        run_id = self._runs[number]
        # Each version has files of its own.
        below = f"model-{uuid.uuid4().hex[:8]}"
        self._client.log_artifacts(run_id, str(folder), below)
        place = f"{self._client.get_run(run_id).info.artifact_uri}/{below}"
        return str(self._client.create_model_version(name, place, run_id).version)

    def finish(self, study: StudyRecord, files: Sequence[Path], ended: bool) -> None:
        """Put hypervolume and result files into the parent run; ``ended`` also ends it."""
        self.sync(study)
        if None not in self._runs:
            return
        parent = self._runs[None]
        history = [
            Metric("hypervolume", value, _milliseconds(at), index + 1)
            for index, (at, value) in enumerate(hypervolume_history(study))
        ]
        for batch in _batches(history, METRICS_AT_ONCE):
            self._client.log_batch(parent, metrics=batch)
        for path in files:
            self._client.log_artifact(parent, str(path))
        if ended:
            self._client.set_terminated(parent)


def _milliseconds(seconds: float | None) -> int:
    return round((seconds or 0.0) * 1000)
