"""What differs between trials of AFLoRA, as the columns of a regression."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.flat import exact, legible, own_first
from search.record import TrialRecord
from search.results.roles import in_order
from search.spec.settings import AFLoRASettings

# On either side of a question there are at least so many trials: one alone may be anything.
_FEWEST_A_SIDE = 2
_FEWEST_VALUES_OF_A_CURVE = 4
# Beyond this ratio of greatest to least a setting is looked at by its logarithm.
_LOGARITHMIC = 8.0


@dataclass(frozen=True)
class Scale:
    """Where the values of a numeric setting lie between the least (-½) and the greatest (½).

    Attributes:
        low, high: the least and the greatest value, in the setting's own unit.
        logarithmic: whether a place goes by the logarithm of the value.
        whole: whether all values are whole numbers by their type, like ranks.
    """

    low: float
    high: float
    logarithmic: bool
    whole: bool

    @classmethod
    def of(cls, values: Sequence[float]) -> Scale:
        low, high = min(values), max(values)
        whole = all(isinstance(value, int) for value in values)
        return cls(low, high, low > 0 and high / low >= _LOGARITHMIC, whole)

    def place(self, value: float) -> float:
        part = (value - self.low) / (self.high - self.low)
        if self.logarithmic:
            part = math.log(value / self.low) / math.log(self.high / self.low)
        return part - 0.5

    def value(self, place: float) -> float:
        """The inverse of :meth:`place`."""
        part = place + 0.5
        if self.logarithmic:
            return self.low * math.pow(self.high / self.low, part)
        return self.low + (self.high - self.low) * part


@dataclass(frozen=True)
class Term:
    """One question to the trials: what does it change when this does?

    Attributes:
        subject: begins a sentence, ``Adapting query``.
        label: the same in short, ``adapt query``.
        values: shape (trials,); from one side to the other it grows by 1.
        setting: dotted key of a numeric setting; else None.
        scale: of a numeric setting; else None.
        curved: whether it is the middle of a numeric setting's range against the range's ends.
    """

    subject: str
    label: str
    values: NDArray[np.float64]
    setting: str | None = None
    scale: Scale | None = None
    curved: bool = False

    @property
    def name(self) -> str:
        """What is asked about: a numeric setting, or the label."""
        return _shown(self.setting) if self.setting else self.label


def bend(place: float) -> float:
    """The curve of a curved term: 0 at either end of the range, 1 in its middle."""
    return 1.0 - 4.0 * place**2


def terms_of(trials: Sequence[TrialRecord]) -> list[Term]:
    """The questions that these trials can answer: roles first, then settings as they are written.

    A role is *adapted* where ``modules`` names it, and *trains* where its A and B did at the start.
    What was changed in the same trials only is one question with all their names, and so is what
    just the others have. There is none for what fewer than two trials have, or lack, nor for a
    number that all but one have alike.

    Args:
        trials: of AFLoRA, all that were trained to the end.
    """
    settings = [_settings(trial) for trial in trials]
    roles = _roles(settings)
    found = roles + [term for key in _keys(settings) for term in _of_setting(key, settings)]
    return [
        term
        for term in found
        if min((term.values > 0).sum(), (term.values <= 0).sum()) >= _FEWEST_A_SIDE
        or term.setting is not None
    ]


def _settings(trial: TrialRecord) -> dict[str, Any]:
    own = AFLoRASettings(**trial.settings["method"]["aflora"]).model_dump()
    rest = {key: value for key, value in trial.settings.items() if key != "method"}
    return own_first(own, rest)


def _keys(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Settings that every trial has and that differ, less those that the roles tell of."""
    told = {"modules", "trainable_projections"}
    keys = dict.fromkeys(key for one in settings for key in one)
    return [
        key
        for key in keys
        if key not in told
        and all(key in one for one in settings)
        and len({_hashable(one[key]) for one in settings}) > 1
    ]


