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

# Set before Ray's processes start, so that workers inherit them.
RAY_ENVIRONMENT: Mapping[str, str] = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # A stopped trial whose thread needs longer than this would make the next one on its process
    # fail unrun.
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "600",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_RESULT_BUFFER_LENGTH": "1",
    # Nothing is ever restored from Ray's own state: the study holds everything.
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    # Ray's new output prints a banner at any verbosity.
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    # Every trial has a thread of its own in a process that is used again, and every thread would
    # get a heap of its own from glibc, which keeps what the trial before had needed, until there
    # are eight heaps for each CPU.
    "MALLOC_ARENA_MAX": "1",
}


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


def prepare_environment() -> dict[str, str]:
    """Settings that Ray and its processes read from the environment; before it starts.

    Returns:
        What holds: where the environment says something else already, that.
    """
    return {name: os.environ.setdefault(name, value) for name, value in RAY_ENVIRONMENT.items()}
