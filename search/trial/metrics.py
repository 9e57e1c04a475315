"""Scores of predictions, by scikit-learn and scipy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, matthews_corrcoef

from search.spec.tasks import Task


class MetricError(ValueError):
    """The score of these predictions is not a number."""


def evaluate(
    task: Task, logits: NDArray[np.floating], labels: NDArray[np.generic]
) -> dict[str, float]:
    """``score`` and every other metric of the task by name; larger is better.

    Args:
        task: names the metric.
        logits: shape (rows, classes), or (rows,) or (rows, 1) for regression.
        labels: shape (rows,).

    Raises:
        MetricError: a logit is NaN or infinite, or a correlation is not defined.
    """
    if not np.isfinite(logits).all():
        bad = int((~np.isfinite(logits)).any(axis=tuple(range(1, logits.ndim))).sum())
        raise MetricError(f"the model's output is NaN or infinite on {bad} of {len(logits)} rows")
    if task.is_regression:
        predictions = logits.reshape(-1)
        if np.ptp(predictions) == 0:
            raise MetricError("the model predicts the same value for every row")
        pearson = float(pearsonr(predictions, labels).statistic)
        measures = {
            "pearson": pearson,
            "spearman": float(spearmanr(predictions, labels).statistic),
        }
    else:
        predictions = logits.argmax(axis=1)
        measures = {"accuracy": float(accuracy_score(labels, predictions))}
        if task.metric == "matthews":
            measures["matthews"] = float(matthews_corrcoef(labels, predictions))
    return {"score": measures[task.metric]} | measures
