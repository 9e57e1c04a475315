"""The member of a front that gives up least of everything."""

from __future__ import annotations

import math
from collections.abc import Sequence

from search.record import TrialRecord
from search.spec.objectives import OBJECTIVES


def knee(members: Sequence[TrialRecord], objectives: Sequence[str]) -> TrialRecord | None:
    """The member with an adapter that lies nearest the ideal point, the best of every objective.

    Distances are Euclidean after each objective was scaled to [0, 1] over the members with an
    adapter, counts and costs by their logarithms: with ``u_k`` the k-th objective to be minimised,

        argmin_m  Σ_k ((u_k(m) - min u_k) / (max u_k - min u_k))²

    Of two alike the one that comes first. An objective in which all are alike does not count.

    Returns:
        None where fewer than three members have an adapter: of two neither lies between.
    """
    members = with_adapter(members)
    if len(members) < 3:
        return None
    columns = []
    for name in objectives:
        values = [OBJECTIVES[name].minimised((trial.values or {})[name]) for trial in members]
        low, spread = min(values), max(values) - min(values)
        columns.append([(value - low) / spread if spread > 0 else 0.0 for value in values])
    distances = [math.hypot(*point) for point in zip(*columns, strict=True)]
    return members[distances.index(min(distances))]


def with_adapter(members: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Those that train more than the head.

    The head alone has no parameters to count and is the fastest, so it lies at the end of every
    cost; next to it all others look alike, and it would be a knee from which there is nothing to
    take.
    """
    return [trial for trial in members if _trained(trial) != 0]


def _trained(trial: TrialRecord) -> float | None:
    """Adapter parameters trained, on average over steps; None where that was not counted."""
    for source in (trial.values or {}, trial.measures):
        if "trainable_params" in source:
            return source["trainable_params"]
    return None
