"""What Ray and its processes read from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping

# Set before Ray's processes start, so that workers inherit them.
RAY_ENVIRONMENT: Mapping[str, str] = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Who was given no GPU sees none, and takes no memory of one.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
    # A stopped trial whose thread needs longer than this would make the next one on its process
    # fail unrun.
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "600",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_RESULT_BUFFER_LENGTH": "1",
    # Nothing is ever restored from Ray's own state: the study holds everything.
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    # Or Tune takes up a trial by itself whose node was taken away with notice, beside the engine.
    "RAY_TRAIN_COUNT_PREEMPTION_AS_FAILURE": "1",
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


def prepare_environment() -> dict[str, str]:
    """Settings that Ray and its processes read from the environment; before it starts.

    Returns:
        What holds: where the environment says something else already, that.
    """
    return {name: os.environ.setdefault(name, value) for name, value in RAY_ENVIRONMENT.items()}
