"""The effect of every setting on score and parameters, the others being held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from search.record import StudyRecord, TrialRecord
from search.results.lessons.model import Additive
from search.results.lessons.pattern import Pattern, Tendency, pattern_of, tendencies
from search.results.lessons.terms import Scale, Term, bend, terms_of
from search.results.measured import final
from search.results.noise import Interval

#: With fewer complete trials of AFLoRA nothing is said of its settings.
FEWEST_TRIALS = 8
# A count repeats exactly: what an additive model of its logarithm leaves over is its own fault.
_NOISE_OF_COUNTS = 0.05
_POINTS = 41


@dataclass(frozen=True)
class Effect:
    """What a change does, everything else being held.

    Attributes:
        name: what is changed.
        subject: how, as the subject of a sentence: ``Adapting query``.
        label: the same in short.
        score: difference in score, with its 95 % interval.
        parameters: factor on the average of trainable parameters, with its interval; None where
            they are the same in all trials, and for the middle of a range.
        best: of the middle of a numeric setting's range against its ends: the value at which the
            model's score is the greatest; else None.
    """

    name: str
    subject: str
    label: str
    score: Interval
    parameters: Interval | None
    best: float | None = None


@dataclass(frozen=True)
class Curve:
    """How the score follows a numeric setting, everything else being held.

    Attributes:
        name: of the setting.
        scale: from its least to its greatest value.
        at: shape (points,): values of the setting.
        middle, low, high: shape (points,): mean score there with its 95 % interval.
        trials: the setting and the score of every trial, as it would be were the other settings
            at their averages.
        numbers: of these trials.
    """

    name: str
    scale: Scale
    at: tuple[float, ...]
    middle: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    trials: tuple[tuple[float, float], ...]
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class Lessons:
    """All that a search tells about AFLoRA.

    Attributes:
        trials: of AFLoRA that were trained to the end.
        effects: empty where there are too few of them, or where all scored the same.
        curves: of the numeric settings.
        pattern: None where nothing froze.
        tendencies: what froze later than what, by more than chance.
    """

    trials: int
    effects: tuple[Effect, ...]
    curves: tuple[Curve, ...]
    pattern: Pattern | None
    tendencies: tuple[Tendency, ...]


def learn(study: StudyRecord) -> Lessons | None:
    """What the complete trials of AFLoRA tell; None where there are none.

    Scores and logarithms of parameters are taken for sums of effects, one for each question that
    the trials can answer, fitted to all of them at once (:class:`Additive`): so that what two
    settings changed together is not put down to either by chance alone. Pruned trials are left
    out: their scores are of shorter trainings.
    """
    own = [
        trial
        for trial in study.in_state("complete")
        if "aflora" in trial.settings.get("method", ()) and final(trial, "score") is not None
    ]
    if not own:
        return None
    effects, curves = _fitted(own)
    return Lessons(len(own), effects, curves, pattern_of(own), tuple(tendencies(own)))


def _fitted(trials: Sequence[TrialRecord]) -> tuple[tuple[Effect, ...], tuple[Curve, ...]]:
    scores = np.array([final(trial, "score") for trial in trials], float)
    terms = terms_of(trials)
    if len(trials) < FEWEST_TRIALS or not terms or len(set(scores)) < 2:
        return (), ()
    columns = np.stack([term.values for term in terms], axis=1)
    score = Additive.fit(columns, scores)
    counts = [final(trial, "trainable_params") for trial in trials]
    known = [count for count in counts if count is not None and count > 0]
    size = None
    if len(known) == len(trials) and len(set(known)) > 1:
        size = Additive.fit(columns, np.log(known), _NOISE_OF_COUNTS)
    left = scores - score.mean - (columns - score.centre) @ score.coefficients
    curves = tuple(
        _curve(term, terms, score, left, trials)
        for term in terms
        if term.scale is not None and not term.curved
    )
    peaks = {curve.name: _peak(curve) for curve in curves}
    effects = tuple(
        Effect(
            term.name,
            term.subject,
            term.label,
            score.contrast(one),
            None if size is None or term.curved else _factor(size.contrast(one)),
            peaks[term.name] if term.curved and _peaks_inside(term, terms, score) else None,
        )
        for term, one in zip(terms, np.eye(len(terms)), strict=True)
    )
    return effects, curves


def _peaks_inside(term: Term, terms: Sequence[Term], score: Additive) -> bool:
    """Whether the middle of a setting's range is better than either of its ends, beyond noise.

    Of a line of slope a and a curve of height b the middle is b above the average of the ends, and
    these are a apart.
    """
    slope, bend = (
        np.array([one.setting == term.setting and one.curved == curved for one in terms], float)
        for curved in (False, True)
    )
    return all(score.contrast(bend + side * slope / 2).low > 0 for side in (-1, 1))


def _peak(curve: Curve) -> float:
    """Where the curve is highest; of a setting of whole numbers the nearest of them."""
    value = curve.at[int(np.argmax(curve.middle))]
    return round(value) if curve.scale.whole else value


def _factor(difference: Interval) -> Interval:
    return Interval(*(float(np.exp(v)) for v in (difference.mean, difference.low, difference.high)))


def _curve(
    line: Term,
    terms: Sequence[Term],
    model: Additive,
    left: np.ndarray,
    trials: Sequence[TrialRecord],
) -> Curve:
    """The part of a setting in the model, and what of each trial's score it does not explain.

    Args:
        line: the term of the setting.
        terms: all of the model, in its order.
        model: of the score.
        left: shape (trials,): scores less what the model says of them.
        trials: that it was fitted to.
    """
    assert line.scale is not None
    assert line.setting is not None
    scale = line.scale
    own = [i for i, term in enumerate(terms) if term.setting == line.setting]

    def part(place: float) -> Interval:
        weights = np.zeros(len(terms))
        for i in own:
            weights[i] = (bend(place) if terms[i].curved else place) - model.centre[i]
        return model.level(weights)

    places = np.linspace(-0.5, 0.5, _POINTS)
    drawn = [part(float(place)) for place in places]
    values = [scale.value(float(place)) for place in line.values]
    return Curve(
        name=line.name,
        scale=scale,
        at=tuple(scale.value(float(place)) for place in places),
        middle=tuple(one.mean for one in drawn),
        low=tuple(one.low for one in drawn),
        high=tuple(one.high for one in drawn),
        trials=tuple(
            (value, float(part(float(place)).mean + rest))
            for value, place, rest in zip(values, line.values, left, strict=True)
        ),
        numbers=tuple(trial.number for trial in trials),
    )
