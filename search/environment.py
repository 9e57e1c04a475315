"""Process-wide settings that must stand before anything heavy is imported."""

from __future__ import annotations

import gc
import os
import signal

#: Exit status of a command that was given something it cannot use. A search has written nothing.
WRONG_INPUT = 2
#: Exit status of a search that Ctrl-C ended, as shells have it.
INTERRUPTED = 130

QUIET: dict[str, str] = {
    # Nobody is told about a search but its user.
    "RAY_USAGE_STATS_ENABLED": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # With a server it would print two lines for every trial.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    # A tokenizer that was used before a fork would otherwise warn in every worker.
    "TOKENIZERS_PARALLELISM": "false",
    # Unreachable hubs are told within seconds, not after minutes of retries.
    "HF_HUB_ETAG_TIMEOUT": "5",
}

#: Objects made and not freed before garbage is looked for, while libraries are imported.
IMPORTED_BEFORE_COLLECTING = 100_000
PYTHONS_THRESHOLDS = gc.get_threshold()

#: Ray reads these when it is imported.
RAY: dict[str, str] = {
    # A host that burns is found dead after about half a minute. By default a trial on it has failed
    # after one second, for a reason that does not tell it from one that crashed.
    "RAY_timeout_ms_task_wait_for_death_info": "120000",
}


def heed_signals() -> None:
    """Have Ctrl-C and SIGTERM raise KeyboardInterrupt, whoever started this program.

    A shell that starts it in the background has it ignore Ctrl-C, and Ray would die of SIGTERM.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


def prepare() -> None:
    """Set what the user has not set, and have imports cost less."""
    for name, value in (QUIET | RAY).items():
        os.environ.setdefault(name, value)
    collect_seldom()


def collect_seldom() -> None:
    """Look for garbage seldom: libraries make a million objects while they are imported.

    By default all of them are gone through time and again, for nothing: modules stay. What runs for
    long then looks :func:`as usual <collect_as_usual>`.
    """
    gc.set_threshold(IMPORTED_BEFORE_COLLECTING, *gc.get_threshold()[1:])


def collect_as_usual() -> None:
    """Look for garbage as often as Python does by itself."""
    gc.set_threshold(*PYTHONS_THRESHOLDS)
