"""A search of its own for every method: a comparison gives each the same number of trials."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.engine.policy import Policy
from search.engine.proposer import Draft, Proposer
from search.engine.study import SearchStudy
from search.spec.distributions import Branch, Group
from search.spec.nodes import method_of, methods_of

_METHOD = "method"

Make = Callable[[Group, int, Sequence[FrozenTrial], Mapping[str, Any]], Proposer]


class MethodProposers:
    """Proposes for the method that has had the fewest trials, from what its own trials taught.

    One sampler for all would take most of its good examples from the best method and learn little
    of how the others want to be set.

    Args:
        make: a proposer of one method: from a tree, a seed, trials in the order of their numbers
            and what samplers wrote down in the study.
        tree: what can be proposed.
        seed: of the study.
        trials: of an earlier driver, in the order of their numbers.
        attributes: what samplers wrote down in the study.
        most: trials that a method has.
    """

    def __init__(
        self,
        make: Make,
        tree: Group,
        seed: int,
        trials: Sequence[FrozenTrial],
        attributes: Mapping[str, Any],
        most: int,
    ) -> None:
        self._methods = list(methods_of(tree).options)
        self._distribution = CategoricalDistribution(self._methods)
        self._most = most
        # Global number → method, and number among the method's own.
        self._places: list[tuple[str, int]] = []
        of_method: dict[str, list[FrozenTrial]] = {method: [] for method in self._methods}
        for trial in trials:
            method = _method_of(trial)
            self._places.append((method, len(of_method[method])))
            of_method[method].append(_without_method(trial))
        self._proposers = {
            method: make(
                _only(tree, method),
                int(np.random.SeedSequence([seed, index]).generate_state(1)[0]),
                of_method[method],
                {
                    key.removeprefix(f"{method}:"): value
                    for key, value in attributes.items()
                    if key.startswith(f"{method}:")
                },
            )
            for index, method in enumerate(self._methods)
        }

    @property
    def spent(self) -> str:
        """Why :meth:`propose` has found nothing, where it has not."""
        return next(iter(self._proposers.values())).spent

    def began(self, number: int) -> None:
        """A configuration that was enqueued trains now."""
        method, own = self._places[number]
        self._proposers[method].began(own)

    def ended(
        self,
        number: int,
        state: TrialState,
        values: Sequence[float] | None,
        settings: Mapping[str, Any],
        violations: Mapping[str, float],
    ) -> None:
        """A trial ended, see :meth:`Proposer.ended`."""
        method, own = self._places[number]
        self._proposers[method].ended(own, state, values, settings, violations)

    def propose(self) -> Draft | None:
        """Draw a configuration; None where no method has one left that is worth a try."""
        had = [method for method, _ in self._places]
        left = [method for method in self._methods if had.count(method) < self._most]
        for method in sorted(left, key=had.count):
            draft = self._proposers[method].propose()
            if draft is not None:
                number = len(self._places)
                self._places.append((method, draft.number))
                return self._whole(draft, method, number)
        return None

    def _whole(self, draft: Draft, method: str, number: int) -> Draft:
        """As it would have been drawn from the whole tree."""
        several = len(self._methods) > 1
        return dataclasses.replace(
            draft,
            number=number,
            params={**({_METHOD: method} if several else {}), **draft.params},
            distributions={
                **({_METHOD: self._distribution} if several else {}),
                **draft.distributions,
            },
            study_attributes={
                f"{method}:{key}": value for key, value in draft.study_attributes.items()
            },
        )


def make_proposer(
    policy: Policy, objectives: Sequence[str], study: SearchStudy
) -> Proposer | MethodProposers:
    """Who proposes what a policy wants, from what a study holds."""

    def make(
        tree: Group, seed: int, trials: Sequence[FrozenTrial], attributes: Mapping[str, Any]
    ) -> Proposer:
        return Proposer(
            tree,
            policy.length,
            policy.sampler,
            objectives,
            policy.limits,
            seed,
            trials,
            attributes,
        )

    trials, attributes = study.frozen_trials(), study.sampler_attributes
    most = policy.budget.trials_per_method
    if most is None:
        return make(policy.tree, policy.seed, trials, attributes)
    return MethodProposers(make, policy.tree, policy.seed, trials, attributes, most)


def _only(tree: Group, method: str) -> Group:
    one = Branch({method: methods_of(tree).options[method]}, nested=True)
    return Group({**tree.children, _METHOD: one})


def _method_of(trial: FrozenTrial) -> str:
    settings = trial.user_attrs.get("settings", trial.user_attrs.get("queued"))
    assert settings is not None, "every trial of the study has its settings"
    return method_of(settings)


def _without_method(trial: FrozenTrial) -> FrozenTrial:
    """In a method's own search the method is no parameter."""
    return create_trial(
        state=trial.state,
        params={name: value for name, value in trial.params.items() if name != _METHOD},
        distributions={n: d for n, d in trial.distributions.items() if n != _METHOD},
        user_attrs=trial.user_attrs,
        system_attrs=trial.system_attrs,
        values=trial.values,
    )
