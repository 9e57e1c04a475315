"""A task's data: loaded, split, tokenised once in the driver, batched by length in a trial."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split
from torch.utils.data import Dataset
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from search.spec.schema import Data, Holdout, Space
from search.spec.tasks import Task
from search.trial.backbone import REACH_SECONDS, NotFound, locate, within
from search.trial.grammar import generate


class DataError(Exception):
    """The data cannot be used; the message names split, column or row."""


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


@dataclass(frozen=True)
class Encoded:
    """One split as token ids, ragged: flat arrays that Ray's object store shares without a copy.

    Attributes:
        tokens: token ids of all rows, one after the other.
        segments: token type of each token, or an empty array where the model has none.
        starts: shape (rows + 1,); row i lies at ``starts[i]:starts[i + 1]``.
        labels: shape (rows,); int64 for classes, float32 for regression.
        pad: id of the padding token.
    """

    tokens: NDArray[np.int32]
    segments: NDArray[np.int8]
    starts: NDArray[np.int64]
    labels: NDArray[np.generic]
    pad: int

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class TaskData:
    """Everything a trial trains and is measured on.

    Attributes:
        train: what trials train on.
        selection: what configurations are compared on.
        test: official validation, where it was not used for selection; else None.
        fingerprint: of texts and labels of all splits, hexadecimal.
    """

    train: Encoded
    selection: Encoded
    test: Encoded | None
    fingerprint: str


def prepare(space: Space, task: Task) -> TaskData:
    """Load, split and tokenise the data of a task.

    Raises:
        NotFound: data set or tokenizer cannot be found or reached.
        DataError: a split or a column is missing, or a label is out of range.
    """
    train, official = (load_rows(space, task, split) for split in (task.train, task.validation))
    if space.data.train_rows is not None and space.data.train_rows < len(train):
        kept, _ = _split(train, task, space.data.train_rows, space.seed)
        train = kept
    if isinstance(space.selection, Holdout):
        held = round(space.selection.holdout * len(train))
        if held < task.labels or len(train) - held < task.labels:
            raise DataError(
                f"selection.holdout {space.selection.holdout:g} leaves {held} of {len(train)} "
                f"training rows to select on; at least {task.labels} are needed on each side"
            )
        train, selection = _split(train, task, len(train) - held, space.seed)
        test: Rows | None = official
    else:
        selection, test = official, None

    tokenizer = load_tokenizer(space.model)
    digest = hashlib.sha256()
    for rows in (train, selection, official):
        for column in rows.texts:
            digest.update("\x1e".join(column).encode())
        digest.update(np.ascontiguousarray(rows.labels).tobytes())

    def encoded(rows: Rows, by_length: bool) -> Encoded:
        return encode(rows, tokenizer, space.train.max_length, task, by_length)

    return TaskData(
        encoded(train, False),
        encoded(selection, True),
        encoded(test, True) if test is not None else None,
        digest.hexdigest()[:16],
    )


def load_rows(space: Space, task: Task, split: str) -> Rows:
    """One split from wherever the space file says.

    Raises:
        NotFound: the data set cannot be found or reached.
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
    table = _read(data, task, split)
    missing = [c for c in (*task.text, task.label) if c not in table.column_names]
    if missing:
        raise DataError(
            f"split {split} of {task.name} has no column {missing[0]!r}; "
            f"its columns are {', '.join(table.column_names)}"
        )
    if not len(table):
        raise DataError(f"split {split} of {task.name} has no rows")
    return Rows(
        tuple(_texts(table, column, split) for column in task.text), _labels(table, task, split)
    )


def _read(data: Data, task: Task, split: str) -> datasets.Dataset:
    datasets.disable_progress_bars()
    if data.dir is not None:
        folder = Path(data.dir).expanduser() / task.name
        path = folder / f"{split}.parquet"
        if not path.is_file():
            there = sorted(p.name for p in folder.glob("*.parquet")) if folder.is_dir() else []
            found = f"there are {', '.join(there)}" if there else "there is no such data"
            raise NotFound(f"data.dir {data.dir!r}: {path} does not exist; {found}")
        return datasets.Dataset.from_parquet(str(path), keep_in_memory=True)
    assert data.path is not None
    hint = "use a local copy with data.dir: /path/to/folder, laid out as TASK/SPLIT.parquet"
    what = f"data set {data.path!r}"
    # Whether the hub answers is asked first; how long the data then takes to come is its own.
    within(
        REACH_SECONDS,
        what,
        hint,
        lambda: datasets.get_dataset_split_names(data.path, task.name),
    )
    return datasets.load_dataset(data.path, task.name, split=split)


