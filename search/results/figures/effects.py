"""What each setting of AFLoRA does to score and parameters, with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from search.results.figures.hover import escaped
from search.results.figures.style import BLUE, GREY, log_ticks, new_figure, padded
from search.results.lessons import Lessons
from search.results.noise import Interval
from search.results.units import ratio

_ROW, _FRAME = 27, 110
# Where the two halves end and begin, in parts of the width.
_LEFT, _RIGHT = 0.58, 0.66


def effects_figure(lessons: Lessons, metric: str) -> go.Figure:
    """Differences in score on the left and factors on the parameters on the right, a row each.

    What is larger than noise is filled and coloured, the rest hollow and grey.

    Args:
        lessons: with at least one effect.
        metric: what the score is called.
    """
    rows = [escaped(effect.label) for effect in lessons.effects]
    named = [escaped(effect.subject) for effect in lessons.effects]
    scores = [effect.score for effect in lessons.effects]
    counted = [
        (row, name, effect.parameters)
        for row, name, effect in zip(rows, named, lessons.effects, strict=True)
        if effect.parameters is not None
    ]
    figure = new_figure(_FRAME + _ROW * len(rows))
    _add(figure, "x", 0.0, [
        _Point(row, one, f"{name}<br>{escaped(metric)} {one.mean:+.4f} "
                         f"({one.low:+.4f} … {one.high:+.4f})")
        for row, name, one in zip(rows, named, scores, strict=True)
    ])  # fmt: skip
    ends = [end for one in scores for end in (one.low, one.high)]
    figure.update_layout(
        xaxis={"title": {"text": f"difference in {escaped(metric)}"},
               "range": padded([*ends, 0.0]), "domain": [0.0, _LEFT if counted else 1.0]},
        yaxis={"type": "category", "categoryorder": "array", "categoryarray": rows,
               "autorange": "reversed", "showgrid": False, "ticks": "", "showline": False},
        showlegend=False,
    )  # fmt: skip
    if counted:
        _add(figure, "x2", 1.0, [
            _Point(row, one, f"{name}<br>{ratio(one.mean)} the trainable parameters "
                             f"({ratio(one.low)} … {ratio(one.high)})")
            for row, name, one in counted
        ])  # fmt: skip
        factors = [1.0, *(end for *_, one in counted for end in (one.low, one.high))]
        places, _ = log_ticks("factor", factors, 5)
        figure.update_layout(
            xaxis2={"title": {"text": "times the trainable parameters"}, "type": "log",
                    "range": padded([math.log10(factor) for factor in factors]),
                    "tickvals": places, "ticktext": [f"{place:g}×" for place in places],
                    "domain": [_RIGHT, 1.0], "anchor": "y"},
        )  # fmt: skip
    return figure


class _Point(NamedTuple):
    row: str
    interval: Interval
    text: str


def _add(figure: go.Figure, axis: str, none: float, points: Sequence[_Point]) -> None:
    """Points with their intervals on one of the two halves, and a line at no effect."""
    for larger in (False, True):
        own = [p for p in points if larger != (p.interval.low <= none <= p.interval.high)]
        if not own:
            continue
        colour = BLUE if larger else GREY
        figure.add_scatter(
            x=[point.interval.mean for point in own],
            y=[point.row for point in own],
            xaxis=axis,
            error_x={
                "type": "data",
                "array": [p.interval.high - p.interval.mean for p in own],
                "arrayminus": [p.interval.mean - p.interval.low for p in own],
                "color": colour,
                "thickness": 1.5,
                "width": 4,
            },
            mode="markers",
            marker={
                "size": 9,
                "color": colour,
                "symbol": "circle" if larger else "circle-open",
                "line": {"width": 1.5},
            },
            hovertext=[point.text for point in own],
            hoverinfo="text",
        )
    figure.add_shape(
        type="line", xref=axis, yref="paper", x0=none, x1=none, y0=0, y1=1, layer="below",
        line={"color": GREY, "width": 1, "dash": "dot"},
    )  # fmt: skip
