"""The tasks a search can train for: their columns, splits and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Metric = Literal["accuracy", "matthews", "pearson"]

METRIC_TITLES: Mapping[Metric, str] = {
    "accuracy": "accuracy",
    "matthews": "Matthews correlation",
    "pearson": "Pearson correlation",
}


@dataclass(frozen=True)
class Task:
    """A sentence or sentence-pair task.

    Attributes:
        name: as in ``tasks:`` of a space file; also the hub configuration or local folder.
        text: columns of the one or two texts.
        metric: what ``score`` is; larger is better.
        labels: number of classes; 1 is regression.
        train: split to train on.
        validation: official validation split.
        generated: whether this project makes the data itself.
    """

    name: str
    text: tuple[str, ...]
    metric: Metric = "accuracy"
    labels: int = 2
    train: str = "train"
    validation: str = "validation"
    generated: bool = False
    label: str = "label"

    @property
    def is_regression(self) -> bool:
        return self.labels == 1


_PAIR = ("sentence1", "sentence2")

TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        Task("cola", ("sentence",), "matthews"),
        Task("sst2", ("sentence",)),
        Task("mrpc", _PAIR),
        Task("stsb", _PAIR, "pearson", labels=1),
        Task("qqp", ("question1", "question2")),
        Task("mnli", ("premise", "hypothesis"), labels=3, validation="validation_matched"),
        Task("qnli", ("question", "sentence")),
        Task("rte", _PAIR),
        Task("wnli", _PAIR),
        Task("negation", ("sentence",), generated=True),
    )
}
