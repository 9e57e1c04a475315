"""SoRA (arXiv 2311.11696): a gate between A and B whose entries vanish, and with them ranks."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from aflora.export import write_lora
from aflora.product import low_rank_linear
from aflora.roles import find_targets, head_modules
from search.spec.settings import SoRASettings
from search.trial.methods.base import Method

STATE_FILE = "sora.safetensors"


class SoRALinear(nn.Module):
    r"""A frozen linear layer with a gated low-rank update.

    .. math:: y = W_0 x + \frac{\alpha}{r} B (g \circ (A x))

    with A of shape (r, in), Kaiming-uniform, B of shape (out, r), zero, and the gate g of shape
    (r,), drawn from a normal distribution, as the authors' code has it.

    Raises:
        ValueError: ``base`` is not linear, or the rank does not fit it.
    """

    def __init__(self, base: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        if not isinstance(base, nn.Linear):
            raise ValueError(f"SoRA adapts linear layers, got {type(base).__name__}")
        if rank > min(base.in_features, base.out_features):
            raise ValueError(
                f"rank {rank} is larger than a layer of {base.in_features} → {base.out_features} "
                "allows"
            )
        self.base = base.requires_grad_(False)
        self.scale = alpha / rank
        kind: Any = {"device": base.weight.device, "dtype": torch.float32}
        self.A = nn.Parameter(torch.empty(rank, base.in_features, **kind))
        self.B = nn.Parameter(torch.zeros(base.out_features, rank, **kind))
        self.gate = nn.Parameter(torch.randn(rank, **kind))
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))

    @property
    def weight(self) -> Tensor:
        """The wrapped layer's own; some models look at its dtype."""
        return self.base.weight

    def effective_B(self) -> Tensor:
        """``α / r · B diag(g)``, shape (out, r)."""
        return self.B * (self.scale * self.gate)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` of shape (…, in) to (…, out)."""
        return low_rank_linear(self.base, x, self.A, self.effective_B())

    @property
    def live(self) -> Tensor:
        """Which ranks are left, shape (r,)."""
        return self.gate != 0


class SoRAMethod(Method):
    """SoRA. A rank whose gate is zero has no effect; it does not count as training."""

    counted = frozenset({"rank", "modules"})

    def __init__(self, settings: SoRASettings) -> None:
        self.settings = settings

    def apply(self, model: nn.Module, steps: int) -> nn.Module:
        targets = find_targets(model, self.settings.modules)
        head = head_modules(model)
        model.requires_grad_(False)
        for path in head:
            model.get_submodule(path).requires_grad_(True)
        for target in targets:
            base: Any = model.get_submodule(target.name)
            adapted = SoRALinear(base, self.settings.rank, self.settings.alpha)
            model.set_submodule(target.name, adapted, strict=True)
        return model

    def adapter_parameters(self, model: nn.Module) -> dict[str, nn.Parameter]:
        return {
            f"{name}.{part}": getattr(layer, part)
            for name, layer in _layers(model).items()
            for part in ("A", "B", "gate")
        }

    def decays(self, name: str, parameter: nn.Parameter) -> bool:
        # The gate has a pull towards zero of its own.
        return super().decays(name, parameter) and not name.endswith(".gate")

    def callbacks(self, clip: float | None, resume_from: Path | None) -> list[TrainerCallback]:
        return [_Shrink(self.settings.threshold)]

    def trains_now(self, model: nn.Module, step: int) -> int:
        layers = list(_layers(model).values())
        live = torch.stack([layer.live.sum() for layer in layers]).tolist()
        of_one = [len(layer.B) + layer.A.shape[1] + 1 for layer in layers]
        return sum(int(n) * size for n, size in zip(live, of_one, strict=True))

    def floor(self, model: nn.Module) -> int:
        return 0

    def measures(self, model: nn.Module) -> dict[str, float]:
        """Ranks that are left, on average over the adapted modules."""
        live = [int(layer.live.sum()) for layer in _layers(model).values()]
        return {"rank_left": sum(live) / len(live)}

    @torch.no_grad()
    def save(self, model: nn.Module, folder: Path) -> None:
        layers = _layers(model)
        head = _trained_head(model)
        state = {**self.adapter_parameters(model), **head}
        save_file({n: p.detach().cpu().contiguous() for n, p in state.items()}, folder / STATE_FILE)
        # For whoever uses it: a LoRA of the ranks that are left, one where a layer has lost all.
        updates = {}
        for name, layer in layers.items():
            kept = layer.live.nonzero().flatten()
            kept = kept if len(kept) else torch.zeros(1, dtype=torch.long, device=kept.device)
            updates[name] = (layer.A[kept], layer.effective_B()[:, kept])
        write_lora(model, updates, head_modules(model), folder)

    def load(self, model: nn.Module, folder: Path) -> None:
        read = load_file(folder / STATE_FILE)
        own = {**self.adapter_parameters(model), **_trained_head(model)}
        if read.keys() != own.keys():
            raise ValueError(f"{folder} does not fit this model")
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(read[name])


class _Shrink(TrainerCallback):
    """The proximal step of the gates' penalty: towards zero by the threshold, and not across."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold

    @torch.no_grad()
    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        for layer in _layers(kwargs["model"]).values():
            layer.gate.copy_(F.softshrink(layer.gate, self._threshold))


def _layers(model: nn.Module) -> dict[str, SoRALinear]:
    return {name: m for name, m in model.named_modules() if isinstance(m, SoRALinear)}


def _trained_head(model: nn.Module) -> dict[str, nn.Parameter]:
    paths = tuple(f"{path}." for path in head_modules(model))
    return {name: p for name, p in model.named_parameters() if name.startswith(paths)}
