"""The linear layers that can be adapted: ``nn.Linear``, and transformers' ``Conv1D``."""

from __future__ import annotations

from typing import TypeGuard

from torch import Tensor, nn


def is_conv1d(module: nn.Module) -> bool:
    """Whether it is the linear layer of GPT-2, whose weight is (in, out).

    Told by its name and its weight, so that transformers need not be imported.
    """
    return (
        type(module).__name__ == "Conv1D"
        and not isinstance(module, nn.Conv1d)
        and isinstance(getattr(module, "nf", None), int)
        and getattr(module, "weight", None) is not None
        and module.weight.dim() == 2  # type: ignore[operator]
    )


def is_linear(module: nn.Module) -> TypeGuard[nn.Linear]:
    """Whether it can be adapted; ``weight`` and ``bias`` are then as in ``nn.Linear``, except
    that the weight of a Conv1D is transposed."""
    return isinstance(module, nn.Linear) or is_conv1d(module)


def features(module: nn.Linear) -> tuple[int, int]:
    """Width of its input and of its output."""
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    into, out = module.weight.shape
    return into, out


def as_stored(module: nn.Linear, update: Tensor) -> Tensor:
    """An update of shape (out, in) in the layout of the module's weight."""
    return update if isinstance(module, nn.Linear) else update.T
