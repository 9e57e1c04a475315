"""Non-domination ranks of points that come one after the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from search.pareto.dominance import crowding_distance, non_domination_rank


class Ranking:
    """Points that are all minimised, with their non-domination ranks.

    Sorting n points anew for every one that comes costs O(n²) each time; here one more costs O(n).
    A point's rank is the length of the longest chain of points that dominate one another above it,
    so that one more point raises a rank by at most 1, and only those it dominates: of these first
    the ones that have its own rank, then whom they push down, rank after rank.

    Args:
        points: to begin with, shape (points, objectives).

    Raises:
        ValueError: the array is not two-dimensional or holds NaN.
    """

    def __init__(self, points: ArrayLike) -> None:
        self._ranks = non_domination_rank(points)
        self._points: NDArray[np.float64] = np.array(points, dtype=np.float64)
        self._count = len(self._ranks)

    def __len__(self) -> int:
        return self._count

    @property
    def ranks(self) -> NDArray[np.int64]:
        """Rank of each point in the order in which they came; 0: nothing dominates it."""
        return self._ranks[: self._count]

    def add(self, point: Sequence[float]) -> None:
        """One more point.

        Raises:
            ValueError: it holds NaN, or has another number of objectives.
        """
        new = np.array(point, dtype=np.float64)
        if new.shape != self._points.shape[1:] or np.isnan(new).any():
            raise ValueError(f"{list(point)} is no point of {self._points.shape[1]} objectives")
        there, ranks = self._points[: self._count], self.ranks
        no_worse, no_better = (there <= new).all(axis=1), (there >= new).all(axis=1)
        above, below = no_worse & ~no_better, no_better & ~no_worse
        rank = int(ranks[above].max()) + 1 if above.any() else 0
        moved, level = np.flatnonzero(below & (ranks == rank)), rank
        while moved.size:
            next_ones = np.flatnonzero(below & (ranks == level + 1))
            ranks[moved] = level + 1
            moved, level = next_ones[_dominated(there[next_ones], there[moved])], level + 1
        self._append(new, rank)

    def _append(self, point: NDArray[np.float64], rank: int) -> None:
        if self._count == len(self._ranks):
            room = max(16, self._count)
            self._points = np.vstack([self._points, np.empty((room, len(point)))])
            self._ranks = np.concatenate([self._ranks, np.empty(room, dtype=np.int64)])
        self._points[self._count] = point
        self._ranks[self._count] = rank
        self._count += 1

    def before(self, index: int) -> int:
        """How many come before a point: by rank, and within its rank by crowding distance.

        Of equal crowding none comes before the other.
        """
        ranks = self.ranks
        peers = np.flatnonzero(ranks == ranks[index])
        crowding = crowding_distance(self._points[peers])
        mine = crowding[np.searchsorted(peers, index)]
        return int((ranks < ranks[index]).sum()) + int((crowding > mine).sum())


def _dominated(points: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of the points any of the others dominates, shape (points,)."""
    no_worse = (others[:, None] <= points[None]).all(axis=2)
    better = (others[:, None] < points[None]).any(axis=2)
    return np.asarray((no_worse & better).any(axis=0))
