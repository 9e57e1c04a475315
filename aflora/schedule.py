"""How large a part of the projection matrices should be frozen at a step."""

from __future__ import annotations

import math
from dataclasses import dataclass

from aflora.config import Epochs, Fraction, FreezeConfig


@dataclass(frozen=True)
class Schedule:
    r"""The fraction of projection matrices that is frozen, as a function of the step.

    .. math:: r(t) = 1 - (1 - m)^3 \quad\text{with}\quad m = \frac{t - t_i}{T - t_i - t_f}

    between ``start_step`` (t_i) and ``end_step`` (T - t_f), 0 before and 1 from there on
    (arXiv 2403.13269, eq. 5). With ``exponent_of`` "frozen" it is m^e instead, which starts slowly
    where the other starts fast. Steps are optimizer steps, counted from 0.

    Attributes:
        total_steps: T.
        start_step: t_i, in steps.
        end_step: T - t_f, in steps.
        exponent: e, 3 in the paper.
        exponent_of: the fraction that is a power: ``remaining`` (the paper) or ``frozen``.
    """

    total_steps: int
    start_step: int
    end_step: int
    exponent: float = 3.0
    exponent_of: Fraction = "remaining"

    def __post_init__(self) -> None:
        if self.total_steps < 1:
            raise ValueError(f"total_steps must be at least 1, got {self.total_steps}")
        if not 0 <= self.start_step < self.end_step <= self.total_steps:
            raise ValueError(
                f"0 <= start_step < end_step <= total_steps must hold, got {self.start_step}, "
                f"{self.end_step} and {self.total_steps}"
            )

    @classmethod
    def of(
        cls, config: FreezeConfig, total_steps: int, steps_per_epoch: float | None = None
    ) -> Schedule:
        """The schedule of a config, start and end at the nearest step.

        Args:
            config: start, end, interval and exponent.
            total_steps: T, optimizer steps of the whole training.
            steps_per_epoch: optimizer steps of an epoch; needed where the config counts in epochs.

        Raises:
            ValueError: start or end lies past the training or they are out of order, interval or
                window is longer than the schedule, or an epoch's steps are not given but needed.
        """
        if not isinstance(total_steps, int) or total_steps < 1:
            raise ValueError(
                f"total_steps must be a whole number of at least 1, got {total_steps!r}"
            )
        start = _step("start", config.start, total_steps, steps_per_epoch)
        end = _step("end", config.end, total_steps, steps_per_epoch)
        if start >= end:
            raise ValueError(
                f"freeze.start ({config.start}, step {start}) must come before freeze.end "
                f"({config.end}, step {end})"
            )
        if config.interval > end - start:
            raise ValueError(
                f"freeze.interval is {config.interval} steps, longer than the schedule: it has "
                f"{end - start}, from step {start} (freeze.start) to {end} (freeze.end) of "
                f"{total_steps}"
            )
        if config.window_steps > end:
            raise ValueError(
                f"freeze.window is {config.window_steps} steps, but everything is frozen from step "
                f"{end} on (freeze.end): no window would ever be over, and every score would be 0"
            )
        return cls(total_steps, start, end, config.exponent, config.exponent_of)

    def remaining_fraction(self, step: int) -> float:
        """1 - r(t): the part that still trains, from 1 down to 0."""
        if step >= self.end_step:
            return 0.0
        progress = max(0, step - self.start_step) / (self.end_step - self.start_step)
        if self.exponent_of == "frozen":
            return float(1.0 - progress**self.exponent)
        return float((1.0 - progress) ** self.exponent)

    def frozen_fraction(self, step: int) -> float:
        """r(t): the part that is frozen, from 0 up to 1."""
        return 1.0 - self.remaining_fraction(step)


def _step(name: str, place: float | Epochs, total_steps: int, steps_per_epoch: float | None) -> int:
    if not isinstance(place, Epochs):
        return math.floor(place * total_steps + 0.5)
    if steps_per_epoch is None:
        raise ValueError(
            f"freeze.{name} is {place}, but the number of steps in an epoch is not known: give "
            "steps_per_epoch"
        )
    step = math.floor(place.epochs * steps_per_epoch + 0.5)
    if step > total_steps:
        raise ValueError(
            f"freeze.{name} is {place}, step {step}, but the training has {total_steps} steps"
        )
    return step
