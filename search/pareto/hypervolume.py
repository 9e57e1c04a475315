"""The exact hypervolume of one, two or three minimised objectives, and of more by slicing."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from search.pareto.dominance import non_dominated


def hypervolume(values: ArrayLike, reference: ArrayLike) -> float:
    """Volume that the points dominate, bounded by the reference point.

    Points that are not better than the reference in every column add nothing. The volume is cut
    into slabs along the last objective, and each slab is the same problem with one objective
    less (HSO, While et al. 2006); with ``n`` points and three objectives that is O(n² log n).

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
    return _volume(points, bound)


def _volume(points: NDArray[np.float64], bound: NDArray[np.float64]) -> float:
    if not len(points):
        return 0.0
    if len(bound) == 1:
        return float(bound[0] - points.min())
    points = points[non_dominated(points)]
    points = points[np.argsort(points[:, -1], kind="stable")]
    ends = np.append(points[1:, -1], bound[-1])
    volume = 0.0
    for index, end in enumerate(ends):
        depth = end - points[index, -1]
        if depth > 0:
            volume += float(depth) * _volume(points[: index + 1, :-1], bound[:-1])
    return volume
