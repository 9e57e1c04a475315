"""When a search ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from search.pareto import hypervolume, non_dominated
from search.record import TrialRecord
from search.spec.objectives import OBJECTIVES
from search.spec.schema import Budget


@dataclass(frozen=True)
class Ending:
    """Why a search ends before its trials are spent.

    Attributes:
        reason: for people.
        trials: what trials that run do: ``stop``, to be taken up another time, or ``finish``.
    """

    reason: str
    trials: Literal["stop", "finish"]


class BudgetWatch:
    """Watches the budget of a study.

    Args:
        budget: as in the space file.
        objectives: names, in the order of the space file.
    """

    def __init__(self, budget: Budget, objectives: Sequence[str]) -> None:
        self._budget = budget
        self._growth = (
            None
            if budget.stagnation is None
            else _Growth(objectives, budget.stagnation.trials, budget.stagnation.epsilon)
        )

    def reached(self, hours: float, trial_seconds: float) -> Ending | None:
        """The first limit that is reached, if any.

        Args:
            hours: wall-clock, over all drivers.
            trial_seconds: seconds of all trials, added up.
        """
        most = self._budget.hours
        if most is not None and hours >= most:
            return Ending(f"the budget of {most:g} hours is spent", "stop")
        seconds = self._budget.trial_seconds
        if seconds is not None and trial_seconds >= seconds:
            return Ending(f"the budget of {seconds:g} trial-seconds is spent", "stop")
        if self._growth is not None and self._growth.stagnated:
            return Ending(self._growth.reason, "finish")
        return None

    def ended(self, trial: TrialRecord, reference: dict[str, float] | None) -> None:
        """A trial ended; in the order in which they do."""
        if self._growth is not None:
            self._growth.ended(trial, reference)


class _Growth:
    """Whether the hypervolume still grows."""

    def __init__(self, objectives: Sequence[str], trials: int, epsilon: float) -> None:
        self._objectives = objectives
        self._trials = trials
        self._epsilon = epsilon
        self._front: list[list[float]] = []
        self._early: list[TrialRecord] = []
        self._volume = 0.0
        self._since = 0

    @property
    def stagnated(self) -> bool:
        return self._since >= self._trials

    @property
    def reason(self) -> str:
        return f"the hypervolume has not grown by {self._epsilon:.2%} over {self._trials} trials"

    def ended(self, trial: TrialRecord, reference: dict[str, float] | None) -> None:
        if reference is None:
            # Without it the volume has no bound; counted once it is known, as after a resume.
            self._early.append(trial)
            return
        early, self._early = self._early, []
        for each in (*early, trial):
            self._count(each, reference)

    def _count(self, trial: TrialRecord, reference: dict[str, float]) -> None:
        if trial.state == "complete" and trial.values is not None and trial.feasible:
            values = trial.values
            point = [OBJECTIVES[name].minimised(values[name]) for name in self._objectives]
            self._front = [*self._front, point]
            self._front = [
                p for p, keep in zip(self._front, non_dominated(self._front), strict=True) if keep
            ]
        bound = [OBJECTIVES[name].minimised(reference[name]) for name in self._objectives]
        volume = hypervolume(self._front, bound)
        if volume > self._volume * (1.0 + self._epsilon):
            self._volume, self._since = volume, 0
        else:
            self._since += 1
