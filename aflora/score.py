"""How much a projection matrix still learns: smoothed sensitivity times smoothed uncertainty."""

from __future__ import annotations

import torch
from torch import Tensor


class SmoothedScore:
    r"""Sensitivity and uncertainty of one matrix, smoothed over steps.

    .. math::
        \bar I_t = \beta_1 \bar I_{t-1} + (1 - \beta_1) I_t \\
        U_t = |I_t - \bar I_t| \\
        \bar U_t = \beta_2 \bar U_{t-1} + (1 - \beta_2) U_t

    Both start at 0, without bias correction (arXiv 2403.13269, eq. 2 to 4).

    Args:
        like: a tensor of the matrix's shape, device and dtype.
        beta1: β1, in [0, 1).
        beta2: β2, in [0, 1).
    """

    def __init__(self, like: Tensor, beta1: float, beta2: float) -> None:
        self.beta1 = beta1
        self.beta2 = beta2
        self.sensitivity = torch.zeros_like(like, requires_grad=False)
        self.uncertainty = torch.zeros_like(like, requires_grad=False)

    def update(self, importance: Tensor) -> None:
        """Take in the importance I_t of every element, for example |g_t|; the matrix's shape."""
        self.sensitivity.mul_(self.beta1).add_(importance * (1.0 - self.beta1))
        deviation = (importance - self.sensitivity).abs_()
        self.uncertainty.mul_(self.beta2).add_(deviation * (1.0 - self.beta2))

    def elements(self) -> Tensor:
        """Ī ∘ Ū, the matrix's shape."""
        return self.sensitivity * self.uncertainty

    def mean(self) -> float:
        """s_t, the mean of Ī ∘ Ū: the lower, the less the matrix still learns."""
        return float(self.elements().mean())


def windowed(window: Tensor, importance: Tensor, position: int) -> Tensor:
    """The running average of a window after one more step.

    Args:
        window: average over the ``position`` steps so far.
        importance: of this step; the same shape.
        position: k, steps in the window before this one; 0 starts a new window.
    """
    if position == 0:
        return importance.clone()
    return (window * position + importance) / (position + 1)
