"""AFLoRA, and ELoRA as its layer with no projection matrix that trains."""

from __future__ import annotations

from pathlib import Path

from torch import nn
from transformers import TrainerCallback

import aflora
from aflora.callback import AFLoRACallback
from search.record import FreezeEvent
from search.spec.settings import AFLoRASettings, ELoRASettings, FreezeSettings
from search.trial.methods.base import Method


class AFLoRAMethod(Method):
    """AFLoRA, by this project's own library."""

    counted = frozenset({"rank", "ranks", "modules", "layers", "trainable_projections"})

    def __init__(self, settings: AFLoRASettings) -> None:
        self.config = aflora.AFLoRAConfig.from_dict(settings.model_dump(exclude={"learning_rate"}))
        self._callback: AFLoRACallback | None = None

    def apply(self, model: nn.Module, steps: int) -> nn.Module:
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

    def measures(self, model: nn.Module) -> dict[str, float]:
        """Gradients that held NaN or inf so far and were left out of a score."""
        skipped = 0 if self._callback is None else self._callback.freezer.skipped_gradients
        return {"skipped_gradients": float(skipped)}

    def floor(self, model: nn.Module) -> int:
        return aflora.count_parameters(model).floor


class ELoRAMethod(AFLoRAMethod):
    """ELoRA as the AFLoRA paper ran it: A and B drawn for each layer and frozen from the start."""

    counted = frozenset({"rank", "modules"})

    def __init__(self, settings: ELoRASettings) -> None:
        super().__init__(
            AFLoRASettings(
                rank=settings.rank,
                modules=settings.modules,
                trainable_projections="none",
                # Nothing freezes; a schedule that fits a trial of any length.
                freeze=FreezeSettings(start=0.0, end=1.0, interval=1),
            )
        )


def _role_in_stack(entry: aflora.TimelineEntry) -> str:
    """``decoder cross query``: blocks of encoder and decoder are both counted from 0."""
    path = set(entry.name.split("."))
    stack = "decoder" if "decoder" in path else "encoder"
    cross = " cross" if path & {"encoder_attn", "EncDecAttention"} else ""
    return f"{stack}{cross} {entry.role}"
