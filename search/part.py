"""One task's part of a run: its study, its engine and what becomes of them."""

from __future__ import annotations

import dataclasses
import time
import uuid
from pathlib import Path
from typing import Any

import yaml

from search.engine.checkpoints import Checkpoints
from search.engine.core import Engine
from search.engine.fleet import Lane
from search.engine.importance import importances
from search.engine.policy import Policy
from search.engine.proposals import params_of
from search.engine.pruners import make_judge
from search.engine.run_directory import RunDirectory
from search.engine.runs import Run
from search.engine.study import SearchStudy, StudyHeader, Waiting
from search.loading import check_same_data
from search.metrics import constant_answer
from search.pareto.front import front
from search.provenance import provenance
from search.record import StudyRecord, TrialRecord
from search.results.adapters import collect_adapters
from search.results.confirmed import read_confirmations
from search.results.files import write_front, write_trials
from search.results.html import write_report
from search.spec import LoadedSpace, Mistake
from search.spec.limits import parse_limits
from search.spec.nodes import methods_of
from search.spec.relations import Length, unsettle
from search.spec.settings import TrialSettings
from search.spec.tasks import METRIC_TITLES, Task
from search.store import Store
from search.trial.data import TaskData
from search.trial.training import TrialJob, length_of
from search.writing import write_atomically


class Part:
    """The search on one task, ready to be executed.

    Args:
        loaded: the space as it is searched for this task.
        task: what is trained for.
        data: tokenised.
        directory: of the study, locked by the caller; what it holds is gone on with.
        store: of the run's checkpoints.
        worked: seconds that drivers have worked on the run before.

    Raises:
        SpecError: the study was started with other data, or its storage cannot be used.
    """

    def __init__(
        self,
        loaded: LoadedSpace,
        task: Task,
        data: TaskData,
        directory: RunDirectory,
        store: Store,
        worked: float,
    ) -> None:
        space = loaded.space
        self._loaded = loaded
        self.task = task
        self.data = data
        self.directory = directory
        self.store = store
        length = length_of(space.train, len(data.train))
        self.study = self._open_study(length)
        # Hours are of the whole run; a study that had nothing to do wrote down fewer.
        self.study.seconds = max(self.study.seconds, worked)
        self.engine = Engine(
            self.study,
            Policy(
                tree=loaded.tree,
                sampler=space.sampler,
                seed=space.seed,
                budget=space.budget,
                failures=space.failures,
                limits=parse_limits(space.limits),
                length=length,
                promote=space.pruner.promote,
            ),
            make_judge(
                space.pruner,
                tuple(space.objectives),
                per_method=space.budget.trials_per_method is not None,
            ),
            time.time(),
        )
        self.job = TrialJob(
            space.model,
            task,
            space.train,
            space.pruner.rungs,
            space.seed,
            space.pruner.after_freezing,
            gpu=space.resources.gpu,
        )

    def catch_up(self, checkpoints: Checkpoints) -> None:
        """Take in what trials had reached when the driver died, as far as the study lacks it.

        Raises:
            SpecError: a checkpoint that is still needed is not there.
        """
        record = self.engine.record()
        for trial in front(record.trials, list(record.objectives)):
            if not (self.directory.adapters / str(trial.number)).is_dir():
                self._check_there(trial, checkpoints, "the adapter is to be taken")
        for trial in record.in_state("running", "paused"):
            newer = checkpoints.newer(trial, self.directory, self.store)
            if trial.state == "running" and newer:
                self.engine.catch_up(trial.number, newer, time.time())
            else:
                self._check_there(trial, checkpoints, "it would go on")

    def _check_there(self, trial: TrialRecord, checkpoints: Checkpoints, what_for: str) -> None:
        last = trial.rungs[-1].checkpoint if trial.rungs else None
        if last is not None and last not in checkpoints.of(self.directory, trial.number):
            what = f"lacks {last} of trial {trial.number}, from which {what_for}"
            raise self._loaded.error(Mistake(f"storage {self.store}", what))

    @property
    def lane(self) -> Lane:
        return Lane(self.task.name, self.engine, self.directory)

    @property
    def total(self) -> int:
        """Trials in the budget."""
        return self._loaded.space.budget.total(len(methods_of(self._loaded.tree).options))

    @property
    def searched(self) -> tuple[LoadedSpace, Task, TaskData, RunDirectory]:
        """What was searched: space, task, data and directory."""
        return self._loaded, self.task, self.data, self.directory

    def _open_study(self, length: Length) -> SearchStudy:
        space, directory = self._loaded.space, self.directory
        if directory.holds_run:
            study = directory.open_study()
            check_same_data(self._loaded, study, self.task, self.data)
            return study
        header = StudyHeader(
            space.name,
            self.task.name,
            space.model,
            METRIC_TITLES[self.task.metric],
            space.objectives,
            provenance(space.seed, self.data.fingerprint, uuid.uuid4().hex),
            self._loaded.resolved(),
            self.task.classes,
            constant_answer(self.task, self.data.selection.labels),
        )
        directory.root.mkdir(exist_ok=True)
        write_space(self._loaded, directory)
        try:
            return directory.create_study(
                header, space.study.storage, lambda study: self._fill(study, length)
            )
        except ValueError as error:
            raise self._loaded.error(Mistake("study.storage", str(error))) from None

    def _fill(self, study: SearchStudy, length: Length) -> None:
        """What a study holds before its first trial."""
        if self._loaded.space.reference is not None:
            study.reference = self._loaded.space.reference
        for entry in self._loaded.enqueued:
            drawn = unsettle(entry.settings, self._loaded.tree, length)
            params, distributions = params_of(self._loaded.tree, drawn)
            label = TrialSettings.model_validate(entry.settings).label
            study.enqueue(Waiting(entry.settings, params, distributions, label, entry.mark))

    def write_results(self) -> tuple[StudyRecord, list[Path]]:
        """Write everything that the study has come to."""
        directory = self.directory
        record = collect_adapters(self.engine.record(), directory.root, self.store)
        record = dataclasses.replace(
            record, importances=importances(self.study), disk_bytes=directory.bytes
        )
        root = directory.root
        files = [write_front(record, root), write_trials(record, root), directory.report]
        write_report(record, directory.report, read_confirmations(root), directory.whole is None)
        return record, files


def seconds_worked(run: Run) -> float:
    """Seconds that drivers have worked on a run so far."""
    worked = 0.0
    for directory in run.begun.values():
        study = directory.open_study()
        worked = max(worked, study.seconds)
        study.close()
    return worked


def write_space(loaded: LoadedSpace, directory: RunDirectory) -> None:
    """Write the space with every default into a run directory."""
    _write(loaded.resolved(), directory)


def follow_data(loaded: LoadedSpace, directory: RunDirectory) -> None:
    """Have the space in a run directory say where data lies now, for the commands that read it.

    Args:
        loaded: the space with which the run goes on; that its data is the same has been checked.
        directory: of the run, or of one of its tasks.
    """
    now, before = loaded.resolved(), yaml.safe_load(directory.space.read_text(encoding="utf-8"))
    followed = before | {"data": now["data"]}
    if "per_task" in before:
        own = now.get("per_task", {})
        followed["per_task"] = {
            task: {k: v for k, v in changed.items() if k != "data"}
            | {k: v for k, v in own.get(task, {}).items() if k == "data"}
            for task, changed in before["per_task"].items()
        }
    if followed != before:
        _write(followed, directory)


def _write(resolved: dict[str, Any], directory: RunDirectory) -> None:
    text = yaml.safe_dump(resolved, sort_keys=False, allow_unicode=True)
    write_atomically(directory.space, text)
