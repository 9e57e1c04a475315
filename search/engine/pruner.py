"""Pareto pruning: a trial stops at a rung where others that cost less already score more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from search.pareto import crowding_distance, non_domination_rank
from search.spec.objectives import OBJECTIVES


@dataclass(frozen=True)
class ParetoPruner:
    """Compares a trial with all that were measured at the same rung before.

    Compared are the objectives projected to the full length: score so far, parameters, seconds or
    FLOPs. Points are sorted by non-domination rank, within a rank by crowding distance. A trial
    stops when it is dominated and does not belong to the first ``keep`` of the points; nothing
    that no other trial dominates is ever stopped.

    Attributes:
        objectives: names, in the order of the space file.
        keep: fraction of the points at a rung that go on, in (0, 1].
        wait: points that a rung must hold, the trial itself included, before it is judged.
        start: fraction of the training before which nothing is judged.
    """

    objectives: Sequence[str]
    keep: float
    wait: int
    start: float

    def judge(
        self,
        fraction: float,
        projected: Mapping[str, float],
        others: Sequence[Mapping[str, float]],
    ) -> str | None:
        """Why the trial stops, or None where it goes on.

        Args:
            fraction: part of its training the trial has done.
            projected: of the trial at this rung, by name.
            others: of every other trial that reached this rung, whatever became of it.
        """
        count = len(others) + 1
        if fraction < self.start or count < self.wait:
            return None
        points = np.array(
            [
                [OBJECTIVES[name].comparable(point[name]) for name in self.objectives]
                for point in (projected, *others)
            ]
        )
        ranks = non_domination_rank(points)
        rank = int(ranks[0])
        if rank == 0:
            return None
        crowding = crowding_distance(points[ranks == rank])
        before = int((ranks < rank).sum()) + int((crowding > crowding[0]).sum())
        kept = max(1, int(np.ceil(self.keep * count)))
        if before < kept:
            return None
        return (
            f"dominated: place {before + 1} of {count} at this rung (non-domination rank {rank}), "
            f"the best {kept} go on"
        )
