"""The front as a table, with the marked trials that are not on it below."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from search.pareto.front import front
from search.record import StudyRecord
from search.results.units import readable, title


def front_table(
    study: StudyRecord, heading: str, rows: int | None = None, adapters: bool = False
) -> Table | None:
    """A table of the front.

    Args:
        study: the study as it is.
        heading: what stands over the configurations.
        rows: at most so many members are shown, the best scores; None shows all.
        adapters: with the folder of each adapter.

    Returns:
        None while the front is empty.
    """
    names = list(study.objectives)
    members = front(study.trials, names)
    if not members:
        return None
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(heading)
    table.add_column("")
    for name in names:
        table.add_column(title(name, study.metric), justify="right")
    if adapters:
        table.add_column("adapter")
    shown = members[:rows]
    marked = [t for t in study.in_state("complete") if t.mark and t not in shown]
    listed = (*shown, *marked)
    for trial in listed:
        values = trial.values or {}
        member = trial in members
        table.add_row(
            f"{'●' if member else '○'} #{trial.number} {escape(trial.label)}",
            escape(trial.mark or ""),
            *(readable(name, values.get(name)) for name in names),
            *([trial.adapter or ""] if adapters else []),
            style="" if member else "dim",
        )
    more = sum(member not in listed for member in members)
    if more:
        table.add_row(f"and {more} more")
    return table
