"""The tasks a search can train for: their columns, splits and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Metric = Literal["accuracy", "f1", "f1_macro", "matthews", "pearson", "spearman"]

METRIC_TITLES: Mapping[Metric, str] = {
    "accuracy": "accuracy",
    "f1": "F1",
    "f1_macro": "macro F1",
    "matthews": "Matthews correlation",
    "pearson": "Pearson correlation",
    "spearman": "Spearman correlation",
}
#: Metrics of values that are predicted; the others are of classes.
OF_VALUES: frozenset[Metric] = frozenset({"pearson", "spearman"})


@dataclass(frozen=True)
class Task:
    """A task on one or two texts.

    Attributes:
        name: as in ``tasks:`` of a space file; also the hub configuration or local folder.
        text: columns of the one or two texts.
        metrics: what is measured; the first is the ``score``. Larger is better.
        labels: number of classes; 1 is regression.
        train: split to train on.
        validation: official validation split, None where there is none.
        also: further official splits to report on.
        label: column of the labels.
        classes: names of the classes, in the order of their numbers; None for regression.
        generated: whether this project makes the data itself.
    """

    name: str
    text: tuple[str, ...]
    metrics: tuple[Metric, ...] = ("accuracy",)
    labels: int = 2
    train: str = "train"
    validation: str | None = "validation"
    also: tuple[str, ...] = ()
    label: str = "label"
    classes: tuple[str, ...] | None = None
    generated: bool = False

    @property
    def metric(self) -> Metric:
        """What the score is."""
        return self.metrics[0]

    @property
    def is_regression(self) -> bool:
        return self.labels == 1

    @property
    def official(self) -> tuple[str, ...]:
        """Splits that no configuration trains on."""
        return self.also if self.validation is None else (self.validation, *self.also)


_PAIR = ("sentence1", "sentence2")
# As the hub's GLUE names them; RTE and QNLI count them the other way round than WNLI.
_ENTAILMENT = ("entailment", "not_entailment")

TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        Task(
            "cola",
            ("sentence",),
            ("matthews", "accuracy"),
            classes=("unacceptable", "acceptable"),
        ),
        Task("sst2", ("sentence",), classes=("negative", "positive")),
        Task("mrpc", _PAIR, ("accuracy", "f1"), classes=("not_equivalent", "equivalent")),
        Task("stsb", _PAIR, ("pearson", "spearman"), labels=1),
        Task(
            "qqp",
            ("question1", "question2"),
            ("accuracy", "f1"),
            classes=("not_duplicate", "duplicate"),
        ),
        Task(
            "mnli",
            ("premise", "hypothesis"),
            labels=3,
            validation="validation_matched",
            also=("validation_mismatched",),
            classes=("entailment", "neutral", "contradiction"),
        ),
        Task("qnli", ("question", "sentence"), classes=_ENTAILMENT),
        Task("rte", _PAIR, classes=_ENTAILMENT),
        Task("wnli", _PAIR, classes=("not_entailment", "entailment")),
        Task("negation", ("sentence",), classes=("negative", "positive"), generated=True),
    )
}
