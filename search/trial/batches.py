"""Which rows train together: rows of similar length, the batches in random order."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

# Batches that are sorted by length among themselves. More pad less, fewer mix rows better.
POOL = 50


class LengthBatches(Sampler[int]):
    """Rows of an epoch, such that each ``batch_size`` of them in a row are of similar length.

    Rows are shuffled, sorted by length within pools of ``POOL`` batches and cut into batches; then
    all batches are shuffled. Left in the order of a pool, as Trainer's own sampler has them, a
    model would see long rows first and fragments last, again and again.

    The first batch of the first epoch is the one with the longest row, so that what does not fit
    into memory fails at once. The last batch is the one that is not full, if there is one.

    Args:
        lengths: tokens of each row, shape (rows,).
        batch_size: rows of a batch.
        seed: an epoch depends on this and its number alone.
    """

    def __init__(self, lengths: NDArray[np.integer], batch_size: int, seed: int) -> None:
        self._lengths = lengths
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Which epoch comes next, counted from 0."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        random = np.random.default_rng([self._seed, self._epoch])
        rows = random.permutation(len(self._lengths))
        rest = rows[len(rows) // self._batch_size * self._batch_size :]
        full = rows[: len(rows) - len(rest)]
        batches: list[NDArray[np.integer]] = []
        for start in range(0, len(full), POOL * self._batch_size):
            pool = full[start : start + POOL * self._batch_size]
            pool = pool[np.argsort(self._lengths[pool], kind="stable")]
            batches += np.split(pool, len(pool) // self._batch_size)
        order = random.permutation(len(batches))
        if self._epoch == 0 and len(batches):
            longest = max(range(len(batches)), key=lambda i: self._lengths[batches[i]].max())
            order = np.concatenate([[longest], order[order != longest]])
        for index in order:
            yield from batches[index].tolist()
        yield from rest.tolist()
