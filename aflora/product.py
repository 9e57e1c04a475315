"""The products of an adapted linear layer and of its gradient, in the order that costs least."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from aflora.linear import as_stored, features, is_conv1d

#: With fewer rows than this an effective weight is not worth its making, whatever the shape.
LEAST_ROWS = 128
#: Multiplications of a product that take as long as scaling one element, forward and backward.
SCALING = 500


def low_rank_linear(base: nn.Linear, x: Tensor, A: Tensor, B: Tensor) -> Tensor:
    """``base(x) + B A x``, with gradients for x, A and B.

    Thin products belong to the update: two forward, and backward those for B, for A and for x. Each
    reads an activation once more, and is bound by memory. Where the layer is plain fp32 on a CPU
    most of them are saved:

    - With enough rows the update is added to the weight once forward and once backward,
      ``W + B A``; what is left is ``A x`` for the gradient of B, and two more where A trains.
      Nothing of the layer's width is kept in between. A sum in a narrower format, as a GPU's TF32
      has it, would lose updates that are small beside the weight; there the products stay apart.
    - The gradient of B is computed as ``((A x)ᵀ g)ᵀ``, which takes a seventh of the time of
      ``gᵀ (A x)``, the form that autograd chooses.
    - A rank that is not small beside the layer (ELoRA's 1024) goes through the weight altogether:
      ``G = gᵀ x``, and from it ``G Aᵀ`` for B and ``Bᵀ G`` for A. No product of rows and rank is
      left, nor an activation of the rank's width.

    Elsewhere — autocast, another format, a quantised or hooked layer, one that trains itself, a
    compiled model — it is computed as it is written. Only there can it be differentiated twice or
    in forward mode.

    Args:
        base: the layer that is adapted.
        x: (…, in).
        A: (r, in).
        B: (out, r).

    Returns:
        (…, out), in the dtype of the base layer's output.
    """
    if _is_plain(base, x, A):
        weight = as_stored(base, base.weight)
        flat = x.reshape(-1, x.shape[-1])
        (outside, inside), rank = weight.shape, len(A)
        through = _goes_through_weight(len(flat), inside, outside, rank, A.requires_grad)
        function = _ThroughWeight if through else _Adapted
        whole: Tensor = function.apply(flat, weight, base.bias, A, B)  # type: ignore[no-untyped-call]
        return whole.view(*x.shape[:-1], outside)
    y: Tensor = base(x)
    if x.dtype != A.dtype and not torch.is_autocast_enabled(x.device.type):
        x = x.to(A.dtype)
    return y + F.linear(F.linear(x, A), B).to(y.dtype)


def scaled_linear(base: nn.Linear, x: Tensor, A: Tensor, B: Tensor, d: Tensor, b: Tensor) -> Tensor:
    """``base(x) + b ⊙ B (d ⊙ A x)``: two vectors of activations are scaled, no matrix is made.

    Args:
        base: the layer that is adapted.
        x: (…, in).
        A: (r, in).
        B: (out, r).
        d: (r,).
        b: (out,).

    Returns:
        (…, out), in the dtype of the base layer's output.
    """
    y: Tensor = base(x)
    if x.dtype != A.dtype and not torch.is_autocast_enabled(x.device.type):
        x = x.to(A.dtype)
    # Under autocast the vectors would have what follows computed in their own precision.
    return y + (b * F.linear(d * F.linear(x, A), B)).to(y.dtype)


def is_cheaper_scaled(base: nn.Linear, x: Tensor, A: Tensor) -> bool:
    """Whether random projections that never train cost less in :func:`scaled_linear`.

    The effective matrix of :func:`low_rank_linear` has out · r elements, and its gradient is one
    product more. Of a rank that is small beside the layer that is next to nothing. Else it pays
    with many rows: on a CPU where there is less to do by way of the weight's own gradient, and
    elsewhere, where its time was not measured, where less is kept for backward: two such matrices
    in place of the activations' rows · out.
    """
    if torch.compiler.is_compiling():
        # No graph is to depend on the number of rows.
        return False
    inside, outside = features(base)
    rank, rows = len(A), x.numel() // x.shape[-1]
    if _is_low(rank, inside, outside):
        return False
    if rows < LEAST_ROWS:
        # Here FLOPs are counted, which are to be the same on every device.
        return True
    if not _is_plain(base, x, A):
        return rows < 2 * rank
    scaled = rows * (2 * rank * (inside + outside) + SCALING * (outside + rank))
    through = inside * outside * (2 * rank + rows) + SCALING * outside * rank
    return scaled <= through


def _is_plain(base: nn.Linear, x: Tensor, A: Tensor) -> bool:
    """Whether the layer is its weight and nothing else, on a CPU, in full precision."""
    return (
        # A compiler puts products together in its own way.
        not torch.compiler.is_compiling()
        and (type(base) is nn.Linear or is_conv1d(base))
        and type(base.weight) is nn.Parameter
        # Who moves weights about replaces the layer's forward.
        and "forward" not in vars(base)
        and x.device.type == base.weight.device.type == "cpu"
        and x.dtype == A.dtype == base.weight.dtype
        and x.dtype in (torch.float32, torch.float64)
        and not torch.is_autocast_enabled("cpu")
        and _is_exact()
        and not any(p.requires_grad for p in base.parameters(recurse=False))
        and not (base._forward_hooks or base._forward_pre_hooks)
        and not (base._backward_hooks or base._backward_pre_hooks)
    )


def _is_exact() -> bool:
    """Whether products on a CPU are of fp32 and nothing less."""
    try:
        return torch.get_float32_matmul_precision() == "highest"
    except RuntimeError:
        # Set by backend (``torch.backends.fp32_precision``) there is no one word for it.
        return False


def _merges(rows: int, inside: int, outside: int, rank: int) -> bool:
    """Whether adding the update to the weight costs less than adding its output and its gradient.

    Twice the weight's size against what is read of activations; and no more than a rank that is
    small beside the layer, or making the weight would cost more than the rest.
    """
    return (
        rows >= LEAST_ROWS
        and rows * (inside + 2 * outside) >= 2 * inside * outside
        and _is_low(rank, inside, outside)
    )


def _is_low(rank: int, inside: int, outside: int) -> bool:
    return 4 * rank <= min(inside, outside)


def _goes_through_weight(rows: int, inside: int, outside: int, rank: int, live: bool) -> bool:
    """Whether by way of the weight's own gradient there is less to multiply than with a low rank.

    Args:
        live: A trains as well.
    """
    low_rank = rows * rank * ((3 if live else 2) * inside + 3 * outside)
    through = inside * outside * ((3 if live else 2) * rank + rows)
    return rows >= LEAST_ROWS and not _is_low(rank, inside, outside) and through < low_rank


class _ThroughWeight(torch.autograd.Function):
    """What :class:`_Adapted` gives, by way of the gradient of ``W + B A``."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, A: Tensor, B: Tensor
    ) -> Tensor:
        # Kept, since beside the rank's products making it again is not cheap.
        whole = torch.addmm(weight, B, A)
        ctx.save_for_backward(x, whole, A, B)
        return F.linear(x, whole, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (g,) = gradients
        x, whole, A, B = ctx.saved_tensors
        for_x, _, _, for_a, for_b = ctx.needs_input_grad
        of_x = of_a = of_b = None
        if for_x:
            of_x = g @ whole
        if for_a or for_b:
            of_whole = g.t() @ x
            of_a = B.t() @ of_whole if for_a else None
            of_b = of_whole @ A.t() if for_b else None
        return of_x, None, None, of_a, of_b


class _Adapted(torch.autograd.Function):
    """``x Wᵀ + bias + x Aᵀ Bᵀ`` of x with shape (rows, in); W and bias are frozen."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, A: Tensor, B: Tensor
    ) -> Tensor:
        outside, inside = weight.shape
        ctx.merges = _merges(len(x), inside, outside, A.shape[0])
        _, _, _, for_a, for_b = ctx.needs_input_grad
        z = F.linear(x, A) if for_b or not ctx.merges else None
        if ctx.merges:
            y = F.linear(x, torch.addmm(weight, B, A), bias)
        else:
            y = F.linear(x, weight, bias)
            assert z is not None
            # In place, in the form that counters of FLOPs know.
            torch.addmm(y, z, B.t(), out=y)
        ctx.save_for_backward(weight, A, B, z if for_b else None, x if for_a else None)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (g,) = gradients
        weight, A, B, z, x = ctx.saved_tensors
        for_x, _, _, for_a, for_b = ctx.needs_input_grad
        # (r, rows): of z.
        inner = B.t() @ g.t() if for_a or (for_x and not ctx.merges) else None
        of_x = of_a = of_b = None
        if for_x and ctx.merges:
            of_x = g @ torch.addmm(weight, B, A)
        elif for_x:
            assert inner is not None
            of_x = g @ weight
            torch.addmm(of_x, inner.t(), A, out=of_x)
        if for_a:
            assert inner is not None
            of_a = inner @ x
        if for_b:
            of_b = (z.t() @ g).t()
        return of_x, None, None, of_a, of_b
