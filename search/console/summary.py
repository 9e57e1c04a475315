"""What is said when a search has ended: the front, and where everything lies."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from search.pareto.front import front
from search.record import StudyRecord
from search.results.units import readable, title
from search.results.writing import shown


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
    names = list(study.objectives)
    members = front(study.trials, names)
    counts = [
        f"{len(found)} {state}"
        for state in ("complete", "pruned", "failed")
        if (found := study.in_state(state))
    ]
    unfinished = len(study.in_state("running", "waiting"))
    if unfinished:
        counts.append(f"{unfinished} unfinished")
    if ending is not None:
        console.print(f"\n[yellow]Ended early: {escape(ending)}.[/]")
    console.print(f"\n{', '.join(counts) or 'no trial'}; {len(members)} on the front", style="bold")
    failed = study.in_state("failed")
    if failed:
        console.print(f"First failure, trial {failed[0].number}: {failed[0].reason}", markup=False)
    if members:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for column in ("front", "", *(title(name, study.metric) for name in names), "adapter"):
            table.add_column(column, justify="left" if column in {"front", ""} else "right")
        marked = [t for t in study.in_state("complete") if t.mark and t not in members]
        for trial in (*members, *marked):
            values = trial.values or {}
            member = trial in members
            table.add_row(
                f"{'●' if member else '○'} #{trial.number} {escape(trial.label)}",
                escape(trial.mark or ""),
                *(readable(name, values.get(name)) for name in names),
                trial.adapter or "",
                style="" if member else "dim",
            )
        console.print(table)
    place = shown(root)
    console.print(f"\nreport   {place}/report.html", markup=False, highlight=False, soft_wrap=True)
    console.print(
        f"compare  mlflow ui --backend-store-uri {tracking}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    if again is not None:
        console.print(f"go on    {again}", markup=False, highlight=False, soft_wrap=True)
