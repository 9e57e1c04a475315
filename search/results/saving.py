"""What a search spent, and what it saved by not training to the end what it pruned."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

from search.record import TrialRecord
from search.results.measured import worked
from search.results.units import GAP, duration


class Spending(NamedTuple):
    """Trial-seconds up to a moment, of all trials together.

    Attributes:
        at: seconds since the epoch.
        spent: on work that came to a rung, whatever became of the trial.
        saved: that the trials pruned by then would have taken as well, had they gone on to their
            end, as projected from the rung where each stopped.
    """

    at: float
    spent: float
    saved: float


def spending(trials: Iterable[TrialRecord]) -> list[Spending]:
    """The account after each rung, in the order in which they came; empty where none has seconds.

    Both sums never fall. Work counts when it comes to a rung, and what is saved when a trial has
    come to its last one, also where it was paused there and pruned later.
    """
    entries = []
    for trial in trials:
        found = worked(trial)
        entries += [(rung.at, seconds, 0.0) for rung, seconds in found]
        if trial.state == "pruned" and found:
            last = found[-1][0]
            left = last.projected.get("total_seconds", 0.0) - last.measures["total_seconds"]
            entries.append((last.at, 0.0, max(0.0, left) if math.isfinite(left) else 0.0))
    account, spent, saved = [], 0.0, 0.0
    for at, more_spent, more_saved in sorted(entries):
        spent, saved = spent + more_spent, saved + more_saved
        account.append(Spending(at, spent, saved))
    return account


def spent_by(account: list[Spending], moment: float) -> Spending:
    """The account as it stood at a moment, what came at that very moment included."""
    place = bisect_right(account, moment, key=lambda entry: entry.at)
    return account[place - 1] if place else Spending(moment, 0.0, 0.0)


def saving_in_words(trials: Iterable[TrialRecord]) -> str:
    """What pruning saved, as a sentence; empty where it saved nothing that is known."""
    account = spending(trials)
    if not account or account[-1].saved <= 0:
        return ""
    _, spent, saved = account[-1]
    whole = spent + saved
    part = f"{100 * saved / whole:.0f}{GAP}%"
    return (
        f"Pruning saved {part}: {duration(saved)} of the {duration(whole)} that all trials would "
        "have taken, had those that were pruned gone on to their end as projected and none of "
        "them come onto the front."
    )
