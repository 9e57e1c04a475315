"""AFLoRA inside transformers' Trainer."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from aflora.adapter import adapter_config
from aflora.checkpoint import save
from aflora.config import Epochs
from aflora.freezer import Freezer

FREEZER_FILE = "freezer.safetensors"


class AFLoRACallback(TrainerCallback, ExportableState):
    """Scores before clipping, freezes, then clips.

    Trainer clips before a callback can see the gradient, so its own clipping has to be off
    (``max_grad_norm=0``) and the bound is given here instead. The freezer's state and the adapter
    are written into each checkpoint, the state is read back when training resumes from one.

    Args:
        clip: bound of the gradient's norm over all trainable parameters; None does not clip.
        resume_from: the checkpoint folder that ``Trainer.train`` is given; by default the one of
            the resumed step in ``output_dir``.
    """

    def __init__(self, clip: float | None = None, resume_from: str | Path | None = None) -> None:
        if clip is not None and not (isinstance(clip, int | float) and 0 < clip < math.inf):
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
            ValueError: Trainer's own clipping is on, Trainer runs DeepSpeed, FSDP or a DDP that
                cannot do without a gradient, or searches hyperparameters; the model is not adapted,
                or was trained and frozen before; its schedule does not fit the training, or the
                checkpoint holds no freezer.
        """
        model: nn.Module = kwargs["model"]
        _refuse(args)
        if state.is_hyper_param_search:
            raise ValueError(
                "AFLoRACallback cannot tell the checkpoints of Trainer.hyperparameter_search "
                "apart; train each configuration with a Trainer of its own"
            )
        freeze = adapter_config(model).freeze
        steps_per_epoch = None
        if isinstance(freeze.start, Epochs) or isinstance(freeze.end, Epochs):
            steps_per_epoch = _steps_per_epoch(args, kwargs["train_dataloader"])
        self._freezer = Freezer.for_model(model, state.max_steps, steps_per_epoch)
        if state.global_step == 0:
            for matrix in self._freezer.matrices:
                if not matrix.parameter.requires_grad:
                    raise ValueError(
                        f"{matrix.name} was frozen by an earlier training of this model: adapt a "
                        "fresh model, or resume from a checkpoint"
                    )
            return
        default = Path(args.output_dir or ".") / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
        path = Path(self.resume_from or default) / FREEZER_FILE
        if not path.exists():
            raise ValueError(f"cannot resume: {path} is missing, and with it what was frozen")
        try:
            saved = load_file(path)
        except SafetensorError as error:
            raise ValueError(f"cannot resume: {path} is damaged: {error}") from error
        # Trainer does not say which checkpoint it resumes from, but hands over what it read there.
        told: Any = state.stateful_callbacks
        told = told.get(type(self).__name__) if isinstance(told, dict) else None
        digest = told.get("attributes", {}).get("digest") if isinstance(told, dict) else None
        if digest is not None and digest != _digest(saved):
            raise ValueError(
                f"cannot resume: {path} is not of the checkpoint that Trainer resumes from; give "
                "AFLoRACallback(resume_from=…) the folder that Trainer.train is given"
            )
        self._freezer.load_state_dict(saved)

    def state(self) -> dict[str, Any]:
        """What Trainer writes into its own state: which freezer belongs to the checkpoint."""
        digest = None if self._freezer is None else _digest(self._freezer.state_dict())
        return {"args": {"clip": self.clip}, "attributes": {"digest": digest}}

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        model: nn.Module = kwargs["model"]
        optimizer = kwargs.get("optimizer")
        scaler = getattr(optimizer, "scaler", None)
        if optimizer is not None and scaler is not None:
            _unscale(scaler, getattr(optimizer, "optimizer", optimizer))
        self.freezer.step(state.global_step, optimizer)
        if self.clip is not None:
            trainable = [p for p in model.parameters() if p.grad is not None]
            torch.nn.utils.clip_grad_norm_(trainable, self.clip)

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if not state.is_world_process_zero:
            return
        folder = Path(args.output_dir or ".") / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
        tensors = {key: t.contiguous().cpu() for key, t in self.freezer.state_dict().items()}
        save_file(tensors, folder / FREEZER_FILE)
        # The weights that Trainer writes have the names of an adapted model: nothing but Trainer
        # reads them. This is the adapter, for ``aflora.load``; the folder may hold an earlier one.
        save(kwargs["model"], folder)


def _unscale(scaler: Any, optimizer: torch.optim.Optimizer) -> None:
    """Unscale fp16 gradients; Trainer may have done so, to tell their norm in its log."""
    try:
        # The scaler remembers that it is done and does not do it again in its step.
        scaler.unscale_(optimizer)
    except RuntimeError as error:
        if "already been called" not in str(error):
            raise


def _digest(state: Mapping[str, Tensor]) -> str:
    found = hashlib.sha256()
    for key in sorted(state):
        found.update(key.encode())
        found.update(state[key].detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def _refuse(args: TrainingArguments) -> None:
    if args.max_grad_norm:
        raise ValueError(
            "AFLoRA scores gradients before they are clipped: set max_grad_norm=0 and give "
            f"AFLoRACallback(clip={args.max_grad_norm}) instead"
        )
    if args.deepspeed or getattr(args, "deepspeed_plugin", None) is not None:
        raise ValueError(
            "AFLoRA cannot train with DeepSpeed: ZeRO partitions gradients and keeps updating "
            "parameters whose requires_grad was turned off; use DDP"
        )
    if args.restore_callback_states_from_checkpoint:
        raise ValueError(
            "restore_callback_states_from_checkpoint puts a new callback in place of this one: "
            "leave it out, the freezer's state is restored in any case"
        )
    if args.fsdp:
        raise ValueError(
            "AFLoRA cannot train with FSDP: a shard of a matrix does not tell the matrix's score; "
            "use DDP"
        )
    if args.world_size > 1 and not args.ddp_find_unused_parameters:
        # Left alone, Trainer sets it or not; without it DDP fails once a parameter has no gradient.
        raise ValueError(
            "AFLoRA stops training parameters on the way, which DDP has to be told: set "
            "ddp_find_unused_parameters=True"
        )


def _steps_per_epoch(args: TrainingArguments, batches: Any) -> int:
    """Optimizer steps of an epoch, as Trainer counts them."""
    try:
        length = len(batches)
    except TypeError:
        raise ValueError(
            "freeze.start and freeze.end cannot be given in epochs: the training data has no "
            "length; give fractions of all steps"
        ) from None
    return max(1, math.ceil(length / args.gradient_accumulation_steps))
