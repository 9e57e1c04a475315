"""The tables of the report: the front, what was confirmed, and all trials."""

from __future__ import annotations

from dataclasses import dataclass

from search.flat import flattened, legible
from search.pareto.front import front
from search.record import StudyRecord, TrialRecord
from search.results.confirmed import Confirmation
from search.results.measured import extent, final
from search.results.units import MISSING, duration, readable, title

_ORDER = ("complete", "running", "paused", "waiting", "pruned", "failed")


@dataclass(frozen=True)
class Cell:
    """What a cell shows, and the number or text by which its column is sorted.

    Attributes:
        text: as people read it.
        key: a number for columns of numbers, else text; empty where nothing is known, which
            always goes last.
        kind: ``number``, ``text``, ``state`` or ``configuration``.
        mark: name of an enqueued configuration, shown beside the text.
        details: the settings behind a configuration, key and value.
    """

    text: str
    key: str
    kind: str = "text"
    mark: str | None = None
    details: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Table:
    """Column titles with their kinds, and rows: trial number, on the front or not, cells."""

    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[int, bool, tuple[Cell, ...]], ...]


def front_table(study: StudyRecord) -> Table:
    """The front's members: configuration, objectives, folder of the adapter."""
    names = list(study.objectives)
    members = front(study.trials, names)
    columns = (
        ("trial", "number"),
        ("configuration", "text"),
        *((title(name, study.metric), "number") for name in names),
        ("adapter", "text"),
    )
    rows = tuple(
        (
            trial.number,
            True,
            (
                _number(str(trial.number), trial.number),
                _configuration(trial),
                *(_measure(trial, name) for name in names),
                _text(trial.adapter),
            ),
        )
        for trial in members
    )
    return Table(columns, rows)


def trials_table(study: StudyRecord) -> Table:
    """All trials: configuration, state, objectives at the last rung, progress, time, reason."""
    names = list(study.objectives)
    members = {trial.number for trial in front(study.trials, names)}
    columns = (
        ("trial", "number"),
        ("configuration", "text"),
        ("state", "text"),
        *((title(name, study.metric), "number") for name in names),
        ("steps", "number"),
        ("took", "number"),
        ("reason", "text"),
    )
    rows = tuple(
        (
            trial.number,
            trial.number in members,
            (
                _number(str(trial.number), trial.number),
                _configuration(trial),
                Cell(trial.state, str(_ORDER.index(trial.state)), "state"),
                *(_measure(trial, name) for name in names),
                _steps(trial),
                _number(_duration(extent(trial)), extent(trial)),
                _text(trial.reason),
            ),
        )
        for trial in study.trials
    )
    return Table(columns, rows)


def confirmed_table(study: StudyRecord, confirmation: Confirmation) -> Table:
    """What fresh seeds said: score with its interval, costs, and whom it is no better than."""
    trials = {trial.number: trial for trial in study.trials}
    costs = [name for name in study.objectives if name != "score"]
    columns = (
        ("trial", "number"),
        ("configuration", "text"),
        (f"{study.metric}, mean", "number"),
        ("95 % interval", "number"),
        ("seeds", "number"),
        ("in the search", "number"),
        *((title(name, study.metric), "number") for name in costs),
        ("no better than", "text"),
    )
    rows = tuple(
        (
            member.trial,
            member.on_front,
            (
                _number(str(member.trial), member.trial),
                _configuration(trials[member.trial]),
                _number(f"{member.score.mean:.4f}", member.score.mean),
                _number(f"{member.score.low:.4f} … {member.score.high:.4f}", member.score.low),
                _number(str(len(member.scores)), len(member.scores)),
                _number(readable("score", member.chosen_with), member.chosen_with),
                *(
                    _number(readable(name, member.measures[name]), member.measures[name])
                    for name in costs
                ),
                _text(
                    None
                    if member.no_better_than is None
                    else f"#{member.no_better_than} {trials[member.no_better_than].label}"
                ),
            ),
        )
        for member in confirmation.members
    )
    return Table(columns, rows)


def _number(text: str, value: float | None) -> Cell:
    return Cell(text, "" if value is None else repr(float(value)), "number")


def _text(text: str | None) -> Cell:
    return Cell(text or MISSING, text or "")


def _measure(trial: TrialRecord, name: str) -> Cell:
    value = final(trial, name)
    return _number(readable(name, value), value)


def _configuration(trial: TrialRecord) -> Cell:
    details = tuple((key, legible(value)) for key, value in flattened(trial.settings).items())
    label = trial.label or f"trial {trial.number}"
    return Cell(label, label, "configuration", trial.mark, details)


def _steps(trial: TrialRecord) -> Cell:
    if not trial.rungs:
        return _number(MISSING, None)
    step = trial.rungs[-1].step
    return _number(f"{step} / {trial.total_steps}" if trial.total_steps else str(step), step)


def _duration(seconds: float | None) -> str:
    return MISSING if seconds is None else duration(seconds)
