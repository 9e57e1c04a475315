"""Rows as token ids: made once in the driver, batched in a trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from search.trial.data.rows import Rows
from search.trial.places import NotFound, locate, patience_for, within


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


def load_tokenizer(model: str) -> PreTrainedTokenizerBase:
    """The model's tokenizer, which can pad.

    One that cannot, as many a decoder's, pads with the token that ends a text: a classifier reads
    its answer off the last token that is no padding, and a text's own tokens must not be taken
    for it.

    Raises:
        NotFound: there is none, it has no token to pad with, or the hub cannot be reached within
            10 s.
    """
    place = locate(model)
    hint = "name a local copy with model: /path/to/folder"
    tokenizer: PreTrainedTokenizerBase = within(
        patience_for(place),
        f"tokenizer of {model!r}",
        hint,
        lambda: AutoTokenizer.from_pretrained(place),
    )
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise NotFound(
                f"tokenizer of {model!r} has neither a pad_token nor an eos_token, and cannot pad"
            )
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def encode(
    rows: Rows, tokenizer: PreTrainedTokenizerBase, max_length: int, by_length: bool
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
        int(tokenizer.pad_token_id),
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
