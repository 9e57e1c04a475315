"""Several runs of one task in one plot: their fronts, and how their hypervolumes grew."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from search.record import TrialRecord
from search.results.figures.front import STEPS, corners_of
from search.results.figures.hover import escaped, short, trial_text
from search.results.figures.plane import Plane, plane_of
from search.results.figures.style import GREY, HUES, new_figure, say, time_unit
from search.results.figures.thinning import thinned
from search.results.overlay import Overlay, Side
from search.results.units import title

FRONTS_HEIGHT, VOLUME_HEIGHT = 520, 360
# A run's colour, symbol and dash by its place: never told apart by colour alone.
_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "x", "star", "pentagon", "hexagon")
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
_MOST_DOMINATED = 300
_NOBODY = "No trial is complete yet."


def overlaid_fronts_figure(overlay: Overlay) -> go.Figure:
    """Score over trainable parameters (logarithmic) of all runs; members of fronts are large.

    The lines are the best score that a run's front reaches at each cost or less.
    """
    figure = new_figure(FRONTS_HEIGHT)
    # One study of all runs' trials, numbered anew, so that one plane holds them.
    numbers = itertools.count()
    renumbered = [
        {next(numbers): trial for trial in side.study.in_state("complete")}
        for side in overlay.sides
    ]
    trials = [
        dataclasses.replace(trial, number=number)
        for own in renumbered
        for number, trial in own.items()
    ]
    plane = plane_of(dataclasses.replace(overlay.sides[0].study, trials=tuple(trials)))
    if plane is None:
        say(figure, _NOBODY)
        return figure
    for index, (side, own) in enumerate(zip(overlay.sides, renumbered, strict=True)):
        _add_side(figure, index, side, plane, [trials[n] for n in own if n in plane.places], own)
    figure.update_xaxes(title_text=title(plane.x) if plane.x else "trial", **plane.x_axis)
    figure.update_yaxes(title_text=escaped(overlay.metric), range=plane.y_range)
    return figure


def _add_side(
    figure: go.Figure,
    index: int,
    side: Side,
    plane: Plane,
    trials: Sequence[TrialRecord],
    before: Mapping[int, TrialRecord],
) -> None:
    """A run's dominated trials, line and members, and its entry of the legend.

    Args:
        trials: complete ones that have a place, numbered as the plane has them.
        before: number there → the trial as the run has it.
    """
    look, group = _look(index), f"run-{index}"
    numbers = {trial.number for trial in side.members}
    members = [trial for trial in trials if before[trial.number].number in numbers]
    others = [trial for trial in trials if before[trial.number].number not in numbers]
    on_axes = {trial.number: plane.on_axes(plane.places[trial.number]) for trial in others}
    others = thinned(others, on_axes, _MOST_DOMINATED)
    told = [
        f"<b>{escaped(side.run)}</b><br>{trial_text(before[trial.number], side.study)}"
        for trial in members
    ]
    large = {"size": 12, "line": {"width": 1, "color": GREY}}
    figure.add_scatter(
        **_xy([plane.places[trial.number] for trial in others]),
        mode="markers",
        name="dominated",
        legendgroup=group,
        showlegend=False,
        marker={**look.marker, "size": 6, "opacity": 0.5},
        hoverinfo="skip",
    )
    figure.add_scatter(
        **_xy(corners_of(plane, members)),
        mode="lines",
        name=STEPS,
        legendgroup=group,
        showlegend=False,
        line=look.line,
        hoverinfo="skip",
    )
    figure.add_scatter(
        **_xy([plane.places[trial.number] for trial in members]),
        mode="markers",
        name="front",
        legendgroup=group,
        showlegend=False,
        marker={**look.marker, **large},
        hovertext=told,
        hoverinfo="text",
    )
    # Line and symbol in one, also of a run that has no front yet.
    figure.add_scatter(
        x=[None],
        y=[None],
        mode="lines+markers",
        name=short(side.run, 28) + ("" if members else " (no front yet)"),
        legendgroup=group,
        line=look.line,
        marker={**look.marker, "size": 10},
    )


def _xy(places: Sequence[tuple[float, float]]) -> dict[str, list[float]]:
    return {"x": [x for x, _ in places], "y": [y for _, y in places]}


def overlaid_volume_figure(overlay: Overlay) -> go.Figure:
    """Hypervolume against the common reference point over trial-seconds, a line for each run."""
    figure = new_figure(VOLUME_HEIGHT)
    longest = max(side.spent for side in overlay.sides)
    if not any(side.history for side in overlay.sides):
        say(figure, _NOBODY)
        return figure
    unit, seconds = time_unit(longest)
    for index, side in enumerate(overlay.sides):
        if not side.history:
            continue
        look = _look(index)
        # From nothing, and on to what the run has spent after its last complete trial.
        course = [(0.0, 0.0), *side.history, (side.spent, side.history[-1][1])]
        figure.add_scatter(
            x=[spent / seconds for spent, _ in course],
            y=[volume for _, volume in course],
            mode="lines+markers",
            name=short(side.run, 28),
            line={**look.line, "shape": "hv"},
            marker={**look.marker, "size": 8, "maxdisplayed": 12},
            text=[str(min(count, len(side.history))) for count in range(len(course))],
            hovertemplate=f"{escaped(side.run)}, after %{{text}} complete trials: %{{y:.4g}}"
            "<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title_text=f"time spent by trials ({unit})", rangemode="tozero")
    figure.update_yaxes(title_text="hypervolume", rangemode="tozero")
    return figure


class _Look(NamedTuple):
    line: dict[str, object]
    marker: dict[str, object]


def _look(index: int) -> _Look:
    """How the run at this place is drawn."""
    hue = HUES[index % len(HUES)]
    return _Look(
        {"width": 2, "color": hue, "dash": _DASHES[index % len(_DASHES)]},
        {"color": hue, "symbol": _SYMBOLS[index % len(_SYMBOLS)]},
    )
