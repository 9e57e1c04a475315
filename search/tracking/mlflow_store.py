"""Writes a study into MLflow: one parent run, one nested run a trial; again and again the same."""

from __future__ import annotations

import hashlib
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
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NOTE

from search.pareto.front import front, hypervolume_history
from search.record import StudyRecord, TrialRecord
from search.tracking import description
from search.tracking.parameters import NAME_LENGTH, TAG_LENGTH, accepted, parameters, stored
from search.tracking.system_metrics import Reading
from search.tracking.tags import NOTE_TAG, STUDY_TAG, TRIAL_TAG, tags_of_study, tags_of_trial

# Limits of one batch.
METRICS_AT_ONCE = 1000
PARAMS_AT_ONCE = 100

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
        # Run of every trial that has one; that of None is the parent.
        self._runs: dict[int | None, str] = {}
        # What they were found with: MLflow takes no other value of a parameter.
        self._params: dict[int | None, Mapping[str, str]] = {}
        # What trials were when their files were written.
        self._states: dict[int | None, str] = {}
        self._find_runs()
        self._written: dict[int, tuple[Any, ...]] = {}
        self._described: str | None = None
        # Points of the hypervolume that are there.
        self._volumes: int | None = None

    def _find_runs(self) -> None:
        token = None
        while True:
            page = self._client.search_runs(
                [self._experiment_id],
                filter_string=f"tags.`{STUDY_TAG}` = '{self._study_id}'",
                page_token=token,
            )
            for run in page:
                tag = run.data.tags.get(TRIAL_TAG)
                number = int(tag) if tag is not None else None
                self._runs[number] = run.info.run_id
                self._params[number] = run.data.params
                if NOTE_TAG in run.data.tags:
                    self._states[number] = run.data.tags.get("state", "")
            token = page.token
            if not token:
                return

    def sync(self, study: StudyRecord) -> None:
        """Bring the store up to what the study holds now."""
        begun = [trial for trial in study.trials if trial.started is not None and trial.settings]
        if not begun:
            return
        parent = self._parent(study, begun[0])
        members = {trial.number for trial in front(study.trials, list(study.objectives))}
        for trial in begun:
            self._write_trial(study, trial, parent, trial.number in members)
        self._write_parent(study, parent)

    def _parent(self, study: StudyRecord, first: TrialRecord) -> str:
        if None not in self._runs:
            self._runs[None] = self._new_run(
                first.started, f"{study.name} {study.task}", {STUDY_TAG: self._study_id}
            )
        return self._runs[None]

    def _new_run(self, started: float | None, name: str, tags: dict[str, str]) -> str:
        run = self._client.create_run(
            self._experiment_id,
            start_time=_milliseconds(started),
            run_name=stored(name, NAME_LENGTH),
            tags=tags,
        )
        return str(run.info.run_id)

    def _write_parent(self, study: StudyRecord, parent: str) -> None:
        """What the study has come to; its provenance, where this driver has not written it."""
        about = description.of_study(study)
        if about != self._described:
            self._tag(parent, tags_of_study(study), about)
            self._described = about
        # One that is measured from a provisional point would move as trials come in.
        if study.reference is not None:
            self._write_hypervolume(study, parent)

    def _write_hypervolume(self, study: StudyRecord, parent: str) -> None:
        """Write what is not there of the hypervolume after each complete trial."""
        name = "hypervolume"
        if self._volumes is None:
            known = self._client.get_metric_history(parent, name)
            self._volumes = max((metric.step for metric in known), default=0)
        history = hypervolume_history(study)
        for batch in _batches(range(self._volumes, len(history)), METRICS_AT_ONCE):
            metrics = [
                Metric(name, history[at][1], _milliseconds(history[at][0]), at + 1) for at in batch
            ]
            self._client.log_batch(parent, metrics=metrics)
            self._volumes = batch[-1] + 1

    def _tag(self, run_id: str, tags: Mapping[str, str], note: str) -> None:
        """Tag a run and describe it, unless somebody has edited its description."""
        note = stored(note, TAG_LENGTH)
        there = self._client.get_run(run_id).data.tags
        now = there.get(MLFLOW_RUN_NOTE)
        ours = {MLFLOW_RUN_NOTE: note, NOTE_TAG: _digest(note)}
        untouched = not now or _digest(now) == there.get(NOTE_TAG)
        tags = {**tags, **(ours if untouched else {})}
        self._client.log_batch(
            run_id, tags=[RunTag(key, stored(value, TAG_LENGTH)) for key, value in tags.items()]
        )
        # Why a trial was paused says nothing about one that goes on.
        if "reason" in there and "reason" not in tags:
            self._client.delete_tag(run_id, "reason")

    def _write_trial(
        self, study: StudyRecord, trial: TrialRecord, parent: str, member: bool
    ) -> None:
        now = (len(trial.rungs), trial.state, member, trial.reason, len(trial.failures))
        before = self._written.get(trial.number)
        if now == before:
            return
        params = parameters(trial)
        there = self._params.pop(trial.number, {})
        # An earlier version wrote other names, which MLflow does not rename.
        nested = any(name.startswith("method.") for name in there)
        if not nested and any(there.get(name, value) != value for name, value in params.items()):
            self._give_up(self._runs.pop(trial.number))
            self._states.pop(trial.number, None)
        if trial.number not in self._runs:
            self._runs[trial.number] = self._new_run(
                trial.started,
                f"{trial.label} #{trial.number}",
                {
                    STUDY_TAG: self._study_id,
                    TRIAL_TAG: str(trial.number),
                    MLFLOW_PARENT_RUN_ID: parent,
                },
            )
        run_id = self._runs[trial.number]
        if before is None and not nested:
            pairs = [Param(name, value) for name, value in params.items()]
            for batch in _batches(pairs, PARAMS_AT_ONCE):
                self._client.log_batch(run_id, params=batch)
        # In the order in which MLflow's pages offer them.
        first = [*study.objectives, "trainable_params", "train_seconds"]
        metrics = [
            Metric(name, rung.measures[name], _milliseconds(rung.at), rung.step)
            for rung in trial.rungs[before[0] if before else 0 :]
            for name in dict.fromkeys([*first, *rung.measures])
            if name in rung.measures
        ]
        for metric_batch in _batches(metrics, METRICS_AT_ONCE):
            self._client.log_batch(run_id, metrics=metric_batch)
        if before is None or now[1:] != before[1:]:
            self._write_files(run_id, trial)
            about = description.of_trial(study, trial, member)
            self._tag(run_id, tags_of_trial(study, trial, member), about)
            if trial.state in _STATUS:
                end = _milliseconds(trial.finished)
                self._client.set_terminated(run_id, _STATUS[trial.state], end)
        self._written[trial.number] = now

    def _give_up(self, run_id: str) -> None:
        """Let go of the run of a trial that the study has lost, and whose number another has.

        A machine that led the search is gone, and took along what its study held last.
        """
        self._client.set_tag(run_id, "state", "lost")
        self._client.set_tag(run_id, "front", "false")
        self._client.set_terminated(run_id, RunStatus.to_string(RunStatus.KILLED))
        # Last: until then it is found again, and let go of again.
        self._client.delete_tag(run_id, STUDY_TAG)

    def _write_files(self, run_id: str, trial: TrialRecord) -> None:
        """Write the files of a trial, unless they were there before."""
        before = self._states.get(trial.number)
        # Where only some runs have files, MLflow's page of a comparison shows an error.
        if before is None:
            settings = json.dumps(trial.settings, indent=1, ensure_ascii=False, default=str)
            self._client.log_text(run_id, settings, "settings.json")
        if trial.state in _STATUS and trial.state != before and trial.freezing:
            events = [asdict(event) for event in trial.freezing]
            self._client.log_text(run_id, json.dumps(events, indent=1), "freezing.json")
        self._states[trial.number] = trial.state

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

    def check_registration(self, number: int, name: str) -> None:
        """Whether a trial could become a version of a model of this name, as far as can be asked.

        Raises:
            ValueError: there is no run of the trial.
            MlflowException: the registry cannot be asked, or refuses the name.
        """
        if number not in self._runs:
            raise ValueError(f"MLflow has no run of trial {number}")
        try:
            self._client.get_registered_model(name)
        except MlflowException as error:
            # A server can keep from a user what is not there, and let the user make it.
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "PERMISSION_DENIED"):
                raise

    def register(self, number: int, folder: Path, name: str) -> str:
        """Put a model's folder beside a trial and make it a version in the registry.

        Args:
            number: of the trial.
            folder: as MLflow keeps a model.
            name: in the registry; a model that is not there is made.

        Returns:
            The version.

        Raises:
            MlflowException: MLflow does not take it.
        """
        # Before the files: what is refused here must not leave them behind.
        try:
            self._client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            # It may be a prompt that has the name: then there is no such model.
            self._client.get_registered_model(name)
        run_id = self._runs[number]
        # Each version has files of its own.
        below = f"model-{uuid.uuid4().hex[:8]}"
        self._client.log_artifacts(run_id, str(folder), below)
        place = f"{self._client.get_run(run_id).info.artifact_uri}/{below}"
        return str(self._client.create_model_version(name, place, run_id).version)

    def read_machine(self, readings: Sequence[Reading]) -> None:
        """Write what the machine that leads the search was doing into the parent run.

        Steps are seconds since the run began; what was read before is left out.
        """
        if None not in self._runs or not readings:
            return
        run = self._client.get_run(self._runs[None])
        began = run.info.start_time / 1000
        metrics = [
            Metric(f"system/{accepted(one.node)}/{name}", value, at, round(one.at - began))
            for one in readings
            if one.at >= began
            for at in [_milliseconds(one.at)]
            for name, value in one.values.items()
        ]
        for batch in _batches(metrics, METRICS_AT_ONCE):
            self._client.log_batch(run.info.run_id, metrics=batch)

    def finish(self, study: StudyRecord, files: Sequence[Path], ended: bool) -> None:
        """Put the result files into the parent run; ``ended`` also ends it."""
        self.sync(study)
        if None not in self._runs:
            return
        parent = self._runs[None]
        for path in files:
            self._client.log_artifact(parent, str(path))
        if ended:
            if study.reference is None:
                # Its reference moves from one end to the next: what was written at an earlier
                # end belongs to another curve, so there is none.
                history = hypervolume_history(study)
                for when, volume in history[-1:]:
                    name, at = "hypervolume_provisional", _milliseconds(when)
                    self._client.log_batch(parent, metrics=[Metric(name, volume, at, len(history))])
            self._client.set_terminated(parent)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _milliseconds(seconds: float | None) -> int:
    return round((seconds or 0.0) * 1000)
