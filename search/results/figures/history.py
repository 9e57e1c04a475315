"""How the hypervolume of the front grew over a run."""

from __future__ import annotations

from typing import Any, Literal

import plotly.graph_objects as go

from search.pareto.front import hypervolume_history
from search.record import StudyRecord
from search.results.figures.style import BLUE, GREY, new_figure, say, time_unit
from search.results.saving import spending, spent_by
from search.results.units import duration

HEIGHT = 320


def hypervolume_figure(study: StudyRecord, over: Literal["seconds", "trials"]) -> go.Figure:
    """Hypervolume after each complete trial over trial-seconds or the number of complete trials.

    Trial-seconds are those of all trials, added up, in the largest unit that the run fills. Where
    trials were pruned, a fainter line has the same hypervolume at what it would have taken had
    each of them been trained to its end.
    """
    figure = new_figure(HEIGHT)
    history = hypervolume_history(study)
    if not history:
        say(figure, "No trial is complete yet.")
        return figure
    figure.update_yaxes(title_text="hypervolume", rangemode="tozero")
    volumes = [volume for _, volume in history]
    counts = range(len(history) + 1)
    if over == "trials":
        figure.update_xaxes(title_text="complete trials", rangemode="tozero")
        _add(figure, [float(count) for count in counts[1:]], volumes, showlegend=False)
        return figure
    account = spending(study.trials)
    if not account:
        say(figure, "No trial's seconds were recorded.")
        return figure
    # What came after the last complete trial was spent as well.
    along = [*(spent_by(account, moment) for moment, _ in history), account[-1]]
    volumes = [*volumes, volumes[-1]]
    saves = account[-1].saved > 0
    whole = [entry.spent + entry.saved for entry in along]
    unit, seconds = time_unit(whole[-1])
    figure.update_xaxes(title_text=f"time of all trials, added up ({unit})", rangemode="tozero")
    if saves:
        _add(
            figure,
            [total / seconds for total in whole],
            volumes,
            times=whole,
            name="had nothing been pruned, projected",
            line={"shape": "hv", "width": 1.5, "color": GREY, "dash": "5px,2px"},
        )
    spent = [entry.spent for entry in along]
    _add(
        figure,
        [time / seconds for time in spent],
        volumes,
        times=spent,
        name="spent",
        showlegend=saves,
    )
    return figure


def _add(
    figure: go.Figure,
    along: list[float],
    volumes: list[float],
    times: list[float] | None = None,
    **settings: Any,
) -> None:
    """A line of steps from nothing; ``times`` are told beside the number of complete trials."""
    counts = [f"after {count} complete trials" for count in range(len(along) + 1)]
    if times is not None:
        # The last place is where the search stands, not one more complete trial.
        counts[-1] = counts[-2]
        counts = [f"{c}, {duration(t)}" for c, t in zip(counts, [0.0, *times], strict=True)]
    filled = {} if "line" in settings else {"fill": "tozeroy", "fillcolor": "rgba(0,114,178,0.10)"}
    look = {"line": {"shape": "hv", "width": 2, "color": BLUE}, **filled, **settings}
    figure.add_scatter(
        x=[0.0, *along],
        y=[0.0, *volumes],
        mode="lines",
        text=counts,
        hovertemplate="%{text}: %{y:.4g}<extra></extra>",
        **look,
    )
