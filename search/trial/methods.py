"""The seam between a way of adapting a model and everything that trains, measures and saves it."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model, set_peft_model_state_dict
from peft.utils import SAFETENSORS_WEIGHTS_NAME
from safetensors.torch import load_file
from torch import nn
from transformers import TrainerCallback

import aflora
from aflora.callback import AFLoRACallback
from aflora.roles import find_targets, head_modules
from search.record import FreezeEvent
from search.spec.settings import AFLoRASettings, LoRASettings, TrialSettings


class Method(ABC):
    """One way of adapting a frozen model, with its settings.

    The head trains with every method. ``model`` below is what :meth:`apply` returned.
    """

    #: settings that change the number of trainable parameters
    counted: frozenset[str]

    @abstractmethod
    def apply(self, model: nn.Module) -> nn.Module:
        """Adapt the model; draws initial values from torch's global generator.

        Raises:
            ValueError: the settings do not fit the model.
        """

    @abstractmethod
    def adapter_parameters(self, model: nn.Module) -> dict[str, nn.Parameter]:
        """Parameters of the adapter that train at first, by name; frozen since or not."""

    @abstractmethod
    def save(self, model: nn.Module, folder: Path) -> None:
        """Write adapter and head, never the backbone."""

    @abstractmethod
    def load(self, model: nn.Module, folder: Path) -> None:
        """Read back what :meth:`save` wrote."""

    def trainer_clip(self, clip: float | None) -> float:
        """The bound Trainer itself clips gradients to; 0 when the method clips on its own."""
        return clip or 0.0

    def callbacks(self, clip: float | None, resume_from: Path | None) -> list[TrainerCallback]:
        """What has to take part in training."""
        return []

    def freezing(self) -> tuple[FreezeEvent, ...]:
        """When each matrix froze so far; empty for a method that freezes nothing."""
        return ()

    def has_begun_to_freeze(self, step: int) -> bool:
        """Whether the freezing schedule has begun to act; true for a method that has none."""
        return True

    def expected_trainable(self, model: nn.Module, step: int) -> float:
        """Trainable adapter parameters expected on average over steps ``step`` to the end."""
        return float(trainable(self.adapter_parameters(model)))

    def skipped_gradients(self) -> int:
        """Gradients that held NaN or inf so far and were left out of a score."""
        return 0


def trainable(parameters: Mapping[str, nn.Parameter]) -> int:
    """How many of these parameters train now."""
    return sum(p.numel() for p in parameters.values() if p.requires_grad)


class AFLoRAMethod(Method):
    """AFLoRA, by this project's own library."""

    counted = frozenset({"rank", "ranks", "modules", "layers", "trainable_projections"})

    def __init__(self, settings: AFLoRASettings) -> None:
        self.config = aflora.AFLoRAConfig.from_dict(settings.model_dump(exclude={"learning_rate"}))
        self._callback: AFLoRACallback | None = None

    def apply(self, model: nn.Module) -> nn.Module:
        return aflora.adapt(model, self.config)

    def adapter_parameters(self, model: nn.Module) -> dict[str, nn.Parameter]:
        at_first = {projection.name for projection in aflora.projections(model)}
        return {
            name: parameter
            for name, parameter in aflora.adapter_parameters(model).items()
            if name in at_first or name.endswith((".d", ".b"))
        }

    def save(self, model: nn.Module, folder: Path) -> None:
        aflora.save(model, folder)

    def load(self, model: nn.Module, folder: Path) -> None:
        aflora.load(model, folder)

    def trainer_clip(self, clip: float | None) -> float:
        return 0.0

    def callbacks(self, clip: float | None, resume_from: Path | None) -> list[TrainerCallback]:
        self._callback = AFLoRACallback(clip, resume_from)
        return [self._callback]

    def freezing(self) -> tuple[FreezeEvent, ...]:
        if self._callback is None:
            return ()
        timeline = self._callback.freezer.timeline
        stacks = [{"encoder", "decoder"}.intersection(entry.name.split(".")) for entry in timeline]
        both = {"encoder"} in stacks and {"decoder"} in stacks
        return tuple(
            FreezeEvent(
                entry.layer, _role_in_stack(entry) if both else entry.role, entry.matrix, entry.step
            )
            for entry in timeline
        )

    def has_begun_to_freeze(self, step: int) -> bool:
        assert self._callback is not None, "asked for only while training"
        freezer = self._callback.freezer
        return not freezer.matrices or freezer.schedule.frozen_fraction(step) > 0.0

    def expected_trainable(self, model: nn.Module, step: int) -> float:
        assert self._callback is not None, "asked for only while training"
        return aflora.expected_parameters(model, self._callback.freezer.schedule, step)

    def skipped_gradients(self) -> int:
        return 0 if self._callback is None else self._callback.freezer.skipped_gradients


def _role_in_stack(entry: aflora.TimelineEntry) -> str:
    """``decoder cross query``: blocks of encoder and decoder are both counted from 0."""
    path = set(entry.name.split("."))
    stack = "decoder" if "decoder" in path else "encoder"
    cross = " cross" if path & {"encoder_attn", "EncDecAttention"} else ""
    return f"{stack}{cross} {entry.role}"


class LoRAMethod(Method):
    """LoRA, by PEFT."""

    counted = frozenset({"rank", "modules"})

    def __init__(self, settings: LoRASettings) -> None:
        self.settings = settings

    def apply(self, model: nn.Module) -> nn.Module:
        config = LoraConfig(
            task_type=TaskType.SEQ_CLS,
            r=self.settings.rank,
            lora_alpha=self.settings.alpha,
            lora_dropout=0.0,
            target_modules=[t.name for t in find_targets(model, self.settings.modules)],
            modules_to_save=head_modules(model),
        )
        with warnings.catch_warnings():
            # PEFT asks transformers by an old name whether gradient checkpointing is on.
            warnings.simplefilter("ignore", FutureWarning)
            adapted: nn.Module = get_peft_model(model, config)
            return adapted

    def adapter_parameters(self, model: nn.Module) -> dict[str, nn.Parameter]:
        return {name: p for name, p in model.named_parameters() if ".lora_" in name}

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


def method_for(settings: TrialSettings) -> Method:
    """The method that a configuration names."""
    own = settings.method_settings
    if isinstance(own, AFLoRASettings):
        return AFLoRAMethod(own)
    return LoRAMethod(own)


def head_parameters(
    model: nn.Module, adapter: Mapping[str, nn.Parameter]
) -> dict[str, nn.Parameter]:
    """Everything that trains and is not in the adapter."""
    return {n: p for n, p in model.named_parameters() if p.requires_grad and n not in adapter}


def counts_at_start(settings: TrialSettings, model: nn.Module) -> tuple[int, int]:
    """Trainable adapter parameters at the first step, and the floor that freezing leads to.

    ``model`` may lie on the meta device; it is adapted in place.
    """
    method = method_for(settings)
    adapted = method.apply(model)
    start = trainable(method.adapter_parameters(adapted))
    if isinstance(method, AFLoRAMethod):
        return start, aflora.count_parameters(adapted).floor
    return start, start


COUNTED: Mapping[str, frozenset[str]] = {
    "aflora": AFLoRAMethod.counted,
    "lora": LoRAMethod.counted,
}


def decayed(name: str, parameter: torch.Tensor) -> bool:
    """Whether weight decay applies: to all but biases, so to d and b as well."""
    return not name.endswith("bias")
