"""The adapted linear layer."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

INITIAL_D = 0.1


class AFLoRALinear(nn.Module):
    r"""A frozen linear layer with a low-rank update between two trainable vectors.

    .. math:: y = W_0 x + \Lambda_b B \Lambda_d A x

    with A of shape (r, in), B of shape (out, r), d of shape (r,) and b of shape (out,)
    (arXiv 2403.13269, eq. 1). It is computed as a LoRA with a small effective matrix,
    ``B_eff = b[:, None] * B * d[None, :]``, so that no activation of width ``out`` is kept for the
    gradient of b, and none of width ``in`` once A is frozen.

    A and B are Kaiming-uniform, d starts at 0.1 and b at 0: the adapted layer starts equal to
    the layer it wraps.

    Args:
        base: the layer to wrap; its parameters are frozen.
        rank: r, from 1 to the smaller side of ``base``.
        layer: index of the transformer block, counted from 0.
        role: what the layer does there, see :mod:`aflora.roles`.
        train_projections: whether A and B train at first; d and b always do.

    Raises:
        TypeError: ``base`` is not an ``nn.Linear``.
        ValueError: the rank does not fit the layer.
    """

    def __init__(
        self,
        base: nn.Linear,
        rank: int,
        *,
        layer: int = 0,
        role: str = "ffn_in",
        train_projections: bool = True,
    ) -> None:
        super().__init__()
        if not isinstance(base, nn.Linear):
            raise TypeError(f"only nn.Linear can be adapted, got {type(base).__name__}")
        if not 1 <= rank <= min(base.in_features, base.out_features):
            raise ValueError(
                f"rank must lie between 1 and {min(base.in_features, base.out_features)} for a "
                f"layer of {base.in_features} → {base.out_features}, got {rank}"
            )
        self.rank = rank
        self.layer = layer
        self.role = role
        self.base = base.requires_grad_(False)
        device = base.weight.device
        self.A = nn.Parameter(torch.empty(rank, base.in_features, device=device))
        self.B = nn.Parameter(torch.empty(base.out_features, rank, device=device))
        self.d = nn.Parameter(torch.full((rank,), INITIAL_D, device=device))
        self.b = nn.Parameter(torch.zeros(base.out_features, device=device))
        for projection in (self.A, self.B):
            nn.init.kaiming_uniform_(projection, a=math.sqrt(5))
            projection.requires_grad_(train_projections)

    @property
    def in_features(self) -> int:
        return self.base.in_features

    @property
    def out_features(self) -> int:
        return self.base.out_features

    def effective_B(self) -> Tensor:
        """``Λ_b B Λ_d``, shape (out, r): with A it is the whole update, as a LoRA has it."""
        return self.b[:, None] * self.B * self.d[None, :]

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` of shape (…, in) to (…, out)."""
        y: Tensor = self.base(x)
        z = F.linear(x.to(self.A.dtype), self.A)
        return y + F.linear(z, self.effective_B()).to(y.dtype)

    @torch.no_grad()
    def merged_weight(self) -> Tensor:
        """``W_0 + Λ_b B Λ_d A``, shape (out, in), in the dtype of the wrapped layer."""
        update = self.effective_B() @ self.A
        return self.base.weight + update.to(self.base.weight.dtype)

    def extra_repr(self) -> str:
        return f"rank={self.rank}, layer={self.layer}, role={self.role}"
