"""All trials in the order in which they were proposed, and what became of each."""

from __future__ import annotations

import plotly.graph_objects as go

from search.pareto.front import front
from search.record import StudyRecord, TrialRecord
from search.results.figures.hover import escaped
from search.results.figures.style import GREY, STATES, new_figure, padded, say
from search.results.figures.thinning import thinned
from search.results.measured import final

HEIGHT = 400
_FEW = 12


def trials_figure(study: StudyRecord) -> go.Figure:
    """Score at the last rung over the number of the trial; symbol and colour say the state.

    Trials that never reached a rung have no score: they stand in a strip below the plot. Front
    members have a ring.
    """
    figure = new_figure(HEIGHT)
    if not study.trials:
        say(figure, "No trial yet.")
        return figure
    scores = {t.number: score for t in study.trials if (score := final(t, "score")) is not None}
    places = {t.number: (float(t.number), scores.get(t.number, 0.0)) for t in study.trials}
    for state, (colour, symbol) in STATES.items():
        for strip in (False, True):
            trials = [t for t in study.in_state(state) if (t.number not in scores) == strip]
            _add(figure, thinned(trials, places), state, colour, symbol, strip)
    members = front(study.trials, list(study.objectives))
    if members:
        figure.add_scatter(
            x=[trial.number for trial in members],
            y=[final(trial, "score") for trial in members],
            mode="markers",
            name="front",
            marker={"symbol": "circle-open", "size": 17, "color": GREY, "line": {"width": 2}},
            hoverinfo="skip",
        )
    figure.update_layout(
        xaxis={"title": {"text": "trial"}, "range": padded([0, len(study.trials) - 1], 0.03)},
        yaxis={"title": {"text": escaped(study.metric)}, "visible": bool(scores)},
    )
    if len(study.trials) <= _FEW:
        # There is no trial one and a half.
        figure.update_xaxes(dtick=1)
    if scores:
        figure.update_layout(yaxis_range=padded(list(scores.values()), 0.08))
    if len(scores) < len(study.trials):
        figure.update_layout(
            xaxis_anchor="y2",
            yaxis_domain=[0.16, 1],
            yaxis2={
                "domain": [0, 0.1],
                "tickvals": [0],
                "ticktext": ["no score"],
                "range": [-1, 1],
                "showgrid": False,
                "zeroline": False,
                "automargin": True,
            },
        )
    return figure


def _add(
    figure: go.Figure,
    trials: list[TrialRecord],
    state: str,
    colour: str,
    symbol: str,
    strip: bool = False,
) -> None:
    if not trials:
        return
    alone = not any(trace.legendgroup == state for trace in figure.data)
    figure.add_scatter(
        x=[trial.number for trial in trials],
        y=[0.0 if strip else final(trial, "score") for trial in trials],
        yaxis="y2" if strip else "y",
        mode="markers",
        name=state,
        legendgroup=state,
        showlegend=alone,
        marker={"symbol": symbol, "size": 9, "color": colour, "line": {"width": 1.5}}
        if symbol.endswith("-open")
        else {"symbol": symbol, "size": 9, "color": colour},
        customdata=[trial.number for trial in trials],
        hoverinfo="none",
    )
