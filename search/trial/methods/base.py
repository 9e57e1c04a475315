"""The seam between a way of adapting a model and everything that trains, measures and saves it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from torch import nn
from transformers import TrainerCallback

from search.record import FreezeEvent


class Method(ABC):
    """One way of adapting a model, with its settings; made anew for every trial.

    The head trains with every method. ``model`` below is what :meth:`apply` returned.
    """

    #: Settings that change the number of trainable parameters; None where any of them may.
    counted: frozenset[str] | None

    @abstractmethod
    def apply(self, model: nn.Module, steps: int) -> nn.Module:
        """Adapt the model; draws initial values from torch's global generator.

        Args:
            model: with all its parameters trainable.
            steps: optimizer steps of the whole training.

        Raises:
            ValueError: the settings do not fit the model.
        """

    @abstractmethod
    def adapter_parameters(self, model: nn.Module) -> dict[str, nn.Parameter]:
        """Parameters that train at first, by name, those of the head left out."""

    @abstractmethod
    def save(self, model: nn.Module, folder: Path) -> None:
        """Write what was trained, for whoever uses it and for a trial that goes on."""

    @abstractmethod
    def load(self, model: nn.Module, folder: Path) -> None:
        """Read back what :meth:`save` wrote.

        Raises:
            ValueError: the folder holds something else.
        """

    def trainer_clip(self, clip: float | None) -> float:
        """The bound Trainer itself clips gradients to; 0 when the method clips on its own."""
        return clip or 0.0

    def callbacks(self, clip: float | None, resume_from: Path | None) -> list[TrainerCallback]:
        """What has to take part in training."""
        return []

    def decays(self, name: str, parameter: nn.Parameter) -> bool:
        """Whether weight decay applies: to all but biases, so to AFLoRA's d and b as well."""
        return not name.endswith("bias")

    def freezing(self) -> tuple[FreezeEvent, ...]:
        """When each matrix froze so far; empty for a method that freezes nothing."""
        return ()

    def has_begun_to_freeze(self, step: int) -> bool:
        """Whether the freezing schedule has begun to act; true for a method that has none."""
        return True

    def trains_now(self, model: nn.Module, step: int) -> int:
        """Adapter parameters that train in the coming step, counted from 0."""
        return trainable(self.adapter_parameters(model))

    def expected_trainable(self, model: nn.Module, step: int) -> float:
        """Trainable adapter parameters expected on average over steps ``step`` to the end."""
        return float(self.trains_now(model, step))

    def measures(self, model: nn.Module) -> dict[str, float]:
        """What else is worth knowing of the training so far, by name."""
        return {}

    def floor(self, model: nn.Module) -> int:
        """Adapter parameters that train to the end whatever becomes of the others."""
        return trainable(self.adapter_parameters(model))


def trainable(parameters: Mapping[str, nn.Parameter]) -> int:
    """How many of these parameters train now."""
    return sum(p.numel() for p in parameters.values() if p.requires_grad)


def head_parameters(
    model: nn.Module, adapter: Mapping[str, nn.Parameter]
) -> dict[str, nn.Parameter]:
    """Everything that trains and is not in the adapter."""
    return {n: p for n, p in model.named_parameters() if p.requires_grad and n not in adapter}
