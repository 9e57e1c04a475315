"""Where MLflow records a run, and what is written there once the search is over."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence

from search.engine.run_directory import RunDirectory
from search.results.confirmed import Confirmation
from search.spec import LoadedSpace
from search.spec.errors import first_line
from search.tracking.mlflow_store import MLflowStore
from search.tracking.relocation import relocate
from search.writing import shown


def given_uri(loaded: LoadedSpace) -> str | None:
    """The tracking store that the user names; None for the run directory's own."""
    return loaded.space.tracking.uri or os.environ.get("MLFLOW_TRACKING_URI")


def shown_uri(loaded: LoadedSpace, directory: RunDirectory) -> str:
    """The tracking store as a user would name it in this folder."""
    return given_uri(loaded) or f"sqlite:///{shown(directory.mlflow)}"


def store_opener(
    loaded: LoadedSpace, directory: RunDirectory, study_id: str
) -> Callable[[], MLflowStore]:
    """Opens the tracking store of a study; the run directory may have been moved."""
    given = given_uri(loaded)
    uri = given or f"sqlite:///{directory.mlflow}"
    artifacts = None if given else directory.artifacts
    if artifacts is not None:
        relocate(directory.mlflow, artifacts)
    experiment = loaded.space.tracking.experiment or loaded.space.name
    return lambda: MLflowStore(uri, experiment, artifacts, study_id)


def track_confirmations(
    loaded: LoadedSpace,
    directory: RunDirectory,
    study_id: str,
    confirmations: Sequence[Confirmation],
) -> None:
    """Write what fresh seeds said beside the trials; what cannot be written is told."""
    several = len(confirmations) > 1
    measured: dict[int, Mapping[str, float]] = {}
    for confirmation in confirmations:
        suffix = f"_{confirmation.split}" if several else ""
        for member in confirmation.members:
            measured[member.trial] = {
                **measured.get(member.trial, {}),
                f"confirmed_score{suffix}": member.score.mean,
                f"confirmed_low{suffix}": member.score.low,
                f"confirmed_high{suffix}": member.score.high,
            }
    try:
        store_opener(loaded, directory, study_id)().measure(measured, {"confirmed": "true"})
    # As during the search: whatever a tracking store does wrong must not lose what was found.
    except Exception as error:
        problem = f"{type(error).__name__}: {first_line(error)[:300]}"
        print(f"MLflow misses what was confirmed: {problem}", file=sys.stderr)
