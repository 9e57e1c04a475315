"""Which tracking store a run is recorded in; a module that starts without MLflow."""

from __future__ import annotations

import os

from search.engine.run_directory import RunDirectory
from search.writing import shown


def given_uri(named: str | None) -> str | None:
    """The tracking store that the user names; None for the run directory's own.

    Args:
        named: what the space says, which wins over the environment.
    """
    return named or os.environ.get("MLFLOW_TRACKING_URI")


def shown_uri(named: str | None, directory: RunDirectory) -> str:
    """The tracking store as a user would name it in this folder."""
    return given_uri(named) or f"sqlite:///{shown(directory.mlflow)}"
