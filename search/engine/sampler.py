"""Who proposes: an Optuna sampler made anew for every proposal."""

from __future__ import annotations

import math
import warnings

import numpy as np
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, RandomSampler, TPESampler

from search.spec.schema import Sampler

GOOD_FRACTION = 0.1
GOOD_MOST = 25


def make_sampler(config: Sampler, seed: int, number: int, complete: int) -> BaseSampler:
    """The sampler for one proposal.

    It is seeded by the study's seed and the trial's number alone, so that a resumed search goes
    on as it would have without a break.

    TPE splits what it has seen into good and bad. Left to itself it would take a tenth of *all*
    trials as good, pruned ones included, and with many pruned trials some of these would land
    among the good. Here only complete trials count, for the split as for the start-up.

    Args:
        config: which sampler.
        seed: of the study.
        number: of the trial to be proposed.
        complete: complete trials so far.
    """
    drawn = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    if config.name == "random" or complete < config.startup:
        return RandomSampler(seed=drawn)
    good = min(math.ceil(GOOD_FRACTION * complete), GOOD_MOST)
    with warnings.catch_warnings():
        # Multivariate and grouped TPE are called experimental; without them it treats settings as
        # independent of one another.
        warnings.simplefilter("ignore", ExperimentalWarning)
        # gamma is to go in Optuna 6; until then nothing else keeps pruned trials out of the good.
        warnings.simplefilter("ignore", FutureWarning)
        return TPESampler(
            n_startup_trials=0,
            multivariate=True,
            group=True,
            constant_liar=True,
            gamma=lambda _: good,
            seed=drawn,
        )
