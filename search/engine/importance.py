"""Which settings decide what a trial comes to, objective by objective."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import optuna
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.engine.study import SearchStudy
from search.record import Importance
from search.spec.objectives import OBJECTIVES

FEWEST_TRIALS = 10
# The evaluator's authors advise at least so many trials among the best.
FEWEST_BEST = 5


def importances(study: SearchStudy) -> tuple[Importance, ...]:
    """PED-ANOVA (Watanabe et al. 2023) of the complete trials of each method, for each objective.

    How much the values of a setting among the best trials differ from those among all; in parts of
    the sum over a method's settings. Nothing is said of a method with fewer than ten complete
    trials, nor of an objective in which they are all the same.
    """
    by_method: dict[str, list[FrozenTrial]] = {}
    for trial in study.frozen_trials():
        if trial.state == TrialState.COMPLETE and "settings" in trial.user_attrs:
            by_method.setdefault(next(iter(trial.user_attrs["settings"]["method"])), []).append(
                trial
            )
    found = []
    for method, trials in by_method.items():
        if len(trials) < FEWEST_TRIALS:
            continue
        for index, name in enumerate(study.header.objectives):
            values = {trial.values[index] for trial in trials}
            if len(values) < 2:
                continue
            found.append(Importance(method, name, _of(trials, index, name)))
    return tuple(found)


def _of(trials: list[FrozenTrial], index: int, objective: str) -> dict[str, float]:
    alone = optuna.create_study()
    lowest: Callable[[FrozenTrial], float] = lambda trial: trial.value or 0.0  # noqa: E731
    for trial in trials:
        alone.add_trial(
            create_trial(
                params=trial.params,
                distributions=trial.distributions,
                value=OBJECTIVES[objective].minimised(trial.values[index]),
            )
        )
    quantile = max(0.1, min(0.5, FEWEST_BEST / len(trials)))
    with warnings.catch_warnings():
        # It reminds of what is done here: that low values are taken for the good ones.
        warnings.simplefilter("ignore")
        parts = optuna.importance.get_param_importances(
            alone,
            evaluator=PedAnovaImportanceEvaluator(target_quantile=quantile),
            target=lowest,
        )
    # What all of them have in common, the method above all, was not decided here.
    varied = {name for name in parts if len({repr(t.params.get(name)) for t in trials}) > 1}
    whole = sum(parts[name] for name in varied) or 1.0
    return {name: float(part) / whole for name, part in parts.items() if name in varied}
