"""How much a projection matrix still learns: smoothed sensitivity times smoothed uncertainty."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from aflora.config import Score

# |g / w| is taken as if no weight were closer to 0 than this: one that is exactly 0 would have an
# infinite score, and its matrix would never freeze.
SMALLEST_WEIGHT = 1e-8


def importance(score: Score, weight: Tensor, gradient: Tensor) -> Tensor:
    r"""The importance I_t of every element, from this step's weight w and gradient g.

    .. math:: |g|, \quad |w \cdot g| \quad\text{or}\quad |g / w|

    for ``gradient``, ``weight_gradient`` and ``gradient_over_weight`` (arXiv 2403.13269, table 4),
    and abs(w) for ``magnitude``; the matrix's shape. At least in fp32: products of two smoothed
    gradients are too small for a half.
    """
    weight, gradient = weight.to(score_dtype(weight)), gradient.to(score_dtype(gradient))
    if score == "gradient":
        return gradient.abs()
    if score == "weight_gradient":
        return (weight * gradient).abs_()
    if score == "gradient_over_weight":
        return gradient.abs() / weight.abs().clamp_(min=SMALLEST_WEIGHT)
    return weight.abs()


def score_dtype(tensor: Tensor) -> torch.dtype:
    """What scores of a tensor are kept in: its own dtype, or fp32 where that is narrower."""
    return torch.promote_types(tensor.dtype, torch.float32)


def finite(gradients: Sequence[Tensor | None]) -> list[bool | None]:
    """Whether each gradient is free of NaN and inf; None where there is no gradient."""
    present = [gradient for gradient in gradients if gradient is not None]
    if not present:
        return [None] * len(gradients)
    # One answer for all of them, so that a GPU is waited for once and not for each matrix. The
    # largest magnitude is NaN or infinite if any element is.
    largest = torch._foreach_norm(present, float("inf"))
    dtype = functools.reduce(torch.promote_types, (norm.dtype for norm in largest))
    stacked = torch.stack([norm.to(present[0].device, dtype) for norm in largest])
    answers = iter(stacked.isfinite().tolist())
    return [None if gradient is None else next(answers) for gradient in gradients]


class SmoothedScore:
    r"""Sensitivity and uncertainty of one matrix, smoothed over steps.

    .. math::
        \bar I_t = \beta_1 \bar I_{t-1} + (1 - \beta_1) I_t \\
        U_t = |I_t - \bar I_t| \\
        \bar U_t = \beta_2 \bar U_{t-1} + (1 - \beta_2) U_t

    Both start at 0, without bias correction (arXiv 2403.13269, eq. 2 to 4).

    With a window of W steps, I is averaged over the steps t with the same t div W, and the
    smoothing takes in the average of a window that is over at the first step of the next one, so
    nothing at step 0. Without one (W = 0) it takes in every step as it comes.

    Args:
        like: a tensor of the matrix's shape, device and dtype.
        beta1: β1, in [0, 1).
        beta2: β2, in [0, 1).
        window: W, in steps.
    """

    def __init__(self, like: Tensor, beta1: float, beta2: float, window: int = 0) -> None:
        dtype = score_dtype(like)
        self.beta1 = beta1
        self.beta2 = beta2
        self.window_steps = window
        self.sensitivity = torch.zeros_like(like, dtype=dtype, requires_grad=False)
        self.uncertainty = torch.zeros_like(self.sensitivity)
        self.window = torch.zeros_like(self.sensitivity) if window else None

    def follow(self, device: torch.device) -> None:
        """Follow a model that was moved after its freezer had been made."""
        if device == self.sensitivity.device:
            return
        self.sensitivity = self.sensitivity.to(device)
        self.uncertainty = self.uncertainty.to(device)
        if self.window is not None:
            self.window = self.window.to(device)

    def elements(self) -> Tensor:
        """Ī ∘ Ū, the matrix's shape; their mean s_t is low where little is learnt any more."""
        return self.sensitivity * self.uncertainty

    def state(self) -> dict[str, Tensor]:
        """The tensors that change, by name; to be copied into."""
        tensors = {"sensitivity": self.sensitivity, "uncertainty": self.uncertainty}
        return tensors if self.window is None else tensors | {"window": self.window}


def take_in(
    scores: Sequence[SmoothedScore],
    importances: Sequence[Tensor | None],
    step: int,
    before: int | None = None,
) -> None:
    """Take in the importance of a step for all matrices of a model, in a few calls.

    One matrix after the other would be a dozen small kernels each, for which a GPU has to wait.

    Args:
        scores: with the same β1, β2 and window.
        importances: I_t of each; None where it is unknown.
        step: t, counted from 0.
        before: the step that was taken in before; by default t - 1.
    """
    known = [(s, i) for s, i in zip(scores, importances, strict=True) if i is not None]
    taken = [importance for _, importance in known]
    for score, importance in known:
        score.follow(importance.device)
    if not scores or not (steps := scores[0].window_steps):
        _smooth([score for score, _ in known], taken)
        return
    window, position = divmod(step, steps)
    if window > (step - 1 if before is None else before) // steps:
        averages = [score.window for score in scores if score.window is not None]
        _smooth(scores, averages)
        torch._foreach_zero_(averages)
    running = [score.window for score, _ in known if score.window is not None]
    if running:
        torch._foreach_mul_(running, position)
        torch._foreach_add_(running, taken)
        torch._foreach_div_(running, position + 1)


def _smooth(scores: Sequence[SmoothedScore], importances: list[Tensor]) -> None:
    """Equations 2 to 4 for each."""
    if not scores:
        return
    beta1, beta2 = scores[0].beta1, scores[0].beta2
    sensitivities = [score.sensitivity for score in scores]
    torch._foreach_mul_(sensitivities, beta1)
    torch._foreach_add_(sensitivities, torch._foreach_mul(importances, 1.0 - beta1))
    deviations = torch._foreach_sub(importances, sensitivities)
    torch._foreach_abs_(deviations)
    uncertainties = [score.uncertainty for score in scores]
    torch._foreach_mul_(uncertainties, beta2)
    torch._foreach_add_(uncertainties, torch._foreach_mul(deviations, 1.0 - beta2))
