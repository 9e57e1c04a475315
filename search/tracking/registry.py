"""A trained model in MLflow's model registry, from where it can be served."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import mlflow.transformers
from mlflow.exceptions import MlflowException

from search.spec.errors import first_line
from search.tracking.mlflow_store import MLflowStore

# What it needs where it is served; this project does not.
_NEEDED = ("torch", "transformers", "accelerate")


def as_mlflow(model: Path, folder: Path) -> None:
    """Write a model of plain layers and its tokenizer as MLflow keeps a text classifier.

    Args:
        model: a folder for ``from_pretrained``.
        folder: that is made.
    """
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    # It looks for a licence and a card on the hub, under the name of a folder.
    logging.getLogger("mlflow.transformers").setLevel(logging.ERROR)
    mlflow.transformers.save_model(
        {
            "model": AutoModelForSequenceClassification.from_pretrained(model),
            "tokenizer": AutoTokenizer.from_pretrained(model),
        },
        str(folder),
        task="text-classification",
        pip_requirements=[f"{name}=={version(name).split('+')[0]}" for name in _NEEDED],
    )


def opened(open_store: Callable[[], MLflowStore], number: int, name: str) -> MLflowStore:
    """The store of a trial's run, whose registry has nothing against this name.

    Raises:
        ValueError: it cannot be reached, has no run of the trial, or refuses the name.
    """
    try:
        store = open_store()
        store.check_registration(number, name)
    except MlflowException as error:
        raise ValueError(f"MLflow does not register {name!r}: {first_line(error)}") from None
    return store


def register(store: MLflowStore, number: int, folder: Path, name: str) -> str:
    """Put a model beside the trial's run, and register it as a version of that name.

    Args:
        store: as :func:`opened` gave it.
        number: of the trial.
        folder: as :func:`as_mlflow` wrote it.
        name: in the registry.

    Returns:
        The version.

    Raises:
        ValueError: MLflow does not take it.
    """
    try:
        return store.register(number, folder, name)
    except MlflowException as error:
        raise ValueError(f"MLflow does not register {name!r}: {first_line(error)}") from None
