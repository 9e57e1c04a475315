"""A task's data: loaded, checked, split, tokenised once in the driver."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from search.spec.data import Holdout
from search.spec.schema import Space
from search.spec.tasks import Task
from search.trial.data.encoded import Encoded, PadToLongest, TokenDataset, encode, load_tokenizer
from search.trial.data.own import task_of
from search.trial.data.rows import Rows, load_rows
from search.trial.data.tables import DataError


@dataclass(frozen=True)
class TaskData:
    """Everything a trial trains and is measured on.

    Attributes:
        train: what trials train on.
        selection: what configurations are compared on.
        tests: official splits that were not used for selection, by name.
        fingerprint: of texts and labels of all splits, hexadecimal.
    """

    train: Encoded
    selection: Encoded
    tests: Mapping[str, Encoded]
    fingerprint: str


def prepare(space: Space, task: Task) -> TaskData:
    """Load, split and tokenise the data of a task.

    Raises:
        NotFound: data set or tokenizer cannot be found or reached.
        DataError: a split or a column is missing, or a label is out of range.
    """
    train = load_rows(space, task, task.train)
    official = {split: load_rows(space, task, split) for split in task.official}
    if space.data.train_rows is not None and space.data.train_rows < len(train):
        train = _some(train, task, space.data.train_rows, space.seed)
    if isinstance(space.selection, Holdout):
        held = round(space.selection.holdout * len(train))
        # A correlation is of two rows or more.
        least = max(2, task.labels)
        if held < least or len(train) - held < least:
            raise DataError(
                f"selection.holdout {space.selection.holdout:g} leaves {held} of {len(train)} "
                f"training rows to select on; at least {least} are needed on each side"
            )
        train, selection = _split(train, task, len(train) - held, space.seed)
        tests = official
    else:
        assert task.validation is not None, "task_of has looked for it"
        selection = official[task.validation]
        tests = {split: rows for split, rows in official.items() if split != task.validation}

    if task.is_regression:
        for name, rows in {"train": train, "the selection split": selection, **tests}.items():
            if np.ptp(rows.labels) == 0:
                raise DataError(
                    f"{task.label} is {rows.labels[0]:g} in all {len(rows)} rows of {name}; there "
                    "is nothing to predict"
                )
    tokenizer = load_tokenizer(space.model)
    digest = hashlib.sha256()
    for rows in (train, selection, *official.values()):
        for column in rows.texts:
            digest.update("\x1e".join(column).encode())
        digest.update(np.ascontiguousarray(rows.labels).tobytes())

    def encoded(rows: Rows, by_length: bool) -> Encoded:
        return encode(rows, tokenizer, space.train.max_length, by_length)

    return TaskData(
        encoded(train, False),
        encoded(selection, True),
        {split: encoded(rows, True) for split, rows in tests.items()},
        digest.hexdigest()[:16],
    )


def _some(rows: Rows, task: Task, count: int, seed: int) -> Rows:
    """So many rows, of every class as large a part as of all where that can be."""
    if len(rows) - count >= task.labels:
        return _split(rows, task, count, seed)[0]
    # Stratified, the few that are left out would have to hold every class.
    kept = np.random.default_rng(seed).permutation(len(rows))[:count]
    return rows.take(np.sort(kept).tolist())


def _split(rows: Rows, task: Task, first: int, seed: int) -> tuple[Rows, Rows]:
    """A seeded split with ``first`` rows in the first part, stratified by class."""
    # It takes a second, and the processes of trials are given what was split.
    from sklearn.model_selection import train_test_split

    try:
        kept, rest = train_test_split(
            np.arange(len(rows)),
            train_size=first,
            random_state=seed,
            stratify=None if task.is_regression else rows.labels,
        )
    except ValueError as error:
        raise DataError(
            f"{first} of {len(rows)} training rows cannot hold every class: {error}"
        ) from error
    return rows.take(np.sort(kept).tolist()), rows.take(np.sort(rest).tolist())


__all__ = [
    "DataError",
    "Encoded",
    "PadToLongest",
    "TaskData",
    "TokenDataset",
    "prepare",
    "task_of",
]
