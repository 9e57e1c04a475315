"""What a search wants, and what it hands out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from search.spec.distributions import Group
from search.spec.limits import Limit
from search.spec.nodes import methods_of
from search.spec.relations import Length
from search.spec.schema import Budget, Failures, Sampler

Decision = Literal["continue", "stop", "pause"]


@dataclass(frozen=True)
class Proposal:
    """A configuration to train.

    Attributes:
        number: of the trial.
        settings: the whole configuration.
        checkpoint: folder to go on from, relative to the run directory; None starts anew.
        attempt: 0 for the first time that the trial is handed out in this driver.
    """

    number: int
    settings: Mapping[str, Any]
    checkpoint: str | None = None
    attempt: int = 0


@dataclass(frozen=True)
class Policy:
    """What a search wants.

    Attributes:
        tree: what can be proposed.
        sampler: who proposes.
        seed: of the study.
        budget: when nothing more is proposed.
        failures: what becomes of trials that fail.
        limits: what a configuration must keep to.
        length: of every trial, where the space's schedules depend on it.
        promote: a trial that would be stopped is paused, and goes on if it is among the best later.
    """

    tree: Group
    sampler: Sampler
    seed: int = 0
    budget: Budget = field(default_factory=Budget)
    failures: Failures = field(default_factory=Failures)
    limits: tuple[Limit, ...] = ()
    length: Length | None = None
    promote: bool = False

    @property
    def trials(self) -> int:
        """Configurations that are tried."""
        return self.budget.total(len(methods_of(self.tree).options))
