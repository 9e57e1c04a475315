"""The exact hypervolume of one, two or three minimised objectives, and of more by slicing."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from search.pareto.dominance import non_dominated
from search.pareto.staircase import Staircase


def hypervolume(values: ArrayLike, reference: ArrayLike) -> float:
    """Volume that the points dominate, bounded by the reference point.

    Points that are not better than the reference in every column add nothing. The volume is cut
    into slabs along the last objective; with ``n`` points and three objectives each slab is the
    one before and what its point adds to the area (Fonseca et al. 2006), O(n log n). With more,
    a slab is the same problem with one objective less (HSO, While et al. 2006).

    Args:
        values: shape ``(points, objectives)``, minimised.
        reference: shape ``(objectives,)``.

    Raises:
        ValueError: shapes do not fit, or a value is NaN.
    """
    bound = np.asarray(reference, dtype=np.float64)
    points = np.asarray(values, dtype=np.float64).reshape(-1, len(bound))
    if np.isnan(points).any() or not np.isfinite(bound).all():
        raise ValueError("hypervolume needs points without NaN and a finite reference point")
    points = points[(points < bound).all(axis=1)]
    if np.isneginf(points).any():
        return math.inf
    return _volume(points, bound)


def _volume(points: NDArray[np.float64], bound: NDArray[np.float64]) -> float:
    if not len(points):
        return 0.0
    if len(bound) == 1:
        return float(bound[0] - points.min())
    if len(bound) == 2:
        return _swept(np.pad(points, ((0, 0), (0, 1))), np.append(bound, 1.0))
    if len(bound) == 3:
        return _swept(points, bound)
    points = points[non_dominated(points)]
    points = points[np.argsort(points[:, -1], kind="stable")]
    ends = np.append(points[1:, -1], bound[-1])
    volume = 0.0
    for index, end in enumerate(ends):
        depth = end - points[index, -1]
        if depth > 0:
            volume += float(depth) * _volume(points[: index + 1, :-1], bound[:-1])
    return volume


def _swept(points: NDArray[np.float64], bound: NDArray[np.float64]) -> float:
    """Volume under points of three objectives, from the best in the third to the bound."""
    x_bound, y_bound, z_bound = bound.tolist()
    front = Staircase((x_bound, y_bound))
    volume, below = 0.0, z_bound
    for x, y, z in points[np.argsort(points[:, 2], kind="stable")].tolist():
        volume += front.area * (z - below)
        below = z
        if not front.covers(x, y):
            front.add(x, y)
    return float(volume + front.area * (z_bound - below))
