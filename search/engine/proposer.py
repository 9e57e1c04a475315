"""Draws configurations, off the loop that trains: from an Optuna study in memory."""

from __future__ import annotations

import bisect
import threading
import warnings
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.engine.grid import Grid
from search.engine.proposals import Draw, propose
from search.engine.samplers import GOOD_MOST, GRID, make_sampler, most_seen
from search.engine.seen import SeenTrials
from search.flat import flattened
from search.spec.distributions import Group
from search.spec.limits import Limit
from search.spec.objectives import OBJECTIVES
from search.spec.relations import Length, settle
from search.spec.schema import Sampler

# How often a configuration that has failed before may be drawn again before the search gives up.
ATTEMPTS = 50
# A sampler that insists on what has failed is asked no more: what is left is drawn at random.
INSISTENCE = 25
_NAME = "proposals"


@dataclass(frozen=True)
class Draft:
    """A configuration that was drawn, and all that the study has to keep of it.

    Attributes:
        number: of its trial.
        settings: the whole configuration.
        params, distributions: what was drawn, by name.
        trial_attributes, study_attributes: what the sampler wrote down for its next proposals.
    """

    number: int
    settings: dict[str, Any]
    params: dict[str, Any]
    distributions: dict[str, BaseDistribution]
    trial_attributes: Mapping[str, Any] = field(default_factory=dict)
    study_attributes: Mapping[str, Any] = field(default_factory=dict)


