"""Batches of rows of similar length, in random order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import spearmanr

from search.trial.batches import LengthBatches


def epoch(sampler: LengthBatches, number: int) -> list[int]:
    sampler.set_epoch(number)
    return list(sampler)


@given(
    lengths=st.lists(st.integers(1, 64), max_size=200),
    batch=st.integers(1, 9),
    seed=st.integers(0, 99),
    number=st.integers(0, 3),
)
def test_an_epoch_holds_every_row_once_and_depends_on_nothing_else(
    lengths: list[int], batch: int, seed: int, number: int
) -> None:
    given_lengths = np.array(lengths, dtype=np.int64)
    sampler = LengthBatches(given_lengths, batch, seed)
    rows = epoch(sampler, number)
    assert sorted(rows) == list(range(len(lengths)))
    assert len(sampler) == len(lengths)
    # Whatever was drawn before, as after a resume.
    epoch(sampler, number + 1)
    assert (
        epoch(sampler, number) == rows == epoch(LengthBatches(given_lengths, batch, seed), number)
    )


@pytest.fixture(scope="module")
def lengths() -> NDArray[np.int64]:
    drawn = np.random.default_rng(3).lognormal(2.5, 0.7, 5003)
    return np.clip(drawn, 3, 64).astype(np.int64)


def batches(lengths: NDArray[np.int64], rows: list[int], size: int) -> list[NDArray[np.int64]]:
    return [lengths[rows[i : i + size]] for i in range(0, len(rows), size)]


def test_batches_pad_little_and_come_in_no_order(lengths: NDArray[np.int64]) -> None:
    sampler = LengthBatches(lengths, 32, 0)
    for number in (0, 1):
        found = batches(lengths, epoch(sampler, number), 32)
        padded = sum(len(batch) * batch.max() for batch in found)
        assert padded < 1.1 * lengths.sum()
        trend = spearmanr(range(len(found)), [batch.mean() for batch in found])
        assert trend.pvalue > 0.01
        # Nor within the pools, each of which would otherwise go from long to short.
        steps = np.diff([batch.mean() for batch in found])
        assert 0.3 < (steps > 0).mean() < 0.7


def test_the_longest_row_comes_first_and_the_rest_last(lengths: NDArray[np.int64]) -> None:
    sampler = LengthBatches(lengths, 32, 0)
    found = batches(lengths, epoch(sampler, 0), 32)
    assert found[0].max() == lengths.max()
    assert [len(batch) for batch in found] == [32] * 156 + [11]
    later = [batches(lengths, epoch(sampler, n), 32)[0].max() for n in (1, 2, 3)]
    assert min(later) < lengths.max()


def test_epochs_and_seeds_differ(lengths: NDArray[np.int64]) -> None:
    orders = [epoch(LengthBatches(lengths, 32, seed), n) for seed in (0, 1) for n in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4
