"""The live view of a search in a terminal."""

from __future__ import annotations

import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from search.console.front_table import front_table
from search.console.progress import progress_of
from search.record import StudyRecord, TrialRecord
from search.results.units import duration, readable

MOST_FRONT_ROWS = 10


class LiveView:
    """Overall progress, running trials, and the front so far with what the user enqueued.

    Args:
        record: gives the study as it is now.
        ending: why the search is being ended, or None.
        total: trials in the budget.
        slots: trials at a time.
        place: where trials run, one line.
        console: the terminal.
    """

    def __init__(
        self,
        record: Callable[[], StudyRecord],
        ending: Callable[[], str | None],
        total: int,
        slots: int,
        place: str,
        console: Console,
    ) -> None:
        self._record = record
        self._ending = ending
        self._total = total
        self._slots = slots
        self._place = place
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

    def on_trial(self, trial: TrialRecord) -> None:
        """The view looks by itself, twice a second."""

    def render(self, now: float) -> RenderableType:
        study = self._record()
        parts: list[RenderableType] = [self._head(study, now)]
        running = study.in_state("running")
        if running:
            parts.append(_running(running, now))
        parts.append(_front(study))
        ending = self._ending()
        last = (
            f"Ending: {ending}. Trials are being stopped …"
            if ending
            else "Ctrl-C ends the search, keeps what is done and says how to go on."
        )
        parts.append(Text(last, style="yellow" if ending else "dim"))
        name = f"{escape(study.name)} · {escape(study.task)} · {escape(study.model)}"
        return Panel(Group(*parts), title=f"[bold]{name}[/]", border_style="cyan", padding=(1, 2))

    def _head(self, study: StudyRecord, now: float) -> RenderableType:
        progress = progress_of(study, self._total, self._slots, now)
        left = progress.seconds_left
        counts = ", ".join(
            f"{len(study.in_state(state))} {state}" for state in ("complete", "pruned", "failed")
        )
        line = Table.grid(padding=(0, 2))
        line.add_row(
            Text(f"{progress.done} of {progress.total} trials", style="bold"),
            ProgressBar(total=max(1, progress.total), completed=progress.done, width=30),
            Text(counts),
            Text(f"{duration(now - self._since)} so far"),
            Text(f"about {duration(left)} left" if left is not None else "", style="bold"),
        )
        where = Text(f"{self._slots} at a time {self._place}\n", style="dim")
        return Group(line, where)


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


def _running(trials: tuple[TrialRecord, ...], now: float) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("running", "", "done", "score", "parameters", "time"):
        table.add_column(column, justify="left" if column in {"running", ""} else "right")
    for trial in trials:
        rung = trial.rungs[-1] if trial.rungs else None
        table.add_row(
            f"#{trial.number} {escape(trial.label)}",
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
