"""Points of a plane that do not dominate one another, taken in one by one."""

from __future__ import annotations

import math
from bisect import bisect_right


class Staircase:
    """The front of the points so far, both coordinates minimised, and the area it dominates.

    Taking in ``n`` points costs O(n log n) comparisons.

    Args:
        bound: the area ends there; every point is smaller in both coordinates.
    """

    def __init__(self, bound: tuple[float, float]) -> None:
        # x grows and y falls; the two ends are no points.
        self._x = [-math.inf, bound[0]]
        self._y = [bound[1], -math.inf]
        self.area = 0.0

    def covers(self, x: float, y: float) -> bool:
        """Whether a point is dominated by one of the front, or equal to one."""
        return self._y[bisect_right(self._x, x) - 1] <= y

    def add(self, x: float, y: float) -> None:
        """Take in a point that is not covered; those that it dominates leave."""
        left = bisect_right(self._x, x)
        if self._x[left - 1] == x:
            left -= 1
        at, level, right = x, self._y[left - 1], left
        while self._y[right] >= y:
            self.area += (self._x[right] - at) * (level - y)
            at, level = self._x[right], self._y[right]
            right += 1
        self.area += (self._x[right] - at) * (level - y)
        self._x[left:right] = [x]
        self._y[left:right] = [y]
