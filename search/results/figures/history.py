"""How the hypervolume of the front grew over a run."""

from __future__ import annotations

from typing import Literal

import plotly.graph_objects as go

from search.pareto.front import hypervolume_history
from search.record import StudyRecord
from search.results.figures.style import BLUE, new_figure, say

HEIGHT = 320
_UNITS = (("h", 3600.0), ("min", 60.0), ("s", 1.0))


def hypervolume_figure(study: StudyRecord, over: Literal["seconds", "trials"]) -> go.Figure:
    """Hypervolume after each complete trial over elapsed time or the number of complete trials.

    Time counts from the start of the first trial, in the largest unit that the run fills.
    """
    figure = new_figure(HEIGHT)
    history = hypervolume_history(study)
    if not history:
        say(figure, "No trial is complete yet.")
        return figure
    began = min(
        (trial.started for trial in study.trials if trial.started is not None),
        default=history[0][0],
    )
    elapsed = [moment - began for moment, _ in history]
    unit, seconds = next(
        (entry for entry in _UNITS if elapsed[-1] >= 2 * entry[1]), _UNITS[-1]
    )  # fmt: skip
    along = [moment / seconds for moment in elapsed]
    if over == "trials":
        along = [float(index + 1) for index in range(len(history))]
    figure.add_scatter(
        x=[0.0, *along],
        y=[0.0, *(volume for _, volume in history)],
        mode="lines",
        line={"shape": "hv", "width": 2, "color": BLUE},
        fill="tozeroy",
        fillcolor="rgba(0,114,178,0.10)",
        showlegend=False,
        text=[str(count) for count in range(len(history) + 1)],
        hovertemplate="after %{text} complete trials: %{y:.4g}<extra></extra>",
    )
    named = f"elapsed time ({unit})" if over == "seconds" else "complete trials"
    figure.update_xaxes(title_text=named, rangemode="tozero")
    figure.update_yaxes(title_text="hypervolume", rangemode="tozero")
    return figure
