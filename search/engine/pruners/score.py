"""Any pruner of Optuna, on the score alone, in a search that has several objectives.

Optuna's pruners judge single-objective studies by intermediate values. They are given one: a study
in memory that holds each trial's score at each rung.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    PatientPruner,
    PercentilePruner,
    SuccessiveHalvingPruner,
    ThresholdPruner,
    WilcoxonPruner,
)
from optuna.storages import InMemoryStorage
from optuna.study import Study, StudyDirection
from optuna.trial import TrialState

from search.engine.plugins import check_arguments, class_of, make
from search.engine.pruners.judge import Judge
from search.record import Rung

PRUNERS: Mapping[str, type[BasePruner] | None] = {
    "pareto": None,
    "none": None,
    "median": MedianPruner,
    "percentile": PercentilePruner,
    "hyperband": HyperbandPruner,
    "successive_halving": SuccessiveHalvingPruner,
    "patient": PatientPruner,
    "wilcoxon": WilcoxonPruner,
    "threshold": ThresholdPruner,
}
# Hyperband draws a trial's bracket from the study's name and the trial's number.
_NAME = "score"


def make_pruner(name: str, options: Mapping[str, Any], rungs: int) -> BasePruner:
    """A pruner of Optuna.

    Raises:
        ValueError: there is no such pruner, or it does not take the options.
    """
    cls = class_of(name, PRUNERS, BasePruner)
    plain = dict(options)
    ours: dict[str, Any] = {"min_resource": 1, "max_resource": rungs}
    if issubclass(cls, PatientPruner):
        # It waits on behalf of another pruner, which is named like any; none waits on its own.
        wrapped = plain.pop("wrapped", None)
        check_arguments(cls, plain, ["wrapped_pruner"])
        ours["wrapped_pruner"] = None
        if wrapped is not None:
            inner = dict(wrapped) if isinstance(wrapped, Mapping) else {"name": wrapped}
            known = inner.pop("name", None)
            if not isinstance(known, str):
                raise ValueError(f"wrapped takes the name of a pruner, got {wrapped!r}")
            ours["wrapped_pruner"] = make_pruner(known, inner, rungs)
    else:
        check_arguments(cls, plain, ())
    pruner = make(cls, plain, **{key: v for key, v in ours.items() if key not in plain})
    assert isinstance(pruner, BasePruner)
    return pruner


class ScoreJudge(Judge):
    """Asks a pruner of Optuna.

    Args:
        pruner: judges scores, which are maximised.
        start: part of the training before which nothing is judged.
    """

    def __init__(self, pruner: BasePruner, start: float) -> None:
        self._pruner = pruner
        self._start = start
        self._storage = InMemoryStorage()
        study_id = self._storage.create_new_study([StudyDirection.MAXIMIZE], _NAME)
        self._study_id = study_id
        self._study = Study(_NAME, self._storage, pruner=pruner)
        self._ids: list[int] = []

    def _trial(self, number: int) -> int:
        while len(self._ids) <= number:
            self._ids.append(self._storage.create_new_trial(self._study_id))
        return self._ids[number]

    def add(self, number: int, rung: Rung, method: str = "") -> None:
        self._storage.set_trial_intermediate_value(
            self._trial(number), rung.index, rung.measures["score"]
        )

    def verdict(self, number: int, rung: Rung) -> str | None:
        if rung.fraction < self._start - 1e-9 or not rung.judged:
            return None
        trial = self._storage.get_trial(self._trial(number))
        if not self._pruner.prune(self._study, trial):
            return None
        name = type(self._pruner).__name__.removesuffix("Pruner")
        return f"{name} on the score, {rung.measures['score']:.4g}"

    def ended(self, number: int, complete: bool) -> None:
        trial_id = self._trial(number)
        values = self._storage.get_trial(trial_id).intermediate_values
        if complete:
            last = [values[max(values)]]
            self._storage.set_trial_state_values(trial_id, TrialState.COMPLETE, last)
        else:
            self._storage.set_trial_state_values(trial_id, TrialState.PRUNED)
