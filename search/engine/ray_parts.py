"""The parts that Ray Tune asks: they hand its questions to the engine and know nothing."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import ray
from ray import tune
from ray.tune import Stopper
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from search.engine.core import Engine
from search.engine.failures import Failure
from search.engine.policy import Proposal
from search.engine.ray_failures import failure_of
from search.engine.run_directory import RunDirectory
from search.engine.watchdog import Watchdog
from search.record import RungReport

REPORT = "report"


def number_of(trial: Trial) -> int:
    return int(trial.config["number"])


def attempt_of(trial: Trial) -> int:
    return int(trial.config["attempt"])


def folder_of(trial: Trial) -> str:
    """Each attempt has a folder of its own."""
    return f"{number_of(trial):05d}-{attempt_of(trial)}"


def _nothing() -> None:
    """What a part that is never restored is pickled as."""


class NeverRestored:
    """Tune pickles its parts so that it can restore an experiment. Ours are never restored: a
    resumed search gives a new Tuner the study's unfinished trials."""

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return _nothing, ()

    def __deepcopy__(self, memo: dict[int, Any]) -> NeverRestored:
        return self


class EngineSearcher(NeverRestored, Searcher):
    """Hands the engine's proposals to Tune, one at a time and only when a slot is free.

    Proposing happens in a thread of its own: Tune's loop, which also takes in the reports, waits
    for it only where nothing trains that could report.
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
            # A trial that still trains may fail and be tried again, or make room for another.
            return str(Searcher.FINISHED) if self._engine.exhausted(time.time()) else None
        checkpoint = proposal.checkpoint
        return {
            "number": proposal.number,
            "attempt": proposal.attempt,
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


class EngineScheduler(NeverRestored, FIFOScheduler):
    """Takes every report to the engine and its decision back to Tune.

    A trial that the engine pauses is stopped here as well: its checkpoint stays, and if it is
    promoted the engine proposes it again, as it does a trial that is tried once more.
    """

    def __init__(self, engine: Engine, directory: RunDirectory, experiment: str) -> None:
        super().__init__()
        self._engine = engine
        self._directory = directory
        self._experiment = experiment

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        if REPORT not in result:
            return str(TrialScheduler.CONTINUE)
        saved = result.get("checkpoint_dir_name")
        checkpoint = f"trials/{self._experiment}/{folder_of(trial)}/{saved}" if saved else None
        report = RungReport.from_json(result[REPORT])
        number = number_of(trial)
        attempt = attempt_of(trial)
        decision = self._engine.report(number, report, time.time(), checkpoint, attempt)
        self._clear(number)
        goes_on = decision == "continue"
        return str(TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP)

    def _clear(self, number: int) -> None:
        """Delete what nobody goes on from any more, only now that the study has the newer rung.

        Left to Tune, a checkpoint would be gone before the study knew of the next one.
        """
        for checkpoint in self._engine.obsolete_checkpoints(number):
            shutil.rmtree(self._directory.root / checkpoint, ignore_errors=True)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        number, attempt = number_of(trial), attempt_of(trial)
        self._engine.fail(number, failure_of(trial), time.time(), attempt)


class Supervision(NeverRestored, tune.Callback):
    """Reconciles the engine with Tune's trials, and ends those that hang."""

    def __init__(self, engine: Engine, watchdog: Watchdog, hang_minutes: float) -> None:
        self._engine = engine
        self._watchdog = watchdog
        self._hung = Failure(f"hung: it took no step for {hang_minutes:g} minutes")

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        active = self._engine.active
        if not active:
            return
        latest = {number_of(trial): trial for trial in trials}
        for number in active:
            trial = latest.get(number)
            if trial is None or not trial.is_finished():
                continue
            # Tune ended it without telling searcher or scheduler.
            if self._engine.stopping:
                self._engine.release(number)
                continue
            over = Failure("it ended before its last rung")
            failure = failure_of(trial) if trial.status == Trial.ERROR else over
            self._engine.fail(number, failure, time.time(), attempt_of(trial))
        self._end_hanging({n: t for n, t in latest.items() if t.status == Trial.RUNNING})

    def _end_hanging(self, running: dict[int, Trial]) -> None:
        attempts = {number: attempt_of(trial) for number, trial in running.items()}
        for number in self._watchdog.hanging(attempts, time.monotonic()):
            trial = running[number]
            actor = trial.temporary_state.ray_actor
            if actor is not None and not self._engine.is_over(number, attempt_of(trial)):
                # Tune then finds the actor dead; the engine has known better by then.
                self._engine.fail(number, self._hung, time.time(), attempt_of(trial))
                ray.kill(actor)


class EngineStopper(NeverRestored, Stopper):
    """Stops every trial once the engine says so."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        # Asked at every step of Tune's loop, so the budget of hours also ends running trials.
        self._engine.exhausted(time.time())
        return self._engine.stopping
