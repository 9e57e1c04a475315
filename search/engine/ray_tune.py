"""Ray Tune executes what the engine decides: a searcher and a scheduler that know nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import ray
from ray import cloudpickle, tune
from ray.exceptions import RayTaskError
from ray.tune import CheckpointConfig, RunConfig, Stopper, TuneConfig, Tuner
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from search.engine.core import Engine, Proposal
from search.engine.run_directory import RunDirectory
from search.record import RungReport
from search.spec.errors import first_line

REPORT = "report"

# Set before Ray's processes start, so that workers inherit them.
RAY_ENVIRONMENT: Mapping[str, str] = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # A stopped trial whose thread needs longer than this would make the next one on its process
    # fail unrun.
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "600",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_RESULT_BUFFER_LENGTH": "1",
    # Nothing is ever restored from Ray's own state: the study holds everything.
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    # Ray's new output prints a banner at any verbosity.
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
}


def number_of(trial: Trial) -> int:
    return int(trial.config["number"])


def folder_of(trial: Trial) -> str:
    return f"{number_of(trial):05d}"


def _nothing() -> None:
    """What a part that is never restored is pickled as."""


class _NeverRestored:
    """Tune pickles its parts so that it can restore an experiment. Ours are never restored: a
    resumed search gives a new Tuner the study's unfinished trials."""

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return _nothing, ()

    def __deepcopy__(self, memo: dict[int, Any]) -> _NeverRestored:
        return self


class EngineSearcher(_NeverRestored, Searcher):
    """Hands the engine's proposals to Tune, one at a time and only when a slot is free.

    Proposing happens in a thread of its own: Tune's loop, which also takes in the reports, never
    waits for it.
    """

    def __init__(self, engine: Engine, directory: RunDirectory, slots: int) -> None:
        super().__init__()
        self._engine = engine
        self._directory = directory
        self._slots = slots
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="propose")
        self._asked: Future[Proposal | None] | None = None

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if self._asked is None:
            if self._engine.exhausted(time.time()):
                return str(Searcher.FINISHED)
            if len(self._engine.active) >= self._slots:
                return None
            self._asked = self._thread.submit(self._engine.ask, time.time())
        if not self._asked.done() and self._engine.active:
            return None
        proposal = self._asked.result()
        self._asked = None
        if proposal is None:
            return str(Searcher.FINISHED)
        checkpoint = proposal.checkpoint
        return {
            "number": proposal.number,
            "settings": dict(proposal.settings),
            # Trials run in a folder of their own, so every path is made absolute here.
            "checkpoint": str(self._directory.root / checkpoint) if checkpoint else None,
        }

    def close(self) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """The scheduler and the reconciliation have told the engine."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the study holds everything."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""


class EngineScheduler(_NeverRestored, FIFOScheduler):
    """Takes every report to the engine and its decision back to Tune."""

    def __init__(self, engine: Engine, experiment: str) -> None:
        super().__init__()
        self._engine = engine
        self._experiment = experiment

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        if REPORT not in result:
            return str(TrialScheduler.CONTINUE)
        saved = result.get("checkpoint_dir_name")
        checkpoint = f"trials/{self._experiment}/{folder_of(trial)}/{saved}" if saved else None
        report = RungReport.from_json(result[REPORT])
        decision = self._engine.report(number_of(trial), report, time.time(), checkpoint)
        return str(TrialScheduler.STOP if decision == "stop" else TrialScheduler.CONTINUE)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        self._engine.fail(number_of(trial), reason_of(trial), time.time())


def reason_of(trial: Trial) -> str:
    """Why a trial failed, in one line: the error that its code raised, not Ray's around it."""
    # Trial.get_pickled_error looks in the storage, where Tune copies the file only later.
    file = trial.pickled_error_file
    if file is None or not Path(file).exists():
        return "Ray gave no reason"
    error = cloudpickle.loads(Path(file).read_bytes())
    if isinstance(error, RayTaskError):
        cause = error.cause if isinstance(error.cause, BaseException) else error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        error = cause
    return f"{type(error).__name__}: {first_line(error)}"


class _Reconciliation(_NeverRestored, tune.Callback):
    """Tells the engine about trials that Tune ended without telling searcher or scheduler."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        active = self._engine.active
        if not active:
            return
        for trial in trials:
            number = number_of(trial)
            if number not in active or not trial.is_finished():
                continue
            if self._engine.ending is not None:
                self._engine.release(number)
            elif trial.status == Trial.ERROR:
                self._engine.fail(number, reason_of(trial), time.time())
            else:
                reason = "it ended before its last rung"
                self._engine.fail(number, reason, time.time())


class _EngineStopper(_NeverRestored, Stopper):
    """Stops every trial once the engine is ending."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        # Asked at every step of Tune's loop, so the budget of hours also ends running trials.
        self._engine.exhausted(time.time())
        return self._engine.ending is not None


def next_experiment(directory: RunDirectory) -> str:
    """A folder name below ``trials`` for this driver, so that each attempt has its own."""
    taken = [int(p.name) for p in directory.trials.glob("[0-9]*") if p.name.isdigit()]
    return f"{max(taken, default=0) + 1:03d}"


def execute(
    engine: Engine,
    directory: RunDirectory,
    trainable: Callable[..., None],
    parameters: Mapping[str, Any],
    cpu: float,
    gpu: float,
    slots: int,
) -> None:
    """Run trials until the engine proposes nothing more, or is ending.

    Args:
        engine: decides.
        directory: trials are stored below it.
        trainable: what a worker runs, ``trainable(config, **parameters)``.
        parameters: the same for every trial; delivered once through the object store.
        cpu, gpu: what a trial takes.
        slots: trials at a time.
    """
    # By default Tune takes in a second trial only once the first one's process is up.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(slots)
    experiment = next_experiment(directory)
    searcher = EngineSearcher(engine, directory, slots)
    prepared = tune.with_resources(
        tune.with_parameters(trainable, **parameters), {"cpu": cpu, "gpu": gpu}
    )
    tuner = Tuner(
        prepared,
        tune_config=TuneConfig(
            search_alg=searcher,
            scheduler=EngineScheduler(engine, experiment),
            num_samples=-1,
            reuse_actors=True,
            trial_dirname_creator=folder_of,
            trial_name_creator=folder_of,
        ),
        run_config=RunConfig(
            name=experiment,
            storage_path=str(directory.trials.resolve()),
            stop=_EngineStopper(engine),
            callbacks=[_Reconciliation(engine)],
            checkpoint_config=CheckpointConfig(num_to_keep=1),
            verbose=0,
        ),
    )
    try:
        tuner.fit()
    finally:
        searcher.close()
        for number in engine.active:
            if engine.ending is None:
                engine.fail(number, "Ray lost the trial", time.time())
            engine.release(number)
        engine.save_time(time.time())


def prepare_environment() -> None:
    """Settings that Ray reads from the environment; before it starts."""
    for name, value in RAY_ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def slots_of(cpu: float, gpu: float) -> int:
    """How many trials fit on the cluster at a time."""
    there = ray.cluster_resources()
    slots = int(there.get("CPU", 0) / cpu)
    return min(slots, int(there.get("GPU", 0) / gpu)) if gpu else slots
