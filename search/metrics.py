"""Scores of predictions, by scikit-learn and scipy."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.record import ConstantAnswer
from search.spec.tasks import Metric, Task


class MetricError(ValueError):
    """The score of these predictions is not a number."""


#: The lowest and the highest value of each.
RANGES: Mapping[Metric, tuple[float, float]] = {
    "accuracy": (0.0, 1.0),
    "f1": (0.0, 1.0),
    "f1_macro": (0.0, 1.0),
    "matthews": (-1.0, 1.0),
    "pearson": (-1.0, 1.0),
    "spearman": (-1.0, 1.0),
}


def evaluate(
    task: Task, logits: NDArray[np.floating], labels: NDArray[np.generic]
) -> dict[str, float]:
    """``score`` and every metric of the task by name; larger is better.

    Args:
        task: names the metrics.
        logits: shape (rows, classes), or (rows,) or (rows, 1) for regression.
        labels: shape (rows,).

    Raises:
        MetricError: a logit is NaN or infinite, or a correlation is not defined.
    """
    if not np.isfinite(logits).all():
        bad = int((~np.isfinite(logits)).any(axis=tuple(range(1, logits.ndim))).sum())
        raise MetricError(f"the model's output is NaN or infinite on {bad} of {len(logits)} rows")
    return measures_of(task, predicted(task, logits), labels)


def predicted(task: Task, logits: NDArray[np.floating]) -> NDArray[np.generic]:
    """Classes, or values for regression, shape (rows,)."""
    return logits.reshape(-1) if task.is_regression else logits.argmax(axis=1)


def measures_of(
    task: Task, predictions: NDArray[np.generic], labels: NDArray[np.generic]
) -> dict[str, float]:
    """The same as :func:`evaluate`, of what was predicted.

    Raises:
        MetricError: a correlation is not defined.
    """
    if task.is_regression and np.ptp(np.asarray(predictions, dtype=np.float64)) == 0:
        raise MetricError("the model predicts the same value for every row")
    measures = {metric: float(metric_of(metric)(labels, predictions)) for metric in task.metrics}
    return {"score": measures[task.metric]} | measures


def constant_answer(task: Task, labels: NDArray[np.generic]) -> ConstantAnswer | None:
    """What the best of all constant answers scores; None for regression, where none has a score.

    Args:
        task: names the metric.
        labels: shape (rows,).
    """
    if task.is_regression:
        return None
    # None of the metrics falls with how often the answer is right, save F1, which is of class 1
    # alone. (Matthews' is 0 for any.)
    answer = 1 if task.metric == "f1" else int(np.bincount(labels).argmax())
    score = measures_of(task, np.full(len(labels), answer), labels)["score"]
    return ConstantAnswer(str(answer) if task.classes is None else task.classes[answer], score)


def from_confusion(metric: Metric, counts: NDArray[np.floating]) -> NDArray[np.float64]:
    """A metric of classes from how often each class was taken for each, many times at once.

    The same as scikit-learn's functions, which take a millisecond for each.

    Args:
        metric: one of classes.
        counts: true class × predicted class, shape (…, classes, classes).

    Returns:
        Shape (…).
    """
    total = counts.sum(axis=(-2, -1))
    right = np.trace(counts, axis1=-2, axis2=-1)
    if metric == "accuracy":
        return np.asarray(right / total)
    true, found = counts.sum(axis=-1), counts.sum(axis=-2)
    if metric == "matthews":
        covariance = right * total - (true * found).sum(axis=-1)
        spread = (total**2 - (true**2).sum(axis=-1)) * (total**2 - (found**2).sum(axis=-1))
        none = np.zeros_like(total)
        return np.asarray(np.divide(covariance, np.sqrt(spread), out=none, where=spread > 0))
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    named = true + found
    f1 = np.divide(2 * hits, named, out=np.zeros_like(named), where=named > 0)
    if metric == "f1":
        return np.asarray(f1[..., 1])
    # As scikit-learn has it, over the classes that occur or are named.
    return np.asarray(f1.sum(axis=-1) / (named > 0).sum(axis=-1))


def metric_of(metric: Metric) -> Callable[[Any, Any], float]:
    """The function of labels and predictions behind a name."""
    return _functions()[metric]


def load_scores() -> None:
    """Import what scores, which takes a second."""
    _functions()


@functools.cache
def _functions() -> Mapping[Metric, Callable[[Any, Any], float]]:
    # Not imported above: a trial's first step would wait for them.
    from scipy.stats import pearsonr, spearmanr
    from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

    # F1 is that of class 1; one that is never named, nor there, scores 0.
    return {
        "accuracy": accuracy_score,
        "f1": lambda labels, found: f1_score(labels, found, zero_division=0.0),
        "f1_macro": lambda labels, found: f1_score(
            labels, found, average="macro", zero_division=0.0
        ),
        "matthews": matthews_corrcoef,
        "pearson": lambda labels, found: pearsonr(found, labels).statistic,
        "spearman": lambda labels, found: spearmanr(found, labels).statistic,
    }
