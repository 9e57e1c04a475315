"""What may stand around a model while it trains: DDP and torch.compile; and what may not."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import torch
from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel


def unwrapped(model: nn.Module) -> nn.Module:
    """The model inside DDP and torch.compile.

    Raises:
        ValueError: its parameters are sharded, so that no process sees a whole matrix.
    """
    refuse_sharding(model)
    while True:
        if isinstance(model, DataParallel | DistributedDataParallel):
            model = model.module
        elif isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
            model = inner
        else:
            return model


def refuse_sharding(part: object) -> None:
    """Refuse a model, an optimizer or whatever wraps one, that belongs to ZeRO or FSDP.

    Raises:
        ValueError: it does.
    """
    for around in _wrapped(part):
        package = type(around).__module__
        if package.split(".")[0] == "deepspeed":
            raise ValueError(
                f"AFLoRA cannot train with DeepSpeed ({type(around).__name__}): ZeRO partitions "
                "gradients and keeps updating parameters whose requires_grad was turned off; use "
                "DDP"
            )
        if package.startswith("torch.distributed.fsdp"):
            raise ValueError(
                f"AFLoRA cannot train with FSDP ({type(around).__name__}): a shard of a matrix "
                "does not tell the matrix's score; use DDP"
            )
    if not isinstance(part, nn.Module):
        return
    for name, parameter in part.named_parameters():
        if hasattr(parameter, "ds_id"):
            raise ValueError(f"AFLoRA cannot train with DeepSpeed: ZeRO has partitioned {name}")
        if type(parameter).__name__ == "DTensor":
            raise ValueError(
                f"AFLoRA cannot train a sharded model: {name} is spread over processes, and a part "
                "of a matrix does not tell its score; use DDP"
            )


def _wrapped(part: object) -> Iterator[object]:
    """The object and what it says to wrap, for models as well as optimizers."""
    seen: set[int] = set()
    while part is not None and id(part) not in seen:
        seen.add(id(part))
        yield part
        for inner in ("optimizer", "module", "_orig_mod"):
            if (found := getattr(part, inner, None)) is not None:
                part = found
                break
        else:
            return


def allow_recompilation(frozen: int) -> None:
    """Let torch.compile compile anew after so many matrices were frozen at once.

    Turning ``requires_grad`` off changes the backward graph, so compiled code is compiled anew
    after each freezing event; by default it silently gives up after eight times. A whole model is
    compiled once more for training and, if it is evaluated in between, once for that; of a model
    whose layers are compiled one by one, the code they share as often for each matrix. Where
    nothing is compiled a higher limit changes nothing.
    """
    if "torch._dynamo" in sys.modules:
        torch._dynamo.config.recompile_limit += 2 * frozen
        torch._dynamo.config.accumulated_recompile_limit += 2 * frozen
