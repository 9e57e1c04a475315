"""When each projection matrix was frozen, in one trial and over many."""

from __future__ import annotations

import plotly.graph_objects as go

from search.pareto.front import front
from search.record import FreezeEvent, StudyRecord, TrialRecord
from search.results.figures.hover import escaped
from search.results.figures.style import COST_SCALE, GREY, VERMILION, new_figure
from search.results.lessons import Pattern
from search.results.roles import row_order

_ROW, _AROUND, _LEAST = 26, 120, 210


def freezing_members(study: StudyRecord) -> tuple[TrialRecord, ...]:
    """The front members in which at least one matrix was frozen, best first objective first."""
    return tuple(
        trial
        for trial in front(study.trials, list(study.objectives))
        if any(event.step is not None for event in trial.freezing)
    )


def freezing_figure(trial: TrialRecord) -> go.Figure:
    """Step at which each matrix was frozen: a column for each layer, a row for each role and A, B.

    A matrix that trained to the end has a colour outside the scale; where a layer has no adapter
    there is nothing.
    """
    rows = sorted({(event.role, event.matrix) for event in trial.freezing}, key=row_order)
    layers = sorted({event.layer for event in trial.freezing})
    figure = new_figure(max(_LEAST, _ROW * len(rows) + _AROUND))
    names = [f"{escaped(role)} {matrix}" for role, matrix in rows]
    frozen = [event for event in trial.freezing if event.step is not None]
    kept = [event for event in trial.freezing if event.step is None]
    last = trial.total_steps or max((event.step or 0 for event in trial.freezing), default=1)

    def add(events: list[FreezeEvent], **settings: object) -> None:
        placed = {(event.role, event.matrix, event.layer): event for event in events}
        cells = [[placed.get((*row, layer)) for layer in layers] for row in rows]
        figure.add_heatmap(
            x=layers,
            y=names,
            z=[[_level(event) for event in line] for line in cells],
            hovertext=[[_text(event, trial) for event in line] for line in cells],
            hoverinfo="text",
            hoverongaps=False,
            xgap=2,
            ygap=2,
            **settings,
        )

    if frozen:
        bar = {"title": {"text": "frozen at step", "side": "right"}, "thickness": 12,
               "outlinewidth": 0, "ticks": "outside", "tickcolor": GREY}  # fmt: skip
        add(frozen, colorscale=COST_SCALE, zmin=0, zmax=max(1, last), colorbar=bar)
    if kept:
        plain = [[0, VERMILION], [1, VERMILION]]
        add(kept, colorscale=plain, showscale=False, zmin=-1, zmax=0)
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="markers",
            name="trained to the end",
            showlegend=True,
            marker={"symbol": "square", "size": 12, "color": VERMILION},
        )
    _lay_out(figure, layers, names)
    return figure


def pattern_figure(pattern: Pattern) -> go.Figure:
    """Part of the training after which each matrix was frozen, the median over trials.

    A column for each layer, a row for each role and A, B; a matrix that most trials trained to the
    end stands at 100 %.
    """
    figure = new_figure(max(_LEAST, _ROW * len(pattern.rows) + _AROUND))
    names = [f"{escaped(role)} {matrix}" for role, matrix in pattern.rows]
    bar = {"title": {"text": "frozen after, median", "side": "right"}, "thickness": 12,
           "outlinewidth": 0, "ticks": "outside", "tickcolor": GREY,
           "ticksuffix": " %"}  # fmt: skip
    cells = [
        [_median(pattern, row, column) for column in range(len(pattern.layers))]
        for row in range(len(pattern.rows))
    ]
    figure.add_heatmap(
        x=list(pattern.layers),
        y=names,
        z=[[level for level, _ in line] for line in cells],
        hovertext=[[text for _, text in line] for line in cells],
        hoverinfo="text",
        hoverongaps=False,
        xgap=2,
        ygap=2,
        colorscale=COST_SCALE,
        colorbar=bar,
    )
    _lay_out(figure, list(pattern.layers), names)
    return figure


def _median(pattern: Pattern, row: int, column: int) -> tuple[float | None, str]:
    """Level and words of a cell."""
    count = int(pattern.counts[row, column])
    if not count:
        return None, ""
    role, matrix = pattern.rows[row]
    median = 100.0 * float(pattern.medians[row, column])
    end = int(pattern.to_the_end[row, column])
    text = (
        f"layer {pattern.layers[column]}, {escaped(role)}, {matrix}: frozen after {median:.0f} % "
        f"of the training, the median of {count} {'trial' if count == 1 else 'trials'}"
    )
    return median, f"{text}; {end} trained it to the end" if end else text


def _lay_out(figure: go.Figure, layers: list[int], names: list[str]) -> None:
    figure.update_xaxes(
        title_text="layer", type="category", categoryorder="array", categoryarray=layers,
        showgrid=False, showline=False, ticks="",
    )  # fmt: skip
    figure.update_yaxes(
        type="category", categoryorder="array", categoryarray=names, autorange="reversed",
        showgrid=False, showline=False, ticks="",
    )  # fmt: skip


def _level(event: FreezeEvent | None) -> int | None:
    if event is None:
        return None
    return event.step if event.step is not None else -1


def _text(event: FreezeEvent | None, trial: TrialRecord) -> str:
    if event is None:
        return ""
    place = f"layer {event.layer}, {escaped(event.role)}, {event.matrix}"
    if event.step is None:
        return f"{place}: trained to the end"
    if not trial.total_steps:
        return f"{place}: frozen at step {event.step}"
    part = 100.0 * event.step / trial.total_steps
    return f"{place}: frozen at step {event.step} of {trial.total_steps} ({part:.0f} %)"
