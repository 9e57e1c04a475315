"""How many parameters train: at the start, now, in the end, and on average over steps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from aflora.adapter import adapted_layers, adapter_parameters, head_parameters, projections
from aflora.schedule import Schedule
from aflora.wrappers import unwrapped

if TYPE_CHECKING:
    from aflora.freezer import TimelineEntry


@dataclass(frozen=True)
class ParameterCounts:
    """Numbers of parameters of an adapted model.

    Attributes:
        start: trainable in the adapter before anything froze.
        now: trainable in the adapter at present.
        floor: trainable in the adapter once every projection matrix is frozen (d and b).
        head: in the head, which trains throughout and counts towards none of the above.
        total: in the whole model.
    """

    start: int
    now: int
    floor: int
    head: int
    total: int


def count_parameters(model: nn.Module) -> ParameterCounts:
    """Count an adapted model.

    Raises:
        ValueError: the model is not adapted.
    """
    matrices = sum(projection.parameter.numel() for projection in projections(model))
    floor = sum(layer.d.numel() + layer.b.numel() for _, layer in adapted_layers(model))
    return ParameterCounts(
        start=floor + matrices,
        now=sum(p.numel() for p in adapter_parameters(model).values() if p.requires_grad),
        floor=floor,
        head=sum(p.numel() for p in head_parameters(model).values()),
        total=sum(p.numel() for p in unwrapped(model).parameters()),
    )


def average_parameters(model: nn.Module, timeline: Iterable[TimelineEntry], steps: int) -> float:
    """Trainable adapter parameters averaged over the first ``steps`` optimizer steps.

    The count that the paper reports, head excluded. A matrix chosen at step t counts as frozen
    from t + 1 on.

    Args:
        model: adapted, frozen to any degree.
        timeline: of its freezer.
        steps: optimizer steps done, at least 1.

    Raises:
        ValueError: the model is not adapted, the timeline is not its own, or ``steps`` is smaller
            than 1.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps!r}")
    sizes = {matrix.name: matrix.parameter.numel() for matrix in projections(model)}
    timeline = list(timeline)
    if wrong := {entry.name for entry in timeline} ^ sizes.keys():
        raise ValueError(f"the timeline is not one of this model: {min(wrong)!r}")
    matrix_steps = sum(
        sizes[entry.name] * (steps if entry.step is None else min(entry.step + 1, steps))
        for entry in timeline
    )
    return count_parameters(model).floor + matrix_steps / steps


def expected_parameters(model: nn.Module, schedule: Schedule, step: int = 0) -> float:
    """Trainable adapter parameters expected on average over the steps from ``step`` to the end.

    The matrices that train now shrink as the schedule's remaining fraction does:
    floor + live · mean of (1 - r(t)) / (1 - r(step)).

    Args:
        model: adapted, as it is at ``step``.
        schedule: what it freezes by.
        step: optimizer steps done so far.

    Raises:
        ValueError: the model is not adapted.
    """
    if not isinstance(schedule, Schedule):
        raise TypeError(f"schedule must be a Schedule, as freezer.schedule is, got {schedule!r}")
    counts = count_parameters(model)
    now = schedule.remaining_fraction(step)
    if step >= schedule.total_steps or now == 0.0:
        return float(counts.floor)
    left = [schedule.remaining_fraction(t) for t in range(step, schedule.total_steps)]
    return counts.floor + (counts.now - counts.floor) * sum(left) / len(left) / now
