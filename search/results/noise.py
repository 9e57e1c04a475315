"""How far scores of a few seeds on a few rows can be told apart: the bootstrap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from search.metrics import from_confusion, metric_of
from search.spec.tasks import OF_VALUES, Metric

DRAWS = 1000
LEVEL = 0.95
# Draws that are counted at a time: a draw holds the numbers of all rows, of QQP forty thousand.
_CHUNK = 50


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
    seeds with replacement. Intervals are percentiles over draws (Efron and Tibshirani 1993). Means
    of n seeds drawn from n spread too little, by (n - 1) / n in their variance; their distance from
    the mean of all is scaled up by as much.

    Args:
        labels: shape (rows,).
        predictions: configuration → one array of shape (rows,) for each seed, two at least.
        metric: what is scored.
        draws: how many.
        seed: of the draws.

    Raises:
        ValueError: a configuration has fewer than two seeds, or its predictions are not of these
            rows.
    """

    def __init__(
        self,
        labels: ArrayLike,
        predictions: Mapping[int, Sequence[ArrayLike]],
        metric: Metric,
        draws: int = DRAWS,
        seed: int = 0,
    ) -> None:
        truth = np.asarray(labels)
        found = {key: [np.asarray(one) for one in some] for key, some in predictions.items()}
        for key, some in found.items():
            if any(one.shape != truth.shape for one in some):
                raise ValueError(f"configuration {key} has no predictions of all {len(truth)} rows")
            if len(some) < 2:
                raise ValueError(f"configuration {key} has {len(some)} seeds, two are needed")
        everything = np.arange(len(truth))[None, :]
        self._means = {
            key: float(_scores(metric, truth, some, everything).mean())
            for key, some in found.items()
        }
        random = np.random.default_rng(seed)
        scores: dict[int, list[NDArray[np.float64]]] = {key: [] for key in found}
        for start in range(0, draws, _CHUNK):
            count = min(_CHUNK, draws - start)
            rows = random.integers(0, len(truth), (count, len(truth)))
            for key, some in found.items():
                scores[key].append(_scores(metric, truth, some, rows))
        self._drawn = {
            key: _over_seeds(np.concatenate(parts), random) for key, parts in scores.items()
        }

    def interval(self, key: int) -> Interval:
        """Of the score of one configuration."""
        return _interval(self._means[key], self._drawn[key])

    def difference(self, key: int, other: int) -> Interval:
        """Of one configuration's score less another's; zero outside: it is larger than noise."""
        mean = self._means[key] - self._means[other]
        return _interval(mean, self._drawn[key] - self._drawn[other])


def _scores(
    metric: Metric,
    truth: NDArray[np.generic],
    found: Sequence[NDArray[np.generic]],
    rows: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Of each draw of rows and each seed, shape (draws, seeds)."""
    if metric in OF_VALUES:
        score = metric_of(metric)
        return np.array([[score(truth[drawn], one[drawn]) for one in found] for drawn in rows])
    classes = 1 + max(int(truth.max()), *(int(one.max()) for one in found), 1)
    columns = []
    for one in found:
        pairs = (truth.astype(np.int64) * classes + one.astype(np.int64))[rows]
        counts = np.stack([np.bincount(drawn, minlength=classes**2) for drawn in pairs])
        columns.append(
            from_confusion(metric, counts.reshape(-1, classes, classes).astype(np.float64))
        )
    return np.stack(columns, axis=1)


def _over_seeds(scores: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """Means over seeds drawn with replacement, shape (draws,), from (draws, seeds)."""
    draws, seeds = scores.shape
    taken = np.take_along_axis(scores, random.integers(0, seeds, (draws, seeds)), axis=1)
    middle = scores.mean(axis=1)
    wider = np.sqrt(seeds / (seeds - 1))
    return np.asarray(middle + wider * (taken.mean(axis=1) - middle))


def _interval(mean: float, drawn: NDArray[np.float64]) -> Interval:
    tail = (1 - LEVEL) / 2
    # A draw on which a correlation is not defined tells nothing.
    kept = drawn[np.isfinite(drawn)]
    low, high = np.quantile(kept, [tail, 1 - tail]) if len(kept) else (np.nan, np.nan)
    return Interval(mean, float(low), float(high))
