"""The search itself: ask → report → fail. No Ray, no thread and no clock of its own."""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from search.engine.budget import BudgetWatch, Ending
from search.engine.by_method import make_proposer
from search.engine.failures import UNCOUNTED, Failure, common_failure, tries_again
from search.engine.ledger import Ledger
from search.engine.policy import Decision, Policy, Proposal
from search.engine.pruners.judge import Judge
from search.engine.study import SearchStudy
from search.engine.worked import WorkedTime
from search.record import Rung, RungReport, StudyRecord, TrialRecord
from search.spec.nodes import method_of

#: How a reason begins that ended a search before it was through.
STOPPED = "stopped by"
#: So many failures of the store, over so many seconds without a rung between, end a search.
STORE_FAILURES = 3
STORE_SECONDS = 60.0


class Engine:
    """Decides what is tried, what goes on and what it came to; all of it is in the study.

    Methods may be called from several threads, :meth:`ask` from one at a time; ``now`` is seconds
    since the epoch.

    Args:
        study: new, or of an earlier run: trials that did not end are taken up again first.
        policy: what the search wants.
        judge: who stops trials; None stops none.
        now: when this engine starts.
    """

    def __init__(self, study: SearchStudy, policy: Policy, judge: Judge | None, now: float) -> None:
        self._policy = policy
        self._judge = judge
        self._names = list(study.header.objectives)
        self._worked = WorkedTime(study, now)
        self._lock = threading.RLock()
        self._ledger = Ledger(study, policy.limits)
        self._watch = BudgetWatch(policy.budget, self._names)
        self._proposer = make_proposer(policy, self._names, study)
        self._attempts: dict[int, int] = {}
        self._active: set[int] = set()
        self._to_take_up: list[int] = []
        self._store_failures: list[float] = []
        # Apart, so that neither can undo the other: a signal may come between any two lines.
        self._stopped: Ending | None = None
        self._reached: Ending | None = None
        self._spent: str | None = None
        # Once set nothing can begin, go on or be promoted any more: then no limit ends it early.
        self._done = False
        self._recall()

    def _recall(self) -> None:
        """What a judge and the budget know of an earlier driver's trials, in the order it came."""
        trials = list(self._ledger.trials.values())
        rungs = [(rung.at, t.number, rung) for t in trials for rung in t.rungs]
        for _, number, rung in sorted(rungs, key=lambda entry: (entry[0], entry[1])):
            if self._judge is not None:
                self._judge.add(number, rung, method_of(self._ledger.trials[number].settings))
                self._judge.verdict(number, rung)
        ended = [t for t in trials if t.finished is not None]
        for trial in sorted(ended, key=lambda t: (t.finished or 0.0, t.number)):
            if self._judge is not None and trial.rungs:
                self._judge.ended(trial.number, trial.state == "complete")
            self._watch.ended(trial, self._ledger.reference)
        for trial in self._ledger.in_state("running"):
            # Killed between its last rung and its end.
            if trial.rungs and trial.rungs[-1].step >= (trial.total_steps or math.inf):
                self._finish(trial.number, TrialState.COMPLETE, trial.rungs[-1].at)
        self._to_take_up = [
            trial.number
            for trial in self._ledger.trials.values()
            if trial.state == "running" or (trial.state == "paused" and not self._promotes(trial))
        ]

    def _promotes(self, trial: TrialRecord) -> bool:
        """Whether a paused trial waits for its promotion, and was not just interrupted."""
        reason = trial.reason or ""
        return self._policy.promote and reason.startswith("rung ")

    # Reading

    def listen(self, listener: Callable[[TrialRecord], None]) -> None:
        """Have somebody told of every record that changes."""
        self._ledger.listener = listener

    def record(self) -> StudyRecord:
        """Everything the study holds now."""
        with self._lock:
            return self._ledger.record()

    @property
    def active(self) -> frozenset[int]:
        """Numbers of the trials that train now."""
        with self._lock:
            return frozenset(self._active)

    @property
    def share_begun(self) -> float:
        """Part of the budget's trials that has begun, in [0, 1]."""
        with self._lock:
            return self._ledger.begun / self._policy.trials

    @property
    def _ending(self) -> Ending | None:
        return self._stopped or self._reached

    @property
    def spent(self) -> str | None:
        """Why there is nothing left to propose although the budget has room, or None."""
        return self._spent

    @property
    def ending(self) -> str | None:
        """Why the search is being ended before its trials are, or None."""
        return None if self._ending is None else self._ending.reason

    @property
    def stopping(self) -> bool:
        """Whether trials that run are to be stopped now."""
        return self._ending is not None and self._ending.trials == "stop"

    def seconds(self, now: float) -> float:
        """Wall-clock seconds spent on the study, those of earlier drivers included."""
        return self._worked.seconds(now)

    def trial_seconds(self) -> float:
        """Seconds of all trials, added up; of one that trains, up to its last rung."""
        with self._lock:
            return self._ledger.trial_seconds

    def exhausted(self, now: float) -> bool:
        """Whether nothing will be handed out any more, whatever the trials that run come to."""
        with self._lock:
            idle = not (self._active or self._to_take_up)
            if self._ending is None and idle and not self._may_begin:
                self._done = self._next_promotion() is None
        self._check_budget(now)
        with self._lock:
            if self._worked.is_due(now):
                self._worked.save_if_possible(now)
            return self._done or self.stopping or (self._ending is not None and idle)

    @property
    def _may_begin(self) -> bool:
        return self._spent is None and self._ledger.begun < self._policy.trials

    def _check_budget(self, now: float) -> None:
        # Whoever has stopped proposing, and lets what runs finish, can still run out of time.
        if not self._done and (self._reached is None or self._reached.trials == "finish"):
            hours = self.seconds(now) / 3600
            watched = self._policy.budget.trial_seconds is not None
            seconds = self.trial_seconds() if watched else 0.0
            self._reached = self._watch.reached(hours, seconds) or self._reached

    # Handing out

    def end(self, reason: str) -> None:
        """Propose nothing more; trials that run are to be stopped and can be taken up later."""
        if not self.stopping and not self._done:
            self._stopped = Ending(reason, "stop")

    def ask(self, now: float) -> Proposal | None:
        """The next configuration; None where there is none now.

        Trials that were interrupted or failed and are tried again come first, then paused ones
        that are now among the best, then what the user enqueued.
        """
        self._check_budget(now)
        with self._lock:
            if self.stopping:
                return None
            number = self._to_take_up.pop(0) if self._to_take_up else None
            if number is None and self._ending is None:
                number = self._next_promotion()
            if number is not None:
                if self._ledger.trials[number].state == "paused":
                    self._ledger.go_on(number)
                return self._hand_out(number)
            if self._ending is not None or not self._may_begin:
                return None
            queued = next(iter(self._ledger.in_state("waiting")), None)
            if queued is not None:
                self._ledger.begin(queued.number, now)
                self._proposer.began(queued.number)
                return self._hand_out(queued.number)
        return self._propose(now)

    def _propose(self, now: float) -> Proposal | None:
        # Drawing takes up to hundreds of milliseconds: reports must not wait for it.
        draft = self._proposer.propose()
        with self._lock:
            if draft is None:
                self._spent = self._proposer.spent
                return None
            self._ledger.add(draft, now)
            return self._hand_out(draft.number)

    def _hand_out(self, number: int) -> Proposal:
        trial = self._ledger.trials[number]
        attempt = self._attempts.setdefault(number, 0)
        self._active.add(number)
        kept = [rung.checkpoint for rung in trial.rungs if rung.checkpoint is not None]
        return Proposal(number, trial.settings, kept[-1] if kept else None, attempt)

    def _next_promotion(self) -> int | None:
        """The paused trial that got furthest among those that are now among the best."""
        if self._judge is None or not self._policy.promote:
            return None
        waiting = [t for t in self._ledger.in_state("paused") if t.rungs]
        for trial in sorted(waiting, key=lambda t: (-t.rungs[-1].index, t.number)):
            if self._judge.verdict(trial.number, trial.rungs[-1]) is None:
                return trial.number
        return None

    # Taking in

    def report(
        self,
        number: int,
        report: RungReport,
        now: float,
        checkpoint: str | None = None,
        attempt: int | None = None,
    ) -> Decision:
        """Take in a rung and decide whether the trial goes on.

        The last rung completes the trial. A rung that is known already changes nothing.

        Args:
            number: of the trial.
            report: what the worker measured.
            now: when it came in.
            checkpoint: folder of its checkpoint relative to the run directory.
            attempt: that reports; one that was given up has no say. None is the present one.
        """
        with self._lock:
            trial = self._ledger.trials[number]
            if self.is_over(number, attempt):
                return "stop"
            if trial.state != "running":
                return "stop" if trial.state in {"pruned", "failed"} else "continue"
            if any(rung.index >= report.rung.index for rung in trial.rungs):
                return "continue"
            self._store_failures.clear()
            rung = dataclasses.replace(report.rung, at=now, checkpoint=checkpoint)
            broken = self._not_a_number(rung)
            if broken is not None:
                self._fail(number, broken, now)
                return "stop"
            self._ledger.rung(number, dataclasses.replace(report, rung=rung))
            if self._worked.is_due(now):
                self._worked.save(now)
            if self._judge is not None:
                self._judge.add(number, rung, method_of(trial.settings))
            if rung.step >= report.total_steps:
                self._finish(number, TrialState.COMPLETE, now)
                return "continue"
            reason = None if self._judge is None else self._judge.verdict(number, rung)
            return "continue" if reason is None else self._stop(number, rung, reason, now)

    def catch_up(self, number: int, reports: Sequence[tuple[RungReport, str]], now: float) -> None:
        """Take in rungs that a trial had reached before the study was told of them.

        Args:
            number: of a trial that an earlier driver left running.
            reports: in the order of the rungs, with the folder of each checkpoint.
            now: when they are taken in.
        """
        with self._lock:
            for report, checkpoint in reports:
                self.report(number, report, now, checkpoint)
            if self._ledger.trials[number].state != "running" and number in self._to_take_up:
                self._to_take_up.remove(number)

    def _not_a_number(self, rung: Rung) -> str | None:
        for name in [*self._names, *(limit.measure for limit in self._policy.limits)]:
            if name not in rung.measures:
                return f"the trial did not measure {name}"
            if not math.isfinite(rung.measures[name]):
                return f"{name} is {rung.measures[name]}"
            if not math.isfinite(rung.projected[name]):
                return f"{name}, carried forward to the end, is {rung.projected[name]}"
        return None

    def _stop(self, number: int, rung: Rung, reason: str, now: float) -> Decision:
        reason = f"rung {rung.index}: {reason}"
        # Without a checkpoint it would start again from the beginning.
        if self._policy.promote and rung.checkpoint is not None:
            self._pause(number, reason)
            return "pause"
        self._finish(number, TrialState.PRUNED, now, reason)
        return "stop"

    def _pause(self, number: int, reason: str) -> None:
        self._ledger.pause(number, reason)
        self._active.discard(number)
        self._attempts[number] = self._attempts.get(number, 0) + 1

    def obsolete_checkpoints(self, number: int) -> list[str]:
        """Checkpoints of a trial from which nobody will go on, relative to the run directory.

        Those of all rungs but the last; of a trial that was pruned or has failed, all.
        """
        with self._lock:
            trial = self._ledger.trials[number]
            kept = [rung.checkpoint for rung in trial.rungs if rung.checkpoint is not None]
            return kept if trial.state in {"pruned", "failed"} else kept[:-1]

    def is_over(self, number: int, attempt: int | None) -> bool:
        """Whether an attempt is not the one that trains, or would train, the trial now."""
        return attempt is not None and attempt != self._attempts.get(number)

    def fail(self, number: int, failure: Failure, now: float, attempt: int | None = None) -> None:
        """An attempt at a trial ended without its last rung, and not because the search is ending.

        It is tried again from its last rung, as often as the search wants; then it has failed.

        Args:
            number: of the trial.
            failure: why.
            now: when.
            attempt: that failed; one that was given up before is not counted again.
        """
        with self._lock:
            if self.is_over(number, attempt) or number not in self._active:
                return
            self._active.discard(number)
            self._attempts[number] += 1
            trial = self._ledger.trials[number]
            if trial.state != "running":
                return
            again = tries_again(trial, failure, self._policy.failures)
            if failure.of_store:
                self._store_failed(failure.reason, now)
            told = failure.reason if failure.counted else UNCOUNTED + failure.reason
            self._ledger.failed_attempt(number, told)
            if again:
                self._to_take_up.append(number)
                return
            self._fail(number, failure.reason, now)

    def _store_failed(self, reason: str, now: float) -> None:
        """Other trials would fare no better: a store that stays away ends the search."""
        self._store_failures.append(now)
        times = self._store_failures
        if len(times) >= STORE_FAILURES and now - times[0] >= STORE_SECONDS:
            self.end(f"{STOPPED} its store: {reason}")

    def _fail(self, number: int, reason: str, now: float) -> None:
        self._finish(number, TrialState.FAIL, now, reason)
        common = common_failure(self._ledger.trials.values(), self._policy.failures)
        if common is not None:
            self.end(f"all trials failed in the same way: {common}")

    def _finish(
        self, number: int, state: TrialState, now: float, reason: str | None = None
    ) -> None:
        ended = self._ledger.finish(number, state, now, reason)
        self._active.discard(number)
        self._proposer.ended(number, state, ended.values, ended.trial.settings, ended.violations)
        if self._judge is not None and ended.trial.rungs:
            self._judge.ended(number, state == TrialState.COMPLETE)
        self._watch.ended(ended.trial, self._ledger.reference)
        self._worked.save(now)

    # Ending

    def release(self, number: int) -> None:
        """A trial no longer trains because the search is ending; it can be taken up later."""
        with self._lock:
            self._active.discard(number)
            if self._ledger.trials[number].state != "running":
                return
            # Ended in the study, and interrupted before it was noted here: it stays ended.
            with suppress(UpdateFinishedTrialError):
                self._pause(number, f"interrupted: {self.ending or 'the driver stopped'}")

    def close(self, now: float) -> None:
        """Write down what is left to write: nothing is left running.

        Trials that wait for a promotion which cannot come any more are pruned.
        """
        with self._lock:
            done = self._ending is None and self.exhausted(now)
            for trial in self._ledger.in_state("running"):
                self.release(trial.number)
            if done:
                for trial in self._ledger.in_state("paused"):
                    if self._promotes(trial):
                        reason = f"{trial.reason}; paused there and never promoted"
                        self._finish(trial.number, TrialState.PRUNED, now, reason)
            self._worked.save(now)
