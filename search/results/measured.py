"""What is known of a trial's measures: at its end, or projected from where it stopped."""

from __future__ import annotations

import math

from search.record import Rung, StudyRecord, TrialRecord


def final(trial: TrialRecord, name: str) -> float | None:
    """The value a trial ended with: its objective value, else its last measure; None if unknown."""
    for source in (trial.values, trial.measures, trial.rungs[-1].measures if trial.rungs else None):
        if source is not None and _finite(source.get(name)):
            return source[name]
    return None


def reason(trial: TrialRecord) -> str | None:
    """Why a trial came to its state, or why a complete one cannot be on the front."""
    if trial.reason is None and trial.state == "complete" and not trial.feasible:
        return "outside the limits"
    return trial.reason


def projected(trial: TrialRecord, name: str) -> float | None:
    """The value a trial was on course for: a cost carried forward to the full length."""
    if trial.rungs and _finite(trial.rungs[-1].projected.get(name)):
        return trial.rungs[-1].projected[name]
    return final(trial, name)


def extent(trial: TrialRecord) -> float | None:
    """Seconds between the start and the end of a trial, waiting for a machine included."""
    if trial.started is None or trial.finished is None:
        return None
    return trial.finished - trial.started


def worked(trial: TrialRecord) -> list[tuple[Rung, float]]:
    """Each rung and the seconds of work since the one before; rungs without their seconds lack.

    An attempt that came to no further rung is in none of them.
    """
    found, before = [], 0.0
    for rung in trial.rungs:
        total = rung.measures.get("total_seconds")
        if total is not None and math.isfinite(total):
            # It falls where a trial had to begin anew.
            found.append((rung, max(0.0, total - before)))
            before = total
    return found


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def best_of(study: StudyRecord) -> TrialRecord | None:
    """The complete trial with the best score that keeps to the limits; None while there is none.

    Of two alike the one with fewer trainable parameters.
    """
    complete = [t for t in study.in_state("complete") if t.feasible and "score" in t.measures]
    return max(
        complete,
        key=lambda t: (t.measures["score"], -t.measures.get("trainable_params", 0.0)),
        default=None,
    )


def method_title(trial: TrialRecord) -> str:
    """``lora``; tuners of PEFT by their type, ``peft IA3``."""
    ((name, own),) = trial.settings["method"].items()
    return f"{name} {str(own['type']).upper()}" if name == "peft" else name
