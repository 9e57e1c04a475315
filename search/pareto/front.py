"""Fronts and hypervolume of a study: which complete trials no other complete trial dominates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from search.pareto import hypervolume, non_dominated
from search.record import StudyRecord, TrialRecord
from search.spec.objectives import OBJECTIVES

REFERENCE_TRIALS = 10
REFERENCE_MARGIN = 0.1


def front(trials: Sequence[TrialRecord], objectives: Sequence[str]) -> tuple[TrialRecord, ...]:
    """The complete trials that no other complete trial dominates, best first objective first.

    Trials that stopped early or broke a limit never count: neither as members nor as dominators.
    """
    complete = [t for t in trials if t.state == "complete" and t.values and t.feasible]
    if not complete:
        return ()
    kept = non_dominated(
        [
            [OBJECTIVES[name].comparable(_value(trial, name)) for name in objectives]
            for trial in complete
        ]
    )
    members = [trial for trial, keep in zip(complete, kept, strict=True) if keep]
    first = OBJECTIVES[objectives[0]]
    return tuple(
        sorted(
            members, key=lambda trial: (first.minimised(_value(trial, first.name)), trial.number)
        )
    )


def reference_point(
    trials: Sequence[TrialRecord], objectives: Sequence[str]
) -> dict[str, float] | None:
    """The worst of the first ten finished trials plus a margin of a tenth of their range.

    The margin is taken on the hypervolume's scale (logarithmic for counts and costs); the point
    is given in the objectives' own units. None while fewer than ten trials are complete.
    """
    finished = sorted(
        (trial for trial in trials if trial.state == "complete" and trial.values),
        key=lambda trial: (trial.finished or 0.0, trial.number),
    )[:REFERENCE_TRIALS]
    if len(finished) < REFERENCE_TRIALS:
        return None
    return worst_with_margin(finished, objectives)


def worst_with_margin(trials: Sequence[TrialRecord], objectives: Sequence[str]) -> dict[str, float]:
    """For each objective the worst value plus a margin of a tenth of the range, in its own unit."""
    point = {}
    for name in objectives:
        values = [OBJECTIVES[name].minimised(_value(trial, name)) for trial in trials]
        spread = max(values) - min(values)
        # Values that differ by rounding alone are alike: a margin of that would be lost in the sum.
        alike = math.isclose(max(values), min(values), rel_tol=1e-9, abs_tol=1e-9)
        margin = REFERENCE_MARGIN * (1.0 if alike else spread)
        point[name] = OBJECTIVES[name].from_minimised(max(values) + margin)
    return point


def front_hypervolume(
    trials: Sequence[TrialRecord], objectives: Sequence[str], reference: Mapping[str, float]
) -> float:
    """Hypervolume of the complete trials against a reference point in the objectives' units."""
    points = [
        [OBJECTIVES[name].minimised(_value(trial, name)) for name in objectives]
        for trial in trials
        if trial.state == "complete" and trial.values and trial.feasible
    ]
    return hypervolume(points, [OBJECTIVES[name].minimised(reference[name]) for name in objectives])


def hypervolume_history(study: StudyRecord) -> list[tuple[float, float]]:
    """(seconds since the epoch, hypervolume) after each complete trial, in order of finishing."""
    names = list(study.objectives)
    complete = sorted(study.in_state("complete"), key=lambda trial: trial.finished or 0.0)
    if not complete:
        return []
    reference = study.reference or worst_with_margin(complete, names)
    bound = [OBJECTIVES[name].minimised(reference[name]) for name in names]
    # What is dominated adds nothing, now or later.
    best: list[list[float]] = []
    history, volume = [], 0.0
    for trial in complete:
        if trial.values and trial.feasible:
            point = [OBJECTIVES[name].minimised(_value(trial, name)) for name in names]
            if not any(_no_worse(other, point) for other in best):
                best = [other for other in best if not _no_worse(point, other)] + [point]
                # Rounding must not let it shrink.
                volume = max(volume, hypervolume(best, bound))
        history.append((trial.finished or 0.0, volume))
    return history


def _no_worse(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True))


def _value(trial: TrialRecord, name: str) -> float:
    assert trial.values is not None
    return trial.values[name]
