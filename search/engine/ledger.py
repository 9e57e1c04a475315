"""What became of every trial: the study and a record of it in memory, changed together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optuna.trial import TrialState

from search.engine.proposer import Draft
from search.engine.study import SearchStudy
from search.pareto.front import reference_point
from search.record import RungReport, State, StudyRecord, TrialRecord
from search.spec.limits import Limit
from search.spec.settings import TrialSettings

_STATES: Mapping[TrialState, State] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


class Ledger:
    """Writes to the study first, then to its records, then tells the listener.

    Reading a study of a thousand trials from its database takes seconds; here it is at hand.

    Args:
        study: new, or of an earlier run.
        limits: what a complete trial must keep to.

    Attributes:
        trials: the records, by number.
        listener: told of every record that changed.
    """

    def __init__(self, study: SearchStudy, limits: Sequence[Limit]) -> None:
        self._study = study
        self._limits = limits
        self._names = list(study.header.objectives)
        self.trials = {trial.number: trial for trial in study.trials()}
        self.listener: Callable[[TrialRecord], None] = lambda trial: None

    def record(self) -> StudyRecord:
        """The whole study."""
        return self._study.record([self.trials[number] for number in sorted(self.trials)])

    def in_state(self, state: State) -> list[TrialRecord]:
        """Trials in a state, in the order in which they were written."""
        return [trial for trial in self.trials.values() if trial.state == state]

    @property
    def reference(self) -> dict[str, float] | None:
        """The hypervolume's reference point in the objectives' units, once it is fixed."""
        return self._study.reference

    @property
    def begun(self) -> int:
        """Trials that were handed out."""
        return sum(trial.state != "waiting" for trial in self.trials.values())

    @property
    def trial_seconds(self) -> float:
        """Seconds of all trials, added up; of one that trains, up to its last rung."""
        return sum(t.measures.get("total_seconds", 0.0) for t in self.trials.values())

    def add(self, draft: Draft, now: float) -> None:
        """A configuration was drawn and trains."""
        label = TrialSettings.model_validate(draft.settings).label
        self._study.add(draft, label, now)
        self._put(TrialRecord(draft.number, "running", draft.settings, label, started=now))

    def begin(self, number: int, now: float) -> None:
        """A configuration that was enqueued trains."""
        self._study.begin(number, self.trials[number].settings, now)
        self._change(number, state="running", started=now)

    def go_on(self, number: int) -> None:
        """A trial that was paused trains again."""
        self._study.go_on(number)
        self._change(number, state="running", reason=None)

    def rung(self, number: int, report: RungReport) -> None:
        """A trial has reached a rung."""
        trial = self.trials[number]
        self._study.rung(number, report, trial.total_steps)
        self._change(
            number,
            rungs=(*trial.rungs, report.rung),
            measures=report.rung.measures,
            freezing=report.freezing,
            total_steps=report.total_steps,
        )

    def failed_attempt(self, number: int, reason: str) -> None:
        """An attempt at a trial ended before its last rung."""
        failures = (*self.trials[number].failures, reason)
        self._study.failed_attempt(number, failures)
        self._change(number, failures=failures)

    def pause(self, number: int, reason: str) -> None:
        """A trial does not train for now."""
        self._study.pause(number, reason)
        self._change(number, state="paused", reason=reason)

    def finish(
        self, number: int, state: TrialState, now: float, reason: str | None = None
    ) -> Ended:
        """A trial ended; a complete one with what it measured last."""
        trial = self.trials[number]
        values, violations = None, {}
        if state == TrialState.COMPLETE:
            values = [trial.measures[name] for name in self._names]
            violations = {
                limit.measure: limit.violation(trial.measures[limit.measure])
                for limit in self._limits
            }
        self._study.finish(number, state, now, values, reason, violations)
        self._change(
            number,
            state=_STATES[state],
            values=dict(zip(self._names, values, strict=True)) if values is not None else None,
            reason=reason,
            feasible=all(violation <= 0 for violation in violations.values()),
            finished=now,
        )
        if self._study.reference is None:
            point = reference_point(list(self.trials.values()), self._names)
            if point is not None:
                self._study.reference = point
        return Ended(self.trials[number], values, violations)

    def _change(self, number: int, **changes: Any) -> None:
        self._put(dataclasses.replace(self.trials[number], **changes))

    def _put(self, trial: TrialRecord) -> None:
        self.trials[trial.number] = trial
        self.listener(trial)


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a trial ended.

    Attributes:
        trial: its last record.
        values: of a complete trial, in the order of the study's objectives.
        violations: of the search's limits, by measure; not above zero where it keeps to one.
    """

    trial: TrialRecord
    values: Sequence[float] | None
    violations: Mapping[str, float]
