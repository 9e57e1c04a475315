"""The parts that Ray Tune asks: they hand its questions to the engines and know nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import ray
from ray import tune
from ray.tune import Stopper
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from search.engine.checkpoints import TRIALS
from search.engine.failures import Failure
from search.engine.fleet import Fleet, Lane
from search.engine.policy import Proposal
from search.engine.ray_failures import failure_of
from search.engine.watchdog import Watchdog
from search.record import RungReport

REPORT = "report"


def number_of(trial: Trial) -> int:
    return int(trial.config["number"])


def study_of(trial: Trial) -> str:
    return str(trial.config["study"])


def lane_of(fleet: Fleet, trial: Trial) -> Lane:
    return fleet[study_of(trial)]


def attempt_of(trial: Trial) -> int:
    return int(trial.config["attempt"])


def folder_of(trial: Trial) -> str:
    """Each attempt has a folder of its own, by whose name it goes."""
    return str(trial.config["folder"])


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
    """Hands the engines' proposals to Tune, one at a time and only when a slot is free.

    Proposing happens in a thread of its own: Tune's loop, which also takes in the reports, waits
    for it only where nothing trains that could report.
    """

    def __init__(self, fleet: Fleet, slots: Callable[[], int]) -> None:
        super().__init__()
        self._fleet = fleet
        self._slots = slots
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="propose")
        self._asked: Future[tuple[Lane, Proposal] | None] | None = None
        self._given: list[tuple[Lane, Proposal]] = []

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if self._asked is None:
            if self._fleet.exhausted(time.time()):
                return str(Searcher.FINISHED)
            if self._fleet.active >= self._slots():
                return None
            self._asked = self._thread.submit(self._fleet.ask, time.time())
        if not self._asked.done() and self._trains():
            return None
        found = self._asked.result()
        self._asked = None
        if found is None:
            # A trial that still trains may fail and be tried again, or make room for another.
            return str(Searcher.FINISHED) if self._fleet.exhausted(time.time()) else None
        lane, proposal = found
        self._given.append((lane, proposal))
        return {
            "study": lane.name,
            "number": proposal.number,
            "attempt": proposal.attempt,
            "folder": lane.directory.folder_of(proposal.number, proposal.attempt),
            "settings": dict(proposal.settings),
            "checkpoint": proposal.checkpoint,
        }

    def _trains(self) -> bool:
        """Whether a trial trains that Tune was given; what is being drawn is active before that.

        Told that there is none now, Tune sleeps for a second where it runs nothing.
        """
        active = {lane.name: lane.engine.active for lane in self._fleet}
        self._given = [
            (lane, proposal)
            for lane, proposal in self._given
            if proposal.number in active[lane.name]
            and not lane.engine.is_over(proposal.number, proposal.attempt)
        ]
        return bool(self._given)

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
    """Takes every report to its engine and the decision back to Tune.

    A trial that the engine pauses is stopped here as well: its checkpoint stays, and if it is
    promoted the engine proposes it again, as it does a trial that is tried once more.
    """

    def __init__(
        self, fleet: Fleet, experiment: str, discard: Callable[[Sequence[str]], None]
    ) -> None:
        super().__init__()
        self._fleet = fleet
        self._experiment = experiment
        self._discard = discard
        self._discarded: set[str] = set()

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        if REPORT not in result:
            return str(TrialScheduler.CONTINUE)
        lane, number = lane_of(self._fleet, trial), number_of(trial)
        saved = result.get("checkpoint_dir_name")
        checkpoint = f"{TRIALS}/{self._experiment}/{folder_of(trial)}/{saved}" if saved else None
        report = RungReport.from_json(result[REPORT])
        decision = lane.engine.report(number, report, time.time(), checkpoint, attempt_of(trial))
        # Left to Tune, a checkpoint would be gone before the study knew of the next one.
        obsolete = set(lane.engine.obsolete_checkpoints(number)) - self._discarded
        self._discarded |= obsolete
        self._discard(sorted(obsolete))
        # Of several studies one can be over while the others go on.
        goes_on = decision == "continue" and not lane.engine.stopping
        return str(TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        engine = lane_of(self._fleet, trial).engine
        engine.fail(number_of(trial), failure_of(trial), time.time(), attempt_of(trial))


class Supervision(NeverRestored, tune.Callback):
    """Reconciles the engines with Tune's trials, tells of first steps, ends those that hang."""

    def __init__(
        self,
        fleet: Fleet,
        watchdog: Watchdog,
        hang_minutes: float,
        stepped: Callable[[str, int], None] = lambda study, number: None,
    ) -> None:
        self._fleet = fleet
        self._watchdog = watchdog
        self._stepped = stepped
        self._hung = Failure(f"hung: it took no step for {hang_minutes:g} minutes")

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        if not self._fleet.active:
            return
        latest = {(study_of(trial), number_of(trial)): trial for trial in trials}
        for lane in self._fleet:
            for number in lane.engine.active:
                trial = latest.get((lane.name, number))
                if trial is not None and trial.is_finished():
                    self._reconcile(lane, number, trial)
        self._listen([t for t in latest.values() if t.status == Trial.RUNNING])

    def _reconcile(self, lane: Lane, number: int, trial: Trial) -> None:
        """Tune ended a trial without telling searcher or scheduler."""
        if lane.engine.stopping:
            lane.engine.release(number)
            return
        over = Failure("it ended before its last rung")
        failure = failure_of(trial) if trial.status == Trial.ERROR else over
        lane.engine.fail(number, failure, time.time(), attempt_of(trial))

    def _listen(self, trials: list[Trial]) -> None:
        running = {folder_of(trial): trial for trial in trials}
        hanging = self._watchdog.hanging(running, time.monotonic())
        for folder in self._watchdog.newly_stepped():
            if folder in running:
                self._stepped(study_of(running[folder]), number_of(running[folder]))
        for folder in hanging:
            trial = running[folder]
            engine, number = lane_of(self._fleet, trial).engine, number_of(trial)
            actor = trial.temporary_state.ray_actor
            if actor is not None and not engine.is_over(number, attempt_of(trial)):
                # Tune then finds the actor dead; the engine has known better by then.
                engine.fail(number, self._hung, time.time(), attempt_of(trial))
                ray.kill(actor)


class EngineStopper(NeverRestored, Stopper):
    """Stops every trial once the engines say so."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        # Asked at every step of Tune's loop, so the budget of hours also ends running trials.
        return self._fleet.over(time.time())
