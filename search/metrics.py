"""Scores of predictions, by scikit-learn and scipy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from search.spec.tasks import Metric, Task


class MetricError(ValueError):
    """The score of these predictions is not a number."""


# Of labels and predictions. F1 is that of class 1; one that is never named, nor there, scores 0.
_METRICS: Mapping[Metric, Callable[[Any, Any], float]] = {
    "accuracy": accuracy_score,
    "f1": lambda labels, found: f1_score(labels, found, zero_division=0.0),
    "f1_macro": lambda labels, found: f1_score(labels, found, average="macro", zero_division=0.0),
    "matthews": matthews_corrcoef,
    "pearson": lambda labels, found: pearsonr(found, labels).statistic,
    "spearman": lambda labels, found: spearmanr(found, labels).statistic,
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
    measures = {metric: float(_METRICS[metric](labels, predictions)) for metric in task.metrics}
    return {"score": measures[task.metric]} | measures


def metric_of(metric: Metric) -> Callable[[Any, Any], float]:
    """The function of labels and predictions behind a name."""
    return _METRICS[metric]
