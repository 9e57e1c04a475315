"""Scores of predictions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from search.record import ConstantAnswer
from search.spec.tasks import OF_VALUES, Metric, Task


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
    measures = {metric: score(metric, labels, predictions) for metric in task.metrics}
    return {"score": measures[task.metric]} | measures


def score(metric: Metric, labels: NDArray[np.generic], predictions: NDArray[np.generic]) -> float:
    """One metric; labels and predictions of shape (rows,)."""
    if metric in OF_VALUES:
        # Not imported above: nothing that is about classes is to wait for it.
        from scipy.stats import pearsonr, spearmanr

        correlation = pearsonr if metric == "pearson" else spearmanr
        return float(correlation(predictions, labels).statistic)
    classes = 1 + max(int(labels.max()), int(predictions.max()), 1)
    pairs = labels.astype(np.int64) * classes + predictions.astype(np.int64)
    counts = np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    return float(from_confusion(metric, counts.astype(np.float64)))


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
    found = measures_of(task, np.full(len(labels), answer), labels)
    name = str(answer) if task.classes is None else task.classes[answer]
    return ConstantAnswer(name, found["score"])


def from_confusion(metric: Metric, counts: NDArray[np.floating]) -> NDArray[np.float64]:
    """A metric of classes from how often each class was taken for each, many times at once.

    The same as scikit-learn's functions, which take a millisecond for each and a second to import.
    F1 is that of class 1; one that is never named, nor there, scores 0.

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
