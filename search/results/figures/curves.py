"""Learning curves: how the score grew over the training of each trial."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from search.pareto.front import front
from search.record import StudyRecord, TrialRecord
from search.results.figures.hover import escaped, short
from search.results.figures.style import BLUE, GREY, HUES, ORANGE, SYMBOLS, new_figure, say
from search.results.figures.thinning import every

HEIGHT = 440
#: Curves of a kind that are drawn; of more, so many that are evenly spaced.
MOST = 200


def curves_figure(study: StudyRecord) -> go.Figure:
    """Score at each rung over the part of training done, in per cent.

    As many front members as there are colours get one each and their name; with more of them
    they share one colour, and the pointer tells which is which.
    """
    figure = new_figure(HEIGHT)
    scored = [trial for trial in study.trials if _curve(trial)]
    if not scored:
        say(figure, "No trial has reached a rung yet.")
        return figure
    members = [t for t in front(study.trials, list(study.objectives)) if _curve(t)]
    numbers = {trial.number for trial in members}
    rest = [trial for trial in scored if trial.number not in numbers]
    pruned = [trial for trial in rest if trial.state == "pruned"]
    others = [trial for trial in rest if trial.state != "pruned"]
    _add(figure, every(pruned, MOST), "pruned", ORANGE, dash="dot")
    _add(figure, every(others, MOST), "other", GREY)
    if len(members) <= len(HUES):
        looks = list(zip(HUES, SYMBOLS, strict=True))[: len(members)]
        for trial, (colour, symbol) in zip(members, looks, strict=True):
            name = f"{trial.number}: {short(trial.mark or trial.label)}"
            _add(figure, [trial], name, colour, width=2.5, symbol=symbol)
    else:
        _add(figure, every(members, MOST), "front", BLUE, width=2)
    first = min(_curve(trial)[0][0] for trial in scored)
    figure.update_xaxes(title_text="training done", ticksuffix=" %", range=[first - 3, 103])
    figure.update_yaxes(title_text=escaped(study.metric))
    return figure


def _add(
    figure: go.Figure,
    trials: Sequence[TrialRecord],
    name: str,
    colour: str,
    width: float = 1.0,
    dash: str = "solid",
    symbol: str = "circle",
) -> None:
    if not trials:
        return
    xs: list[float | None] = []
    ys: list[float | None] = []
    numbers: list[int | None] = []
    for trial in trials:
        for done, score in _curve(trial):
            xs.append(done)
            ys.append(score)
            numbers.append(trial.number)
        # A gap, so that one trace holds many curves.
        xs.append(None)
        ys.append(None)
        numbers.append(None)
    figure.add_scatter(
        x=xs[:-1],
        y=ys[:-1],
        mode="lines+markers",
        name=name,
        line={"color": colour, "width": width, "dash": dash},
        marker={"size": 7 if width > 1 else 4, "symbol": symbol, "color": colour},
        opacity=1.0 if width > 1 else 0.5,
        connectgaps=False,
        customdata=numbers[:-1],
        hoverinfo="none",
    )


def _curve(trial: TrialRecord) -> list[tuple[float, float]]:
    return [
        (100.0 * rung.fraction, rung.measures["score"])
        for rung in trial.rungs
        if math.isfinite(rung.measures.get("score", math.nan))
    ]
