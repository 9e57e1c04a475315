"""Several runs of one task measured alike: on one reference point, and against one another."""

from __future__ import annotations

import dataclasses
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.flat import legible
from search.pareto.coverage import dominated
from search.pareto.front import (
    front,
    front_hypervolume,
    hypervolume_history,
    worst_with_margin,
)
from search.record import StudyRecord, TrialRecord
from search.results.measured import best_of, final
from search.results.saving import Spending, spending, spent_by
from search.spec.objectives import OBJECTIVES

#: A score is near the best one of all runs when it lacks no more than this part of it.
NEAR = 0.01
_PARAMS = "trainable_params"


@dataclass(frozen=True)
class NamedRun:
    """A run as it is told apart from others.

    Attributes:
        name: unlike that of any other.
        studies: task → its study.
        sampler, pruner: as the space file has them; empty where that is not known.
    """

    name: str
    studies: Mapping[str, StudyRecord]
    sampler: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    pruner: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Side:
    """One run in an overlay.

    Attributes:
        run: its name.
        study: of the task.
        members: of its front, best first objective first.
        volume: hypervolume of the front against the common reference point.
        history: (trial-seconds spent, hypervolume) after each complete trial.
        spent: trial-seconds in all, see :class:`Spending`.
        best: the complete trial with the best score.
        cheapest: the one with the fewest trainable parameters among those whose score is within
            :data:`NEAR` of the best of all runs.
    """

    run: str
    study: StudyRecord
    members: tuple[TrialRecord, ...]
    volume: float
    history: tuple[tuple[float, float], ...]
    spent: float
    best: TrialRecord | None
    cheapest: TrialRecord | None


@dataclass(frozen=True)
class Overlay:
    """The runs of one task.

    Attributes:
        task: its name.
        reference: the worst complete trial of all runs plus a margin, objective → value in its
            own unit; None while no trial is complete.
        sides: one for each run, in the order in which they were named.
        lost: ``lost[a][b]``: how many members of ``a``'s front a member of ``b``'s dominates.
    """

    task: str
    reference: Mapping[str, float] | None
    sides: tuple[Side, ...]
    lost: tuple[tuple[int, ...], ...]

    @property
    def metric(self) -> str:
        """What the score of all runs is."""
        return self.sides[0].study.metric

    @property
    def objectives(self) -> tuple[str, ...]:
        """Of all runs."""
        return tuple(self.sides[0].study.objectives)


def overlay_runs(runs: Sequence[NamedRun]) -> list[Overlay]:
    """An overlay for each task that at least two of the runs have, in the order they have them.

    Raises:
        ValueError: a run has no task in common with another, or two that share a task have
            other objectives or another metric there.
    """
    tasks = list(dict.fromkeys(task for run in runs for task in run.studies))
    shared = [task for task in tasks if sum(task in run.studies for run in runs) > 1]
    for run in runs:
        if not any(task in run.studies for task in shared):
            others = "; ".join(f"{o.name} has {_listed(o)}" for o in runs if o is not run)
            raise ValueError(
                f"{run.name} has no task in common with another run: it has {_listed(run)}; "
                f"{others}"
            )
    return [
        overlay(task, [(run.name, run.studies[task]) for run in runs if task in run.studies])
        for task in shared
    ]


def _listed(run: NamedRun) -> str:
    return ", ".join(run.studies)


def overlay(task: str, studies: Sequence[tuple[str, StudyRecord]]) -> Overlay:
    """The runs of a task against the worst complete trial of all of them plus a margin.

    Args:
        task: its name.
        studies: name of the run and its study of the task; at least one.

    Raises:
        ValueError: objectives or metrics differ.
    """
    _check_alike(task, studies)
    names = list(studies[0][1].objectives)
    complete = [t for _, study in studies for t in study.in_state("complete") if t.values]
    reference = worst_with_margin(complete, names) if complete else None
    scores = [final(best, "score") for _, study in studies if (best := best_of(study)) is not None]
    top = max((score for score in scores if score is not None), default=None)
    sides = tuple(_side(run, study, reference, top) for run, study in studies)
    points = [_points(side.members, names) for side in sides]
    lost = tuple(tuple(int(dominated(own, other).sum()) for other in points) for own in points)
    return Overlay(task, reference, sides, lost)


def _check_alike(task: str, studies: Sequence[tuple[str, StudyRecord]]) -> None:
    (first, model), *others = studies
    for run, study in others:
        for what, here, there in (
            ("metric", study.metric, model.metric),
            ("objectives", _told(study.objectives), _told(model.objectives)),
        ):
            if here != there:
                raise ValueError(
                    f"{run} cannot be laid over {first}: on {task} it has the {what} {here}, "
                    f"{first} has {there}"
                )


def _told(objectives: Mapping[str, str]) -> str:
    return ", ".join(f"{name} ({objectives[name]})" for name in sorted(objectives))


def _side(
    run: str, study: StudyRecord, reference: Mapping[str, float] | None, top: float | None
) -> Side:
    names = list(study.objectives)
    complete = [trial for trial in study.in_state("complete") if trial.feasible]
    near = [
        trial
        for trial in complete
        if top is not None
        and (score := final(trial, "score")) is not None
        and score >= top - NEAR * abs(top)
        and final(trial, _PARAMS) is not None
    ]
    account = spending(study.trials)
    return Side(
        run=run,
        study=study,
        members=front(study.trials, names),
        volume=front_hypervolume(complete, names, reference) if reference else 0.0,
        history=tuple(_history(study, reference, account)),
        spent=account[-1].spent if account else 0.0,
        best=best_of(study),
        cheapest=min(near, key=_params, default=None),
    )


def _params(trial: TrialRecord) -> float:
    params = final(trial, _PARAMS)
    assert params is not None
    return params


def _history(
    study: StudyRecord, reference: Mapping[str, float] | None, account: list[Spending]
) -> list[tuple[float, float]]:
    if reference is None:
        return []
    measured = hypervolume_history(dataclasses.replace(study, reference=reference))
    return [(spent_by(account, moment).spent, volume) for moment, volume in measured]


def _points(members: Sequence[TrialRecord], names: Sequence[str]) -> list[list[float]]:
    return [
        [OBJECTIVES[name].comparable((trial.values or {})[name]) for name in names]
        for trial in members
    ]


def volume_after(side: Side, seconds: float) -> float:
    """Hypervolume once a run had spent so many trial-seconds."""
    spent = [moment for moment, _ in side.history]
    reached = bisect_right(spent, seconds)
    return side.history[reached - 1][1] if reached else 0.0


def have_same_front(one: Side, other: Side) -> bool:
    """Whether no member of either front is better than, or missing from, the other front."""
    names = list(one.study.objectives)
    mine, theirs = (
        {tuple(point) for point in _points(side.members, names)} for side in (one, other)
    )
    return mine == theirs


def machine_of(study: StudyRecord) -> str:
    """The machine of a run in words; empty where that is not known."""
    machine = study.provenance.get("machine")
    if isinstance(machine, Mapping):
        return ", ".join(legible(value) for value in machine.values())
    return "" if machine is None else str(machine)
