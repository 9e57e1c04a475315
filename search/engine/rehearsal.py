"""One proposal before anything starts, so that what a sampler takes amiss is said at once."""

from __future__ import annotations

from collections.abc import Sequence

from optuna.trial import FrozenTrial, TrialState, create_trial

from search.engine.proposer import Proposer
from search.engine.samplers import check_sampler
from search.spec.distributions import Group
from search.spec.schema import Sampler


def rehearse(config: Sampler, tree: Group, objectives: Sequence[str]) -> None:
    """Have a sampler propose after made-up trials, as many as it needs to begin with.

    Raises:
        ValueError: it does not exist, does not take its options or this space, or raises.
    """
    check_sampler(config, tree)
    random = Sampler(name="random")
    drafts = Proposer(tree, None, random, objectives, (), 0, [], {})
    made_up: list[FrozenTrial] = []
    for number in range(1, max(config.startup, 1) + 2):
        draft = drafts.propose()
        assert draft is not None
        made_up.append(
            create_trial(
                state=TrialState.COMPLETE,
                params=draft.params,
                distributions=draft.distributions,
                user_attrs={"settings": draft.settings},
                values=[float(number + place) for place in range(len(objectives))],
            )
        )
    try:
        Proposer(tree, None, config, objectives, (), 0, made_up, {}).propose()
    except Exception as error:
        # Whatever another's class raises is about its options or this space.
        what = f"{config.name} cannot propose here: {type(error).__name__}: {error}"
        raise ValueError(what) from error