def _texts(table: datasets.Dataset, column: str, split: str) -> list[str]:
    texts = list(table[column])
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"row {row} of split {split}: {column} must be text, got {text!r}")
    return texts


def _labels(table: datasets.Dataset, task: Task, split: str) -> NDArray[np.generic]:
    values: list[Any] = list(table[task.label])
    for row, value in enumerate(values):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or (not task.is_regression and value not in range(task.labels)):
            wanted = "a number" if task.is_regression else f"a class from 0 to {task.labels - 1}"
            raise DataError(
                f"row {row} of split {split}: {task.label} must be {wanted}, got {value!r}"
            )
    return np.array(values, dtype=np.float32 if task.is_regression else np.int64)


def _split(rows: Rows, task: Task, first: int, seed: int) -> tuple[Rows, Rows]:
    """A seeded split with ``first`` rows in the first part, stratified by class."""
    kept, rest = train_test_split(
        np.arange(len(rows)),
        train_size=first,
        random_state=seed,
        stratify=None if task.is_regression else rows.labels,
    )
    return rows.take(np.sort(kept).tolist()), rows.take(np.sort(rest).tolist())


def load_tokenizer(model: str) -> PreTrainedTokenizerBase:
    """The model's tokenizer.

    Raises:
        NotFound: there is none, or the hub cannot be reached within 10 s.
    """
    place = locate(model)
    hint = "name a local copy with model: /path/to/folder"
    tokenizer: PreTrainedTokenizerBase = within(
        REACH_SECONDS,
        f"tokenizer of {model!r}",
        hint,
        lambda: AutoTokenizer.from_pretrained(place),
    )
    return tokenizer


def encode(
    rows: Rows, tokenizer: PreTrainedTokenizerBase, max_length: int, task: Task, by_length: bool
) -> Encoded:
    """Token ids of every row, cut to ``max_length``; ``by_length`` puts the longest first."""
    out = tokenizer(*rows.texts, truncation=True, max_length=max_length, padding=False)
    ids: list[list[int]] = out["input_ids"]
    segments: list[list[int]] = out.get("token_type_ids", [])
    labels = rows.labels
    if by_length:
        order = sorted(range(len(ids)), key=lambda i: (-len(ids[i]), i))
        ids = [ids[i] for i in order]
        segments = [segments[i] for i in order] if segments else []
        labels = labels[order]
    return Encoded(
        np.array([t for row in ids for t in row], dtype=np.int32),
        np.array([t for row in segments for t in row], dtype=np.int8),
        np.cumsum([0, *map(len, ids)], dtype=np.int64),
        labels,
        int(tokenizer.pad_token_id or 0),
    )


class TokenDataset(Dataset[dict[str, Any]]):
    """Rows of an encoded split; Trainer reads the length of ``input_ids`` to batch by it."""

    def __init__(self, encoded: Encoded) -> None:
        self.encoded = encoded

    def __len__(self) -> int:
        return len(self.encoded)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each row."""
        return np.diff(self.encoded.starts)

    def __getitem__(self, row: int) -> dict[str, Any]:
        e = self.encoded
        part = slice(int(e.starts[row]), int(e.starts[row + 1]))
        item: dict[str, Any] = {"input_ids": e.tokens[part], "labels": e.labels[row]}
        if len(e.segments):
            item["token_type_ids"] = e.segments[part]
        return item


@dataclass(frozen=True)
class PadToLongest:
    """Makes one batch, padded to its longest row.

    Tensors are fresh memory: those that came through the object store are shared with other
    processes and must never be written to.
    """

    pad: int

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        lengths = [len(row["input_ids"]) for row in rows]
        shape = (len(rows), max(lengths))
        batch = {"input_ids": np.full(shape, self.pad, dtype=np.int64)}
        batch["attention_mask"] = np.zeros(shape, dtype=np.int64)
        if "token_type_ids" in rows[0]:
            batch["token_type_ids"] = np.zeros(shape, dtype=np.int64)
        for index, (row, length) in enumerate(zip(rows, lengths, strict=True)):
            batch["attention_mask"][index, :length] = 1
            for name in ("input_ids", "token_type_ids"):
                if name in batch:
                    batch[name][index, :length] = row[name]
        labels = np.array([row["labels"] for row in rows])
        return {name: torch.from_numpy(array) for name, array in batch.items()} | {
            "labels": torch.from_numpy(labels)
        }
