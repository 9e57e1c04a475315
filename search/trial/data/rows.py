"""One split of a task as texts and labels, every value checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.spec.characters import is_whole, whole
from search.spec.schema import Space
from search.spec.tasks import Task
from search.trial.data.own import class_names, is_own, value_of
from search.trial.data.tables import DataError, Table, read_table
from search.trial.grammar import generate


@dataclass(frozen=True)
class Rows:
    """One split as texts.

    Attributes:
        texts: one sequence of strings for each text column, all of the same length.
        labels: class indices, or values for regression.
    """

    texts: tuple[list[str], ...]
    labels: NDArray[np.generic]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Sequence[int]) -> Rows:
        return Rows(tuple([column[i] for i in rows] for column in self.texts), self.labels[rows])


def load_rows(space: Space, task: Task, split: str) -> Rows:
    """One split from wherever the space file says.

    Raises:
        NotFound: the data cannot be found or reached.
        DataError: the split or a column is missing, or a value does not fit.
    """
    data = space.data
    if data.generated is not None:
        count = data.generated.train if split == task.train else data.generated.validation
        try:
            made = generate(task.name, split, count, space.seed)
        except ValueError as error:
            raise DataError(f"data.generated.{split}: {error}") from error
        sentences, labels = zip(*made, strict=True)
        return Rows((list(sentences),), np.array(labels, dtype=np.int64))
    table = read_table(data, task.name, split)
    texts = tuple(_texts(table, column, blank=not is_own(data)) for column in task.text)
    return Rows(texts, _own_labels(table, task) if is_own(data) else _labels(table, task))


def _texts(table: Table, column: str, blank: bool) -> list[str]:
    texts = list(table.column(column))
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"row {row + 1} of {table.name}: {column} must be text, got {text!r}")
        if not is_whole(text):
            where = f"row {row + 1} of {table.name}"
            raise DataError(f"{where}: {column} holds half a character: {whole(text)[:60]!r}")
        # GLUE has a few empty questions, as published; the user's own are mistakes.
        if not blank and not text.strip():
            raise DataError(f"row {row + 1} of {table.name}: {column} is empty")
    return texts


def _labels(table: Table, task: Task) -> NDArray[np.generic]:
    declared = table.classes.get(task.label)
    if declared is not None and task.classes is not None and declared != task.classes:
        raise DataError(
            f"{table.name} declares the classes {', '.join(declared)} of {task.label}, in this "
            f"order; {task.name} has {', '.join(task.classes)}"
        )
    values = list(table.column(task.label))
    for row, value in enumerate(values):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or (not task.is_regression and value not in range(task.labels)):
            wanted = "a number" if task.is_regression else f"a class from 0 to {task.labels - 1}"
            raise DataError(
                f"row {row + 1} of {table.name}: {task.label} must be {wanted}, got {value!r}"
            )
    return np.array(values, dtype=np.float32 if task.is_regression else np.int64)


def _own_labels(table: Table, task: Task) -> NDArray[np.generic]:
    if task.classes is None:
        rows = range(len(table.column(task.label)))
        return np.array([value_of(table, task.label, row) for row in rows], dtype=np.float32)
    numbers = {name: number for number, name in enumerate(task.classes)}
    labels = []
    for row, name in enumerate(class_names(table, task.label)):
        if name not in numbers:
            raise DataError(
                f"row {row + 1} of {table.name}: {task.label} is {name!r}, a class that does not "
                f"occur in train; there are {', '.join(task.classes)}"
            )
        labels.append(numbers[name])
    return np.array(labels, dtype=np.int64)
