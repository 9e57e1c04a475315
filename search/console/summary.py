"""What is said when a search has ended: the front, and where everything lies."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from search.console.front_plot import front_plot
from search.console.front_table import WIDE, front_table, heading_of, in_table, one_line
from search.console.taking import Taking, worth_taking
from search.pareto.front import front
from search.record import StudyRecord
from search.results.headline import no_better_than_constant, tasks_at_constant
from search.results.measured import best_of
from search.results.units import readable
from search.writing import shown

_PLOT_LINES = 8
# Lines of a summary with a drawing, those of the table's trials excepted: all is seen at once.
_BESIDE_TABLE = 25


def print_summary(
    study: StudyRecord,
    root: Path,
    tracking: str,
    ending: str | None,
    again: str | None,
    console: Console,
) -> None:
    """Print it.

    Args:
        study: as it ended.
        root: the run directory.
        tracking: MLflow's store.
        ending: why it ended before its budget was spent, or None.
        again: the command that goes on with it, or None.
        console: the terminal.
    """
    members = front(study.trials, list(study.objectives))
    counts = [
        f"{len(found)} {state}"
        for state in ("complete", "pruned", "failed")
        if (found := study.in_state(state))
    ]
    for states, word in ((("running", "paused"), "unfinished"), (("waiting",), "not begun")):
        if left := len(study.in_state(*states)):
            counts.append(f"{left} {word}")
    if ending is not None:
        console.print(f"\n[yellow]Ended early: {escape(ending)}.[/]")
    counted = f"{', '.join(counts) or 'no trial'}; {len(members)} on the front"
    if study.disk_bytes is not None:
        counted += f"; {readable('disk_bytes', study.disk_bytes)} on disk"
    console.print(f"\n{counted}", style="bold", highlight=False)
    failed = study.in_state("failed")
    if failed:
        console.print(f"First failure, trial {failed[0].number}: {failed[0].reason}", markup=False)
    wide = console.width >= WIDE
    table = front_table(study, "front", wide, adapters=wide)
    if table is not None:
        console.print(table)
    told = no_better_than_constant(study)
    lines = 0 if told is None else 1 + math.ceil(len(told) / console.width)
    if console.is_terminal and in_table(study) + lines + _BESIDE_TABLE <= console.height:
        plot = front_plot(study, console.width, _PLOT_LINES)
        if plot is not None:
            console.print()
            console.print(plot)
    if told is not None:
        console.print(f"\n{told}", style="yellow", markup=False, highlight=False)
    _say_where(root, tracking, worth_taking(study), None, again, console)


def print_overview(
    studies: Sequence[StudyRecord],
    root: Path,
    disk_bytes: int,
    tracking: str,
    endings: Sequence[str | None],
    again: str | None,
    console: Console,
) -> None:
    """Print what came of several tasks: the best of each, and where everything lies.

    Args:
        studies: as they ended.
        root: the run directory.
        disk_bytes: what all of it takes.
        tracking: MLflow's store.
        endings: why each ended before its budget was spent, or None.
        again: the command that goes on with the run, or None.
        console: the terminal.
    """
    wide = console.width >= WIDE
    for study, ending in zip(studies, endings, strict=True):
        if ending is not None:
            console.print(f"\n[yellow]{escape(study.task)} ended early: {escape(ending)}.[/]")
        failed = study.in_state("failed")
        if failed:
            first = f"First failure on {study.task}, trial {failed[0].number}: {failed[0].reason}"
            console.print(first, markup=False)
    told = f"{len(studies)} tasks; {readable('disk_bytes', disk_bytes)} on disk"
    console.print(f"\n{told}", style="bold", highlight=False)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    costs = [name for name in studies[0].objectives if name != "score"]
    table.add_column("task")
    for column in ("trials", "front", "best"):
        table.add_column(column, justify="right", no_wrap=True)
    if wide:
        table.add_column("")
    table.add_column("of")
    for name in costs:
        table.add_column(heading_of(name, studies[0].metric), justify="right", no_wrap=True)
    for study in studies:
        best = best_of(study)
        table.add_row(
            one_line(study.task),
            str(len(study.in_state("complete", "pruned", "failed"))),
            str(len(front(study.trials, list(study.objectives)))),
            readable("score", best.measures["score"] if best else None),
            *([one_line(study.metric)] if wide else []),
            one_line(f"#{best.number} {best.label}" if best else ""),
            *(readable(name, best.measures.get(name) if best else None) for name in costs),
        )
    console.print(table)
    for sentence in tasks_at_constant(studies):
        console.print(f"\n{sentence}", style="yellow", markup=False, highlight=False)
    found = [(study.task, taking) for study in studies if (taking := worth_taking(study))]
    task, taking = found[0] if found else (None, None)
    _say_where(root, tracking, taking, task, again, console)


def _say_where(
    root: Path,
    tracking: str,
    taking: Taking | None,
    task: str | None,
    again: str | None,
    console: Console,
) -> None:
    """Why which member is worth taking, and last the lines that a person wants next."""
    place = shown(root)
    kept = taking is not None and taking.trial.adapter is not None
    if taking is not None:
        of_task = f"Of {task}: " if task is not None else ""
        later = "" if kept else " Its adapter is kept when the search ends."
        console.print(f"\n{of_task}{taking.why}{later}", markup=False, highlight=False)
    lines = [f"go on   {again}"] if again is not None else []
    lines.append(f"report  {place}/report.html")
    served = tracking.startswith(("http://", "https://"))
    serve = f"mlflow ui --backend-store-uri {shlex.quote(tracking)}"
    lines.append(f"MLflow  {tracking if served else serve}")
    if taking is not None and kept:
        of_task = f" --task {shlex.quote(task)}" if task is not None else ""
        lines.append(
            f"export  python -m search.export {shlex.quote(place)}{of_task} "
            f"--trial {taking.word} --out adapter"
        )
    console.print()
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