def _roles(settings: Sequence[Mapping[str, Any]]) -> list[Term]:
    adapted = [frozenset(one["modules"]) for one in settings]
    train = [
        frozenset(role for role in own if _trains(role, one["trainable_projections"]))
        for own, one in zip(adapted, settings, strict=True)
    ]
    alike: dict[bytes, _Alike] = {}
    for place, sets in enumerate((adapted, train)):
        for role in in_order(frozenset().union(*sets)):
            values = np.array([float(role in one) for one in sets])
            alike.setdefault(values.tobytes(), _Alike(values)).names[place].append(role)
    terms = {key: _of_roles(*found.names, found.values) for key, found in alike.items()}
    questions = []
    while terms:
        _, term = terms.popitem()
        other = terms.pop((1.0 - term.values).tobytes(), None)
        questions.append(term if other is None else _in_place_of(other, term))
    return questions[::-1]


def _in_place_of(one: Term, other: Term) -> Term:
    """Of two that exclude one another, of which every trial has one: they are one question."""
    subject = f"{one.subject} in place of {other.subject[0].lower()}{other.subject[1:]}"
    return Term(subject, f"{one.label} in place of {other.label}", one.values)


class _Alike:
    """Roles that the same trials adapt, and roles whose matrices the same trials train."""

    def __init__(self, values: NDArray[np.float64]) -> None:
        self.values = values
        self.names: tuple[list[str], list[str]] = ([], [])


def _trains(role: str, projections: str) -> bool:
    """Whether A and B of a role train at the start."""
    return projections == "all" or (projections == "ffn" and role.startswith("ffn_"))


def _of_roles(adapted: list[str], train: list[str], values: NDArray[np.float64]) -> Term:
    parts, labels = [], []
    if adapted:
        parts.append(f"adapting {_listed(adapted)}")
        labels.append(f"adapt {', '.join(adapted)}")
    if train and train == adapted:
        parts.append("training " + ("its" if len(train) == 1 else "their") + " A and B")
        labels[0] = f"adapt and train {', '.join(train)}"
    elif train:
        parts.append(f"training A and B of {_listed(train)}")
        labels.append(f"train {', '.join(train)}")
    subject = " and ".join(parts)
    return Term(subject[0].upper() + subject[1:], "; ".join(labels), values)


def _of_setting(key: str, settings: Sequence[Mapping[str, Any]]) -> list[Term]:
    values = [one[key] for one in settings]
    name = _shown(key)
    if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        return _of_kinds(name, values)
    if len(values) - max(Counter(values).values()) < _FEWEST_A_SIDE:
        return []
    scale = Scale.of(values)
    places = np.array([scale.place(value) for value in values])
    low, high = _ends(scale)
    terms = [
        Term(f"{name} at {high} in place of {low}", f"{name}: {low} → {high}", places, key, scale)
    ]
    if len(set(values)) >= _FEWEST_VALUES_OF_A_CURVE:
        subject = f"{name} between {low} and {high}, rather than at its ends on average,"
        curve = np.array([bend(place) for place in places])
        terms.append(Term(subject, f"{name}: ends → middle", curve, key, scale, curved=True))
    return terms


def _ends(scale: Scale) -> tuple[str, str]:
    """The least and the greatest value, with as many digits as tell them apart."""
    low, high = legible(scale.low), legible(scale.high)
    return (low, high) if low != high else (exact(scale.low), exact(scale.high))


def _of_kinds(name: str, values: Sequence[Any]) -> list[Term]:
    """Every kind against the one that most trials have."""
    texts = [legible(value) for value in values]
    usual = max(dict.fromkeys(texts), key=texts.count)
    return [
        Term(
            f"{name} {kind} in place of {usual}",
            f"{name}: {usual} → {kind}",
            np.array([float(text == kind) for text in texts]),
        )
        for kind in dict.fromkeys(texts)
        if kind != usual
    ]


def _shown(key: str) -> str:
    return key.removeprefix("freeze.")


def _hashable(value: Any) -> Hashable:
    return tuple(value) if isinstance(value, list) else value


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
