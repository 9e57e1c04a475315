"""The front drawn in characters: score up, a cost across on a logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.text import Text

from search.pareto.front import front
from search.pareto.knee import knee
from search.record import StudyRecord
from search.results.places import Places, places_of
from search.results.units import readable

#: Lines around the points: the legend above, the axis and its ends below.
AROUND = 3
_WIDEST = 112
_NARROWEST = 16
# Columns between zero, which a logarithmic axis lacks, and the least that lies on it.
_BESIDE_ZERO = 4


@dataclass(frozen=True)
class Mark:
    """How trials of a kind are drawn: never told apart by colour alone.

    Attributes:
        sign: one character.
        name: in the legend.
        style: rich's.
    """

    sign: str
    name: str
    style: str


KNEE = Mark("◆", "knee", "bold green")
FRONT = Mark("●", "front", "bold cyan")
COMPLETE = Mark("○", "complete", "")
PRUNED = Mark("▽", "pruned", "yellow")
#: What hides what in a cell: the first wins.
_ORDER = (KNEE, FRONT, COMPLETE, PRUNED)
_LINE = "dim"

Cell = tuple[int, int]


def front_plot(study: StudyRecord, width: int, height: int) -> Text | None:
    """The trials of a study as characters in a box, with the best score at each cost as a line.

    Args:
        study: of which complete and pruned trials are drawn, these on course for their full length.
        width: columns that there are; at most 112 are taken.
        height: lines of points; the drawing is :data:`AROUND` lines higher.

    Returns:
        None where no trial has a place yet, or where there is no room.
    """
    places = places_of(study)
    if places is None:
        return None
    names = list(study.objectives)
    members = front(study.trials, names)
    best = knee(members, names)
    xs, ys = [x for x, _ in places.at.values()], [y for _, y in places.at.values()]
    ends = {height - 1: readable("score", min(ys)), 0: readable("score", max(ys))}
    if min(ys) == max(ys):
        ends = {(height - 1) // 2: readable("score", min(ys))}
    margin = max(len(text) for text in ends.values()) + 1
    columns = min(width, _WIDEST) - margin - 1
    if columns < _NARROWEST or height < 2:
        return None

    across, up = _scale(xs, columns, places.x is not None), _scale(ys, height, False)

    def cell(number: int) -> Cell:
        x, y = places.at[number]
        return height - 1 - up(y), across(x)

    cells: dict[Cell, tuple[str, str]] = {}
    drawn = [trial.number for trial in members if trial.number in places.at]
    for at, sign in _steps([(places.at[number], cell(number)) for number in drawn], columns):
        cells[at] = (sign, _LINE)
    kinds = {
        trial.number: _kind(trial.number, trial.state, drawn, best.number if best else None)
        for trial in study.trials
        if trial.number in places.at
    }
    for mark in reversed(_ORDER):
        for number, kind in kinds.items():
            if kind is mark:
                cells[cell(number)] = (mark.sign, mark.style)

    present = [mark for mark in _ORDER if mark in kinds.values()]
    text = _legend(study.metric, present, best.number if best else None, margin + 1 + columns)
    for row in range(height):
        text.append("\n")
        text.append(f"{ends.get(row, ''):>{margin - 1}} ", "dim")
        text.append("┤" if row in ends else "│", _LINE)
        for column in range(columns):
            text.append(*cells.get((row, column), (" ", "")))
    text.append("\n" + " " * margin + "└" + "─" * columns, _LINE)
    text.append("\n" + " " * (margin + 1) + _below(places, xs, across, columns), "dim")
    return text


def _kind(number: int, state: str, members: Sequence[int], best: int | None) -> Mark:
    if state == "pruned":
        return PRUNED
    if number == best:
        return KNEE
    return FRONT if number in members else COMPLETE


def _scale(values: Sequence[float], cells: int, logarithmic: bool) -> Callable[[float], int]:
    """From a value to its cell: the least is in the first, the greatest in the last.

    Of values that are all alike it is the one in the middle.
    """
    known = [value for value in values if value > 0] if logarithmic else list(values)
    on_axis: Callable[[float], float] = math.log10 if logarithmic else float
    first = _BESIDE_ZERO if len(known) < len(values) and known else 0
    low, high = (on_axis(min(known)), on_axis(max(known))) if known else (0.0, 0.0)

    def cell(value: float) -> int:
        if logarithmic and value <= 0:
            return 0 if known else (cells - 1) // 2
        if high == low:
            return (first + cells - 1) // 2
        return first + round((on_axis(value) - low) / (high - low) * (cells - 1 - first))

    return cell


def _steps(
    members: Sequence[tuple[tuple[float, float], Cell]], columns: int
) -> list[tuple[Cell, str]]:
    """The line of the best score that a member reaches at each cost or less, to the right end."""
    line: list[tuple[Cell, str]] = []
    corner: Cell | None = None
    reached = -math.inf
    for (_, score), (row, column) in sorted(members, key=lambda one: (one[0][0], -one[0][1])):
        if score <= reached:
            continue
        if corner is not None:
            line += [((corner[0], at), "─") for at in range(corner[1], column)]
            line += [((at, column), "│") for at in range(row, corner[0])]
            line.append(((corner[0], column), "┘" if row < corner[0] else "─"))
        corner, reached = (row, column), score
    if corner is not None:
        line += [((corner[0], at), "─") for at in range(corner[1], columns)]
    return line


def _legend(metric: str, marks: Sequence[Mark], best: int | None, width: int) -> Text:
    """What is up and what the signs mean, as much of it as there is room for."""
    number = f" #{best}" if best is not None else ""
    tries = [("   ", metric, number), ("  ", metric, ""), (" ", metric, ""), (" ", "score", "")]
    for gap, heading, of_knee in tries:
        text = Text(heading)
        for mark in marks:
            text.append(gap)
            text.append(mark.sign, mark.style)
            text.append(f" {mark.name}{of_knee if mark is KNEE else ''}", "dim")
        if text.cell_len <= width:
            return text
    text.truncate(width, overflow="ellipsis")
    return text


def _below(
    places: Places, xs: Sequence[float], across: Callable[[float], int], columns: int
) -> str:
    """The ends of the axis across, and what it counts between them where that fits."""
    left, right = (
        readable(places.x, value) if places.x else f"#{value:.0f}" for value in (min(xs), max(xs))
    )
    what = places.x_title.partition(",")[0]
    titles = [places.x_title, what, ""]
    if places.x is not None:
        titles = [f"{places.x_title}, logarithmic", f"{what}, logarithmic", *titles]
    if min(xs) == max(xs):
        told = next(text for name in titles if len(text := f"{left} {name}") <= columns or not name)
        start = across(min(xs)) - len(told) // 2
        return " " * max(0, min(start, columns - len(told))) + told
    room = columns - len(left) - len(right) - 4
    what = next(name for name in titles if len(name) <= max(0, room))
    # In the middle of the axis where the ends leave it.
    start = max(len(left) + 2, (columns - len(what)) // 2)
    start = min(start, columns - len(right) - 2 - len(what))
    return (left.ljust(start) + what).ljust(columns - len(right)) + right
