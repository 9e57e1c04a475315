"""The two ends of the scale: everything trains, or the head alone."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import PreTrainedModel

from aflora.roles import head_modules
from search.spec.settings import FullSettings, HeadSettings
from search.trial.methods.base import Method

HEAD_FILE = "head.safetensors"
MODEL_FILE = "model.safetensors"


def _of_head(model: nn.Module) -> set[str]:
    paths = tuple(f"{path}." for path in head_modules(model))
    return {name for name, _ in model.named_parameters() if name.startswith(paths)}


class FullMethod(Method):
    """Full fine-tuning. What it saves is a whole model, for ``from_pretrained``."""

    counted = frozenset[str]()

    def __init__(self, settings: FullSettings) -> None:
        """All there is to set is the learning rate."""

    def apply(self, model: nn.Module, steps: int) -> nn.Module:
        return model.requires_grad_(True)

    def adapter_parameters(self, model: nn.Module) -> dict[str, nn.Parameter]:
        head = _of_head(model)
        return {name: p for name, p in model.named_parameters() if name not in head}

    def decays(self, name: str, parameter: nn.Parameter) -> bool:
        # As everybody trains whole models: neither biases nor the gains of normalisations.
        return parameter.ndim > 1

    def save(self, model: nn.Module, folder: Path) -> None:
        assert isinstance(model, PreTrainedModel)
        model.save_pretrained(folder)

    def load(self, model: nn.Module, folder: Path) -> None:
        missing, unexpected = model.load_state_dict(load_file(folder / MODEL_FILE), strict=False)
        tied = set(getattr(model, "all_tied_weights_keys", None) or {})
        if wrong := [*unexpected, *(name for name in missing if name not in tied)]:
            raise ValueError(f"{folder} does not fit this model: {wrong[0]!r}")


class HeadMethod(Method):
    """The head alone, on a frozen backbone."""

    counted = frozenset[str]()

    def __init__(self, settings: HeadSettings) -> None:
        """There is nothing to set."""

    def apply(self, model: nn.Module, steps: int) -> nn.Module:
        head = _of_head(model)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in head)
        return model

    def adapter_parameters(self, model: nn.Module) -> dict[str, nn.Parameter]:
        return {}

    def save(self, model: nn.Module, folder: Path) -> None:
        head = {name: p.detach().cpu().contiguous() for name, p in _trained(model).items()}
        save_file(head, folder / HEAD_FILE, metadata={"format": "pt"})

    def load(self, model: nn.Module, folder: Path) -> None:
        read, own = load_file(folder / HEAD_FILE), _trained(model)
        if read.keys() != own.keys():
            raise ValueError(f"{folder} does not fit this model")
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(read[name])


def _trained(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: p for name, p in model.named_parameters() if p.requires_grad}
