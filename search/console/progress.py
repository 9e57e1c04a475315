"""How far a search is, and how long it will still take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from search.record import StudyRecord


@dataclass(frozen=True)
class Progress:
    """Counts and times of a running search.

    Attributes:
        done: trials that ended, however.
        total: trials in the budget.
        seconds_left: estimate; None before the first trial ended.
    """

    done: int
    total: int
    seconds_left: float | None


def progress_of(study: StudyRecord, total: int, slots: int, now: float) -> Progress:
    """Estimate from how long ended trials took and how far the running ones are."""
    ended = study.in_state("complete", "pruned", "failed")
    times = [
        t.finished - t.started for t in ended if t.finished is not None and t.started is not None
    ]
    if not times:
        return Progress(len(ended), total, None)
    typical = sum(times) / len(times)
    running = study.in_state("running")
    left = max(0, total - len(ended) - len(running)) * typical
    left += sum(max(0.0, typical - (now - t.started)) for t in running if t.started is not None)
    return Progress(len(ended), total, left / max(1, slots))


def overall(parts: Sequence[Progress]) -> Progress:
    """Of several searches on the same slots; the time is known once it is for each of them."""
    left = [part.seconds_left for part in parts if part.seconds_left is not None]
    known = len(left) == len(parts)
    return Progress(
        sum(part.done for part in parts),
        sum(part.total for part in parts),
        sum(left) if known else None,
    )
