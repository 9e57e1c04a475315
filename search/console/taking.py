"""Which member of a front is worth taking home first, and why."""

from __future__ import annotations

from dataclasses import dataclass

from search.pareto.front import front
from search.pareto.knee import knee, with_adapter
from search.record import StudyRecord, TrialRecord
from search.results.headline import trial_name
from search.results.units import readable, title
from search.spec.objectives import OBJECTIVES


@dataclass(frozen=True)
class Taking:
    """What to export.

    Attributes:
        trial: the member.
        word: what ``--trial`` of ``search.export`` takes for it.
        why: a sentence.
    """

    trial: TrialRecord
    word: str
    why: str


def worth_taking(study: StudyRecord) -> Taking | None:
    """The knee, as the report marks it; of fewer than three members the one with the best score.

    The head alone is never it: it has no adapter.

    Returns:
        None while no member has an adapter.
    """
    names = list(study.objectives)
    members = front(study.trials, names)
    adapted = with_adapter(members)
    if not adapted:
        return None
    left_out = "; the head alone has no adapter" if len(adapted) < len(members) else ""
    best = knee(members, names)
    if best is None:
        first = adapted[0]
        what = f"{'best' if names[0] == 'score' else 'lowest'} {title(names[0], study.metric)}"
        why = f"{trial_name(first)} has the {what} (a knee lies between three or more){left_out}."
        return Taking(first, str(first.number), why)
    values = [_beside_best(name, best, adapted, study.metric) for name in names]
    why = f"{trial_name(best)} is the knee, which gives up least: {', '.join(values)}{left_out}."
    return Taking(best, "knee", why)


def _beside_best(name: str, trial: TrialRecord, members: list[TrialRecord], metric: str) -> str:
    """``accuracy 0.9733 (best 0.9833)``."""
    reached = [(one.values or {})[name] for one in members]
    best = min(reached, key=OBJECTIVES[name].minimised)
    own = (trial.values or {})[name]
    beside = "the best" if own == best else f"best {readable(name, best)}"
    return f"{title(name, metric)} {readable(name, own)} ({beside})"
