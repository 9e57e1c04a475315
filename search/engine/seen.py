"""What a sampler sees of a long search: its last trials, and some that are kept for it."""

from __future__ import annotations

from collections.abc import Container

from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState


class SeenTrials(InMemoryStorage):
    """Trials in memory, of which no more are handed out than a sampler can weigh in time.

    Attributes:
        most: of the last trials, how many are seen; None for all.
        kept: numbers of those that are seen however old they are.
    """

    def __init__(self, most: int | None) -> None:
        super().__init__()
        self.most = most
        self.kept: frozenset[int] = frozenset()

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """Those that are seen, in the order of their numbers."""
        trials: list[FrozenTrial] = super().get_all_trials(study_id, deepcopy, states)
        if self.most is None or len(trials) <= self.most:
            return trials
        early = [trial for trial in trials[: -self.most] if trial.number in self.kept]
        return early + trials[-self.most :]
