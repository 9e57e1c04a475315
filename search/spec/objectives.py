"""What a search can optimise, and how values of it are compared and measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

Direction = Literal["max", "min"]

# Seconds differ from run to run by a few per cent; within one such step they count as equal.
SECONDS_STEP = 1.05


@dataclass(frozen=True)
class Objective:
    """One measure that can be optimised.

    Attributes:
        name: key of the measure in a trial's final measures.
        direction: ``max`` when larger is better.
        title: how people call it.
        axis: maps a value to the scale on which hypervolume is measured.
        inverse: maps it back.
        step: dominance compares values in logarithmic steps of this ratio; None compares exactly.
    """

    name: str
    direction: Direction
    title: str
    axis: Callable[[float], float]
    inverse: Callable[[float], float]
    step: float | None = None

    def minimised(self, value: float) -> float:
        """The value on the hypervolume's scale with its sign such that smaller is better."""
        scaled = float(self.axis(value))
        return -scaled if self.direction == "max" else scaled

    def from_minimised(self, value: float) -> float:
        """The inverse of :meth:`minimised`."""
        return float(self.inverse(-value if self.direction == "max" else value))

    def comparable(self, value: float) -> float:
        """The value as dominance sees it: smaller is better, noise rounded away."""
        if self.step is not None:
            value = float(round(math.log(value) / math.log(self.step))) if value > 0 else -math.inf
        return -value if self.direction == "max" else value


def _log_count(value: float) -> float:
    return math.log10(1.0 + value)


def _count(logarithm: float) -> float:
    return math.pow(10.0, logarithm) - 1.0


def _power(logarithm: float) -> float:
    return math.pow(10.0, logarithm)


OBJECTIVES: Mapping[str, Objective] = {
    objective.name: objective
    for objective in (
        Objective("score", "max", "score", float, float),
        Objective(
            "trainable_params",
            "min",
            "trainable parameters",
            _log_count,
            _count,
        ),
        Objective(
            "trainable_params_start",
            "min",
            "trainable parameters at the start",
            _log_count,
            _count,
        ),
        Objective(
            "trainable_params_end",
            "min",
            "trainable parameters at the end",
            _log_count,
            _count,
        ),
        Objective("train_seconds", "min", "training time", math.log10, _power, SECONDS_STEP),
        Objective("total_seconds", "min", "total time", math.log10, _power, SECONDS_STEP),
        Objective("train_flops", "min", "training FLOPs", math.log10, _power),
    )
}
