"""Limits that a configuration must keep to be of use: ``limits: {score: ">= 0.85"}``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from search.spec.errors import did_you_mean
from search.spec.objectives import OBJECTIVES

_FORM = re.compile(r"^(>=|<=)\s*([-+0-9.eE]+)$")
_SIGNS = {"max": ">=", "min": "<="}


@dataclass(frozen=True)
class Limit:
    """A bound on one measure.

    Attributes:
        measure: its name.
        bound: in the measure's own unit; the bound itself is within the limit.
    """

    measure: str
    bound: float

    def violation(self, value: float) -> float:
        """How far a value lies beyond the limit, on the scale of the hypervolume; ≤ 0 within it.

        That is Optuna's form of a constraint.
        """
        objective = OBJECTIVES[self.measure]
        return objective.minimised(value) - objective.minimised(self.bound)


def parse_limits(limits: Mapping[str, str]) -> tuple[Limit, ...]:
    """Read the section.

    Raises:
        ValueError: a measure is unknown, or a bound is no bound or points the wrong way.
    """
    return tuple(_parse(name, text) for name, text in limits.items())


def _parse(name: str, text: str) -> Limit:
    if name not in OBJECTIVES:
        raise ValueError(f"unknown measure {name!r}; {did_you_mean(name, OBJECTIVES)}")
    sign = _SIGNS[OBJECTIVES[name].direction]
    form = _FORM.match(text.strip())
    try:
        bound = float(form[2]) if form is not None else math.nan
    except ValueError:
        bound = math.nan
    if form is None or not math.isfinite(bound):
        raise ValueError(f'{name} takes a bound such as "{sign} 0.85", got {text!r}')
    if form[1] != sign:
        better = "larger" if OBJECTIVES[name].direction == "max" else "smaller"
        raise ValueError(f"{name} is better when {better}: its limit is {sign}, got {text!r}")
    if OBJECTIVES[name].direction == "min" and bound <= 0:
        raise ValueError(f"{name} is never 0 or less, got {text!r}")
    return Limit(name, bound)
