"""A plain training loop, as a user would write it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

import aflora
from aflora import AFLoRAConfig, FreezeConfig, Freezer
from tests.tiny_models import VOCABULARY, tiny_model

STEPS = 12


def config(rule: str = "paper", trainable: str = "ffn", **freeze: Any) -> AFLoRAConfig:
    """Freezes the eight matrices of a tiny model one after the other."""
    settings = {"start": 0.1, "end": 0.85, "interval": 1} | freeze
    return AFLoRAConfig(
        rank=2,
        trainable_projections=trainable,  # type: ignore[arg-type]
        freeze=FreezeConfig(rule, **settings),  # type: ignore[arg-type]
    )


def adapted(rule: str = "paper", kind: str = "bert", **freeze: Any) -> nn.Module:
    model = tiny_model(kind)
    torch.manual_seed(3)
    return aflora.adapt(model, config(rule, **freeze))


def batch(step: int, rows: int = 8) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(step)
    ids = torch.randint(3, VOCABULARY, (rows, 6), generator=generator)
    return {"input_ids": ids, "labels": ids[:, 0] % 2}


def adamw(model: nn.Module) -> torch.optim.AdamW:
    trainable = [p for p in model.parameters() if p.requires_grad]
    return torch.optim.AdamW(trainable, lr=0.02, weight_decay=0.1)


def train(
    model: nn.Module,
    freezer: Freezer,
    optimizer: torch.optim.Optimizer,
    steps: Iterable[int] = range(STEPS),
    *,
    backward: Callable[[Tensor], object] = lambda loss: loss.backward(),
    unscale: Callable[[], object] = lambda: None,
    update: Callable[[], object] | None = None,
    autocast: Any = nullcontext,
    batches: Callable[[int], list[dict[str, Tensor]]] = lambda step: [batch(step)],
) -> nn.Module:
    """Train for these steps; each takes one or several batches, whose gradients add up."""
    model.train()
    for step in steps:
        optimizer.zero_grad()
        parts = batches(step)
        for part in parts:
            with autocast():
                loss = model(**part).loss / len(parts)
            backward(loss)
        unscale()
        freezer.step(step, optimizer)
        (update or optimizer.step)()
    return model


def trained(model: nn.Module, **how: Any) -> tuple[nn.Module, Freezer]:
    freezer = Freezer.for_model(model, STEPS)
    return train(model, freezer, adamw(model), **how), freezer


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}
