"""What is said when a search has ended: the front, and where everything lies."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from search.console.front_table import front_table
from search.pareto.front import front
from search.pareto.knee import knee
from search.record import StudyRecord
from search.results.measured import best_of
from search.results.units import readable, title
from search.writing import shown


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
    unfinished = len(study.in_state("running", "paused", "waiting"))
    if unfinished:
        counts.append(f"{unfinished} unfinished")
    if ending is not None:
        console.print(f"\n[yellow]Ended early: {escape(ending)}.[/]")
    console.print(f"\n{', '.join(counts) or 'no trial'}; {len(members)} on the front", style="bold")
    failed = study.in_state("failed")
    if failed:
        console.print(f"First failure, trial {failed[0].number}: {failed[0].reason}", markup=False)
    table = front_table(study, "front", adapters=True)
    if table is not None:
        console.print(table)
    of_front = None
    if members:
        of_front = "knee" if knee(members, list(study.objectives)) is not None else "best"
    _say_where(root, study.disk_bytes, tracking, of_front, again, console)


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
    for study, ending in zip(studies, endings, strict=True):
        if ending is not None:
            console.print(f"\n[yellow]{escape(study.task)} ended early: {escape(ending)}.[/]")
        failed = study.in_state("failed")
        if failed:
            first = f"First failure on {study.task}, trial {failed[0].number}: {failed[0].reason}"
            console.print(first, markup=False)
    console.print()
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    costs = [name for name in studies[0].objectives if name != "score"]
    for name in ("task", "trials", "front", "best score", "", "of"):
        table.add_column(name, justify="left" if name in {"task", "", "of"} else "right")
    for name in costs:
        table.add_column(title(name), justify="right")
    for study in studies:
        best = best_of(study)
        table.add_row(
            escape(study.task),
            str(len(study.in_state("complete", "pruned", "failed"))),
            str(len(front(study.trials, list(study.objectives)))),
            readable("score", best.measures["score"]) if best else "–",
            escape(study.metric),
            escape(f"#{best.number} {best.label}" if best else ""),
            *(readable(name, best.measures.get(name)) if best else "–" for name in costs),
        )
    console.print(table)
    _say_where(root, disk_bytes, tracking, None, again, console)


def _say_where(
    root: Path,
    disk_bytes: int | None,
    tracking: str,
    worth_taking: str | None,
    again: str | None,
    console: Console,
) -> None:
    place = shown(root)
    lines = [f"\nreport   {place}/report.html"]
    if disk_bytes is not None:
        lines.append(f"on disk  {place}, {readable('disk_bytes', disk_bytes)}")
    lines.append(f"compare  mlflow ui --backend-store-uri {tracking}")
    if worth_taking is not None:
        export = (
            f"python -m search.export {shlex.quote(place)} --trial {worth_taking} --out adapter"
        )
        lines.append(f"export   {export}")
    if again is not None:
        lines.append(f"go on    {again}")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
