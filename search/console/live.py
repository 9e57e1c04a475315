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
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from search.console.front_plot import front_plot
from search.console.front_table import WIDE, front_table, in_table, one_line
from search.console.progress import Progress, overall, progress_of
from search.console.rows import Rows, share
from search.console.running_table import Running, running_table
from search.console.tasks_table import tasks_table
from search.console.terminal import in_foreground
from search.record import StudyRecord, TrialRecord
from search.results.places import places_of
from search.results.units import running_time

# From these sizes on there is an empty line within the frame, and more room beside it.
_HIGH, _USUAL = 32, 70
_SHORTEST_BAR, _LONGEST_BAR = 8, 40


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
        since: when the search began, in seconds since the epoch.
        hint: what Ctrl-C does.
        hears: whether :meth:`on_step` is told of first steps; a trial is then said to start until
            it takes one.
    """

    def __init__(
        self,
        studies: Sequence[Watched],
        slots: Callable[[], int],
        place: str,
        console: Console,
        since: float,
        hint: str = "Ctrl-C ends the search and says how to go on.",
        *,
        hears: bool = False,
    ) -> None:
        self._studies = studies
        self._slots = slots
        self._place = place
        self._console = console
        self._since = since
        self._hint = hint
        self._hears = hears
        self._stepped: dict[tuple[int, int], int] = {}
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

    def on_step(self, index: int, trial: TrialRecord) -> None:
        """A trial of the study at an index took the first step of an attempt."""
        self._stepped[index, trial.number] = len(trial.failures)

    def render(self, now: float) -> RenderableType:
        """What is shown at a time, in seconds since the epoch; no higher than the window."""
        width, height = self._console.size
        margins = (1 if height >= _HIGH else 0, 2 if width >= _USUAL else 1)
        inside, wide = width - 2 - 2 * margins[1], width >= WIDE
        # Two lines are the frame's, two the head's and one the hint's.
        free = height - 2 * margins[0] - 5
        records = [study.record() for study in self._studies]
        first, several = records[0], len(records) > 1
        running = [
            Running(record.task if several else "", trial, self._begun(index, trial))
            for index, record in enumerate(records)
            for trial in record.in_state("running")
        ]
        listed = len(records) if several else in_table(first)
        plot = not several and places_of(first) is not None
        room = share(free, len(running), listed, plot)
        slots = self._slots()
        progresses = [
            progress_of(record, watched.total, slots, now)
            for record, watched in zip(records, self._studies, strict=True)
        ]
        parts: list[RenderableType] = [self._head(records, progresses, slots, now, inside)]
        if room.running:
            parts.append(running_table(running, room.running, now, wide))
        if several and room.listed:
            endings = [study.ending() for study in self._studies]
            parts.append(tasks_table(records, progresses, endings, room.listed))
        elif not several:
            parts += _front(first, room, inside, wide)
            if not (listed or plot) and room.lines + 2 <= free:
                parts.append(Text("The front appears once a trial is complete.", style="dim"))
        parts.append(self._last(records))
        tasks = f"{len(records)} tasks" if several else first.task
        name = f"{first.name} · {tasks} · {first.model}"
        return Panel(
            Group(*(_spaced(parts) if room.spaced else parts)),
            title=Text(name, style="bold", overflow="ellipsis"),
            border_style="cyan",
            padding=margins,
        )

    def _begun(self, index: int, trial: TrialRecord) -> bool:
        if not self._hears or trial.rungs:
            return True
        return self._stepped.get((index, trial.number)) == len(trial.failures)

    def _head(
        self,
        records: Sequence[StudyRecord],
        progresses: Sequence[Progress],
        slots: int,
        now: float,
        width: int,
    ) -> RenderableType:
        progress = overall(progresses)
        left = progress.seconds_left
        done = one_line(f"{progress.done} of {progress.total} trials")
        done.stylize("bold")
        times = Text(f"{running_time(now - self._since)} so far", no_wrap=True, overflow="ellipsis")
        if left is not None:
            about = "about " if width >= _USUAL else ""
            times.append(", ").append(f"{about}{running_time(left)} left", style="bold")
        bar = min(_LONGEST_BAR, width - done.cell_len - times.cell_len - 4)
        cells: list[RenderableType] = [done]
        if bar >= _SHORTEST_BAR:
            total = max(1, progress.total)
            cells.append(ProgressBar(total=total, completed=progress.done, width=bar))
        line = Table.grid(padding=(0, 2))
        line.add_row(*cells, times)
        counts = ", ".join(
            f"{sum(len(record.in_state(state)) for record in records)} {state}"
            for state in ("complete", "pruned", "failed")
        )
        where = f"{counts} · {slots} at a time"
        if len(where) + len(self._place) < width:
            where += f" {self._place}"
        told = one_line(where)
        told.stylize("dim", len(counts))
        return Group(line, told)

    def _last(self, records: Sequence[StudyRecord]) -> Text:
        endings = [
            study.ending()
            for study, record in zip(self._studies, records, strict=True)
            if record.in_state("running")
        ]
        ending = endings[0] if endings and None not in endings else None
        last = one_line(f"Ending: {ending}. Trials are being stopped …" if ending else self._hint)
        last.stylize("yellow" if ending else "dim")
        return last


@contextmanager
def _without_echo_of_control_keys() -> Iterator[None]:
    """The terminal would print ^C into the panel, which then cannot be wiped whole."""
    if not in_foreground():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    quiet = termios.tcgetattr(sys.stdin)
    quiet[3] &= ~termios.ECHOCTL
    termios.tcsetattr(sys.stdin, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        # Whoever was put into the background meanwhile leaves the terminal to the shell.
        if in_foreground():
            termios.tcsetattr(sys.stdin, termios.TCSANOW, before)


def _front(study: StudyRecord, room: Rows, width: int, wide: bool) -> list[RenderableType]:
    table = front_table(study, "front", wide, rows=room.listed) if room.listed else None
    parts: list[RenderableType] = [table] if table is not None else []
    plot = front_plot(study, width, room.plot) if room.plot else None
    return [*parts, plot] if plot is not None else parts


def _spaced(parts: Sequence[RenderableType]) -> list[RenderableType]:
    """With an empty line between any two."""
    return [one for part in parts for one in (part, Text(""))][:-1]
