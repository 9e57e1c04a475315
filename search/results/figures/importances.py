"""Which settings decide what a trial comes to: a table in colour for each method."""

from __future__ import annotations

import plotly.graph_objects as go

from search.record import Importance, StudyRecord
from search.results.figures.style import BLUE, GREY, new_figure
from search.results.units import title

_ROW, _FRAME = 26, 130


def importance_methods(study: StudyRecord) -> tuple[str, ...]:
    """The methods of which something can be said."""
    return tuple(dict.fromkeys(found.method for found in study.importances))


def importance_figure(study: StudyRecord, method: str) -> go.Figure:
    """Settings of a method by objectives; colour and number are the part of a setting."""
    found = [i for i in study.importances if i.method == method]
    names = _ordered(found)
    cells = [[importance.parts.get(name, 0.0) for importance in found] for name in names]
    figure = new_figure(_FRAME + _ROW * len(names))
    figure.add_heatmap(
        z=cells,
        x=[title(i.objective, study.metric).replace(" ", "<br>") for i in found],
        y=[_short(name, method) for name in names],
        text=[[f"{part:.0%}" for part in row] for row in cells],
        texttemplate="%{text}",
        colorscale=[[0.0, "rgba(134,141,150,0.10)"], [1.0, BLUE]],
        zmin=0.0,
        zmax=1.0,
        showscale=False,
        xgap=2,
        ygap=2,
        hovertemplate="%{y}<br>%{x}: %{text}<extra></extra>",
    )
    figure.update_xaxes(side="top", showgrid=False, showline=False, ticks="", tickcolor=GREY)
    figure.update_yaxes(autorange="reversed", showgrid=False, showline=False, ticks="")
    return figure


def _ordered(found: list[Importance]) -> list[str]:
    """Every setting, the most decisive one first."""
    names = dict.fromkeys(name for importance in found for name in importance.parts)
    return sorted(names, key=lambda name: -max(i.parts.get(name, 0.0) for i in found))


def _short(name: str, method: str) -> str:
    return name.removeprefix(f"method.{method}.")
