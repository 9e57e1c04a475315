"""Ray Tune executes what the engine decides."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ray import tune
from ray.tune import CheckpointConfig, RunConfig, TuneConfig, Tuner

from search.engine.checkpoints import TRIALS, next_experiment
from search.engine.fleet import Fleet
from search.engine.ray_parts import (
    EngineScheduler,
    EngineSearcher,
    EngineStopper,
    Supervision,
    folder_of,
)
from search.engine.watchdog import Watchdog, start_heartbeats
from search.store import Store

MOST_AT_A_TIME = 10_000


def execute(
    fleet: Fleet,
    store: Store,
    discard: Callable[[Sequence[str]], None],
    trainable: Callable[..., None],
    parameters: Mapping[str, Any],
    resources: Mapping[str, float],
    slots: Callable[[], int],
    hang_minutes: float,
    stepped: Callable[[str, int], None] = lambda study, number: None,
) -> None:
    """Run trials until no engine proposes anything more, or all are ending.

    Args:
        fleet: decides.
        store: of the run; checkpoints are written there.
        discard: is given checkpoints that no study needs any more.
        trainable: what a worker runs, ``trainable(config, **parameters, store=…, heartbeats=…)``.
        parameters: the same for every trial; delivered once through the object store.
        resources: what a trial takes, by Ray's names.
        slots: trials at a time, now.
        hang_minutes: how long a trial may take no step.
        stepped: is told study and number of a trial when an attempt at it has taken its first
            step, some seconds late.
    """
    # By default Tune takes in a second trial only once the first one's process is up. The searcher
    # hands out no more than there are slots, also when nodes have come meanwhile.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(MOST_AT_A_TIME)
    experiment = next_experiment(store)
    searcher = EngineSearcher(fleet, slots)
    heartbeats = start_heartbeats()
    watchdog = Watchdog(heartbeats, hang_minutes * 60)
    prepared = tune.with_resources(
        tune.with_parameters(trainable, **parameters, store=store, heartbeats=heartbeats),
        tune.PlacementGroupFactory([dict(resources)]),
    )
    tuner = Tuner(
        prepared,
        tune_config=TuneConfig(
            search_alg=searcher,
            scheduler=EngineScheduler(fleet, experiment, discard),
            num_samples=-1,
            reuse_actors=True,
            trial_dirname_creator=folder_of,
            trial_name_creator=folder_of,
        ),
        run_config=RunConfig(
            name=experiment,
            storage_path=store.path(TRIALS),
            # Of a path Ray finds the file system, and knows then that it is a disk.
            storage_filesystem=None if store.local is not None else store.filesystem,
            stop=EngineStopper(fleet),
            callbacks=[Supervision(fleet, watchdog, hang_minutes, stepped)],
            # They are deleted by the scheduler, once the study knows of the next one.
            checkpoint_config=CheckpointConfig(num_to_keep=None),
            verbose=0,
        ),
    )
    try:
        tuner.fit()
    finally:
        searcher.close()
        for lane in fleet:
            lane.engine.close(time.time())
