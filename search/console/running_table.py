"""The trials that run, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from search.console.front_table import named, one_line
from search.record import TrialRecord
from search.results.units import MISSING, readable, running_time


@dataclass(frozen=True)
class Running:
    """A trial that runs.

    Attributes:
        task: of which task where there are several, else empty.
        trial: as it is.
        begun: whether it takes steps, as far as that is known; until then its worker starts.
    """

    task: str
    trial: TrialRecord
    begun: bool


def running_table(running: Sequence[Running], rows: int, now: float, wide: bool) -> Table:
    """A table of the first so many of them; the heading counts what is left out.

    Args:
        running: all of them.
        rows: at most so many are shown.
        now: in seconds since the epoch.
        wide: with name and mark, see :func:`search.console.front_table.named`.
    """
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    cut = f", {rows} of {len(running)}" if rows < len(running) else ""
    table.add_column(one_line(f"running{cut}"))
    if wide:
        table.add_column("")
    for column in ("done", "score", "parameters", "time"):
        table.add_column(column, justify="right", no_wrap=True)
    for one in running[:rows]:
        trial = one.trial
        rung = trial.rungs[-1] if trial.rungs else None
        first, *mark = named(trial, wide)
        done = f"{rung.fraction:.0%}" if rung else MISSING if one.begun else "starting"
        table.add_row(
            one_line(f"{one.task} {first}".strip()),
            *mark,
            done,
            readable("score", rung.measures.get("score") if rung else None),
            readable("trainable_params", rung.measures.get("trainable_params") if rung else None),
            running_time(now - trial.started) if trial.started else "",
        )
    return table
