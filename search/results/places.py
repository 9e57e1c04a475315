"""Where each trial lies when its score is drawn over a cost, whoever draws it."""

from __future__ import annotations

from dataclasses import dataclass

from search.record import StudyRecord
from search.results.measured import final, projected
from search.results.units import title

PARAMS = ("trainable_params", "trainable_params_start", "trainable_params_end")
COSTS = ("train_seconds", "total_seconds", "train_flops")


@dataclass(frozen=True)
class Places:
    """Score over one cost, with another one to tell as well.

    Attributes:
        x: measure across; None where none is known, which stands for the trial's number.
        other: another measure, of which a colour can tell; None when nothing is left to show.
        at: trial number → measure across, zero included, and score.
    """

    x: str | None
    other: str | None
    at: dict[int, tuple[float, float]]

    @property
    def x_title(self) -> str:
        """What is counted across."""
        if self.x is None:
            return "trial"
        return title(self.x) + (", averaged over steps" if self.x == "trainable_params" else "")


def places_of(study: StudyRecord) -> Places | None:
    """The places of complete and pruned trials, these with their costs carried forward.

    Objectives are drawn before what was only measured, parameters before other costs.

    Returns:
        None when no complete or pruned trial has both a score and the measure across.
    """
    scored = [
        trial
        for trial in study.in_state("complete", "pruned")
        if final(trial, "score") is not None
    ]  # fmt: skip
    measured = [
        name
        for name in (*PARAMS, *COSTS)
        if any(projected(trial, name) is not None for trial in scored)
    ]
    sought = [name for name in measured if name in study.objectives]
    x = next(iter(sought + measured), None)
    costs = [name for name in measured if name in COSTS]
    at: dict[int, tuple[float, float]] = {}
    for trial in scored:
        across = projected(trial, x) if x else float(trial.number)
        score = final(trial, "score")
        if across is not None and score is not None:
            at[trial.number] = (across, score)
    if not at:
        return None
    other = next((name for name in sought + costs + measured if name != x), None)
    return Places(x, other, at)
