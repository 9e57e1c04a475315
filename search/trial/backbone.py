"""The frozen pretrained model: found by name, loaded with a fresh head."""

from __future__ import annotations

import copy
import importlib.util
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedConfig

from search.spec.errors import first_line
from search.spec.tasks import Task

PACKAGE_PREFIX = "package:"
REACH_SECONDS = 10.0

T = TypeVar("T")


class NotFound(Exception):
    """A model or data set cannot be found or reached; the message says how to go on."""


def locate(model: str) -> str:
    """Where a model of a space file lies: a local folder, or the name of a hub model.

    Raises:
        NotFound: the package is not installed, or the folder holds no model.
    """
    if model.startswith(PACKAGE_PREFIX):
        package, _, below = model.removeprefix(PACKAGE_PREFIX).partition("/")
        spec = importlib.util.find_spec(package) if package.isidentifier() else None
        if spec is None or not spec.submodule_search_locations:
            distribution = package.replace("_", "-")
            raise NotFound(
                f"{model!r}: the package {package!r} is not installed; "
                f"try pip install {distribution}"
            )
        folder = Path(next(iter(spec.submodule_search_locations))) / below
    elif model.startswith(("/", "./", "../", "~")) or Path(model).exists():
        folder = Path(model).expanduser().resolve()
    else:
        return model
    if not (folder / "config.json").is_file():
        raise NotFound(f"{model!r}: {folder} holds no model (no config.json)")
    return str(folder)


def within(seconds: float, what: str, hint: str, call: Callable[[], T]) -> T:
    """The result of a call that may need the hub, or NotFound once it takes too long.

    Raises:
        NotFound: naming ``what`` and the ``hint`` how to do without the hub.
    """
    results: list[T] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            results.append(call())
        except Exception as error:  # handed to the caller's thread below
            errors.append(error)

    # Each of its retries would be a warning; what comes of them is told in one line below.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    # A daemon, so that a connection that hangs cannot keep the program from ending.
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if results:
        return results[0]
    if not errors:
        raise NotFound(f"{what}: the hub could not be reached within {seconds:g} s; {hint}")
    error = errors[0]
    if isinstance(error, (OSError, ValueError, ConnectionError)) or _from_the_hub(error):
        first = first_line(error)
        raise NotFound(f"{what} cannot be found or the hub cannot be reached ({first}); {hint}")
    raise error


def _from_the_hub(error: Exception) -> bool:
    """HTTP clients raise errors of their own; what they have in common is where they come from."""
    origin = type(error).__module__.split(".")[0]
    return origin in {"huggingface_hub", "httpx", "httpcore", "requests", "urllib3", "fsspec"}


def read_config(model: str) -> PreTrainedConfig:
    """The model's config.

    Raises:
        NotFound: there is no such model, or the hub cannot be reached within 10 s.
    """
    place = locate(model)
    hint = "name a local copy with model: /path/to/folder, or set HF_HUB_OFFLINE=1 if it is cached"
    config: PreTrainedConfig = within(
        REACH_SECONDS, f"model {model!r}", hint, lambda: AutoConfig.from_pretrained(place)
    )
    return config


def load_classifier(model: str, task: Task, seed: int, place: str | None = None) -> nn.Module:
    """The model with a fresh head for the task, in fp32.

    Args:
        model: as in the space file.
        task: what the head is for.
        seed: draws the head.
        place: folder of the model on this node, where that is not found by its name.
    """
    # Which weights of the head are new is no news here; it is the same for every trial.
    logging.getLogger("transformers").setLevel(logging.ERROR)
    torch.manual_seed(seed)
    classifier: nn.Module = AutoModelForSequenceClassification.from_pretrained(
        place or locate(model),
        num_labels=task.labels,
        problem_type="regression" if task.is_regression else "single_label_classification",
        dtype=torch.float32,
    )
    if place is not None:
        # An adapter names the model that it belongs to, not a folder of one node.
        named: Any = classifier
        named.name_or_path = named.config.name_or_path = model
    if task.classes is not None:
        names = dict(enumerate(task.classes))
        config: Any = classifier.config
        config.id2label, config.label2id = names, {name: i for i, name in names.items()}
    return classifier


def empty_classifier(config: PreTrainedConfig, task: Task) -> nn.Module:
    """The model's shapes without its weights, on the meta device."""
    sized = copy.deepcopy(config)
    sized.num_labels = task.labels
    with torch.device("meta"):
        classifier: nn.Module = AutoModelForSequenceClassification.from_config(sized)
    return classifier
