"""A small front, to stand beside those of other tasks."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from search.pareto.front import front
from search.record import StudyRecord
from search.results.figures.front import corners_of
from search.results.figures.hover import escaped, trial_text
from search.results.figures.plane import plane_of
from search.results.figures.style import GREY, HUES, SYMBOLS, new_figure, say
from search.results.units import title
from search.spec.nodes import method_of

HEIGHT = 340


def methods_in(studies: Sequence[StudyRecord]) -> list[str]:
    """Methods of all studies, by name."""
    return sorted({method_of(t.settings) for study in studies for t in study.trials if t.settings})


def small_front_figure(study: StudyRecord, methods: Sequence[str]) -> go.Figure:
    """Score over trainable parameters (logarithmic) of complete trials, told apart by method.

    Members of the front are large.

    Args:
        study: of one task.
        methods: of all tasks: each has its colour and symbol by its place among them.
    """
    figure = new_figure(HEIGHT)
    plane = plane_of(study)
    complete = [t for t in study.in_state("complete") if plane and t.number in plane.places]
    if plane is None or not complete:
        say(figure, "No trial is complete yet.")
        return figure
    members = {trial.number for trial in front(study.trials, list(study.objectives))}
    line = corners_of(plane, [trial for trial in complete if trial.number in members])
    figure.add_scatter(
        x=[x for x, _ in line],
        y=[y for _, y in line],
        mode="lines",
        line={"width": 1.5, "color": GREY},
        showlegend=False,
        hoverinfo="skip",
    )
    for index, method in enumerate(methods):
        own = [trial for trial in complete if method_of(trial.settings) == method]
        if not own:
            continue
        figure.add_scatter(
            x=[plane.places[trial.number][0] for trial in own],
            y=[plane.places[trial.number][1] for trial in own],
            mode="markers",
            name=escaped(method),
            marker={
                "size": [12 if trial.number in members else 6 for trial in own],
                "opacity": [1.0 if trial.number in members else 0.55 for trial in own],
                "color": HUES[index % len(HUES)],
                "symbol": SYMBOLS[index % len(SYMBOLS)],
                "line": {"width": 1, "color": GREY},
            },
            customdata=[trial.number for trial in own],
            hovertext=[trial_text(trial, study) for trial in own],
            hoverinfo="text",
        )
    # Short enough for a phone; the page says that parameters are averages.
    figure.update_xaxes(title_text=title(plane.x) if plane.x else "trial", **plane.x_axis)
    figure.update_yaxes(title_text=escaped(study.metric), range=plane.y_range)
    return figure
