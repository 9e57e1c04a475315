"""Methods against each other over tasks: the table that a comparison comes down to."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from search.record import StudyRecord, TrialRecord
from search.results.confirmed import Confirmation, Confirmed
from search.results.latex import escaped, floating_table, score_cell
from search.results.measured import method_title
from search.results.noise import Interval
from search.results.published import MODEL, PUBLISHED
from search.results.units import GAP, MISSING, readable
from search.spec.tasks import METRIC_TITLES, TASKS
from search.writing import write_atomically

METHODS = ("full", "lora", "adalora", "vera", "sora", "elora", "aflora", "head")
BASE = "lora"
_GLUE = tuple(TASKS)


@dataclass(frozen=True)
class Cell:
    """The best configuration of a method on a task.

    Attributes:
        trial: its number in that task's search.
        label: a short name made of its settings.
        score: mean over fresh seeds with its interval.
        params: trainable parameters, average over steps and seeds.
        seconds: of training, mean over seeds.
        seconds_to_base: the same as a multiple of the best LoRA's on the task; None without one.
        best: number of the trial that came first in the search, where that is another.
        seeds: how many it was trained with.
    """

    trial: int
    label: str
    score: Interval
    params: float
    seconds: float
    seconds_to_base: float | None
    best: int | None
    seeds: int


@dataclass(frozen=True)
class Comparison:
    """Methods × tasks.

    Attributes:
        model: the backbone.
        tasks: task, metric, split, rows and seeds of each column.
        rows: method → cell of each task; None where it was not confirmed there.
        flattered: tasks whose configurations were chosen on the rows that they are measured on.
    """

    model: str
    tasks: tuple[tuple[str, str, str, int, int], ...]
    rows: dict[str, tuple[Cell | None, ...]]
    flattered: tuple[str, ...] = ()


def compare_methods(
    runs: Sequence[tuple[StudyRecord, Confirmation]], places: Sequence[str] = ()
) -> Comparison:
    """Of every method on every task the configuration that scored best in the search.

    It was chosen by the search's score, never by that of the fresh seeds, so that what is told of
    it is not flattered, unless the search chose on the same rows. Where the method's best was not
    confirmed the cell says which it is.

    Args:
        runs: what was searched, and confirmed on a split of its task.
        places: what each is called where two cannot be told apart; or none.

    Raises:
        ValueError: there is nothing to compare, the runs have different models, or two have one
            task and split.
    """
    if not runs:
        raise ValueError("nothing was confirmed; python -m search.confirm RUN does so")
    models = list(dict.fromkeys(study.model for study, _ in runs))
    if len(models) > 1:
        raise ValueError(f"the runs have different models: {', '.join(models)}")
    columns = sorted(runs, key=lambda run: (_order(run[0].task), run[1].split))
    holders: dict[tuple[str, str], int] = {}
    for index, (study, confirmation) in enumerate(runs):
        before = holders.setdefault((study.task, confirmation.split), index)
        if before != index:
            which = f": {places[before]} and {places[index]}" if places else ""
            raise ValueError(f"two runs are of the task {study.task}{which}")
    top = [_best_of_search(study) for study, _ in columns]
    best = [_best(*column) for column in columns]
    found = set().union(*top, *best)
    order = [method for method in METHODS if method in found]
    order += sorted(found - set(order))
    return Comparison(
        models[0],
        tuple((study.task, study.metric, c.split, c.rows, len(c.seeds)) for study, c in columns),
        {
            method: tuple(
                _cell(of_task, method, first.get(method))
                for of_task, first in zip(best, top, strict=True)
            )
            for method in order
        },
        tuple(dict.fromkeys(study.task for study, c in columns if not c.apart)),
    )


def _order(task: str) -> tuple[int, str]:
    return (_GLUE.index(task) if task in _GLUE else len(_GLUE), task)


def _best(
    study: StudyRecord, confirmation: Confirmation
) -> dict[str, tuple[Confirmed, TrialRecord]]:
    """Of what was confirmed of each method, what scored best in the search, and its trial there.

    What breaks a limit only where nothing else was confirmed.
    """
    trials = {trial.number: trial for trial in study.trials}
    best: dict[str, tuple[Confirmed, TrialRecord]] = {}
    for member in sorted(confirmation.members, key=lambda member: member.trial):
        trial, held = trials[member.trial], best.get(member.method)
        # By what the search knew: the score of fresh seeds is what it is told with.
        if held is None or _worth(trial) > _worth(held[1]):
            best[member.method] = member, trial
    return best


def _best_of_search(study: StudyRecord) -> dict[str, TrialRecord]:
    best: dict[str, TrialRecord] = {}
    for trial in study.in_state("complete"):
        held = best.get(method_title(trial))
        if trial.feasible and (held is None or _key(trial) > _key(held)):
            best[method_title(trial)] = trial
    return best


def _key(trial: TrialRecord) -> tuple[float, float]:
    return trial.measures["score"], -trial.measures["trainable_params"]


def _worth(trial: TrialRecord) -> tuple[bool, tuple[float, float]]:
    return trial.feasible, _key(trial)


def _cell(
    best: Mapping[str, tuple[Confirmed, TrialRecord]], method: str, top: TrialRecord | None
) -> Cell | None:
    if method not in best:
        return None
    member, trial = best[method]
    seconds = member.measures["train_seconds"]
    base = best[BASE][0].measures["train_seconds"] if BASE in best else None
    # Of several with one score, none came before the others.
    beaten = top is not None and (
        not trial.feasible or top.measures["score"] > trial.measures["score"]
    )
    return Cell(
        member.trial,
        member.label,
        member.score,
        member.measures["trainable_params"],
        seconds,
        None if base is None else seconds / base,
        top.number if top is not None and beaten else None,
        len(member.scores),
    )


def heads(comparison: Comparison) -> list[tuple[str, str]]:
    """Name and metric of each column; of a task with several splits the name tells the split."""
    named = [task for task, *_ in comparison.tasks]
    return [
        (f"{task} {split.removeprefix('validation_')}" if named.count(task) > 1 else task, metric)
        for task, metric, split, *_ in comparison.tasks
    ]


def published_of(comparison: Comparison, method: str) -> tuple[float, list[float | None]] | None:
    """Millions of parameters and scores that the paper gives, where its model is ours."""
    if comparison.model != MODEL or method not in PUBLISHED:
        return None
    millions, scores = PUBLISHED[method]
    # A figure of another metric than the paper's has nothing to stand beside.
    values = [
        scores.get(column)
        if task in TASKS and metric == METRIC_TITLES[TASKS[task].metric]
        else None
        for (column, metric), (task, *_) in zip(heads(comparison), comparison.tasks, strict=True)
    ]
    return millions, [None if value is None else value / 100 for value in values]


def caption(comparison: Comparison) -> str:
    """How the figures of a comparison came about, and what to know of single cells."""
    others = []
    for method, cells in comparison.rows.items():
        for (column, _), cell, (*_, seeds) in zip(
            heads(comparison), cells, comparison.tasks, strict=True
        ):
            if cell is not None and cell.best is not None:
                what = f"trial {cell.best} came first in the search and lacks two fresh seeds"
                others.append(f"{method} on {column}: {what}")
            if cell is not None and cell.seeds < seeds:
                what = f"{cell.seeds} of {seeds} seeds, the others failed or were not run"
                others.append(f"{method} on {column}: {what}")
    flattered = ""
    if comparison.flattered:
        columns = ", ".join(comparison.flattered)
        flattered = f" On {columns} configurations were chosen on the same rows, which flatters."
    about = "; ".join(
        f"{task}: {split}, {rows} rows, {seeds} seeds"
        for task, _, split, rows, seeds in comparison.tasks
    )
    return (
        f"{comparison.model}. Of each method the configuration that scored best in the search, "
        "trained again with fresh seeds; mean and 95 % interval, over rows by a bootstrap and over "
        f"seeds by Student's t ({about}). Trainable parameters are averages over "
        f"steps, the head left out; training time is relative to {BASE}'s on the same task. Both "
        f"are ranges over tasks.{flattered}" + "".join(f" * {other}." for other in others)
    )


def as_markdown(comparison: Comparison) -> str:
    """The table as people read it, with the paper's rows where the model is the paper's."""
    titles = [f"{column}<br>{metric}" for column, metric in heads(comparison)]
    lines = [
        "| method | trainable parameters | training time | " + " | ".join(titles) + " |",
        "| --- | --- | --- |" + " --- |" * len(titles),
    ]
    for method, cells in comparison.rows.items():
        told = " | ".join(shown(cell).replace("*", "\\*") for cell in cells)
        lines.append(f"| {method} | {params_of(cells)} | {times_of(cells)} | {told} |")
        published = published_of(comparison, method)
        if published is not None:
            millions, scores = published
            told = " | ".join(MISSING if score is None else f"{score:.4f}" for score in scores)
            lines.append(f"| {method}, published | {millions:g} M | {MISSING} | {told} |")
    return "\n".join([*lines, "", caption(comparison).replace("*", "\\*")]) + "\n"


def as_latex(comparison: Comparison) -> str:
    """The same table for a paper, with its caption."""
    columns = heads(comparison)
    rows = []
    for method, cells in comparison.rows.items():
        own = [method, params_of(cells), times_of(cells)]
        rows.append([escaped(text) for text in own] + [_score(cell) for cell in cells])
        published = published_of(comparison, method)
        if published is not None:
            millions, scores = published
            told = [MISSING if score is None else f"{score:.4f}" for score in scores]
            own = [f"{method}, published", f"{millions:g}{GAP}M", MISSING, *told]
            rows.append([escaped(text) for text in own])
    return floating_table(
        "lrr" + "c" * len(columns),
        [
            ["method", "trainable", "training", *(escaped(column) for column, _ in columns)],
            ["", "parameters", "time", *(escaped(metric) for _, metric in columns)],
        ],
        rows,
        caption(comparison),
    )


def _score(cell: Cell | None) -> str:
    if cell is None:
        return escaped(MISSING)
    score = cell.score
    return score_cell(score.mean, score.low, score.high, star=cell.best is not None)


def shown(cell: Cell | None) -> str:
    """Mean and interval; with a star where another configuration had scored better."""
    if cell is None:
        return MISSING
    star = "" if cell.best is None else " *"
    return f"{cell.score.mean:.4f} ({cell.score.low:.4f} … {cell.score.high:.4f}){star}"


def params_of(cells: Sequence[Cell | None]) -> str:
    """Trainable parameters over all tasks."""
    values = [cell.params for cell in cells if cell is not None]
    if not values:
        return MISSING
    ends = [readable("trainable_params", value) for value in (min(values), max(values))]
    return ends[0] if ends[0] == ends[1] else " … ".join(ends)


def times_of(cells: Sequence[Cell | None]) -> str:
    """Training time over all tasks, as a multiple."""
    values = [c.seconds_to_base for c in cells if c is not None and c.seconds_to_base is not None]
    if not values:
        return MISSING
    ends = [f"{value:.2f} ×" for value in (min(values), max(values))]
    return ends[0] if ends[0] == ends[1] else " … ".join(ends)


def write_comparison(comparison: Comparison, root: Path) -> list[Path]:
    """Write ``table.md``, ``table.tex`` and ``table.csv``: a row for each method and task."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["method", "task", "metric", "split", "rows", "seeds", "trial", "label", "mean", "low",
         "high", "trainable_params", "train_seconds", "seconds_to_lora"]
    )  # fmt: skip
    for method, cells in comparison.rows.items():
        for about, cell in zip(comparison.tasks, cells, strict=True):
            if cell is not None:
                values = (cell.trial, cell.label, cell.score.mean, cell.score.low, cell.score.high,
                          cell.params, cell.seconds, cell.seconds_to_base)  # fmt: skip
                row = [method, *about[:-1], cell.seeds, *values]
                writer.writerow(["" if value is None else value for value in row])
    contents = {
        root / "table.md": as_markdown(comparison),
        root / "table.tex": as_latex(comparison),
        root / "table.csv": text.getvalue(),
    }
    for path, content in contents.items():
        write_atomically(path, content)
    return list(contents)
