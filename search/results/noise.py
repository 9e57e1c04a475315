"""How far scores of a few seeds on a few rows can be told apart: the bootstrap."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, t

from search.metrics import RANGES, counted, from_counts, score
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
    and which rows are in the test split. Intervals are percentiles over draws (Efron and Tibshirani
    1993) of how far a score lies from its mean, and a draw is the sum of two parts:

    - Of the rows: the mean over seeds on rows drawn with replacement, the same for all
      configurations, so that what two have in common cancels out; less the mean over draws, which
      of so curved a metric as F1 is not the score itself.
    - Of the seeds: their standard error on the rows as they are, s / √n, times a normal number. Of
      three seeds a bootstrap would know no more than their least and their largest.

    A row that one seed gets right by chance and another does not is noise to both parts, and would
    count twice (Owen 2007, of the bootstrap of two factors). It is left to that of the seeds: with
    w the variance over seeds of how far each one's score moves in a draw, w / n is taken from the
    variance of the rows, but no more than s² / n.

    How far so few seeds spread is hardly known itself: both ends are moved away from the mean by
    Student's quantile over the normal one, with the degrees of freedom of Welch and Satterthwaite
    (1946) for a sum of variances, (Σ v)² / Σ (v² / f). That of the rows has f = rows - 1, that of
    the seeds of a configuration f = n - 1.

    A draw without a row of class 1 tells nothing of F1, one of a single class nothing of Matthews's
    correlation, and one of equal values nothing of a correlation: these are left out.

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
        whole = {key: _scores(metric, truth, some, everything)[0] for key, some in found.items()}
        self._means = {key: float(scores.mean()) for key, scores in whole.items()}
        self._range = RANGES[metric]
        self._freedom = {key: len(some) - 1 for key, some in found.items()}
        self._freedom_of_rows = max(1, len(truth) - 1)
        random = np.random.default_rng(seed)
        scores: dict[int, list[NDArray[np.float64]]] = {key: [] for key in found}
        for start in range(0, draws, _CHUNK):
            count = min(_CHUNK, draws - start)
            rows = random.integers(0, len(truth), (count, len(truth)))
            told = _tells(metric, truth)(truth[rows])
            for key, some in found.items():
                of_draws = _scores(metric, truth, some, rows)
                scores[key].append(np.where(told[:, None], of_draws, np.nan))
        # Every quantile of the normal distribution once, in any order.
        normal = norm.ppf((np.arange(draws) + 0.5) / draws)
        self._of_rows: dict[int, NDArray[np.float64]] = {}
        self._error: dict[int, float] = {}
        self._shared: dict[int, float] = {}
        self._of_seeds: dict[int, NDArray[np.float64]] = {}
        for key, parts in scores.items():
            drawn = np.concatenate(parts)
            seeds = drawn.shape[1]
            self._of_rows[key] = drawn.mean(axis=1)
            self._error[key] = float(whole[key].std(ddof=1)) / np.sqrt(seeds)
            # Seeds that are alike by chance do not hold it.
            self._shared[key] = min(_moved_apart(drawn) / seeds, self._error[key] ** 2)
            self._of_seeds[key] = self._error[key] * random.permutation(normal)

    def interval(self, key: int) -> Interval:
        """Of the score of one configuration."""
        return self._interval(self._means[key], self._of_rows[key], [key])

    def difference(self, key: int, other: int) -> Interval:
        """Of one configuration's score less another's; zero outside: it is larger than noise."""
        return self._interval(
            self._means[key] - self._means[other],
            self._of_rows[key] - self._of_rows[other],
            [key, other],
        )

    def _interval(self, mean: float, of_rows: NDArray[np.float64], keys: Sequence[int]) -> Interval:
        # The normal part is symmetric: of a difference it may be added as well.
        of_seeds = np.sum([self._of_seeds[key] for key in keys], axis=0)
        defined = np.isfinite(of_rows + of_seeds)
        if not defined.any():
            return Interval(mean, np.nan, np.nan)
        of_rows = _narrowed(of_rows[defined], sum(self._shared[key] for key in keys))
        tail = (1 - LEVEL) / 2
        below, above = np.quantile(of_rows + of_seeds[defined], [tail, 1 - tail])
        parts = [(float(of_rows.var()), self._freedom_of_rows)]
        parts += [(self._error[key] ** 2, self._freedom[key]) for key in keys]
        least, most = self._range
        if len(keys) > 1:
            least, most = least - most, most - least
        wider = _wider(parts)
        low, high = np.clip([mean + wider * below, mean + wider * above], least, most)
        return Interval(mean, float(low), float(high))


def _scores(
    metric: Metric,
    truth: NDArray[np.generic],
    found: Sequence[NDArray[np.generic]],
    rows: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Of each draw of rows and each seed, shape (draws, seeds)."""
    if metric in OF_VALUES:
        return np.array(
            [[score(metric, truth[drawn], one[drawn]) for one in found] for drawn in rows]
        )
    classes = 1 + max(int(truth.max()), *(int(one.max()) for one in found), 1)
    columns = []
    for one in found:
        draws = [counted(truth[drawn], one[drawn], classes) for drawn in rows]
        columns.append(
            from_counts(metric, *(np.stack(counts) for counts in zip(*draws, strict=True)))
        )
    return np.stack(columns, axis=1)


def _tells(
    metric: Metric, truth: NDArray[np.generic]
) -> Callable[[NDArray[np.generic]], NDArray[np.bool_]]:
    """Whether drawn labels, shape (draws, rows), have what a metric of classes is defined by.

    Where the split itself does not have it, its score is what convention makes it, and so are those
    of draws.
    """

    def defined(labels: NDArray[np.generic]) -> NDArray[np.bool_]:
        if metric == "f1":
            return np.asarray((labels == 1).any(axis=1))
        if metric == "matthews":
            return np.asarray((labels != labels[:, :1]).any(axis=1))
        return np.ones(len(labels), bool)

    if defined(truth[None, :])[0]:
        return defined
    return lambda labels: np.ones(len(labels), bool)


def _moved_apart(scores: NDArray[np.float64]) -> float:
    """How far drawing rows moves the scores of seeds apart: a variance over seeds.

    Args:
        scores: shape (draws, seeds).
    """
    moved = scores[np.isfinite(scores).all(axis=1)]
    if not len(moved):
        return 0.0
    return float((moved - moved.mean(axis=0)).var(axis=1, ddof=1).mean())


def _narrowed(drawn: NDArray[np.float64], by: float) -> NDArray[np.float64]:
    """How far draws lie from their mean, with a variance less by so much, and no less than 0."""
    apart, variance = drawn - drawn.mean(), drawn.var()
    if not variance:
        return np.zeros_like(drawn)
    return np.asarray(np.sqrt(max(0.0, 1.0 - by / variance)) * apart)


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
