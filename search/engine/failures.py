"""What becomes of trials that fail: tried again, given up, or the end of the search."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from search.record import TrialRecord
from search.spec.schema import Failures


@dataclass(frozen=True)
class Failure:
    """Why an attempt at a trial ended.

    Attributes:
        reason: in one line.
        counted: whether it counts towards the retries; the loss of a node does not.
        final: whether the same would happen again, so that it is not tried again.
        of_store: whether the store could not be used; no trial would fare better.
    """

    reason: str
    counted: bool = True
    final: bool = False
    of_store: bool = False


UNCOUNTED = "(not counted) "


def tries_again(trial: TrialRecord, failure: Failure, config: Failures) -> bool:
    """Whether a trial that failed is tried again from its last rung."""
    if failure.final:
        return False
    counted = sum(not earlier.startswith(UNCOUNTED) for earlier in trial.failures)
    return not failure.counted or counted < config.retries


def common_failure(trials: Iterable[TrialRecord], config: Failures) -> str | None:
    """The reason that every trial which ended has failed for, once there are enough of them."""
    ended = [trial for trial in trials if trial.state in {"complete", "pruned", "failed"}]
    if len(ended) < config.give_up or any(trial.state != "failed" for trial in ended):
        return None
    kinds = {_kind(trial.reason or "") for trial in ended}
    return ended[0].reason if len(kinds) == 1 else None


def _kind(reason: str) -> str:
    """What failures have in common whose numbers differ; of memory also who held it, and units."""
    if reason.startswith("out of memory"):
        return reason.partition(":")[0]
    return re.sub(r"[0-9.]+", "#", reason)
