"""How far scores of a few seeds on a few rows can be told apart: the bootstrap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, t

from search.metrics import RANGES, from_confusion, metric_of
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
    seeds with replacement. Intervals are percentiles over draws (Efron and Tibshirani 1993), with
    two corrections for few seeds. Means of n seeds drawn from n spread too little, by (n - 1) / n
    in their variance; their distance from the mean of all is scaled up by as much. And how far so
    few seeds spread is hardly known itself: both ends are moved away from the mean by Student's
    quantile over the normal one, with the degrees of freedom of Welch and Satterthwaite (1946) for
    a sum of variances, (Σ v)² / Σ (v² / f). That of the rows has f = rows - 1, that of the seeds of
    a configuration f = n - 1.

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
        self._range = RANGES[metric]
        self._freedom = {key: len(some) - 1 for key, some in found.items()}
        self._freedom_of_rows = max(1, len(truth) - 1)
        random = np.random.default_rng(seed)
        scores: dict[int, list[NDArray[np.float64]]] = {key: [] for key in found}
        for start in range(0, draws, _CHUNK):
            count = min(_CHUNK, draws - start)
            rows = random.integers(0, len(truth), (count, len(truth)))
            for key, some in found.items():
                scores[key].append(_scores(metric, truth, some, rows))
        self._of_rows: dict[int, NDArray[np.float64]] = {}
        self._of_seeds: dict[int, NDArray[np.float64]] = {}
        for key, parts in scores.items():
            drawn = np.concatenate(parts)
            self._of_rows[key] = drawn.mean(axis=1)
            self._of_seeds[key] = _over_seeds(drawn, random)

    def interval(self, key: int) -> Interval:
        """Of the score of one configuration."""
        return self._interval(self._means[key], self._of_rows[key], {key: self._of_seeds[key]})

    def difference(self, key: int, other: int) -> Interval:
        """Of one configuration's score less another's; zero outside: it is larger than noise."""
        return self._interval(
            self._means[key] - self._means[other],
            self._of_rows[key] - self._of_rows[other],
            {key: self._of_seeds[key], other: -self._of_seeds[other]},
        )

    def _interval(
        self,
        mean: float,
        of_rows: NDArray[np.float64],
        of_seeds: Mapping[int, NDArray[np.float64]],
    ) -> Interval:
        drawn = of_rows + sum(of_seeds.values())
        # A draw on which a correlation is not defined tells nothing.
        defined = np.isfinite(drawn)
        if not defined.any():
            return Interval(mean, np.nan, np.nan)
        tail = (1 - LEVEL) / 2
        ends = np.quantile(drawn[defined], [tail, 1 - tail])
        parts = [(float(of_rows[defined].var()), self._freedom_of_rows)]
        parts += [(float(part[defined].var()), self._freedom[k]) for k, part in of_seeds.items()]
        least, most = self._range
        if len(of_seeds) > 1:
            least, most = least - most, most - least
        low, high = np.clip(mean + _wider(parts) * (ends - mean), least, most)
        return Interval(mean, float(low), float(high))


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
    """How far means over seeds drawn with replacement lie from the mean over all; (draws,)."""
    draws, seeds = scores.shape
    taken = np.take_along_axis(scores, random.integers(0, seeds, (draws, seeds)), axis=1)
    wider = np.sqrt(seeds / (seeds - 1))
    return np.asarray(wider * (taken.mean(axis=1) - scores.mean(axis=1)))


def _wider(parts: Sequence[tuple[float, int]]) -> float:
    """Student's quantile over the normal one for a sum of variances with degrees of freedom."""
    # Scaled, so that their squares are not lost to rounding.
    largest = max(variance for variance, _ in parts)
    if not largest:
        return 1.0
    scaled = [(variance / largest, freedom) for variance, freedom in parts]
    freedom = sum(v for v, _ in scaled) ** 2 / sum(v**2 / f for v, f in scaled)
    tail = (1 - LEVEL) / 2
    return float(t.ppf(tail, freedom) / norm.ppf(tail))
