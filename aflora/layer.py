"""The adapted linear layer."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from aflora.linear import as_stored, features, is_linear
from aflora.product import is_cheaper_scaled, low_rank_linear, scaled_linear

INITIAL_D = 0.1


class AFLoRALinear(nn.Module):
    r"""A frozen linear layer with a low-rank update between two trainable vectors.

    .. math:: y = W_0 x + s \Lambda_b B \Lambda_d A x

    with A of shape (r, in), B of shape (out, r), d of shape (r,) and b of shape (out,)
    (arXiv 2403.13269, eq. 1, where s is 1). It is computed as a LoRA with a small effective matrix,
    ``B_eff = s * b[:, None] * B * d[None, :]``, so that no activation of width ``out`` is kept for
    the gradient of b, and none of width ``in`` once A is frozen. A frozen A costs no gradient
    product; B has none of its own at any time, for d and b need that of B_eff. Projections that
    never train and are not small beside the layer, as ELoRA's, are computed as they are written
    here while rows are few, for then that matrix would be more than the activations (but not in
    ``torch.compile``, whose graphs are not to depend on the number of rows).

    A and B are Kaiming-uniform, d starts at 0.1 and b at 0: the adapted layer starts equal to
    the layer it wraps. They are kept in fp32 even where the layer is narrower; under autocast the
    two thin products run in its dtype.

    Args:
        base: the layer to wrap, an ``nn.Linear`` or transformers' ``Conv1D``; its parameters are
            frozen.
        rank: r, at least 1; where A and B train, at most the smaller side of ``base``.
        scale: s.
        layer: index of the transformer block, counted from 0.
        role: what the layer does there, see :mod:`aflora.roles`.
        train_projections: whether A and B train at first; d and b always do.

    Raises:
        TypeError: ``base`` is not a linear layer.
        ValueError: the rank does not fit the layer.
    """

    def __init__(
        self,
        base: nn.Linear,
        rank: int,
        *,
        scale: float = 1.0,
        layer: int = 0,
        role: str = "ffn_in",
        train_projections: bool = True,
    ) -> None:
        super().__init__()
        if not is_linear(base):
            raise TypeError(f"only linear layers can be adapted, got {type(base).__name__}")
        self.in_features, self.out_features = features(base)
        if rank < 1:
            raise ValueError(f"rank must be at least 1, got {rank}")
        if train_projections and rank > min(self.in_features, self.out_features):
            raise ValueError(
                f"rank must lie between 1 and {min(self.in_features, self.out_features)} for a "
                f"layer of {self.in_features} → {self.out_features}, got {rank}"
            )
        self.rank = rank
        self.scale = scale
        self.layer = layer
        self.role = role
        self._stays_random = not train_projections
        self.base = base.requires_grad_(False)
        stored = base.weight.dtype if base.weight.is_floating_point() else torch.float32
        kind: Any = {
            "device": base.weight.device,
            "dtype": torch.promote_types(stored, torch.float32),
        }
        self.A = nn.Parameter(torch.empty(rank, self.in_features, **kind))
        self.B = nn.Parameter(torch.empty(self.out_features, rank, **kind))
        self.d = nn.Parameter(torch.full((rank,), INITIAL_D, **kind))
        self.b = nn.Parameter(torch.zeros(self.out_features, **kind))
        for projection in (self.A, self.B):
            nn.init.kaiming_uniform_(projection, a=math.sqrt(5))
            projection.requires_grad_(train_projections)

    @property
    def weight(self) -> Tensor:
        """The wrapped layer's own; some models look at its dtype (T5)."""
        return self.base.weight

    @property
    def bias(self) -> Tensor | None:
        """The wrapped layer's own."""
        return self.base.bias

    def effective_B(self) -> Tensor:
        """``s Λ_b B Λ_d``, shape (out, r): with A it is the whole update, as a LoRA has it."""
        effective = self.b[:, None] * self.B * self.d[None, :]
        return effective if self.scale == 1.0 else effective * self.scale

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` of shape (…, in) to (…, out)."""
        if self._stays_random and is_cheaper_scaled(self.base, x, self.A):
            scale = self.b if self.scale == 1.0 else self.b * self.scale
            return scaled_linear(self.base, x, self.A, self.B, self.d, scale)
        return low_rank_linear(self.base, x, self.A, self.effective_B())

    @torch.no_grad()
    def merged_weight(self) -> Tensor:
        """``W_0 + s Λ_b B Λ_d A``, a new tensor in the layout and dtype of the layer's weight.

        Raises:
            ValueError: the weight is quantised, so nothing can be added to it.
        """
        weight = self.base.weight
        if not weight.is_floating_point():
            raise ValueError(f"a weight of {weight.dtype} cannot be merged with its adapter")
        update = as_stored(self.base, self.effective_B() @ self.A)
        return (weight.to(update.dtype) + update).to(weight.dtype)

    def extra_repr(self) -> str:
        return f"rank={self.rank}, layer={self.layer}, role={self.role}"
