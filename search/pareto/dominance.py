"""Dominance, non-dominated sorting and crowding distance.

Every function takes an array of shape ``(points, objectives)`` in which smaller is better in
every column; who maximises flips the sign before calling.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from search.pareto.staircase import Staircase


def _points(values: ArrayLike) -> NDArray[np.float64]:
    points = np.asarray(values, dtype=np.float64)
    if points.ndim != 2:
        raise ValueError(f"points must have shape (points, objectives), got {points.shape}")
    if np.isnan(points).any():
        row = int(np.argwhere(np.isnan(points))[0][0])
        raise ValueError(f"point {row} holds NaN: {points[row].tolist()}")
    return points


def non_domination_rank(values: ArrayLike) -> NDArray[np.int64]:
    """Rank of every point: 0 on the front, 1 on the front once rank 0 is taken away, and so on.

    A point dominates another when it is no worse in every column and better in one, so equal
    points share a rank.

    Args:
        values: shape ``(points, objectives)``, minimised.

    Raises:
        ValueError: the array is not two-dimensional or holds NaN.
    """
    points = _points(values)
    dominates = _dominance(points)
    dominators = dominates.sum(axis=0)
    ranks = np.full(len(points), -1, dtype=np.int64)
    rank = 0
    while (front := np.flatnonzero((dominators == 0) & (ranks < 0))).size:
        ranks[front] = rank
        dominators = dominators - dominates[front].sum(axis=0)
        rank += 1
    return ranks


def _dominance(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which point (row) dominates which (column)."""
    no_worse = np.ones((len(points), len(points)), dtype=np.bool_)
    better = np.zeros_like(no_worse)
    for column in points.T:
        # A column at a time: an array of all three would take the memory of a thousand trials.
        no_worse &= column[:, None] <= column[None, :]
        better |= column[:, None] < column[None, :]
    return no_worse & better


def non_dominated(values: ArrayLike) -> NDArray[np.bool_]:
    """Which points no other point dominates; shape ``(points,)``.

    With up to three columns ``n`` points cost O(n log n): whoever dominates a point comes before it
    in lexicographic order, and of those only the front in the other two columns matters.

    Args:
        values: shape ``(points, objectives)``, minimised.

    Raises:
        ValueError: the array is not two-dimensional or holds NaN.
    """
    points = _points(values)
    if points.shape[1] > 3 or not points.size:
        return np.equal(non_domination_rank(points), 0)
    # Order is all that counts, and ranks are finite where values need not be. Equal points share
    # their fate; columns that are not there do not distinguish.
    ranks = np.stack([np.unique(column, return_inverse=True)[1] for column in points.T], axis=1)
    distinct, which = np.unique(ranks, axis=0, return_inverse=True)
    padded = np.pad(distinct, ((0, 0), (0, 3 - points.shape[1])))
    front = Staircase((len(points), len(points)))
    kept = np.zeros(len(distinct), dtype=np.bool_)
    for row, (_, y, z) in enumerate(padded.tolist()):
        if not front.covers(y, z):
            front.add(y, z)
            kept[row] = True
    return kept[which.reshape(-1)]


def crowding_distance(values: ArrayLike) -> NDArray[np.float64]:
    """Crowding distance of NSGA-II (Deb et al. 2002): how far a point's neighbours lie apart.

    The two extreme points of every objective are infinitely far; objectives in which all points
    agree do not count. Equal points count as one and share its distance, so that it does not hang
    on the order of the rows.

    Args:
        values: shape ``(points, objectives)``.
    """
    points, which = np.unique(_points(values), axis=0, return_inverse=True)
    distance = np.zeros(len(points))
    for column in points.T:
        spread = column.max(initial=-np.inf) - column.min(initial=np.inf)
        if not spread > 0 or not np.isfinite(spread):
            continue
        order = np.argsort(column, kind="stable")
        ordered = column[order]
        distance[order[[0, -1]]] = np.inf
        distance[order[1:-1]] += (ordered[2:] - ordered[:-2]) / spread
    return distance[which.reshape(-1)]
