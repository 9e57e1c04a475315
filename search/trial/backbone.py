"""The frozen pretrained model: found by name, loaded with a fresh head."""

from __future__ import annotations

import copy
import logging
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedConfig

from search.spec.tasks import Task
from search.trial.places import locate, patience_for, within


def read_config(model: str) -> PreTrainedConfig:
    """The model's config.

    Raises:
        NotFound: there is no such model, or the hub cannot be reached within 10 s.
    """
    place = locate(model)
    hint = "name a local copy with model: /path/to/folder, or set HF_HUB_OFFLINE=1 if it is cached"
    config: PreTrainedConfig = within(
        patience_for(place), f"model {model!r}", hint, lambda: AutoConfig.from_pretrained(place)
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
