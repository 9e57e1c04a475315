"""One driver's work on one run directory, from the first proposal to the report."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import yaml
from rich.console import Console

from search.console.live import LiveView
from search.console.plain import PlainView
from search.console.summary import print_summary
from search.engine.core import Engine
from search.engine.importance import importances
from search.engine.policy import Policy
from search.engine.proposals import params_of
from search.engine.pruners import make_judge
from search.engine.ray_tune import execute
from search.engine.run_directory import RunDirectory
from search.engine.study import SearchStudy, StudyHeader, Waiting
from search.environment import INTERRUPTED
from search.loading import check_same_data
from search.provenance import provenance
from search.record import StudyRecord, TrialRecord
from search.results.adapters import clear_checkpoints, collect_adapters
from search.results.confirmed import read_confirmations
from search.results.files import write_front, write_trials
from search.results.html import write_report
from search.spec import LoadedSpace, Mistake
from search.spec.limits import parse_limits
from search.spec.nodes import methods_of
from search.spec.relations import Length, unsettle
from search.spec.settings import TrialSettings
from search.spec.tasks import METRIC_TITLES, Task
from search.tracking.follower import Follower
from search.tracking.mlflow_store import MLflowStore
from search.tracking.relocation import relocate
from search.trial.data import TaskData
from search.trial.training import TrialJob, length_of
from search.trial.worker import train
from search.writing import shown, write_atomically


class Driver:
    """Runs a search whose space, model and data have been checked.

    Args:
        loaded: the space.
        task: what is trained for.
        directory: locked by the caller.
        data: tokenised.
        slots: trials at a time.
        why: why they run where they run.
        console: the terminal.
        resume: go on with the run in the directory.
        again: the command that goes on with this run.
    """

    def __init__(
        self,
        loaded: LoadedSpace,
        task: Task,
        directory: RunDirectory,
        data: TaskData,
        slots: int,
        why: str,
        console: Console,
        resume: bool,
        again: str,
    ) -> None:
        self._loaded = loaded
        self._task = task
        self._directory = directory
        self._data = data
        self._slots = slots
        self._why = why
        self._console = console
        self._resume = resume
        self._again = again
        #: Whether the search came to its end, by whatever limit, and nobody stopped it.
        self.ended_by_itself = False

    def run(self) -> int:
        """Search; the exit status.

        Raises:
            SpecError: the run in the directory was started with other data.
        """
        space = self._loaded.space
        length = length_of(space.train, len(self._data.train))
        study = self._open_study(length)
        engine = Engine(
            study,
            Policy(
                tree=self._loaded.tree,
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
        job = TrialJob(
            space.model,
            self._task,
            space.train,
            space.pruner.rungs,
            space.seed,
            space.pruner.after_freezing,
        )
        follower = self._follower(engine, study)
        view = self._view(engine)

        def listen(trial: TrialRecord) -> None:
            view.on_trial(trial)
            follower.wake()

        engine.listen(listen)
        follower.start()
        with view, _ended_by_signals(engine):
            execute(
                engine,
                self._directory,
                train,
                {"job": job, "data": self._data, "threads": max(1, int(space.resources.cpu))},
                space.resources.cpu,
                space.resources.gpu,
                self._slots,
                space.failures.hang_minutes,
            )
        record, files = self._write_results(study, engine.record())
        problem = follower.close(files, ended=engine.ending is None)
        if problem is not None:
            print(f"MLflow misses a part of this run: {problem}", file=sys.stderr)
        study.close()
        if engine.spent is not None and engine.ending is None:
            self._console.print(f"Nothing is left to propose: {engine.spent}.")
        self.ended_by_itself = not (engine.ending or "").startswith("stopped by")
        self._say_goodbye(record, engine.ending)
        return self._status(record, engine.ending)

    def _open_study(self, length: Length) -> SearchStudy:
        space, directory = self._loaded.space, self._directory
        if self._resume:
            study = directory.open_study()
            check_same_data(self._loaded, study, self._data)
            return study
        header = StudyHeader(
            space.name,
            self._task.name,
            space.model,
            METRIC_TITLES[self._task.metric],
            space.objectives,
            provenance(space.seed, self._data.fingerprint, uuid.uuid4().hex),
            self._loaded.resolved(),
        )
        directory.trials.mkdir(exist_ok=True)
        write_atomically(
            directory.space,
            yaml.safe_dump(self._loaded.resolved(), sort_keys=False, allow_unicode=True),
        )
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

    def _follower(self, engine: Engine, study: SearchStudy) -> Follower:
        space, directory = self._loaded.space, self._directory
        given = space.tracking.uri or os.environ.get("MLFLOW_TRACKING_URI")
        uri = given or f"sqlite:///{directory.mlflow}"
        artifacts = None if given else directory.artifacts
        if artifacts is not None:
            relocate(directory.mlflow, artifacts)
        experiment = space.tracking.experiment or space.name
        study_id = study.header.provenance["study_id"]
        return Follower(lambda: MLflowStore(uri, experiment, artifacts, study_id), engine.record)

    def _view(self, engine: Engine) -> PlainView | LiveView:
        space = self._loaded.space
        if not self._console.is_terminal:
            return PlainView(tuple(space.objectives))
        return LiveView(
            engine.record,
            lambda: engine.ending,
            space.budget.total(len(methods_of(self._loaded.tree).options)),
            self._slots,
            self._why,
            self._console,
        )

    def _write_results(
        self, study: SearchStudy, record: StudyRecord
    ) -> tuple[StudyRecord, list[Path]]:
        root = self._directory.root
        record = collect_adapters(record, root)
        clear_checkpoints(record, root)
        record = dataclasses.replace(
            record, importances=importances(study), disk_bytes=self._directory.bytes
        )
        files = [write_front(record, root), write_trials(record, root), self._directory.report]
        write_report(record, self._directory.report, read_confirmations(root))
        return record, files

    def _say_goodbye(self, record: StudyRecord, ending: str | None) -> None:
        again = self._again if ending is not None else None
        tracked = self._loaded.space.tracking.uri or os.environ.get("MLFLOW_TRACKING_URI")
        uri = tracked or f"sqlite:///{shown(self._directory.mlflow)}"
        print_summary(record, self._directory.root, uri, ending, again, self._console)

    def _status(self, record: StudyRecord, ending: str | None) -> int:
        if ending is not None and ending.startswith("stopped by"):
            return INTERRUPTED
        return 0 if record.in_state("complete", "pruned") or not record.trials else 1


@contextmanager
def _ended_by_signals(engine: Engine) -> Iterator[None]:
    """The first Ctrl-C ends the search in order, the second at once."""

    asked = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        engine.end(f"stopped by {name}")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
