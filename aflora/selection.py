"""Which projection matrices freeze now. Pure: scores in, positions out."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def mean_scores(elements: Sequence[Tensor]) -> list[float]:
    """s_t of each matrix: the mean of the scores of its elements."""
    return torch.stack([part.mean() for part in elements]).tolist() if elements else []


def select_paper(scores: Sequence[float], initial: int, fraction: float) -> list[int]:
    """The paper's rule: floor(r · n) of all n matrices are frozen, the lowest scores first.

    Args:
        scores: of the matrices that still train, in module order; ties freeze in that order.
        initial: n, matrices that trained at the start.
        fraction: r(t) of the schedule.

    Returns:
        Positions in ``scores`` to freeze now.
    """
    frozen = initial - len(scores)
    wanted = math.floor(fraction * initial + 1e-9)
    order = sorted(range(len(scores)), key=lambda position: scores[position])
    return sorted(order[: max(0, wanted - frozen)])


def select_official(elements: Sequence[Tensor], remaining: float) -> list[int]:
    """The rule of the authors' code: a matrix freezes when its mean is below an element quantile.

    The threshold is the k-th smallest of all single elements over the matrices that still
    train, k = int(n · (1 - ρ)) with n such elements. Scores are heavy-tailed, so a mean lies far
    above the median element, and little freezes until ρ is small.

    Args:
        elements: scores of the matrices that still train, in module order, on one device.
        remaining: ρ of the schedule.

    Returns:
        Positions in ``elements`` to freeze now.
    """
    threshold = official_threshold(elements, remaining)
    if threshold is None:
        return []
    means = mean_scores(elements)
    return [position for position, mean in enumerate(means) if mean < threshold]


def official_threshold(elements: Sequence[Tensor], remaining: float) -> float | None:
    """The k-th smallest element, or None where k is 0."""
    if not elements:
        return None
    flat = torch.cat([part.reshape(-1) for part in elements])
    k = int(flat.numel() * (1.0 - remaining))
    return float(torch.kthvalue(flat, k).values) if k > 0 else None
