"""What a search found, in sentences that its record supports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from search.pareto.front import front
from search.record import StudyRecord, TrialRecord
from search.results.measured import best_of, final, method_title
from search.results.units import ratio, readable, title
from search.spec.objectives import OBJECTIVES

# With more marks than this the paragraph becomes a list; the table has them all.
_MOST_MARKS = 4
# Below this difference two costs are called equal.
_SAME = 0.05

_NOUNS = {
    "trainable_params": "parameters",
    "trainable_params_start": "parameters at the start",
    "trainable_params_end": "parameters at the end",
}


def headline(study: StudyRecord, confirmed: bool = False) -> list[str]:
    """Sentences: the best trial, the marks beside it, a cheaper member, and what that rests on.

    Args:
        study: what was searched.
        confirmed: whether what fresh seeds said stands below.
    """
    members = front(study.trials, list(study.objectives))
    if not members:
        return [_nothing_kept(study)]
    best, complete = leading(study, members), len(study.in_state("complete"))
    sentences = [_best(best, study)]
    sentences += [
        _beside(trial, best, study) for trial in _marks(study) if trial.number != best.number
    ][:_MOST_MARKS]
    cheapest = _cheapest(members, study)
    if cheapest is not None and cheapest.number != best.number and cheapest.mark is None:
        sentences.append(
            f"On the front, the fewest parameters are those of {_cheap(cheapest, study)}."
        )
    low = no_better_than_constant(study)
    if low is not None:
        sentences.append(low)
    sentences.append(
        f"{len(members)} of {complete} complete {_plural(complete, 'trial')} "
        f"{'is' if len(members) == 1 else 'are'} on the front."
    )
    if complete > 1:
        then = (
            "what fresh seeds say of it stands below."
            if confirmed
            else "confirm it with other seeds before relying on it."
        )
        sentences.append(
            "Each was trained once, and the best of many single runs looks better than it is: "
            f"{then}"
        )
    return sentences


def leading(study: StudyRecord, members: Sequence[TrialRecord]) -> TrialRecord:
    """Of a front the member with the best score, where that comes first of the objectives.

    Of two alike the one with fewer trainable parameters, as everywhere.
    """
    if next(iter(study.objectives)) != "score":
        return members[0]
    return max(
        members,
        key=lambda t: ((t.values or {})["score"], -t.measures.get("trainable_params", 0.0)),
    )


def limited(study: StudyRecord) -> bool:
    """Whether a complete trial does not keep to the limits."""
    return any(not trial.feasible for trial in study.in_state("complete"))


def _at_constant(study: StudyRecord) -> tuple[int, int]:
    """Members of the front that score no better than answering always the same, and all."""
    members = front(study.trials, list(study.objectives))
    constant = study.constant
    if constant is None:
        return 0, len(members)
    scores = [final(trial, "score") for trial in members]
    return sum(s is not None and s <= constant.score for s in scores), len(members)


def no_better_than_constant(study: StudyRecord) -> str | None:
    """How many of the front score no better than answering always the same, if any."""
    low, count = _at_constant(study)
    constant = study.constant
    if not low or constant is None:
        return None
    same = (
        f"answering always “{constant.answer}”, which reaches {readable('score', constant.score)}"
    )
    if low == count:
        return f"Nothing on the front scores better than {same}."
    return f"{low} of the front {'scores' if low == 1 else 'score'} no better than {same}."


def tasks_at_constant(studies: Sequence[StudyRecord]) -> list[str]:
    """A sentence on the tasks where nothing on the front beats one answer to all, if any."""
    low = [s.task for s in studies for found, count in [_at_constant(s)] if found == count > 0]
    if not low:
        return []
    return [f"On {listed(low)} nothing on the front scores better than answering always the same."]


def overview_headline(studies: Sequence[StudyRecord]) -> list[str]:
    """Sentences on several tasks: how many have a front, and which methods lead them."""
    found = [(study, best) for study in studies if (best := best_of(study)) is not None]
    if not found:
        return [f"{without_front(studies)}."]
    sentences = without_fronts({s.task: [s] for s in studies if best_of(s) is None}, "on")
    leads = Counter(method_title(best) for _, best in found)
    of_all = f"{len(found)} {_plural(len(found), 'task')}"
    told = [f"{method} on {count}" for method, count in leads.most_common()]
    sentences.append(f"The best score is that of {listed(told)} of {of_all}.")
    tied = [study.task for study, best in found if _is_tied(study, best)]
    if tied:
        sentences.append(
            f"On {listed(tied)} another method scores as much, with no fewer trainable parameters."
        )
    return sentences + tasks_at_constant(studies)


def _is_tied(study: StudyRecord, best: TrialRecord) -> bool:
    return any(
        trial.measures["score"] == best.measures["score"]
        and method_title(trial) != method_title(best)
        and trial.feasible
        for trial in study.in_state("complete")
    )


def trial_name(trial: TrialRecord) -> str:
    """``Trial 7 (aflora r4 ffn)``, with the mark where it has one."""
    names = [name for name in (trial.mark, trial.label) if name]
    return f"Trial {trial.number} ({'; '.join(names)})" if names else f"Trial {trial.number}"


def without_front(studies: Sequence[StudyRecord], where: str = "") -> str:
    """Why studies have no front, without a full stop: nothing is complete, or nothing allowed.

    Args:
        studies: of which no complete trial keeps to the limits.
        where: follows the verb, `` on rte``.
    """
    count = sum(len(study.in_state("complete")) for study in studies)
    if not count:
        return f"No trial is complete yet{where}"
    verb = "is" if count == 1 else "are"
    return f"{count} {_plural(count, 'trial')} {verb} complete{where}, none within the limits"


def without_fronts(studies: Mapping[str, Sequence[StudyRecord]], word: str) -> list[str]:
    """Sentences on all that have no front; those where nothing is complete yet share one.

    Args:
        studies: name of a task or a run → its studies, of which none has a front.
        word: goes before the names, ``on``.
    """
    started = {name for name, own in studies.items() if any(s.in_state("complete") for s in own)}
    empty = [name for name in studies if name not in started]
    sentences = [f"{without_front([], f' {word} {listed(empty)}')}."] if empty else []
    return sentences + [
        f"{without_front(own, f' {word} {name}')}."
        for name, own in studies.items()
        if name in started
    ]


def _nothing_kept(study: StudyRecord) -> str:
    counts = [
        f"{count} {state}"
        for state in ("running", "paused", "waiting", "pruned", "failed")
        if (count := len([t for t in study.trials if t.state == state]))
    ]
    sign = ";" if study.in_state("complete") else ":"
    text = without_front([study]) + (f"{sign} {', '.join(counts)}." if counts else ".")
    reasons = Counter(trial.reason for trial in study.in_state("failed") if trial.reason)
    if not reasons:
        return text
    ((reason, times),) = reasons.most_common(1)
    often = f"{times} of the failures say" if times < sum(reasons.values()) else "The failures say"
    return f"{text} {often}: {reason.strip().splitlines()[0]}"


def _best(best: TrialRecord, study: StudyRecord) -> str:
    first, *others = study.objectives
    what = "best" if first == "score" else "lowest"
    value = readable(first, final(best, first))
    text = f"{trial_name(best)} has the {what} {title(first, study.metric)}"
    text += f" within the limits, {value}" if limited(study) else f", {value}"
    costs = [_cost(name, final(best, name)) for name in others if final(best, name) is not None]
    return f"{text}, {listed(costs)}." if costs else f"{text}."


def _cost(name: str, value: float | None) -> str:
    amount = readable(name, value)
    if name == "trainable_params":
        return f"with {amount} trainable parameters on average"
    if name in _NOUNS:
        return f"with {amount} trainable {_NOUNS[name]}"
    if name == "train_seconds":
        return f"in {amount} of training"
    if name == "train_flops":
        return f"for {amount} of training"
    return f"{title(name)} {amount}"


def _marks(study: StudyRecord) -> list[TrialRecord]:
    return [trial for trial in study.trials if trial.mark is not None]


def _beside(trial: TrialRecord, best: TrialRecord, study: StudyRecord) -> str:
    name = f"The configuration “{trial.mark}”"
    if trial.state != "complete" or not trial.values:
        became = {"pruned": "was pruned", "failed": "failed"}.get(trial.state, f"is {trial.state}")
        return f"{name} {became}."
    first, *others = study.objectives
    text = f"{name} reached {readable(first, final(trial, first))}"
    times = [
        _times(other, theirs / ours)
        for other in others
        if (theirs := final(trial, other)) is not None
        and (ours := final(best, other)) is not None
        and OBJECTIVES[other].direction == "min"
        and ours > 0
    ]
    text = f"{text} with {listed(times)}" if times else text
    return f"{text}." if trial.feasible else f"{text}, outside the limits."


def _times(name: str, factor: float) -> str:
    noun = _NOUNS.get(name, title(name))
    return f"the same {noun}" if abs(factor - 1) < _SAME else f"{ratio(factor)} the {noun}"


def _cheapest(members: tuple[TrialRecord, ...], study: StudyRecord) -> TrialRecord | None:
    if "trainable_params" not in study.objectives:
        return None
    return min(members, key=lambda trial: _values(trial)["trainable_params"])


def _cheap(trial: TrialRecord, study: StudyRecord) -> str:
    values = _values(trial)
    text = f"{trial_name(trial)[0].lower()}{trial_name(trial)[1:]}: "
    text += readable("trainable_params", values["trainable_params"])
    if "score" not in values:
        return text
    return f"{text}, at {title('score', study.metric)} {readable('score', values['score'])}"


def _values(trial: TrialRecord) -> Mapping[str, float]:
    return trial.values or {}


def _plural(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"


def listed(parts: list[str]) -> str:
    """``a, b and c``."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
