"""A search on a simulated clock: the engine as it is, with recorded or made-up learning curves."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.engine.core import Engine
from search.engine.failures import Failure
from search.engine.policy import Proposal
from search.record import RungReport


@dataclass(frozen=True)
class Step:
    """What a simulated worker does next.

    Attributes:
        seconds: it takes to get there.
        report: of the rung it gets to; None where the attempt fails.
        failure: why it fails.
    """

    seconds: float
    report: RungReport | None = None
    failure: Failure | None = None


#: The curve of a configuration, from its first rung to its last.
Curve = Callable[[Mapping[str, Any], int], Sequence[Step]]


def simulate(
    engine: Engine,
    curve: Curve,
    slots: int,
    now: float = 0.0,
    until: Callable[[float], bool] = lambda now: False,
) -> float:
    """Run a search to its end.

    A worker is busy as long as its curve says; proposing and judging take no time.

    Args:
        engine: decides.
        curve: the steps of a configuration, given its settings and its trial's number. A trial that
            goes on from a checkpoint begins after the rung it had reached.
        slots: trials at a time.
        now: where the clock starts, in seconds.
        until: stops the driver at once, as if it were killed, when it says so.

    Returns:
        Where the clock stands in the end.
    """
    busy: list[tuple[float, int, Proposal, list[Step]]] = []
    order = 0
    while True:
        while len(busy) < slots and (proposal := engine.ask(now)) is not None:
            reached = _reached(proposal.checkpoint)
            steps = list(curve(proposal.settings, proposal.number))[reached:]
            order += 1
            heapq.heappush(busy, (now + steps[0].seconds, order, proposal, steps))
        if not busy:
            break
        now, _, proposal, steps = heapq.heappop(busy)
        if until(now):
            return now
        if engine.stopping:
            engine.release(proposal.number)
            continue
        step, rest = steps[0], steps[1:]
        if step.report is None:
            assert step.failure is not None
            engine.fail(proposal.number, step.failure, now)
            continue
        index = step.report.rung.index
        decision = engine.report(proposal.number, step.report, now, f"{proposal.number}/{index}")
        if decision == "continue" and rest:
            order += 1
            heapq.heappush(busy, (now + rest[0].seconds, order, proposal, rest))
    engine.close(now)
    return now


def _reached(checkpoint: str | None) -> int:
    return 0 if checkpoint is None else int(checkpoint.rsplit("/", 1)[1])
