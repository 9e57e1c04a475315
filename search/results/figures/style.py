"""How every figure looks: colours that the colour-blind tell apart, axes, and ticks.

Backgrounds are transparent and every neutral colour is a middle grey, so that a figure can be
read on a light and on a dark page; the report sets text and grid to fit the reader's scheme.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import plotly.graph_objects as go

from search.record import State
from search.results.units import GAP, duration, readable, significant

# Okabe and Ito's palette, without the yellow that vanishes on white.
BLUE, ORANGE, GREEN = "#0072B2", "#E69F00", "#009E73"
VERMILION, PURPLE, SKY = "#D55E00", "#CC79A7", "#56B4E9"
BROWN, VIOLET = "#8c5a2b", "#6a51a3"  # ours: there are more methods than colours of theirs
HUES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BROWN, VIOLET)
#: Of methods and tasks, so that colour alone need not tell them apart.
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "pentagon", "star", "hexagon", "cross")
GREY = "#868d96"
FAINT = "rgba(134,141,150,0.65)"
GRID = "rgba(134,141,150,0.22)"
SHADE = "rgba(134,141,150,0.09)"

# From blue to yellow like cividis, without its ends: they vanish on a dark or a white page.
COST_SCALE = [[0.0, "#1f5fa8"], [0.25, "#5a86a8"], [0.5, "#9aa98c"], [0.75, "#d3c35c"],
              [1.0, "#f2dd3a"]]  # fmt: skip

# State → colour and marker symbol: never told apart by colour alone.
STATES: dict[State, tuple[str, str]] = {
    "complete": (BLUE, "circle"),
    "pruned": (ORANGE, "triangle-down-open"),
    "failed": (VERMILION, "x"),
    "running": (GREEN, "diamond-open"),
    "paused": (PURPLE, "square-open"),
    "waiting": (GREY, "circle-open"),
}

_UNITS = (("h", 3600.0), ("min", 60.0), ("s", 1.0))
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
_DECADES_A_TICK = 0.45
_STRIP = 120
_SECONDS = (1, 2, 3, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 900, 1200, 1800, 2700,
            3600, 7200, 10800, 18000, 36000, 72000, 180000, 360000, 720000)  # fmt: skip


def new_figure(height: int) -> go.Figure:
    """An empty figure of this height in pixels; its width follows the page."""
    axis = {
        "gridcolor": GRID,
        "zeroline": False,
        "linecolor": GREY,
        "showline": True,
        "ticks": "outside",
        "tickcolor": GREY,
        "ticklen": 4,
        "title": {"standoff": 10},
        "automargin": True,
    }
    template = go.layout.Template(
        layout={
            "font": {"color": GREY},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "xaxis": axis,
            "yaxis": axis,
            "hoverlabel": {"align": "left"},
        }
    )
    figure = go.Figure()
    figure.update_layout(
        template=template,
        height=height,
        font={"family": _FONT, "size": 13},
        margin={"l": 16, "r": 16, "t": 16, "b": 16},
        hovermode="closest",
        hoverlabel={"font": {"family": _FONT, "size": 12}},
        legend={
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": 1.02,
            "yanchor": "bottom",
        },
    )
    return figure


def say(figure: go.Figure, message: str) -> None:
    """Make a figure that has nothing to show a low strip with a message in its middle."""
    figure.update_layout(height=_STRIP)
    figure.add_annotation(
        text=message, showarrow=False, x=0.5, y=0.5, xref="paper", yref="paper", font={"size": 15}
    )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)


def time_unit(longest: float) -> tuple[str, float]:
    """The largest unit of time that so many seconds fill at least twice, and its seconds."""
    return next((entry for entry in _UNITS if longest >= 2 * entry[1]), _UNITS[-1])


def padded(values: Sequence[float], part: float = 0.06) -> list[float]:
    """A range that holds all values with ``part`` of their spread free at either end."""
    low, high = min(values), max(values)
    room = (high - low) * part or abs(high) * part or part
    return [low - room, high + room]


def log_floor(values: Iterable[float]) -> float:
    """Where a logarithmic axis draws zero: half a decade below the smallest positive value."""
    positive = [value for value in values if value > 0]
    return min(positive) / math.sqrt(10) if positive else 1.0


def log_axis(name: str, values: Sequence[float]) -> dict[str, Any]:
    """Settings of a logarithmic axis for a measure; values are in its own unit, zero included."""
    floor = log_floor(values)
    drawn = [max(value, floor) for value in values]
    axis: dict[str, Any] = {
        "type": "log",
        "range": padded([math.log10(value) for value in drawn]),
        "tickformat": "~s",
    }
    # As many ticks as make plotly label 1, 2 and 5 of each decade, or decades when there are many.
    decades = axis["range"][1] - axis["range"][0]
    axis["nticks"] = max(4, round(decades / _DECADES_A_TICK))
    if name.endswith("_seconds") or min(values) <= 0:
        positive = [value for value in values if value > 0]
        places, texts = log_ticks(name, positive) if positive else ([], [])
        if min(values) <= 0:
            places, texts = [floor, *places], ["0", *texts]
        axis |= {"tickvals": places, "ticktext": texts}
    return axis


def log_ticks(name: str, values: Sequence[float], most: int = 7) -> tuple[list[float], list[str]]:
    """Round numbers between the least and the greatest positive value, and how they are written."""
    low, high = min(values), max(values)
    if name.endswith("_seconds") and low >= 1:
        round_numbers = [float(seconds) for seconds in _SECONDS]
    else:
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        factors = (1, 2, 5) if high >= 10 * low else (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9)
        round_numbers = [
            factor * 10.0**power for power in range(first, last + 1) for factor in factors
        ]
    places = [place for place in round_numbers if low <= place <= high]
    if len(places) < 2:
        places = sorted({low, high})
    places = places[:: math.ceil(len(places) / most)]
    texts = [tick(name, place) for place in places]
    if len(set(texts)) < len(texts):
        # The ends of a short axis, which are not round.
        texts = [tick(name, place, (high - low) / 10) for place in places]
    return places, texts


def digits_at(value: float, step: float) -> int:
    """How many significant digits tell a value from those a step away; one at least."""
    if value == 0:
        return 1
    first, last = (math.floor(math.log10(abs(number)) + 1e-9) for number in (value, step))
    return max(1, first - last + 1)


def tick(name: str, value: float, step: float | None = None) -> str:
    """The text at a number on the axis of a measure.

    Args:
        name: of the measure.
        value: in the measure's own unit.
        step: from this tick to the next in the same unit; None where three digits are enough.
    """
    digits = 3 if step is None else max(3, digits_at(value, step))
    if not name.endswith("_seconds"):
        return readable(name, value, digits)
    for unit, seconds in (("h", 3600), ("min", 60), ("s", 1)):
        if value >= seconds and value % seconds == 0:
            return f"{value / seconds:.0f}{GAP}{unit}"
    # From a minute on a duration has no fractions.
    return duration(value) if step is None else f"{significant(value, digits)}{GAP}s"
