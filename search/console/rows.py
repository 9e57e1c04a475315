"""How the lines of a window are shared among what the live view shows."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from search.console.front_plot import AROUND

LEAST_PLOT = 3
# From so many lines on there are empty ones between the parts.
_ROOMY = 19
# Running trials, listed members and lines of points, to be reached one after the other.
_WANTED = ((2, 3, 0), (2, 3, 5), (4, 5, 7), (8, 8, 10), (16, 12, 14), (64, 20, 14))


@dataclass(frozen=True)
class Rows:
    """What there is room for.

    Attributes:
        running: trials that run, a line each below a heading.
        listed: members of the front, or tasks, a line each below a heading.
        plot: lines of points; 0 leaves the drawing out.
        spaced: whether an empty line stands before, between and after the parts.
    """

    running: int
    listed: int
    plot: int
    spaced: bool

    @property
    def lines(self) -> int:
        """How many lines all of it takes."""
        parts = [count + 1 for count in (self.running, self.listed) if count]
        parts += [self.plot + AROUND] if self.plot else []
        return sum(parts) + (len(parts) + 1 if self.spaced else 0)


def share(free: int, running: int, listed: int, plot: bool) -> Rows:
    """Share lines: first come a few trials and members, then the drawing, then more of each.

    Args:
        free: lines that there are.
        running: trials that could be shown.
        listed: members or tasks that could be.
        plot: whether there is anything to draw.
    """
    rows = Rows(0, 0, 0, spaced=free >= _ROOMY)
    for of_running, of_listed, of_plot in _WANTED:
        rows = _grown(rows, free, "running", min(running, of_running), 1)
        rows = _grown(rows, free, "listed", min(listed, of_listed), 1)
        rows = _grown(rows, free, "plot", of_plot if plot else 0, LEAST_PLOT)
    return rows


def _grown(rows: Rows, free: int, name: str, wanted: int, least: int) -> Rows:
    """With as many of one part as are wanted and fit, none or at least so many."""
    while (now := getattr(rows, name)) < wanted:
        more = dataclasses.replace(rows, **{name: max(now + 1, least)})
        if more.lines > free:
            break
        rows = more
    return rows
