"""A task of the user's own: what its file says of classes and metrics."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Any

from search.spec.characters import is_whole
from search.spec.data import Data, Holdout
from search.spec.schema import Space
from search.spec.tasks import TASKS, Metric, Task
from search.trial.data.tables import DataError, Table, has_split, read_table, splits_of

_WHOLE = re.compile(r"[+-]?[0-9]+(\.0*)?")
# A class needs a row on either side of a split.
LEAST_ROWS = 2


def task_of(space: Space) -> Task:
    """The task of a space; that of the user's own data is read from its training rows.

    Raises:
        NotFound: the data cannot be found or reached.
        DataError: the labels cannot be used; the message names column and row.
    """
    name, data = space.task_name, space.data
    if data.text is None:
        return TASKS[name]
    assert data.label is not None
    has_validation = has_split(data, name, "validation")
    if not has_validation and not isinstance(space.selection, Holdout):
        other = "data.splits: {validation: test} takes another for it, " if data.path else ""
        raise DataError(
            "selection: validation needs a split of this name; there are "
            f"{', '.join(splits_of(data, name))}. {other}selection: {{holdout: 0.1}} takes a part "
            "of train"
        )
    common: dict[str, Any] = {
        "name": name,
        "text": tuple(data.text),
        "label": data.label,
        "validation": "validation" if has_validation else None,
    }
    if data.regression:
        return Task(**common, metrics=_first(data.metric, ("pearson", "spearman")), labels=1)
    table = read_table(data, name, "train")
    classes = classes_of(table, data.label)
    _check_classes(space, table, classes)
    metrics: tuple[Metric, ...] = ("accuracy", "f1_macro")
    if len(classes) == 2:
        metrics = ("accuracy", "f1")
    elif data.metric == "f1":
        raise DataError(
            f"data.metric f1 is of two classes, {table.name} has {len(classes)}; take f1_macro"
        )
    return Task(
        **common, metrics=_first(data.metric, metrics), labels=len(classes), classes=classes
    )


def _first(metric: Metric | None, others: tuple[Metric, ...]) -> tuple[Metric, ...]:
    return others if metric is None else tuple(dict.fromkeys((metric, *others)))


def classes_of(table: Table, label: str) -> tuple[str, ...]:
    """Names of the classes in their order: as declared, else numbers by size and words by name.

    Raises:
        DataError: a label is missing, or is no class.
    """
    if label in table.classes:
        return table.classes[label]
    named = set(class_names(table, label))
    try:
        return tuple(sorted(named, key=lambda name: (int(name), name)))
    except ValueError:
        return tuple(sorted(named))


def class_names(table: Table, label: str) -> list[str]:
    """The class of each row, by name.

    Where all are whole numbers and some are written as fractions, 1.0, as tables of numbers with
    gaps are, they are the same classes as without.

    Raises:
        DataError: a label is missing, or is no class.
    """
    values = table.column(label)
    names = [_class_name(table, label, row) for row in range(len(values))]
    if label in table.classes or not all(map(_WHOLE.fullmatch, names)):
        return names
    return [name.partition(".")[0] for name in names]


def _class_name(table: Table, label: str, row: int) -> str:
    value = table.column(label)[row]
    declared = table.classes.get(label)
    if declared is not None and value in range(len(declared)):
        return str(declared[value])
    where = f"row {row + 1} of {table.name}"
    if value is None or (isinstance(value, str) and not value.strip()):
        raise DataError(f"{where}: {label} is missing")
    if isinstance(value, str) and not is_whole(value):
        raise DataError(f"{where}: {label} is {value!r}, which holds half a character")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if declared is not None or not isinstance(value, str | int):
        raise DataError(
            f"{where}: {label} is {value!r}, which is no class; for a number to predict say "
            "data.regression: true"
        )
    return str(value).strip()


def value_of(table: Table, label: str, row: int) -> float:
    """The number to predict in a row.

    Raises:
        DataError: it is none.
    """
    value = table.column(label)[row]
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        raise DataError(f"row {row + 1} of {table.name}: {label} must be a number, got {value!r}")
    return number


def _check_classes(space: Space, table: Table, classes: tuple[str, ...]) -> None:
    label = space.data.label
    assert label is not None
    count = Counter(class_names(table, label))
    if len(count) < 2:
        only = f"only the class {next(iter(count))!r}" if count else "no class"
        raise DataError(f"{table.name}: {label} holds {only}; there is nothing to tell apart")
    if not isinstance(space.selection, Holdout):
        return
    # A class that is declared and never occurs is no mistake: data sets are filtered.
    rare = [name for name in classes if 0 < count[name] < LEAST_ROWS]
    if rare:
        what = f"and {len(rare) - 1} more " if len(rare) > 1 else ""
        raise DataError(
            f"{table.name}: the class {rare[0]!r} of {label} {what}has {count[rare[0]]} rows; a "
            f"holdout needs {LEAST_ROWS}. For a number to predict say data.regression: true"
        )


def is_own(data: Data) -> bool:
    """Whether the data is the user's own."""
    return data.text is not None
