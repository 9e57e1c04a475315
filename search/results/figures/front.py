"""The front: score against trainable parameters, coloured by the cost of training."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from search.pareto.front import front
from search.record import StudyRecord, TrialRecord
from search.results.figures.hover import escaped, short
from search.results.figures.labels import Point, placed
from search.results.figures.plane import Plane, plane_of
from search.results.figures.style import (
    BLUE,
    COST_SCALE,
    FAINT,
    GREY,
    SHADE,
    log_ticks,
    new_figure,
    say,
)
from search.results.figures.thinning import thinned
from search.results.units import title

HEIGHT = 560
#: Names of traces, as the legend has them.
PRUNED, STEPS = "pruned, where it stopped", "best at this cost or less"
#: Name of the annotation at the line of what answering always the same scores.
CHANCE = "chance"
_SYMBOLS = ("diamond", "square", "triangle-up", "pentagon", "star", "hexagon", "cross")
# The plot's inside on a usual page, for placing names before the true size is known.
_INSIDE = (900.0, 430.0)


def front_figure(study: StudyRecord) -> go.Figure:
    """Score over trainable parameters (logarithmic), coloured by training time or FLOPs.

    When parameters are no objective, the axis is that of the cost that is one. Front members are
    large, other complete trials small, pruned ones hollow where they stopped with their costs
    projected to the full length. The line is the best score that a front member reaches at each
    cost or less; members below it are on the front because they cost less in another objective.
    Marked configurations have a symbol and their name.
    """
    figure = new_figure(HEIGHT)
    plane = plane_of(study)
    if plane is None:
        say(figure, "No trial has a score yet.")
        return figure
    shown = [trial for trial in study.trials if trial.number in plane.places]
    members = {trial.number for trial in front(study.trials, list(study.objectives))}
    marked = [trial for trial in shown if trial.mark is not None]
    unmarked = [trial for trial in shown if trial.mark is None]
    complete = [trial for trial in unmarked if trial.state == "complete"]

    def add(trials: Sequence[TrialRecord], name: str, size: int, symbol: str = "circle") -> None:
        if trials:
            marker = _marker(plane, trials, size, symbol)
            coloured = "coloraxis" in marker
            figure.add_scatter(
                x=[plane.places[trial.number][0] for trial in trials],
                y=[plane.places[trial.number][1] for trial in trials],
                mode="markers",
                name=name,
                legendgroup=name,
                showlegend=not coloured,
                marker=marker,
                customdata=[trial.number for trial in trials],
                # What the pointer shows is made by the page, which knows the trials.
                hoverinfo="none",
            )
            if coloured:
                _add_key(figure, name, marker)

    drawn = {number: plane.on_axes(place) for number, place in plane.places.items()}
    pruned = [trial for trial in unmarked if trial.state == "pruned"]
    dominated = [trial for trial in complete if trial.number not in members]
    pruned, dominated = thinned(pruned, drawn), thinned(dominated, drawn)
    add(pruned, PRUNED, 7)
    add(dominated, "complete", 8)
    steps = corners_of(plane, [trial for trial in shown if trial.number in members])
    _add_steps(figure, steps, plane.y_range[0])
    add([trial for trial in complete if trial.number in members], "front", 15)
    for index, trial in enumerate(marked):
        on_front = trial.number in members
        name = short(trial.mark or "") + (", on the front" if on_front else "")
        add([trial], name, 16 if on_front else 12, _SYMBOLS[index % len(_SYMBOLS)])
    around = [*pruned, *dominated, *(t for t in complete if t.number in members)]
    _add_names(figure, plane, marked, around, steps)
    _add_colours(figure, plane, [trial for trial in shown if trial.state == "complete"])
    _add_chance(figure, study, plane)
    figure.update_xaxes(title_text=plane.x_title, **plane.x_axis)
    figure.update_yaxes(title_text=escaped(study.metric), range=plane.y_range)
    return figure


def _marker(
    plane: Plane, trials: Sequence[TrialRecord], size: int, symbol: str
) -> dict[str, object]:
    if trials[0].state == "pruned":
        colour = FAINT if symbol == "circle" else GREY
        return {"size": size, "symbol": f"{symbol}-open", "color": colour, "line": {"width": 1.5}}
    edge = {"width": 2 if size > 12 else 1, "color": GREY}
    marker: dict[str, object] = {"size": size, "symbol": symbol, "line": edge}
    if all(trial.number in plane.costs for trial in trials):
        costs = [plane.costs[trial.number] for trial in trials]
        return marker | {"color": costs, "coloraxis": "coloraxis"}
    return marker | {"color": BLUE}


def _add_key(figure: go.Figure, name: str, marker: dict[str, object]) -> None:
    """An entry of the legend in grey: plotly cannot draw one from numbers on a colour axis."""
    figure.add_scatter(
        x=[None],
        y=[None],
        mode="markers",
        name=name,
        legendgroup=name,
        marker={**marker, "color": GREY, "coloraxis": None},
    )


def corners_of(plane: Plane, members: Sequence[TrialRecord]) -> list[tuple[float, float]]:
    """Corners of the line of the best score at each cost or less, to the end of the axis."""
    if plane.x is None or not members:
        return []
    corners: list[tuple[float, float]] = []
    places = (plane.places[trial.number] for trial in members)
    for x, y in sorted(places, key=lambda place: (place[0], -place[1])):
        if not corners:
            corners.append((x, y))
        elif y > corners[-1][1]:
            corners += [(x, corners[-1][1]), (x, y)]
    return [*corners, (10.0 ** plane.x_axis["range"][1], corners[-1][1])]


def _add_steps(figure: go.Figure, corners: Sequence[tuple[float, float]], bottom: float) -> None:
    """The line, and what it dominates shaded."""
    if corners:
        around = [*corners, (corners[-1][0], bottom), (corners[0][0], bottom)]
        figure.add_scatter(
            x=[x for x, _ in around],
            y=[y for _, y in around],
            mode="lines",
            line={"width": 0},
            fill="toself",
            fillcolor=SHADE,
            name="dominated",
            showlegend=False,
            hoverinfo="skip",
        )
        figure.add_scatter(
            x=[x for x, _ in corners],
            y=[y for _, y in corners],
            mode="lines",
            line={"width": 1.5, "color": GREY},
            name=STEPS,
            hoverinfo="skip",
        )


def _add_chance(figure: go.Figure, study: StudyRecord, plane: Plane) -> None:
    """What answering always the same scores; out of sight where every trial is far above it."""
    if study.constant is not None:
        bottom, top = plane.y_range
        is_low = study.constant.score < bottom + 0.1 * (top - bottom)
        figure.add_hline(
            y=study.constant.score,
            line={"width": 1, "color": GREY, "dash": "dot"},
            layer="below",
            annotation={
                "name": CHANCE,
                "text": f"always {short(study.constant.answer, 28)}",
                "font": {"size": 11, "color": GREY},
            },
            annotation_position="top right" if is_low else "bottom right",
        )


def _add_names(
    figure: go.Figure,
    plane: Plane,
    marked: Sequence[TrialRecord],
    others: Sequence[TrialRecord],
    corners: Sequence[tuple[float, float]],
) -> None:
    def pixels(place: tuple[float, float]) -> Point:
        across, down = plane.part(place)
        return across * _INSIDE[0], down * _INSIDE[1]

    names = [short(trial.mark or "", 28) for trial in marked]
    points = [pixels(plane.places[trial.number]) for trial in marked]
    obstacles = [pixels(plane.places[trial.number]) for trial in others]
    offsets = placed(points, names, obstacles, [pixels(corner) for corner in corners], _INSIDE)
    for trial, name, (right, down) in zip(marked, names, offsets, strict=True):
        x, y = plane.on_axes(plane.places[trial.number])
        figure.add_annotation(
            x=x, y=y, ax=right, ay=down, text=name, showarrow=True, arrowhead=0, arrowwidth=1,
            arrowcolor=GREY, standoff=9, borderpad=2, font={"size": 12},
        )  # fmt: skip


def _add_colours(figure: go.Figure, plane: Plane, complete: Sequence[TrialRecord]) -> None:
    costs = [plane.costs[trial.number] for trial in complete if trial.number in plane.costs]
    if plane.colour is None or not costs:
        return
    places, texts = log_ticks(plane.colour, [10.0**cost for cost in costs])
    figure.update_layout(
        coloraxis={
            "colorscale": COST_SCALE,
            "cmin": min(costs),
            "cmax": max(costs) if max(costs) > min(costs) else min(costs) + 0.1,
            "colorbar": {
                "title": {"text": title(plane.colour), "side": "right"},
                "tickvals": [math.log10(place) for place in places],
                "ticktext": texts,
                "thickness": 12,
                "outlinewidth": 0,
                "ticks": "outside",
                "tickcolor": GREY,
            },
        }
    )
