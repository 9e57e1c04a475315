"""AdaLoRA by PEFT, told of every step, with what a trial that goes on needs of its allocator."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import peft
import torch
from peft import PeftConfig, TaskType, set_peft_model_state_dict
from peft.tuners.adalora import AdaLoraLayer
from peft.utils import SAFETENSORS_WEIGHTS_NAME
from peft.utils.warning import PeftWarning
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from aflora.roles import head_modules
from search.spec.settings import AdaLoRASettings
from search.trial.methods.by_peft import PeftMethod, targets_of

STATE_FILE = "adalora_state.safetensors"


class AdaLoRAMethod(PeftMethod):
    """AdaLoRA (Zhang et al. 2023): singular values are set to zero until a budget of ranks is kept.

    An allocation sets singular values to zero once and lets them grow again until the next one, so
    all ranks train in between. Counted as training are the ranks that were kept only in a step
    that ends in a zeroing: one of every ``interval``, and each one after the last allocation.
    """

    counted = frozenset({"rank", "modules"})

    def __init__(self, settings: AdaLoRASettings) -> None:
        self.settings = settings
        self._steps = 0

    def config(self, model: nn.Module, steps: int) -> PeftConfig:
        self._steps = steps
        own = self.settings
        # The last allocation comes before the end: PEFT settles which ranks are left only there.
        start = min(int(own.start * steps), max(0, steps - 2))
        last = max(start + 1, min(int(own.end * steps), steps - 1))
        return peft.AdaLoraConfig(
            task_type=TaskType.SEQ_CLS,
            init_r=own.rank,
            target_r=own.target_rank,
            tinit=start,
            tfinal=steps - last,
            deltaT=own.interval,
            beta1=own.beta1,
            beta2=own.beta2,
            orth_reg_weight=own.orthogonality,
            total_step=steps,
            lora_alpha=own.alpha,
            lora_dropout=0.0,
            target_modules=targets_of(model, own.modules),
            modules_to_save=head_modules(model),
        )

    def callbacks(self, clip: float | None, resume_from: Path | None) -> list[TrainerCallback]:
        return [_Allocate()]

    def adapter_parameters(self, model: nn.Module) -> dict[str, nn.Parameter]:
        # PEFT keeps the number of ranks as a parameter, which never trains.
        own = super().adapter_parameters(model)
        return {name: p for name, p in own.items() if ".lora_" in name}

    def trains_now(self, model: nn.Module, step: int) -> int:
        kept = self._kept(model)
        if not _zeroes(model, step):
            return sum(self.settings.rank * _of_one_rank(layer) for layer, _ in kept)
        return sum(ranks * _of_one_rank(layer) for layer, ranks in kept)

    def _kept(self, model: nn.Module) -> list[tuple[Any, int]]:
        """Each adapted layer with the ranks that the last allocation left it."""
        # Saving takes the adapter's name out of PEFT's own keys.
        pattern = {
            name.replace(".default", ""): sum(kept)
            for name, kept in (_own_config(model).rank_pattern or {}).items()
        }
        return [
            (layer, pattern.get(f"{name}.lora_E", self.settings.rank))
            for name, layer in _base(model).model.named_modules()
            if isinstance(layer, AdaLoraLayer)
        ]

    def expected_trainable(self, model: nn.Module, step: int) -> float:
        allocator = _base(model).rankallocator
        layers = [layer for layer, _ in self._kept(model)]
        ranks = [
            allocator.budget_schedule(at)[0] if _zeroes(model, at) else allocator.init_bgt
            for at in range(step, max(step + 1, self._steps))
        ]
        of_one_rank = sum(map(_of_one_rank, layers)) / len(layers)
        return of_one_rank * float(sum(ranks)) / len(ranks)

    def floor(self, model: nn.Module) -> int:
        # Which layers keep their ranks is not known: the narrowest, at the least.
        layers = [layer for layer, _ in self._kept(model)]
        ranks = sorted(_of_one_rank(layer) for layer in layers for _ in range(self.settings.rank))
        return sum(ranks[: self.settings.target_rank * len(layers)])

    def measures(self, model: nn.Module) -> dict[str, float]:
        """Ranks that are left, on average over the adapted modules."""
        kept = [ranks for _, ranks in self._kept(model)]
        return {"rank_left": sum(kept) / len(kept)}

    def save(self, model: nn.Module, folder: Path) -> None:
        with warnings.catch_warnings():
            # A layer may have lost all its ranks, which PEFT takes for a sign of broken shards.
            warnings.filterwarnings("ignore", ".*invalid shape", PeftWarning)
            super().save(model, folder)
        # PEFT's file holds the ranks that are kept; a trial that goes on needs the others, which
        # may come back, and what the allocator has smoothed.
        allocator = _base(model).rankallocator
        state: dict[str, torch.Tensor] = {
            f"weight:{n}": p for n, p in self.adapter_parameters(model).items()
        }
        for kind in ("exp_avg_ipt", "exp_avg_unc"):
            state |= {f"{kind}:{n}": t for n, t in getattr(allocator, kind).items()}
        pattern = _own_config(model).rank_pattern or {}
        state |= {f"rank_pattern:{n}": torch.tensor(kept) for n, kept in pattern.items()}
        save_file({n: t.detach().cpu().contiguous() for n, t in state.items()}, folder / STATE_FILE)

    def load(self, model: nn.Module, folder: Path) -> None:
        head = {
            name: tensor
            for name, tensor in load_file(folder / SAFETENSORS_WEIGHTS_NAME).items()
            if ".lora_" not in name
        }
        set_peft_model_state_dict(model, head)
        parts: dict[str, dict[str, torch.Tensor]] = {}
        for name, tensor in load_file(folder / STATE_FILE).items():
            kind, _, place = name.partition(":")
            parts.setdefault(kind, {})[place] = tensor
        own = self.adapter_parameters(model)
        if own.keys() != parts["weight"].keys():
            raise ValueError(f"{folder} does not fit this model")
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(parts["weight"][name])
        allocator = _base(model).rankallocator
        for kind in ("exp_avg_ipt", "exp_avg_unc"):
            setattr(allocator, kind, parts.get(kind, {}))
        allocator.ipt = {name: torch.zeros_like(t) for name, t in allocator.exp_avg_ipt.items()}
        pattern = {n: t.tolist() for n, t in parts.get("rank_pattern", {}).items()}
        _own_config(model).rank_pattern = pattern or None


class _Allocate(TrainerCallback):
    """Without this AdaLoRA is LoRA: importance is read after the step, before gradients go."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        # What was loaded lies where the model was then; Trainer has moved that since.
        allocator = _base(kwargs["model"]).rankallocator
        for kind in ("ipt", "exp_avg_ipt", "exp_avg_unc"):
            held = {name: t.to(args.device) for name, t in getattr(allocator, kind).items()}
            setattr(allocator, kind, held)

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        kwargs["model"].base_model.update_and_allocate(state.global_step)


def _zeroes(model: nn.Module, step: int) -> bool:
    """Whether step ``step``, counted from 0, ends in singular values being set to zero."""
    own = _own_config(model)
    return step == own.total_step - own.tfinal or bool(
        _base(model).rankallocator.budget_schedule(step)[1]
    )


def _of_one_rank(layer: Any) -> int:
    """Parameters of one singular value with its two vectors."""
    return int(layer.lora_A["default"].shape[1] + layer.lora_B["default"].shape[0] + 1)


def _base(model: nn.Module) -> Any:
    adapted: Any = model
    return adapted.base_model


def _own_config(model: nn.Module) -> Any:
    adapted: Any = model
    return adapted.peft_config["default"]
