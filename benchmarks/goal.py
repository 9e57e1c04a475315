"""What a benchmark is to reach, beside what it measured."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from search.provenance import provenance
from search.writing import write_atomically


@dataclass(frozen=True)
class Goal:
    """A figure and its bound.

    Attributes:
        what: is measured, with its unit.
        measured: the figure.
        at_most: it is met at or below this, or
        at_least: at or above this.
        low, high: of its 95 % interval, where it has one.
    """

    what: str
    measured: float
    at_most: float | None = None
    at_least: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def met(self) -> bool:
        # What is no number meets nothing.
        below = self.at_most is None or self.measured <= self.at_most
        above = self.at_least is None or self.measured >= self.at_least
        return below and above

    @property
    def bound(self) -> str:
        sign, bound = ("≤", self.at_most) if self.at_least is None else ("≥", self.at_least)
        return f"{sign} {bound:.4g}"

    @property
    def verdict(self) -> str:
        """Whether it is met, or by how much it is missed."""
        bound = self.at_most if self.at_least is None else self.at_least
        assert bound is not None
        told = "met" if self.met else f"missed by {abs(self.measured - bound):.4g}"
        if self.low is not None and self.high is not None and self.low < bound < self.high:
            told += ", within noise"
        return told


def table_of(title: str, goals: Sequence[Goal], verdicts: bool = True) -> Table:
    """What was to be reached and what was measured.

    Args:
        title: above it.
        goals: a row each.
        verdicts: whether what was measured is of the size that the goals are set for.
    """
    table = Table(title=title, title_justify="left")
    for column in ("", "goal", "measured", ""):
        table.add_column(column, justify="right" if column else "left")
    for goal in goals:
        table.add_row(
            goal.what, goal.bound, f"{goal.measured:.4g}", goal.verdict if verdicts else "–"
        )
    return table


def conclude(
    goals: Sequence[Goal], out: Path | None, check: bool, content: Mapping[str, Any]
) -> int:
    """Write the raw record, where one is wanted; the exit status.

    Args:
        goals: of the benchmark.
        out: the record's file.
        check: whether a goal that is missed is a failure.
        content: of the record, beside goals and provenance.
    """
    if out is not None:
        record = {
            "provenance": provenance(0, "", ""),
            "goals": [asdict(goal) for goal in goals],
            **content,
        }
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(out, json.dumps(record, indent=1) + "\n")
    return 0 if all(goal.met for goal in goals) or not check else 1
