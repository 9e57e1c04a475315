"""Methods that PEFT trains: LoRA, VeRA, and any other tuner of its by name."""

from __future__ import annotations

import dataclasses
import warnings
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import peft
import torch
from peft import (
    PeftConfig,
    PeftModel,
    PromptLearningConfig,
    TaskType,
    set_peft_model_state_dict,
)
from peft.utils import SAFETENSORS_WEIGHTS_NAME
from safetensors.torch import load_file
from torch import nn

from aflora.config import Role
from aflora.roles import find_targets, head_modules
from search.spec.errors import did_you_mean
from search.spec.settings import LoRASettings, PeftSettings, VeRASettings
from search.trial.methods.base import Method

#: Types of PEFT that a search cannot train as they are.
_NOT_HERE = {
    "ADALORA": "take the method adalora, which tells it of every step",
    "POLY": "it needs the task of every row",
    "TRAINABLE_TOKENS": "it trains embeddings of tokens that are named one by one",
    "XLORA": "it mixes adapters that were trained before",
}
_TYPES = {name.value: config for name, config in peft.PEFT_TYPE_TO_CONFIG_MAPPING.items()}
# Parameters of two axes that scale what a layer computes and begin at a constant.
_GAINS = ("ia3_l", "boft_s", "randlora_gamma")


class PeftMethod(Method):
    """A tuner of PEFT; head and pooler are saved with it."""

    @abstractmethod
    def config(self, model: nn.Module, steps: int) -> PeftConfig:
        """PEFT's own configuration for this model."""

    def apply(self, model: nn.Module, steps: int) -> nn.Module:
        with warnings.catch_warnings():
            # PEFT asks transformers by an old name whether gradient checkpointing is on.
            warnings.simplefilter("ignore", FutureWarning)
            adapted: nn.Module = peft.get_peft_model(model, self.config(model, steps))
            return adapted

    def adapter_parameters(self, model: nn.Module) -> dict[str, nn.Parameter]:
        return {
            name: parameter
            for name, parameter in model.named_parameters()
            if parameter.requires_grad and ".modules_to_save." not in name
        }

    def save(self, model: nn.Module, folder: Path) -> None:
        assert isinstance(model, PeftModel)
        # Without this PEFT asks the hub whether the vocabulary was resized.
        model.save_pretrained(str(folder), save_embedding_layers=False)

    def load(self, model: nn.Module, folder: Path) -> None:
        assert isinstance(model, PeftModel)
        state = load_file(folder / SAFETENSORS_WEIGHTS_NAME)
        result: Any = set_peft_model_state_dict(model, state)
        if result.unexpected_keys:
            raise ValueError(f"{folder} does not fit this model: {result.unexpected_keys[0]!r}")


def targets_of(model: nn.Module, modules: tuple[Role, ...]) -> list[str]:
    """Paths of the modules that play these roles."""
    return [target.name for target in find_targets(model, modules)]


class LoRAMethod(PeftMethod):
    """LoRA (Hu et al. 2021)."""

    counted = frozenset({"rank", "modules"})

    def __init__(self, settings: LoRASettings) -> None:
        self.settings = settings

    def config(self, model: nn.Module, steps: int) -> PeftConfig:
        return peft.LoraConfig(
            task_type=TaskType.SEQ_CLS,
            r=self.settings.rank,
            lora_alpha=self.settings.alpha,
            lora_dropout=0.0,
            target_modules=targets_of(model, self.settings.modules),
            modules_to_save=head_modules(model),
        )


# What PEFT draws projections by; they are constant by default, whatever the seed of a training.
_KEYS = ("projection_prng_key", "random_loc_seed")


def _key() -> int:
    """Of the seed that was set last: as much of a training's luck as all else that is drawn."""
    return torch.initial_seed() % 2**31


class VeRAMethod(PeftMethod):
    """VeRA (Kopiczko et al. 2023): one frozen A and B for all layers, vectors of their own."""

    counted = frozenset({"rank", "modules"})

    def __init__(self, settings: VeRASettings) -> None:
        self.settings = settings

    def config(self, model: nn.Module, steps: int) -> PeftConfig:
        return peft.VeraConfig(
            task_type=TaskType.SEQ_CLS,
            r=self.settings.rank,
            d_initial=self.settings.d_initial,
            projection_prng_key=_key(),
            target_modules=targets_of(model, self.settings.modules),
            modules_to_save=head_modules(model),
        )


class OtherMethod(PeftMethod):
    """Any tuner of PEFT, by the name of its type."""

    counted = None

    def __init__(self, settings: PeftSettings) -> None:
        self.settings = settings

    def config(self, model: nn.Module, steps: int) -> PeftConfig:
        name = self.settings.type.upper()
        if name not in _TYPES:
            raise ValueError(
                f"PEFT has no type {self.settings.type!r}; {did_you_mean(name, _TYPES)}"
            )
        if name in _NOT_HERE:
            raise ValueError(f"{name}: {_NOT_HERE[name]}")
        cls = _TYPES[name]
        if issubclass(cls, PromptLearningConfig):
            raise ValueError(
                f"{name}: it learns prompts, not an adapter, and cannot be resumed here"
            )
        accepted = {field.name for field in dataclasses.fields(cls) if field.init}
        given = self.settings.options
        for option in given:
            if option not in accepted:
                raise ValueError(
                    f"{cls.__name__} has no {option!r}; {did_you_mean(option, accepted)}"
                )
        ours = self._ours(model, accepted, steps)
        keys = {name: _key() for name in _KEYS if name in accepted}
        try:
            return cls(**{**ours, **keys, **given})
        except (TypeError, AttributeError) as error:
            raise ValueError(f"{cls.__name__}: {error}") from error

    def decays(self, name: str, parameter: nn.Parameter) -> bool:
        # Vectors of other tuners are gains around 1, or have a scale of their own.
        gain = parameter.ndim < 2 or any(f"{kind}." in name for kind in _GAINS)
        return not gain and super().decays(name, parameter)

    def _ours(self, model: nn.Module, accepted: set[str], steps: int) -> Mapping[str, Any]:
        ours: dict[str, Any] = {"task_type": TaskType.SEQ_CLS}
        if "target_modules" in accepted:
            ours["target_modules"] = targets_of(model, self.settings.modules)
        feed_forward = tuple(r for r in self.settings.modules if r.startswith("ffn"))
        if "feedforward_modules" in accepted:
            ours["feedforward_modules"] = targets_of(model, feed_forward) if feed_forward else []
        if "modules_to_save" in accepted:
            ours["modules_to_save"] = head_modules(model)
        if "total_step" in accepted:
            ours["total_step"] = steps
        return ours
