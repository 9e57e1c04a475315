"""Where MLflow records a run, and what is written there once the search is over."""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from search.engine.run_directory import RunDirectory
from search.results.confirmed import read_confirmations
from search.spec import LoadedSpace
from search.spec.errors import first_line
from search.tracking.follower import FINISH_SECONDS
from search.tracking.relocation import relocate
from search.tracking.renaming import rename_parameters
from search.tracking_place import given_uri

# MLflow takes seconds to import: whoever writes to it first does, in the background of a search.
if TYPE_CHECKING:
    from search.tracking.mlflow_store import MLflowStore
    from search.tracking.system_metrics import SystemMetrics

_SYSTEM_METRICS = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING"


def system_metrics(loaded: LoadedSpace) -> SystemMetrics | None:
    """Reads this machine, where the user wants that; None where not."""
    wanted = loaded.space.tracking.system_metrics
    if wanted is None and _SYSTEM_METRICS in os.environ:
        from mlflow.environment_variables import MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING

        wanted = MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING.get()
    if not wanted:
        return None
    from search.tracking.system_metrics import SystemMetrics

    return SystemMetrics()


def store_opener(
    loaded: LoadedSpace, directory: RunDirectory, study_id: str
) -> Callable[[], MLflowStore]:
    """Opens the tracking store of a study; the run directory may have been moved.

    All that can go wrong with the store does so when it is opened: then it is told, or tried again.
    """
    given = given_uri(loaded.space.tracking.uri)
    uri = given or f"sqlite:///{directory.mlflow}"
    artifacts = None if given else directory.artifacts
    experiment = loaded.space.tracking.experiment or loaded.space.name

    def opened() -> MLflowStore:
        from search.tracking.mlflow_store import MLflowStore

        if artifacts is not None:
            _take_along(directory.mlflow, artifacts)
        return MLflowStore(uri, experiment, artifacts, study_id)

    return opened


def _take_along(database: Path, artifacts: Path) -> None:
    """Have the run directory's own store be of this place and this version.

    Raises:
        ValueError: it cannot be read; its file is named.
    """
    try:
        relocate(database, artifacts)
        rename_parameters(database)
    except sqlite3.Error as error:
        raise ValueError(f"{database} cannot be read: {error}") from error


@dataclass(frozen=True)
class Tracked:
    """A study of which something was confirmed."""

    loaded: LoadedSpace
    directory: RunDirectory
    study_id: str

    def write(self) -> None:
        """Write what fresh seeds said beside the trials; as often as one likes.

        Raises:
            ValueError: what was confirmed is damaged, or the store cannot be read.
        """
        confirmations = read_confirmations(self.directory.root)
        store = store_opener(self.loaded, self.directory, self.study_id)()
        several = len(confirmations) > 1
        for confirmation in confirmations:
            suffix = f"_{confirmation.split}" if several else ""
            for member in confirmation.members:
                measures = {
                    f"confirmed_score{suffix}": member.score.mean,
                    f"confirmed_low{suffix}": member.score.low,
                    f"confirmed_high{suffix}": member.score.high,
                }
                # More seeds come later: of a metric MLflow shows the value of the last step.
                seeds = len(member.scores)
                store.measure(member.trial, measures, seeds, {"confirmed": "true"})


def track_confirmations(studies: Sequence[Tracked]) -> None:
    """Write what was confirmed into MLflow; what cannot be written in a minute is told."""
    problems = ["it did not answer"]

    def write() -> None:
        found = []
        for study in studies:
            try:
                study.write()
            # As during the search: whatever a tracking store does wrong must not lose what was
            # found, nor what was found on other tasks.
            except Exception as error:
                found.append(f"{type(error).__name__}: {first_line(error)[:300]}")
        problems[:] = list(dict.fromkeys(found))

    thread = threading.Thread(target=write, name="tracking", daemon=True)
    thread.start()
    thread.join(FINISH_SECONDS)
    for problem in problems:
        print(f"MLflow misses what was confirmed: {problem}", file=sys.stderr)
