"""How far scores of a few seeds on a few rows can be told apart: the bootstrap."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

DRAWS = 1000
LEVEL = 0.95

Score = Callable[[NDArray[np.generic], NDArray[np.generic]], float]


@dataclass(frozen=True)
class Interval:
    """A mean over seeds with its 95 % interval."""

    mean: float
    low: float
    high: float


class Resampled:
    """Scores of several configurations on the same test rows, drawn again and again.

    Two things are left to chance when a configuration is measured: the seed it was trained with,
    and which rows are in the test split. Each draw takes rows with replacement, the same for all
    configurations, so that what two have in common cancels out; and of each configuration its
    seeds with replacement. Intervals are percentiles over draws (Efron and Tibshirani 1993).

    Args:
        labels: shape (rows,).
        predictions: configuration → one array of shape (rows,) for each seed.
        score: of labels and predictions.
        draws: how many.
        seed: of the draws.

    Raises:
        ValueError: a configuration has no seed, or its predictions are not of these rows.
    """

    def __init__(
        self,
        labels: ArrayLike,
        predictions: Mapping[int, Sequence[ArrayLike]],
        score: Score,
        draws: int = DRAWS,
        seed: int = 0,
    ) -> None:
        truth = np.asarray(labels)
        found = {key: [np.asarray(one) for one in some] for key, some in predictions.items()}
        for key, some in found.items():
            if not some or any(one.shape != truth.shape for one in some):
                raise ValueError(f"configuration {key} has no predictions of all {len(truth)} rows")
        self._means = {
            key: float(np.mean([score(truth, one) for one in some])) for key, some in found.items()
        }
        random = np.random.default_rng(seed)
        drawn: dict[int, list[float]] = {key: [] for key in found}
        for _ in range(draws):
            rows = random.integers(0, len(truth), len(truth))
            for key, some in found.items():
                seeds = random.integers(0, len(some), len(some))
                scores = {at: score(truth[rows], some[at][rows]) for at in set(seeds.tolist())}
                drawn[key].append(float(np.mean([scores[at] for at in seeds.tolist()])))
        self._drawn = {key: np.array(values) for key, values in drawn.items()}

    def interval(self, key: int) -> Interval:
        """Of the score of one configuration."""
        return _interval(self._means[key], self._drawn[key])

    def difference(self, key: int, other: int) -> Interval:
        """Of one configuration's score less another's; zero outside: it is larger than noise."""
        mean = self._means[key] - self._means[other]
        return _interval(mean, self._drawn[key] - self._drawn[other])


def _interval(mean: float, drawn: NDArray[np.float64]) -> Interval:
    tail = (1 - LEVEL) / 2
    # A draw on which a correlation is not defined tells nothing.
    kept = drawn[np.isfinite(drawn)]
    low, high = np.quantile(kept, [tail, 1 - tail]) if len(kept) else (np.nan, np.nan)
    return Interval(mean, float(low), float(high))
