"""The time line of slots: who ran where and when, and what stopped it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from search.record import State, StudyRecord, TrialRecord
from search.results.figures.hover import escaped
from search.results.figures.style import GREY, SHADE, STATES, new_figure, say, time_unit
from search.results.figures.thinning import every
from search.results.figures.timeline import Timeline, timeline
from search.results.slots import Segment, Slot, busy_part
from search.results.units import GAP, duration

#: Trials that are drawn; of more, so many that are evenly spaced.
MOST = 900
#: So far from each other the lengths of cuts are written, as a part of the axis.
_BESIDE = 0.14
#: What a slot's name has room for.
_LONGEST_NAME = 16
#: Pixels: of a slot, of all of them together, and of the rest.
_ROW, _ROWS, _FRAME = (3.0, 30.0), 480.0, 110
#: Of a row, what a bar takes up.
_THICK = 0.8
#: A symbol's size in pixels; where so many share a row that they would touch on a phone, less.
_SYMBOL, _SYMBOLS = (4.0, 9.0), 300.0
#: Of the grey behind bars that are too many: nearer than this part of the axis, or a multiple of
#: it where more pieces than that would be left, two of them run into one another.
_NEAR, _MOST_STRETCHES = 1 / 500, 1_000


def slots_caption(study: StudyRecord, alone: bool = True) -> str | None:
    """How busy the slots were and what is not drawn; None where the figure shows nothing.

    Args:
        study: that is drawn.
        alone: whether the slots worked for it only; else how busy they were cannot be told.
    """
    line = timeline(study)
    if line is None:
        return None
    sentences = []
    placed = _by_trial(line.slots)
    part = busy_part(line.slots, line.cuts)
    if alone and part is not None and len(placed) > 1:
        # Rounded down: a hundred would say that nothing was lost.
        busy = f"{math.floor(100 * part)}{GAP}%"
        aside = ", cuts aside," if line.cuts else ""
        sentences.append(f"From first to last{aside} the slots were at work {busy} of the time.")
    if line.cuts:
        total = duration(sum(end - start for start, end in line.cuts))
        times = "once" if len(line.cuts) == 1 else f"{len(line.cuts)} times"
        sentences.append(f"The axis is cut {times}, where no slot worked for long: {total}.")
    if lacking := sum(t.number not in placed for t in study.trials if t.state != "waiting"):
        noun = "trial" if lacking == 1 else "trials"
        sentences.append(f"{lacking} {noun} came to no rung and cannot be drawn.")
    if len(drawn := _drawn(study, placed)) < len(placed):
        sentences.append(f"{len(drawn)} of {len(placed)} trials are in colour, the rest is grey.")
    return " ".join(sentences)


def slots_figure(study: StudyRecord) -> go.Figure:
    """A row for each slot, a bar for each stretch of work, and how the trial stands at its end."""
    line = timeline(study)
    if line is None:
        figure = new_figure(_FRAME)
        say(figure, "No trial has reached a rung yet.")
        return figure
    rows = len(line.slots)
    row = min(_ROW[1], max(_ROW[0], _ROWS / rows))
    figure = new_figure(round(_FRAME + row * rows))
    unit, seconds = time_unit(line.end - line.began)
    _add_cuts(figure, line, seconds)
    placed = _by_trial(line.slots)
    drawn = _drawn(study, placed)
    if len(drawn) < len(placed):
        _add_cover(figure, line, seconds, row)
    crowd = max(len(slot.segments) for slot in line.slots)
    size = max(_SYMBOL[0], min(_SYMBOL[1], 0.5 * row, _SYMBOLS / crowd))
    for state in STATES:
        if trials := [trial for trial in drawn if trial.state == state]:
            _add(figure, state, trials, placed, line, seconds, size)
    step = math.ceil(14 / row)
    right = line.place(line.end) / seconds or 1.0
    figure.update_layout(
        barmode="overlay",
        # So that the page knows whose names and ticks are too many for a phone.
        meta="slots",
        xaxis={
            "title": {"text": f"time since the start ({unit})"},
            "range": [-0.01 * right, 1.02 * right],
        },
        yaxis={
            "range": [rows - 0.4, -1.2 if line.cuts else -0.6],
            "tickvals": list(range(rows))[::step],
            "ticktext": _names(line.slots)[::step],
            "showgrid": False,
            "ticks": "",
        },
    )
    if line.cuts:
        figure.update_xaxes(**line.ticks(unit, seconds))
        if unit == "h":
            figure.update_xaxes(title_text="time since the start (h:min)")
    return figure


def _by_trial(slots: Sequence[Slot]) -> dict[int, list[tuple[int, Segment]]]:
    """Trial number → its segments with the rows that they are in, in the order of time."""
    found: dict[int, list[tuple[int, Segment]]] = {}
    for row, slot in enumerate(slots):
        for segment in slot.segments:
            found.setdefault(segment.trial, []).append((row, segment))
    return {number: sorted(pairs, key=lambda p: p[1].start) for number, pairs in found.items()}


def _drawn(
    study: StudyRecord, placed: Mapping[int, list[tuple[int, Segment]]]
) -> list[TrialRecord]:
    # Not one of those that end near each other, as elsewhere: short ones, which are those that
    # were stopped, would win.
    return every([trial for trial in study.trials if trial.number in placed], MOST)


def _add(
    figure: go.Figure,
    state: State,
    trials: Sequence[TrialRecord],
    placed: Mapping[int, list[tuple[int, Segment]]],
    line: Timeline,
    seconds: float,
    size: float,
) -> None:
    """Bars and, where each trial stands now, symbols of the trials in a state."""
    colour, symbol = STATES[state]
    bars = [
        (trial.number, lane, segment, _told(segment, line, index, len(placed[trial.number])))
        for trial in trials
        for index, (lane, segment) in enumerate(placed[trial.number], start=1)
    ]
    starts = [line.place(segment.start) / seconds for _, _, segment, _ in bars]
    ends = [line.place(segment.end) / seconds for _, _, segment, _ in bars]
    figure.add_bar(
        orientation="h",
        base=starts,
        x=[end - start for start, end in zip(starts, ends, strict=True)],
        y=[lane for _, lane, _, _ in bars],
        width=_THICK,
        name=state,
        legendgroup=state,
        showlegend=False,
        marker={"color": _fainter(colour), "line": {"color": colour, "width": 1}},
        customdata=[number for number, _, _, _ in bars],
        hovertext=[told for *_, told in bars],
        hoverinfo="none",
    )
    last = {
        number: (end, lane, told) for (number, lane, _, told), end in zip(bars, ends, strict=True)
    }
    figure.add_scatter(
        x=[end for end, _, _ in last.values()],
        y=[lane for _, lane, _ in last.values()],
        mode="markers",
        name=state,
        legendgroup=state,
        marker={"symbol": symbol, "size": size, "color": colour, "line": {"width": 1.5}}
        if symbol.endswith("-open")
        else {"symbol": symbol, "size": size, "color": colour},
        customdata=list(last),
        hovertext=[told for _, _, told in last.values()],
        hoverinfo="none",
    )


def _add_cover(figure: go.Figure, line: Timeline, seconds: float, row: float) -> None:
    """All that was worked in grey, behind bars that are too many to be drawn each."""
    near = _NEAR * line.shown
    while len(stretches := _run_together(line, near)) > _MOST_STRETCHES and near < line.shown:
        near *= 2
    xs: list[float | None] = []
    ys: list[float | None] = []
    for lane, start, end in stretches:
        xs += [start / seconds, end / seconds, None]
        ys += [lane, lane, None]
    figure.add_scatter(
        x=xs,
        y=ys,
        mode="lines",
        name="other trials",
        line={"color": "rgba(134,141,150,0.35)", "width": _THICK * row},
        hoverinfo="skip",
    )


def _run_together(line: Timeline, near: float) -> list[tuple[int, float, float]]:
    """Row, start and end on the axis of what is worked with no gap wider than ``near`` seconds."""
    stretches: list[tuple[int, float, float]] = []
    for lane, slot in enumerate(line.slots):
        for segment in slot.segments:
            start, end = line.place(segment.start), line.place(segment.end)
            if stretches and stretches[-1][0] == lane and start - stretches[-1][2] <= near:
                stretches[-1] = (lane, stretches[-1][1], end)
            else:
                stretches.append((lane, start, end))
    return stretches


def _add_cuts(figure: go.Figure, line: Timeline, seconds: float) -> None:
    """A band from top to bottom for each cut, with its length where there is room for it."""
    if not line.cuts:
        return
    bottom, top = len(line.slots) - 0.4, -0.6
    xs: list[float | None] = []
    ys: list[float | None] = []
    for start, end in line.cuts:
        left, right = line.place(start) / seconds, line.place(end) / seconds
        xs += [left, left, right, right, None]
        ys += [bottom, top, top, bottom, None]
    figure.add_scatter(
        x=xs,
        y=ys,
        mode="lines",
        fill="toself",
        fillcolor=SHADE,
        line={"color": GREY, "width": 1, "dash": "dot"},
        showlegend=False,
        hoverinfo="skip",
    )
    middles = [(line.place(a) + line.place(b)) / 2 for a, b in line.cuts]
    written: list[int] = []
    for index in sorted(range(len(middles)), key=lambda i: line.cuts[i][0] - line.cuts[i][1]):
        room = _BESIDE * line.place(line.end)
        if all(abs(middles[index] - middles[other]) >= room for other in written):
            written.append(index)
    lengths = [end - start for start, end in line.cuts]
    figure.add_scatter(
        x=[middle / seconds for middle in middles],
        y=[top - 0.3] * len(middles),
        mode="text",
        text=[_roughly(length) if i in written else "" for i, length in enumerate(lengths)],
        hovertext=[duration(length) for length in lengths],
        hovertemplate="no slot worked for %{hovertext}<extra></extra>",
        textfont={"size": 11},
        cliponaxis=False,
        showlegend=False,
    )


def _roughly(seconds: float) -> str:
    for unit, length in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 1.95 * length:
            return f"{seconds / length:.2g}{GAP}{unit}"
    return f"{seconds:.0f}{GAP}s"


def _told(segment: Segment, line: Timeline, index: int, of: int) -> str:
    start, end = (duration(max(0.0, t - line.began)) for t in (segment.start, segment.end))
    rungs = (
        f"rung {segment.first}"
        if segment.first == segment.last
        else f"rungs {segment.first} to {segment.last}"
    )
    part = f", stretch {index} of {of}" if of > 1 else ""
    return f"{start} to {end} after the start: {rungs}{part}"


def _names(slots: Sequence[Slot]) -> list[str]:
    hosts = {slot.host for slot in slots}
    if len(hosts) == 1:
        return [f"slot {slot.number}" for slot in slots]
    # An address is no name with a domain behind it.
    first = {host: host if host[:1].isdigit() else host.split(".")[0] for host in hosts}
    told = first if len(set(first.values())) == len(hosts) else {host: host for host in hosts}
    return [f"{escaped(_shortened(told[slot.host]))} · slot {slot.number}" for slot in slots]


def _shortened(host: str) -> str:
    """What tells hosts apart is as often at the end of their names as at the beginning."""
    if len(host) <= _LONGEST_NAME:
        return host or "unknown"
    half = (_LONGEST_NAME - 1) // 2
    return f"{host[:half]}…{host[-half:]}"


def _fainter(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.4)"
