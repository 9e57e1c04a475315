"""The frozen pretrained model: found by name, loaded with a fresh head."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence, Set
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
)

from aflora.roles import head_modules
from search.spec.tasks import Task
from search.trial.places import locate, patience_for, within

# Names of the tables of positions that are learnt one by one.
_OF_POSITIONS = ("position_embeddings", "wpe", "embed_positions")


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

    A head that comes with the model, as of a checkpoint that was trained for another task, is
    drawn anew: it would have the classes of that task, and not depend on the seed.

    Args:
        model: as in the space file.
        task: what the head is for.
        seed: draws the head.
        place: folder of the model on this node, where that is not found by its name.
    """
    # Which weights of the head are new is no news here; it is the same for every trial.
    logging.getLogger("transformers").setLevel(logging.ERROR)
    torch.manual_seed(seed)
    classifier, found = AutoModelForSequenceClassification.from_pretrained(
        place or locate(model),
        num_labels=task.labels,
        problem_type="regression" if task.is_regression else "single_label_classification",
        dtype=torch.float32,
        ignore_mismatched_sizes=True,
        output_loading_info=True,
    )
    missing = set(found["missing_keys"])
    _draw_head(classifier, missing, [name for name, *_ in found["mismatched_keys"]], seed)
    if place is not None:
        # An adapter names the model that it belongs to, not a folder of one node.
        named: Any = classifier
        named.name_or_path = named.config.name_or_path = model
    if task.classes is not None:
        names = dict(enumerate(task.classes))
        config: Any = classifier.config
        config.id2label, config.label2id = names, {name: i for i, name in names.items()}
    made: nn.Module = classifier
    return made


def _draw_head(
    classifier: PreTrainedModel, missing: Set[str], mismatched: Sequence[str], seed: int
) -> None:
    """Draw a head anew that was trained for another task.

    A model of which parts of a head are missing has never been a classifier: what it has of one,
    as ModernBERT's, belongs to what it was pretrained with.

    Args:
        classifier: as it was loaded.
        missing: parameters that its files do not hold.
        mismatched: parameters that they hold in another shape.
        seed: draws the head.

    Raises:
        ValueError: something other than a head has another shape.
    """
    base = f"{classifier.base_model_prefix}."
    paths = [path for path in head_modules(classifier) if not path.startswith(base)]
    within_head = tuple(f"{path}." for path in paths)
    if wrong := [name for name in mismatched if not name.startswith(within_head)]:
        raise ValueError(f"{wrong[0]} has another shape in the model's files than in its config")
    heads = [classifier.get_submodule(path) for path in paths]
    own = {name for name, _ in classifier.named_parameters() if name.startswith(within_head)}
    if not heads or own & missing:
        return
    torch.manual_seed(seed)
    # transformers draws what does not bear this mark, each module in the way of its model.
    for module in (classifier, *(part for head in heads for part in head.modules())):
        module._is_hf_initialized = False  # type: ignore[assignment]
        for parameter in () if module is classifier else module.parameters(recurse=False):
            parameter._is_hf_initialized = False  # type: ignore[attr-defined]
    with torch.no_grad():
        classifier.initialize_weights()


def other_head(model: str, labels: int) -> bool:
    """Whether the model's files hold a head of another size, which loading must be told of.

    Raises:
        NotFound: there is no such model, or the hub cannot be reached within 10 s.
    """
    config = read_config(model)
    trained = any("SequenceClassification" in name for name in config.architectures or ())
    return trained and config.num_labels != labels


def most_tokens(model: str) -> int | None:
    """How many tokens a row may have; None where positions are not learnt one by one.

    Raises:
        NotFound: there is no such model, or the hub cannot be reached within 10 s.
    """
    with torch.device("meta"):
        backbone = AutoModel.from_config(read_config(model))
    for name, module in backbone.named_modules():
        if isinstance(module, nn.Embedding) and name.rpartition(".")[2] in _OF_POSITIONS:
            # RoBERTa and its kind count from behind the padding index, BART and OPT from 2.
            padding = module.padding_idx
            first = getattr(module, "offset", 0 if padding is None else padding + 1)
            return int(module.num_embeddings - first)
    return None


def empty_classifier(config: PreTrainedConfig, task: Task) -> nn.Module:
    """The model's shapes without its weights, on the meta device."""
    sized = copy.deepcopy(config)
    sized.num_labels = task.labels
    with torch.device("meta"):
        classifier: nn.Module = AutoModelForSequenceClassification.from_config(sized)
    return classifier
