"""Which measures the axes and the colour of the front's figure stand for, and where trials lie."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from search.record import StudyRecord
from search.results.figures.style import log_axis, log_floor, padded
from search.results.measured import final, projected
from search.results.places import places_of


@dataclass(frozen=True)
class Plane:
    """Score over one cost, with another cost as the colour.

    Attributes:
        x: measure on the horizontal axis, logarithmic; None: the trial's number, linear.
        x_title: what the horizontal axis counts.
        colour: measure the colour stands for; None when nothing is left to show.
        places: trial number → where it is drawn, in the axes' own units. Zero, which a
            logarithmic axis lacks, is drawn at its left end.
        costs: trial number → log10 of the colour's measure; only where it is known.
        x_axis: plotly's settings of the horizontal axis.
        y_range: least and greatest score drawn.
    """

    x: str | None
    x_title: str
    colour: str | None
    places: dict[int, tuple[float, float]]
    costs: dict[int, float]
    x_axis: dict[str, Any]
    y_range: list[float]

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
    """The plane of a study, with the measures of :func:`search.results.places.places_of`.

    None when no complete or pruned trial has both a score and the horizontal measure.
    """
    found = places_of(study)
    if found is None:
        return None
    x, colour = found.x, found.other
    xs, ys = [place[0] for place in found.at.values()], [place[1] for place in found.at.values()]
    left = log_floor(xs) if x else min(xs)
    return Plane(
        x=x,
        x_title=found.x_title,
        colour=colour,
        places={number: (max(across, left), score) for number, (across, score) in found.at.items()},
        costs={
            trial.number: math.log10(cost)
            for trial in study.in_state("complete", "pruned")
            if final(trial, "score") is not None
            and colour
            and (cost := projected(trial, colour)) is not None
            and cost > 0
        },
        x_axis=log_axis(x, xs) if x else {"range": padded(xs)},
        y_range=padded(ys, 0.08),
    )
