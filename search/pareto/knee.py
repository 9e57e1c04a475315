"""The member of a front that gives up least of everything."""

from __future__ import annotations

import math
from collections.abc import Sequence

from search.record import TrialRecord
from search.spec.objectives import OBJECTIVES


def knee(members: Sequence[TrialRecord], objectives: Sequence[str]) -> TrialRecord | None:
    """The member that lies nearest the ideal point, which has the best of every objective.

    Distances are Euclidean after each objective was scaled to [0, 1] over the front, counts and
    costs by their logarithms: with ``u_k`` the k-th objective to be minimised,

        argmin_m  Σ_k ((u_k(m) - min u_k) / (max u_k - min u_k))²

    Of two alike the one that comes first. An objective in which all are alike does not count.

    Returns:
        None where there are fewer than three members: of two neither lies between.
    """
    if len(members) < 3:
        return None
    columns = []
    for name in objectives:
        values = [OBJECTIVES[name].minimised((trial.values or {})[name]) for trial in members]
        low, spread = min(values), max(values) - min(values)
        columns.append([(value - low) / spread if spread > 0 else 0.0 for value in values])
    distances = [math.hypot(*point) for point in zip(*columns, strict=True)]
    return members[distances.index(min(distances))]
