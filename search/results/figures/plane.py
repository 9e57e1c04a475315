"""Which measures the axes and the colour of the front's figure stand for, and where trials lie."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from search.record import StudyRecord
from search.results.figures.style import log_axis, log_floor, padded
from search.results.measured import final, projected
from search.results.units import title

_PARAMS = ("trainable_params", "trainable_params_start", "trainable_params_end")
_COSTS = ("train_seconds", "total_seconds", "train_flops")


@dataclass(frozen=True)
class Plane:
    """Score over one cost, with another cost as the colour.

    Attributes:
        x: measure on the horizontal axis, logarithmic; None: the trial's number, linear.
        colour: measure the colour stands for; None when nothing is left to show.
        places: trial number → where it is drawn, in the axes' own units. Zero, which a
            logarithmic axis lacks, is drawn at its left end.
        costs: trial number → log10 of the colour's measure; only where it is known.
        x_axis: plotly's settings of the horizontal axis.
        y_range: least and greatest score drawn.
    """

    x: str | None
    colour: str | None
    places: dict[int, tuple[float, float]]
    costs: dict[int, float]
    x_axis: dict[str, Any]
    y_range: list[float]

    @property
    def x_title(self) -> str:
        """What the horizontal axis counts."""
        if self.x is None:
            return "trial"
        return title(self.x) + (", averaged over steps" if self.x == "trainable_params" else "")

    def on_axes(self, place: tuple[float, float]) -> tuple[float, float]:
        """The place as ranges and annotations give it: logarithmic axes take logarithms."""
        x, y = place
        return (math.log10(x) if self.x else x), y

    def part(self, place: tuple[float, float]) -> tuple[float, float]:
        """Where a place lies from the left and from the top, each as a part of the plot."""
        x, y = self.on_axes(place)
        (left, right), (bottom, top) = self.x_axis["range"], self.y_range
        return (x - left) / (right - left), (top - y) / (top - bottom)


def plane_of(study: StudyRecord) -> Plane | None:
    """The plane of a study: objectives before what was only measured, parameters before costs.

    None when no complete or pruned trial has both a score and the horizontal measure.
    """
    scored = [
        trial
        for trial in study.in_state("complete", "pruned")
        if final(trial, "score") is not None
    ]  # fmt: skip
    measured = [
        name
        for name in (*_PARAMS, *_COSTS)
        if any(projected(trial, name) is not None for trial in scored)
    ]
    sought = [name for name in measured if name in study.objectives]
    x = next(iter(sought + measured), None)
    costs = [name for name in measured if name in _COSTS]
    colour = next((name for name in sought + costs + measured if name != x), None)
    raw: dict[int, tuple[float, float]] = {}
    for trial in scored:
        across = projected(trial, x) if x else float(trial.number)
        score = final(trial, "score")
        if across is not None and score is not None:
            raw[trial.number] = (across, score)
    if not raw:
        return None
    xs, ys = [place[0] for place in raw.values()], [place[1] for place in raw.values()]
    left = log_floor(xs) if x else min(xs)
    return Plane(
        x=x,
        colour=colour,
        places={number: (max(across, left), score) for number, (across, score) in raw.items()},
        costs={
            trial.number: math.log10(cost)
            for trial in scored
            if colour and (cost := projected(trial, colour)) is not None and cost > 0
        },
        x_axis=log_axis(x, xs) if x else {"range": padded(xs)},
        y_range=padded(ys, 0.08),
    )
