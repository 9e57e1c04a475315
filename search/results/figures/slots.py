"""The time line of slots: who ran where and when, and what stopped it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from search.record import State, StudyRecord, TrialRecord
from search.results.figures.hover import escaped
from search.results.figures.style import GREY, SHADE, STATES, new_figure, say, time_unit
from search.results.figures.thinning import thinned
from search.results.slots import Segment, Slot, busy_part, idle, packed, segments_of
from search.results.units import GAP, duration

#: Trials of a state that are drawn; of more, so many that lie where all of them do.
MOST = 300
#: A time in which no slot worked is cut out where it is longer than this part of all that was
#: worked, and than a minute.
_LONG, _SHORTEST = 0.05, 60.0
#: So wide a cut is drawn, and so far from each other their lengths are written, as parts of the
#: axis.
_CUT, _BESIDE = 0.02, 0.14
_TICKS = 7
_DAY = 86400.0
_STEPS = (1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0,
          7200.0, 10800.0, 21600.0, 43200.0, _DAY)  # fmt: skip
#: What a slot's name has room for.
_LONGEST_NAME = 16
#: Pixels: of a slot, of all of them together, and of the rest.
_ROW, _ROWS, _FRAME = (3.0, 30.0), 480.0, 110
#: Of a row, what a bar takes up.
_THICK = 0.8
#: A symbol's size in pixels; where so many share a row that they would touch on a phone, less.
_SYMBOL, _SYMBOLS = (4.0, 9.0), 300.0
#: Nearer than this part of the axis two stretches of a slot run into one another.
_NEAR = 1 / 1500


@dataclass(frozen=True)
class Timeline:
    """All that the figure and the words below it tell of.

    Attributes:
        slots: of all hosts.
        began: seconds since the epoch; the axis begins there.
        cuts: start and end of each time that is cut out.
    """

    slots: tuple[Slot, ...]
    began: float
    cuts: tuple[tuple[float, float], ...]

    @property
    def segments(self) -> list[Segment]:
        return [segment for slot in self.slots for segment in slot.segments]

    @property
    def end(self) -> float:
        """Seconds since the epoch."""
        return max(segment.end for segment in self.segments)

    @property
    def shown(self) -> float:
        """Seconds that are not cut out."""
        return self.end - self.began - sum(end - start for start, end in self.cuts)

    def place(self, moment: float) -> float:
        """Seconds from the left end of the axis to where a moment is drawn."""
        place = moment - self.began
        for start, end in self.cuts:
            if moment > start:
                place -= min(moment, end) - start
                place += _CUT * self.shown * min(1.0, (moment - start) / (end - start))
        return place


def timeline(study: StudyRecord) -> Timeline | None:
    """The time line of a study; None while nothing of it is known."""
    slots = packed(
        [segment for trial in study.trials for segment in segments_of(trial)],
        {trial.number for trial in study.in_state("running")},
    )
    if not slots:
        return None
    starts = [trial.started for trial in study.trials if trial.started is not None]
    began = min([*starts, *(slot.segments[0].start for slot in slots)])
    end = max(slot.segments[-1].end for slot in slots)
    worked = end - began - sum(b - a for a, b in idle(slots, began, 0.0))
    cuts = idle(slots, began, max(_SHORTEST, _LONG * worked))
    return Timeline(tuple(slots), began, tuple(cuts))


def slots_caption(study: StudyRecord) -> str:
    """How busy the slots were and what was cut out; empty where the figure shows nothing."""
    line = timeline(study)
    if line is None:
        return ""
    sentences = []
    part = busy_part(line.slots, line.cuts)
    if part is not None and len(line.segments) > 1:
        # Rounded down: a hundred would say that nothing was lost.
        busy = f"{math.floor(100 * part)}{GAP}%"
        aside = ", cuts aside," if line.cuts else ""
        sentences.append(f"From first to last{aside} the slots were at work {busy} of the time.")
    if line.cuts:
        total = duration(sum(end - start for start, end in line.cuts))
        times = "once" if len(line.cuts) == 1 else f"{len(line.cuts)} times"
        sentences.append(f"The axis is cut {times}, where no slot worked for long: {total}.")
    drawn = {segment.trial for segment in line.segments}
    begun = [trial for trial in study.trials if trial.state != "waiting"]
    if lacking := sum(trial.number not in drawn for trial in begun):
        noun = "trial" if lacking == 1 else "trials"
        sentences.append(f"{lacking} {noun} came to no rung and cannot be drawn.")
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
    drawn = {
        state: thinned(trials, {t.number: _last(placed[t.number], line) for t in trials}, MOST)
        for state in STATES
        if (trials := [t for t in study.in_state(state) if t.number in placed])
    }
    if sum(map(len, drawn.values())) < len(placed):
        _add_cover(figure, line, seconds, row)
    crowd = max(len(slot.segments) for slot in line.slots)
    size = max(_SYMBOL[0], min(_SYMBOL[1], 0.5 * row, _SYMBOLS / crowd))
    for state, trials in drawn.items():
        _add(figure, state, trials, placed, line, seconds, size)
    names = _names(line.slots)
    named = "h:min" if line.cuts and unit == "h" else unit
    step = math.ceil(14 / row)
    figure.update_layout(
        barmode="overlay",
        # So that the page knows whose names and ticks are too many for a phone.
        meta="slots",
        xaxis={
            "title": {"text": f"time since the start ({named})"},
            "range": [
                -0.01 * line.place(line.end) / seconds,
                1.02 * line.place(line.end) / seconds,
            ],
            **(_ticks(line, unit, seconds) if line.cuts else {}),
        },
        yaxis={
            "range": [rows - 0.4, -1.2 if line.cuts else -0.6],
            "tickvals": list(range(rows))[::step],
            "ticktext": names[::step],
            "showgrid": False,
            "ticks": "",
        },
    )
    return figure


def _by_trial(slots: Sequence[Slot]) -> dict[int, list[tuple[int, Segment]]]:
    """Trial number → its segments with the rows that they are in, in the order of time."""
    found: dict[int, list[tuple[int, Segment]]] = {}
    for row, slot in enumerate(slots):
        for segment in slot.segments:
            found.setdefault(segment.trial, []).append((row, segment))
    return {number: sorted(pairs, key=lambda p: p[1].start) for number, pairs in found.items()}


def _last(found: Sequence[tuple[int, Segment]], line: Timeline) -> tuple[float, float]:
    row, segment = found[-1]
    return line.place(segment.end), float(row)


def _add(
    figure: go.Figure,
    state: State,
    trials: Sequence[TrialRecord],
    placed: dict[int, list[tuple[int, Segment]]],
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
    xs: list[float | None] = []
    ys: list[float | None] = []
    for lane, slot in enumerate(line.slots):
        stretches: list[tuple[float, float]] = []
        for segment in slot.segments:
            start, end = line.place(segment.start), line.place(segment.end)
            if stretches and start - stretches[-1][1] <= near:
                stretches[-1] = (stretches[-1][0], end)
            else:
                stretches.append((start, end))
        for start, end in stretches:
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


def _ticks(line: Timeline, unit: str, seconds: float) -> dict[str, list[float] | list[str]]:
    """Round times since the search began, where the axis is not cut and there is room for them."""
    least = line.shown / _TICKS
    step = next((length for length in _STEPS if length >= least), math.ceil(least / _DAY) * _DAY)
    places: list[float] = []
    texts: list[str] = []
    edges = [line.began, *(edge for cut in line.cuts for edge in cut), line.end]
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        first = math.ceil((start - line.began) / step)
        last = math.floor((end - line.began) / step)
        for count in range(first, last + 1):
            place = line.place(line.began + count * step)
            if not places or place - places[-1] * seconds >= 0.8 * least:
                places.append(place / seconds)
                texts.append(_tick(count * step, unit, seconds))
    return {"tickvals": places, "ticktext": texts}


def _tick(time: float, unit: str, seconds: float) -> str:
    if unit != "h":
        return f"{time / seconds:g}"
    return f"{time // 3600:.0f}:{time % 3600 / 60:02.0f}"


def _told(segment: Segment, line: Timeline, index: int, of: int) -> str:
    start, end = (duration(max(0.0, t - line.began)) for t in (segment.start, segment.end))
    rungs = (
        f"rung {segment.first}"
        if segment.first == segment.last
        else f"rungs {segment.first} to {segment.last}"
    )
    part = f", stretch {index} of {of}" if of > 1 else ""
    return f"{start} to {end} after the search began: {rungs}{part}"


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
