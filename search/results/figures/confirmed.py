"""The front after fresh seeds: mean scores with their intervals over trainable parameters."""

from __future__ import annotations

import plotly.graph_objects as go

from search.record import StudyRecord
from search.results.confirmed import Confirmation, Confirmed
from search.results.figures.hover import escaped
from search.results.figures.style import (
    GREY,
    HUES,
    SYMBOLS,
    log_axis,
    log_floor,
    new_figure,
    padded,
)
from search.results.units import readable, title

HEIGHT = 460
_X = "trainable_params"


def confirmed_figure(study: StudyRecord, confirmation: Confirmation) -> go.Figure:
    """Mean score with its 95 % interval over trainable parameters, one colour for each method.

    Filled are those that no other dominates with their means; hollow the others. A small dash is
    the score that a configuration was chosen with.
    """
    figure = new_figure(HEIGHT)
    members = confirmation.members
    costs = [member.measures[_X] for member in members]
    left = log_floor(costs)
    methods = list(dict.fromkeys(member.method for member in members))
    for index, method in enumerate(methods):
        hue, symbol = HUES[index % len(HUES)], SYMBOLS[index % len(SYMBOLS)]
        own = [member for member in members if member.method == method]
        across = [max(member.measures[_X], left) for member in own]
        figure.add_scatter(
            x=across,
            y=[member.score.mean for member in own],
            error_y={
                "type": "data",
                "array": [member.score.high - member.score.mean for member in own],
                "arrayminus": [member.score.mean - member.score.low for member in own],
                "color": hue,
                "thickness": 1.5,
                "width": 5,
            },
            mode="markers",
            name=method,
            marker={
                "size": 12,
                "color": hue,
                "symbol": [symbol if member.on_front else f"{symbol}-open" for member in own],
                "line": {"width": 2, "color": hue},
            },
            customdata=[member.trial for member in own],
            hovertext=[_text(member, study) for member in own],
            hoverinfo="text",
        )
    figure.add_scatter(
        x=[max(cost, left) for cost in costs],
        y=[member.chosen_with for member in members],
        mode="markers",
        name="in the search",
        marker={"size": 9, "symbol": "line-ew-open", "color": GREY, "line": {"width": 2}},
        hoverinfo="skip",
    )
    ends = [v for m in members for v in (m.score.low, m.score.high, m.chosen_with)]
    figure.update_xaxes(title_text=f"{title(_X)}, averaged over steps", **log_axis(_X, costs))
    figure.update_yaxes(title_text=escaped(study.metric), range=padded(ends, 0.08))
    return figure


def _text(member: Confirmed, study: StudyRecord) -> str:
    lines = [
        f"<b>trial {member.trial}</b>, {escaped(member.label)}",
        f"{escaped(study.metric)} {member.score.mean:.4f} "
        f"({member.score.low:.4f} … {member.score.high:.4f})",
        "seeds: " + ", ".join(f"{score:.4f}" for score in member.scores),
        f"in the search {member.chosen_with:.4f}",
        f"{title(_X)} {readable(_X, member.measures[_X])}",
    ]
    if member.no_better_than is not None:
        lines.append(f"not better than trial {member.no_better_than} by more than noise")
    return "<br>".join(lines)
