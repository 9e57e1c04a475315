"""What others do, for comparison: Ray Tune's own parts with Optuna, and the rules of MO-ASHA."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.curve_table import CurveTable
from search.engine.proposals import propose
from search.engine.pruners import Judge
from search.pareto import crowding_distance, non_domination_rank
from search.record import Rung
from search.spec.distributions import Group
from search.spec.objectives import OBJECTIVES


class MOASHAJudge(Judge):
    """Multi-objective asynchronous successive halving (Schmucker et al. 2021), stopping variant.

    At rungs η⁰, η¹, … a trial goes on if it belongs to the best 1/η of what was measured there, by
    non-domination rank and then by distance to others (here the crowding distance). It looks at the
    objectives as they are at the rung, and stops what nothing dominates as well.
    """

    def __init__(self, objectives: Sequence[str], rungs: int, eta: int = 3) -> None:
        self._names = objectives
        self._eta = eta
        self._looks = {eta**k for k in range(10) if eta**k < rungs}
        self._points: dict[int, dict[int, list[float]]] = {}

    def add(self, number: int, rung: Rung, method: str = "") -> None:
        if rung.index in self._looks:
            point = [OBJECTIVES[name].comparable(rung.measures[name]) for name in self._names]
            self._points.setdefault(rung.index, {})[number] = point

    def verdict(self, number: int, rung: Rung) -> str | None:
        if rung.index not in self._looks:
            return None
        there = self._points[rung.index]
        if len(there) < self._eta:
            return None
        points = np.array(list(there.values()))
        ranks = non_domination_rank(points)
        mine = list(there).index(number)
        crowding = crowding_distance(points[ranks == ranks[mine]])
        own = crowding[np.flatnonzero(ranks == ranks[mine]).tolist().index(mine)]
        before = int((ranks < ranks[mine]).sum()) + int((crowding > own).sum())
        return "MO-ASHA" if before >= max(1, len(points) // self._eta) else None


def stock_search(
    tree: Group, table: CurveTable, slots: int, seed: int
) -> list[tuple[float, dict[str, float]]]:
    """OptunaSearch (TPE) and ASHAScheduler on the score, until the table is used up.

    Returns:
        For every trial that was trained to its end: trial-seconds of all trials up to then, and
        what it measured.
    """
    from ray.tune.schedulers import ASHAScheduler, TrialScheduler
    from ray.tune.search.optuna import OptunaSearch

    drawn: dict[str, Any] = {}

    def space(trial: Any) -> None:
        drawn["settings"] = propose(trial._suggest, tree)

    # A seed of 0 counts as none.
    search = OptunaSearch(space=space, metric="score", mode="max", seed=seed + 1)
    scheduler = ASHAScheduler(
        time_attr="rung", metric="score", mode="max", grace_period=1, reduction_factor=3, max_t=100
    )
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
