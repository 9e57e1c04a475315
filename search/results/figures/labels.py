"""Where the name of a marked point goes so that it covers no other point and no other name."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

Point = tuple[float, float]
Box = tuple[float, float, float, float]

_LETTER, _LINE, _MARKER = 7.0, 18.0, 9.0
_DISTANCES = (26.0, 44.0, 66.0, 92.0)
_DIRECTIONS = 12


def placed(
    points: Sequence[Point],
    names: Sequence[str],
    others: Sequence[Point],
    line: Sequence[Point],
    size: Point,
) -> list[Point]:
    """The offset of each name's middle from its point, in pixels, x to the right and y down.

    Names are placed in turn: each takes, of the places around its point, the one that covers
    least, and of those the nearest.

    Args:
        points: what is named, in pixels from the top left of the plot.
        names: one for each point.
        others: points that should stay visible, in the same pixels.
        line: corners of a line that goes across and down only and should stay visible too.
        size: width and height of the plot in pixels.
    """
    taken = [_around(point, _MARKER, _MARKER) for point in (*points, *others)]
    taken += [_hull(*ends) for ends in itertools.pairwise(line)]
    offsets = []
    for point, name in zip(points, names, strict=True):
        half = (len(name) * _LETTER / 2, _LINE / 2)
        candidates = [
            (math.cos(angle) * (distance + half[0] * abs(math.cos(angle))),
             math.sin(angle) * distance)
            for distance in _DISTANCES
            for angle in (2 * math.pi * turn / _DIRECTIONS for turn in range(_DIRECTIONS))
        ]  # fmt: skip
        boxes = [_around((point[0] + x, point[1] + y), *half) for x, y in candidates]
        costs = [_outside(box, size) + sum(_overlap(box, other) for other in taken)
                 for box in boxes]  # fmt: skip
        best = min(range(len(boxes)), key=costs.__getitem__)
        taken.append(boxes[best])
        offsets.append(candidates[best])
    return offsets


def _around(middle: Point, half_width: float, half_height: float) -> Box:
    x, y = middle
    return x - half_width, y - half_height, x + half_width, y + half_height


def _hull(a: Point, b: Point) -> Box:
    return min(a[0], b[0]) - 1, min(a[1], b[1]) - 1, max(a[0], b[0]) + 1, max(a[1], b[1]) + 1


def _overlap(a: Box, b: Box) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return width * height if width > 0 and height > 0 else 0.0


def _outside(box: Box, size: Point) -> float:
    beyond = max(0.0, -box[0]) + max(0.0, box[2] - size[0])
    return _LINE * beyond + 100.0 * (max(0.0, -box[1]) + max(0.0, box[3] - size[1]))
