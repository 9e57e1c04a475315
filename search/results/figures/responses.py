"""How the score follows each numeric setting of AFLoRA, the others being held."""

from __future__ import annotations

import math
from typing import Any

import plotly.graph_objects as go

from search.flat import exact, legible
from search.results.figures.hover import escaped
from search.results.figures.style import BLUE, GREY, log_ticks, new_figure, padded
from search.results.figures.thinning import MOST
from search.results.lessons import Curve

HEIGHT = 300
_MOST_TICKS = 6
_BAND = "rgba(0,114,178,0.16)"


def response_figure(curve: Curve, metric: str) -> go.Figure:
    """The setting across, the score up: the model's curve with its 95 % band, and the trials.

    A trial stands where its score would be were its other settings at their averages.
    """
    figure = new_figure(HEIGHT)
    at = list(curve.at)
    figure.add_scatter(
        x=at + at[::-1],
        y=[*curve.high, *curve.low[::-1]],
        mode="lines",
        line={"width": 0},
        fill="toself",
        fillcolor=_BAND,
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=at, y=list(curve.middle), mode="lines", line={"color": BLUE, "width": 2}, hoverinfo="skip"
    )
    shown = range(0, len(curve.trials), math.ceil(len(curve.trials) / MOST))
    figure.add_scatter(
        x=[curve.trials[i][0] for i in shown],
        y=[curve.trials[i][1] for i in shown],
        mode="markers",
        marker={"size": 7, "color": GREY, "opacity": 0.8},
        customdata=[curve.numbers[i] for i in shown],
        hoverinfo="none",
    )
    figure.update_xaxes(title_text=escaped(curve.name), **_axis(curve))
    figure.update_yaxes(title_text=escaped(metric), nticks=6)
    figure.update_layout(showlegend=False)
    return figure


def _axis(curve: Curve) -> dict[str, Any]:
    low, high = curve.scale.low, curve.scale.high
    values = sorted({value for value, _ in curve.trials})
    axis: dict[str, Any] = {"nticks": 6, "range": padded([low, high])}
    if curve.scale.logarithmic:
        axis |= {"type": "log", "range": padded([math.log10(low), math.log10(high)])}
        places, texts = log_ticks(curve.name, [low, high], _MOST_TICKS)
        axis |= {"tickvals": places, "ticktext": texts}
    if len(values) <= _MOST_TICKS:
        texts = [legible(value) for value in values]
        if len(set(texts)) < len(texts):
            texts = [exact(value) for value in values]
        axis |= {"tickvals": values, "ticktext": texts}
    return axis
