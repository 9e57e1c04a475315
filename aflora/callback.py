"""AFLoRA inside transformers' Trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from aflora.freezer import Freezer

FREEZER_FILE = "freezer.safetensors"


class AFLoRACallback(TrainerCallback):
    """Scores before clipping, freezes, then clips.

    Trainer clips before a callback can see the gradient, so its own clipping has to be off
    (``max_grad_norm=0``) and the bound is given here instead. The freezer's state is written into
    each checkpoint and read back when training resumes from one.

    Args:
        clip: bound of the gradient's norm over all trainable parameters; None does not clip.
        resume_from: the checkpoint folder that ``Trainer.train`` is given; by default the one of
            the resumed step in ``output_dir``.
    """

    def __init__(self, clip: float | None = None, resume_from: str | Path | None = None) -> None:
        if clip is not None and not clip > 0:
            raise ValueError(f"clip must be larger than 0, or None, got {clip!r}")
        self.clip = clip
        self.resume_from = resume_from
        self._freezer: Freezer | None = None

    @property
    def freezer(self) -> Freezer:
        """Raises RuntimeError before training has begun."""
        if self._freezer is None:
            raise RuntimeError("the freezer is made when training begins")
        return self._freezer

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Make the freezer; when resuming, freeze again what was frozen.

        Raises:
            ValueError: Trainer's own clipping is on, the model is not adapted, or the checkpoint
                holds no freezer.
        """
        if args.max_grad_norm:
            raise ValueError(
                "AFLoRA scores gradients before they are clipped: set max_grad_norm=0 and give "
                f"AFLoRACallback(clip={args.max_grad_norm}) instead"
            )
        self._freezer = Freezer.for_model(kwargs["model"], state.max_steps)
        if state.global_step == 0:
            return
        default = Path(args.output_dir or ".") / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
        path = Path(self.resume_from or default) / FREEZER_FILE
        if not path.exists():
            raise ValueError(f"cannot resume: {path} is missing, and with it what was frozen")
        self._freezer.load_state_dict(load_file(path))

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        model: nn.Module = kwargs["model"]
        self.freezer.step(state.global_step, kwargs.get("optimizer"))
        if self.clip is not None:
            trainable = [p for p in model.parameters() if p.grad is not None]
            torch.nn.utils.clip_grad_norm_(trainable, self.clip)

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        folder = Path(args.output_dir or ".") / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
        tensors = {key: t.contiguous().cpu() for key, t in self.freezer.state_dict().items()}
        save_file(tensors, folder / FREEZER_FILE)
