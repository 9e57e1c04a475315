"""The tables of the reports: the front, what was confirmed, all trials; tasks and methods."""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass
from urllib.parse import quote

from search.flat import flattened, legible
from search.pareto.front import front
from search.record import State, StudyRecord, TrialRecord
from search.results.comparison import (
    BASE,
    Comparison,
    heads,
    params_of,
    published_of,
    shown,
    times_of,
)
from search.results.confirmed import Confirmation, Confirmed
from search.results.measured import best_of, extent, final, reason
from search.results.units import MISSING, duration, readable, title

_COUNTED: tuple[State, ...] = ("complete", "pruned", "failed")
#: A browser takes seconds to lay out more.
MOST_ROWS = 500
_ORDER = ("complete", "running", "paused", "waiting", "pruned", "failed")


@dataclass(frozen=True)
class Cell:
    """What a cell shows, and the number or text by which its column is sorted.

    Attributes:
        text: as people read it.
        key: a number for columns of numbers, else text; empty where nothing is known, which
            always goes last.
        kind: ``number``, ``text``, ``state``, ``configuration``, ``link``, or ``trial``: a number
            that opens one.
        mark: name of an enqueued configuration, shown beside the text.
        details: the settings behind a configuration, key and value.
        link: where a link leads.
    """

    text: str
    key: str
    kind: str = "text"
    mark: str | None = None
    details: tuple[tuple[str, str], ...] = ()
    link: str | None = None


@dataclass(frozen=True)
class Table:
    """Column titles with their kinds, and rows: number of the trial or else of the row, whether it
    is on the front, cells."""

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
                _trial(trial.number),
                _configuration(trial),
                *(_measure(trial, name) for name in names),
                _text(trial.adapter),
            ),
        )
        for trial in members
    )
    return Table(columns, rows)


def trials_table(study: StudyRecord) -> Table:
    """The trials: configuration, state, objectives at the last rung, progress, time, reason.

    All of them up to five hundred; of more the front, and of the others those with the best scores.
    """
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
                _trial(trial.number),
                Cell(trial.label, trial.label, "configuration", trial.mark),
                Cell(trial.state, str(_ORDER.index(trial.state)), "state"),
                *(_measure(trial, name) for name in names),
                _steps(trial),
                _number(_duration(extent(trial)), extent(trial)),
                _text(reason(trial)),
            ),
        )
        for trial in _listed(study, members)
    )
    return Table(columns, rows)


def _listed(study: StudyRecord, members: Set[int]) -> Sequence[TrialRecord]:
    if len(study.trials) <= MOST_ROWS:
        return study.trials

    def rank(trial: TrialRecord) -> tuple[bool, float]:
        score = final(trial, "score")
        return trial.number not in members, math.inf if score is None else -score

    kept = sorted(study.trials, key=rank)[: max(MOST_ROWS, len(members))]
    return sorted(kept, key=lambda trial: trial.number)


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
                _trial(member.trial),
                _configuration(trials[member.trial]),
                _number(f"{member.score.mean:.4f}", member.score.mean),
                _number(f"{member.score.low:.4f} … {member.score.high:.4f}", member.score.low),
                _number(_seeds(member, confirmation), len(member.scores)),
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


def _seeds(member: Confirmed, confirmation: Confirmation) -> str:
    own, of = len(member.scores), len(confirmation.seeds)
    return str(own) if own == of else f"{own} of {of}"


def report_of(task: str) -> str:
    """Where the report of a task lies, from the page over all tasks."""
    return f"{quote(task)}/report.html"


def tasks_table(studies: Sequence[StudyRecord]) -> Table:
    """The tasks of a run: how many trials came to what, and the best of them."""
    costs = [name for name in studies[0].objectives if name != "score"]
    columns = (
        ("task", "text"),
        ("metric", "text"),
        *((state, "number") for state in _COUNTED),
        ("on the front", "number"),
        ("best score", "number"),
        ("configuration", "text"),
        *((title(name), "number") for name in costs),
    )
    rows = []
    for index, study in enumerate(studies):
        best = best_of(study)
        counts = [len(study.in_state(state)) for state in _COUNTED]
        counts.append(len(front(study.trials, list(study.objectives))))
        unknown = [_number(MISSING, None), _text(None), *(_number(MISSING, None) for _ in costs)]
        cells = (
            Cell(study.task, study.task, "link", link=report_of(study.task)),
            _text(study.metric),
            *(_number(str(count), count) for count in counts),
            *(
                unknown
                if best is None
                else [
                    _measure(best, "score"),
                    _configuration(best),
                    *(_measure(best, name) for name in costs),
                ]
            ),
        )
        rows.append((index, False, cells))
    return Table(columns, tuple(rows))


def comparison_table(comparison: Comparison) -> Table:
    """Methods × tasks, with what the paper published where the model is the paper's."""
    columns = (
        ("method", "text"),
        ("trainable parameters", "number"),
        (f"training time, {BASE} = 1", "number"),
        *((f"{column}, {metric}", "number") for column, metric in heads(comparison)),
    )
    rows: list[tuple[int, bool, tuple[Cell, ...]]] = []
    for method, cells in comparison.rows.items():
        found = [cell for cell in cells if cell is not None]
        times = [cell.seconds_to_base for cell in found if cell.seconds_to_base is not None]
        row = (
            _text(method),
            _number(params_of(cells), min((cell.params for cell in found), default=None)),
            _number(times_of(cells), min(times, default=None)),
            *(_number(shown(cell), None if cell is None else cell.score.mean) for cell in cells),
        )
        rows.append((len(rows), False, row))
        published = published_of(comparison, method)
        if published is not None:
            millions, scores = published
            row = (
                _text(f"{method}, published"),
                _number(readable("trainable_params", millions * 1e6), millions * 1e6),
                _number(MISSING, None),
                *(_number(MISSING if s is None else f"{s:.4f}", s) for s in scores),
            )
            rows.append((len(rows), False, row))
    return Table(columns, tuple(rows))


def _trial(number: int) -> Cell:
    return Cell(str(number), repr(float(number)), "trial")


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
