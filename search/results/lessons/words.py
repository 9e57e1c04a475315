"""The lessons in sentences: what is larger than noise, and what cannot be told apart from it."""

from __future__ import annotations

import math

from search.flat import legible
from search.results.lessons.learned import FEWEST_TRIALS, Effect, Lessons
from search.results.lessons.pattern import Tendency
from search.results.noise import Interval
from search.results.units import ratio


def in_words(lessons: Lessons, metric: str) -> list[str]:
    """Sentences, those of the largest effects first.

    Args:
        lessons: of a study.
        metric: what its score is called.
    """
    told = [effect for effect in lessons.effects if _is_told(effect.score, 0.0)]
    told.sort(key=lambda effect: -abs(effect.score.mean))
    cheaper = [
        effect
        for effect in lessons.effects
        if effect not in told and effect.parameters and _is_told(effect.parameters, 1.0)
    ]
    sentences = [_of_score(effect, metric) for effect in told]
    sentences += [_of_parameters(effect, metric) for effect in cheaper]
    sentences += [_of_tendency(tendency) for tendency in lessons.tendencies]
    names = {effect.name for effect in told + cheaper}
    silent = dict.fromkeys(e.name for e in lessons.effects if e.name not in names)
    if silent:
        sentences.append(f"Of no effect larger than noise: {'; '.join(silent)}.")
    if not lessons.effects:
        sentences.append(_why_nothing(lessons))
    return sentences


def _is_told(interval: Interval, none: float) -> bool:
    return not interval.low <= none <= interval.high


def _of_score(effect: Effect, metric: str) -> str:
    score = effect.score
    ends = sorted((abs(score.low), abs(score.high)))
    # So many that no effect that is told is told as nothing.
    digits = max(3, 1 - math.floor(math.log10(ends[0])))
    least, mean, most = (f"{value:.{digits}f}" for value in (ends[0], abs(score.mean), ends[1]))
    amount = f"{mean} {metric} ({least} … {most})"
    if effect.best is not None and score.mean > 0:
        best = f"{effect.name} is best at about {legible(effect.best)}"
        return f"{best}: the middle of its range is worth {amount} more than the ends."
    text = f"{effect.subject} {'gains' if score.mean > 0 else 'costs'} {amount}"
    if effect.parameters is not None and _is_told(effect.parameters, 1.0):
        return f"{text}, with {_times(effect.parameters)} the trainable parameters."
    return f"{text}."


def _of_parameters(effect: Effect, metric: str) -> str:
    assert effect.parameters is not None
    return (
        f"{effect.subject} takes {_times(effect.parameters)} the trainable parameters, for no "
        f"change in {metric} larger than noise."
    )


def _of_tendency(tendency: Tendency) -> str:
    difference = tendency.difference
    when = "later" if difference.mean > 0 else "earlier"
    ends = sorted((abs(difference.low), abs(difference.high)))
    return (
        f"{tendency.later} froze {when} than {tendency.earlier}, by {abs(difference.mean):.1%} of "
        f"the training ({ends[0]:.1%} … {ends[1]:.1%}; {tendency.trials} trials)."
    )


def _times(factor: Interval) -> str:
    return f"{ratio(factor.mean)} ({ratio(factor.low)} … {ratio(factor.high)})"


def _why_nothing(lessons: Lessons) -> str:
    if lessons.trials < FEWEST_TRIALS:
        return (
            f"{lessons.trials} complete {'trial' if lessons.trials == 1 else 'trials'} of AFLoRA "
            f"are too few to tell what its settings do: {FEWEST_TRIALS} at least."
        )
    return "The complete trials of AFLoRA differ in nothing, or all scored the same."
