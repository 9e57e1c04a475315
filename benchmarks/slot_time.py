"""What became of the time of a search's slots."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Work:
    """A trial that trained to its end.

    Attributes:
        began: when its first step began, in seconds since the epoch.
        ended: when its last rung was reported.
        busy: seconds of training steps and evaluation in between.
    """

    began: float
    ended: float
    busy: float

    @classmethod
    def of(cls, rungs: Sequence[tuple[float, float]]) -> Work:
        """From the time of each rung and the seconds of training and evaluation until then."""
        (first, before), (last, busy) = rungs[0], rungs[-1]
        return cls(first - before, last, busy)


def gaps(trials: Sequence[Work], slots: int) -> list[float]:
    """Seconds between two trials of a slot, each trial in the slot that was free for longest."""
    free: list[float] = []
    found = []
    for trial in sorted(trials, key=lambda trial: trial.began):
        if len(free) == slots:
            found.append(trial.began - heapq.heappop(free))
        heapq.heappush(free, trial.ended)
    return found


def utilisation(trials: Sequence[Work], slots: int) -> float:
    """Part of the slots' time that went into training steps and evaluation.

    From the first step to the moment at which the first slot finds nothing more to do; of trials
    that end later the part until then counts.
    """
    began = min(trial.began for trial in trials)
    ended = sorted(trial.ended for trial in trials)[-slots]
    busy = 0.0
    for trial in trials:
        inside = max(0.0, min(trial.ended, ended) - trial.began)
        busy += trial.busy * inside / (trial.ended - trial.began)
    return busy / (slots * (ended - began))
