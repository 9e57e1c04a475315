"""When each projection matrix of a trial was frozen."""

from __future__ import annotations

import plotly.graph_objects as go

from search.pareto.front import front
from search.record import FreezeEvent, StudyRecord, TrialRecord
from search.results.figures.hover import escaped
from search.results.figures.style import COST_SCALE, GREY, VERMILION, new_figure

_ROLES = ("qkv", "query", "key", "value", "attention_output", "ffn_in", "ffn_gate", "ffn_out")
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
    rows = sorted({(event.role, event.matrix) for event in trial.freezing}, key=_order)
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
    figure.update_xaxes(
        title_text="layer", type="category", categoryorder="array", categoryarray=layers,
        showgrid=False, showline=False, ticks="",
    )  # fmt: skip
    figure.update_yaxes(
        type="category", categoryorder="array", categoryarray=names, autorange="reversed",
        showgrid=False, showline=False, ticks="",
    )  # fmt: skip
    return figure


def _order(row: tuple[str, str]) -> tuple[bool, int, str, str]:
    role, matrix = row
    stack, _, plain = role.rpartition(" ")  # "decoder cross query"
    known = _ROLES.index(plain) if plain in _ROLES else len(_ROLES)
    return (stack.startswith("decoder"), known, role, matrix)


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
