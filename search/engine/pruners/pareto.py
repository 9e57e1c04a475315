"""Pareto pruning: a trial stops at a rung where others that cost less already score more."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optuna.pruners import BasePruner
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial

from search.engine.pruners.judge import Judge
from search.pareto.ranking import Ranking
from search.record import Rung
from search.spec.objectives import OBJECTIVES

RUNG = "rung:"


class ParetoPruner(BasePruner):
    """Asynchronous successive halving by non-dominated sorting, for any number of objectives.

    A trial writes its objectives as a user attribute when it reaches a rung, ``rung:1`` for the
    first::

        trial.set_user_attr("rung:1", {"score": 0.71, "trainable_params": 2.1e4})
        if pruner.prune(study, study.trials[trial.number]):
            raise optuna.TrialPruned

    At a rung that is looked at it is compared with what the others had **at the same rung**,
    whatever became of them. Points are sorted by non-domination rank, within a rank by crowding
    distance (Deb et al. 2002). The trial stops when it is dominated and does not belong to the
    first ``keep`` of the points; nothing that no other trial dominates is ever stopped.

    Of an objective that is maximised, a score, the best value up to the rung counts: one is
    measured on few examples, and a dip at one rung is no verdict. Costs count as they are.

    Rungs lie at equal parts of the training. Looked at are the first one not before
    start and then those 1 / keep, 1 / keep², … times as far, as successive halving has it (Li et
    al. 2020), so that each look costs the survivors 1 / keep times as much as the one before.

    Args:
        objectives: keys of the attribute, in the order of the study's directions; by default the
            study's metric names.
        rungs: number of rungs; the last one is the end of training and is not judged.
        keep: fraction of the points at a rung that go on, in (0, 1).
        wait: points that a rung must hold, the trial itself included, before it is judged; ≥ 2.
        start: part of the training before which nothing is judged, in [0, 1).

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        objectives: Sequence[str] | None = None,
        *,
        rungs: int = 5,
        keep: float = 0.25,
        wait: int = 3,
        start: float = 0.1,
    ) -> None:
        if not _whole(rungs, 1):
            raise ValueError(f"rungs must be a whole number of at least 1, got {rungs!r}")
        if not (_number(keep) and 0 < keep < 1):
            raise ValueError(f"keep must lie between 0 and 1, got {keep!r}")
        if not _whole(wait, 2):
            raise ValueError(f"wait must be a whole number of at least 2, got {wait!r}")
        if not (_number(start) and 0 <= start < 1):
            raise ValueError(f"start must lie in [0, 1), got {start!r}")
        self.objectives = None if objectives is None else tuple(objectives)
        self.rungs = rungs
        self.keep = keep
        self.wait = wait
        self.start = start
        self.looks = frozenset(_looks(rungs, keep, start))

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether a trial stops at the last rung it has reached.

        Raises:
            ValueError: the rung lacks an objective, or holds NaN.
        """
        reached = [int(key[len(RUNG) :]) for key in trial.user_attrs if key.startswith(RUNG)]
        if not reached or max(reached) not in self.looks:
            return False
        last = max(reached)
        names = self.objectives or study.metric_names
        if names is None:
            raise ValueError("give ParetoPruner its objectives, or the study its metric names")
        scales = [
            _scale(name, direction) for name, direction in zip(names, study.directions, strict=True)
        ]
        maximised = [direction == StudyDirection.MAXIMIZE for direction in study.directions]

        def point(other: FrozenTrial) -> list[float]:
            so_far = [
                _values(other, f"{RUNG}{index}", names)
                for index in range(1, last + 1)
                if f"{RUNG}{index}" in other.user_attrs
            ]
            return [
                scale(max(values[name] for values in so_far) if best else so_far[-1][name])
                for name, scale, best in zip(names, scales, maximised, strict=True)
            ]

        others = [
            point(other)
            for other in study.get_trials(deepcopy=False)
            if other.number != trial.number and f"{RUNG}{last}" in other.user_attrs
        ]
        return self.verdict(Ranking([point(trial), *others]), 0) is not None

    def verdict(self, ranking: Ranking, index: int) -> str | None:
        """Why a trial stops, or None where it goes on.

        Args:
            ranking: of all trials at one rung, all objectives minimised.
            index: of the trial among them.
        """
        count = len(ranking)
        rank = int(ranking.ranks[index])
        # Rank 0 is what nothing dominates.
        if count < self.wait or rank == 0:
            return None
        before = ranking.before(index)
        kept = max(1, math.ceil(self.keep * count))
        if before < kept:
            return None
        return (
            f"dominated: place {before + 1} of {count} at this rung, behind {rank} "
            f"{'front' if rank == 1 else 'fronts'}; the best {kept} go on"
        )


class ParetoJudge(Judge):
    """The pruner inside the engine, which keeps the points of every rung at hand."""

    def __init__(self, pruner: ParetoPruner) -> None:
        assert pruner.objectives is not None
        self._pruner = pruner
        self._names = pruner.objectives
        self._points: dict[int, dict[int, list[float]]] = {}
        self._rankings: dict[int, Ranking] = {}
        self._best: dict[tuple[int, str], float] = {}

    def add(self, number: int, rung: Rung, method: str = "") -> None:
        point = []
        for name in self._names:
            value = OBJECTIVES[name].comparable(rung.projected[name])
            if OBJECTIVES[name].direction == "max":
                value = self._best[number, name] = min(value, self._best.get((number, name), value))
            point.append(value)
        if rung.index in self._pruner.looks:
            there = self._points.setdefault(rung.index, {})
            # An attempt after one that failed reaches the rung again.
            again = number in there
            there[number] = point
            if again or len(there) == 1:
                self._rankings[rung.index] = Ranking(list(there.values()))
            else:
                self._rankings[rung.index].add(point)

    def verdict(self, number: int, rung: Rung) -> str | None:
        if rung.index not in self._pruner.looks or not rung.judged:
            return None
        points = self._points[rung.index]
        if len(points) < self._pruner.wait:
            return None
        return self._pruner.verdict(self._rankings[rung.index], list(points).index(number))


def _values(trial: FrozenTrial, key: str, names: Sequence[str]) -> Mapping[str, float]:
    """What a trial wrote at a rung."""
    values: Mapping[str, Any] = trial.user_attrs[key]
    # This project's own studies keep beside what was measured what it would come to.
    values = {**values, **values.get("measures", {}), **values.get("projected", {})}
    for name in names:
        if name not in values:
            raise ValueError(f"{key} of trial {trial.number} lacks {name!r}")
        if math.isnan(values[name]):
            raise ValueError(f"{key} of trial {trial.number}: {name} is NaN")
    return values


def _looks(rungs: int, keep: float, start: float) -> list[int]:
    looks = []
    part = max(start, 1.0 / rungs)
    while part < 1.0 - 1e-9:
        index = math.ceil(part * rungs - 1e-9)
        if index < rungs:
            looks.append(index)
        part /= keep
    return looks


def _scale(name: str, direction: StudyDirection) -> Callable[[float], float]:
    known = OBJECTIVES.get(name)
    maximised = direction == StudyDirection.MAXIMIZE
    if known is not None and (known.direction == "max") == maximised:
        return known.comparable
    sign = -1.0 if maximised else 1.0
    return lambda value: sign * value


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
