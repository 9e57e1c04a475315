"""Scores of predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
        correlation = getattr(_scipy_stats(), "pearsonr" if metric == "pearson" else "spearmanr")
        return float(correlation(predictions, labels).statistic)
    classes = 1 + max(int(labels.max()), int(predictions.max()), 1)
    return float(from_counts(metric, *counted(labels, predictions, classes)))


def load_scores(task: Task) -> None:
    """Import what scores a task, if that takes time: no trial's evaluation is to."""
    if task.is_regression:
        _scipy_stats()


def _scipy_stats() -> Any:
    # Not imported above: nothing that is about classes is to wait for it.
    import scipy.stats

    return scipy.stats


def counted(
    labels: NDArray[np.generic], predictions: NDArray[np.generic], classes: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """How often each class was there, was predicted, and both; each of shape (classes,)."""
    labels, predictions = labels.astype(np.int64), predictions.astype(np.int64)
    there, named, right = (
        np.bincount(found, minlength=classes)
        for found in (labels, predictions, labels[labels == predictions])
    )
    return there, named, right


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


def from_counts(
    metric: Metric,
    there: NDArray[np.number],
    named: NDArray[np.number],
    right: NDArray[np.number],
) -> NDArray[np.float64]:
    """A metric of classes from how often each was there and predicted, many times at once.

    The same as scikit-learn's functions, which take a millisecond for each and a second to import.
    F1 is that of class 1; one that is never named, nor there, scores 0.

    Args:
        metric: one of classes.
        there: how often each class was the right one, shape (…, classes).
        named: how often each was predicted.
        right: how often both.

    Returns:
        Shape (…).
    """
    there, named, right = (np.asarray(counts, np.float64) for counts in (there, named, right))
    total, hits = there.sum(axis=-1), right.sum(axis=-1)
    if metric == "accuracy":
        return np.asarray(hits / total)
    if metric == "matthews":
        covariance = hits * total - (there * named).sum(axis=-1)
        spread = (total**2 - (there**2).sum(axis=-1)) * (total**2 - (named**2).sum(axis=-1))
        none = np.zeros_like(total)
        return np.asarray(np.divide(covariance, np.sqrt(spread), out=none, where=spread > 0))
    either = there + named
    f1 = np.divide(2 * right, either, out=np.zeros_like(either), where=either > 0)
    if metric == "f1":
        return np.asarray(f1[..., 1])
    # As scikit-learn has it, over the classes that occur or are named.
    return np.asarray(f1.sum(axis=-1) / (either > 0).sum(axis=-1))
