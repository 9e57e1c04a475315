"""How large a part of the projection matrices should be frozen at a step."""

from __future__ import annotations

import math
from dataclasses import dataclass

from aflora.config import FreezeConfig


@dataclass(frozen=True)
class Schedule:
    r"""The fraction of projection matrices that is frozen, as a function of the step.

    .. math:: r(t) = 1 - (1 - \frac{t - t_i}{T - t_i - t_f})^3

    between ``start_step`` (t_i) and ``end_step`` (T - t_f), 0 before and 1 from there on
    (arXiv 2403.13269, eq. 5). Steps are optimizer steps, counted from 0.

    Attributes:
        total_steps: T.
        start_step: t_i, in steps.
        end_step: T - t_f, in steps.
        exponent: 3 in the paper.
    """

    total_steps: int
    start_step: int
    end_step: int
    exponent: float = 3.0

    def __post_init__(self) -> None:
        if self.total_steps < 1:
            raise ValueError(f"total_steps must be at least 1, got {self.total_steps}")
        if not 0 <= self.start_step <= self.end_step <= self.total_steps:
            raise ValueError(
                f"0 <= start_step <= end_step <= total_steps must hold, got {self.start_step}, "
                f"{self.end_step} and {self.total_steps}"
            )

    @classmethod
    def of(cls, config: FreezeConfig, total_steps: int) -> Schedule:
        """The schedule of a config over ``total_steps`` optimizer steps, to the nearest step."""
        return cls(
            total_steps,
            math.floor(config.start * total_steps + 0.5),
            math.floor(config.end * total_steps + 0.5),
            config.exponent,
        )

    def remaining_fraction(self, step: int) -> float:
        """1 - r(t): the part that still trains, from 1 down to 0."""
        if step >= self.end_step:
            return 0.0
        if step <= self.start_step:
            return 1.0
        progress = (step - self.start_step) / (self.end_step - self.start_step)
        return float((1.0 - progress) ** self.exponent)

    def frozen_fraction(self, step: int) -> float:
        """r(t): the part that is frozen, from 0 up to 1."""
        return 1.0 - self.remaining_fraction(step)