class Proposer:
    """A sampler's view of the study, in memory.

    Samplers read and write a study many times for one proposal, which takes long on a database.
    They see objectives as the hypervolume measures them, all minimised, counts and costs in
    logarithms. A proposal depends only on the seed, the trial's number and what the study holds.

    :meth:`ended` may be called while another thread is in :meth:`propose`.

    Args:
        tree: what can be proposed.
        length: of a trial; None where nothing depends on it.
        sampler: who proposes.
        objectives: names, in the order of the space file.
        limits: what a configuration must keep to.
        seed: of the study.
        trials: of an earlier driver, in the order of their numbers.
        attributes: what samplers wrote down in the study.
    """

    def __init__(
        self,
        tree: Group,
        length: Length | None,
        sampler: Sampler,
        objectives: Sequence[str],
        limits: Sequence[Limit],
        seed: int,
        trials: Sequence[FrozenTrial],
        attributes: Mapping[str, Any],
    ) -> None:
        self._tree = tree
        self._length = length
        self._config = sampler
        self._objectives = objectives
        self._limits = limits
        self._seed = seed
        self._grid = Grid(tree, seed) if sampler.name == GRID else None
        self._place = 0
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._storage = SeenTrials(most_seen(sampler))
        directions = [StudyDirection.MINIMIZE] * len(objectives)
        self._study_id = self._storage.create_new_study(directions, _NAME)
        for key, value in attributes.items():
            self._storage.set_study_system_attr(self._study_id, key, value)
        self._ids: list[int] = []
        self._tried: set[str] = set()
        self._failed: dict[str, int] = {}
        self._complete = 0
        # Numbers in the storage: a proposal that came to nothing has one there and nowhere else.
        # The best first, or the latest where there is more than one objective.
        self._feasible: list[tuple[float, int]] = []
        self._front: dict[int, list[float]] = {}
        self._lock = threading.Lock()
        self._events: deque[Callable[[], None]] = deque()
        for trial in trials:
            self._add(trial)

    @property
    def spent(self) -> str:
        """Why :meth:`propose` has found nothing, where it has not."""
        if self._grid is not None:
            return "every configuration of the grid was tried"
        return "what is proposed has failed before"

    def _add(self, trial: FrozenTrial) -> None:
        begun = trial.state == TrialState.WAITING and "settings" in trial.user_attrs
        state = TrialState.RUNNING if begun else trial.state
        complete = trial.state == TrialState.COMPLETE
        self._ids.append(
            self._storage.create_new_trial(
                self._study_id,
                create_trial(
                    state=state,
                    params=trial.params,
                    distributions=trial.distributions,
                    system_attrs=trial.system_attrs,
                    values=self._minimised(trial.values) if complete else None,
                ),
            )
        )
        settings = trial.user_attrs.get("settings", trial.user_attrs.get("queued"))
        if settings is not None:
            self._tried.add(_key(flattened(settings)))
        if complete:
            self._count(self._ids[-1], self._minimised(trial.values), trial.constraints)
        if trial.state == TrialState.FAIL and "settings" in trial.user_attrs:
            self._failed[_key(flattened(trial.user_attrs["settings"]))] = trial.number

    def _count(self, trial_id: int, values: list[float], violations: Mapping[str, float]) -> None:
        """A complete trial: does it keep to the limits, and does any other dominate it?"""
        self._complete += 1
        if any(value > 0 for value in violations.values()):
            return
        number = self._storage.get_trial_number_from_id(trial_id)
        bisect.insort(self._feasible, (values[0] if len(values) == 1 else -number, number))
        if not any(_dominates(other, values) for other in self._front.values()):
            self._front = {n: v for n, v in self._front.items() if not _dominates(values, v)}
            self._front[number] = values
        if self._storage.most is not None:
            # Of what keeps to the limits as many as TPE may call good: what it lacked of them it
            # would take from those that were pruned. A front has no end where values tie.
            front = sorted(self._front)[-self._storage.most :]
            good = [number for _, number in self._feasible[:GOOD_MOST]]
            self._storage.kept = frozenset([*front, *good])

    def _minimised(self, values: Sequence[float]) -> list[float]:
        return [
            OBJECTIVES[name].minimised(value)
            for name, value in zip(self._objectives, values, strict=True)
        ]

    # What happens to trials; taken in before the next proposal.

    def began(self, number: int) -> None:
        """A configuration that was enqueued trains now."""
        self._later(
            lambda: self._storage.set_trial_state_values(self._ids[number], TrialState.RUNNING)
        )

    def ended(
        self,
        number: int,
        state: TrialState,
        values: Sequence[float] | None,
        settings: Mapping[str, Any],
        violations: Mapping[str, float],
    ) -> None:
        """A trial ended; ``violations`` are Optuna's constraints, by measure."""

        def take_in() -> None:
            trial_id = self._ids[number]
            for name, violation in violations.items():
                self._storage.set_trial_system_attr(trial_id, f"constraints:{name}", violation)
            minimised = self._minimised(values) if values is not None else None
            self._storage.set_trial_state_values(trial_id, state, minimised)
            if minimised is not None:
                self._count(trial_id, minimised, violations)
            elif state == TrialState.FAIL:
                self._failed[_key(flattened(settings))] = number

        self._later(take_in)

    def _later(self, event: Callable[[], Any]) -> None:
        with self._lock:
            self._events.append(event)

    def _take_in(self) -> None:
        while True:
            with self._lock:
                if not self._events:
                    return
                event = self._events.popleft()
            event()

    # Proposing

    def propose(self) -> Draft | None:
        """Draw a configuration; None where the space has none left that is worth a try.

        That is when every configuration of a grid was tried, or when only those come up again and
        again that have failed.
        """
        self._take_in()
        number = len(self._ids)
        drawn = self._from_grid() if self._grid is not None else self._from_sampler(number)
        if drawn is None:
            return None
        settings, params, distributions, trial_id = drawn
        for name, distribution in distributions.items():
            internal = distribution.to_internal_repr(params[name])
            self._storage.set_trial_param(trial_id, name, internal, distribution)
        self._ids.append(trial_id)
        self._tried.add(_key(flattened(settings)))
        return Draft(
            number,
            settings,
            params,
            distributions,
            dict(self._storage.get_trial_system_attrs(trial_id)),
            dict(self._storage.get_study_system_attrs(self._study_id)),
        )

    def _from_grid(
        self,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, BaseDistribution], int] | None:
        assert self._grid is not None
        while self._place < self._grid.size:
            settings, params, distributions = self._draw(self._grid.draw(self._place))
            self._place += 1
            # What two draws are moved to, so that their schedules fit, can be one configuration.
            if _key(flattened(settings)) not in self._tried:
                trial_id = self._storage.create_new_trial(self._study_id)
                return settings, params, distributions, trial_id
        return None

    def _from_sampler(
        self, number: int
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, BaseDistribution], int] | None:
        trial_id = self._storage.create_new_trial(self._study_id)
        for attempt in range(ATTEMPTS):
            sampler = make_sampler(
                self._config if attempt < INSISTENCE else Sampler(name="random"),
                self._seed,
                number,
                attempt,
                self._complete,
                len(self._feasible),
                len(self._front),
            )
            # A study object keeps trials it has read; a new one sees what is there now.
            study = optuna.load_study(study_name=_NAME, storage=self._storage, sampler=sampler)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                drawn = self._draw(_drawing(study, self._storage.get_trial(trial_id), sampler))
            if _key(flattened(drawn[0])) not in self._failed:
                return *drawn, trial_id
        self._storage.set_trial_state_values(trial_id, TrialState.FAIL)
        return None

    def _draw(
        self, draw: Draw
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, BaseDistribution]]:
        params: dict[str, Any] = {}
        distributions: dict[str, BaseDistribution] = {}

        def recorded(name: str, distribution: BaseDistribution) -> Any:
            params[name] = draw(name, distribution)
            distributions[name] = distribution
            return params[name]

        settings = propose(recorded, self._tree)
        if self._length is not None:
            settings = settle(settings, self._tree, self._length)
        return settings, params, distributions


def _drawing(study: optuna.Study, trial: FrozenTrial, sampler: BaseSampler) -> Draw:
    """What draws a trial's parameters as ``Trial.suggest_…`` does, without writing them."""
    sampler.before_trial(study, trial)
    space = sampler.infer_relative_search_space(study, trial)
    relative = sampler.sample_relative(study, trial, space)

    def draw(name: str, distribution: BaseDistribution) -> Any:
        if name in relative and space[name] == distribution:
            return relative[name]
        if distribution.single():
            return distribution.to_external_repr(_only(distribution))
        return sampler.sample_independent(study, trial, name, distribution)

    return draw


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def _only(distribution: Any) -> float:
    """The one value of a distribution that holds one, as Optuna stores it."""
    return float(getattr(distribution, "low", 0))


def _key(values: Mapping[str, Any]) -> str:
    return repr(sorted(values.items()))
