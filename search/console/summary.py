"""What is said when a search has ended: the front, and where everything lies."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape

from search.console.front_table import front_table
from search.pareto.front import front
from search.record import StudyRecord
from search.results.units import readable
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
    place = shown(root)
    console.print(f"\nreport   {place}/report.html", markup=False, highlight=False, soft_wrap=True)
    if study.disk_bytes is not None:
        size = readable("disk_bytes", study.disk_bytes)
        console.print(f"on disk  {place}, {size}", markup=False, highlight=False, soft_wrap=True)
    console.print(
        f"compare  mlflow ui --backend-store-uri {tracking}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    if again is not None:
        console.print(f"go on    {again}", markup=False, highlight=False, soft_wrap=True)
