"""Fewer points where a plot would draw thousands on top of one another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from search.record import TrialRecord

#: Beyond this a browser takes seconds to draw a plot.
MOST = 1_000
_FINEST = 400


def thinned(
    trials: Sequence[TrialRecord],
    places: Mapping[int, tuple[float, float]],
    most: int = MOST,
) -> list[TrialRecord]:
    """At most so many trials that lie where all of them do.

    The plot is divided into a grid, the finest that is needed, and of the trials that lie in one
    of its cells the last is kept.

    Args:
        trials: in the order of their numbers.
        places: trial number → where it lies, as drawn: logarithms on a logarithmic axis.
        most: trials that are kept.

    Returns:
        The trials in their order; all of them where there are no more than ``most``.
    """
    if len(trials) <= most:
        return list(trials)
    grid, least = _FINEST, math.isqrt(most)
    while True:
        kept = _one_a_cell(trials, places, grid)
        if len(kept) <= most:
            return kept
        grid = max(least, grid // 2)


def every(trials: Sequence[TrialRecord], most: int) -> list[TrialRecord]:
    """At most so many trials, evenly spaced in their order."""
    return [trials[i] for i in range(0, len(trials), max(1, math.ceil(len(trials) / most)))]


def _one_a_cell(
    trials: Sequence[TrialRecord], places: Mapping[int, tuple[float, float]], grid: int
) -> list[TrialRecord]:
    spans = []
    for axis in (0, 1):
        values = [places[trial.number][axis] for trial in trials]
        spans.append((min(values), max(values) - min(values) or 1.0))
    last: dict[tuple[int, ...], TrialRecord] = {}
    for trial in trials:
        cell = tuple(
            min(grid - 1, int((places[trial.number][axis] - low) / spread * grid))
            for axis, (low, spread) in enumerate(spans)
        )
        last[cell] = trial
    return sorted(last.values(), key=lambda trial: trial.number)
