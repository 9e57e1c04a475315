"""How much of one front another front dominates."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def dominated(values: ArrayLike, by: ArrayLike) -> NDArray[np.bool_]:
    """Which points at least one of some other points dominates.

    A point dominates another when it is no worse in every column and better in one: the mean of
    the result is the coverage C(by, values) of Zitzler and Thiele (1999), equal points left out.

    Args:
        values: shape ``(points, objectives)``, minimised.
        by: shape ``(others, objectives)``, minimised.

    Returns:
        Shape ``(points,)``.

    Raises:
        ValueError: the objectives are not equally many, or a value is NaN.
    """
    points, others = (np.asarray(given, dtype=np.float64) for given in (values, by))
    if not len(points) or not len(others):
        return np.zeros(len(points), dtype=np.bool_)
    if points.ndim != 2 or others.ndim != 2 or points.shape[1] != others.shape[1]:
        raise ValueError(
            f"points must have shape (points, objectives), got {points.shape} and {others.shape}"
        )
    if np.isnan(points).any() or np.isnan(others).any():
        raise ValueError("a point that holds NaN cannot be compared")
    no_worse = np.ones((len(others), len(points)), dtype=np.bool_)
    better = np.zeros_like(no_worse)
    for column, other in zip(points.T, others.T, strict=True):
        no_worse &= other[:, None] <= column[None, :]
        better |= other[:, None] < column[None, :]
    return np.asarray((no_worse & better).any(axis=0))
