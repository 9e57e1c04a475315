"""What a search does before its first trial, as it does it, and how long each part takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from search.console.plain import stamped
from search.console.terminal import redraws
from search.results.units import running_time

# What took longer is left standing with its time when it is over.
_WORTH_TELLING = 1.0


class Startup:
    """Says what is being done: in a terminal as a line that moves, else as a line for each part.

    Args:
        console: where it is said.

    Attributes:
        since: when it began, in seconds since the epoch.
    """

    def __init__(self, console: Console) -> None:
        self.since = time.time()
        self._console = console

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Say what the code below does, for example ``starting Ray``."""
        console = self._console
        if not redraws(console):
            print(stamped(time.time() - self.since, what), file=console.file, flush=True)
            yield
            return
        began = time.time()
        wheel = Spinner("dots" if console.encoding.startswith("utf") else "line", style="cyan")

        def now() -> Spinner:
            wheel.update(text=_line(what, time.time() - began))
            return wheel

        with Live(console=console, get_renderable=now, refresh_per_second=8, transient=True):
            yield
        took = time.time() - began
        if took >= _WORTH_TELLING:
            console.print(Text("· ", style="dim") + _line(what, took), style="dim")


def _line(what: str, seconds: float) -> Text:
    line = Text(f"{what}  {running_time(seconds)}", no_wrap=True, overflow="ellipsis")
    line.stylize("dim", len(what))
    return line
