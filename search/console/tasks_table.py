"""How far the tasks of a search are, as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.progress_bar import ProgressBar
from rich.table import Table

from search.console.front_table import one_line
from search.console.progress import Progress
from search.pareto.front import front
from search.record import StudyRecord
from search.results.measured import best_of
from search.results.units import readable

_BAR = 8


def tasks_table(
    studies: Sequence[StudyRecord],
    progresses: Sequence[Progress],
    endings: Sequence[str | None],
    rows: int,
) -> Table:
    """A table of the first so many of them; the heading counts what is left out.

    Args:
        studies: of each task, as it is.
        progresses: of each task.
        endings: why each is being ended, or None.
        rows: at most so many are shown.
    """
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    cut = f", {rows} of {len(studies)}" if rows < len(studies) else ""
    table.add_column(one_line(f"task{cut}"))
    table.add_column("trials", justify="right", no_wrap=True)
    table.add_column("")
    for column in ("running", "front", "best"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("")
    for study, progress, ending in list(zip(studies, progresses, endings, strict=True))[:rows]:
        best = best_of(study)
        table.add_row(
            one_line(study.task),
            f"{progress.done} of {progress.total}",
            ProgressBar(total=max(1, progress.total), completed=progress.done, width=_BAR),
            str(len(study.in_state("running"))),
            str(len(front(study.trials, list(study.objectives)))),
            readable("score", best.measures["score"] if best else None),
            one_line(ending or (best.label if best else "")),
        )
    return table
