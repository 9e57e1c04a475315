"""The search itself: ask → report → tell. No Ray, no thread and no clock of its own."""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from optuna.trial import TrialState

from search.engine.proposals import propose
from search.engine.pruner import ParetoPruner
from search.engine.sampler import make_sampler
from search.engine.study import SearchStudy
from search.pareto.front import reference_point
from search.record import RungReport, StudyRecord, TrialRecord
from search.spec.distributions import Group
from search.spec.schema import Budget, Sampler
from search.spec.settings import TrialSettings

Decision = Literal["continue", "stop"]


@dataclass(frozen=True)
class Proposal:
    """A configuration to train.

    Attributes:
        number: of the trial.
        settings: the whole configuration.
        checkpoint: folder to go on from, relative to the run directory; None starts anew.
    """

    number: int
    settings: Mapping[str, Any]
    checkpoint: str | None = None


class Engine:
    """Decides what is tried, what goes on and what it came to; all of it is in the study.

    Methods may be called from several threads; ``now`` is seconds since the epoch.

    Args:
        study: new, or of an earlier run: trials it left running are taken up again first.
        tree: what can be proposed.
        sampler: who proposes.
        pruner: who stops trials; None stops none.
        budget: when nothing more is proposed.
        seed: of the study.
        now: when this engine starts.
    """

    def __init__(
        self,
        study: SearchStudy,
        tree: Group,
        sampler: Sampler,
        pruner: ParetoPruner | None,
        budget: Budget,
        seed: int,
        now: float,
    ) -> None:
        self._study = study
        self._tree = tree
        self._sampler = sampler
        self._pruner = pruner
        self._budget = budget
        self._seed = seed
        self._since = now
        self._seconds_before = study.seconds
        self._lock = threading.RLock()
        self._trials = {trial.number: trial for trial in study.trials()}
        self._taken_up = [t.number for t in self._trials.values() if t.state == "running"]
        self._active: set[int] = set()
        self._ending: str | None = None
        self.listener: Callable[[TrialRecord], None] = lambda trial: None

    # Reading

    def record(self) -> StudyRecord:
        """Everything the study holds now."""
        with self._lock:
            return self._study.record([self._trials[number] for number in sorted(self._trials)])

    @property
    def active(self) -> frozenset[int]:
        """Numbers of the trials that train now."""
        with self._lock:
            return frozenset(self._active)

    @property
    def ending(self) -> str | None:
        """Why the search is being ended before its trials are, or None."""
        return self._ending

    def seconds(self, now: float) -> float:
        """Wall-clock seconds spent on the study, those of earlier drivers included."""
        return self._seconds_before + now - self._since

    def exhausted(self, now: float) -> bool:
        """Whether nothing more will be proposed."""
        self._check_hours(now)
        with self._lock:
            if self._ending is not None:
                return True
            return not self._taken_up and self._begun() >= self._budget.trials

    def _begun(self) -> int:
        return sum(trial.state != "waiting" for trial in self._trials.values())

    def _check_hours(self, now: float) -> None:
        hours = self._budget.hours
        if hours is not None and self.seconds(now) >= hours * 3600:
            self.end(f"the budget of {hours:g} hours is spent")

    # Acting

    def end(self, reason: str) -> None:
        """Propose nothing more; trials that run are to be stopped and can be taken up later."""
        if self._ending is None:
            self._ending = reason

    def ask(self, now: float) -> Proposal | None:
        """The next configuration, or None once the budget is spent.

        Unfinished trials of an earlier driver come first, then what the user enqueued.
        """
        if self.exhausted(now):
            return None
        with self._lock:
            if self._taken_up:
                number = self._taken_up.pop(0)
                self._active.add(number)
                trial = self._trials[number]
                if not trial.settings:
                    # The driver died between Optuna's ask and ours: draw it again.
                    return self._retry_unborn(number, now)
                checkpoint = trial.rungs[-1].checkpoint if trial.rungs else None
                return Proposal(number, trial.settings, checkpoint)
        return self._propose(now)

    def _propose(self, now: float) -> Proposal:
        number = self._study.next_number()
        with self._lock:
            complete = sum(trial.state == "complete" for trial in self._trials.values())
        # Proposing takes up to hundreds of milliseconds: reports must not wait for it.
        optuna_study = self._study.optuna
        optuna_study.sampler = make_sampler(self._sampler, self._seed, number, complete)
        trial = optuna_study.ask()
        settings = propose(trial, self._tree)
        label = TrialSettings.model_validate(settings).label
        self._study.started(trial, settings, label, now)
        record = TrialRecord(
            trial.number,
            "running",
            settings,
            label,
            mark=trial.user_attrs.get("mark"),
            started=now,
        )
        with self._lock:
            self._active.add(trial.number)
            self._replace(record)
        return Proposal(trial.number, settings)

    def _retry_unborn(self, number: int, now: float) -> Proposal | None:
        self._finish(number, TrialState.FAIL, now, reason="the driver stopped while proposing it")
        return self.ask(now)

    def report(
        self, number: int, report: RungReport, now: float, checkpoint: str | None = None
    ) -> Decision:
        """Take in a rung and decide whether the trial goes on.

        The last rung completes the trial. A rung that is known already changes nothing.

        Args:
            number: of the trial.
            report: what the worker measured.
            now: when it came in.
            checkpoint: folder of its checkpoint relative to the run directory.
        """
        with self._lock:
            trial = self._trials[number]
            if trial.state != "running":
                return "stop" if trial.state in {"pruned", "failed"} else "continue"
            if any(rung.index >= report.rung.index for rung in trial.rungs):
                return "continue"
            rung = dataclasses.replace(report.rung, at=now, checkpoint=checkpoint)
            broken = self._not_a_number(rung.measures)
            if broken is not None:
                self._finish(number, TrialState.FAIL, now, reason=broken)
                return "stop"
            self._study.rung(number, report, rung)
            self._replace(
                dataclasses.replace(
                    trial,
                    rungs=(*trial.rungs, rung),
                    measures=rung.measures,
                    freezing=report.freezing,
                    total_steps=report.total_steps,
                )
            )
            if rung.step >= report.total_steps:
                values = [rung.measures[name] for name in self._study.header.objectives]
                self._finish(number, TrialState.COMPLETE, now, values=values)
                return "continue"
            if self._pruner is None:
                return "continue"
            others = [
                other.projected
                for t in self._trials.values()
                if t.number != number
                for other in t.rungs
                if other.index == rung.index
            ]
            reason = self._pruner.judge(rung.fraction, rung.projected, others)
            if reason is None:
                return "continue"
            self._finish(number, TrialState.PRUNED, now, reason=f"rung {rung.index}: {reason}")
            return "stop"

    def _not_a_number(self, measures: Mapping[str, float]) -> str | None:
        for name in self._study.header.objectives:
            if name not in measures:
                return f"the trial did not measure {name}"
            if not math.isfinite(measures[name]):
                return f"{name} is {measures[name]}"
        return None

    def fail(self, number: int, reason: str, now: float) -> None:
        """A trial ended without reaching its last rung, and not because the search is ending."""
        with self._lock:
            if self._trials[number].state == "running":
                self._finish(number, TrialState.FAIL, now, reason=reason)
            self._active.discard(number)

    def release(self, number: int) -> None:
        """A trial no longer trains: it ended, or the search did and it is taken up another time."""
        with self._lock:
            self._active.discard(number)

    def save_time(self, now: float) -> None:
        """Write down how long drivers have worked on the study."""
        self._study.seconds = self.seconds(now)

    def _finish(
        self,
        number: int,
        state: TrialState,
        now: float,
        values: Sequence[float] | None = None,
        reason: str | None = None,
    ) -> None:
        self._study.finished(number, state, now, values, reason)
        names = list(self._study.header.objectives)
        states: Mapping[TrialState, Any] = {
            TrialState.COMPLETE: "complete",
            TrialState.PRUNED: "pruned",
            TrialState.FAIL: "failed",
        }
        self._replace(
            dataclasses.replace(
                self._trials[number],
                state=states[state],
                values=dict(zip(names, values, strict=True)) if values is not None else None,
                reason=reason,
                finished=now,
            )
        )
        self._active.discard(number)
        self._study.seconds = self.seconds(now)
        if self._study.reference is None:
            point = reference_point(list(self._trials.values()), names)
            if point is not None:
                self._study.reference = point

    def _replace(self, record: TrialRecord) -> None:
        self._trials[record.number] = record
        self.listener(record)
