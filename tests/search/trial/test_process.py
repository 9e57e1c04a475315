"""What a process that trains keeps, and what it lets go."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest
import torch

from search import environment
from search.trial import process


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    threads = torch.get_num_threads()
    process._keep_imports.cache_clear()
    yield
    torch.set_num_threads(threads)
    environment.collect_seldom()
    gc.unfreeze()
    # As the other tests of this process want it.
    gc.freeze()
    process._keep_imports.cache_clear()


class Model:
    """Refers to itself, as modules and their hooks do."""

    def __init__(self) -> None:
        self.me = self


def test_imports_are_left_out_when_garbage_is_looked_for() -> None:
    process.settle(1)
    assert gc.get_freeze_count() > 100_000


def test_a_trial_looks_for_garbage_as_usual() -> None:
    """Seldom is for imports: what a training leaves in cycles can be whole batches."""
    environment.collect_seldom()
    seldom = gc.get_threshold()
    process.settle(1)
    assert gc.get_threshold()[0] < 10_000 < seldom[0]


def test_a_trial_takes_as_many_threads_as_it_is_given() -> None:
    for threads in (2, 1):
        process.settle(threads)
        assert torch.get_num_threads() == threads


def test_the_model_of_the_trial_before_is_gone_when_the_next_one_is_loaded() -> None:
    process.settle(1)
    gc.disable()
    try:
        gone = weakref.ref(Model())
        assert gone() is not None
        process.settle(1)
        assert gone() is None
    finally:
        gc.enable()


def test_what_a_later_trial_leaves_is_found() -> None:
    """Also where something still held it when the next trial began."""
    gc.disable()
    try:
        process.settle(1)
        model = Model()
        gone = weakref.ref(model)
        process.settle(1)
        del model
        gc.collect()
        assert gone() is None
    finally:
        gc.enable()
