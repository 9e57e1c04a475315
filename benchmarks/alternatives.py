"""What others do, for comparison: Ray Tune's own parts with Optuna, and Syne Tune's MO-ASHA."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.curve_table import CurveTable
from search.engine.proposals import propose
from search.engine.pruners import Judge
from search.record import Rung
from search.spec.distributions import Group
from search.spec.objectives import OBJECTIVES


class SyneTuneJudge(Judge):
    """Syne Tune's MO-ASHA (Schmucker et al. 2021) decides who goes on; it looks at every rung.

    Its own non-dominated sort (0.16) takes places for an order and an order for places, so that who
    is stopped has little to do with who is dominated. Here it is given the places that the paper
    has: front after front, and within a front by the ε-net that it brings.

    Raises:
        ImportError: Syne Tune is not installed.
    """

    def __init__(self, objectives: Sequence[str], rungs: int) -> None:
        from syne_tune.optimizer.schedulers.multiobjective.moasha import MOASHA

        self._names = objectives
        self._scheduler = MOASHA(
            {},
            list(objectives),
            time_attr="rung",
            max_t=rungs,
            multiobjective_priority=_places,
        )
        self._stopped: set[tuple[int, int]] = set()
        self._trials: dict[int, Any] = {}

    def add(self, number: int, rung: Rung, method: str = "") -> None:
        if number not in self._trials:
            self._trials[number] = SimpleNamespace(trial_id=str(number))
            self._scheduler.on_trial_add(self._trials[number])
        values = {name: OBJECTIVES[name].minimised(rung.measures[name]) for name in self._names}
        told = self._scheduler.on_trial_result(self._trials[number], {"rung": rung.index, **values})
        if told == "STOP":
            self._stopped.add((number, rung.index))

    def verdict(self, number: int, rung: Rung) -> str | None:
        return "MO-ASHA" if (number, rung.index) in self._stopped else None


def _places(points: NDArray[np.float64]) -> NDArray[np.int_]:
    """The place of each point, 0 the best; shape (points,)."""
    from syne_tune.optimizer.schedulers.multiobjective.non_dominated_priority import (
        compute_epsilon_net,
        pareto_efficient,
    )

    places = np.empty(len(points), dtype=np.int_)
    left, before = np.arange(len(points)), 0
    while len(left):
        efficient = pareto_efficient(points[left])
        front = left[efficient]
        places[front] = before + compute_epsilon_net(points[front], dim=0)
        left, before = left[~efficient], before + len(front)
    return places


def stock_search(
    tree: Group,
    table: CurveTable,
    slots: int,
    seed: int,
    objectives: Mapping[str, str] | None = None,
) -> list[tuple[float, dict[str, float]]]:
    """OptunaSearch (TPE), until the table is used up: as Ray ships it.

    Args:
        tree: what is searched.
        table: answers proposals.
        slots: trials at a time.
        seed: of the sampler.
        objectives: name → ``max`` or ``min``, all of which are searched, and no trial is stopped;
            None for the score alone, with ASHAScheduler, which takes no more than one.

    Returns:
        For every trial that was trained to its end: trial-seconds of all trials up to then, and
        what it measured.
    """
    from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler
    from ray.tune.search.optuna import OptunaSearch

    drawn: dict[str, Any] = {}

    def space(trial: Any) -> None:
        drawn["settings"] = propose(trial._suggest, tree)

    # A seed of 0 counts as none.
    metric: Any = "score" if objectives is None else list(objectives)
    mode: Any = "max" if objectives is None else list(objectives.values())
    search = OptunaSearch(space=space, metric=metric, mode=mode, seed=seed + 1)
    scheduler: TrialScheduler = FIFOScheduler()
    if objectives is None:
        scheduler = ASHAScheduler(
            time_attr="rung", metric="score", mode="max",
            grace_period=1, reduction_factor=3, max_t=100,
        )  # fmt: skip
    busy: list[tuple[float, int, int, int]] = []
    steps: dict[int, Any] = {}
    seconds: dict[int, float] = {}
    found: list[tuple[float, dict[str, float]]] = []
    now, number = 0.0, 0
    while True:
        while len(busy) < slots and table.left:
            search.suggest(str(number))
            steps[number] = table.curve(drawn["settings"], number)
            scheduler.on_trial_add(None, SimpleNamespace(trial_id=str(number)))
            heapq.heappush(busy, (now + steps[number][0].seconds, number, 0, number))
            number += 1
        if not busy:
            return found
        now, _, index, trial = heapq.heappop(busy)
        measures = dict(steps[trial][index].report.rung.measures)
        seconds[trial] = measures["total_seconds"]
        result = measures | {"rung": index + 1, "training_iteration": index + 1}
        last = index + 1 == len(steps[trial])
        told = scheduler.on_trial_result(None, SimpleNamespace(trial_id=str(trial)), result)
        if last:
            found.append((sum(seconds.values()), measures))
        if last or told == TrialScheduler.STOP:
            search.on_trial_complete(str(trial), result)
            continue
        search.on_trial_result(str(trial), result)
        heapq.heappush(busy, (now + steps[trial][index + 1].seconds, trial, index + 1, trial))
