"""A figure as it is printed: dark on white, as wide as a column, nothing that needs a pointer."""

from __future__ import annotations

import math

import plotly.graph_objects as go

from search.pareto.front import front
from search.pareto.knee import knee
from search.record import StudyRecord
from search.results.figures.front import CHANCE

#: Pixels of CSS: 12.7 cm. In a column of 8.5 cm the letters are then 7 points high.
WIDTH = 480
_FONT_SIZE = 14
_HIGHEST = 380
_INK, _LINE, _GRID = "#1d232b", "#4a5460", "#e1e5ea"
# Room that a row of the legend takes, an entry besides its name, and a letter of one.
_LEGEND_ROW, _ENTRY, _LETTER = 22, 46, 7.6
# What the vertical axis and its names take, and a bar of colours below the plot.
_FRAME, _BAR = 90, 60
# Between the names of two ticks, which the page has room to write out.
_APART = 58
# A point so near the left end has its name on the other side.
_LEFT = 0.2


def printed(figure: go.Figure) -> go.Figure:
    """The figure for paper: a copy, with everything that says something kept.

    Names beside points are left out, as on a narrow page: the legend has them.
    """
    made = go.Figure(figure)
    axis = {
        "gridcolor": _GRID, "linecolor": _LINE, "tickcolor": _LINE, "zeroline": False,
        "showline": True, "ticks": "outside", "ticklen": 4, "automargin": True,
        "title": {"standoff": 8},
    }  # fmt: skip
    made.update_layout(
        template=go.layout.Template(
            layout={
                "font": {"color": _INK},
                "paper_bgcolor": "#ffffff",
                "plot_bgcolor": "#ffffff",
                "xaxis": axis,
                "yaxis": axis,
            }
        ),
        width=WIDTH,
        font={"size": _FONT_SIZE},
        # Axes claim what they need and no air beside it.
        margin={"l": 76, "r": 16, "t": 12, "b": 60},
        legend={"font": {"size": _FONT_SIZE - 1}},
    )
    made.update_traces(hoverinfo="skip", hovertemplate=None, hovertext=None)
    if figure.layout.xaxis.visible is False:
        return made  # a message alone
    made.layout.annotations = [a for a in made.layout.annotations if a.name == CHANCE]
    made.layout.height = _height(made)
    if made.layout.xaxis.side == "top":
        made.layout.margin.b = made.layout.margin.t
    _space_ticks(made)
    if made.layout.coloraxis.colorbar.tickvals is not None:
        # At the side it would take a third of the width.
        made.layout.height += _BAR
        made.update_layout(
            coloraxis_colorbar={
                "orientation": "h", "x": 0.5, "xanchor": "center", "y": -0.3, "yanchor": "top",
                "thickness": 10, "len": 1.0, "title": {"side": "top"},
            }
        )  # fmt: skip
    return made


def with_knee(figure: go.Figure, study: StudyRecord) -> go.Figure:
    """The front with its knee named, as the page does."""
    member = knee(front(study.trials, list(study.objectives)), list(study.objectives))
    place = None if member is None else _place(figure, member.number)
    if place is None:
        return figure
    made = go.Figure(figure)
    axis = figure.layout.xaxis
    across = math.log10(place[0]) if axis.type == "log" else place[0]
    at_left = (across - axis.range[0]) / (axis.range[1] - axis.range[0]) < _LEFT
    made.add_scatter(
        x=[place[0]], y=[place[1]], mode="text", name="knee", showlegend=False,
        text=["  <b>knee</b>" if at_left else "<b>knee</b>  "],
        textposition="top right" if at_left else "top left",
    )  # fmt: skip
    return made


def _place(figure: go.Figure, number: int) -> tuple[float, float] | None:
    for trace in figure.data:
        numbers = list(trace.customdata) if trace.customdata is not None else []
        if number in numbers:
            at = numbers.index(number)
            return trace.x[at], trace.y[at]
    return None


def _height(figure: go.Figure) -> int:
    """That of the page where each row needs it, else that of a plot in a column."""
    height = int(figure.layout.height)
    if any(trace.type == "heatmap" for trace in figure.data):
        return height
    names = [
        len(trace.name) for trace in figure.data if trace.name and trace.showlegend is not False
    ]
    if not names:
        return min(height, _HIGHEST)
    inside, rows, used = WIDTH - _FRAME, 1, 0.0
    for name in names:
        width = _ENTRY + _LETTER * name
        if used and used + width > inside:
            rows, used = rows + 1, 0.0
        used += width
    return min(height, _HIGHEST) + _LEGEND_ROW * (rows - 1)


def _space_ticks(figure: go.Figure) -> None:
    """Fewer names below the horizontal axis, upright, so that none covers another."""
    axis = figure.layout.xaxis
    axis.tickangle = 0
    if axis.nticks:
        axis.nticks = max(3, axis.nticks // 2)
    if axis.tickvals is None or axis.range is None or axis.type != "log":
        return
    width = WIDTH - _FRAME
    low, high = axis.range
    kept: list[int] = []
    last = -math.inf
    for index, value in enumerate(axis.tickvals):
        at = (math.log10(value) - low) / (high - low) * width
        if at - last >= _APART:
            kept.append(index)
            last = at
    axis.tickvals, axis.ticktext = (
        [list(values)[index] for index in kept] for values in (axis.tickvals, axis.ticktext)
    )
