"""Who proposes: a sampler of Optuna, made anew for every proposal."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from optuna.samplers import (
    BaseSampler,
    GPSampler,
    NSGAIIISampler,
    NSGAIISampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)

from search.engine.grid import Grid
from search.engine.plugins import check_arguments, class_of, make
from search.spec.distributions import Group
from search.spec.schema import Sampler

GRID = "grid"
SAMPLERS: Mapping[str, type[BaseSampler] | None] = {
    "tpe": TPESampler,
    "nsga2": NSGAIISampler,
    "nsga3": NSGAIIISampler,
    "gp": GPSampler,
    "random": RandomSampler,
    "qmc": QMCSampler,
    GRID: None,  # see search.engine.grid
}
#: Those that learn from complete trials and need some to begin with.
_MODELS = (TPESampler, GPSampler)
_OURS = frozenset({"seed", "n_startup_trials", "constraints_func", "gamma"})

GOOD_FRACTION = 0.1
GOOD_MOST = 25
#: Of more trials TPE forgets the early ones, but for the front: its time grows with all that it
#: weighs.
SEEN_MOST = 2000


def check_sampler(config: Sampler, tree: Group) -> None:
    """Refuse a sampler that does not exist, does not take its options or not this space.

    Raises:
        ValueError: naming what is wrong and what would be accepted.
    """
    if config.name == GRID:
        if config.options:
            raise ValueError(f"grid has no argument {next(iter(config.options))!r}")
        Grid(tree, 0)
        return
    cls = class_of(config.name, SAMPLERS, BaseSampler)
    check_arguments(cls, config.options, _OURS)
    make_sampler(config, 0, 0, 0, config.startup, config.startup, 1)


def most_seen(config: Sampler) -> int | None:
    """How many of the last trials a sampler sees, beside the front; None for all.

    The evolutionary ones look up their own generations, which are of any age.
    """
    if config.name == GRID:
        return None
    cls = class_of(config.name, SAMPLERS, BaseSampler)
    return SEEN_MOST if issubclass(cls, TPESampler) else None


def make_sampler(
    config: Sampler, seed: int, number: int, attempt: int, complete: int, feasible: int, front: int
) -> BaseSampler:
    """The sampler for one proposal.

    It is seeded by the study's seed and the trial's number, so that a resumed search goes on as it
    would have without a break.

    TPE splits what it has seen into good and bad. Left to itself it would take a tenth of *all*
    trials as good, pruned ones included, and with many pruned trials some of these would land
    among the good. Here only complete trials within the limits count for the split, and complete
    trials for the start-up. Pruned ones are always bad, without lending their truncated values.
    Good is what no other dominates, and at least a tenth: of a front of six, a tenth of twenty
    trials would take two and call the rest bad.

    Args:
        config: which sampler.
        seed: of the study.
        number: of the trial to be proposed.
        attempt: 0, or how often what it proposed was refused.
        complete: complete trials so far.
        feasible: those of them that keep to the limits.
        front: those of these that no other dominates.
    """
    drawn = int(np.random.SeedSequence([seed, number, attempt]).generate_state(1)[0])
    cls = class_of(config.name, SAMPLERS, BaseSampler)
    if issubclass(cls, _MODELS) and complete < config.startup:
        return RandomSampler(seed=drawn)
    if issubclass(cls, TPESampler):
        good = min(max(math.ceil(GOOD_FRACTION * complete), front), GOOD_MOST, feasible)
        # Without a constant liar TPE takes running trials for places where nobody looks. Settings
        # are modelled one by one: so much is pruned that too few complete trials are left to tell
        # which of them go together.
        sampler = make(
            cls,
            {
                "constant_liar": True,
                # Left out, Optuna takes those of a single objective together.
                "multivariate": bool(config.options.get("group")),
            }
            | config.options,
            n_startup_trials=0,
            gamma=lambda _: good,
            seed=drawn,
        )
    elif issubclass(cls, QMCSampler):
        # All points belong to one sequence, whose place is kept in the study.
        sampler = make(
            cls,
            {"scramble": True, "warn_independent_sampling": False} | config.options,
            seed=seed,
            independent_sampler=RandomSampler(seed=drawn),
        )
    else:
        sampler = make(cls, config.options, n_startup_trials=0, seed=drawn)
    assert isinstance(sampler, BaseSampler)
    return sampler
