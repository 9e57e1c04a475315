"""A trained model in MLflow's model registry, from where it can be served."""

from __future__ import annotations

import logging
from importlib.metadata import version
from pathlib import Path

import mlflow.transformers

from search.tracking.mlflow_store import MLflowStore

FOLDER = "model"
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


def register(store: MLflowStore, number: int, folder: Path, name: str) -> str:
    """Put a model beside the trial's run, and register it.

    Args:
        store: that holds the run.
        number: of the trial.
        folder: as :func:`as_mlflow` wrote it.
        name: in the registry; a new version where it is there already.

    Returns:
        The version.

    Raises:
        ValueError: MLflow has no run of the trial, or refuses the name.
    """
    return store.register(number, folder, FOLDER, name)
