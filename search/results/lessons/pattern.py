"""When A and B of each role and depth were frozen, over all trials of AFLoRA."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from search.record import FreezeEvent, TrialRecord
from search.results.noise import LEVEL, Interval
from search.results.roles import row_order

#: Below this many trials nothing is said of what is usual.
FEWEST_TRIALS = 5


@dataclass(frozen=True)
class Pattern:
    """Part of the training after which a matrix was frozen; 1: it trained to the end.

    Attributes:
        rows: role and matrix of each row.
        layers: index of the block of each column.
        medians: shape (rows, layers), over the trials that trained it; NaN where none did.
        counts: shape (rows, layers): how many trials trained it.
        to_the_end: shape (rows, layers): how many of them never froze it.
        trials: in all.
    """

    rows: tuple[tuple[str, str], ...]
    layers: tuple[int, ...]
    medians: NDArray[np.float64]
    counts: NDArray[np.int64]
    to_the_end: NDArray[np.int64]
    trials: int


@dataclass(frozen=True)
class Tendency:
    """How much later something froze than something else, in parts of the training.

    Attributes:
        later, earlier: what is compared, in words.
        difference: mean over trials with its 95 % interval (Student's t).
        trials: that have both.
    """

    later: str
    earlier: str
    difference: Interval
    trials: int


def pattern_of(trials: Sequence[TrialRecord]) -> Pattern | None:
    """The pattern over these trials; None where none of them froze anything."""
    froze = freezing_trials(trials)
    if not froze:
        return None
    rows = sorted({(e.role, e.matrix) for trial in froze for e in trial.freezing}, key=row_order)
    layers = sorted({e.layer for trial in froze for e in trial.freezing})
    cells: dict[tuple[str, str, int], list[float]] = {}
    for trial in froze:
        for event in trial.freezing:
            cells.setdefault((event.role, event.matrix, event.layer), []).append(
                _part(event, trial)
            )
    table = [[cells.get((*row, layer), []) for layer in layers] for row in rows]
    return Pattern(
        tuple(rows),
        tuple(layers),
        np.array([[np.median(cell) if cell else np.nan for cell in line] for line in table]),
        np.array([[len(cell) for cell in line] for line in table]),
        np.array([[sum(part == 1.0 for part in cell) for cell in line] for line in table]),
        len(froze),
    )


def freezing_trials(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Those in which at least one matrix was frozen."""
    return [
        trial
        for trial in trials
        if trial.total_steps and any(event.step is not None for event in trial.freezing)
    ]


def tendencies(trials: Sequence[TrialRecord]) -> list[Tendency]:
    """What froze later than what by more than chance, the largest difference first.

    Compared are B with A of the same modules, the deepest third of a trial's layers with its
    first third, and every role with the trial's other roles. Each trial gives one difference;
    nothing is told where there are fewer than five of them, or where the interval has zero in it.
    """
    froze = freezing_trials(trials)
    roles = dict.fromkeys(e.role for trial in froze for e in trial.freezing)
    compared = [_tendency("B", "A of the same module", froze, _matrices)]
    compared += [_tendency("The deepest third of the layers", "the first third", froze, _depth)]
    compared += [
        _tendency(role, "the other roles", froze, lambda trial, role=role: _role(trial, role))  # type: ignore[misc]
        for role in roles
        if len(roles) > 1
    ]
    told = [found for found in compared if found is not None]
    return sorted(told, key=lambda found: -abs(found.difference.mean))


def _tendency(
    later: str,
    earlier: str,
    trials: Sequence[TrialRecord],
    of: Callable[[TrialRecord], float | None],
) -> Tendency | None:
    differences = [found for trial in trials if (found := of(trial)) is not None]
    if len(differences) < FEWEST_TRIALS:
        return None
    mean = float(np.mean(differences))
    reach = float(stats.t.ppf((1 + LEVEL) / 2, len(differences) - 1) * stats.sem(differences))
    interval = Interval(mean, mean - reach, mean + reach)
    if interval.low <= 0 <= interval.high:
        return None
    return Tendency(later, earlier, interval, len(differences))


def _matrices(trial: TrialRecord) -> float | None:
    parts = {(e.layer, e.role, e.matrix): _part(e, trial) for e in trial.freezing}
    pairs = [
        parts[layer, role, "B"] - part
        for (layer, role, matrix), part in parts.items()
        if matrix == "A" and (layer, role, "B") in parts
    ]
    return float(np.mean(pairs)) if pairs else None


def _depth(trial: TrialRecord) -> float | None:
    layers = sorted({event.layer for event in trial.freezing})
    third = len(layers) // 3
    if not third:
        return None
    return _difference(
        trial, lambda e: e.layer in layers[-third:], lambda e: e.layer in layers[:third]
    )


def _role(trial: TrialRecord, role: str) -> float | None:
    return _difference(trial, lambda e: e.role == role, lambda e: e.role != role)


def _difference(
    trial: TrialRecord,
    one: Callable[[FreezeEvent], bool],
    other: Callable[[FreezeEvent], bool],
) -> float | None:
    first = [_part(event, trial) for event in trial.freezing if one(event)]
    second = [_part(event, trial) for event in trial.freezing if other(event)]
    return float(np.mean(first) - np.mean(second)) if first and second else None


def _part(event: FreezeEvent, trial: TrialRecord) -> float:
    assert trial.total_steps, "a trial that froze something has reached a rung"
    return 1.0 if event.step is None else event.step / trial.total_steps
