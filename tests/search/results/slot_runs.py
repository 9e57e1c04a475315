"""Searches whose trials took turns in the slots of hosts, made from seeded numbers."""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Sequence

import numpy as np

from search.record import Rung, State, StudyRecord, TrialRecord
from tests.search.results.conftest import BEGAN, OBJECTIVES, STEPS, make_study, make_trial

RUNGS = 5
#: Between being handed out and the first second that is recorded.
START_UP = 9.0
_STATES: tuple[State, ...] = ("complete", "pruned", "failed")
#: Host, start and end of what came to a rung.
Stretch = tuple[str, float, float]


def worked_trial(
    number: int,
    stretches: Sequence[Stretch],
    state: State = "complete",
    *,
    handed_out: float | None = None,
    score: float = 0.9,
    params: float = 12_000.0,
) -> TrialRecord:
    """A trial that came to a rung at the end of each stretch."""
    rungs, total = [], 0.0
    for index, (host, start, end) in enumerate(stretches, start=1):
        total += end - start
        done = index / max(RUNGS, len(stretches))
        measures = {
            "score": round(score - 0.2 * (1 - done) ** 2, 4),
            "trainable_params": params,
            "train_seconds": 0.9 * total,
            "total_seconds": total,
        }
        whole = {"train_seconds": 0.9 * total / done, "total_seconds": total / done}
        rungs.append(
            Rung(index, round(STEPS * done), done, measures, measures | whole, end, host=host)
        )
    measures = dict(rungs[-1].measures) if rungs else {}
    ended = rungs[-1].at if rungs else BEGAN + START_UP
    began = stretches[0][1] if stretches else BEGAN
    bare = make_trial(number, state, rungs=0)
    return dataclasses.replace(
        bare,
        rungs=tuple(rungs),
        measures=measures,
        values={name: measures[name] for name in OBJECTIVES} if state == "complete" else None,
        total_steps=STEPS if rungs else None,
        started=began if handed_out is None else handed_out,
        finished=ended if state in ("complete", "pruned", "failed") else None,
        reason=f"rung {len(rungs)}: dominated by 4 trials" if state == "pruned" else bare.reason,
    )


def make_run(
    count: int,
    hosts: Sequence[str] = ("vm",),
    slots: int = 2,
    *,
    seed: int = 0,
    interrupted: Sequence[tuple[int, float]] = (),
    at_work: bool = False,
) -> StudyRecord:
    """A search in which every slot takes the next trial once it is free.

    Args:
        count: trials.
        hosts: their names.
        slots: of each host.
        seed: of what they take and come to.
        interrupted: number of a trial before which the search stopped, and for how many seconds.
        at_work: whether the last trials are still running or paused.
    """
    random = np.random.default_rng(seed)
    free = [(BEGAN, host) for _ in range(slots) for host in hosts]
    heapq.heapify(free)
    pauses, trials = dict(interrupted), []
    for number in range(count):
        if number in pauses:
            resumed = max(at for at, _ in free) + pauses[number]
            free = [(resumed, host) for _, host in free]
            heapq.heapify(free)
        now, host = heapq.heappop(free)
        drawn = int(random.choice(3, p=[0.5, 0.44, 0.06]))
        state: State = _STATES[drawn]
        last = at_work and number >= count - slots * len(hosts)
        if last:
            state = "paused" if number == count - 1 else "running"
        reached = RUNGS if state == "complete" else int(random.integers(1, RUNGS))
        if state == "failed":
            reached = int(random.integers(0, 2))
        each = float(random.lognormal(4.4, 0.5))
        begin, stretches = now + float(random.uniform(0.3, 1.5)) * START_UP, []
        for _ in range(reached):
            end = begin + each * float(random.uniform(0.9, 1.1))
            # A driver learns of a rung somewhat late.
            stretches.append((host, begin, end + float(random.uniform(0, 0.4))))
            begin = end
        params = float(round(10 ** random.uniform(3, 5.5)))
        quality = float(0.78 + 0.02 * np.log10(params) + random.normal(0, 0.01))
        trials.append(
            worked_trial(
                number, stretches, state, handed_out=now, score=round(quality, 4), params=params
            )
        )
        if not last:
            heapq.heappush(free, (begin + 0.2, host))
    return make_study(*trials)
