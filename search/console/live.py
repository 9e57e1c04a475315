"""The live view of a search in a terminal."""

from __future__ import annotations

import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from search.console.front_table import front_table
from search.console.progress import Progress, overall, progress_of
from search.pareto.front import front
from search.record import StudyRecord, TrialRecord
from search.results.measured import best_of
from search.results.units import duration, readable

MOST_FRONT_ROWS = 10


@dataclass(frozen=True)
class Watched:
    """A study that is shown.

    Attributes:
        record: gives the study as it is now.
        ending: why the search is being ended, or None.
        total: trials in the budget.
    """

    record: Callable[[], StudyRecord]
    ending: Callable[[], str | None]
    total: int


class LiveView:
    """Overall progress, running trials, and the front so far with what the user enqueued.

    Of several studies the progress of each in place of the front.

    Args:
        studies: what is shown; at least one.
        slots: trials at a time, now.
        place: where trials run, one line.
        console: the terminal.
        hint: what Ctrl-C does.
    """

    def __init__(
        self,
        studies: Sequence[Watched],
        slots: Callable[[], int],
        place: str,
        console: Console,
        hint: str = "Ctrl-C ends the search, keeps what is done and says how to go on.",
    ) -> None:
        self._studies = studies
        self._slots = slots
        self._place = place
        self._hint = hint
        self._since = time.time()
        self._held = ExitStack()
        self._live = Live(
            console=console,
            get_renderable=lambda: self.render(time.time()),
            refresh_per_second=2,
            transient=True,
        )

    def __enter__(self) -> LiveView:
        self._held.enter_context(_without_echo_of_control_keys())
        self._held.enter_context(self._live)
        return self

    def __exit__(self, *exit: object) -> None:
        self._held.close()

    def on_trial(self, index: int, trial: TrialRecord) -> None:
        """The view looks by itself, twice a second."""

    def render(self, now: float) -> RenderableType:
        records = [study.record() for study in self._studies]
        first = records[0]
        parts: list[RenderableType] = [self._head(records, now)]
        if len(records) > 1:
            parts.append(self._tasks(records, now))
        running = [
            (record.task if len(records) > 1 else "", trial)
            for record in records
            for trial in record.in_state("running")
        ]
        if running:
            parts.append(_running(running, now))
        if len(records) == 1:
            parts.append(_front(first))
        endings = [
            study.ending()
            for study, record in zip(self._studies, records, strict=True)
            if record.in_state("running")
        ]
        ending = endings[0] if endings and None not in endings else None
        last = f"Ending: {ending}. Trials are being stopped …" if ending else self._hint
        parts.append(Text(last, style="yellow" if ending else "dim"))
        tasks = first.task if len(records) == 1 else f"{len(records)} tasks"
        name = f"{escape(first.name)} · {escape(tasks)} · {escape(first.model)}"
        return Panel(Group(*parts), title=f"[bold]{name}[/]", border_style="cyan", padding=(1, 2))

    def _progress(self, records: Sequence[StudyRecord], now: float) -> list[Progress]:
        return [
            progress_of(record, watched.total, self._slots(), now)
            for record, watched in zip(records, self._studies, strict=True)
        ]

    def _head(self, records: Sequence[StudyRecord], now: float) -> RenderableType:
        progress = overall(self._progress(records, now))
        left = progress.seconds_left
        counts = ", ".join(
            f"{sum(len(record.in_state(state)) for record in records)} {state}"
            for state in ("complete", "pruned", "failed")
        )
        line = Table.grid(padding=(0, 2))
        line.add_row(
            Text(f"{progress.done} of {progress.total} trials", style="bold"),
            ProgressBar(total=max(1, progress.total), completed=progress.done, width=30),
            Text(counts),
            Text(f"{duration(now - self._since)} so far"),
            Text(f"about {duration(left)} left" if left is not None else "", style="bold"),
        )
        where = Text(f"{self._slots()} at a time {self._place}\n", style="dim")
        return Group(line, where)

    def _tasks(self, records: Sequence[StudyRecord], now: float) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for column in ("task", "trials", "", "running", "front", "best score", ""):
            table.add_column(column, justify="left" if column in {"task", ""} else "right")
        progresses = self._progress(records, now)
        for record, watched, progress in zip(records, self._studies, progresses, strict=True):
            best = best_of(record)
            table.add_row(
                escape(record.task),
                f"{progress.done} of {progress.total}",
                ProgressBar(total=max(1, progress.total), completed=progress.done, width=16),
                str(len(record.in_state("running"))),
                str(len(front(record.trials, list(record.objectives)))),
                readable("score", best.measures["score"]) if best else "–",
                escape(watched.ending() or (best.label if best else "")),
            )
        table.add_row("")
        return table


@contextmanager
def _without_echo_of_control_keys() -> Iterator[None]:
    """The terminal would print ^C into the panel, which then cannot be wiped whole."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    quiet = termios.tcgetattr(sys.stdin)
    quiet[3] &= ~termios.ECHOCTL
    termios.tcsetattr(sys.stdin, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSANOW, before)


def _running(trials: Sequence[tuple[str, TrialRecord]], now: float) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("running", "", "done", "score", "parameters", "time"):
        table.add_column(column, justify="left" if column in {"running", ""} else "right")
    for task, trial in trials:
        rung = trial.rungs[-1] if trial.rungs else None
        table.add_row(
            f"{escape(task)} #{trial.number} {escape(trial.label)}".strip(),
            escape(trial.mark or ""),
            f"{rung.fraction:.0%}" if rung else "–",
            readable("score", rung.measures.get("score")) if rung else "–",
            readable("trainable_params", rung.measures.get("trainable_params")) if rung else "–",
            duration(now - trial.started) if trial.started else "",
        )
    table.add_row("")
    return table


def _front(study: StudyRecord) -> RenderableType:
    table = front_table(study, "front so far", rows=MOST_FRONT_ROWS)
    if table is None:
        return Text("The front appears once a trial is complete.\n", style="dim")
    table.add_row("")
    return table
